package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	agentsMany = 100
	agentRate  = 50 // lines/s of each

	// agentBegin is how long an agent may take to begin its turn beside all the
	// others: lines within that time count as lines, but not as delays.
	agentBegin    = 20 * time.Millisecond
	agentsSettle  = time.Second
	agentLagMax   = 50 // ms
	agentEndsWait = 30 * time.Second
)

// agentStamp is the place of the time in a recorded line, as konlog fake-agent
// --stamp fills it in, between two marks.
const (
	agentStamp     = "0000000000000000000"
	agentStampMark = "@"
)

// runAgents measures how long a line is on its way from an agent's print to a
// reader: with agents that the server runs, and with a runner's process each.
// Server, runners and agents share both cores.
func runAgents(t *trial) error {
	if err := t.agents("run by the server", false); err != nil {
		return err
	}
	t.stop()
	if err := os.RemoveAll(t.data); err != nil {
		return err
	}
	return t.agents("run by konlog run", true)
}

// crew is the agents of one measurement.
type crew struct {
	t       *trial
	n       int
	lines   int // of each agent
	file    string
	wall    int64 // what is added to now() to have the time of the day
	from    atomic.Int64
	to      atomic.Int64
	ready   atomic.Int64 // agents that run
	begun   atomic.Int64 // agents whose first line has come
	delays  *histogram
	readers []*reader
	seen    []atomic.Int64 // lines of each agent
	runners []*exec.Cmd
}

func (t *trial) agents(how string, apart bool) (err error) {
	n := t.size(4, agentsMany)
	span := t.duration + agentsSettle + time.Duration(n)*agentBegin
	c := &crew{t: t, n: n, lines: int(span.Seconds() * agentRate), delays: &histogram{}, seen: make([]atomic.Int64, n)}
	c.wall = time.Now().UnixNano() - now()
	if err := os.MkdirAll(t.data, 0o700); err != nil {
		return err
	}
	c.file = filepath.Join(t.data, "agent.jsonl")
	if err := os.WriteFile(c.file, recordingOf(c.lines), 0o600); err != nil {
		return err
	}
	if err := c.serve(apart); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	if apart {
		if err := c.hire(); err != nil {
			return err
		}
	}
	all, err := gather(t.ctx, t.addr, c.readers)
	if err != nil {
		return err
	}
	r := Result{Did: fmt.Sprintf("%d agents at %d lines/s, %s", n, agentRate, how), Unit: "lines/s", Target: p99AtMost(agentLagMax)}
	err = c.measure(all, &r)
	if left := all.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	return t.report(r)
}

// serve starts the server on both cores, with agents of its own unless they
// are apart.
func (c *crew) serve(apart bool) error {
	args := serveArgs(filepath.Join(c.t.data, "log"))
	if !apart {
		args = append(args, "--agents-max", strconv.Itoa(c.n),
			"--agent", fmt.Sprintf("bench:claude='%s' fake-agent '%s' --stamp --gap-max 0", c.t.program, c.file))
	}
	s, err := startServer(c.t.ctx, c.t.program, args, c.t.procs, c.t.both())
	if err != nil {
		return err
	}
	c.t.server, c.t.addr = s, s.addr
	return nil
}

// both lets what is started use the two cores.
func (t *trial) both() *cores {
	if t.cores == nil {
		return nil
	}
	both := *t.cores
	both.shared = true
	return &both
}

// recordingOf is an agent that says so many lines after its second prompt. The
// first one is there to have it started.
func recordingOf(lines int) []byte {
	var b bytes.Buffer
	at := 0.0
	say := func(dir, msg string) { fmt.Fprintf(&b, `{"t_ms":%g,"dir":"%s","msg":%s}`+"\n", at, dir, msg) }
	rest := `,"session_id":"bench","parent_tool_use_id":null,"uuid":`
	say("in", `{"type":"user","message":{"role":"user","content":"start"}}`)
	say("out", `{"type":"result","subtype":"success","is_error":false,"result":"","session_id":"bench","uuid":"ready"}`)
	say("in", `{"type":"user","message":{"role":"user","content":"go"}}`)
	say("out", `{"type":"stream_event","event":{"type":"message_start","message":{"id":"msg_1"}}`+rest+`"begin"}`)
	say("out", `{"type":"stream_event","event":{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`+rest+`"block"}`)
	for i := range lines {
		at += 1000.0 / agentRate
		text := agentStampMark + agentStamp + agentStampMark + strings.Repeat(" konlog", 2)
		say("out", fmt.Sprintf(`{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}%s"00000000-0000-4000-8000-%012d"}`, text, rest, i))
	}
	say("out", `{"type":"result","subtype":"success","is_error":false,"result":"","session_id":"bench","uuid":"end"}`)
	return b.Bytes()
}

// open makes the sessions and their readers.
func (c *crew) open() error {
	for i := range c.n {
		session := c.t.session(i)
		if err := c.ask(http.MethodPut, "/v1/sessions/"+session, `{"meta":{"agent":"bench"}}`); err != nil {
			return err
		}
		c.readers = append(c.readers, &reader{session: session, carrier: carrierWS, taken: c.taker(i)})
	}
	return nil
}

