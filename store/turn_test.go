package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

var turnBegin = time.Date(2026, 11, 20, 17, 24, 1, 0, time.UTC)

// on makes an event of turn r at a time after turnBegin.
func on(ms int64, typ, data string) store.Event {
	return store.Event{Type: typ, Turn: "r", Time: turnBegin.Add(time.Duration(ms) * time.Millisecond), Data: []byte(data)}
}

func under(parent string, e store.Event) store.Event {
	e.Parent = parent
	return e
}

// numbered gives events ids from 1 on and keeps their times.
func numbered(events ...store.Event) []store.Event {
	for i := range events {
		events[i].ID, events[i].Session = int64(i+1), "s1"
	}
	return events
}

func foldTurn(events []store.Event) *store.Turn {
	t := store.NewTurn("s1", "r")
	for i := range events {
		t.Apply(&events[i])
	}
	return t
}

func TestTurnTellsWhatHappened(t *testing.T) {
	got := foldTurn(numbered(
		on(0, "prompt", `{"text":"Look at this","source":"inject","images":["a","b"]}`),
		on(5, "prompt", `{"text":"a second one"}`),
		on(10, "turn_start", `{"requestId":"r","prompt":"not this","agent":"claude"}`),
		on(20, "text_delta", `{"text":"I'll ","block":0}`),
		on(30, "text_delta", `{"text":"look","block":0}`),
		on(35, "text", `{"text":"I'll look.","block":0}`),
		under("toolu_1", on(36, "text", `{"text":"of a sub-agent"}`)),
		on(40, "tool_start", `{"id":"toolu_1","name":"Read","input":{}}`),
		on(41, "tool_start", `{"id":"toolu_1","name":"Read","input":{"path":"a"}}`),
		on(50, "tool_result", `{"id":"toolu_1","output":"x","isError":true}`),
		on(60, "tool_result", `{"id":"toolu_2","name":"Bash"}`),
		on(70, "usage", `{"inputTokens":12,"costUsd":0.10}`),
		under("toolu_1", on(75, "usage", `{"inputTokens":1,"costUsd":9}`)),
		on(80, "text_delta", `{"text":"Done."}`),
		on(90, "turn_end", `{"requestId":"r","success":true,"fullText":"not this","usage":{"inputTokens":20},"costUsd":0.20}`),
		on(95, "text", `{"text":"too late"}`),
		on(99, "tool_start", `{"id":"toolu_3","name":"Bash"}`),
		on(100, "usage", `{"inputTokens":21}`),
		on(120, "task_end", `{"taskId":"x"}`),
	))
	at := func(ms int64) time.Time { return turnBegin.Add(time.Duration(ms) * time.Millisecond) }
	want := store.Turn{
		Session: "s1", ID: "r", State: store.TurnEnded, Prompt: "Look at this", PromptID: 1, Source: "inject", Images: 2, Agent: "claude",
		First: 1, Last: 19, EndID: 15, QueuedAt: at(0), StartedAt: at(10), EndedAt: at(90), Success: true, Reason: "done",
		Text: "I'll look.\n\nDone.",
		Tools: []store.ToolCall{
			{ID: "toolu_1", Name: "Read", Start: 8, End: 10, StartedAt: at(40), EndedAt: at(50), IsError: true},
			{ID: "toolu_2", Name: "Bash", End: 11, EndedAt: at(60)},
		},
		ToolCount: 2, Usage: json.RawMessage(`{"inputTokens":21}`), CostUSD: "0.20",
	}
	if m := got.Timing(turnBegin); m.TotalMs != 80 || m.TTFEMs != 10 || m.ToolExecutionMs != 10 {
		t.Errorf("got timing %+v", m)
	}
	object, wanted := got.Object(turnBegin), want.Object(turnBegin)
	object.Timing, wanted.Timing = store.Timing{}, store.Timing{}
	if got, want := indented(object), indented(wanted); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func indented(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// public is what a turn shows, without what only Apply needs.
func public(t *store.Turn) string {
	return indented(t.Object(time.Time{}))
}

func TestTurnEnds(t *testing.T) {
	for _, c := range []struct {
		data, reason, fault, text string
		success                   bool
	}{
		{`{"success":true}`, "done", "", "", true},
		{`{"success":false}`, "error", "", "", false},
		{`null`, "error", "", "", false},
		{`{"success":false,"reason":"stopped","error":"by ann"}`, "stopped", "by ann", "", false},
		{`{"success":false,"error":{"message":"overloaded","code":529}}`, "error", "overloaded", "", false},
		{`{"success":"true","reason":"abandoned"}`, "abandoned", "", "", false},
		{`{"success":true,"fullText":"all of it"}`, "done", "", "all of it", true},
	} {
		got := foldTurn(numbered(on(0, "turn_start", `{}`), on(1, "turn_end", c.data), on(2, "turn_end", `{"success":true,"reason":"again"}`)))
		if got.State != store.TurnEnded || got.EndID != 2 || got.Last != 3 || got.Success != c.success || got.Reason != c.reason || got.Error != c.fault || got.Text != c.text {
			t.Errorf("%s: got %s", c.data, public(got))
		}
	}
}

func TestTurnThatNeverBegan(t *testing.T) {
	got := foldTurn(numbered(on(0, "prompt", `{"text":"x"}`), on(700, "stop_turn", `{}`), on(1000, "turn_end", `{"success":false,"reason":"stopped"}`)))
	if got.State != store.TurnEnded || !got.StartedAt.IsZero() || got.Reason != "stopped" {
		t.Errorf("got %s", public(got))
	}
	if m := got.Timing(turnBegin.Add(time.Hour)); m != (store.Timing{QueueMs: 1000}) {
		t.Errorf("got timing %+v, want 1 s in the queue", m)
	}
}

func TestTurnTakesOddData(t *testing.T) {
	for _, data := range []string{``, `null`, `{}`, `[]`, `"x"`, `{"id":null,"text":7,"requestId":{},"success":1,"usage":[],"costUsd":"1","images":3,"error":[]}`, `{"id":"a`, "\xff"} {
		for _, typ := range []string{"prompt", "turn_start", "text", "text_delta", "thinking", "tool_start", "tool_result", "permission_request", "permission_response", "usage", "stop_turn", "agent"} {
			got := foldTurn(numbered(on(0, typ, data), on(1, "turn_start", `{}`), on(2, typ, data), on(3, "turn_end", data), on(4, typ, data)))
			if got.State != store.TurnEnded || got.First != 1 || got.Last != 5 || got.EndID != 4 || got.Text != "" {
				t.Errorf("%s %q: got %s", typ, data, public(got))
			}
			want := int64(2)
			if typ == "turn_start" {
				want = 3
			}
			if m := got.Timing(turnBegin); m.TotalMs != want {
				t.Errorf("%s %q: got timing %+v", typ, data, m)
			}
		}
	}
	got := foldTurn(numbered(on(0, "turn_start", `{}`), on(1, "usage", `{"a":1,"costUsd":1}`), on(2, "usage", `{"a":`+strings.Repeat(" ", store.TurnUsageBytesMax)+`2}`)))
	if string(got.Usage) != `{"a":1,"costUsd":1}` || got.CostUSD != "1" {
		t.Errorf("got usage %s and cost %s, want the one that is not too long", got.Usage, got.CostUSD)
	}
}

// A sub-agent's usage is no part of the turn's, nor a prompt in its midst what
// it waited for.
func TestTurnPassesOverWhatIsNotItsOwn(t *testing.T) {
	got := foldTurn(numbered(on(0, "turn_start", `{"prompt":"own"}`), on(1, "prompt", `{"text":"injected","source":"inject"}`), on(2, "prompt", `{"text":"again"}`),
		on(3, "usage", `{"n":1}`), under("toolu_1", on(4, "usage", `{"n":2,"costUsd":2}`)), under("toolu_1", on(5, "text", `{"text":"x"}`))))
	if string(got.Usage) != `{"n":1}` || got.CostUSD != "" || !got.QueuedAt.IsZero() || got.PromptID != 0 || got.Prompt != "own" || got.Source != "" || got.Text != "" {
		t.Errorf("got %s", public(got))
	}
}

func TestPromptAfterTheTurnBegan(t *testing.T) {
	got := foldTurn(numbered(on(0, "turn_start", `{}`), on(1, "prompt", `{"text":"first"}`), on(2, "prompt", `{"text":"second"}`)))
	if got.Prompt != "first" || got.PromptID != 2 || !got.QueuedAt.IsZero() {
		t.Errorf("got %s, want the first prompt and no time in the queue", public(got))
	}
}

func TestToolCallsEndWithTheirTurn(t *testing.T) {
	got := foldTurn(numbered(on(0, "turn_start", `{}`), on(1, "tool_start", `{"id":"a","name":"n"}`), on(7, "turn_end", `{}`), on(9, "tool_result", `{"id":"a","isError":true}`)))
	want := store.ToolCall{ID: "a", Name: "n", Start: 2, End: 3, StartedAt: turnBegin.Add(time.Millisecond), EndedAt: turnBegin.Add(7 * time.Millisecond)}
	if len(got.Tools) != 1 || got.Tools[0] != want {
		t.Errorf("got %+v, want %+v", got.Tools, want)
	}
}

func TestToolCallsWithoutAnID(t *testing.T) {
	got := foldTurn(numbered(on(0, "turn_start", `{}`),
		on(1, "tool_start", `{"name":"a"}`), on(2, "tool_start", `{"name":"b"}`), on(3, "tool_result", `{}`), on(4, "tool_result", `{}`),
		on(5, "tool_start", `{"id":7,"name":"c"}`), on(6, "tool_result", `{"id":7}`), on(7, "tool_result", `{"name":"d"}`),
	))
	var all []string
	for _, c := range got.Tools {
		all = append(all, fmt.Sprint(c.ID, c.Name, c.Start, c.End))
	}
	if want := []string{"a2 4", "b3 5", "7c6 7", "d0 8"}; !slices.Equal(all, want) || got.ToolCount != 4 {
		t.Errorf("got %q, want %q", all, want)
	}
}

func TestToolCallsBeyondTheLimitAreCounted(t *testing.T) {
	turn := store.NewTurn("s1", "r")
	for i := range store.ToolCallsMax + 5 {
		e := on(int64(i), "tool_start", fmt.Sprintf(`{"id":"t%d","name":"n"}`, i))
		e.ID = int64(2*i + 1)
		turn.Apply(&e)
		e = on(int64(i), "tool_result", fmt.Sprintf(`{"id":"t%d"}`, i))
		e.ID = int64(2*i + 2)
		turn.Apply(&e)
	}
	if len(turn.Tools) != store.ToolCallsMax || turn.ToolCount != store.ToolCallsMax+5 {
		t.Errorf("got %d calls, %d counted", len(turn.Tools), turn.ToolCount)
	}
}

func TestTurnTextIsBounded(t *testing.T) {
	big := strings.Repeat("é", 300<<10) // 600 KiB
	delta := func(block, text string) store.Event {
		return on(0, "text_delta", fmt.Sprintf(`{"text":%q,"block":%q}`, text, block))
	}
	whole := func(block, text string) store.Event {
		return on(0, "text", fmt.Sprintf(`{"text":%q,"block":%q}`, text, block))
	}
	for name, c := range map[string]struct {
		events []store.Event
		text   string
		cut    bool
	}{
		"fits":                  {[]store.Event{delta("a", big), delta("b", "x")}, big + "\n\nx", false},
		"cut":                   {[]store.Event{delta("a", "x"), delta("a", big), delta("a", big), delta("a", "y"), delta("b", "z")}, "x" + strings.Repeat("é", 1<<19-1), true},
		"cut in the middle":     {[]store.Event{delta("a", "x"), delta("b", "y"), delta("a", big), delta("a", big)}, "x" + strings.Repeat("é", 1<<19-1), true},
		"nothing after a hole":  {[]store.Event{delta("a", big), delta("b", big), delta("c", "z"), whole("a", "x")}, "x\n\n" + strings.Repeat("é", (1<<20-600<<10-2)/2), true},
		"a whole makes room":    {[]store.Event{delta("a", big), delta("a", big), whole("a", "x"), delta("b", "y")}, "x\n\ny", false},
		"a whole takes room":    {[]store.Event{delta("a", "x"), delta("b", big), whole("a", big)}, big + "\n\n" + strings.Repeat("é", (1<<20-600<<10-2)/2), true},
		"a lost one stays lost": {[]store.Event{delta("a", big), delta("b", big), delta("c", "z"), whole("b", "y"), delta("d", "z")}, big + "\n\ny", true},
		"pushed out":            {[]store.Event{delta("a", "x"), delta("b", big), delta("c", "z"), whole("a", big), whole("b", "y"), delta("d", "z")}, big + "\n\ny", true},
		"pushed out, and lost": {[]store.Event{delta("a", "x"), delta("b", big), delta("c", "z"), whole("a", big), delta("c", "z"), whole("b", "y"), delta("c", "z"), delta("d", "z")},
			big + "\n\ny", true},
		"fullText":                  {[]store.Event{on(0, "turn_end", fmt.Sprintf(`{"fullText":%q}`, big+big))}, strings.Repeat("é", 1<<19), true},
		"no fullText after a block": {[]store.Event{delta("a", "x"), on(0, "turn_end", `{"fullText":"y"}`)}, "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := foldTurn(numbered(c.events...))
			if got.Text != c.text || got.TextCut != c.cut {
				t.Errorf("got %d bytes, cut %v; want %d, %v", len(got.Text), got.TextCut, len(c.text), c.cut)
			}
		})
	}
}

func TestTurnBlocksAreBounded(t *testing.T) {
	turn := store.NewTurn("s1", "r")
	const n = 10_050
	var want []string
	for i := range n {
		e := on(0, "text_delta", fmt.Sprintf(`{"text":"t%d","block":%d}`, i, i))
		e.ID = int64(i + 1)
		turn.Apply(&e)
		if i < 10_000 {
			want = append(want, fmt.Sprint("t", i))
		}
	}
	if turn.Text != strings.Join(want, "\n\n") || !turn.TextCut {
		t.Errorf("got %d bytes, cut %v", len(turn.Text), turn.TextCut)
	}
}

// A text that was handed out does not change when the turn goes on.
func TestTurnTextIsImmutable(t *testing.T) {
	turn := store.NewTurn("s1", "r")
	var texts, copies []string
	for i, e := range numbered(on(0, "text_delta", `{"text":"abc"}`), on(0, "text_delta", `{"text":"\ud83d"}`), on(0, "text_delta", `{"text":"\ude00"}`),
		on(0, "text", `{"text":"xyz"}`), on(0, "text", `{"text":"1","block":1}`), on(0, "text", `{"text":"2","block":1}`)) {
		turn.Apply(&e)
		texts, copies = append(texts, turn.Text), append(copies, strings.Clone(turn.Text))
		for j := range texts {
			if texts[j] != copies[j] {
				t.Errorf("event %d changed the text of event %d to %q", i+1, j+1, texts[j])
			}
		}
	}
	if want := []string{"abc", "abc\ufffd", "abc😀", "xyz", "xyz\n\n1", "xyz\n\n2"}; !slices.Equal(copies, want) {
		t.Errorf("got %q, want %q", copies, want)
	}
}

// randomTurn makes the events of one turn: likely ones, and all the odd ones.
func randomTurn(rnd *rand.Rand, n int) []store.Event {
	one := func(choices ...string) string { return choices[rnd.IntN(len(choices))] }
	ms := int64(0)
	var log []store.Event
	add := func(typ, data string) {
		if rnd.IntN(3) > 0 {
			ms += rnd.Int64N(100)
		}
		if rnd.IntN(30) == 0 {
			ms -= rnd.Int64N(200) // the clock is set back
		}
		log = append(log, on(ms, typ, data))
		if rnd.IntN(6) == 0 {
			log[len(log)-1].Parent = "p"
		}
	}
	if rnd.IntN(5) > 0 {
		add("prompt", `{"text":"do it","images":[1],"source":"user"}`)
	}
	started, ended := rnd.IntN(10), rnd.IntN(3)
	for len(log) < n {
		if len(log) == started {
			add("turn_start", one(`{"agent":"x","prompt":"p"}`, `{}`))
		}
		block := one("", "", `,"block":1`, `,"block":1.0`, `,"block":"a"`, `,"block":"\u0061"`, `,"block":null`, `,"block":[]`)
		text := one("a", "b ", `\n`, `\ud83d`, `\ude00`, `\\ud83d`, "é", `\"`, "")
		if rnd.IntN(15) == 0 {
			block += one(`,"n":1`, `,"text":"twice"`, `,"t\u0065xt":"twice"`, `,"Text":"x"`, `,"text":1`)
		}
		id := one(`"id":"t1"`, `"id":"t1"`, `"id":"t2"`, `"id":3`, `"name":"n"`, `"id":null`)
		switch dice := rnd.IntN(100); {
		case dice < 35:
			add(one("text_delta", "text_delta", "text_delta", "text", "thinking_delta", "thinking"), `{"text":"`+text+`"`+block+`}`)
		case dice < 55:
			add(one("tool_start", "tool_result", "tool_result"), `{`+id+one("", `,"isError":true`, `,"input":{}`)+`}`)
		case dice < 70:
			add(one("permission_request", "permission_response"), `{"requestId":`+one(`"q1"`, `"q2"`, `""`, `1`)+`}`)
		case dice < 80:
			add("usage", one(`{"in":1,"costUsd":1.50}`, `{"in":"<2>"}`, `{"costUsd":"x"}`, `[]`, `{"costUsd":-1e3}`))
		case dice < 97:
			add(one("agent", "stop_turn", "prompt", "tool_delta", "kontask_ready", "kontask_chosen", "turn_start"), one(`{}`, `{"text":"t","id":"t1"}`, "", "null", "1"))
		case dice == 97 && ended == 0:
			add("turn_end", one(`{"success":true,"fullText":"full","usage":{"in":9},"costUsd":2}`, `{"reason":"exit","error":"e"}`, ""))
		}
	}
	return numbered(log...)
}

// sameTurn compares all that is kept of two turns.
func sameTurn(t *testing.T, what string, got, want *store.Turn) {
	t.Helper()
	if a, b := stored(t, got), stored(t, want); !bytes.Equal(a, b) {
		t.Fatalf("%s: got\n%s\nwant\n%s", what, a, b)
	}
}

func stored(t *testing.T, turn *store.Turn) []byte {
	t.Helper()
	b, err := json.Marshal(turn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A turn that was stored and loaded at any point goes on as if it had not
// been, and a clone goes on by itself.
func TestTurnRoundTripsAtEveryPoint(t *testing.T) {
	rounds := uint64(60)
	if !long.Wanted() {
		rounds = 10
	}
	for seed := range rounds {
		log := randomTurn(rand.New(rand.NewPCG(seed, 3)), 60)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { checkRoundTrips(t, log) })
		if t.Failed() {
			return
		}
	}
}

func checkRoundTrips(t *testing.T, log []store.Event) {
	t.Helper()
	whole, walk := foldTurn(log), store.NewTurn("s1", "r")
	for k := range log {
		var loaded store.Turn
		b := stored(t, walk)
		if err := json.Unmarshal(b, &loaded); err != nil {
			t.Fatal(err)
		}
		clone := walk.Clone()
		sameTurn(t, fmt.Sprint("loaded after ", k), &loaded, walk)
		sameTurn(t, fmt.Sprint("cloned after ", k), clone, walk)
		for i := range log[k:] {
			loaded.Apply(&log[k+i])
		}
		sameTurn(t, fmt.Sprint("loaded after ", k, " and gone on"), &loaded, whole)
		for i := range log[k:] {
			clone.Apply(&log[k+i])
		}
		sameTurn(t, fmt.Sprint("cloned after ", k, " and gone on"), clone, whole)
		if again := stored(t, walk); !bytes.Equal(again, b) {
			t.Fatalf("a clone changed its original after %d: got\n%s\nwant\n%s", k, again, b)
		}
		walk.Apply(&log[k])
	}
}

// An ended turn may be stored without its text, as engines do.
func TestEndedTurnIsWholeWithoutItsText(t *testing.T) {
	turn := foldTurn(numbered(on(0, "turn_start", `{}`), on(1, "text", `{"text":"a"}`), on(2, "turn_end", `{"success":true}`)))
	row := *turn
	row.Text = ""
	var loaded store.Turn
	if err := json.Unmarshal(stored(t, &row), &loaded); err != nil {
		t.Fatal(err)
	}
	loaded.Text = turn.Text
	e := on(3, "usage", `{"n":1}`)
	e.ID = 4
	turn.Apply(&e)
	loaded.Apply(&e)
	sameTurn(t, "loaded", &loaded, turn)
}

func TestBrokenStoredTurnIsRefusedOrRead(t *testing.T) {
	var turn store.Turn
	if err := json.Unmarshal([]byte(`{"state":7}`), &turn); err == nil {
		t.Error("a turn whose state is a number was read")
	}
	if err := json.Unmarshal([]byte(`{"session":"s1","turn":"r","text":"ab","said":{"blocks":[{"len":9}],"open":1}}`), &turn); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"text_delta", "text"} { // must not look for what is not there
		e := on(0, typ, `{"text":"c"}`)
		turn.Apply(&e)
	}
}

// reference tells the text of a turn's answer and its timing from all of its
// events at once: the words of PROTOCOL.md, without a fold.
type reference struct {
	live  []store.Event // up to turn_end
	at    []int64       // their times, never falling
	ended bool
}

func newReference(log []store.Event) reference {
	r := reference{live: log}
	if i := slices.IndexFunc(log, func(e store.Event) bool { return e.Type == "turn_end" }); i >= 0 {
		r.live, r.ended = log[:i+1], true
	}
	for i, e := range r.live {
		r.at = append(r.at, e.Time.UnixMilli())
		if i > 0 {
			r.at[i] = max(r.at[i], r.at[i-1])
		}
	}
	return r
}

// text gives each event its block first, and then each block its text.
func (r *reference) text() string {
	type said struct {
		whole bool
		units []uint16
	}
	var order []string
	blocks := map[string][]said{}
	open, n := "", 0
	for _, e := range r.live {
		var data map[string]json.RawMessage
		if e.Parent != "" || len(e.Data) == 0 {
			continue
		}
		if json.Unmarshal(e.Data, &data) != nil {
			data = nil
		}
		switch e.Type {
		case "prompt", "turn_start", "turn_end":
			open = ""
		case "tool_start":
			if e.From == 0 {
				open = ""
			}
		case "text", "text_delta", "thinking", "thinking_delta":
			text, ok := units(data["text"])
			name, named := label(data["block"])
			if !ok || !named && data["block"] != nil {
				continue
			}
			kind := strings.TrimSuffix(e.Type, "_delta")
			whole := kind == e.Type && e.From == 0
			block := kind + " named " + name
			if !named {
				if block = open; !strings.HasPrefix(open, kind) {
					n++
					block = fmt.Sprint(kind, n)
				}
			}
			if open = block; named || whole {
				open = ""
			}
			if blocks[block] == nil {
				order = append(order, block)
			}
			blocks[block] = append(blocks[block], said{whole, text})
		}
	}
	var texts []string
	for _, block := range order {
		var u []uint16
		for _, s := range blocks[block] {
			if s.whole {
				u = nil
			}
			u = append(u, s.units...)
		}
		if s := string(utf16.Decode(u)); s != "" && strings.HasPrefix(block, "text") {
			texts = append(texts, s)
		}
	}
	return strings.Join(texts, "\n\n")
}

func turnText(log []store.Event) string {
	r := newReference(log)
	text := r.text()
	if text == "" && r.ended {
		e := r.live[len(r.live)-1]
		text = e.Text("fullText")
	}
	return text
}

func TestTurnTextAgainstTheReference(t *testing.T) {
	rounds := uint64(2000)
	if !long.Wanted() {
		rounds = 300
	}
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(seed, 5))
		log := randomTurn(rnd, 1+rnd.IntN(60))
		for k := range len(log) + 1 {
			turn := foldTurn(log[:k])
			if want := turnText(log[:k]); turn.Text != want || turn.TextCut {
				t.Fatalf("seed %d: after %d events got %q, want %q\n%s", seed, k, turn.Text, want, lines(log[:k]))
			}
		}
	}
}

