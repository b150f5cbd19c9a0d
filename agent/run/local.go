package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Engine is a log in this process.
type Engine interface {
	store.Log
	store.Blobs
	store.Leaser
}

// Local is the log of this process. The hub must be the one whose Committed
// the engine was given.
func Local(e Engine, hub *stream.Hub) Log { return local{e, hub} }

type local struct {
	Engine
	hub *stream.Hub
}

// Create implements Log.
func (l local) Create(ctx context.Context, id string) error {
	_, _, err := l.CreateSession(ctx, id, store.SessionSpec{})
	return err
}

// followBeat is how often a follower looks at the log without being woken, so
// that a lost wake-up costs no more.
const followBeat = 30 * time.Second

// Follow implements Log.
func (l local) Follow(ctx context.Context, session string, after int64, types []string, each func(store.Event) error, caughtUp func()) error {
	t := stream.NewTail(l.Engine, l.hub, session, after)
	defer t.Close()
	level := false
	for {
		wait := followBeat
		if !level {
			wait = 0
		}
		b, err := t.Next(ctx, wait)
		if err != nil {
			return err
		}
		if b.Reset != nil {
			return fmt.Errorf("session %s (%s): %w", session, b.Reset.Reason, ErrReset)
		}
		for i := range b.Events {
			if e := b.Events[i]; slices.Contains(types, e.Type) {
				if err := each(e); err != nil {
					return err
				}
			}
		}
		if !level && b.Level {
			level = true
			caughtUp()
		}
	}
}

// ErrReset says that the history of the session was replaced: what a runner
// knows of it no longer holds.
var ErrReset = errors.New("the session's history was replaced; start the runner again")

// Producer implements Log.
func (l local) Producer(session, id string, epoch int64) Producer {
	return &localProducer{log: l.Engine, session: session, state: store.Producer{ID: id, Epoch: epoch}}
}

type localProducer struct {
	log     store.Appender
	session string
	state   store.Producer // Seq is of the next request
}

// Append implements Producer.
func (p *localProducer) Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	state := p.state
	a, err := p.log.Append(ctx, p.session, store.AppendOptions{Producer: &state, NoCreate: true}, drafts...)
	if err == nil {
		p.state.Seq++
	}
	return a, err
}

// Touch implements Log.
func (l local) Touch(ctx context.Context, session, turn string) error {
	_, err := l.TouchTurn(ctx, session, turn)
	return err
}

// PutBlob implements Blobs.
func (l local) PutBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	b, _, err := l.Engine.PutBlob(ctx, contentType, bytes.NewReader(content), int64(len(content)))
	return b, err
}

// ReadBlob implements Blobs.
func (l local) ReadBlob(ctx context.Context, sha256 string) ([]byte, error) {
	b, err := l.Blob(ctx, sha256)
	if err != nil {
		return nil, err
	}
	content := make([]byte, b.Bytes)
	for off := int64(0); off < b.Bytes; {
		end := min(off+store.BlobChunkBytes, b.Bytes)
		n, err := l.Engine.ReadBlob(ctx, sha256, content[off:end], off)
		if err != nil && !(err == io.EOF && off+int64(n) == b.Bytes) {
			return nil, err
		}
		off += int64(n)
	}
	return content, nil
}
