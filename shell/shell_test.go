//go:build !windows

package shell

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

func TestMain(m *testing.M) {
	long.Waits()
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for a real program.
const patience = 30 * time.Second

// faulty is a log that can be made to refuse.
type faulty struct {
	*memory.Log
	mu     sync.Mutex
	refuse func([]store.Draft) error
}

func (l *faulty) Append(ctx context.Context, session string, o store.AppendOptions, drafts ...store.Draft) (store.Appended, error) {
	l.mu.Lock()
	refuse := l.refuse
	l.mu.Unlock()
	if refuse != nil {
		if err := refuse(drafts); err != nil {
			return store.Appended{}, err
		}
	}
	return l.Log.Append(ctx, session, o, drafts...)
}

func (l *faulty) set(refuse func([]store.Draft) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}

// desk is a manager over a log, as somebody sits before it.
type desk struct {
	t   *testing.T
	log *faulty
	hub *stream.Hub
	m   *Manager
}

func newDesk(t *testing.T, change func(*Config)) *desk {
	hub := stream.NewHub()
	d := &desk{t: t, hub: hub, log: &faulty{Log: memory.New(memory.Options{Committed: hub.Committed})}}
	c := Config{Log: d.log, Hub: hub, Command: []string{"/bin/sh"}, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), "PS1=> "}}
	if change != nil {
		change(&c)
	}
	d.m = NewManager(c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d.m.Close(ctx)
		if n := d.m.Running(); n != 0 {
			t.Errorf("%d shells run after Close", n)
		}
	})
	return d
}

func (d *desk) open(spec Spec) string {
	d.t.Helper()
	spec.Session = cmp.Or(spec.Session, "s1")
	session, err := d.m.Open(d.t.Context(), spec)
	if err != nil {
		d.t.Fatal(err)
	}
	return session
}

func (d *desk) types(session, text string) {
	d.t.Helper()
	draft := store.Draft{Type: store.TypeTerminalInput, Data: mustJSON(map[string]string{"text": text})}
	if _, err := d.log.Log.Append(d.t.Context(), session, store.AppendOptions{}, draft); err != nil {
		d.t.Fatal(err)
	}
}

// until reads the session until done says so, or it takes too long. It gives
// the events and all that was printed.
func (d *desk) until(session, what string, done func(events []store.Event, screen string) bool) ([]store.Event, string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	tail := stream.NewTail(d.log, d.hub, session, 0)
	defer tail.Close()
	var events []store.Event
	var screen bytes.Buffer
	for {
		b, err := tail.Next(ctx, patience)
		if err != nil {
			d.t.Fatalf("%s: %v after %q", what, err, screen.String())
		}
		for _, e := range b.Events {
			events = append(events, e)
			if e.Type == store.TypeTerminalOutput {
				screen.Write(typed(&e))
			}
		}
		if done(events, screen.String()) {
			return events, screen.String()
		}
	}
}

func shows(text string) func([]store.Event, string) bool {
	return func(_ []store.Event, screen string) bool { return strings.Contains(screen, text) }
}

func exited(events []store.Event, _ string) bool {
	return len(events) > 0 && events[len(events)-1].Type == store.TypeTerminalExit
}

func TestShellIsItsSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Cols: 100, Rows: 30, By: "somebody"})
	d.types(s, "stty size; echo $((6*7)); echo $KONLOG_SESSION\n")
	d.until(s, "the first answers", func(_ []store.Event, screen string) bool {
		return strings.Contains(screen, "30 100") && strings.Contains(screen, "42") && strings.Contains(screen, s)
	})
	if _, err := d.log.Log.Append(t.Context(), s, store.AppendOptions{}, store.Draft{Type: store.TypeTerminalResize, Data: []byte(`{"cols":77,"rows":20}`)}); err != nil {
		t.Fatal(err)
	}
	d.types(s, "stty size\n")
	d.until(s, "another size", shows("20 77"))
	d.types(s, "exit 3\n")
	events, _ := d.until(s, "the end", exited)
	if data := string(events[0].Data); events[0].Type != store.TypeTerminalStart || !strings.Contains(data, `"by":"somebody"`) || !strings.Contains(data, `"cols":100`) {
		t.Errorf("it begins with %s %s", events[0].Type, data)
	}
	if last := events[len(events)-1]; string(last.Data) != `{"exitCode":3,"reason":"exit"}` {
		t.Errorf("it ends with %s", last.Data)
	}
	session, err := d.log.Session(t.Context(), s)
	if err != nil || !slices.Contains(session.Tags, store.TagShell) || session.Title != "Terminal: sh" {
		t.Errorf("the session is %+v, %v", session, err)
	}
}

// Bytes are bytes: what is no UTF-8 comes back as it was.
func TestShellKeepsBytes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", `printf 'a\377\000b\342\202'; printf '\254'`}})
	events, screen := d.until(s, "the end", exited)
	if screen != "a\xff\x00b€" {
		t.Errorf("it printed %q in %d events", screen, len(events))
	}
}

func TestShellSignal(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "kill -9 $$"}})
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); last != `{"exitCode":-1,"reason":"exit","signal":"SIGKILL"}` {
		t.Errorf("it ends with %s", last)
	}
}

// ^C and ^D are typed as they are on a keyboard.
func TestShellControlKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{})
	d.types(s, "trap 'echo interrupted' INT; cat; echo after\n")
	d.types(s, "echoed by cat\n")
	d.until(s, "cat", func(_ []store.Event, screen string) bool { return strings.Count(screen, "echoed by cat") >= 2 })
	d.types(s, "\x03")
	d.until(s, "the interrupt", shows("interrupted\r\n"))
	d.types(s, "\x04")
	d.until(s, "the end", exited)
}

func TestShellEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"closed", "deleted"} {
		t.Run(end, func(t *testing.T) {
			d := newDesk(t, nil)
			s := d.open(Spec{})
			d.types(s, "echo pid=$$.\n")
			pid := d.number(s, `pid=(\d+)\.`)
			if end == "closed" {
				_, err := d.log.Log.Append(t.Context(), s, store.AppendOptions{}, store.Draft{Type: store.TypeSessionClosed, Data: []byte("{}")})
				if err != nil {
					t.Fatal(err)
				}
			} else if err := d.log.DeleteSession(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			gone(t, pid)
		})
	}
}

// A program that reads nothing, into which more is typed than it may hold, ends
// with its session all the same.
func TestShellThatDoesNotRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "stty raw -echo; echo ready; exec sleep 3600"}})
	d.until(s, "the program", shows("ready"))
	for range 20 {
		d.types(s, strings.Repeat("x", 64<<10))
	}
	if _, err := d.log.Log.Append(t.Context(), s, store.AppendOptions{}, store.Draft{Type: store.TypeSessionClosed, Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); d.m.Running() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it runs on")
		}
	}
}

// What a shell has put into the background, deaf to its end, ends with it.
func TestShellTakesItsJobsWithIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only there are they found")
	}
	d := newDesk(t, nil)
	s := d.open(Spec{})
	d.types(s, "set -m; (trap '' HUP; exec sleep 3600) & echo job=$!.\n")
	pid := d.number(s, `job=(\d+)\.`)
	if _, err := d.log.Log.Append(t.Context(), s, store.AppendOptions{}, store.Draft{Type: store.TypeSessionClosed, Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

// number waits until the screen shows one.
func (d *desk) number(session, pattern string) (n int) {
	d.t.Helper()
	d.until(session, pattern, func(_ []store.Event, screen string) bool {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(screen); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		return n > 0
	})
	return n
}

// gone waits for the end of a process that somebody else waits for.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) { // another process: only the kernel knows
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(state), ") Z ") {
			return // its parent, which is not ours, has yet to look
		}
	}
}

