package trace

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Counts are what became of spans, since the start.
type Counts struct {
	Exported int64 // spans that the collector took
	Dropped  int64 // spans of appends that found the queue full, or that the collector did not take
	Failed   int64 // requests that the collector did not take
	Turns    int64 // turns of those
	Behind   int64 // events of the feed that the reader of turns has not come to
}

// counters are shared by all that exports.
type counters struct{ exported, dropped, failed, turns, behind atomic.Int64 }

func (c *counters) counts() Counts {
	return Counts{Exported: c.exported.Load(), Dropped: c.dropped.Load(), Failed: c.failed.Load(), Turns: c.turns.Load(), Behind: c.behind.Load()}
}

// queue takes spans of appends to the collector, in the background.
type queue struct {
	sink   sink
	counts *counters
	logger *slog.Logger
	spans  chan span // what waits; nobody waits for room
	stop   context.CancelFunc
	base   context.Context // of all exports; ended when a close has taken too long
	kill   context.CancelFunc
	ended  chan struct{}
	quiet  bool // a failure was told; the goroutine's own
}

func startQueue(s sink, c *counters, logger *slog.Logger) *queue {
	ctx, stop := context.WithCancel(context.Background())
	base, kill := context.WithCancel(context.Background())
	q := &queue{sink: s, counts: c, logger: logger, spans: make(chan span, queueSpans), stop: stop, base: base, kill: kill, ended: make(chan struct{})}
	go q.run(ctx)
	return q
}

// put takes a span, or drops it when there is no room.
func (q *queue) put(s span) {
	select {
	case q.spans <- s:
	default:
		q.counts.dropped.Add(1)
	}
}

// close exports what waits, if the collector takes it soon.
func (q *queue) close() {
	q.stop()
	late := time.AfterFunc(closeTimeout, q.kill)
	<-q.ended
	late.Stop()
	q.kill()
}

func (q *queue) run(ctx context.Context) {
	defer close(q.ended)
	for {
		select {
		case <-ctx.Done():
			q.rest()
			return
		case s := <-q.spans:
			q.send(q.collect(ctx, s))
		}
	}
}

// collect fills a batch up for a moment.
func (q *queue) collect(ctx context.Context, first span) []span {
	batch := []span{first}
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for len(batch) < batchSpans {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// rest sends what is left at the end, as long as that works.
func (q *queue) rest() {
	for {
		var batch []span
		for len(batch) < batchSpans && len(q.spans) > 0 {
			batch = append(batch, <-q.spans)
		}
		if len(batch) == 0 {
			return
		}
		if !q.send(batch) {
			q.counts.dropped.Add(int64(len(q.spans)))
			return
		}
	}
}

// send exports a batch. What is not taken is dropped: more comes all the time.
func (q *queue) send(batch []span) bool {
	ctx, cancel := context.WithTimeout(q.base, exportTimeout)
	defer cancel()
	if err := q.sink.export(ctx, batch); err != nil {
		q.counts.failed.Add(1)
		q.counts.dropped.Add(int64(len(batch)))
		if !q.quiet {
			q.logger.Warn("the collector did not take the spans of appends; they are dropped", "err", err)
		}
		q.quiet = true
		return false
	}
	if q.quiet {
		q.logger.Info("the collector takes the spans of appends again")
	}
	q.quiet = false
	q.counts.exported.Add(int64(len(batch)))
	return true
}