// ask sends one request of the preparations.
func (c *crew) ask(method, path, body string) error {
	req, err := http.NewRequestWithContext(c.t.ctx, method, "http://"+c.t.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, answer.StatusCode, text)
	}
	return err
}

// taker counts the lines of one agent, and how long each was on its way.
func (c *crew) taker(i int) func([]byte, int64) error {
	last := int64(0)
	return func(event []byte, at int64) error {
		sent, ok := stampIn(event)
		if !ok {
			if last == 0 && bytes.Contains(event, []byte(`"type":"turn_end"`)) {
				c.ready.Add(1)
			}
			return nil
		}
		if sent < last {
			return errors.New("a line that was printed before the one before it")
		}
		last = sent
		if c.seen[i].Add(1) == 1 {
			c.begun.Add(1)
		}
		sent -= c.wall
		if from := c.from.Load(); from != 0 && sent >= from && sent < c.to.Load() {
			c.delays.record(at - sent)
		}
		return nil
	}
}

// stampIn finds the time in an event of a line's text.
func stampIn(event []byte) (int64, bool) {
	i := bytes.Index(event, []byte(`"text":"`+agentStampMark))
	if i < 0 {
		return 0, false
	}
	n, rest := digits(event[i+len(`"text":"`+agentStampMark):])
	return n, n > 0 && bytes.HasPrefix(rest, []byte(agentStampMark))
}

// hire starts a runner's process for each session.
func (c *crew) hire() error {
	for _, r := range c.readers {
		cmd := exec.Command(c.t.program, "run", "--server", "http://"+c.t.addr, "--session", r.session, "--agent", "claude", "--quiet",
			"--spool", filepath.Join(c.t.data, "spool"), "--", c.t.program, "fake-agent", c.file, "--stamp", "--gap-max", "0")
		var err error
		if both := c.t.both(); both != nil {
			err = startPinned(cmd, *both)
		} else {
			err = cmd.Start()
		}
		if err != nil {
			return fmt.Errorf("start a runner: %w", err)
		}
		c.runners = append(c.runners, cmd)
	}
	return nil
}

// dismiss ends the runners in order, all at the same time.
func (c *crew) dismiss() error {
	errs := make([]error, len(c.runners))
	var wait sync.WaitGroup
	for i, cmd := range c.runners {
		wait.Go(func() {
			late := time.AfterFunc(agentEndsWait, func() { _ = cmd.Process.Kill() })
			defer late.Stop()
			_ = cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended, which Wait tells
			errs[i] = cmd.Wait()
		})
	}
	wait.Wait()
	return firstOf(errs)
}

// measure starts the agents, lets all of them talk, and takes the delays.
func (c *crew) measure(all *crowd, r *Result) error {
	ctx, cancel := context.WithTimeout(c.t.ctx, settleMax)
	defer cancel()
	for _, count := range []*atomic.Int64{&c.ready, &c.begun} {
		if err := c.prompt(); err != nil {
			return err
		}
		if err := until(ctx, func() bool { return int(count.Load()) == c.n || all.err() != nil }); err != nil {
			return fmt.Errorf("%d of %d agents talk: %w", count.Load(), c.n, err)
		}
	}
	from := now() + int64(agentsSettle)/2
	c.to.Store(from + int64(c.t.duration))
	c.from.Store(from)
	if err := c.t.pause(agentsSettle / 2); err != nil {
		return err
	}
	u := c.t.usage()
	if err := c.t.pause(c.t.duration); err != nil {
		return err
	}
	u.into(r)
	r.Value = float64(c.delays.count()) / c.t.duration.Seconds()
	if err := c.complete(all); err != nil {
		return err
	}
	r.latency(c.delays)
	r.Note = fmt.Sprintf("of %s/s due; longest %s ms; %d lines, none lost", number(float64(c.n*agentRate)), number(float64(c.delays.quantile(1))/1e6), c.n*c.lines)
	return nil
}

// prompt prompts all agents at once, so that none has ended when the last one
// begins.
func (c *crew) prompt() error {
	errs := make([]error, c.n)
	var wait sync.WaitGroup
	for i, r := range c.readers {
		wait.Go(func() { errs[i] = c.ask(http.MethodPost, "/v1/sessions/"+r.session+"/prompts", `{"text":"go"}`) })
	}
	wait.Wait()
	return firstOf(errs)
}

// complete waits until every line of every agent has come, and wants no more.
func (c *crew) complete(all *crowd) error {
	span := time.Duration(c.lines) * time.Second / agentRate
	ctx, cancel := context.WithTimeout(c.t.ctx, span+settleMax)
	defer cancel()
	for i := range c.seen {
		err := until(ctx, func() bool { return c.seen[i].Load() >= int64(c.lines) || all.err() != nil })
		if failed := all.err(); failed != nil {
			return failed
		}
		if got := c.seen[i].Load(); err != nil || got != int64(c.lines) {
			return errors.Join(fmt.Errorf("session %s has %d of an agent's %d lines", c.readers[i].session, got, c.lines), err)
		}
	}
	return nil
}
