package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	readersMany = 1000
	readersFew  = 100
	// settleMax is how long readers may take to get level once nothing more is
	// appended. It counts, so a server that cannot keep up shows it in the rate.
	settleMax = 2 * time.Minute
)

func runFanout20(t *trial) error {
	return t.fanout(fanout{carrier: carrierWS, rate: 20, target: p99AtMost(20)})
}

func runFanout200(t *trial) error {
	return t.fanout(fanout{carrier: carrierWS, rate: 200, target: atLeast(150_000)})
}

func runFanoutSSE(t *trial) error {
	return t.fanout(fanout{carrier: carrierSSE, rate: 200, target: atLeast(150_000)})
}

// fanout is one session with many readers and a fixed rate.
type fanout struct {
	carrier carrier
	rate    int // events/s
	target  *Target
}

func (t *trial) fanout(f fanout) error {
	if err := t.serve(); err != nil {
		return err
	}
	session, n := t.session(0), t.size(50, readersMany)
	p, err := t.opened(session)
	if err != nil {
		return err
	}
	defer p.wire.close()
	delays := &histogram{}
	c, err := gather(t.ctx, t.addr, followers(session, f.carrier, n, p.acked, delays))
	if err != nil {
		return err
	}
	begin, u := now(), t.usage()
	err = p.steady(t.ctx, f.rate, t.duration)
	r := Result{Did: fmt.Sprintf("%d readers over %s, %d events/s", n, f.carrier, f.rate), Unit: "deliveries/s", Target: f.target}
	if err == nil {
		err = t.settle(c, p.acked, begin, 1, u, &r)
	}
	if left := c.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	if got, want := delays.count(), int64(n)*(p.acked-1); got != want {
		return fmt.Errorf("%d events were delivered, not %d", got, want)
	}
	r.latency(delays)
	if err := checkHeads(t.ctx, t.addr, []*producer{p}); err != nil {
		return err
	}
	return t.report(r)
}

// opened makes a session by appending its first event, and returns the
// WebSocket producer that did.
func (t *trial) opened(session string) (*producer, error) {
	p, err := wsProducer(t.ctx, t.addr, session, 1)
	if err != nil {
		return nil, err
	}
	if err = p.wire.write(p.request.bytes); err == nil {
		err = p.collect(1)
	}
	if err != nil {
		p.wire.close()
		return nil, err
	}
	return p, nil
}

// followers makes n readers of one session.
func followers(session string, c carrier, n int, after int64, delays *histogram) []*reader {
	all := make([]*reader, n)
	for i := range all {
		all[i] = &reader{session: session, carrier: c, after: after, delays: delays}
	}
	return all
}

// steady sends at a fixed rate, whether the one before is acknowledged or not,
// and returns when all are.
func (p *producer) steady(ctx context.Context, rate int, d time.Duration) error {
	n := max(int(d.Seconds()*float64(rate)), 1)
	defer context.AfterFunc(ctx, p.wire.close)() // which ends collect
	acks := make(chan error, 1)
	want := p.acks + int64(n)
	go func() { acks <- p.collect(want) }()
	err := schedule(ctx, time.Second/time.Duration(rate), n, func(_ int, due int64) error {
		p.request.stamp(due)
		return p.wire.write(p.request.bytes)
	})
	if err != nil {
		p.wire.close()
		<-acks
		return err
	}
	return <-acks
}

// settle waits until all readers have the last event, and fills in the rate
// over the whole time that it took.
func (t *trial) settle(c *crowd, head, begin, before int64, u usage, r *Result) error {
	ctx, cancel := context.WithTimeout(t.ctx, settleMax)
	defer cancel()
	end, err := c.reach(ctx, head)
	if err != nil {
		return err
	}
	u.into(r)
	took := float64(max(end-begin, int64(t.duration))) / 1e9
	r.Value = float64(head-before) * float64(len(c.readers)) / took
	return nil
}

// runFanout100 lets producers go flat out on one session with few readers.
func runFanout100(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	for i, c := range []carrier{carrierBatch, carrierWS} {
		if err := t.flatOut(t.session(i), c); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) flatOut(session string, carrier carrier) error {
	n := t.size(10, readersFew)
	producers, err := makeProducers(min(n+28, sessionsManual), func(int) (*producer, error) {
		p, err := wsProducer(t.ctx, t.addr, session, 1)
		if err == nil {
			p.shared = true
		}
		return p, err
	})
	if err != nil {
		return err
	}
	defer closeAll(producers)
	first, err := t.opened(session)
	if err != nil {
		return err
	}
	first.wire.close()
	delays := &histogram{}
	c, err := gather(t.ctx, t.addr, followers(session, carrier, n, 1, delays))
	if err != nil {
		return err
	}
	begin, u := now(), t.usage()
	_, err = floodAll(producers, window{from: begin, to: begin + int64(t.duration)})
	head := first.acked
	for _, p := range producers {
		head = max(head, p.acked)
	}
	r := Result{Did: fmt.Sprintf("%d readers over %s, %d producers flat out", n, carrier, len(producers)), Unit: "deliveries/s", Target: atLeast(400_000)}
	if err == nil {
		err = t.settle(c, head, begin, 1, u, &r)
	}
	if left := c.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	if got, want := delays.count(), int64(n)*(head-1); got != want {
		return fmt.Errorf("%d events were delivered, not %d", got, want)
	}
	r.latency(delays)
	r.Note = fmt.Sprintf("%s appends/s", number(float64(head)/t.duration.Seconds()))
	if err := checkHeads(t.ctx, t.addr, producers); err != nil {
		return err
	}
	return t.report(r)
}
