package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/konlog/konlog/agent"
)

// The times of following a file.
const (
	followEvery = 100 * time.Millisecond // between two looks at a file that did not grow
	// followRest is how long a file whose place was taken must be silent before
	// it is left: who writes it may not know yet.
	followRest = time.Second
)

// follower reads a file as it grows, and then the one that takes its place, by a
// new file of the name or by being cut to nothing. It belongs to one goroutine.
type follower struct {
	path   string
	source string // names it in keys
	say    func(format string, args ...any)
}

// run gives read each file as a stream: it ends when another has taken the
// file's place, and fails when ctx ends. run returns nil then.
func (f *follower) run(ctx context.Context, read func(source string, r io.Reader) error) error {
	for again := false; ; again = true {
		file, err := f.open(ctx, again)
		if err != nil {
			return doneIsNil(ctx, err)
		}
		err = f.readFile(ctx, file, read)
		_ = file.Close() // it was only read
		if err != nil {
			return doneIsNil(ctx, err)
		}
		f.say("%s is another file now; it is read from its start", f.path)
	}
}

func doneIsNil(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// open opens the file; later ones may take a while to appear.
func (f *follower) open(ctx context.Context, patient bool) (*os.File, error) {
	for {
		file, err := os.Open(f.path)
		if err == nil {
			return file, nil
		}
		if !patient || !errors.Is(err, os.ErrNotExist) {
			return nil, failf("%w", err)
		}
		if err := wait(ctx, followEvery); err != nil {
			return nil, err
		}
	}
}

// readFile reads a file from its start.
//
// The first lines may be those that were here before, and then others follow:
// then it is another file, and is read once more under a name of its own, made
// from all lines up to the one that differs. So it has the same name when it is
// read again, and nothing of it is lost or doubled.
func (f *follower) readFile(ctx context.Context, file *os.File, read func(string, io.Reader) error) error {
	for source := f.source; ; {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return failf("%w", err)
		}
		err := read(source, &growing{ctx: ctx, path: f.path, file: file})
		var conflict *agent.ConflictError
		if !errors.As(err, &conflict) {
			return err
		}
		name, hashErr := f.nameOf(file, conflict.End)
		if hashErr != nil || name == source {
			return errors.Join(err, hashErr)
		}
		source = name
	}
}

// nameOf names the file by its first bytes.
func (f *follower) nameOf(file *os.File, bytes int64) (string, error) {
	hash := sha256.New()
	if n, err := io.Copy(hash, io.NewSectionReader(file, 0, bytes)); err != nil || n < bytes {
		return "", fmt.Errorf("read %s again: %w", f.path, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return f.source + "." + hex.EncodeToString(hash.Sum(nil)[:4]), nil
}

// growing reads a file as it grows. It ends when another file has taken its
// place, or it was cut.
type growing struct {
	ctx    context.Context
	path   string
	file   *os.File
	offset int64
	rested time.Duration // since another file took its place
}

func (g *growing) Read(p []byte) (int, error) {
	for {
		if err := context.Cause(g.ctx); err != nil {
			return 0, err
		}
		n, err := g.file.Read(p)
		if n > 0 {
			g.offset += int64(n)
			g.rested = 0
			return n, nil
		}
		if err != nil && err != io.EOF {
			return 0, fmt.Errorf("read %s: %w", g.path, err)
		}
		over, err := g.over()
		if err != nil {
			return 0, err
		}
		if over {
			return 0, io.EOF
		}
		if err := wait(g.ctx, followEvery); err != nil {
			return 0, err
		}
	}
}

// over reports whether nothing more will come.
func (g *growing) over() (bool, error) {
	mine, err := g.file.Stat()
	if err != nil {
		return false, fmt.Errorf("read %s: %w", g.path, err)
	}
	if mine.Size() < g.offset {
		return true, nil
	}
	named, err := os.Stat(g.path)
	if err != nil || os.SameFile(mine, named) { // one that is away may come back, or another for it
		g.rested = 0
		return false, nil
	}
	g.rested += followEvery
	return g.rested > followRest, nil
}
