package bench

import (
	"fmt"
	"time"
)

const (
	idleTime   = 10 * time.Second
	idleQuick  = time.Second
	idleMax    = 32 // KiB of memory per reader
	idleSettle = time.Second
)

// runIdle measures what readers cost while nothing happens.
func runIdle(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	session, n := t.session(0), t.size(100, readersMany)
	p, err := t.opened(session)
	if err != nil {
		return err
	}
	p.wire.close()
	without, before, err := t.quiet()
	if err != nil {
		return err
	}
	c, err := gather(t.ctx, t.addr, followers(session, carrierWS, n, 1, nil))
	if err != nil {
		return err
	}
	with, after, err := t.quiet()
	if left := c.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	did := fmt.Sprintf("%d idle readers over ws", n)
	err = t.report(Result{
		Did: did + ": memory of each", Unit: "KiB", Value: float64(after-before) / 1024 / float64(n), Target: atMost(idleMax),
		Note: fmt.Sprintf("%s MiB in all, %s without", number(float64(after)/(1<<20)), number(float64(before)/(1<<20))),
	})
	if err != nil {
		return err
	}
	return t.report(Result{
		Did: did + ": CPU time per second", Unit: "ms", Value: 1e3 * with,
		Note: fmt.Sprintf("%s without; heartbeats are in it", number(1e3*without)),
	})
}

// quiet lets the server settle, and then takes the share of a core that it
// uses and its memory.
func (t *trial) quiet() (cpu float64, rss int64, err error) {
	span := idleTime
	if t.quick {
		span = idleQuick
	}
	if err := t.pause(idleSettle); err != nil {
		return 0, 0, err
	}
	begin, err := cpuOf(t.server.pid())
	if err != nil {
		return 0, 0, err
	}
	if err := t.pause(span); err != nil {
		return 0, 0, err
	}
	end, err := cpuOf(t.server.pid())
	if err != nil {
		return 0, 0, err
	}
	rss, err = rssOf(t.server.pid())
	return (end - begin).Seconds() / span.Seconds(), rss, err
}

// pause lets time pass.
func (t *trial) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}