func TestShellIdle(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.Idle = 300 * time.Millisecond })
	s := d.open(Spec{})
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); !strings.Contains(last, `"reason":"idle"`) {
		t.Errorf("it ends with %s", last)
	}
}

func TestShellEndsWithItsKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.m.beat = 10 * time.Millisecond
	var revoked atomic.Bool
	s := d.open(Spec{Revoked: revoked.Load})
	d.types(s, "echo $((6*7000))\n")
	d.until(s, "a word", shows("42000"))
	revoked.Store(true)
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); !strings.Contains(last, `"reason":"revoked"`) {
		t.Errorf("it ends with %s", last)
	}
}

// A log that takes nothing for a while holds the program up, and nothing that it
// prints is lost or twice.
func TestShellWaitsForTheLog(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	refused := 0
	d.log.set(func(drafts []store.Draft) error {
		if drafts[0].Type == store.TypeTerminalOutput && refused < 2 {
			refused++
			return store.Errorf(store.CodeStorageFull, "full")
		}
		return nil
	})
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done"}})
	_, screen := d.until(s, "the end", exited)
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "line %d\r\n", i+1)
	}
	if screen != want.String() || refused != 2 {
		t.Errorf("%d bytes after %d refusals, want %d", len(screen), refused, want.Len())
	}
}

// A job that prints for ever is not taken for the program, whose end is told.
func TestShellWhoseJobPrintsOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "trap '' HUP; while :; do echo more; sleep 0.05; done & echo left"}})
	d.until(s, "the end", exited)
}

// The rate does not hold up the end.
func TestShellEndsWhateverItsRate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.Rate = 100 })
	s := d.open(Spec{Command: []string{"yes"}})
	d.until(s, "output", func(_ []store.Event, screen string) bool { return screen != "" })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d.m.Close(ctx)
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); !strings.Contains(last, `"reason":"stopped"`) || ctx.Err() != nil {
		t.Errorf("it ends with %s, %v", last, ctx.Err())
	}
}

// A program that prints without end is slowed to the rate.
func TestShellRate(t *testing.T) {
	t.Parallel()
	const rate = 200 << 10
	d := newDesk(t, func(c *Config) { c.Rate = rate })
	began := time.Now()
	s := d.open(Spec{Command: []string{"yes"}})
	d.until(s, "output", func(_ []store.Event, screen string) bool { return len(screen) > rate })
	if took := time.Since(began); took < time.Second/2 {
		t.Errorf("%d bytes came in %v", rate, took)
	}
}

// What a program leaves behind in the background does not keep its end from
// being told.
func TestShellThatLeavesAChildBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "trap '' HUP; sleep 60 & echo left"}})
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); last != `{"exitCode":0,"reason":"exit"}` {
		t.Errorf("it ends with %s", last)
	}
}

