package sqlite

import (
	"errors"
	"fmt"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
)

// checkpointBytes is how much write-ahead log the writer lets grow before it
// copies it into the database: enough that a page of an index that is written
// again and again is copied once, little enough that the copy is a short pause.
const checkpointBytes = 8 << 20

const pageBytes = 4096

// walBytesMax is where the log is cut back even if readers have to wait for
// it. SQLite begins the log anew only at a moment when nobody reads in it;
// readers that come one after the other never leave one.
const walBytesMax = 64 << 20

// walPauseMax is how long the writer waits for the reads in flight to end
// before it cuts the log back. They are a page each.
const walPauseMax = 100 * time.Millisecond

// wal estimates the size of the write-ahead log. SQLite's own automatic
// checkpoint is off, because it would run inside a COMMIT.
type wal struct {
	bytes  int64 // since the last checkpoint, or what makes the next one due
	behind int64 // that are not in the database
}

// wrote counts a transaction: its events, and per changed session about a page
// of each index that it touches.
func (w *wal) wrote(bytes int64, sessions int) {
	more := bytes + int64(2*sessions+2)*pageBytes
	w.bytes += more
	w.behind += more
}

// checkpoint copies the write-ahead log between two transactions when it has
// grown. It is passive: it never waits for a reader, and what it could not
// copy it leaves for the next time.
func (w *writer) checkpoint() {
	w.purge()
	if w.wal.bytes < checkpointBytes || w.conn == nil {
		return
	}
	w.noteChanges()
	m, begin := w.log.measures, time.Now()
	logged, copied, err := walCheckpoint(w.conn, "PASSIVE")
	m.checkpoint.Observe(time.Since(begin).Seconds())
	if err != nil {
		m.checkpointFailed.Add(1)
		w.log.options.Logger.Warn("checkpoint failed", "err", err) // the log keeps it all; the next one tries again
		w.wal.bytes = checkpointBytes / 2
		return
	}
	if logged*pageBytes > w.log.options.walBytes {
		if w.restartWAL("RESTART") {
			m.restarts.Add(1)
			copied = logged
		} else {
			m.restartFailed.Add(1)
		}
	}
	m.checkpointPages.Store(logged)
	m.checkpointLeft.Store(logged - copied)
	w.wal.bytes, w.wal.behind = (logged-copied)*pageBytes/2, (logged-copied)*pageBytes
}

// restartWAL takes every reading connection for a moment, so that the next
// commit begins the log anew. Another process that reads, such as a backup,
// stops it from happening; then the log grows until that is over. It reports
// whether it could be done.
func (w *writer) restartWAL(mode string) bool {
	w.noteChanges()
	var held []*sqlite3.Conn
	defer func() {
		for _, c := range held {
			w.log.readers <- c
		}
	}()
	timeout := time.After(w.log.options.walPause)
	for len(held) < cap(w.log.readers) {
		select {
		case c := <-w.log.readers:
			held = append(held, c)
		case <-timeout:
			return false
		}
	}
	err := w.conn.Script("PRAGMA busy_timeout(0)")
	if err == nil {
		_, _, err = walCheckpoint(w.conn, mode)
	}
	if e := w.conn.Script(fmt.Sprintf("PRAGMA busy_timeout(%d)", busyTimeoutMillis)); err == nil {
		err = e
	}
	if err != nil {
		w.log.options.Logger.Debug("the write-ahead log was not cut back", "err", err)
	}
	return err == nil
}

// noteChanges is called before a checkpoint after which the log may begin anew,
// over the frames that say what has changed.
func (w *writer) noteChanges() {
	if err := w.log.changes.note(w.log.dir); err != nil {
		w.log.options.Logger.Warn("changed pages could not be noted; copies of the database begin again", "err", err)
	}
}

// errCheckpointBusy means that a reader kept a full checkpoint from ending.
var errCheckpointBusy = errors.New("checkpoint: a reader is in the way")

// walCheckpoint returns how many pages the log holds and how many of them are
// in the database now. Only a passive one may be incomplete without an error.
func walCheckpoint(c *sqlite3.Conn, mode string) (logged, copied int64, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		logged, copied = row.Int(1), row.Int(2)
		if mode != "PASSIVE" && row.Int(0) != 0 {
			return errCheckpointBusy
		}
		return nil
	}, "PRAGMA wal_checkpoint("+mode+")")
	return logged, copied, err
}
