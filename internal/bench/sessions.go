package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	sessionsBusy = 1000
	sessionRate  = 20 // events/s of each
)

// runSessions gives every session a producer at a fixed rate and a reader.
func runSessions(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	n := t.size(50, sessionsBusy)
	delays := &histogram{}
	var producers []*producer
	defer func() { closeAll(producers) }()
	var readers []*reader
	for i := range n {
		p, err := t.opened(t.session(i))
		if err != nil {
			return err
		}
		producers = append(producers, p)
		readers = append(readers, &reader{session: p.session, carrier: carrierWS, after: 1, delays: delays})
	}
	c, err := gather(t.ctx, t.addr, readers)
	if err != nil {
		return err
	}
	begin, u := now(), t.usage()
	each := max(int(t.duration.Seconds()*sessionRate), 1)
	err = t.busy(producers, each)
	r := Result{Did: fmt.Sprintf("%d sessions at %d events/s, a producer and a reader each", n, sessionRate), Unit: "events/s", Target: p99AtMost(50)}
	if err == nil {
		ctx, cancel := context.WithTimeout(t.ctx, settleMax)
		defer cancel()
		var end int64
		end, err = c.reach(ctx, int64(each+1))
		r.Value = float64(n*each) / (float64(max(end-begin, int64(t.duration))) / 1e9)
	}
	u.into(&r)
	if left := c.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	if got, want := delays.count(), int64(n*each); got != want {
		return fmt.Errorf("%d events were delivered, not %d", got, want)
	}
	r.latency(delays)
	r.Note = fmt.Sprintf("of %s/s due", number(float64(n*sessionRate)))
	if err := checkHeads(t.ctx, t.addr, producers); err != nil {
		return err
	}
	return t.report(r)
}

// busy sends to all sessions in turn, so that their events are spread evenly
// over time, and returns when all are acknowledged.
func (t *trial) busy(producers []*producer, each int) error {
	errs := make([]error, len(producers))
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { closeAll(producers) })() // which ends collect
	var wait sync.WaitGroup
	for i, p := range producers {
		wait.Go(func() {
			if errs[i] = p.collect(int64(each + 1)); errs[i] != nil {
				cancel()
			}
		})
	}
	n := len(producers)
	err := schedule(ctx, time.Second/time.Duration(n*sessionRate), n*each, func(i int, due int64) error {
		p := producers[i%n]
		p.request.stamp(due)
		return p.wire.write(p.request.bytes)
	})
	if err != nil {
		cancel()
	}
	wait.Wait()
	if failed := firstOf(errs); failed != nil {
		return failed
	}
	return err
}
