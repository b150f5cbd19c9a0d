package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Bounds of one transaction. A larger one adds latency, not throughput.
const (
	txnEventsMax = 4096
	txnBytesMax  = 8 << 20
)

// probeEvery is how often the writer asks a disk that refused a write whether
// it takes writes again.
const probeEvery = time.Second

// writer is the one goroutine that changes the database.
type writer struct {
	log   *Log
	conn  *sqlite3.Conn // nil after a failed fsync until it could be reopened
	next  int64         // the next session number
	batch []*op
	wal   wal
	disk  guardedDisk

	foldDrops  int64     // how often stored folds were dropped: one that was begun before is stale
	drops      int64     // times that content was dropped, since the log was opened
	purging    bool      // the write-ahead log may hold content that was redacted
	purgeTried time.Time // when it was last tried to empty it; zero: not yet
}

// connect opens the writing connection, migrates and reads where session
// numbers stand.
func (w *writer) connect() error {
	sync := "synchronous(FULL)"
	if w.log.options.NoSync {
		sync = "synchronous(OFF)"
	}
	c, err := open(w.log.dir, w.log.options.VFS, "journal_mode(WAL)", sync, "wal_autocheckpoint(0)",
		fmt.Sprintf("journal_size_limit(%d)", walBytesMax), "temp_store(MEMORY)", "secure_delete(ON)", fmt.Sprintf("cache_size(-%d)", writerCacheKiB))
	if err != nil {
		return err
	}
	if err := w.prepare(c); err != nil {
		_ = c.Close()
		return err
	}
	w.conn = c
	return nil
}

func (w *writer) prepare(c *sqlite3.Conn) error {
	if err := migrate(c); err != nil {
		return err
	}
	if err := leaveCopy(c); err != nil {
		return err
	}
	no, err := c.Int("SELECT max(ifnull((SELECT max(no) FROM sessions), 0), ifnull((SELECT max(session_no) FROM garbage), 0))")
	if err != nil {
		return fmt.Errorf("read session numbers: %w", err)
	}
	w.next = no + 1
	used, err := readTotals(c)
	if err != nil {
		return err
	}
	w.log.health.used.Store(&used)
	// The log of a process that died may still hold what was redacted.
	redactions, err := c.Int("SELECT EXISTS (SELECT 1 FROM redactions)")
	w.purging = w.purging || redactions > 0
	if err != nil {
		return fmt.Errorf("read redactions: %w", err)
	}
	return nil
}

// run is the writer's loop: take all that queued, commit it, tell everybody.
func (w *writer) run() {
	defer close(w.log.done)
	for {
		var probe <-chan time.Time // nil, and so silent, while all is well and the disk is nobody's concern
		switch {
		case !w.log.health.get().Writable || w.purging || w.disk.low:
			probe = time.After(probeEvery)
		case w.disk.options.on():
			probe = time.After(diskIdleEvery)
		}
		select {
		case <-w.log.queue.wake:
		case <-probe:
			w.probe()
			w.purge()
			w.watchDisk()
			w.log.health.wal.Store(w.wal.behind)
			continue
		}
		// Whoever is about to append gets the chance to join this transaction:
		// on a busy core that makes fewer and larger ones, on an idle one it
		// costs nothing.
		runtime.Gosched()
		var open bool
		w.batch, open = w.log.queue.take(w.batch[:0])
		if !open {
			return
		}
		if len(w.batch) > 0 {
			w.lookAtDisk(sizeOf(w.batch))
			w.commit(w.batch)
			w.checkpoint()
			if w.disk.low && time.Since(w.disk.watched) >= probeEvery { // a probe waits for a quiet second, which may not come
				w.watchDisk()
			}
			w.log.health.wal.Store(w.wal.behind)
		}
	}
}

// commit makes one transaction of the batch. Callers get their answer after it
// is durable, visible and announced.
func (w *writer) commit(batch []*op) {
	begin := time.Now()
	w.log.measures.taken(batch, begin)
	t, err := w.transact(batch)
	if err != nil {
		w.log.measures.commitFailed.Add(1)
		err = w.failed(err)
		for _, o := range batch {
			o.err = err
		}
	} else {
		if t.written {
			w.log.measures.committed(t, batch, begin)
		}
		w.publish(t)
		w.log.measures.announced(batch)
	}
	for _, c := range t.changes {
		if c.live == nil {
			continue
		}
		if c.live.change = nil; err != nil {
			c.live.turns = turnFolds{} // they have seen events that were not stored
		}
	}
	for _, o := range batch {
		o.done <- struct{}{}
	}
	clear(batch)
}

