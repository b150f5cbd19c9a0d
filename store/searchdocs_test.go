package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// said is an event of a test, with data in single quotes to be readable.
type said struct{ typ, turn, data string }

func logOf(all ...said) []Event {
	var events []Event
	for i, s := range all {
		e := Event{ID: int64(i + 1), Session: "s", Type: s.typ, Turn: s.turn, Time: time.UnixMilli(int64(i + 1)).UTC(), Data: []byte(strings.ReplaceAll(s.data, "'", `"`))}
		e.Seal()
		events = append(events, e)
	}
	return events
}

// extract describes the documents of a log, one a line: first-id kind turn text.
func extract(t *testing.T, events []Event) (lines []string) {
	t.Helper()
	x, err := NewExtractor(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		for _, d := range x.Add(&events[i]) {
			if d.Time != time.UnixMilli(d.ID).UTC() {
				t.Errorf("document of %d has time %v", d.ID, d.Time)
			}
			lines = append(lines, fmt.Sprintf("%d-%d %s %s %s", d.First, d.ID, d.Kind, d.Turn, strings.ReplaceAll(d.Text, "\n", "/")))
		}
	}
	return lines
}

func TestExtractorDocuments(t *testing.T) {
	tests := []struct {
		name string
		log  []said
		want []string
	}{
		{"prompt and whole text", []said{{"prompt", "t", "{'text':'do it'}"}, {"text", "t", "{'text':'done'}"}}, []string{"1-1 prompt t do it", "2-2 text t done"}},
		{"deltas superseded by the whole", []said{{"text_delta", "t", "{'text':'do'}"}, {"text_delta", "t", "{'text':'ne'}"}, {"text", "t", "{'text':'done'}"}, {"turn_end", "t", "{}"}}, []string{"3-3 text t done"}},
		{"deltas only, closed by a tool", []said{{"text_delta", "t", "{'text':'do'}"}, {"text_delta", "t", "{'text':'n\\u00e9'}"}, {"tool_start", "t", "{'id':'1','name':'Bash','input':{'cmd':'ls','n':1,'more':['a',{'b':'c'}]}}"}},
			[]string{"1-2 text t doné", "3-3 tool t Bash/ls/a/c"}},
		{"named block ends with its turn", []said{{"text_delta", "t", "{'text':'a','block':0}"}, {"text_delta", "t", "{'text':'b','block':1}"}, {"text_delta", "t", "{'text':'c','block':0}"}, {"turn_end", "t", "{}"}},
			[]string{"1-3 text t ac", "2-2 text t b"}},
		{"another turn's end leaves it open", []said{{"text_delta", "t", "{'text':'a','block':0}"}, {"turn_end", "u", "{}"}}, nil},
		{"thinking is left out and closes", []said{{"text_delta", "t", "{'text':'a'}"}, {"thinking_delta", "t", "{'text':'hm'}"}, {"text_delta", "t", "{'text':'b'}"}, {"thinking", "t", "{'text':'hm'}"}, {"turn_end", "t", "{}"}},
			[]string{"1-1 text t a", "3-3 text t b"}},
		{"fullText when nothing else was said", []said{{"turn_end", "t", "{'fullText':'all','error':'broke'}"}}, []string{"1-1 text t all", "1-1 error t broke"}},
		{"fullText after text", []said{{"text", "t", "{'text':'all'}"}, {"turn_end", "t", "{'fullText':'all'}"}, {"turn_end", "u", "{'fullText':'other'}"}}, []string{"1-1 text t all", "3-3 text u other"}},
		{"fullText after text outside of a turn", []said{{"text_delta", "", "{'text':'all'}"}, {"turn_end", "t", "{'fullText':'all'}"}}, []string{"1-1 text  all"}},
		{"tool input in deltas", []said{{"tool_start", "t", "{'id':'1','name':'Read'}"}, {"tool_delta", "t", "{'id':'1','text':'{\\'pa'}"}, {"tool_delta", "t", "{'id':'1','text':'th'}"}, {"tool_result", "t", "{'id':'1','output':[{'type':'text','text':'hello'}]}"}},
			[]string{"1-1 tool t Read", "2-3 tool t {\"path", "4-4 output t text/hello"}},
		{"kontask", []said{{"kontask_ready", "t", "{'id':'k','title':'Report','description':'of it','context':{'output':'<style>p{}</style><p>Tom &amp; <b>Jerry</b></p><script>x</script>'}}"}}, []string{"1-1 kontask t Report/of it/Tom & Jerry"}},
		{"error", []said{{"error", "t", "{'error':{'message':'no disk'}}"}}, []string{"1-1 error t no disk"}},
		{"end of the session", []said{{"text_delta", "t", "{'text':'a','block':'x'}"}, {"session_closed", "", "{}"}}, []string{"1-1 text t a"}},
		{"odd data", []said{{"text", "t", "7"}, {"prompt", "t", "null"}, {"tool_result", "t", "[]"}, {"text_delta", "t", "{'text':1}"}, {"turn_end", "t", "{'error':null}"}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.log {
				test.log[i].data = strings.ReplaceAll(test.log[i].data, `\'`, `\"`)
				test.log[i].data = strings.ReplaceAll(test.log[i].data, `\"`, "\x00")
			}
			events := logOf(test.log...)
			for i := range events {
				events[i].Data = []byte(strings.ReplaceAll(string(events[i].Data), "\x00", `\"`))
			}
			if got := extract(t, events); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// randomLog makes a log in which blocks of all sorts begin, go on and end.
func randomLog(r *rand.Rand, n int) []Event {
	var all []said
	for i := range n {
		key := []string{"", ",'block':0", ",'block':'<b>'"}[r.IntN(3)]
		word := fmt.Sprintf("w%d ", i)
		data := fmt.Sprintf("{'text':'%s'%s}", word, key)
		typ := []string{"text_delta", "text_delta", "text_delta", "text_delta", "thinking_delta", "text", "thinking", "tool_start", "tool_delta", "tool_result", "prompt", "turn_end", "process_exit"}[r.IntN(13)]
		switch typ {
		case "tool_start", "tool_delta", "tool_result":
			data = fmt.Sprintf("{'id':'%d','name':'n%d','text':'x%d','output':'o%d'}", r.IntN(2), i, i, i)
		case "turn_end":
			data = fmt.Sprintf("{'fullText':'f%d'}", i)
		}
		all = append(all, said{typ, []string{"", "t", "u"}[r.IntN(3)], data})
	}
	return logOf(all...)
}

// TestExtractorGoesOn holds an extractor that is kept as its state after every
// event against one that runs through.
func TestExtractorGoesOn(t *testing.T) {
	for seed := range uint64(300) {
		events := randomLog(rand.New(rand.NewPCG(seed, 1)), 60)
		through, _ := NewExtractor(nil)
		var want, got []Doc
		var state []byte
		for i := range events {
			want = append(want, through.Add(&events[i])...)
			x, err := NewExtractor(state)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, x.Add(&events[i])...)
			state = x.State()
			if x.Size() != through.Size() {
				t.Fatalf("seed %d: event %d: size %d, want %d", seed, i+1, x.Size(), through.Size())
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d:\ngot  %+v\nwant %+v", seed, got, want)
		}
	}
}

// TestExtractorSaysAllOnce holds the texts of blocks without a name against
// the fold of the same log: the same blocks, whole.
func TestExtractorSaysAllOnce(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []said
		for i := range 40 {
			typ := []string{"text_delta", "text_delta", "text_delta", "text", "thinking_delta", "tool_start"}[r.IntN(6)]
			all = append(all, said{typ, "t", fmt.Sprintf("{'text':'w%d.','name':'n'}", i)})
			if typ != "tool_start" {
				all[i].data = fmt.Sprintf("{'text':'w%d.'}", i)
			}
		}
		all = append(all, said{"turn_end", "t", "{}"})
		events := logOf(all...)
		var want, got []string
		block := ""
		flush := func() {
			if block != "" {
				want = append(want, block)
			}
			block = ""
		}
		for i := range events {
			e := &events[i]
			switch e.Type {
			case TypeTextDelta:
				block += e.Text("text")
			case TypeText: // it takes the place of what is open
				block = ""
				want = append(want, e.Text("text"))
			default:
				flush()
			}
		}
		x, _ := NewExtractor(nil)
		for i := range events {
			for _, d := range x.Add(&events[i]) {
				if d.Kind == DocText {
					got = append(got, d.Text)
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, got, want)
		}
	}
}

func TestExtractorBounds(t *testing.T) {
	x, _ := NewExtractor(nil)
	id, docs := int64(0), 0
	add := func(turn, data string) {
		id++
		e := Event{ID: id, Session: "s", Type: "text_delta", Turn: turn, Data: []byte(data)}
		for _, d := range x.Add(&e) {
			if docs++; len(d.Text) > DocTextBytesMax {
				t.Fatalf("a document of %d bytes", len(d.Text))
			}
		}
		if x.Size() > extractBytesMax || len(x.blocks) > extractBlocksMax || len(x.spoke) > extractTurnsMax {
			t.Fatalf("%d bytes in %d blocks, %d turns", x.Size(), len(x.blocks), len(x.spoke))
		}
	}
	for i := range 3 * extractBlocksMax {
		add(fmt.Sprint("t", i), `{"text":"é","block":1}`)
	}
	for i := range 8 {
		for range 20 {
			add("big", fmt.Sprintf(`{"text":"%s","block":"b%d"}`, strings.Repeat("é", 4001), i))
		}
	}
	if docs < 2*extractBlocksMax {
		t.Errorf("%d documents", docs)
	}
	e := Event{ID: id + 1, Session: "s", Type: "session_closed", Data: []byte("{}")}
	x.Add(&e)
	if x.Size() != 0 || x.State() != nil {
		t.Errorf("%d bytes are held after the end: %s", x.Size(), x.State())
	}
}

func TestExtractorForgets(t *testing.T) {
	events := logOf(said{"text_delta", "t", "{'text':'a','block':0}"}, said{"text_delta", "t", "{'text':'b','block':1}"}, said{"text_delta", "t", "{'text':'c','block':0}"}, said{"turn_end", "t", "{}"})
	x, _ := NewExtractor(nil)
	for i := range events[:3] {
		x.Add(&events[i])
	}
	x.Forget(3, 3)
	docs := x.Add(&events[3])
	if len(docs) != 1 || docs[0].Text != "b" || x.Size() != 0 {
		t.Errorf("got %+v, want b alone", docs)
	}
	gone := events[0].Redact()
	if docs := x.Add(&gone); docs != nil {
		t.Errorf("got %+v of an event without content", docs)
	}
}

func FuzzStripTags(f *testing.F) {
	for _, s := range []string{"<p>a</p>", "a < b", "<!-- x -->y", "<script>", "<style>a</style", "&lt;", "<", "</", "<!--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := stripTags(s); len(got) > 2*len(s)+2 {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// FuzzExtractor wants no event, sound or damaged, to do harm.
func FuzzExtractor(f *testing.F) {
	f.Add("text_delta", []byte(`{"text":"a"}`))
	f.Add("tool_start", []byte(`{"id":"1","input":{"a":["b"]}}`))
	f.Add("kontask_ready", []byte(`{"context":{"output":"<p>x"}}`))
	f.Add("turn_end", []byte(`{"fullText":`))
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		x, _ := NewExtractor(nil)
		x.Add(&Event{ID: 1, Session: "s", Type: "text_delta", Turn: "t", Data: []byte(`{"text":"a"}`)})
		x.Add(&Event{ID: 2, Session: "s", Type: typ, Turn: "t", Data: data})
		if _, err := NewExtractor(x.State()); err != nil {
			t.Error(err)
		}
	})
}