// A turn says the same when its events come folded (P12). What is said after
// its end is not part of it, but a whole among that supersedes earlier deltas.
func TestP12_TurnTextOfFoldedEvents(t *testing.T) {
	check := func(t *testing.T, log []store.Event, k int) {
		t.Helper()
		want := foldTurn(log)
		got := foldTurn(slices.Concat(store.Fold(log[:k]), store.Fold(log[k:])))
		if got.Text != want.Text || got.Success != want.Success || got.ToolCount != want.ToolCount || got.State != want.State {
			t.Fatalf("split at %d: got %q, want %q\n%s", k, got.Text, want.Text, lines(log))
		}
	}
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		log := untilEnd(randomTurn(rnd, 1+rnd.IntN(60)))
		check(t, log, rnd.IntN(len(log)+1))
		log = slices.DeleteFunc(randomLog(rnd, 60), func(e store.Event) bool { return e.Turn != "t1" })
		log = untilEnd(numbered(log...))
		check(t, log, rnd.IntN(len(log)+1))
		if want := turnText(log); foldTurn(log).Text != want {
			t.Fatalf("seed %d: got %q, want %q\n%s", seed, foldTurn(log).Text, want, lines(log))
		}
	}
}

func untilEnd(log []store.Event) []store.Event {
	if i := slices.IndexFunc(log, func(e store.Event) bool { return e.Type == "turn_end" }); i >= 0 {
		return log[:i+1]
	}
	return log
}

