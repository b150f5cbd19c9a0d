package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// The bounds of one append of a feed: it takes what has arrived, up to these.
const (
	feedEventsMax = 1000
	feedBytesMax  = 4 << 20 // far below the request limit, also when all of it is escaped
)

// feed sends lines of events to a session, in order, in batches of what is there
// without waiting. A line that is refused ends it; those before it stay.
type feed struct {
	append func(ctx context.Context, drafts []store.Draft) error
	moved  func(read int64)

	batch []store.Draft
	lines []int // the numbers of the batch's lines
	size  int
}

// run reads r to its end.
func (f *feed) run(ctx context.Context, r io.Reader, lineMax int) error {
	s := agent.NewSplitter(r, lineMax)
	for {
		line, err := s.Whole()
		if err == nil {
			err = f.add(line)
		}
		if err != nil {
			if flushErr := f.flush(ctx); flushErr != nil {
				return flushErr
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(f.batch) >= feedEventsMax || f.size >= feedBytesMax || !s.Ready() {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// add puts a line into the batch.
func (f *feed) add(line agent.TextLine) error {
	d, err := eventDraft(line)
	if err != nil {
		return failf("line %d: %w", line.Number, err).because("the lines before it are stored")
	}
	f.batch = append(f.batch, d)
	f.lines = append(f.lines, line.Number)
	f.size += d.Size()
	f.moved(line.Offset + int64(len(line.Text)))
	return nil
}

// flush appends the batch.
func (f *feed) flush(ctx context.Context) error {
	batch, lines := f.batch, f.lines
	f.batch, f.lines, f.size = f.batch[:0], f.lines[:0], 0
	if len(batch) == 0 {
		return nil
	}
	err := f.append(ctx, batch)
	if err == nil {
		return nil
	}
	if !errors.Is(err, errEventTooLarge) {
		return fmt.Errorf("lines %d to %d: %w", lines[0], lines[len(lines)-1], err)
	}
	// The server's limit is lower than ours. One line at a time tells which.
	for i := range batch {
		if err := f.append(ctx, batch[i:i+1]); err != nil {
			return fmt.Errorf("line %d: %w", lines[i], err)
		}
	}
	return nil
}

var errEventTooLarge = &store.Error{Code: store.CodeEventTooLarge}

// eventDraft reads a line of NDJSON.
func eventDraft(line agent.TextLine) (store.Draft, error) {
	d, err := store.ParseDraft(bytes.Clone(line.Text))
	if err == nil {
		err = d.Check(feedBytesMax) // the server knows the limit of an event
	}
	return d, err
}

// sourceMax leaves room in a key for its prefix and an offset.
const sourceMax = 64

// fileSource names a file in keys: by its name, and by a hash of its whole path,
// because every run of an agent may write a file of the same name.
func fileSource(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	sum := sha256.Sum256([]byte(path))
	return sourceName(filepath.Base(path)) + "-" + hex.EncodeToString(sum[:4])
}

// sourceName is a name as it stands in keys. One that does not fit is shortened
// to its hash.
func sourceName(name string) string {
	if len(name) <= sourceMax && plainName(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

func plainName(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] <= 0x20 || name[i] >= 0x7f {
			return false
		}
	}
	return true
}

// wait returns after d, or earlier with the reason of ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
