package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// remoteLog is a server's log as a runner of agents needs it.
type remoteLog struct{ *client.Client }

// Create implements run.Log.
func (l remoteLog) Create(ctx context.Context, id string) error {
	_, _, err := l.CreateSession(ctx, id, store.SessionSpec{})
	return err
}

// Follow implements run.Log.
func (l remoteLog) Follow(ctx context.Context, session string, after int64, types []string, each func(store.Event) error, caughtUp func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	level := false
	o := client.TailOptions{After: after, Types: types, OnState: func(s client.State) {
		switch {
		case s.Kind == client.StateCaughtUp && !level:
			level = true
			caughtUp()
		case s.Kind == client.StateReset:
			cancel(fmt.Errorf("session %s (%s): %w", session, s.Reason, run.ErrReset))
		}
	}}
	for e, err := range l.Tail(ctx, session, o) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err == nil {
			err = each(e.Event)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Producer implements run.Log.
func (l remoteLog) Producer(session, id string, epoch int64) run.Producer {
	p := l.Client.Producer(session, id, epoch)
	p.NoCreate = true // a session that was deleted is not made again by what is left of its agent
	return &remoteProducer{p}
}

// remoteProducer forgets a request that was refused after an attempt whose
// outcome was unknown: had that been stored, the refused one would have been
// found to be a duplicate.
type remoteProducer struct{ *client.Producer }

// Append implements run.Producer.
func (p *remoteProducer) Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	a, err := p.Producer.Append(ctx, drafts...)
	switch store.CodeOf(err) {
	case "", store.CodeStorageFailed, store.CodeStorageFull, store.CodeDiskLow, store.CodeQuota, store.CodeQueueFull, store.CodeShutdown:
		return a, err // asked again as it is
	}
	seq, seqErr := p.Seq(ctx)
	if seqErr == nil {
		seqErr = p.Resume(ctx, seq)
	}
	return a, errors.Join(err, seqErr)
}

// Touch implements run.Log.
func (l remoteLog) Touch(ctx context.Context, session, turn string) error {
	_, err := l.TouchTurn(ctx, session, turn)
	return err
}

// PutBlob implements run.Blobs.
func (l remoteLog) PutBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	b, _, err := l.Client.PutBlob(ctx, contentType, bytes.NewReader(content))
	return b, err
}

// ReadBlob implements run.Blobs.
func (l remoteLog) ReadBlob(ctx context.Context, sha256 string) ([]byte, error) {
	var b bytes.Buffer
	_, err := l.CopyBlob(ctx, &b, sha256)
	return b.Bytes(), err
}
