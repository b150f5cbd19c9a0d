package bench

import (
	"context"
	"time"
)

// started is the zero of this process's clock. Send times stand in the events
// and come back to the same process, so they need no common clock.
var started = time.Now()

// clockBase makes every reading 19 digits long, so that it can be patched into
// a prepared request.
const clockBase = 1_000_000_000_000_000_000

// now reads the monotonic clock in nanoseconds.
func now() int64 { return clockBase + int64(time.Since(started)) }

// schedule sends n times, one every interval. It hands each call the moment it
// was due: when a call comes late the schedule stands, and the delay counts.
func schedule(ctx context.Context, interval time.Duration, n int, send func(i int, due int64) error) error {
	begin := now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range n {
		due := begin + int64(i)*int64(interval)
		if wait := due - now(); wait > 0 {
			timer.Reset(time.Duration(wait))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := send(i, due); err != nil {
			return err
		}
	}
	return nil
}

// lookInterval is how often a condition is looked at that nobody announces.
const lookInterval = 2 * time.Millisecond

// until waits for done to say yes.
func until(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
