package store

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Histogram counts values in buckets, for operators. Observe may be called by
// any number of goroutines and never waits; a Snapshot that is taken meanwhile
// may miss what is being counted.
type Histogram struct {
	bounds []float64 // upper bounds, rising; what is above the last is counted too
	counts []atomic.Uint64
	sum    atomic.Uint64 // the bits of a float64
}

// NewHistogram returns a histogram whose buckets end at the given bounds.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a value.
func (h *Histogram) Observe(v float64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] { // a dozen compares at most; the small ones are the common ones
		i++
	}
	h.counts[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// HistogramSnapshot is what a Histogram has counted up to a moment.
type HistogramSnapshot struct {
	Bounds []float64
	Counts []uint64 // per bucket, and last of what was above all
	Sum    float64
}

// Snapshot returns what was counted so far.
func (h *Histogram) Snapshot() HistogramSnapshot {
	s := HistogramSnapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: math.Float64frombits(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Measures is how an engine has worked since it was opened. Times are in
// seconds.
type Measures struct {
	QueueWait     HistogramSnapshot // of one request, from its place in the queue to its transaction
	Commit        HistogramSnapshot // a transaction, from BEGIN until it is durable
	Sync          HistogramSnapshot // of that the COMMIT: the write-ahead log's write and its fsync
	CommitAppends HistogramSnapshot // requests that share a commit
	CommitEvents  HistogramSnapshot // events of a commit
	CommitFailed  int64             // transactions of which nothing was stored

	Checkpoint       HistogramSnapshot
	CheckpointPages  int64 // of the write-ahead log at the last one
	CheckpointLeft   int64 // of those that it could not copy, because somebody reads
	CheckpointFailed int64
	WALRestarts      int64 // times that the write-ahead log was begun anew
	WALRestartFailed int64 // times that readers were in the way of that

	ReadersIdle int // connections that nobody reads on
	CacheBytes  int64

	RetainedEvents int64 // that retention has removed
	RemovedBlobs   int64 // that no event referred to any more

	DeriveSessions int  // with events that were not indexed yet, as far as they are known
	DeriveBehind   bool // more may be, that are not known yet
}

// MeasureReporter is the ability to tell how an engine works, without touching
// the disk.
type MeasureReporter interface{ Measures() Measures }

// Storage is what an engine takes up on the disk.
type Storage struct {
	DatabaseBytes int64
	FreeBytes     int64 // of those: pages that nothing is in
	WALBytes      int64 // of the write-ahead log's file
	Blobs         int64
	BlobBytes     int64
}

// StorageReporter is the ability to tell that. It reads the database.
type StorageReporter interface {
	Storage(ctx context.Context) (Storage, error)
}

// Stages are the moments of an append on its way through an engine. One that it
// did not come to is zero.
type Stages struct {
	Queued    time.Time
	Taken     time.Time // out of the queue, into a transaction
	Durable   time.Time // COMMIT returned
	Announced time.Time // readers were woken
	Appends   int       // requests of its transaction
}
