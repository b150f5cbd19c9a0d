package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// heard is told of the child's output.
func (r *Runner) heard(l outLine) {
	if l.exit != nil {
		r.exited(*l.exit, l.err)
		return
	}
	clean := l.text
	if r.c.Redact != nil {
		var took map[string]int
		clean, took = r.c.Redact(l.text)
		for name, n := range took {
			r.took[name] += n
		}
	}
	key := l.key
	if key == "" {
		key = "run:" + r.run + ":line:" + r.key()
	}
	open := r.mapper.Turn()
	drafts, meaning := r.mapped(l, clean, key)
	r.note(&meaning, clean)
	if reply := r.child.driver.Heard(l.text, meaning); len(reply) > 0 {
		if err := r.child.write(reply); err != nil {
			r.c.Logger.Error("a reply did not reach the agent", "err", err)
		}
	}
	r.put(drafts...)
	switch now := r.mapper.Turn(); {
	case now == "" && open != "":
		r.finished()
	case now != open:
		r.touchAt = time.Now().Add(r.c.Lease / 3)
	}
}

// mapped makes the events of a line.
func (r *Runner) mapped(l outLine, clean []byte, key string) ([]store.Draft, agent.Meaning) {
	if l.part > 0 {
		data := mustJSON(linePart{Part: l.part, More: l.more, Encoding: "base64", Bytes: clean})
		return []store.Draft{{Key: key, Type: agent.TypeLine, Turn: r.mapper.Turn(), Data: data}}, agent.Meaning{}
	}
	if again, ok := r.child.driver.(Repeater); ok && again.Repeats(l.text) {
		d := agent.Lines(clean)
		d.Turn, d.Key = r.mapper.Turn(), key
		return []store.Draft{d}, agent.Meaning{}
	}
	drafts, meaning := r.mapper.Map(clean, key)
	if l.event != "" && drafts[0].Type == agent.TypeLine {
		drafts[0].Raw = bytes.Clone(clean)
		drafts[0].Data = eventData(l.event, drafts[0].Data)
	}
	return drafts, meaning
}

// linePart is a part of a line over lineMax. It goes on its way to a blob.
type linePart struct {
	Part     int    `json:"part"` // 1, 2, 3 …
	More     bool   `json:"more,omitempty"`
	Encoding string `json:"encoding"`
	Bytes    []byte `json:"bytes"`
}

// eventData keeps the name that an upstream gives to a line that says nothing
// neutral.
func eventData(name string, data []byte) []byte {
	return mustJSON(struct {
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
	}{name, data})
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

// note keeps what later decisions need of a line.
func (r *Runner) note(m *agent.Meaning, line []byte) {
	if r.format() == agent.FormatLines && len(r.output)+len(line) < outputMax {
		r.output = append(append(r.output, line...), '\n')
	}
	if m.Place == agent.Work && m.End == nil {
		r.child.resumed = "" // it works, so it found its conversation
	}
	for i := range m.Events {
		e := store.Event{Type: m.Events[i].Type, Data: m.Events[i].Data}
		switch e.Type {
		case store.TypeSessionInit:
			if id := e.Text("sessionId"); id != "" {
				r.agentID, r.child.resumed = id, ""
			}
		case store.TypeTaskStart:
			if len(r.tasks) < tasksMax {
				r.tasks[m.Events[i].Task] = true
			}
		case store.TypeTaskEnd:
			delete(r.tasks, m.Events[i].Task)
		}
	}
}

// tasksMax bounds the running tasks of a process that are ended with it.
const tasksMax = 1000

// exited is told that the child is gone, after its last line. It ends what
// only the child could have ended.
func (r *Runner) exited(x exit, err error) {
	halted := r.halt != nil || r.child.quits && !r.child.late
	stopped := r.halt != nil && !r.halt.process
	if r.child.late {
		err = fmt.Errorf("the agent did not get ready within %s", r.c.ReadyWait)
	}
	r.child.clear()
	if r.child.resumed != "" && !halted {
		r.agentID = "" // it did not go on with it: the next one begins anew
	}
	r.child = nil
	for _, task := range slices.Sorted(maps.Keys(r.tasks)) {
		r.put(r.draft(store.TypeTaskEnd, r.mapper.Turn(), map[string]any{"taskId": task, "status": "killed", "success": false}, r.key()))
	}
	clear(r.tasks)
	r.put(r.draft(store.TypeProcessExit, r.mapper.Turn(), r.exitData(x, halted), r.key()))
	clear(r.took)
	r.halt = nil
	if r.mapper.Turn() == "" {
		return
	}
	e := agent.End{Reason: "exit", Error: exitText(x, err), Text: strings.TrimRight(string(r.output), "\n")}
	plain := r.format() == agent.FormatLines
	switch {
	case plain && x.Code == 0 && x.Signal == "" && err == nil && !stopped:
		e.Success, e.Reason, e.Error = true, "", ""
	case stopped:
		e.Reason, e.Error = "", "" // the mapper knows that it was stopped
	case err != nil:
		e.Reason = "error"
	}
	r.finish(e)
}

// exitData is the data of process_exit.
func (r *Runner) exitData(x exit, halted bool) map[string]any {
	data := map[string]any{"exitCode": x.Code, "reason": "exit"}
	switch {
	case halted:
		data["reason"] = "stopped"
	case x.Signal != "":
		data["reason"] = "signal"
	}
	if x.Signal != "" {
		data["signal"] = x.Signal
	}
	if text := r.clean(x.Stderr); text != "" {
		data["stderr"] = text
	}
	if len(r.took) > 0 {
		data["redacted"] = maps.Clone(r.took)
	}
	if unknown := r.mapper.Unknown(); len(unknown) > 0 {
		data["unknown"] = unknown // kinds of lines, since the runner began
	}
	return data
}

// clean takes the secrets out of what the agent printed beside its lines.
func (r *Runner) clean(text string) string {
	if r.c.Redact == nil || text == "" {
		return text
	}
	b, took := r.c.Redact([]byte(text))
	for name, n := range took {
		r.took[name] += n
	}
	return string(b)
}

// exitText says why a turn ended that the agent did not end.
func exitText(x exit, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case x.Signal != "":
		return "the agent was ended by " + x.Signal + " before the turn was over"
	case x.Code != 0:
		return "the agent exited with code " + strconv.Itoa(x.Code) + " before the turn was over"
	}
	return "the agent exited before the turn was over"
}
