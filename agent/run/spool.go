package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// SpoolBytesDefault bounds a spool: hours of a busy agent without its log.
const SpoolBytesDefault = 1 << 30

// Bounds within a spool.
const (
	spoolSegmentBytes = 4 << 20   // a file that is longer is followed by another one
	spoolDraftMax     = 256 << 20 // a line of 32 MiB as Raw, and once more as Data with each of its bytes escaped
	spoolBufferMax    = 1 << 20   // a buffer for frames that grew beyond it is not kept
)

// Errors of a spool.
var (
	ErrSpoolBusy   = errors.New("the spool is in use")
	ErrSpoolClosed = errors.New("the spool is closed")
)

// Spool keeps what an agent said until the log has it: a queue in files, so
// that the agent's process is held up neither by the network nor by a log that
// is away, and so that the next runner sends what this one could not.
//
// What Put has returned for is in the system's page cache, not on the disk: it
// outlives the process, however that ends, but not the machine. Only the log
// acknowledges, and an fsync per line would hold up the agent for a promise
// that nobody relies on.
//
// Any number of goroutines may call Put, Len and Close; one Sender reads.
type Spool struct {
	dir   string
	limit int64
	lock  *os.File

	putting chan struct{} // capacity 1: held by who writes, or waits for room, so that those behind keep their order; guards the next three
	last    *segment      // that is written to, or nil
	w       *os.File      // its file
	buf     []byte

	mu      sync.Mutex    // guards what follows
	first   *segment      // the oldest that is needed, or nil
	acked   int64         // drafts below this index are in the log
	ackOff  int64         // where the first draft of the others begins, within first
	next    int64         // the index of the next draft
	changed chan struct{} // closed and replaced when something was acknowledged
	full    func(bool)    // told when a Put has to wait, and when none has to any more; or nil
	held    bool          // full was told so
	closed  bool

	arrived chan struct{} // capacity 1: something was put since it was last received
	marks   *os.File      // keeps acked; of the Sender's goroutine
}

// segment is one file of a spool.
type segment struct {
	path  string
	first int64    // the index of its first draft
	size  int64    // of the frames that are whole; guarded by Spool.mu
	after *segment // the next one, or nil; likewise
}

