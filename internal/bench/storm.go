package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	stormEvents  = 12_000
	stormRate    = 100                    // events/s that go on meanwhile
	stormBehind  = 200                    // a reader has missed up to this many: two seconds
	stormMax     = 300 * time.Millisecond // until all are level
	stormAllowed = time.Minute
)

func runStorm(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	for i, c := range []carrier{carrierWS, carrierSSE} {
		if err := t.storm(t.session(i), c); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) storm(session string, c carrier) error {
	stored, n := t.size(1000, stormEvents), t.size(50, readersMany)
	if t.count > 0 {
		stored = stormEvents
	}
	if err := t.fill(session, stored); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	p, err := wsProducer(ctx, t.addr, session, 1)
	if err != nil {
		return err
	}
	defer p.wire.close()
	p.acked = int64(stored)
	going := make(chan error, 1)
	go func() { going <- p.steady(ctx, stormRate, t.warmUp()+time.Second) }()

	levels := &histogram{}
	r := Result{Did: fmt.Sprintf("%d readers over %s come back, %d stored, %d events/s: all level", n, c, stored, stormRate), Unit: "s", Target: atMost(stormMax.Seconds())}
	u := t.usage()
	took, crowd, err := t.comeBack(session, c, n, int64(stored), levels)
	u.into(&r)
	if e := <-going; err == nil {
		err = e
	}
	if err == nil {
		settled, stop := context.WithTimeout(t.ctx, settleMax)
		defer stop()
		_, err = crowd.reach(settled, p.acked)
	}
	if left := crowd.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	r.Value = took.Seconds()
	r.latency(levels)
	return t.report(r)
}

// comeBack connects all readers at once, each with the cursor at which it was
// cut off, and returns how long it took until the last one was level.
func (t *trial) comeBack(session string, c carrier, n int, head int64, levels *histogram) (time.Duration, *crowd, error) {
	crowd := &crowd{}
	for i := range n {
		after := max(head-int64(i*stormBehind/n), 0)
		crowd.readers = append(crowd.readers, &reader{session: session, carrier: c, after: after})
	}
	ctx, cancel := context.WithTimeout(t.ctx, stormAllowed)
	defer cancel()
	begin := now()
	var connecting sync.WaitGroup
	for _, r := range crowd.readers {
		connecting.Go(func() { crowd.start(t.ctx, t.addr, r) })
	}
	connecting.Wait()
	err := crowd.until(ctx, func(r *reader) bool { return r.level.Load() != 0 })
	last := begin
	for _, r := range crowd.readers {
		if at := r.level.Load(); at != 0 {
			levels.record(at - begin)
			last = max(last, at)
		}
	}
	return time.Duration(last - begin), crowd, err
}
