package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Defaults of Options.
const (
	QueueRequestsDefault = 16 << 10 // appends that wait for the writer
	QueueBytesDefault    = 64 << 20 // of their events
	CacheBytesDefault    = 64 << 20 // of newest events in memory, over all sessions
	ReadersDefault       = 4        // connections that read
)

// Options configure a Log. The zero value is good.
type Options struct {
	Committed     store.Committed  // or nil
	Now           func() time.Time // nil means time.Now
	Logger        *slog.Logger     // nil means silence
	EventBytesMax int              // 0 means store.EventBytesDefault
	QueueRequests int
	QueueBytes    int64
	CacheBytes    int64 // negative means no cache
	Readers       int
	Quotas        store.Quotas
	Disk          Disk
	VFS           string        // SQLite's VFS by name, for tests that need a bad disk
	walBytes      int64         // 0 means walBytesMax
	walPause      time.Duration // 0 means walPauseMax
	LeasesByHand  bool          // nobody but the caller calls ExpireTurns, for tests whose clock stands still
	NoSync        bool          // synchronous=OFF, for tests that show what fsync is good for: a power loss then loses acknowledged events
}

func (o Options) withDefaults() Options {
	if o.Committed == nil {
		o.Committed = func(string, int64) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QueueRequests == 0 {
		o.QueueRequests = QueueRequestsDefault
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = QueueBytesDefault
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = CacheBytesDefault
	}
	if o.walBytes == 0 {
		o.walBytes = walBytesMax
	}
	if o.walPause == 0 {
		o.walPause = walPauseMax
	}
	if o.Readers == 0 {
		o.Readers = ReadersDefault
	}
	if o.Disk.Space == nil {
		o.Disk.Space = diskSpace
	}
	return o
}

// Log is the engine. Its methods may be called by any number of goroutines.
type Log struct {
	dir     string
	options Options
	lock    *sqlite3.Conn
	readers chan *sqlite3.Conn // idle connections; capacity = all there are
	scans   chan struct{}      // whoever scans has a place in it; capacity = scansMax
	queue   queue
	writer  *writer
	live    live
	health  health
	done    chan struct{} // closed when the writer has ended
	janitor janitor
	copies  copies
	pages   chan struct{} // capacity 1: whoever moves pages of the database, or goes through all of them, has a place in it
	uploads uploads
	leases  leases
	derive  deriver
	changes changes

	measures *measures
}

var (
	_ store.Log            = (*Log)(nil)
	_ store.Submitter      = (*Log)(nil)
	_ store.Retainer       = (*Log)(nil)
	_ store.HealthReporter = (*Log)(nil)
)

// Open opens the database in dir, which it creates when it is absent, brings
// it to the newest schema and starts the writer. It fails when another process
// has dir open or when the database is newer than this program.
func Open(ctx context.Context, dir string, o Options) (*Log, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	l := &Log{dir: dir, options: o.withDefaults(), done: make(chan struct{}), pages: make(chan struct{}, 1), measures: newMeasures()}
	l.leases.asked = make(chan struct{}, 1)
	l.derive.init()
	l.queue.init(l.options.QueueRequests, l.options.QueueBytes)
	l.live.init(l.options.CacheBytes)
	l.health.init()
	if l.lock, err = lock(dir); err != nil {
		return nil, err
	}
	moved, err := finishRestore(dir, nil)
	if err != nil {
		l.disconnect()
		return nil, fmt.Errorf("open %s: finish the restore: %w", dir, err)
	}
	if moved != "" {
		l.options.Logger.Info("a restore was finished; what was there before was moved", "to", moved)
	}
	if err := l.connect(ctx); err != nil {
		l.disconnect()
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	go l.writer.run()
	l.janitor.start(l)
	next := l.resume(ctx)
	l.leases.start(l, next)
	l.derive.start(l)
	return l, nil
}

// resume ends the turns whose lease passed while nobody looked, before anybody
// can ask, and folds what an older konlog has stored. It returns the next
// deadline. A server must start on a full disk too, so that what cannot be
// written now is left for later.
func (l *Log) resume(ctx context.Context) (next time.Time) {
	if _, err := l.Session(ctx, store.FeedSession); errors.Is(err, store.ErrNotFound) { // who follows the feed comes before there is news
		if _, _, err := l.CreateSession(ctx, store.FeedSession, store.SessionSpec{}); err != nil {
			l.options.Logger.Warn("making the feed failed; the first news will", "err", err)
		}
	}
	if err := l.rebuildUnfolded(ctx); err != nil {
		l.options.Logger.Warn("folding the sessions of an older version failed; run konlog verify --rebuild", "err", err)
	}
	_, next, err := l.ExpireTurns(ctx)
	if err != nil {
		l.options.Logger.Warn("ending silent turns failed", "err", err)
		return l.options.Now().Add(leaseRetry)
	}
	return next
}

// makeDir makes dir and what is missing above it, each entry durable in its
// parent, as SQLite makes durable what lies in dir.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return syncPath(parent)
}

// connect opens all connections and migrates.
func (l *Log) connect(context.Context) error {
	l.readers = make(chan *sqlite3.Conn, l.options.Readers)
	l.scans = make(chan struct{}, scansMax(l.options.Readers))
	l.writer = &writer{log: l, disk: guardedDisk{options: l.options.Disk, dir: l.dir, state: &l.health.disk}}
	if err := l.writer.connect(); err != nil {
		return err
	}
	for range l.options.Readers {
		c, err := open(l.dir, l.options.VFS, "query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB))
		if err != nil {
			return err
		}
		l.readers <- c
	}
	return nil
}

func (l *Log) disconnect() {
	if l.writer != nil && l.writer.conn != nil {
		_ = l.writer.conn.Close()
	}
	for len(l.readers) > 0 {
		_ = (<-l.readers).Close()
	}
	_ = l.lock.Close()
}

// Close waits for the appends in flight, copies the write-ahead log into the
// database and gives the data directory free.
func (l *Log) Close() error {
	if !l.queue.close() {
		<-l.done
		return nil
	}
	l.janitor.stop()
	l.leases.stop()
	l.derive.stop()
	<-l.done
	l.live.reset()
	for range cap(l.readers) { // waits for reads in flight
		_ = (<-l.readers).Close()
	}
	err := l.writer.close()
	return errors.Join(err, l.lock.Close())
}

// Health says how the engine fares.
func (l *Log) Health() store.Health {
	h := l.health.get()
	h.Commits = l.health.commits.Load()
	h.QueueDepth, h.QueueBytes = l.queue.depth()
	h.Used, h.WALBytes = *l.health.used.Load(), l.health.wal.Load()
	diskHealth(&h, l.health.disk.Load())
	return h
}

// health is what the writer last found out about the disk.
type health struct {
	commits atomic.Int64
	wal     atomic.Int64               // bytes of the write-ahead log that are not in the database, about
	used    atomic.Pointer[store.Used] // as of the last commit
	disk    atomic.Pointer[store.Disk]

	mu  sync.Mutex // guards err
	err error      // why nothing can be written, or nil
}

func (h *health) init() {
	h.used.Store(&store.Used{})
	h.disk.Store(&store.Disk{})
}

func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *health) why() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

func (h *health) get() store.Health {
	if err := h.why(); err != nil {
		return store.Health{LastError: err.Error()}
	}
	return store.Health{Writable: true}
}