// OpenSpool opens the spool in the directory, which it makes if it is absent,
// with what an earlier process left there. limit bounds the bytes that wait, 0
// is SpoolBytesDefault; the files may be longer by one segment. A spool is of
// one process at a time: else ErrSpoolBusy.
func OpenSpool(dir string, limit int64) (*Spool, error) {
	if limit <= 0 {
		limit = SpoolBytesDefault
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockSpool(dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		dir: dir, limit: limit, lock: lock, putting: make(chan struct{}, 1), next: 1, acked: 1,
		changed: make(chan struct{}), arrived: make(chan struct{}, 1),
	}
	if err := s.load(); err != nil {
		_ = lock.Close() // which also unlocks it
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	return s, nil
}

// Put adds the drafts at the end, in order and together. A draft without a key
// is given one: what a crash leaves in doubt is sent again, and only its key
// tells that it is there. Put waits only while the spool is at its limit, until
// ctx ends: the agent is then held up rather than a line lost. Of a call that
// is cut off by the end of the process the first drafts may be kept.
func (s *Spool) Put(ctx context.Context, drafts ...store.Draft) error {
	if len(drafts) == 0 {
		return nil
	}
	select {
	case s.putting <- struct{}{}:
	default:
		select {
		case s.putting <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("put into spool %s: %w", s.dir, ctx.Err())
		}
	}
	defer func() { <-s.putting }()
	if err := s.encode(drafts); err != nil {
		return fmt.Errorf("put into spool %s: %w", s.dir, err)
	}
	if err := s.room(ctx, int64(len(s.buf))); err != nil {
		return fmt.Errorf("put into spool %s: %w", s.dir, err)
	}
	return s.write(len(drafts))
}

// Add is Put for who looks at Room before, and must not wait here.
func (s *Spool) Add(drafts ...store.Draft) error {
	if len(drafts) == 0 {
		return nil
	}
	s.putting <- struct{}{}
	defer func() { <-s.putting }()
	if err := s.encode(drafts); err != nil {
		return fmt.Errorf("put into spool %s: %w", s.dir, err)
	}
	if _, _, closed := s.fits(0); closed {
		return fmt.Errorf("put into spool %s: %w", s.dir, ErrSpoolClosed)
	}
	return s.write(len(drafts))
}

// Room is nil while the spool is below its limit. Else it is closed when the
// log has taken something, and is to be asked for again.
func (s *Spool) Room() <-chan struct{} {
	fits, changed, _ := s.fits(0)
	if fits {
		return nil
	}
	return changed
}

// encode makes frames of the drafts, in s.buf.
func (s *Spool) encode(drafts []store.Draft) error {
	if s.buf = s.buf[:0]; cap(s.buf) > spoolBufferMax {
		s.buf = nil
	}
	now := time.Now()
	for _, d := range drafts {
		if d.Key == "" {
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make key: %w", err)
			}
			d.Key = id.String()
		}
		start := len(s.buf)
		s.buf = appendFrame(s.buf, &d, now)
		if n := len(s.buf) - start; n > spoolDraftMax {
			return fmt.Errorf("a draft of %d bytes is over the limit of %d", n, spoolDraftMax)
		}
	}
	return nil
}

// room waits until n more bytes have room. What is larger than the spool has
// room in an empty one.
func (s *Spool) room(ctx context.Context, n int64) error {
	for {
		fits, changed, closed := s.fits(n)
		switch {
		case closed:
			return ErrSpoolClosed
		case fits:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fits reports whether n more bytes have room, and tells when that changes.
func (s *Spool) fits(n int64) (fits bool, changed <-chan struct{}, closed bool) {
	s.mu.Lock()
	waiting := s.waiting()
	fits, changed, closed = waiting == 0 || waiting+n <= s.limit, s.changed, s.closed
	tell := s.full
	if s.held != fits || closed {
		tell = nil
	}
	s.held = !fits
	s.mu.Unlock()
	if tell != nil {
		tell(!fits)
	}
	return fits, changed, closed
}

// waiting is the number of bytes that the log does not have. mu is held.
func (s *Spool) waiting() (n int64) {
	for g := s.first; g != nil; g = g.after {
		n += g.size
	}
	return n - s.ackOff
}

// write puts s.buf, which holds n drafts, at the end of the last segment. What
// it could not write whole it takes back: what follows must not come after half
// a frame.
func (s *Spool) write(n int) error {
	if s.last == nil || s.last.size >= spoolSegmentBytes {
		if err := s.roll(); err != nil {
			return unkept(err)
		}
	}
	if _, err := s.w.WriteAt(s.buf, s.last.size); err != nil {
		if s.w.Truncate(s.last.size) != nil {
			_ = s.w.Close()
			s.last, s.w = nil, nil // so the next segment begins where this one is whole
		}
		return unkept(err)
	}
	s.mu.Lock()
	s.last.size += int64(len(s.buf))
	s.next += int64(n)
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return nil
}

func unkept(err error) error {
	return fmt.Errorf("put into spool: %w; nothing of it was kept: free space, or mend the disk", err)
}

// roll begins a segment. putting is held, so next stands still.
func (s *Spool) roll() error {
	g := &segment{path: filepath.Join(s.dir, segmentName(s.next)), first: s.next}
	w, err := os.OpenFile(g.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if s.w != nil {
		_ = s.w.Close() // everything was written, and nothing is promised of the disk
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tail := &s.first
	for *tail != nil && (*tail).first < g.first {
		tail = &(*tail).after
	}
	if *tail == nil {
		*tail = g
	}
	s.last, s.w = *tail, w // one that was there has no draft, and this file
	return nil
}

// Len is what the log does not have yet.
func (s *Spool) Len() (drafts int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.next - s.acked), s.waiting()
}

// Close ends the use of the spool, after its Sender has ended. What is unsent
// stays for the next process; when there is nothing the files are removed. Puts
// that wait for room end with ErrSpoolClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.changed)
	s.mu.Unlock()
	s.putting <- struct{}{}
	defer func() { <-s.putting }()
	if s.w != nil {
		_ = s.w.Close()
		s.w = nil
	}
	if s.marks != nil {
		_ = s.marks.Close()
	}
	if s.next != s.acked {
		return s.lock.Close()
	}
	var errs []error
	for g := s.first; g != nil; g = g.after {
		errs = append(errs, os.Remove(g.path))
	}
	for _, name := range []string{ackedName, turnsName, turnsName + newSuffix} {
		if err := os.Remove(filepath.Join(s.dir, name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, unlockSpool(s.lock))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
