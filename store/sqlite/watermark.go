package sqlite

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
)

// Watermark is how much of a file system is to stay free: bytes or a share,
// whichever is less, so that a small disk is not full from the beginning. What
// is zero does not count; with both zero there is none.
type Watermark struct {
	Bytes   int64
	Percent int
}

// of returns the watermark in bytes on a file system of so many; 0 is none.
func (m Watermark) of(total int64) int64 {
	share := total / 100 * int64(m.Percent)
	switch {
	case m.Percent == 0:
		return m.Bytes
	case m.Bytes == 0:
		return share
	}
	return min(m.Bytes, share)
}

// Disk says how much of the file system the engine leaves alone. The zero value
// looks at nothing.
type Disk struct {
	Warn    Watermark // below it Changed is called, and the log says so
	Reserve Watermark // below it appends are refused with store.CodeDiskLow
	// Space returns the free and all bytes of the file system that dir is on,
	// those that this process may use. Nil asks the system.
	Space func(dir string) (free, total int64, err error)
	// Changed is called when Warned or Low of the state changed, on the writer:
	// it must not block. Or nil.
	Changed func(store.Disk)
}

func (d *Disk) on() bool { return d.Warn != (Watermark{}) || d.Reserve != (Watermark{}) }

// diskLookEvery is how long the writer trusts what it saw while it writes
// little: others fill the disk too.
const diskLookEvery = time.Second

// diskIdleEvery is how often it looks when it writes nothing, for those who
// watch it.
const diskIdleEvery = 10 * time.Second

// diskLookShare is which part of the room above the watermark is written before
// the writer looks again, at most: the less there is, the more often. What is
// written is an estimate, so the share is small.
const diskLookShare = 16

// guardedDisk is what the writer knows of the room on the disk.
type guardedDisk struct {
	options Disk
	dir     string
	low     bool // appends are refused

	written int64     // since the last look, about
	looked  time.Time // zero: never
	watched time.Time // when watchDisk last ran, or what it is for began
	broken  bool      // the system does not tell; said once
	state   *atomic.Pointer[store.Disk]
}

// due reports whether it is time to look, with so many bytes about to be written.
func (d *guardedDisk) due(more int64) bool {
	if !d.options.on() {
		return false
	}
	s := d.state.Load()
	room := max(s.Free-max(s.Reserve, 0), 0)
	return d.looked.IsZero() || time.Since(d.looked) >= diskLookEvery || d.written+more >= room/diskLookShare
}

// lookAtDisk asks how much is free, and decides with some distance between on
// and off, so that appends are not refused and taken in turn. What is in the
// write-ahead log is going to be written once more, into the database; more is
// what the next transaction carries.
func (w *writer) lookAtDisk(more int64) {
	d := &w.disk
	if !d.due(more) {
		d.written += more
		return
	}
	free, total, err := d.options.Space(d.dir)
	d.looked, d.written = time.Now(), more
	if err != nil {
		if !d.broken {
			d.broken = true
			w.log.options.Logger.Warn("how much of the disk is free is not known; appends go on until it is full", "err", err)
		}
		free, total = 1<<62, 1<<62
	}
	was := *d.state.Load()
	s := store.Disk{Free: free, Total: total, Warn: d.options.Warn.of(total), Reserve: d.options.Reserve.of(total)}
	if err != nil {
		s = store.Disk{}
	}
	s.Warned = s.Warn > 0 && below(free, s.Warn, was.Warned)
	s.Low = s.Reserve > 0 && below(free-w.wal.behind-more, s.Reserve, was.Low)
	if s.Low && !was.Low { // deletions that come now give back more than the log alone
		d.watched = d.looked
	}
	d.low = s.Low
	d.state.Store(&s)
	if s.Warned == was.Warned && s.Low == was.Low {
		return
	}
	w.sayDisk(was, s)
	if d.options.Changed != nil {
		d.options.Changed(s)
	}
}

// below reports whether there is less than a watermark. It takes a quarter more
// to be above it again than to be below.
func below(free, mark int64, was bool) bool {
	if was {
		return free < mark+mark/4
	}
	return free < mark
}

func (w *writer) sayDisk(was, s store.Disk) {
	logger := w.log.options.Logger
	switch {
	case s.Low && !was.Low:
		logger.Error("the disk is nearly full: appends are refused, what ends turns is taken, and so are deletions; free some space", "free", s.Free, "reserve", s.Reserve)
	case was.Low && !s.Low:
		logger.Info("the disk has room again: appends are taken", "free", s.Free)
	case s.Warned && !was.Warned:
		logger.Warn("the disk is filling up", "free", s.Free, "warn", s.Warn, "reserve", s.Reserve)
	case was.Warned && !s.Warned:
		logger.Info("the disk is no longer filling up", "free", s.Free)
	}
}

// watchDisk looks again while nothing is written or all is refused, and gives
// back what the write-ahead log holds while there is no room: what was deleted
// is given back to the disk only when it is copied.
func (w *writer) watchDisk() {
	if !w.disk.options.on() {
		return
	}
	w.disk.watched = time.Now()
	if w.disk.low && w.conn != nil && w.wal.bytes > 0 && w.restartWAL("TRUNCATE") {
		w.wal = wal{}
	}
	if w.disk.low || time.Since(w.disk.looked) >= diskLookEvery {
		w.disk.looked = time.Time{}
		w.lookAtDisk(0)
	}
}

// refusal is why nothing is appended.
func (d *guardedDisk) refusal() error {
	s := d.state.Load()
	return store.Errorf(store.CodeDiskLow, "the server's disk has %d MiB free and keeps %d MiB of them in reserve (disk.reserve): reads, deletions and what ends a turn go on; appends go on when there is space", s.Free>>20, s.Reserve>>20)
}

// diskHealth adds the disk to what an engine tells of itself.
func diskHealth(h *store.Health, s *store.Disk) {
	h.Disk = *s
	if s.Low && h.Writable {
		h.Writable = false
		h.LastError = fmt.Sprintf("the disk is nearly full: %d bytes are free, %d are kept in reserve", s.Free, s.Reserve)
	}
}
