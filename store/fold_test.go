package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// view is what a reader shows: the reference for PROTOCOL.md section 3, "fold",
// written from its words and not from the fold. One timeline holds blocks,
// tools and every other event, in the order of their first ids.
type view struct {
	items []*item
	named map[string]*item
	open  map[string]*item // the open block of a turn and parent
}

type item struct {
	what   string
	text   []uint16 // UTF-16 as a browser has it: half a surrogate pair may come from each of two deltas
	whole  string   // of a tool: name and input
	output string
}

func render(parts ...[]store.Event) *view {
	v := &view{named: map[string]*item{}, open: map[string]*item{}}
	for _, events := range parts {
		for i := range events {
			v.apply(&events[i])
		}
	}
	return v
}

func (v *view) add(what string) *item {
	v.items = append(v.items, &item{what: what})
	return v.items[len(v.items)-1]
}

func (v *view) apply(e *store.Event) {
	if len(e.Data) == 0 {
		v.add(fmt.Sprint("redacted ", e.ID))
		return
	}
	var data map[string]json.RawMessage
	if json.Unmarshal(e.Data, &data) != nil {
		data = nil
	}
	at := fmt.Sprintf("%q %q", e.Turn, e.Parent)
	folded := e.From != 0
	var ok bool
	switch e.Type {
	case "text_delta", "text":
		ok = v.block("text", at, data, e.Type == "text" && !folded)
	case "thinking_delta", "thinking":
		ok = v.block("thinking", at, data, e.Type == "thinking" && !folded)
	case "tool_delta", "tool_start", "tool_result":
		if e.Type == "tool_start" && !folded {
			delete(v.open, at)
		}
		ok = v.tool(at, data, e.Type, folded)
	case "prompt", "turn_start", "turn_end":
		delete(v.open, at)
	}
	if !ok {
		v.add(fmt.Sprintf("%d %s %s %s", e.ID, e.Type, at, e.Data))
	}
}

func (v *view) block(kind, at string, data map[string]json.RawMessage, whole bool) bool {
	text, isText := units(data["text"])
	name, isName := label(data["block"])
	if !isText || !isName && data["block"] != nil {
		return false
	}
	b := v.open[at]
	if isName {
		delete(v.open, at)
		key := kind + at + name
		if b = v.named[key]; b == nil {
			b = v.add(kind + " " + at + name)
			v.named[key] = b
		}
	} else {
		if b == nil || !strings.HasPrefix(b.what, kind) {
			b = v.add(kind + " " + at)
		}
		v.open[at] = b
	}
	if whole {
		b.text = nil
		delete(v.open, at)
	}
	b.text = append(b.text, text...)
	return true
}

func (v *view) tool(at string, data map[string]json.RawMessage, typ string, folded bool) bool {
	id, ok := label(data["id"])
	text, isText := units(data["text"])
	delta := typ == "tool_delta" || folded
	if !ok || delta && !isText {
		return false
	}
	key := "tool" + at + id
	t := v.named[key]
	if t == nil {
		t = v.add("tool " + at + id)
		v.named[key] = t
	}
	switch input := data["input"]; {
	case delta:
		t.text = append(t.text, text...)
	case typ == "tool_result":
		t.output = string(data["output"])
	case input != nil && string(input) != "null":
		t.text, t.whole = nil, string(data["name"])+string(input)
	default:
		t.whole = string(data["name"])
	}
	return true
}

