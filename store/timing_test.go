package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// timing is the reference: it looks at every stretch between two moments and
// asks what was going on in it.
func (r *reference) timing(now time.Time) store.Timing {
	var m store.Timing
	if len(r.live) == 0 {
		return m
	}
	last := len(r.live) - 1
	end := r.at[last]
	if !r.ended {
		end = max(end, now.UnixMilli())
	}
	start, began := r.start()
	asked := slices.IndexFunc(r.live, func(e store.Event) bool { return e.Type == "prompt" })
	if asked >= 0 && (!began || asked <= start) {
		m.QueueMs = end - r.at[asked]
		if began {
			m.QueueMs = r.at[start] - r.at[asked]
		}
	}
	tools, calls := r.tools()
	m.ToolCallCount = calls
	if !began {
		return m
	}
	heard := slices.IndexFunc(r.live[start:], func(e store.Event) bool { return byAgent(e.Type) })
	heardAt := end
	if heard >= 0 {
		heardAt = r.at[start+heard]
	}
	questions := r.questions()
	moments := append(slices.Clone(r.at[start:]), end)
	for i := range len(moments) - 1 {
		from, length := moments[i], moments[i+1]-moments[i]
		in := func(s stretch) bool { return s.from <= from && from < s.to }
		switch m.TotalMs += length; {
		case from < heardAt:
			m.TTFEMs += length
		case slices.ContainsFunc(questions, in):
			m.WaitingMs += length
		case slices.ContainsFunc(tools, in):
			m.ToolExecutionMs += length
		default:
			m.ThinkingMs += length
		}
	}
	if m.TotalMs > 0 {
		pct := func(ms int64) int { return int((200*ms + m.TotalMs) / (2 * m.TotalMs)) }
		m.ThinkingPct, m.ToolsPct, m.TTFEPct = pct(m.ThinkingMs), pct(m.ToolExecutionMs), pct(m.TTFEMs)
	}
	return m
}

// stretch is a time in which a tool ran or a question was open.
type stretch struct{ from, to int64 }

func byAgent(typ string) bool {
	return !slices.Contains([]string{"prompt", "turn_start", "turn_end", "stop_turn", "permission_response", "kontask_chosen", "redacted", "session_closed"}, typ)
}

// start returns the index of the event with which the turn began.
func (r *reference) start() (int, bool) {
	for _, begins := range []func(store.Event) bool{
		func(e store.Event) bool { return e.Type == "turn_start" },
		func(e store.Event) bool { return byAgent(e.Type) },
		func(e store.Event) bool { return e.Type == "turn_end" },
	} {
		if i := slices.IndexFunc(r.live, begins); i >= 0 {
			return i, true
		}
	}
	return 0, false
}

const forever = 1 << 62

// tools returns when tools ran, and how many calls there were.
func (r *reference) tools() (ran []stretch, calls int) {
	begun := map[string]bool{} // by a start or a result
	nameless := 0
	for i, e := range r.live {
		if len(e.Data) == 0 || e.Type != "tool_start" && e.Type != "tool_result" {
			continue
		}
		id := toolID(&e)
		isStart := e.Type == "tool_start"
		switch {
		case id != "" && begun[id]:
			continue
		case id == "" && !isStart && nameless > 0:
			nameless--
			continue
		}
		calls++
		begun[id] = true
		if !isStart {
			continue
		}
		s := stretch{r.at[i], forever}
		skip := nameless // results without an id end the oldest first
		if id == "" {
			nameless++
		}
		for j := i + 1; j < len(r.live) && s.to == forever; j++ {
			if f := r.live[j]; f.Type == "tool_result" && len(f.Data) > 0 && toolID(&f) == id {
				if id == "" && skip > 0 {
					skip--
					continue
				}
				s.to = r.at[j]
			}
		}
		ran = append(ran, s)
	}
	return ran, calls
}

func toolID(e *store.Event) string {
	if id := e.Text("id"); id != "" {
		return id
	}
	return strings.Trim(string(e.Field("id")), `nul"{}`)
}

func (r *reference) questions() (open []stretch) {
	for i, e := range r.live {
		id := e.Text("requestId")
		if e.Type != "permission_request" || id == "" {
			continue
		}
		s := stretch{r.at[i], forever}
		for j := i + 1; j < len(r.live) && s.to == forever; j++ {
			if f := r.live[j]; f.Type == "permission_response" && f.Text("requestId") == id {
				s.to = r.at[j]
			}
		}
		open = append(open, s)
	}
	return open
}

func checkSums(t *testing.T, turn *store.Turn, m store.Timing) {
	t.Helper()
	if m.TotalMs != m.TTFEMs+m.ThinkingMs+m.ToolExecutionMs+m.WaitingMs {
		t.Fatalf("the parts of %+v are not the total", m)
	}
	for _, part := range []int64{m.TotalMs, m.QueueMs, m.TTFEMs, m.ThinkingMs, m.ToolExecutionMs, m.WaitingMs, int64(m.ThinkingPct), int64(m.ToolsPct), int64(m.TTFEPct)} {
		if part < 0 {
			t.Fatalf("%+v has a negative part; turn %s", m, public(turn))
		}
	}
}