func TestShellsAreBounded(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.Shells = 1 })
	s := d.open(Spec{Session: "one"})
	if _, err := d.m.Open(t.Context(), Spec{Session: "one"}); store.CodeOf(err) != store.CodeExists {
		t.Errorf("a second shell of the session: %v", err)
	}
	if _, err := d.m.Open(t.Context(), Spec{Session: "two"}); store.CodeOf(err) != store.CodeShellsFull {
		t.Errorf("a shell too many: %v", err)
	}
	d.types(s, "exit\n")
	d.until(s, "the end", exited)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // its place is free a moment after its last event
		_, err := d.m.Open(t.Context(), Spec{Session: "one"}) // again, in the same session
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestShellRefusals(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	if _, _, err := d.log.CreateSession(t.Context(), "chat", store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec Spec
		code store.Code
	}{
		"no such program":   {Spec{Command: []string{"/no/such/program"}}, store.CodeShellFailed},
		"no such directory": {Spec{Dir: "/no/such/dir"}, store.CodeInvalidShell},
		"a huge screen":     {Spec{Cols: sideMax + 1}, store.CodeInvalidShell},
		"a negative screen": {Spec{Rows: -1}, store.CodeInvalidShell},
		"many words":        {Spec{Command: make([]string, ArgsMax+1)}, store.CodeInvalidShell},
		"a conversation":    {Spec{Session: "chat"}, store.CodeInvalidShell},
		"no session's name": {Spec{Session: "_x"}, store.CodeInvalidSession},
	} {
		c.spec.Session = cmp.Or(c.spec.Session, "s2")
		if _, err := d.m.Open(t.Context(), c.spec); store.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.log.set(func([]store.Draft) error { return store.ErrStorageFull })
	if _, err := d.m.Open(t.Context(), Spec{Session: "s2"}); !errors.Is(err, store.ErrStorageFull) {
		t.Errorf("on a full disk: %v", err)
	}
	d.log.set(nil)
	if n := d.m.Running(); n != 0 {
		t.Errorf("%d places are taken", n)
	}
	if _, err := d.log.Session(t.Context(), "s2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what did not start left a session: %v", err)
	}
	// What is no input says nothing, and ends nothing.
	s := d.open(Spec{})
	for _, data := range []string{`{}`, `7`, `{"bytes":"%"}`, `{"text":7}`} {
		if _, err := d.log.Log.Append(t.Context(), s, store.AppendOptions{}, store.Draft{Type: store.TypeTerminalInput, Data: json.RawMessage(data)},
			store.Draft{Type: store.TypeTerminalResize, Data: []byte(`{"cols":0,"rows":100000}`)}); err != nil {
			t.Fatal(err)
		}
	}
	d.types(s, "echo still $((1+1))\n")
	d.until(s, "an answer", shows("still 2"))
}

// The shells of a server that was killed are told to be over when it is back.
func TestRecover(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	start := store.Draft{Type: store.TypeTerminalStart, Data: []byte(`{}`)}
	for id, drafts := range map[string][]store.Draft{
		"open": {start, outputDraft([]byte("half a l"))}, "over": {start, exitDraft(map[string]any{"reason": "exit"})}, "again": {start, exitDraft(nil), start}, "empty": nil,
	} {
		if _, _, err := d.log.CreateSession(t.Context(), id, store.SessionSpec{Tags: []string{store.TagShell}}); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if id == "open" {
				drafts = append(drafts, outputDraft([]byte("x")))
			}
		}
		if len(drafts) > 0 {
			if _, err := d.log.Log.Append(t.Context(), id, store.AppendOptions{}, drafts...); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := false
	d.log.set(func([]store.Draft) error { // one of them, once: the server is to start all the same
		if refused {
			return nil
		}
		refused = true
		return store.ErrStorageFull
	})
	for range 3 {
		if err := d.m.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !refused {
		t.Error("no end was refused")
	}
	for id, want := range map[string]int{"open": 1, "over": 1, "again": 2, "empty": 0} {
		page, err := d.log.Read(t.Context(), id, store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range page.Events {
			if e.Type == store.TypeTerminalExit {
				n++
			}
		}
		if n != want {
			t.Errorf("%s has %d ends, want %d", id, n, want)
		}
	}
}

func TestCloseEndsShells(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	s := d.open(Spec{Command: []string{"/bin/sh", "-c", "trap '' HUP TERM; echo deaf; while :; do sleep 1; done"}})
	d.until(s, "the trap", shows("deaf"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d.m.Close(ctx)
	events, _ := d.until(s, "the end", exited)
	if last := string(events[len(events)-1].Data); !strings.Contains(last, `"reason":"stopped"`) {
		t.Errorf("it ends with %s", last)
	}
	if _, err := d.m.Open(t.Context(), Spec{Session: "late"}); !errors.Is(err, store.ErrShutdown) {
		t.Errorf("a shell of a closed manager: %v", err)
	}
}
