package sqlite

import (
	"context"
	"time"
)

// Settle lets the contract's tests wait for what is made off the path of
// appends.
func (l *Log) Settle(ctx context.Context) error { return l.settle(ctx) }

// Migrate opens the database as the writer does, brings it to the newest schema
// and closes it. On the system's own disk it does not sync.
func Migrate(dir, vfs string) error {
	w := &writer{log: &Log{dir: dir, options: Options{VFS: vfs, NoSync: vfs == ""}.withDefaults()}}
	w.log.health.init()
	if err := w.connect(); err != nil {
		return err
	}
	return w.conn.Close()
}

// LookAgain lets the writer look at the disk before its next transaction.
func (l *Log) LookAgain(ctx context.Context) error {
	return l.queue.do(ctx, 0, 0, func(t *txn) error {
		t.w.disk.looked = time.Time{}
		return nil
	})
}

// Of is the watermark in bytes on a disk of so many.
func (m Watermark) Of(total int64) int64 { return m.of(total) }
