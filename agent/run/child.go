package run

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// child is what runs for the agent: a process, or an upstream's stream.
type child struct {
	driver    Driver
	onePrompt bool
	out       chan outLine // ends with one that has an exit
	write     func([]byte) error
	signal    func(os.Signal)
	quit      func() // asks it to end: nothing more is said to it

	readyAt   time.Time // it has to be ready by then, for the prompt that waits; or zero
	idleSince time.Time
	exitAt    time.Time // it has to be gone by then; zero while it may go on
	quits     bool
	late      bool   // it did not get ready
	resumed   string // the conversation that it was to go on with, until it says which it has
	temp      string // its folder, or ""
}

// outLine is a line of the child's output, or its end.
type outLine struct {
	text  []byte
	part  int  // of a line that is too long for one piece, from 1; else 0
	more  bool // the line goes on
	key   string
	event string // what an upstream calls it, or ""
	exit  *exit
	err   error // why the stream of an upstream ended, or nil
}

// lines is where the child's output comes from; nil when there is no child, or
// when the spool is at its limit, until room has news. What is being ended is
// heard to its end, for which it has little time.
func (r *Runner) lines() (out <-chan outLine, room <-chan struct{}) {
	if r.child == nil {
		return nil, nil
	}
	if r.halt == nil && !r.child.quits {
		room = r.spool.Room()
	}
	if room != nil {
		return nil, room
	}
	return r.child.out, nil
}

// launch starts the agent.
func (r *Runner) launch(ctx context.Context, p Prompt) error {
	d, err := r.c.Driver()
	if err != nil {
		return err
	}
	temp, err := r.tempFor(p)
	if err != nil {
		return err
	}
	l, err := d.Launch(Start{Command: r.c.Command, Dir: r.c.Dir, Resume: r.agentID, Prompt: p, Scope: r.scope(), Temp: temp})
	if err != nil {
		return err
	}
	c := &child{
		driver: d, onePrompt: l.OnePrompt, out: make(chan outLine), idleSince: time.Now(),
		resumed: r.agentID, temp: l.Temp,
	}
	start := r.startProcess
	switch {
	case r.c.spawn != nil:
		start = r.c.spawn
	case r.c.Upstream != nil:
		start = func(c *child, _ Launch) error { r.startUpstream(ctx, c, p); return nil }
	}
	if err := start(c, l); err != nil {
		c.clear()
		return err
	}
	r.child = c
	data := map[string]any{"agent": r.c.Name, "run": r.run}
	if r.agentID != "" {
		data["resume"] = r.agentID
	}
	r.put(r.draft(typeProcessStart, r.mapper.Turn(), data, r.key()))
	return nil
}

func (r *Runner) startProcess(c *child, l Launch) error {
	p, err := startProcess(processSpec{
		Args: l.Args, Dir: r.c.Dir, Env: append(slices.Clone(r.c.Env), l.Env...), Guard: r.c.Guard, Stderr: r.c.Stderr,
	})
	if err != nil {
		return err
	}
	c.write, c.signal, c.quit = p.Write, p.Signal, p.CloseInput
	if len(l.Input) > 0 {
		if err := p.Write(l.Input); err != nil {
			r.c.Logger.Error("the agent's input is full", "err", err) // it ends for want of its prompt
		}
	}
	if l.OnePrompt {
		p.CloseInput()
	}
	go r.listen(p, c.out)
	return nil
}

// lineMax is the longest line that is taken in one piece; longer ones come in
// several, and none is lost.
const lineMax = store.BlobBytesDefault

// listen passes on the process's lines, and its end after the last of them.
func (r *Runner) listen(p *process, out chan<- outLine) {
	s := agent.NewSplitter(p.Stdout(), lineMax)
	for {
		line, err := s.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.c.Logger.Error("the agent's output broke off", "err", err)
				p.Kill()
			}
			break
		}
		if !r.say(out, outLine{text: bytes.Clone(line.Text), part: line.Part, more: line.More}) {
			p.Kill()
			break
		}
	}
	// Its output may end before it does: what it still has to do is its own
	// affair for a while.
	over := time.NewTimer(r.c.ExitWait)
	defer over.Stop()
	select {
	case <-p.Exited():
	case <-over.C:
	case <-r.over:
	}
	x := p.Wait()
	r.say(out, outLine{exit: &x})
}

// say passes on a line, unless the runner has ended.
func (r *Runner) say(out chan<- outLine, l outLine) bool {
	select {
	case out <- l:
		return true
	case <-r.over:
		return false
	}
}

// startUpstream follows an upstream's stream in the place of a process.
func (r *Runner) startUpstream(ctx context.Context, c *child, p Prompt) {
	ctx, cancel := context.WithCancel(ctx)
	c.write = func([]byte) error { return nil }
	c.quit = cancel
	id := r.turn.queued.turn
	c.signal = func(os.Signal) {
		go func() {
			_ = r.c.Upstream.Stop(ctx, id) // closing the stream is what counts
			cancel()
		}()
	}
	go func() {
		defer cancel()
		t := UpstreamTurn{ID: id, Session: r.c.Session, Text: p.Text, Images: p.Images, Resume: r.agentID}
		err := r.c.Upstream.Turn(ctx, t, func(l UpstreamLine) error {
			if !r.say(c.out, outLine{text: bytes.Clone(l.Data), key: l.Key, event: l.Event}) {
				return errOver
			}
			return nil
		})
		r.say(c.out, outLine{exit: &exit{}, err: err})
	}()
}

// tempFor is a folder for what an agent reads as files, or "".
func (r *Runner) tempFor(p Prompt) (string, error) {
	if len(p.Images) == 0 {
		return "", nil
	}
	return r.temp(), os.MkdirAll(r.temp(), 0o700)
}

// temp is beside the spool, so that what a killed runner left behind is found.
func (r *Runner) temp() string {
	return filepath.Join(filepath.Dir(r.c.SpoolDir), ".tmp-"+filepath.Base(r.c.SpoolDir)) // no session's name begins so
}

// clear removes the child's files.
func (c *child) clear() {
	if c.temp != "" {
		_ = os.RemoveAll(c.temp) // the next runner of the session tries again
	}
}
