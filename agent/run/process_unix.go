//go:build unix

package run

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markName is a variable in the environment of an agent, by which what it
// started is found after its guard was killed. Only Linux has it.
const markName = "KONLOG_AGENT_PROCESS"

// processGroup is the process group of an agent, and of its guard if it has
// one. Its leader is our child and is not reaped before the end, so that the
// group's number means this group for as long as signals are sent to it.
type processGroup struct {
	leader *os.Process
	mark   string        // stands in the environment of all that the agent starts; or ""
	exited chan struct{} // closed when the agent has exited
	gone   chan struct{} // closed when the guard has nothing more to say; nil without one

	mu     sync.Mutex // guards what follows
	life   *os.File   // as long as it is open the guard lets the agent live; or nil
	ended  bool       // nothing is signalled any more
	status exit
	known  bool // status is

	reapOnce sync.Once
}

// startGroup starts the program, or the guard that starts it, and returns the
// agent's own pid.
func startGroup(spec processSpec, program string, std []*os.File) (g *processGroup, pid int, err error) {
	g = &processGroup{mark: newMark(), exited: make(chan struct{})}
	if g.mark != "" {
		spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], g.mark)
	}
	if len(spec.Guard) > 0 {
		pid, err = g.startGuarded(spec, program, std)
		return g, pid, err
	}
	if g.leader, err = spawn(program, spec.Args, spec, std); err != nil {
		return nil, 0, err
	}
	go func() {
		defer close(g.exited)
		g.awaitExit()
	}()
	return g, g.leader.Pid, nil
}

// spawn starts a program as the leader of a new process group.
func spawn(file string, args []string, spec processSpec, files []*os.File) (*os.Process, error) {
	p, err := os.StartProcess(file, args, &os.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	var number syscall.Errno
	if errors.As(err, &number) {
		err = startError(file, number)
	}
	return p, err
}

// startError says what to do when the system does not start a file that is
// there and may be executed.
func startError(file string, err syscall.Errno) error {
	hint := ""
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR:
		hint = ": the interpreter that its first line names is not there: install it"
	case syscall.EACCES, syscall.EPERM:
		hint = ": give this user the right to execute it and what its first line names"
	case syscall.ENOEXEC:
		hint = ": it is no program for this system; a script needs a first line such as #!/bin/sh"
	case syscall.E2BIG:
		hint = ": its arguments and environment are too long: give the prompt on its standard input, or in a file"
	}
	return fmt.Errorf("execute %s: %w%s", file, err, hint)
}

// exitOf is how a process ended: by a signal, or with a code.
func exitOf(signaled bool, n int) exit {
	if !signaled {
		return exit{Code: n}
	}
	name := unix.SignalName(syscall.Signal(n))
	if name == "" {
		name = "signal " + strconv.Itoa(n)
	}
	return exit{Code: 128 + n, Signal: name}
}

func (g *processGroup) signal(sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		_ = syscall.Kill(-g.leader.Pid, number) // who is dead already does not mind
	}
}

// kill kills the group. A guard does it better: it knows what has left the
// group, and says how the agent ended.
func (g *processGroup) kill() {
	if g.letGo() {
		time.AfterFunc(killWait, func() { g.signal(syscall.SIGKILL) })
		return
	}
	g.signal(syscall.SIGKILL)
}

// destroy kills the group, and what has left it, without the help of a guard.
func (g *processGroup) destroy() {
	g.signal(syscall.SIGKILL)
	killMarked(g.mark)
}

// end kills what is left, reaps the leader and says how the agent ended.
func (g *processGroup) end() exit {
	if !g.dismissGuard() {
		g.destroy()
	}
	g.mu.Lock()
	g.ended = true // the number is free for others as soon as the leader is reaped
	g.mu.Unlock()
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		g.reap()
	}()
	select {
	case <-reaped:
	case <-time.After(reapWait): // it hangs in the kernel, and is reaped when it is out of there
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.known {
		return exitOf(true, int(syscall.SIGKILL))
	}
	return g.status
}

// reap waits for the leader and lets the system forget it. Its status is the
// agent's when there is no guard.
func (g *processGroup) reap() {
	g.reapOnce.Do(func() {
		state, err := g.leader.Wait()
		if err != nil || g.gone != nil {
			return
		}
		if w, ok := state.Sys().(syscall.WaitStatus); ok {
			g.setStatus(statusOf(w))
		}
	})
}

// statusOf says how a process ended that has.
func statusOf(w syscall.WaitStatus) exit {
	if w.Signaled() {
		return exitOf(true, int(w.Signal()))
	}
	return exitOf(false, w.ExitStatus())
}

func (g *processGroup) setStatus(x exit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.known = x, true
}

// readReady reads what is in a pipe, without waiting for more.
func readReady(f *os.File, b []byte) (n int) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.Read(func(fd uintptr) bool {
		n, _ = syscall.Read(int(fd), b)
		return true
	})
	return max(n, 0)
}
