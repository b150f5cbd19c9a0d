package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/konlog/konlog/agent"
)

// signals of a stop, in their order, once the agent did not stop at a word.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, os.Kill}

// halt is a stop that is under way.
type halt struct {
	step    int       // how many signals were sent
	at      time.Time // when the next is due
	process bool      // the process is to end, with no turn or with any
}

// halted stops the open turn: by a word of the agent's own language, then by
// signals. The text so far stays.
func (r *Runner) halted() {
	if r.halt != nil || r.turn == nil && r.mapper.Turn() == "" {
		return
	}
	if r.turn != nil && !r.turn.began {
		r.turn.halted = true
		return
	}
	r.mapper.Stop()
	if r.child == nil || r.turn != nil && !r.turn.prompted {
		r.finish(agent.End{Error: "stopped before the agent had the prompt"})
		return
	}
	r.halt = &halt{}
	if input, ok := r.child.driver.Interrupt(); ok && r.child.write(input) == nil {
		r.halt.at = time.Now().Add(r.c.InterruptWait)
		return
	}
	r.press()
}

// press sends the next signal of a stop.
func (r *Runner) press() {
	if r.child == nil || r.halt.step >= len(stopSignals) {
		r.halt.at = time.Time{}
		return
	}
	r.child.signal(stopSignals[r.halt.step])
	r.halt.step++
	r.halt.at = time.Now().Add(r.c.SignalWait)
}

// shutdown lets the turn that is open be stopped, and begins no other.
func (r *Runner) shutdown() {
	r.closing = true
	r.halted()
	if r.turn != nil && !r.turn.began {
		time.AfterFunc(r.leaveWait(), r.turn.giveUp) // the log may be away for long
	}
}

// leaveWait is how long the end of the runner waits for the log.
func (r *Runner) leaveWait() time.Duration {
	if r.c.LeaveWait > 0 {
		return min(r.c.LeaveWait, r.c.DrainWait)
	}
	return r.c.DrainWait
}

// close ends the process of a runner that is closing, and then the runner.
func (r *Runner) close() {
	if !r.closing || r.turn != nil || r.mapper.Turn() != "" {
		return
	}
	if r.child == nil {
		r.end(nil)
		return
	}
	r.dismiss()
}

// dismiss asks the process to end.
func (r *Runner) dismiss() {
	if r.child.quits {
		return
	}
	r.child.quits = true
	r.child.quit()
	r.child.exitAt = time.Now().Add(r.c.ExitWait)
}

// leave ends what is left when the loop is over. After an error the process is
// killed; else all that it said is given DrainWait to reach the log.
func (r *Runner) leave(ctx context.Context) {
	if r.child != nil {
		r.child.signal(os.Kill)
	}
	if !errors.Is(r.stop, errOver) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.leaveWait())
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- r.sender.Drain(ctx) }()
	for {
		select {
		case f := <-r.news:
			f()
		case err := <-drained:
			if err != nil {
				n, bytes := r.spool.Len()
				r.c.Logger.Warn("the log did not take everything; the rest is kept and sent by the next runner of this session",
					"events", n, "bytes", bytes, "spool", r.c.SpoolDir, "err", fmt.Sprint(err))
			}
			return
		}
	}
}
