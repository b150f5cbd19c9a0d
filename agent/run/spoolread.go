package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/konlog/konlog/store"
)

// spooled is a draft that was read from a spool.
type spooled struct {
	draft store.Draft
	at    time.Time // when it was put
	index int64
	bytes int64 // of its frame

	segment *segment
	end     int64 // where the next frame begins
}

// spoolReader reads what the log does not have, in order. It is of the Sender's
// goroutine.
type spoolReader struct {
	s     *Spool
	g     *segment // nil before the first draft
	in    frames
	index int64
}

// next returns the next draft; ok is false when there is none yet.
func (r *spoolReader) next() (d spooled, ok bool, err error) {
	for {
		follows, there := r.look()
		if !there {
			return d, false, nil
		}
		if r.in.f == nil {
			if r.in.f, err = os.Open(r.g.path); err != nil {
				return d, false, fmt.Errorf("read spool: %w", err)
			}
		}
		frame, err := r.in.next()
		switch {
		case err == nil && frame != nil:
			d = spooled{index: r.index, bytes: int64(len(frame)), segment: r.g, end: r.in.off}
			if d.draft, d.at, err = readFrame(frame); err != nil {
				return d, false, fmt.Errorf("read spool: %w", damaged(r.g, r.in.off))
			}
			r.index++
			return d, true, nil
		case err != nil && !errors.Is(err, errFrame):
			return d, false, fmt.Errorf("read spool: %w", err)
		case err != nil && (follows == nil || follows.first != r.index): // else the rest is what a failed write left
			return d, false, fmt.Errorf("read spool: %w", damaged(r.g, r.in.off))
		case follows == nil:
			return d, false, nil
		}
		r.close()
		r.g, r.in, r.index = follows, frames{}, follows.first
	}
}

// look finds out how far the segment can be read, and the one that follows it,
// or nil. there is false when the spool has no segment.
func (r *spoolReader) look() (follows *segment, there bool) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.g == nil {
		r.g, r.index, r.in.off = r.s.first, r.s.acked, r.s.ackOff
	}
	if r.g == nil {
		return nil, false
	}
	r.in.size = r.g.size
	return r.g.after, true
}

// close ends the reading.
func (r *spoolReader) close() {
	if r.in.f != nil {
		_ = r.in.f.Close() // it was only read
		r.in.f = nil
	}
}

// ack notes that the log has the draft and all before it. The files of segments
// that are done go.
func (s *Spool) ack(d *spooled) error {
	s.mu.Lock()
	s.acked = d.index + 1
	done := s.first
	for s.first != nil && (s.first != d.segment || s.first.after != nil && d.end >= s.first.size) {
		last := s.first == d.segment
		s.first = s.first.after
		s.ackOff = 0
		if last {
			break
		}
	}
	if s.first == d.segment {
		s.ackOff = d.end
	}
	end := s.first
	if !s.closed {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mu.Unlock()
	errs := []error{s.markAcked(d.index + 1)}
	for ; done != end; done = done.after {
		if err := os.Remove(done.path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// drained reports whether the log has all drafts below the index, and else what
// is closed when it is time to look again.
func (s *Spool) drained(index int64) (done bool, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acked < index && s.closed {
		err = ErrSpoolClosed
	}
	return s.acked >= index, s.changed, err
}

// end is the index of the next draft that is put.
func (s *Spool) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// oldest is when the first draft that the log does not have was put; zero when
// it has all, or it cannot be said.
func (s *Spool) oldest() (at time.Time) {
	s.mu.Lock()
	g, off := s.first, s.ackOff
	none := s.next == s.acked
	s.mu.Unlock()
	if none || g == nil {
		return at
	}
	f, err := os.Open(g.path)
	if err != nil {
		return at // it was sent just now
	}
	defer f.Close()
	var head [frameHead + frameTime]byte
	if _, err := f.ReadAt(head[:], off); err != nil {
		return at
	}
	return frameAt(head[:])
}

// keepTurns keeps a note of the Sender's beside the drafts, as a frame: half of
// one is none.
func (s *Spool) keepTurns(note []byte) error {
	path := filepath.Join(s.dir, turnsName)
	if err := os.WriteFile(path+newSuffix, appendFrame(nil, &store.Draft{Data: note}, time.Now()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+newSuffix, path)
}

// keptTurns returns the note, or nil.
func (s *Spool) keptTurns() []byte {
	frame, err := os.ReadFile(filepath.Join(s.dir, turnsName))
	if err != nil {
		return nil
	}
	d, _, err := readFrame(frame)
	if err != nil {
		return nil
	}
	return d.Data
}
