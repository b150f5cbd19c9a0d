package run

import (
	"context"
	"os"
	"time"

	"github.com/konlog/konlog/store"
)

// alarm fires when the next of the runner's times has come.
func (r *Runner) alarm() <-chan time.Time {
	next := r.nextTime()
	if next.IsZero() {
		return nil
	}
	if r.timer == nil {
		r.timer = time.NewTimer(time.Until(next))
	} else if !next.Equal(r.due) {
		r.timer.Reset(time.Until(next))
	}
	r.due = next
	return r.timer.C
}

// nextTime is the earliest time at which something has to be done; zero when
// there is none.
func (r *Runner) nextTime() (next time.Time) {
	for _, t := range []time.Time{r.haltTime(), r.touchTime(), r.readyTime(), r.exitTime(), r.idleTime(), r.refusedTime(), r.leaveAt} {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

func (r *Runner) haltTime() time.Time {
	if r.halt == nil {
		return time.Time{}
	}
	return r.halt.at
}

func (r *Runner) touchTime() time.Time {
	if r.mapper.Turn() == "" || r.touches {
		return time.Time{}
	}
	return r.touchAt
}

func (r *Runner) readyTime() time.Time {
	if r.child == nil || r.child.onePrompt || r.child.driver.Ready() || r.child.quits {
		return time.Time{}
	}
	return r.child.readyAt
}

func (r *Runner) exitTime() time.Time {
	if r.child == nil || r.halt != nil {
		return time.Time{}
	}
	return r.child.exitAt
}

// crowdedIdle is the Idle of a runner whose place others wait for: an agent may
// still say something after its turn.
const crowdedIdle = 2 * time.Second

func (r *Runner) idleTime() time.Time {
	idle := r.c.Idle
	if r.c.crowded != nil && r.c.crowded() {
		idle = crowdedIdle
	}
	if idle <= 0 || r.child == nil || r.child.quits || r.turn != nil || r.mapper.Turn() != "" || len(r.tasks) > 0 {
		return time.Time{}
	}
	return r.child.idleSince.Add(idle)
}

func (r *Runner) refusedTime() time.Time {
	if r.turn != nil || len(r.board.queue) == 0 || !r.refused.After(time.Now()) {
		return time.Time{}
	}
	return r.refused
}

// tick does what is due.
func (r *Runner) tick(ctx context.Context) {
	r.due = time.Time{}
	now := time.Now()
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	if due(r.haltTime()) {
		r.press()
	}
	if due(r.touchTime()) {
		r.touch(ctx)
	}
	if due(r.readyTime()) {
		r.c.Logger.Error("the agent did not get ready", "within", r.c.ReadyWait)
		r.child.quits, r.child.late = true, true
		r.child.signal(os.Kill)
	}
	if due(r.exitTime()) {
		r.halt = &halt{step: 1, process: true} // it had its time for the end of input: SIGTERM
		r.press()
	}
	if due(r.idleTime()) {
		r.dismiss()
	}
	if due(r.leaveAt) {
		r.leaveAt = time.Time{}
		if r.child != nil {
			r.child.signal(os.Kill)
		} else {
			r.end(nil) // what is open waits for the log, which has had its time
		}
	}
}

// touchWait bounds one renewal of a lease.
const touchWait = 10 * time.Second

// touch renews the turn's lease, so that an agent may be silent.
func (r *Runner) touch(ctx context.Context) {
	if r.sender.Beyond() { // nobody could see this turn end: its lease may. What is in the spool goes on in a later one
		r.touchAt = time.Now().Add(r.c.Lease / 3)
		return
	}
	r.touches = true
	turn := r.mapper.Turn()
	if r.moves != nil {
		turn = r.named
	}
	r.background(func() error {
		ctx, cancel := context.WithTimeout(ctx, touchWait)
		defer cancel()
		return r.log.Touch(ctx, r.c.Session, turn)
	}, func(err error) {
		r.touches = false
		r.touchAt = time.Now().Add(r.c.Lease / 3)
		if err != nil && store.CodeOf(err) == "" {
			r.c.Logger.Debug("the lease was not renewed", "turn", turn, "err", err)
		}
	})
}