func (v *view) String() string {
	var b strings.Builder
	for _, it := range v.items {
		fmt.Fprintf(&b, "%s: %x %s %s", it.what, it.text, it.whole, it.output)
		for at, open := range v.open {
			if open == it {
				b.WriteString(" open " + at)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// label reads a name: a string, or a number by its value.
func label(v json.RawMessage) (string, bool) {
	var s string
	var n float64
	switch {
	case v == nil || string(v) == "null":
		return "", false
	case json.Unmarshal(v, &s) == nil:
		return " s" + s, true
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9': // also one that is too large for a float
		if json.Unmarshal(v, &n) != nil {
			return " n" + string(v), true
		}
		return " n" + strconv.FormatFloat(n, 'g', -1, 64), true
	}
	return "", false
}

// units decodes a string as JavaScript does.
func units(v json.RawMessage) (u []uint16, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return nil, false
	}
	escapes := map[byte]uint16{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	for b := v[1 : len(v)-1]; len(b) > 0; {
		switch {
		case b[0] != '\\':
			r, n := utf8.DecodeRune(b)
			u = utf16.AppendRune(u, r)
			b = b[n:]
		case b[1] == 'u':
			n, _ := strconv.ParseUint(string(b[2:6]), 16, 16)
			u, b = append(u, uint16(n)), b[6:]
		default:
			c, known := escapes[b[1]]
			if !known {
				c = uint16(b[1])
			}
			u, b = append(u, c), b[2:]
		}
	}
	return u, true
}

// number gives events ids from 1 and times.
func number(events []store.Event) []store.Event {
	at := time.Date(2026, 11, 20, 17, 24, 1, 0, time.UTC)
	for i := range events {
		events[i].ID, events[i].Session = int64(i+1), "s1"
		events[i].Time = at.Add(time.Duration(i) * time.Millisecond)
	}
	return events
}

// checkFold holds every rule that a fold of a part of a log has by itself.
func checkFold(t *testing.T, raw, folded []store.Event) {
	t.Helper()
	if len(raw) == 0 {
		return
	}
	end := raw[0].ID - 1
	for _, e := range folded {
		first := e.ID
		if e.From != 0 {
			first = e.From
		}
		if first <= end || first > e.ID || e.From == e.ID {
			t.Fatalf("event %d from %d after %d", e.ID, e.From, end)
		}
		end = e.ID
	}
	if last := raw[len(raw)-1].ID; end != last {
		t.Fatalf("the fold ends at %d, the events at %d", end, last)
	}
}

// checkSplit checks P12 for one split.
func checkSplit(t *testing.T, raw []store.Event, k int, want string) {
	t.Helper()
	folded := store.Fold(raw[:k])
	checkFold(t, raw[:k], folded)
	if got := render(folded, raw[k:]).String(); got != want {
		t.Fatalf("fold(1..%d) and the rest render\n%s\nwant\n%s\nlog:\n%s\nfold:\n%s", k, got, want, lines(raw), lines(folded))
	}
}

// checkP12 checks every split of a short log, some of a long one, and pages.
func checkP12(t *testing.T, raw []store.Event, rnd *rand.Rand) {
	t.Helper()
	const splitsMax = 100
	want := render(raw).String()
	if len(raw) <= splitsMax {
		for k := range len(raw) + 1 {
			checkSplit(t, raw, k, want)
		}
	} else {
		for range splitsMax {
			checkSplit(t, raw, rnd.IntN(len(raw)+1), want)
		}
	}
	for range 10 {
		var pages [][]store.Event
		for rest := raw; len(rest) > 0; {
			n := min(1+rnd.IntN(1+rnd.IntN(len(raw))), len(rest))
			page := store.Fold(rest[:n])
			if rnd.IntN(2) == 0 {
				limit := store.Limit{Events: 1 + rnd.IntN(20), Bytes: 1 + rnd.IntN(5000)}
				page = store.FoldPage(rest, store.Query{Limit: limit})
				n = int(page[len(page)-1].ID - rest[0].ID + 1)
				checkLimit(t, page, limit)
				// What comes after a page does not change it.
				if again := store.FoldPage(rest[:min(len(rest), n+rnd.IntN(5))], store.Query{Limit: limit}); lines(again) != lines(page) {
					t.Fatalf("page %+v is\n%s\nand with less after it\n%s", limit, lines(page), lines(again))
				}
			}
			checkFold(t, rest[:n], page)
			pages, rest = append(pages, page), rest[n:]
		}
		if got := render(pages...).String(); got != want {
			t.Fatalf("pages render\n%s\nwant\n%s\nlog:\n%s\npages:\n%s", got, want, lines(raw), lines(slices.Concat(pages...)))
		}
	}
}

func checkLimit(t *testing.T, page []store.Event, limit store.Limit) {
	t.Helper()
	size := 0
	for i := range page {
		size += page[i].WireSize(false)
	}
	if len(page) > limit.Events || size > limit.Bytes && len(page) > 1 {
		t.Fatalf("a page of %d events and %d bytes is over %+v", len(page), size, limit)
	}
}

func lines(events []store.Event) string {
	var b bytes.Buffer
	for i := range events {
		b.Write(events[i].JSON())
		b.WriteByte('\n')
	}
	return b.String()
}

// short writes a fold as id[-from]:type:data.
func short(events []store.Event) (all []string) {
	for _, e := range events {
		s := fmt.Sprint(e.ID)
		if e.From != 0 {
			s = fmt.Sprintf("%d-%d", e.From, e.ID)
		}
		all = append(all, s+" "+e.Type+" "+string(e.Data))
	}
	return all
}

func ev(typ, data string) store.Event {
	return store.Event{Type: typ, Turn: "t", Data: []byte(data)}
}

func within(e store.Event, turn, parent string) store.Event {
	e.Turn, e.Parent = turn, parent
	return e
}

func TestFold(t *testing.T) {
	a, b, c := ev("text_delta", `{"text":"a"}`), ev("text_delta", `{"text":"b"}`), ev("text_delta", `{"text":"c"}`)
	whole := ev("text", `{"text":"whole"}`)
	blocked := func(text, block string) store.Event {
		return ev("text_delta", `{"text":"`+text+`","block":`+block+`}`)
	}
	args := func(text string) store.Event { return ev("tool_delta", `{"id":"x","text":"`+text+`"}`) }
	tool := ev("tool_start", `{"id":"x","name":"Bash","input":{}}`)
	other := ev("agent", `{}`)
	tests := []struct {
		name string
		log  []store.Event
		want []string
	}{
		{"nothing", nil, nil},
		{"one delta stays as it is", []store.Event{a}, []string{`1 text_delta {"text":"a"}`}},
		{"a run", []store.Event{a, b, c}, []string{`1-3 text {"text":"abc"}`}},
		{"a run of a block", []store.Event{blocked("a", `"m:1"`), blocked("b", `"m:1"`)}, []string{`1-2 text {"text":"ab","block":"m:1"}`}},
		{"a number names a block", []store.Event{blocked("a", "1"), blocked("b", "1"), blocked("c", "2")}, []string{`1-2 text {"text":"ab","block":1}`, `3 text_delta {"text":"c","block":2}`}},
		{"thinking", []store.Event{ev("thinking_delta", `{"text":"a"}`), ev("thinking_delta", `{"text":"b"}`)}, []string{`1-2 thinking {"text":"ab"}`}},
		{"the input of a tool", []store.Event{tool, args(`{\"a\":`), args(`1}`)}, []string{`1 tool_start {"id":"x","name":"Bash","input":{}}`, `2-3 tool_start {"id":"x","text":"{\"a\":1}"}`}},
		{"escapes stay as they are", []store.Event{ev("text_delta", `{ "text" : "\u00e9\n" }`), ev("text_delta", `{"text":"é\\"}`)}, []string{`1-2 text {"text":"\u00e9\né\\"}`}},
		{"another event ends a run", []store.Event{a, b, other, c, c}, []string{`1-2 text {"text":"ab"}`, `3 agent {}`, `4-5 text {"text":"cc"}`}},
		{"another turn or parent is another block", []store.Event{a, within(a, "u", ""), within(a, "t", "p")},
			[]string{`1 text_delta {"text":"a"}`, `2 text_delta {"text":"a"}`, `3 text_delta {"text":"a"}`}},
		{"other members pass", []store.Event{a, ev("text_delta", `{"text":"b","n":1}`), c}, []string{`1 text_delta {"text":"a"}`, `2 text_delta {"text":"b","n":1}`, `3 text_delta {"text":"c"}`}},
		{"a text that is none passes", []store.Event{a, ev("text_delta", `{"text":1}`), ev("text_delta", `[]`)}, []string{`1 text_delta {"text":"a"}`, `2 text_delta {"text":1}`, `3 text_delta []`}},
		{"a redacted event ends a run", []store.Event{a, ev("text_delta", ""), c}, []string{`1 text_delta {"text":"a"}`, `2 text_delta `, `3 text_delta {"text":"c"}`}},
		{"a whole supersedes its deltas", []store.Event{a, b, whole}, []string{`3 text {"text":"whole"}`}},
		{"a whole with more to it supersedes too", []store.Event{a, b, ev("text", `{"text":"w","cites":[]}`)}, []string{`3 text {"text":"w","cites":[]}`}},
		{"a whole of another block does not", []store.Event{a, b, ev("text", `{"text":"w","block":1}`)}, []string{`1-2 text {"text":"ab"}`, `3 text {"text":"w","block":1}`}},
		{"a whole of another turn does not", []store.Event{a, b, within(whole, "u", "")}, []string{`1-2 text {"text":"ab"}`, `3 text {"text":"whole"}`}},
		{"what comes after the whole stays", []store.Event{a, whole, b, c}, []string{`2 text {"text":"whole"}`, `3-4 text {"text":"bc"}`}},
		{"a tool closes the block without a name", []store.Event{a, b, tool, whole}, []string{`1-2 text {"text":"ab"}`, `3 tool_start {"id":"x","name":"Bash","input":{}}`, `4 text {"text":"whole"}`}},
		{"thinking closes it", []store.Event{a, b, ev("thinking_delta", `{"text":"h"}`), whole}, []string{`1-2 text {"text":"ab"}`, `3 thinking_delta {"text":"h"}`, `4 text {"text":"whole"}`}},
		{"of another parent it does not", []store.Event{a, b, within(tool, "t", "p"), whole}, []string{`1 text_delta {"text":"a"}`, `3 tool_start {"id":"x","name":"Bash","input":{}}`, `4 text {"text":"whole"}`}},
		{"the first delta keeps the block's place", []store.Event{blocked("a", "1"), blocked("b", "1"), other, blocked("c", "1"), ev("text", `{"text":"w","block":1}`)},
			[]string{`1 text_delta {"text":"a","block":1}`, `3 agent {}`, `5 text {"text":"w","block":1}`}},
		{"not where it has its place", []store.Event{ev("text", `{"text":"v","block":1}`), blocked("a", "1"), other, ev("text", `{"text":"w","block":1}`)},
			[]string{`1 text {"text":"v","block":1}`, `3 agent {}`, `4 text {"text":"w","block":1}`}},
		{"a delta that closes another block stays", []store.Event{a, blocked("x", "1"), blocked("y", "1"), ev("text", `{"text":"w","block":1}`), b},
			[]string{`1 text_delta {"text":"a"}`, `2 text_delta {"text":"x","block":1}`, `4 text {"text":"w","block":1}`, `5 text_delta {"text":"b"}`}},
		{"a tool with its input supersedes", []store.Event{tool, args("{"), args("}"), ev("tool_result", `{"id":"y","output":1}`), ev("tool_start", `{"id":"x","name":"Bash","input":{"a":1}}`)},
			[]string{`1 tool_start {"id":"x","name":"Bash","input":{}}`, `4 tool_result {"id":"y","output":1}`, `5 tool_start {"id":"x","name":"Bash","input":{"a":1}}`}},
		{"a tool without input does not", []store.Event{args("{"), args("}"), ev("tool_start", `{"id":"x","name":"Bash"}`)}, []string{`1-2 tool_start {"id":"x","text":"{}"}`, `3 tool_start {"id":"x","name":"Bash"}`}},
		{"the input of another tool does not", []store.Event{args("{"), args("}"), ev("tool_start", `{"id":"y","input":{}}`)}, []string{`1-2 tool_start {"id":"x","text":"{}"}`, `3 tool_start {"id":"y","input":{}}`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := number(slices.Clone(test.log))
			if got := short(store.Fold(log)); !slices.Equal(got, test.want) {
				t.Errorf("got\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(test.want, "\n "))
			}
			checkP12(t, log, rand.New(rand.NewPCG(1, 2)))
		})
	}
}

// A folded event is encoded like any other, with from behind the id.
func TestP4_FoldedEventOnTheWire(t *testing.T) {
	log := number([]store.Event{within(ev("text_delta", `{"text":"I'll ","block":"m:0"}`), "r-7", "toolu_01"), within(ev("text_delta", `{"text":"go","block":"m:0"}`), "r-7", "toolu_01")})
	log[0].Raw, log[1].Raw = []byte("{}"), []byte("{}")
	folded := store.Fold(log)
	want := `{"id":2,"from":1,"session":"s1","type":"text","turn":"r-7","parent":"toolu_01","time":"2026-11-20T17:24:01.001Z","data":{"text":"I'll go","block":"m:0"}}`
	if got := string(folded[0].JSON()); got != want || len(folded) != 1 {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := string(folded[0].AppendJSON(nil, true)); got != want {
		t.Errorf("with raw: got %s, want no line of the agent", got)
	}
	if n := len(store.FoldPage(log, store.Query{Raw: true})); n != 2 {
		t.Errorf("asked for the agent's own lines: %d events, want both as they are", n)
	}
}

// A run of any length gives events that readers take.
func TestFoldBoundsTheText(t *testing.T) {
	log := make([]store.Event, 9)
	for i := range log {
		log[i] = ev("text_delta", `{"text":"`+strings.Repeat("x", store.FoldTextMax/4)+`"}`)
	}
	log[8] = ev("text_delta", `{"text":"`+strings.Repeat("y", 2*store.FoldTextMax)+`"}`)
	number(log)
	folded := store.Fold(log)
	var from []int64
	for _, e := range folded {
		from = append(from, e.From, e.ID)
		if e.From != 0 && len(e.Data) > store.FoldTextMax+100 {
			t.Errorf("event %d has %d bytes of data", e.ID, len(e.Data))
		}
	}
	if want := []int64{1, 4, 5, 8, 0, 9}; !slices.Equal(from, want) {
		t.Errorf("got runs %v, want %v", from, want)
	}
	size := 0
	for _, e := range folded {
		size += bytes.Count(e.Data, []byte("x")) + bytes.Count(e.Data, []byte("y")) - len("x") // that of "text"
	}
	if want := 4 * store.FoldTextMax; size != want {
		t.Errorf("the texts have %d characters, want %d", size, want)
	}
	if n := len(store.FoldPage(log, store.Query{Limit: store.Limit{Bytes: 3 << 20, Events: 2}})); n != 2 {
		t.Errorf("a page of two events has %d", n)
	}
}

// A page reads a bounded part of the log, however small its events fold.
func TestFoldPageIsBounded(t *testing.T) {
	log := make([]store.Event, store.FoldEventsMax+10)
	for i := range log {
		log[i] = ev("text_delta", `{"text":"x"}`)
	}
	folded := store.FoldPage(number(log), store.Query{})
	if len(folded) != 1 || folded[0].ID != store.FoldEventsMax {
		t.Errorf("got %q", short(folded))
	}
	heavy := ev("text_delta", `{"text":"x","block":"`+strings.Repeat("b", 4096)+`"}`)
	if n := len(store.Fold(number([]store.Event{heavy, heavy}))); n != 2 {
		t.Error("deltas that are heavier than their text were joined: a page could gather any number of bytes")
	}
}

// What lies on a damaged disk must not take the server down.
func TestFoldTakesAnyBytes(t *testing.T) {
	for _, typ := range []string{"text_delta", "text", "tool_delta", "tool_start"} {
		for _, data := range []string{`{`, `{"`, `{"text`, `{"text"`, `{"text":`, `{"text":"`, `{"text":"\`, `{"text":"a"`, `{"text":"a",`, `{"text":"a"}x`, `{"text":"a","block":}`, `{"text":"a","block":-}`, "\xff", `{"id":1,"text":""`, `{"\ud800":1,"text":"a"}`, `null`} {
			log := number([]store.Event{ev(typ, data), ev(typ, data), ev(typ, data)})
			checkFold(t, log, store.Fold(log))
			if json.Valid([]byte(data)) {
				checkP12(t, log, rand.New(rand.NewPCG(1, 2)))
			}
		}
	}
}

// randomLog makes runs of deltas of several blocks, interleaved with wholes,
// tools, odd data and everything else.
func randomLog(rnd *rand.Rand, n int) []store.Event {
	one := func(choices ...string) string { return choices[rnd.IntN(len(choices))] }
	var log []store.Event
	kind, turn, parent, name := "text", "t1", "", ""
	for len(log) < n {
		if rnd.IntN(4) == 0 {
			kind = one("text", "text", "thinking", "tool")
		}
		if rnd.IntN(6) == 0 {
			turn, parent = one("", "t1", "t1", "t2"), one("", "", "p")
		}
		if rnd.IntN(4) == 0 {
			name = one("", "", `"a"`, `"b"`, `"\u0061"`, "1", "1.0", "null", "[]")
		}
		text := one("a", "b ", `\n`, `\ud83d`, `\ude00`, "é", `\"`, "")
		e := store.Event{Turn: turn, Parent: parent, Type: kind + "_delta"}
		extra := ""
		if rnd.IntN(15) == 0 {
			extra = one(`,"n":1`, `,"text":"twice"`, `,"t\u0065xt":"twice"`, `,"Text":"x"`, `,"text":1`)
		}
		switch dice := rnd.IntN(20); {
		case dice == 0:
			e = store.Event{Turn: turn, Parent: parent, Type: one("prompt", "turn_start", "turn_end", "agent", "usage", "text", "tool_start"), Data: []byte(one("{}", "1", `{"text":2}`))}
		case dice == 1:
			e.Data = nil // redacted
		case kind == "tool" && dice < 5:
			e.Type = "tool_start"
			e.Data = fmt.Appendf(nil, `{"id":%s,"name":"n"%s%s}`, one(`"a"`, `"b"`, "1"), one("", `,"input":{"x":1}`, `,"input":{}`, `,"input":null`), extra)
		case kind == "tool" && dice < 7:
			e.Type = "tool_result"
			e.Data = fmt.Appendf(nil, `{"id":%s,"output":"o%d"}`, one(`"a"`, `"b"`, "1"), len(log))
		case kind == "tool":
			id := name
			if id == "" {
				id = `"a"`
			}
			e.Data = fmt.Appendf(nil, `{"id":%s,"text":"%s"%s}`, id, text, extra)
		default:
			if dice < 4 {
				e.Type = kind
			}
			block := ""
			if name != "" {
				block = `,"block":` + name
			}
			e.Data = fmt.Appendf(nil, `{"text":"%s"%s%s}`, text, block, extra)
		}
		log = append(log, e)
	}
	return number(log)
}

func TestP12_RandomLogs(t *testing.T) {
	rounds := 150
	if !long.Wanted() {
		rounds = 50
	}
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		size := 1 + rnd.IntN(40)
		if seed%50 == 0 {
			size = 400
		}
		log := randomLog(rnd, size)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { checkP12(t, log, rnd) })
		if t.Failed() {
			return
		}
	}
}

func FuzzP12_Fold(f *testing.F) {
	f.Add([]byte("text_delta\tt\t\t{\"text\":\"a\"}\ntext_delta\tt\t\t{\"text\":\"b\"}\ntext\tt\t\t{\"text\":\"ab\"}"), 2)
	f.Add([]byte("thinking_delta\t\tp\t{\"text\":\"a\",\"block\":1}\nagent\t\t\t{}\nthinking\t\tp\t{\"text\":\"ab\",\"block\":1}"), 1)
	f.Add([]byte("tool_start\tt\t\t{\"id\":\"x\",\"name\":\"n\",\"input\":{}}\ntool_delta\tt\t\t{\"id\":\"x\",\"text\":\"{\"}\ntool_delta\tt\t\t{\"id\":\"x\",\"text\":\"}\"}\ntool_start\tt\t\t{\"id\":\"x\",\"input\":{\"a\":1}}"), 3)
	f.Add([]byte("text_delta\t\t\t{\"text\":\"a\"}\ntext_delta\t\t\t{\"text\":\"b\",\"block\":\"\\u0061\"}\ntext\t\t\t{\"text\":\"c\",\"block\":\"a\"}\ntext_delta\t\t\t{\"text\":\"d\"}"), 2)
	f.Fuzz(func(t *testing.T, script []byte, k int) {
		var log []store.Event
		for line := range bytes.SplitSeq(script, []byte("\n")) {
			if part := bytes.SplitN(line, []byte("\t"), 4); len(part) == 4 {
				log = append(log, store.Event{Type: string(part[0]), Turn: string(part[1]), Parent: string(part[2]), Data: part[3]})
			}
		}
		number(log)
		checkFold(t, log, store.Fold(log)) // whatever the data
		log = slices.DeleteFunc(log, func(e store.Event) bool { return len(e.Data) > 0 && (!json.Valid(e.Data) || !utf8.Valid(e.Data)) })
		number(log)
		if len(log) > 0 {
			checkSplit(t, log, int(uint(k)%uint(len(log)+1)), render(log).String())
			checkSplit(t, log, len(log), render(log).String())
		}
	})
}
