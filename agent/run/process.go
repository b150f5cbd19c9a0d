package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// The limits of a process.
const (
	inputBytesMax   = 64 << 20        // queued for its standard input: a prompt with its largest images, several times
	stderrTailBytes = 4 << 10         // kept of its standard error, to say why it ended
	drainWait       = 2 * time.Second // after its exit, for what its children still print
	killWait        = 2 * time.Second // for the guard to do away with a process, before it is done without it
	reapWait        = 5 * time.Second // for the system to let go of a killed process
)

// ErrInputFull says that a process does not read what was written to it.
var ErrInputFull = fmt.Errorf("the agent has not read the last %d MiB of its input: stop the turn, or end the agent", inputBytesMax>>20)

// processSpec is a process to start.
type processSpec struct {
	Args   []string // the program and its arguments
	Dir    string
	Env    []string  // all of it
	Guard  []string  // the command that runs GuardMain, or nil for none
	Stderr io.Writer // gets a copy of the process's, and holds that up when it is slow; or nil
}

// exit is how a process ended.
type exit struct {
	Code   int    // 128 and the signal's number when a signal ended it, as in a shell
	Signal string // such as SIGKILL, or ""
	Stderr string // the end of what it printed there: whole lines, valid UTF-8
}

// process is an agent's process with all that it starts. Safe for concurrent
// use, except Stdout. Wait must be called once: until then nothing is let go.
type process struct {
	pid    int // of the agent
	group  *processGroup
	input  *processInput
	stdout *processOutput
	stderr *processOutput
	tail   *processTail
	done   chan struct{} // the goroutines for stderr and for the exit have ended
}

// startProcess starts the program in a process group of its own. Its error says
// what to do about it.
func startProcess(spec processSpec) (*process, error) {
	if len(spec.Args) == 0 || spec.Args[0] == "" {
		return nil, errors.New("start the agent: no command: name the program to run")
	}
	if at, err := os.Stat(spec.Dir); spec.Dir != "" && (err != nil || !at.IsDir()) {
		return nil, fmt.Errorf("start %s: %s is no directory: make it, or choose another to run in", spec.Args[0], spec.Dir)
	}
	spec.Env = lastOfEach(spec.Env)
	program, err := findProgram(spec.Args[0], spec.Dir, spec.Env)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Args[0], err)
	}
	var pipes processPipes
	if err := pipes.open(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Args[0], err)
	}
	group, pid, err := startGroup(spec, program, pipes.theirs)
	closeAll(pipes.theirs)
	if err != nil {
		closeAll(pipes.ours)
		return nil, fmt.Errorf("start %s: %w", spec.Args[0], err)
	}
	p := &process{
		pid: pid, group: group, tail: &processTail{copyTo: spec.Stderr}, done: make(chan struct{}),
		input:  newProcessInput(pipes.ours[0]),
		stdout: &processOutput{f: pipes.ours[1]},
		stderr: &processOutput{f: pipes.ours[2]},
	}
	go p.attend()
	return p, nil
}

// processPipes are the standard streams of a process, both ends. Their buffers
// are left as the system makes them: larger ones come out of a small budget of
// the user's, and once it is used up all of the user's new pipes are tiny.
type processPipes struct {
	ours, theirs []*os.File // stdin, stdout, stderr
}

func (p *processPipes) open() error {
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(p.ours)
			closeAll(p.theirs)
			return fmt.Errorf("open its pipes: %w", err)
		}
		if i == 0 {
			r, w = w, r
		}
		p.ours, p.theirs = append(p.ours, r), append(p.theirs, w)
	}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// attend reads the process's standard error, and sees to it that neither
// output outlives the process for long.
func (p *process) attend() {
	defer close(p.done)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(p.tail, p.stderr) // it ends when the output does
	}()
	<-p.group.exited
	p.stdout.endIn(drainWait)
	p.stderr.endIn(drainWait)
	<-read
}

// Stdout is what the process prints, until it has exited and all it printed was
// read. What a child of it still prints then is taken for drainWait.
func (p *process) Stdout() io.Reader { return p.stdout }

// Write queues input, and does not wait for the process to read it. Input that
// nobody can read any more is dropped.
func (p *process) Write(b []byte) error { return p.input.add(b) }

// CloseInput ends the input, after what is queued.
func (p *process) CloseInput() { p.input.end() }

// Signal sends a signal to the whole process group.
func (p *process) Signal(sig os.Signal) {
	if sig == os.Kill {
		p.group.kill()
		return
	}
	p.group.signal(sig)
}

// Exited is closed when the process has ended, whatever it has started.
func (p *process) Exited() <-chan struct{} { return p.group.exited }

// Kill kills the process and all that it started.
func (p *process) Kill() { p.group.kill() }

// Wait ends what the process left behind, and says how it ended. It is called
// once, after Stdout gave its end; before it, it kills.
func (p *process) Wait() exit {
	x := p.group.end()
	p.input.stop()
	select {
	case <-p.done:
	case <-time.After(drainWait + reapWait): // whoever gets the copy of stderr does not take it
	}
	p.stdout.close()
	p.stderr.close()
	x.Stderr = p.tail.lines()
	return x
}
