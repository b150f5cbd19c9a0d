package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The files of a spool beside its segments.
const (
	lockName  = "lock"  // held as long as a process has the spool; its pid
	ackedName = "acked" // the index of the first draft that the log may not have
	turnsName = "turns" // which turns go on under other names; of the Sender

	segmentSuffix = ".spool"
	newSuffix     = ".new" // of a file until it has its place
)

// segmentName is the file of the segment whose first draft has the index.
func segmentName(first int64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// lockSpool takes the directory for this process.
func lockSpool(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock spool: %w", err)
		}
		if err := lockFile(f); err != nil {
			pid, _ := os.ReadFile(path) // for people only
			_ = f.Close()
			if !errors.Is(err, ErrSpoolBusy) {
				return nil, fmt.Errorf("lock spool %s: %w", dir, err)
			}
			return nil, fmt.Errorf("%w: process %s runs this session's agent, and has %s", ErrSpoolBusy, strings.TrimSpace(string(pid)), dir)
		}
		// The process before may have removed the file between our two steps:
		// then the lock is one of a file that nobody else will find.
		mine, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("lock spool: %w", err)
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return f, writePid(f)
		}
		_ = f.Close()
	}
}

func writePid(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("lock spool: %w", err)
	}
	return nil
}

// unlockSpool removes the file while it is locked, which lockSpool looks out
// for; where an open file cannot be removed it stays, and does no harm.
func unlockSpool(f *os.File) error {
	_ = os.Remove(f.Name())
	return f.Close()
}

// load finds what an earlier process left. Only the last segment can end in
// half a frame, which is cut off: Put has not returned for that.
func (s *Spool) load() error {
	segments, err := s.found()
	if err != nil {
		return err
	}
	s.acked = max(s.readAcked(), 1)
	s.next = s.acked
	if len(segments) > 0 {
		last := segments[len(segments)-1]
		count, err := s.mend(last)
		if err != nil {
			return err
		}
		s.next = max(s.acked, last.first+count)
		s.acked = max(s.acked, segments[0].first)
	}
	for i, g := range segments {
		end := s.next
		if i+1 < len(segments) {
			end = segments[i+1].first
		}
		if end <= s.acked { // all of it is in the log
			if err := os.Remove(g.path); err != nil {
				return err
			}
			continue
		}
		if s.first == nil {
			s.first = g
		} else {
			segments[i-1].after = g
		}
	}
	if s.first == nil {
		return nil
	}
	s.ackOff, err = s.skip(s.first, s.acked)
	return err
}

// found lists the segments, oldest first.
func (s *Spool) found() (segments []*segment, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		first, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil || segmentName(first) != e.Name() {
			continue // not ours
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		segments = append(segments, &segment{path: filepath.Join(s.dir, e.Name()), first: first, size: info.Size()})
	}
	slices.SortFunc(segments, func(a, b *segment) int { return int(a.first - b.first) })
	return segments, nil
}

// mend cuts off what is not whole at the end of the last segment, and returns
// how many drafts it has.
func (s *Spool) mend(g *segment) (count int64, err error) {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := frames{f: f, size: g.size}
	for {
		frame, err := in.next()
		if errors.Is(err, errFrame) || frame == nil && err == nil {
			g.size = in.off
			return count, f.Truncate(g.size)
		}
		if err != nil {
			return 0, err
		}
		count++
	}
}

// skip returns where the draft of the index begins within the segment.
func (s *Spool) skip(g *segment, index int64) (int64, error) {
	f, err := os.Open(g.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := frames{f: f, size: g.size}
	for at := g.first; at < index; at++ {
		if frame, err := in.next(); err != nil || frame == nil {
			return 0, damaged(g, in.off)
		}
	}
	return in.off, nil
}

// damaged says that a segment holds what was never written there.
func damaged(g *segment, off int64) error {
	return fmt.Errorf("%s is damaged at byte %d: what follows in it cannot be sent; move that file away to go on without it", g.path, off)
}

// frames reads the frames of a file one after the other.
type frames struct {
	f    *os.File
	off  int64 // of the next frame
	size int64 // of what may be read
	buf  []byte
	at   int64 // where buf begins in the file
}

// framesBytes is how much is read at once.
const framesBytes = 64 << 10

// next returns the next frame, valid until it is called again; nil at the end.
func (r *frames) next() ([]byte, error) {
	if r.off >= r.size {
		return nil, nil
	}
	head, err := r.bytes(frameHead)
	if err != nil {
		return nil, err
	}
	n, err := frameLen(head)
	if err != nil {
		return nil, err
	}
	frame, err := r.bytes(n)
	if err != nil {
		return nil, err
	}
	if !wholeFrame(frame) {
		return nil, errFrame
	}
	r.off += n
	return frame, nil
}

// bytes returns the n bytes at the offset.
func (r *frames) bytes(n int64) ([]byte, error) {
	if r.off+n > r.size {
		return nil, errFrame
	}
	if r.off < r.at || r.off+n > r.at+int64(len(r.buf)) {
		want := min(max(n, framesBytes), r.size-r.off)
		if int64(cap(r.buf)) < want || int64(cap(r.buf)) > spoolSegmentBytes && want <= framesBytes {
			r.buf = make([]byte, max(want, framesBytes))
		}
		r.buf, r.at = r.buf[:want], r.off
		if got, err := r.f.ReadAt(r.buf, r.off); err != nil && err != io.EOF || int64(got) < n {
			r.buf = r.buf[:0]
			if err == nil || err == io.EOF {
				err = errFrame
			}
			return nil, err
		} else {
			r.buf = r.buf[:got]
		}
	}
	return r.buf[r.off-r.at:][:n], nil
}

// ackedBytes is the size of the file that keeps how far the log has the drafts:
// the index and the CRC-32C of its bytes.
const ackedBytes = 12

// readAcked returns the index that the file has, or 0. What is no index is as
// good as none: then drafts are sent again, under their keys.
func (s *Spool) readAcked() int64 {
	b, err := os.ReadFile(filepath.Join(s.dir, ackedName))
	if err != nil || len(b) != ackedBytes || crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// markAcked keeps how far the log has the drafts. One write of a few bytes: a
// process that is killed leaves the old or the new ones.
func (s *Spool) markAcked(index int64) error {
	if s.marks == nil {
		f, err := os.OpenFile(filepath.Join(s.dir, ackedName), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		s.marks = f
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(index))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := s.marks.WriteAt(b, 0)
	return err
}