func TestTimingAgainstTheReference(t *testing.T) {
	rounds := uint64(2000)
	if !long.Wanted() {
		rounds = 300
	}
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(seed, 11))
		log := randomTurn(rnd, 1+rnd.IntN(60))
		for k := range len(log) + 1 {
			now := turnBegin.Add(time.Duration(rnd.IntN(4000)) * time.Millisecond)
			turn, ref := foldTurn(log[:k]), newReference(log[:k])
			got, want := turn.Timing(now), ref.timing(now)
			if got != want {
				t.Fatalf("seed %d: after %d events at %v\ngot  %+v\nwant %+v\n%s", seed, k, now, got, want, lines(log[:k]))
			}
			checkSums(t, turn, got)
		}
	}
}

func TestTiming(t *testing.T) {
	for name, c := range map[string]struct {
		events []store.Event
		want   store.Timing
	}{
		"no events": {nil, store.Timing{}},
		"the seed": {
			[]store.Event{on(0, "prompt", `{}`), on(0, "turn_start", `{}`), on(54, "text_delta", `{"text":"x"}`), on(66728, "turn_end", `{"success":true}`)},
			store.Timing{TotalMs: 66728, TTFEMs: 54, ThinkingMs: 66674, ThinkingPct: 100},
		},
		"tools that overlap": {
			[]store.Event{on(0, "turn_start", `{}`), on(100, "tool_start", `{"id":"a"}`), on(200, "tool_start", `{"id":"b"}`), on(300, "tool_result", `{"id":"a"}`),
				on(400, "tool_result", `{"id":"b"}`), on(1000, "turn_end", `{}`)},
			store.Timing{TotalMs: 1000, TTFEMs: 100, ToolExecutionMs: 300, ThinkingMs: 600, ToolCallCount: 2, ThinkingPct: 60, ToolsPct: 30, TTFEPct: 10},
		},
		"waiting beats tools": {
			[]store.Event{on(0, "prompt", `{}`), on(50, "turn_start", `{}`), on(50, "tool_start", `{"id":"a"}`), on(150, "permission_request", `{"requestId":"q"}`),
				on(850, "permission_response", `{"requestId":"q","allow":true}`), on(950, "tool_result", `{"id":"a"}`), on(1050, "turn_end", `{}`)},
			store.Timing{TotalMs: 1000, QueueMs: 50, ToolExecutionMs: 200, WaitingMs: 700, ThinkingMs: 100, ToolCallCount: 1, ThinkingPct: 10, ToolsPct: 20},
		},
		"a tool without an end": {
			[]store.Event{on(0, "turn_start", `{}`), on(0, "tool_start", `{"id":"a"}`), on(500, "turn_end", `{}`), on(900, "tool_result", `{"id":"a"}`)},
			store.Timing{TotalMs: 500, ToolExecutionMs: 500, ToolCallCount: 1, ToolsPct: 100},
		},
		"a tool without a start": {
			[]store.Event{on(0, "turn_start", `{}`), on(0, "tool_result", `{"id":"a"}`), on(500, "turn_end", `{}`)},
			store.Timing{TotalMs: 500, ThinkingMs: 500, ToolCallCount: 1, ThinkingPct: 100},
		},
		"nothing heard": {
			[]store.Event{on(0, "turn_start", `{}`), on(400, "stop_turn", `{}`), on(500, "turn_end", `{}`)},
			store.Timing{TotalMs: 500, TTFEMs: 500, TTFEPct: 100},
		},
		"the clock set back": {
			[]store.Event{on(1000, "turn_start", `{}`), on(1100, "text", `{"text":"x"}`), on(0, "tool_start", `{"id":"a"}`), on(1150, "tool_result", `{"id":"a"}`), on(500, "turn_end", `{}`)},
			store.Timing{TotalMs: 150, TTFEMs: 100, ToolExecutionMs: 50, ToolCallCount: 1, ToolsPct: 33, TTFEPct: 67},
		},
		"no turn_start": {
			[]store.Event{on(0, "prompt", `{}`), on(300, "stop_turn", `{}`), on(400, "text", `{"text":"x"}`), on(1000, "turn_end", `{}`)},
			store.Timing{TotalMs: 600, QueueMs: 400, ThinkingMs: 600, ThinkingPct: 100},
		},
		"years that cannot be written": {
			[]store.Event{on(0, "turn_start", `{}`), {Type: "text", Time: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}, {Type: "text", Time: time.Date(-4, 1, 1, 0, 0, 0, 0, time.UTC)}, on(500, "turn_end", `{}`)},
			store.Timing{TotalMs: 500, ThinkingMs: 500, ThinkingPct: 100},
		},
	} {
		t.Run(name, func(t *testing.T) {
			turn := foldTurn(numbered(c.events...))
			if got := turn.Timing(turnBegin.Add(time.Hour)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			checkRoundTrips(t, c.events)
		})
	}
}

func TestTimingOfAnOpenTurnGoesOn(t *testing.T) {
	turn := foldTurn(numbered(on(0, "prompt", `{}`)))
	at := func(ms int) store.Timing { return turn.Timing(turnBegin.Add(time.Duration(ms) * time.Millisecond)) }
	if got := at(70); got != (store.Timing{QueueMs: 70}) {
		t.Errorf("queued: got %+v", got)
	}
	for _, e := range []store.Event{on(100, "turn_start", `{}`), on(100, "tool_start", `{"id":"a"}`)} {
		turn.Apply(&e)
	}
	for range 2 { // asking changes nothing
		if got := at(300); got.TotalMs != 200 || got.ToolExecutionMs != 200 || got.QueueMs != 100 {
			t.Errorf("open: got %+v", got)
		}
	}
	if got := at(0); got.TotalMs != 0 || got.QueueMs != 100 {
		t.Errorf("asked about the past: got %+v", got)
	}
}

// recordedTurns maps a recording to the events of its turns, with the
// recording's own times.
func recordedTurns(t *testing.T, file string) (all [][]store.Event) {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := recorded{blocks: map[string]any{}, kinds: map[string]string{}}
	var order []string
	turns := map[string][]store.Event{}
	for line := range strings.Lines(string(body)) {
		var o struct {
			TMs       int64     `json:"t_ms"`
			Msg       obj       `json:"msg"`
			Timestamp time.Time `json:"timestamp"`
			Type      string    `json:"type"`
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		before := len(r.log)
		r.line([]byte(line))
		r.questions(o.Msg, o.Type)
		for _, e := range r.log[before:] {
			id := e.Turn
			if turns[id] == nil {
				order = append(order, id)
			}
			e.Turn, e.Time = "r", turnBegin.Add(time.Duration(o.TMs)*time.Millisecond)
			if !o.Timestamp.IsZero() {
				e.Time = o.Timestamp
			}
			turns[id] = append(turns[id], e)
		}
	}
	for _, id := range order {
		if log := turns[id]; slices.ContainsFunc(log, func(e store.Event) bool { return e.Type == "turn_end" }) { // not what came after the last one
			all = append(all, numbered(log...))
		}
	}
	return all
}

// questions adds what the fold of text has no use for.
func (r *recorded) questions(msg obj, typ string) {
	switch {
	case msg.text("type") == "control_request" && msg.text("request", "subtype") == "can_use_tool":
		r.emit("permission_request", "", obj{"requestId": msg["request_id"], "tool": msg.at("request", "tool_name")})
	case msg.text("type") == "control_response" && msg.at("response", "response", "behavior") != nil:
		r.emit("permission_response", "", obj{"requestId": msg.at("response", "request_id")})
	case msg.text("type") == "command_lifecycle" && msg.text("state") == "started":
		r.emit("turn_start", "", obj{})
	case typ == "init":
		r.emit("turn_start", "", obj{})
	case typ == "result":
		r.emit("turn_end", "", obj{"success": true})
	}
}

func TestTurnsOfRecordings(t *testing.T) {
	for file, want := range map[string][]string{
		"claude-code-duplex-4turns.jsonl": {"5 calls", "0 calls", "0 calls", "0 calls"},
		"gemini-stream-tools.jsonl":       {"5 calls"},
	} {
		t.Run(file, func(t *testing.T) {
			var got []string
			for n, log := range recordedTurns(t, "../testdata/recordings/"+file) {
				for k := range len(log) + 1 {
					turn, ref := foldTurn(log[:k]), newReference(log[:k])
					now := turnBegin.Add(time.Minute)
					if got, want := turn.Timing(now), ref.timing(now); got != want {
						t.Fatalf("turn %d after %d events: got timing\n%+v\nwant\n%+v", n, k, got, want)
					}
					if want := turnText(log[:k]); turn.Text != want {
						t.Fatalf("turn %d after %d events: got text\n%s\nwant\n%s", n, k, turn.Text, want)
					}
				}
				turn := foldTurn(log)
				folded := foldTurn(store.Fold(log))
				if folded.Text != turn.Text || turn.Text == "" || turn.State != store.TurnEnded {
					t.Errorf("turn %d %s: got text\n%s\nfolded\n%s", n, turn.State, turn.Text, folded.Text)
				}
				got = append(got, fmt.Sprint(turn.ToolCount, " calls"))
				t.Logf("turn %d: %+v\n%s", n, turn.Timing(time.Time{}), turn.Text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got turns with %q, want %q", got, want)
			}
		})
	}
}