// transact applies the batch and commits. It returns an error when nothing of
// the batch was stored, or when that is unknown.
func (w *writer) transact(batch []*op) (*txn, error) {
	t := &txn{w: w, conn: w.conn, now: w.log.options.Now().UTC().Truncate(time.Millisecond)}
	if w.conn == nil {
		return t, errDisconnected
	}
	if _, err := w.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return t, err
	}
	err := t.applyAll(batch)
	if err == nil {
		err = t.save()
	}
	if err == nil && t.written {
		begin := time.Now()
		_, err = w.conn.Exec("COMMIT")
		t.synced = time.Since(begin)
	}
	if err != nil || !t.written {
		_, _ = w.conn.Exec("ROLLBACK") // SQLite may have rolled back already
	}
	return t, err
}

// publish makes the committed state visible to readers, then announces it.
func (w *writer) publish(t *txn) {
	if t.written { // what was refused is not in the log
		w.wal.wrote(t.bytes, len(t.changes))
	}
	for _, c := range t.changes {
		w.log.live.publish(c)
	}
	w.log.measures.cacheBytes.Store(w.log.live.bytes)
	for _, c := range t.changes {
		if c.changed() {
			w.log.options.Committed(c.state.ID, c.state.Head)
			w.log.derive.note(c.state.ID)
		}
		if c.state.TurnLease != 0 && c.state.Turn != c.was.Turn {
			w.log.leases.wake() // it may end before those that are known
		}
	}
	if t.written {
		t.publishUsage()
		w.purging = w.purging || t.purge
		w.log.health.commits.Add(1)
		w.recovered()
	}
}

// errDisconnected is the state between a failed fsync and a successful reopen.
var errDisconnected = errors.New("the database is closed after a disk error")

// failed turns the error of a transaction into what its callers are told.
func (w *writer) failed(err error) error {
	disconnected := err == errDisconnected
	level := slog.LevelError
	if before := w.log.health.why(); before != nil {
		level = slog.LevelDebug // said once; the next Info is that it writes again
		if disconnected {
			err = before
		}
	}
	w.log.options.Logger.Log(context.Background(), level, "commit failed", "err", err)
	w.log.health.set(err)
	full, damaged := diskFull(err), corrupt(err)
	if disconnected || !full && !damaged {
		// After an I/O error the kernel may have dropped pages that it never
		// wrote; only a fresh connection knows what is really there.
		w.reopen()
	}
	switch {
	case full:
		return store.Because(store.CodeStorageFull, err, store.ErrStorageFull.Detail)
	case damaged:
		return store.Because(store.CodeCorrupt, err, store.ErrCorrupt.Detail)
	}
	return store.Because(store.CodeStorageFailed, err, store.ErrStorageFailed.Detail)
}

// recovered notes that the disk takes writes.
func (w *writer) recovered() {
	if !w.log.health.get().Writable {
		w.log.options.Logger.Info("writing again")
		w.log.health.set(nil)
	}
}

// probe writes a row while the engine is not writable, so that it recovers
// without waiting for an append.
func (w *writer) probe() {
	if w.log.health.get().Writable {
		return
	}
	if w.conn == nil {
		w.reopen()
	}
	if w.conn == nil {
		return
	}
	if _, err := w.conn.Exec("INSERT INTO probe VALUES (1, ?) ON CONFLICT DO UPDATE SET at = excluded.at", w.log.options.Now().UnixMilli()); err != nil {
		w.log.health.set(err)
		return
	}
	w.recovered()
}

// reopen replaces the connection after an I/O error. A commit whose fsync
// failed may be in the write-ahead log all the same; the checkpoint writes all
// of that anew, with an fsync of its own, before anything of it is shown.
func (w *writer) reopen() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
	w.log.live.reset()
	w.log.changes.forget()
	if err := w.connect(); err != nil {
		w.log.health.set(err)
		return
	}
	if _, _, err := walCheckpoint(w.conn, "TRUNCATE"); err != nil {
		_ = w.conn.Close()
		w.conn = nil
		w.log.health.set(err)
		return
	}
	w.wal = wal{}
}

// close ends the connection with everything in the database file.
func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	_, _, err := walCheckpoint(w.conn, "TRUNCATE")
	return errors.Join(err, w.conn.Close())
}
