package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var (
	_ store.MeasureReporter = (*Log)(nil)
	_ store.StorageReporter = (*Log)(nil)
)

// measures is what the engine counts of itself. The writer counts with a few
// atomic additions per transaction and one or two per request; nobody waits for
// anybody.
type measures struct {
	queueWait, commit, sync, commitAppends, commitEvents, checkpoint *store.Histogram

	commitFailed, checkpointPages, checkpointLeft, checkpointFailed, restarts, restartFailed atomic.Int64
	cacheBytes, retained, blobs                                                              atomic.Int64
}

func newMeasures() *measures {
	wait := func() *store.Histogram { // seconds; from what a cache takes to a disk that hangs
		return store.NewHistogram(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5)
	}
	size := func() *store.Histogram {
		return store.NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
	}
	return &measures{queueWait: wait(), commit: wait(), sync: wait(), checkpoint: wait(), commitAppends: size(), commitEvents: size()}
}

// taken counts how long the requests of a transaction have waited for it.
func (m *measures) taken(batch []*op, now time.Time) {
	for _, o := range batch {
		m.queueWait.Observe(now.Sub(o.queued).Seconds())
		if o.stages != nil {
			o.stages.Queued, o.stages.Taken, o.stages.Appends = o.queued, now, len(batch)
		}
	}
}

// committed counts a transaction that is durable.
func (m *measures) committed(t *txn, batch []*op, begin time.Time) {
	end := time.Now()
	events := 0
	for _, o := range batch {
		events += o.events
		if o.stages != nil {
			o.stages.Durable = end
		}
	}
	m.commit.Observe(end.Sub(begin).Seconds())
	m.sync.Observe(t.synced.Seconds())
	m.commitAppends.Observe(float64(len(batch)))
	m.commitEvents.Observe(float64(events))
}

// announced notes when the readers were woken.
func (m *measures) announced(batch []*op) {
	for _, o := range batch {
		if o.stages != nil {
			o.stages.Announced = time.Now()
		}
	}
}

// Measures implements store.MeasureReporter.
func (l *Log) Measures() store.Measures {
	m := l.measures
	s := store.Measures{
		QueueWait: m.queueWait.Snapshot(), Commit: m.commit.Snapshot(), Sync: m.sync.Snapshot(),
		CommitAppends: m.commitAppends.Snapshot(), CommitEvents: m.commitEvents.Snapshot(), CommitFailed: m.commitFailed.Load(),
		Checkpoint: m.checkpoint.Snapshot(), CheckpointPages: m.checkpointPages.Load(), CheckpointLeft: m.checkpointLeft.Load(), CheckpointFailed: m.checkpointFailed.Load(),
		WALRestarts: m.restarts.Load(), WALRestartFailed: m.restartFailed.Load(),
		ReadersIdle: len(l.readers), CacheBytes: m.cacheBytes.Load(),
		RetainedEvents: m.retained.Load(), RemovedBlobs: m.blobs.Load(),
	}
	s.DeriveSessions, s.DeriveBehind = l.derive.backlog()
	return s
}

// backlog is how many sessions the loop still has to visit.
func (d *deriver) backlog() (sessions int, behind bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dirty) + d.left, d.behind || d.search
}

// Storage implements store.StorageReporter.
func (l *Log) Storage(ctx context.Context) (s store.Storage, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		pages, err := c.Int("PRAGMA page_count")
		if err != nil {
			return err
		}
		free, err := c.Int("PRAGMA freelist_count")
		if err != nil {
			return err
		}
		s.DatabaseBytes, s.FreeBytes = pages*pageBytes, free*pageBytes
		return c.Query(func(row sqlite3.Row) error {
			s.Blobs, s.BlobBytes = row.Int(0), row.Int(1)
			return nil
		}, `SELECT count(*), ifnull(sum(bytes), 0) FROM blobs WHERE sha256 IS NOT NULL`)
	})
	if err != nil {
		return s, fmt.Errorf("measure the database: %w", err)
	}
	if info, err := os.Stat(filepath.Join(l.dir, databaseFile+"-wal")); err == nil { // none: it is empty
		s.WALBytes = info.Size()
	}
	return s, nil
}
