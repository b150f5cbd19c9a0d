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
	"strconv"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// The bounds of one append of a feed: it takes what has arrived, up to these.
const (
	feedEventsMax = 1000
	feedBytesMax  = 4 << 20 // far below the request limit, also when all of it is escaped
)

// feed sends lines to a session, in order, in batches of what is there without
// waiting.
type feed struct {
	draft   func(agent.TextLine) (store.Draft, error) // the draft must not refer to the line
	append  func(ctx context.Context, drafts []store.Draft) (store.Appended, error)
	pacer   *agent.Pacer      // or nil
	refused func(error) error // is told of a line that is too large; nil lets the feed go on
	moved   func(read int64)

	batch []store.Draft
	lines []int // the numbers of the batch's lines
	size  int
	stats feedStats
}

// feedStats counts what a feed did.
type feedStats struct {
	Lines      int   `json:"lines"`
	Appended   int   `json:"appended"`
	Duplicates int   `json:"duplicates"`
	Refused    int   `json:"refused"`
	First      int64 `json:"first"`
	Last       int64 `json:"last"`
}

// run reads r to its end. Lines over lineMax are refused, the others go on.
func (f *feed) run(ctx context.Context, r io.Reader, lineMax int) error {
	s := agent.NewSplitter(r, lineMax)
	for {
		line, err := s.Next()
		var long *agent.TooLongError
		switch {
		case errors.As(err, &long):
			if err := f.refuse(ctx, err); err != nil {
				return err
			}
		case err != nil:
			if flushErr := f.flush(ctx); flushErr != nil {
				return flushErr
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		default:
			if err := f.add(ctx, line); err != nil {
				return err
			}
		}
		if len(f.batch) >= feedEventsMax || f.size >= feedBytesMax || !s.Ready() {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// add puts a line into the batch, once it is due.
func (f *feed) add(ctx context.Context, line agent.TextLine) error {
	f.stats.Lines++
	if f.pacer != nil {
		if gap := f.pacer.Gap(line.Text); gap > 0 {
			if err := f.flush(ctx); err != nil {
				return err
			}
			if err := wait(ctx, gap); err != nil {
				return err
			}
		}
	}
	d, err := f.draft(line)
	if err != nil {
		if flushErr := f.flush(ctx); flushErr != nil {
			return flushErr
		}
		return failf("line %d: %w", line.Number, err).because("the lines before it are stored")
	}
	f.batch = append(f.batch, d)
	f.lines = append(f.lines, line.Number)
	f.size += d.Size()
	if f.moved != nil {
		f.moved(line.Offset + int64(len(line.Text)))
	}
	return nil
}

// flush appends the batch.
func (f *feed) flush(ctx context.Context) error {
	batch, lines := f.batch, f.lines
	f.batch, f.lines, f.size = f.batch[:0], f.lines[:0], 0
	if len(batch) == 0 {
		return nil
	}
	a, err := f.append(ctx, batch)
	switch {
	case err == nil:
		f.count(a, len(batch))
		return nil
	case !errors.Is(err, errEventTooLarge):
		return fmt.Errorf("lines %d to %d: %w", lines[0], lines[len(lines)-1], err)
	}
	// The server's limit is lower than ours. One line at a time tells which.
	for i := range batch {
		a, err := f.append(ctx, batch[i:i+1])
		switch {
		case err == nil:
			f.count(a, 1)
		case errors.Is(err, errEventTooLarge):
			f.stats.Refused++
			if err := f.refused(fmt.Errorf("line %d: %w", lines[i], err)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("line %d: %w", lines[i], err)
		}
	}
	return nil
}

var errEventTooLarge = &store.Error{Code: store.CodeEventTooLarge}

// refuse passes over a line that never became a draft, after the lines before it.
func (f *feed) refuse(ctx context.Context, err error) error {
	if err := f.flush(ctx); err != nil {
		return err
	}
	f.stats.Refused++
	return f.refused(err)
}

func (f *feed) count(a store.Appended, n int) {
	fresh := n
	switch {
	case a.Duplicate:
		fresh = 0
	case len(a.IDs) > 0:
		fresh = int(a.Last - a.First + 1)
	}
	f.stats.Appended += fresh
	f.stats.Duplicates += n - fresh
	if fresh > 0 {
		if f.stats.First == 0 {
			f.stats.First = a.First
		}
		f.stats.Last = a.Last
	}
}

// lineDrafts maps an agent's lines. source is part of the keys; without one the
// client makes keys that are good for one run.
func lineDrafts(source, turn string) func(agent.TextLine) (store.Draft, error) {
	return func(line agent.TextLine) (store.Draft, error) {
		d := agent.Lines(line.Text)
		d.Data = bytes.Clone(d.Data) // it may lie in the splitter's buffer
		d.Turn = turn
		if source != "" {
			d.Key = lineKey(source, line.Offset)
		}
		return d, nil
	}
}

// eventDrafts reads lines of NDJSON.
func eventDrafts(line agent.TextLine) (store.Draft, error) {
	d, err := store.ParseDraft(bytes.Clone(line.Text))
	if err == nil {
		err = d.Check(feedBytesMax) // the server knows the limit of an event
	}
	return d, err
}

// lineKey makes the same key for the same place of the same file, so that
// feeding a file again appends nothing.
func lineKey(source string, offset int64) string {
	return "lines:" + source + ":" + strconv.FormatInt(offset, 10)
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
