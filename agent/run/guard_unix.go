//go:build unix

package run

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// The files that a guard has beside the standard ones.
const (
	guardLife   = 3 // at its end the runner is gone, or has done with the agent
	guardReport = 4
)

// What a guard reports, each with a number in a line.
const (
	guardStarted  = "started"  // the agent's pid
	guardFailed   = "failed"   // the error number of the system
	guardExited   = "exited"   // the code
	guardSignaled = "signaled" // the signal's number
)

// guardArgs goes before the agent's arguments.
const guardArgs = "--"

// guardName is what Linux calls the guard, so that killall konlog does not take
// away the very process that ends what konlog started.
const guardName = "agent-guard"

const (
	guardSweepWait = time.Second           // for killed processes to be gone
	guardSweepStep = 10 * time.Millisecond // between looks at what is left
)

// guard stands between a runner and its agent, and outlives both for a moment.
type guard struct {
	life, report *os.File
	agent        int // its pid; 0 when it was reaped
}

// GuardMain is a process that runs an agent for a runner and ends it, with all
// that it started, as soon as the runner is gone, in whatever way. Its arguments
// are the program's file, "--", and the arguments from the program's name on.
// It is started by the runner alone: as the leader of a process group, with the
// agent's standard streams and two pipes. It returns an exit code.
//
// A runner that is killed cannot clean up, and an agent that nobody reads goes
// on for hours, paid by the word. So this process does it, which does so little
// that nothing makes it fail.
func GuardMain(args []string) int {
	if len(args) < 3 || args[1] != guardArgs || syscall.Getpgrp() != os.Getpid() {
		_, _ = os.Stderr.WriteString("konlog: guard: only konlog run starts it\n")
		return 2
	}
	runtime.LockOSThread() // the agent dies with the thread that started it, see agentAttr
	syscall.CloseOnExec(guardLife)
	syscall.CloseOnExec(guardReport)
	g := &guard{life: os.NewFile(guardLife, "life"), report: os.NewFile(guardReport, "report")}
	childDied := make(chan os.Signal, 1) // one is enough: all are reaped then
	signal.Notify(childDied, syscall.SIGCHLD)
	surviveSignals()
	adoptOrphans()
	if code := g.start(args[0], args[2:]); code != 0 {
		return code
	}
	runnerGone := make(chan struct{})
	go func() {
		defer close(runnerGone)
		_, _ = g.life.Read(make([]byte, 1)) // nobody writes
	}()
	debug.FreeOSMemory() // it only waits from here on
	for {
		select {
		case <-childDied:
			g.reap()
		case <-runnerGone:
			g.end(childDied)
			return 0
		}
	}
}

// surviveSignals makes the guard live through the signals that are meant for
// the agent. They are caught rather than ignored because a program inherits
// what is ignored.
func surviveSignals() {
	caught := make(chan os.Signal, 1)
	for n := syscall.Signal(1); n < 32; n++ {
		if n != syscall.SIGCHLD && n != syscall.SIGKILL && n != syscall.SIGSTOP && !signal.Ignored(n) {
			signal.Notify(caught, n)
		}
	}
}

// start starts the agent and lets go of its streams: their ends are to be the
// agent's alone.
func (g *guard) start(file string, args []string) (code int) {
	pid, err := syscall.ForkExec(file, args, &syscall.ProcAttr{Env: syscall.Environ(), Files: []uintptr{0, 1, 2}, Sys: agentAttr()})
	if err != nil {
		number, ok := err.(syscall.Errno)
		if !ok {
			number = syscall.EINVAL
		}
		g.say(guardFailed, int(number))
		return 1
	}
	g.agent = pid
	g.say(guardStarted, pid)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	for fd := range 3 {
		if err == nil {
			err = replaceFile(int(null.Fd()), fd)
		}
		if err != nil {
			_ = syscall.Close(fd) // a system without /dev/null
		}
	}
	return 0
}

func (g *guard) say(word string, n int) {
	_, _ = g.report.WriteString(word + " " + strconv.Itoa(n) + "\n") // a runner that is gone needs no report
}

// reap lets the system forget the dead children, and reports the agent's end.
// It reports whether none are left, dead or alive.
func (g *guard) reap() (none bool) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return true
		case pid == 0:
			return false
		}
		if pid != g.agent {
			continue
		}
		g.agent = 0
		if w.Signaled() {
			g.say(guardSignaled, int(w.Signal()))
		} else {
			g.say(guardExited, w.ExitStatus())
		}
	}
}

// end kills the agent and all that it left, and at last this process with what
// is still in its group. Children are killed before they are reaped and by
// nobody else, so that a number always means the process that it is meant for.
func (g *guard) end(childDied <-chan os.Signal) {
	defer func() { _ = syscall.Kill(0, syscall.SIGKILL) }()
	if g.agent != 0 {
		_ = syscall.Kill(g.agent, syscall.SIGKILL)
	}
	over := time.After(guardSweepWait)
	for !g.reap() {
		// What a dead process leaves becomes a child of ours, and comes next.
		for _, pid := range children() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-childDied:
		case <-time.After(guardSweepStep):
		case <-over:
			return
		}
	}
}
