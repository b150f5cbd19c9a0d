package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestTurnAsSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t), &collector{}
		tr := r.start(c, t.TempDir(), nil)
		for _, d := range aTurn("t1") {
			time.Sleep(100 * time.Millisecond)
			r.append("s1", d)
		}
		synctest.Wait()
		defer tr.Close()
		all := c.all()
		if len(all) != 4 {
			t.Fatalf("got %d spans, want the agent's, two tools and a request: %+v", len(all), all)
		}
		root := all[0]
		for key, want := range map[string]string{
			"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "anthropic", "gen_ai.agent.name": "claude", "gen_ai.agent.id": "own-1",
			"gen_ai.conversation.id": "s1", "gen_ai.request.model": "claude-opus-5", "gen_ai.usage.input_tokens": "17", "gen_ai.usage.output_tokens": "3",
			"gen_ai.usage.cache_read.input_tokens": "5", "gen_ai.usage.cache_creation.input_tokens": "2", "konlog.turn.cost_usd": "0.25", "konlog.turn": "t1",
			"konlog.turn.tool_calls": "2", "konlog.turn.queue_seconds": "0.1", "error.type": "",
		} {
			if got := root.of(key); got != want {
				t.Errorf("%s: got %q, want %q", key, got, want)
			}
		}
		if root.name != "invoke_agent claude" || root.failed || root.end.Sub(root.start) != 800*time.Millisecond {
			t.Errorf("root: got %s, failed %t, %s", root.name, root.failed, root.end.Sub(root.start))
		}
		task, inner, chat := all[1], all[2], all[3]
		if task.name != "execute_tool Task" || task.parent != root.id || task.failed || task.of("gen_ai.tool.call.id") != "c1" || task.end.Sub(task.start) != 300*time.Millisecond {
			t.Errorf("tool: got %+v", task)
		}
		if inner.name != "execute_tool Read" || inner.parent != task.id || !inner.failed || inner.of("error.type") != "tool_error" {
			t.Errorf("tool of a sub-agent: got %+v", inner)
		}
		if chat.name != "chat claude-opus-5" || chat.parent != root.id || chat.end.Sub(chat.start) != 20*time.Millisecond || chat.of("gen_ai.usage.input_tokens") != "7" {
			t.Errorf("request: got %+v", chat)
		}
		for _, s := range all {
			if s.trace != root.trace {
				t.Error("spans of one turn are in several traces")
			}
			for _, word := range []string{"PROMPT", "SAID", "ARGUMENT", "RESULT", "INNER"} {
				if strings.Contains(s.text(), word) {
					t.Errorf("%s has %s, which nobody asked for", s.name, word)
				}
			}
		}
	})
}

func TestContentWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t), &collector{}
		tr := r.start(c, t.TempDir(), func(c *Config) { c.Content = true })
		defer tr.Close()
		r.append("s1", aTurn("t1")...)
		synctest.Wait()
		all := c.all()
		if len(all) != 4 {
			t.Fatalf("got %d spans", len(all))
		}
		if got, want := all[0].of("gen_ai.input.messages"), `[{"role":"user","parts":[{"type":"text","content":"PROMPT"}]}]`; got != want {
			t.Errorf("input: got %s, want %s", got, want)
		}
		if got, want := all[0].of("gen_ai.output.messages"), `[{"role":"assistant","parts":[{"type":"text","content":"SAID"}],"finish_reason":"stop"}]`; got != want {
			t.Errorf("output: got %s, want %s", got, want)
		}
		if got := all[1].of("gen_ai.tool.call.arguments") + " " + all[1].of("gen_ai.tool.call.result"); got != "ARGUMENT RESULT" {
			t.Errorf("tool: got %s", got)
		}
		if got := all[2].of("gen_ai.tool.call.arguments"); got != `{"file":"INNER"}` {
			t.Errorf("inner tool: got %s", got)
		}
	})
}

func TestFailedTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t), &collector{}
		tr := r.start(c, t.TempDir(), nil)
		defer tr.Close()
		r.append("s1", draft("turn_start", "t1", `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
			draft("turn_end", "t1", `{"success":false,"error":"a path: SECRET"}`),
			draft("turn_start", "t2", `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}`), draft("turn_end", "t2", `{"success":true}`))
		synctest.Wait()
		all := c.all()
		if len(all) != 1 {
			t.Fatalf("got %d spans, want the first turn's: whoever asked for the second does not want it", len(all))
		}
		s := all[0]
		if !s.failed || s.of("error.type") != "error" || strings.Contains(s.text(), "SECRET") {
			t.Errorf("got %+v", s)
		}
		p, _ := parseParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if s.trace != p.trace || s.parent != p.span || !s.remote {
			t.Error("the span is not below the one that asked for the turn")
		}
	})
}

// A collector that is away for a while, and a restart meanwhile: every turn
// arrives, and one that arrives twice is the same spans.
func TestTurnsAtLeastOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dir := newRig(t), t.TempDir()
		r.append("s1", aTurn("before")...)
		c := &collector{refuse: 3}
		tr := r.start(c, dir, nil)
		r.append("s1", aTurn("t1")...)
		r.append("s2", aTurn("t1")...)
		time.Sleep(time.Minute)
		synctest.Wait()
		first := c.named("invoke_agent")
		if len(first) != 2 || c.attempts() != 5 {
			t.Fatalf("got %d turns after %d attempts, want 2 after 5", len(first), c.attempts())
		}
		if n := tr.Counts(); n.Turns != 2 || n.Failed != 3 || n.Exported != 8 || n.Behind != 0 {
			t.Errorf("got %+v", n)
		}
		c.mu.Lock()
		c.refuse = -1
		c.mu.Unlock()
		r.append("s1", aTurn("t2")...)
		time.Sleep(time.Minute)
		if n := tr.Counts(); n.Behind == 0 {
			t.Error("a turn that waits is not counted")
		}
		tr.Close()

		again := &collector{}
		tr = r.start(again, dir, nil)
		synctest.Wait()
		tr.Close()
		if got := again.named("invoke_agent"); len(got) != 1 || got[0].of("konlog.turn") != "t2" {
			t.Fatalf("after the restart: got %d turns, want t2 alone", len(got))
		}

		feed, err := r.log.Session(ctx, store.FeedSession)
		if err != nil {
			t.Fatal(err)
		}
		if err := (cursor{feed.Epoch, 0}).save(dir); err != nil { // as after a power loss
			t.Fatal(err)
		}
		twice := &collector{}
		tr = r.start(twice, dir, nil)
		synctest.Wait()
		tr.Close()
		repeated := twice.named("invoke_agent")
		if len(repeated) != 4 {
			t.Fatalf("got %d turns, want all 4", len(repeated))
		}
		for _, f := range first {
			if !slices.ContainsFunc(repeated, func(s span) bool { return s.trace == f.trace && s.id == f.id }) {
				t.Errorf("%s of %s came with other ids", f.of("konlog.turn"), f.of("gen_ai.conversation.id"))
			}
		}
		if repeated[1].trace == repeated[2].trace {
			t.Error("two sessions' turns of one name are one trace")
		}
	})
}

func TestAppendToFirstReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		r := newRig(t)
		tr := r.start(c, t.TempDir(), func(c *Config) { c.GenAI, c.Sample = false, 1 })
		defer tr.Close()
		begun := time.Now()
		at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }

		stages, done := tr.Appending("", "s1", 2, 30)
		*stages = store.Stages{Queued: at(0), Taken: at(3), Durable: at(8), Announced: at(8), Appends: 5}
		time.Sleep(9 * time.Millisecond)
		done(store.Appended{First: 1, Last: 2}, nil)
		tr.Sent("sse", "s1", 1, 1, at(9))    // of it only the first event
		tr.Sent("sse", "other", 1, 9, at(9)) // another session
		time.Sleep(11 * time.Millisecond)
		tr.Sent("websocket", "s1", 2, 2, at(10))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		all := c.all()
		var names []string
		for _, s := range all {
			names = append(names, s.name)
		}
		if got, want := strings.Join(names, " "), "konlog.append konlog.queue konlog.commit konlog.wake konlog.deliver"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		for i, want := range []time.Duration{9, 3, 5, 2, 10} {
			if got := all[i].end.Sub(all[i].start); got != want*time.Millisecond {
				t.Errorf("%s: got %s, want %d ms", all[i].name, got, want)
			}
			if i > 0 && (all[i].parent != all[0].id || all[i].trace != all[0].trace) {
				t.Errorf("%s is not below the append", all[i].name)
			}
		}
		if all[4].of("konlog.transport") != "websocket" || all[2].of("konlog.commit.requests") != "5" || all[0].kind != kindServer || all[0].of("konlog.last") != "2" {
			t.Errorf("got %+v", all)
		}
	})
}

// A reader may have the events before their producer has its answer.
func TestReaderBeforeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := &collector{}, newRig(t)
		tr := r.start(c, t.TempDir(), func(c *Config) { c.GenAI, c.Sample = false, 1 })
		defer tr.Close()
		_, done := tr.Appending("", "s1", 1, 1)
		tr.Sent("poll", "s1", 7, 7, time.Now())
		done(store.Appended{First: 7, Last: 7}, nil)
		time.Sleep(2 * time.Second)
		if len(c.named(spanDeliver)) != 1 {
			t.Errorf("got %+v", c.all())
		}
		if n := tr.count.Load(); n != 0 || len(tr.sessions) != 0 {
			t.Errorf("%d appends are followed still", n)
		}
	})
}

// Who attached after an append is not told as having been delivered it.
func TestReaderThatCameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, sent := range map[string]func(tr *Tracer, done func()){
			"after the answer":  func(tr *Tracer, done func()) { done(); tr.Sent("sse", "s1", 3, 9, time.Now()) },
			"before the answer": func(tr *Tracer, done func()) { tr.Sent("sse", "s1", 3, 9, time.Now()); done() },
		} {
			c, r := &collector{}, newRig(t)
			tr := r.start(c, t.TempDir(), func(c *Config) { c.GenAI, c.Sample = false, 1 })
			_, done := tr.Appending("", "s1", 2, 1)
			sent(tr, func() { done(store.Appended{First: 1, Last: 2}, nil) })
			time.Sleep(2 * time.Second)
			if got := c.named(spanDeliver); len(got) != 0 || tr.count.Load() != 1 {
				t.Errorf("%s: %d deliveries, %d followed", name, len(got), tr.count.Load())
			}
			tr.Sent("poll", "s1", 1, 9, time.Now())
			time.Sleep(2 * time.Second)
			if got := c.named(spanDeliver); len(got) != 1 || got[0].of("konlog.transport") != "poll" {
				t.Errorf("%s: who was delivered it: %+v", name, got)
			}
			tr.Close()
		}
	})
}

func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := &collector{}, newRig(t)
		tr := r.start(c, t.TempDir(), func(c *Config) { c.GenAI, c.Sample = false, 1 })
		defer tr.Close()
		_, done := tr.Appending("", "s1", 1, 1)
		done(store.Appended{First: 7, Last: 7}, nil)
		_, refused := tr.Appending("", "s1", 1, 1)
		refused(store.Appended{}, store.ErrQueueFull)
		time.Sleep(5 * time.Second)
		if got := c.all(); len(got) != 1 || !got[0].failed || got[0].of("error.type") != "queue_full" {
			t.Errorf("got %+v, want the refused one alone", got)
		}
		time.Sleep(pendingMax)
		if got := c.all(); len(got) != 2 || tr.count.Load() != 0 {
			t.Errorf("got %d spans, %d followed", len(got), tr.count.Load())
		}
	})
}

func TestWhoIsFollowed(t *testing.T) {
	const yes, no = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, c := range []struct {
		parent string
		sample float64
		want   bool
	}{{yes, 0, true}, {no, 1, false}, {"", 0, false}, {"", 1, true}, {"nonsense", 0, false}, {"nonsense", 1, true}} {
		var got []span
		a := newAppends(c.sample, func(s span) { got = append(got, s) })
		_, done := a.Appending(c.parent, "s", 1, 1)
		if (done != nil) != c.want {
			t.Errorf("%q with %v: got %t, want %t", c.parent, c.sample, done != nil, c.want)
		}
		if done != nil {
			done(store.Appended{}, store.ErrQueueFull)
			if c.parent == yes && (!got[0].remote || got[0].parent == spanID{}) {
				t.Error("the producer's span is not above")
			}
		}
	}
}

// A collector that hangs holds nobody up, and no more is kept for it than the
// queue holds.
func TestDeadCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := &collector{hang: make(chan struct{})}, newRig(t)
		tr := r.start(c, t.TempDir(), func(c *Config) { c.Sample = 1 })
		begun := time.Now()
		const appends = 3 * queueSpans
		for range appends {
			_, done := tr.Appending("", "s1", 1, 1)
			done(store.Appended{}, store.ErrQueueFull)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("appends waited for %s", took)
		}
		r.append("s1", aTurn("t1")...)
		if a := r.append("s1", draft("note", "", `{}`)); a.Last == 0 || time.Since(begun) != 0 {
			t.Error("the log waited")
		}
		time.Sleep(time.Second)
		n := tr.Counts()
		if kept := appends - n.Dropped; kept > queueSpans+batchSpans || n.Dropped == 0 {
			t.Errorf("%d spans are kept, %d dropped", kept, n.Dropped)
		}
		closed := time.Now()
		tr.Close()
		if took := time.Since(closed); took > closeTimeout {
			t.Errorf("closing took %s", took)
		}
		if n := tr.Counts(); n.Dropped != appends || n.Exported != 0 {
			t.Errorf("at the end: got %+v", n)
		}
	})
}

func TestParent(t *testing.T) {
	for text, want := range map[string]bool{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":   true,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00":   true,
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x": true, // a later version may say more
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x": false,
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":   false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":   false,
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01":    false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1":    false,
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01":   false,
		"": false, "-": false, "---": false,
	} {
		if _, ok := parseParent(text); ok != want {
			t.Errorf("%q: got %t, want %t", text, ok, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for usage, want := range map[string]tokens{
		`{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":3,"modelUsage":{"m":{}}}`: {input: 17, output: 3, cacheRead: 5, cacheWrite: 2, known: true, models: []string{"m"}},
		`{"input_tokens":10,"cached_input_tokens":6,"output_tokens":3,"reasoning_output_tokens":2}`:                               {input: 10, output: 3, cacheRead: 6, reasoning: 2, known: true},
		`{"input":523,"output":4,"reasoning":36,"cacheRead":8192,"cacheWrite":0}`:                                                 {input: 8715, output: 40, cacheRead: 8192, reasoning: 36, known: true},
		`{"input_tokens":4852,"output_tokens":164,"cached":700,"models":{"b":{},"a":{}}}`:                                         {input: 4852, output: 164, cacheRead: 700, known: true, models: []string{"a", "b"}},
		`{"inputTokens":3.0}`:                     {input: 3, known: true},
		`{"input_tokens":-1,"output_tokens":"x"}`: {}, `[]`: {}, ``: {}, `null`: {},
	} {
		got := readUsage(json.RawMessage(usage))
		if g, w := text(got), text(want); g != w {
			t.Errorf("%s: got %s, want %s", usage, g, w)
		}
	}
	for _, c := range [][3]string{{"claude-opus-5", "", "anthropic"}, {"anthropic/claude-x", "opencode", "anthropic"}, {"", "codex", "openai"}, {"gemini-2.5-pro", "gemini", "gcp.gemini"},
		{"opencode/big-pickle", "codex", ""}, {"", "opencode", ""}, {"", "", ""}} {
		if got := providerOf(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func text(t tokens) string {
	b, _ := json.Marshal([]any{t.input, t.output, t.cacheRead, t.cacheWrite, t.reasoning, t.known, t.models})
	return strings.Replace(string(b), "[]", "null", 1)
}

// What is in the file of headers is told to the collector and to nobody else.
func TestHeadersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# a comment\n\nAuthorization: Bearer SECRET:1\r\nX-Scope: a\n")
	c := Config{Endpoint: "https://collector.test", HeadersFile: file}
	got, err := c.headers()
	if err != nil || len(got) != 2 || got["Authorization"] != "Bearer SECRET:1" || got["X-Scope"] != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	if c.target() != "https://collector.test/v1/traces" {
		t.Errorf("got %s", c.target())
	}
	for _, text := range []string{"SECRET without a colon\n", ": SECRET\n", "two words: SECRET\n", strings.Repeat("a: SECRET\n", headerBytesMax)} {
		write(text)
		if err := c.Check(); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%.20q: got %v", text, err)
		}
	}
	for _, endpoint := range []string{"", "collector:4318", "ftp://collector", "http://", "http://me:SECRET@collector"} {
		c := Config{Endpoint: endpoint}
		if err := c.Check(); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

// A collector that is away is told once, not per span.
func TestQuietAboutAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, r := &collector{refuse: 5}, newRig(t)
		tr := r.start(c, t.TempDir(), func(c *Config) {
			c.GenAI, c.Sample, c.Logger = false, 1, slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 6 {
			_, done := tr.Appending("", "s1", 1, 1)
			done(store.Appended{}, store.ErrQueueFull)
			time.Sleep(2 * batchWait)
		}
		tr.Close()
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "again") {
			t.Errorf("got %s", log.String())
		}
	})
}

// unreadable are turns that cannot be read.
type unreadable struct {
	store.Turns
	asked atomic.Int64
}

func (u *unreadable) Turn(context.Context, string, string) (*store.Turn, error) {
	u.asked.Add(1)
	return nil, store.ErrStorageFailed
}

// A turn that cannot be read is tried less and less often.
func TestUnreadableTurnBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, turns := newRig(t), &unreadable{}
		tr := r.start(&collector{}, t.TempDir(), func(c *Config) {
			c.Turns, c.Logger = turns, slog.New(slog.NewTextHandler(&log, nil))
		})
		r.append("s1", aTurn("t1")...)
		time.Sleep(5 * time.Minute)
		tr.Close()
		if n := strings.Count(log.String(), "not exported for now"); n < 5 || n > 12 || int64(n) != turns.asked.Load() {
			t.Errorf("told %d times in 5 minutes, asked %d times", n, turns.asked.Load())
		}
	})
}