// FuzzTurn applies any events: nothing may fail, what is stored is loaded
// again, and the times are never negative.
func FuzzTurn(f *testing.F) {
	f.Add([]byte("prompt\t\t{\"text\":\"a\"}\nturn_start\t\t{}\ntext_delta\t\t{\"text\":\"\\ud83d\"}\ntext_delta\t\t{\"text\":\"\\ude00\"}\nturn_end\t\t{\"success\":true}"))
	f.Add([]byte("tool_start\tp\t{\"id\":\"a\"}\npermission_request\t\t{\"requestId\":\"q\"}\ntool_result\t\t{\"id\":\"a\"}\nusage\t\t{\"costUsd\":1e5}"))
	f.Add([]byte("text\t\t{\"text\":\"a\",\"block\":\"x\"}\ntext_delta\t\t{\"text\":\"b\",\"block\":1}\ntext\t\t{\"text\":\"\",\"block\":\"x\"}\ntext_delta\t\t{\"text\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var log []store.Event
		ms := int64(0)
		for line := range bytes.SplitSeq(script, []byte("\n")) {
			if part := bytes.SplitN(line, []byte("\t"), 3); len(part) == 3 {
				ms += int64(len(part[2])) - 8
				parent := strings.ToValidUTF8(string(part[1]), "?") // an append refuses any other
				log = append(log, under(parent, on(ms, string(part[0]), string(part[2]))))
			}
		}
		log = numbered(log...)
		checkRoundTrips(t, log)
		turn := foldTurn(log)
		if !utf8.ValidString(turn.Text) {
			t.Fatalf("the text %q is not valid UTF-8", turn.Text)
		}
		checkSums(t, turn, turn.Timing(turnBegin))
		if !json.Valid(turn.AppendJSON(nil, turnBegin)) {
			t.Fatal("a turn is no JSON on the wire")
		}
		valid := !slices.ContainsFunc(log, func(e store.Event) bool { return len(e.Data) > 0 && (!json.Valid(e.Data) || !utf8.Valid(e.Data)) })
		if want := turnText(log); valid && turn.Text != want {
			t.Fatalf("got text %q, want %q", turn.Text, want)
		}
	})
}

// BenchmarkTurnApply is what a delta costs the append path beside being stored.
func BenchmarkTurnApply(b *testing.B) {
	for name, data := range map[string]string{
		"delta":    `{"text":"fifteen bytes..","block":3}`,
		"escaped":  `{"text":"fifteen\nbytes..","block":3}`,
		"nameless": `{"text":"fifteen bytes.."}`,
	} {
		b.Run(name, func(b *testing.B) {
			e := on(0, "text_delta", data)
			turn := store.NewTurn("s1", "r")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%10_000 == 0 {
					turn = store.NewTurn("s1", "r")
				}
				e.ID++
				turn.Apply(&e)
			}
		})
	}
}
