package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// plainFormat is a format whose lines say outright what they mean.
type plainFormat struct{}

type plainLine struct {
	Unknown bool
	Kind    string
	Place   Place
	Events  []struct {
		Type, Parent, Task string
		Data               json.RawMessage
	}
	End *End
}

func (plainFormat) Read(line []byte, d Direction) Meaning {
	var p plainLine
	if err := json.Unmarshal(line, &p); err != nil {
		return Meaning{Kind: "bad"}
	}
	m := Meaning{Known: !p.Unknown, Kind: p.Kind, Place: p.Place, End: p.End}
	for _, e := range p.Events {
		if e.Data == nil {
			e.Data = []byte("{}")
		}
		m.Events = append(m.Events, Event{Type: e.Type, Parent: e.Parent, Task: e.Task, Data: e.Data})
	}
	if d == ToAgent {
		m.Events = append(m.Events, Event{Type: "to_agent", Data: []byte("{}")})
	}
	return m
}

// newPlain is a mapper of such lines.
func newPlain(o MapperOptions) *Mapper {
	o.Format = FormatLines
	m := NewMapper(o)
	m.format = plainFormat{}
	return m
}

// The lines of the tests below.
const (
	work     = `{"Place":1}`
	say      = `{"Place":1,"Events":[{"Type":"text","Data":{"text":"x"}}]}`
	aside    = `{"Events":[{"Type":"usage"}]}`
	ask      = `{"Events":[{"Type":"prompt","Data":{"text":"do"}}]}`
	stop     = `{"Events":[{"Type":"stop_turn"}]}`
	well     = `{"End":{"Success":true}}`
	badly    = `{"End":{"Success":false,"Error":"why"}}`
	own      = `{"End":{"Success":true,"Own":true,"Usage":{"b":1,"a":2},"CostUSD":0.1}}`
	again    = `{"End":{"Success":true,"Again":true}}`
	started  = `{"Place":2,"Events":[{"Type":"task_start","Task":"k","Data":{"taskId":"k"}}]}`
	nameless = `{"Place":2,"Events":[{"Type":"task_start","Data":{"taskId":"k"}}]}`
	ended    = `{"Place":2,"Events":[{"Type":"task_end","Task":"k","Data":{"taskId":"k"}}]}`
	late     = `{"Place":2,"Events":[{"Type":"text","Task":"k","Parent":"u","Data":{"text":"x"}}]}`
)

func TestMapper(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     MapperOptions
		steps []string // lines, or "begin TURN", "stop", "exit"
		want  string
	}{
		{"work opens a turn of its own, an end closes it", MapperOptions{}, []string{say, say, well, say, well},
			"1 turn_start t1|1 text t1|2 text t1|3 turn_end t1 done|4 turn_start t2|4 text t2|5 turn_end t2 done"},
		{"work without words still opens", MapperOptions{}, []string{work, work, well}, "1 turn_start t1|2 agent t1|3 turn_end t1 done"},
		{"what is aside opens nothing and goes with what is open", MapperOptions{}, []string{aside, say, aside, well, aside},
			"1 usage -|2 turn_start t1|2 text t1|3 usage t1|4 turn_end t1 done|5 usage -"},
		{"an end without a turn makes one", MapperOptions{}, []string{well, badly},
			"1 turn_start t1|1 turn_end t1 done|2 turn_start t2|2 turn_end t2 error"},
		{"an end said again makes none, and ends what is open", MapperOptions{}, []string{again, say, again, again, well},
			"1 agent -|2 turn_start t1|2 text t1|3 turn_end t1 done|4 agent -|5 turn_start t2|5 turn_end t2 done"},
		{"prompts wait and their turns begin in order", MapperOptions{Prompts: true}, []string{ask, ask, say, well, say, well, say, well},
			"1 prompt t1|2 prompt t2|3 turn_start t1|3 text t1|4 turn_end t1 done|5 turn_start t2|5 text t2|6 turn_end t2 done|7 turn_start t3|7 text t3|8 turn_end t3 done"},
		{"an end alone answers a prompt", MapperOptions{Prompts: true}, []string{ask, well}, "1 prompt t1|2 turn_start t1|2 turn_end t1 done"},
		{"a prompt within a turn steers it", MapperOptions{Prompts: true}, []string{say, ask, well, say, well},
			"1 turn_start t1|1 text t1|2 prompt t1|3 turn_end t1 done|4 turn_start t2|4 text t2|5 turn_end t2 done"},
		{"prompts that are in the log are dropped", MapperOptions{}, []string{ask, say, ask, well},
			"1 agent -|2 turn_start t1|2 text t1|3 agent t1|4 turn_end t1 done"},
		{"an own end does not end what was asked for", MapperOptions{Prompts: true}, []string{ask, say, own, well},
			"1 prompt t1|2 turn_start t1|2 text t1|3 usage t1|4 turn_end t1 done"},
		{"nor what the log asked for", MapperOptions{}, []string{"begin T", say, own, well, own},
			"2 text t1|3 usage t1|4 turn_end t1 done|5 turn_start t2|5 turn_end t2 done"},
		{"it ends a turn of its own", MapperOptions{}, []string{say, own}, "1 turn_start t1|1 text t1|2 turn_end t1 done"},
		{"a stop in the stream is the reason of a bad end", MapperOptions{}, []string{say, stop, badly, say, badly},
			"1 turn_start t1|1 text t1|2 stop_turn t1|3 turn_end t1 stopped|4 turn_start t2|4 text t2|5 turn_end t2 error"},
		{"but not of a good one", MapperOptions{}, []string{say, stop, well}, "1 turn_start t1|1 text t1|2 stop_turn t1|3 turn_end t1 done"},
		{"nor of another turn", MapperOptions{}, []string{stop, say, badly}, "1 agent -|2 turn_start t1|2 text t1|3 turn_end t1 error"},
		{"a stop of somebody else's is too", MapperOptions{}, []string{"begin T", "stop", say, badly, "begin U", badly},
			"3 text t1|4 turn_end t1 stopped|6 turn_end t2 error"},
		{"a task belongs to the turn that started it", MapperOptions{}, []string{say, started, well, ended, say, late, ended, well},
			"1 turn_start t1|1 text t1|2 task_start t1|3 turn_end t1 done|4 task_end t1|5 turn_start t2|5 text t2|6 text t1 ^u|7 task_end t1|8 turn_end t2 done"},
		{"a task that starts again moves", MapperOptions{}, []string{say, started, well, say, started, well, ended},
			"1 turn_start t1|1 text t1|2 task_start t1|3 turn_end t1 done|4 turn_start t2|4 text t2|5 task_start t2|6 turn_end t2 done|7 task_end t2"},
		{"a task without a name moves nothing else", MapperOptions{}, []string{say, nameless, well, say, well},
			"1 turn_start t1|1 text t1|2 task_start t1|3 turn_end t1 done|4 turn_start t2|4 text t2|5 turn_end t2 done"},
		{"a task of no turn stays with none", MapperOptions{}, []string{started, say, ended, well},
			"1 task_start -|2 turn_start t1|2 text t1|3 task_end -|4 turn_end t1 done"},
		{"a task that nobody knows goes with what is open", MapperOptions{}, []string{ended, say, ended, well},
			"1 task_end -|2 turn_start t1|2 text t1|3 task_end t1|4 turn_end t1 done"},
		{"a turn of somebody else's takes all and is neither begun nor ended", MapperOptions{Turn: "T", Prompts: true}, []string{say, ask, stop, started, ended, own, badly, say, "exit"},
			"1 text t1|2 prompt t1|3 agent t1|4 task_start t1|5 task_end t1|6 usage t1|7 agent t1|8 text t1"},
		{"the end of the stream ends the open turn", MapperOptions{}, []string{say, "exit", "exit", say, "stop", "exit"},
			"1 turn_start t1|1 text t1|2 turn_end t1 exit|4 turn_start t2|4 text t2|6 turn_end t2 exit"},
		{"noise goes with the open turn", MapperOptions{}, []string{"noise", say, "more noise", `[1]`, `"x"`, well, "{"},
			"1 agent -|2 turn_start t1|2 text t1|3 agent t1|4 agent t1|5 agent t1|6 turn_end t1 done|7 agent -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := runSteps(t, newPlain(c.o), c.steps); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "|", "\n"), strings.ReplaceAll(c.want, "|", "\n"))
			}
		})
	}
}

func runSteps(t *testing.T, m *Mapper, steps []string) string {
	t.Helper()
	var got []string
	turns := names{}
	show := func(i int, d store.Draft) {
		text := fmt.Sprintf("%d %s %s", i+1, d.Type, turns.of(d.Turn))
		if d.Parent != "" {
			text += " ^" + d.Parent
		}
		if d.Type == store.TypeTurnEnd {
			text += " " + dataMember(d, "reason")
		}
		got = append(got, text)
	}
	for i, step := range steps {
		word, turn, _ := strings.Cut(step, " ")
		switch word {
		case "begin":
			m.Begin(turn)
		case "stop":
			m.Stop()
		case "exit":
			if d, ok := m.Exit(End{Reason: "exit"}); ok {
				show(i, d)
			}
		default:
			drafts, _ := m.Map([]byte(step), fmt.Sprintf("k%d", i))
			for _, d := range drafts {
				show(i, d)
			}
			if back, err := Line(drafts[0].Data, drafts[0].Raw); err != nil || string(back) != step {
				t.Errorf("line %d came back as %q (%v)", i+1, back, err)
			}
		}
	}
	return strings.Join(got, "|")
}

// TestMapperData: what a turn's events say beside their type.
func TestMapperData(t *testing.T) {
	m := newPlain(MapperOptions{Agent: "a", Run: "r", Lease: 2 * time.Second})
	drafts, _ := m.Map([]byte(say), "k")
	want := []store.Draft{
		{Key: "k", Type: "turn_start", Turn: m.Turn(), Data: []byte(`{"agent":"a","run":"r","leaseMs":2000}`), Raw: []byte(say)},
		{Key: "k/1", Type: "text", Turn: m.Turn(), Data: []byte(`{"text":"x"}`)},
	}
	checkDrafts(t, drafts, want)
	turn := m.Turn()
	drafts, _ = m.Map([]byte(`{"End":{"Error":"e","Text":"f","Usage":{"n":1},"CostUSD":0.25}}`), "l")
	checkDrafts(t, drafts, []store.Draft{{Key: "l", Type: "turn_end", Turn: turn,
		Data: []byte(`{"success":false,"reason":"error","error":"e","fullText":"f","usage":{"n":1},"costUsd":0.25}`),
		Raw:  []byte(`{"End":{"Error":"e","Text":"f","Usage":{"n":1},"CostUSD":0.25}}`)}})
	m.Begin("T")
	drafts, _ = m.Map([]byte(own), "")
	checkDrafts(t, drafts, []store.Draft{{Type: "usage", Turn: "T", Data: []byte(`{"a":2,"b":1,"costUsd":0.1}`), Raw: []byte(own)}})
}

func checkDrafts(t *testing.T, got, want []store.Draft) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Key != w.Key || g.Type != w.Type || g.Turn != w.Turn || g.Parent != w.Parent || !bytes.Equal(g.Data, w.Data) || !bytes.Equal(g.Raw, w.Raw) || (g.Raw == nil) != (w.Raw == nil) {
			t.Errorf("event %d: got\n%s %s %s %s raw %s\nwant\n%s %s %s %s raw %s", i, g.Key, g.Type, g.Turn, g.Data, g.Raw, w.Key, w.Type, w.Turn, w.Data, w.Raw)
		}
	}
}

// TestMapperTurnNames: turns are named after their first line, so that the
// same stream gives the same; without keys each is another.
func TestMapperTurnNames(t *testing.T) {
	name := func(key string) string {
		m := newPlain(MapperOptions{})
		m.Map([]byte(work), key)
		return m.Turn()
	}
	if a := name("k"); a != name("k") || a == name("l") || a == "" {
		t.Errorf("the turns of equal keys are %q and %q, that of another %q", a, name("k"), name("l"))
	}
	if a, b := name(""), name(""); a == b || a == "" {
		t.Errorf("turns without keys are %q and %q", a, b)
	}
	two := `{"Events":[{"Type":"prompt"},{"Type":"prompt"}]}`
	m := newPlain(MapperOptions{Prompts: true})
	drafts, _ := m.Map([]byte(two), "k")
	if len(drafts) != 2 || drafts[0].Turn == drafts[1].Turn {
		t.Errorf("two prompts of a line ask for the turns %v", drafts)
	}
	if got := m.Waiting(); len(got) != 2 || got[0] != drafts[0].Turn {
		t.Errorf("waiting are %v", got)
	}
}

// TestMapperLines: what is no JSON object on one line is kept, whatever it is,
// and what the log would refuse as JSON.
func TestMapperLines(t *testing.T) {
	deep := strings.Repeat("[", store.NestingMax+5) + strings.Repeat("]", store.NestingMax+5)
	for _, line := range []string{
		"plain", "\xff\xfe", "null", "7", `"x"`, "[]", " {} ", "{\r}", "{\"a\":\r1}", deep, `{"Unknown":true,"x":` + deep + `}`,
		`{"Place":1,"Events":[{"Type":"text","Data":{"x":` + deep + `}}]}`,
		`{"End":{"Success":true,"Usage":{"x":` + deep + `}}}`,
		`{"End":{"Success":true,"Own":true,"Usage":{"x":` + deep + `}}}`,
		"{\"Events\":[{\"Type\":\"usage\"}]\r}", `{"Events":[{"Type":"UPPER"}]}`, `{"Events":[{"Type":"ping"}]}`,
	} {
		for _, o := range []MapperOptions{{}, {Turn: "T"}} {
			m := newPlain(o)
			if o.Turn == "" {
				m.Begin("B")
			}
			drafts, _ := m.Map([]byte(line), "k")
			for i := range drafts {
				if err := drafts[i].Check(1 << 20); err != nil {
					t.Errorf("%.60q: %s is refused: %v", line, drafts[i].Type, err)
				}
			}
			if back, err := Line(drafts[0].Data, drafts[0].Raw); err != nil || string(back) != line {
				t.Errorf("%.60q came back as %.60q (%v)", line, back, err)
			}
		}
	}
}

// TestMapperRefusals: what a log would refuse for its names is not sent there.
func TestMapperRefusals(t *testing.T) {
	long := strings.Repeat("x", store.ParentBytesMax+1)
	for _, c := range []struct{ event, want string }{
		{`{"Type":"permission_request","Data":{"requestId":"q"}}`, "permission_request"},
		{`{"Type":"permission_request","Data":{"requestId":""}}`, "agent"},
		{`{"Type":"permission_request","Data":{"requestId":7}}`, "agent"},
		{`{"Type":"permission_request","Data":{"requestId":"` + long + `"}}`, "agent"},
		{`{"Type":"permission_response","Data":{"requestId":"` + long + `"}}`, "agent"},
		{`{"Type":"task_start","Task":"k","Data":{"taskId":"` + long + `"}}`, "agent"},
		{`{"Type":"task_update","Data":{}}`, "agent"},
		{`{"Type":"task_end","Data":[]}`, "agent"},
		{`{"Type":"text","Parent":"` + long + `","Data":{"text":"x"}}`, "text"},
		{`{"Type":"text","Parent":"a\u0007b","Data":{"text":"x"}}`, "text"},
		{`{"Type":"text","Parent":"fine","Data":{"text":"x"}}`, "text ^fine"},
		{`{"Type":"prompt","Data":{"requestId":"a"}}`, "agent"}, // nobody else names the turn
	} {
		m := newPlain(MapperOptions{})
		m.Begin("T")
		drafts, _ := m.Map([]byte(`{"Events":[`+c.event+`]}`), "k")
		got := drafts[0].Type
		if drafts[0].Parent != "" {
			got += " ^" + drafts[0].Parent
		}
		if got != c.want {
			t.Errorf("%.80s: got %s, want %s", c.event, got, c.want)
		}
		if err := drafts[0].Check(1 << 20); err != nil {
			t.Errorf("%.80s: %v", c.event, err)
		}
	}
}

// TestMapperEnvelope: two-way recordings say who wrote a line.
func TestMapperEnvelope(t *testing.T) {
	for line, want := range map[string]string{
		`{"t_ms":1,"dir":"in","msg":{"Kind":"k"}}`:                      "to_agent k",
		`{"t_ms":1.5,"dir":"client->agent","msg":{"Kind":"k"}}`:         "to_agent k",
		`{"t_ms":1,"dir":"out","msg":{"Kind":"k"}}`:                     "agent k",
		`{"t_ms":1,"dir":"agent->client","msg":{"Kind":"k"}}`:           "agent k",
		`{"t_ms":1,"dir":"sideways","msg":{"Kind":"k"},"Kind":"outer"}`: "agent outer",
		`{"dir":"in","msg":{"Kind":"k"},"Kind":"outer"}`:                "agent outer",
		`{"t_ms":1,"dir":"in","Kind":"outer"}`:                          "agent outer",
		`{"t_ms":1,"dir":"in","msg":7,"Kind":"outer"}`:                  "agent ",
	} {
		drafts, meaning := newPlain(MapperOptions{}).Map([]byte(line), "k")
		if got := drafts[0].Type + " " + meaning.Kind; got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
		if back, err := Line(drafts[0].Data, drafts[0].Raw); err != nil || string(back) != line {
			t.Errorf("%s came back as %q (%v)", line, back, err)
		}
	}
}

// TestMapperInit: a session_init is told again when it has changed.
func TestMapperInit(t *testing.T) {
	m := newPlain(MapperOptions{})
	var got []string
	for i, session := range []string{"a", "a", "b", "a"} {
		drafts, _ := m.Map(fmt.Appendf(nil, `{"Events":[{"Type":"session_init","Data":{"sessionId":%q}}]}`, session), fmt.Sprint(i))
		got = append(got, drafts[0].Type)
	}
	if want := []string{"session_init", "agent", "session_init", "session_init"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMapperUnknown: unknown kinds are counted, and neither their number nor
// their length is the agent's to choose.
func TestMapperUnknown(t *testing.T) {
	m := newPlain(MapperOptions{})
	if len(m.Unknown()) != 0 {
		t.Errorf("at the beginning there are %v", m.Unknown())
	}
	m.Map([]byte(`{"Unknown":true,"Kind":"`+strings.Repeat("k", kindBytesMax+1)+`"}`), "")
	for i := range kindsMax + 20 {
		m.Map(fmt.Appendf(nil, `{"Unknown":true,"Kind":"k%d"}`, i), "")
	}
	m.Map([]byte(`{"Unknown":true,"Kind":"k0"}`), "")
	m.Map([]byte(`{"Unknown":true}`), "")
	m.Map([]byte(`{"Kind":"known"}`), "")
	m.Map([]byte(`noise`), "")
	got := m.Unknown()
	if len(got) != kindsMax || got["k0"] != 2 || got[kindsOther] != 23 || got["known"] != 0 {
		t.Errorf("%d kinds, k0 %d times, others %d times", len(got), got["k0"], got[kindsOther])
	}
	got["k0"] = 99
	if m.Unknown()["k0"] != 2 {
		t.Error("the counts can be changed from outside")
	}
}

// TestMapperPending: as many prompts wait as the log lets wait.
func TestMapperPending(t *testing.T) {
	if pendingMax != store.PromptsMax {
		t.Errorf("%d prompts wait here, %d in the log", pendingMax, store.PromptsMax)
	}
	m := newPlain(MapperOptions{Prompts: true})
	prompts := 0
	for i := range pendingMax + 5 {
		drafts, _ := m.Map([]byte(ask), fmt.Sprint(i))
		if drafts[0].Type == store.TypePrompt {
			prompts++
		}
	}
	if prompts != pendingMax || len(m.Waiting()) != pendingMax {
		t.Errorf("%d prompts became events, %d wait", prompts, len(m.Waiting()))
	}
	m.Map([]byte(work), "w")
	if drafts, _ := m.Map([]byte(ask), "x"); drafts[0].Type != store.TypePrompt || drafts[0].Turn != m.Turn() {
		t.Errorf("a prompt that steers was not taken: %v", drafts)
	}
}

// TestMapperTasks: how many tasks are remembered is bounded; the oldest go.
func TestMapperTasks(t *testing.T) {
	m := newPlain(MapperOptions{})
	m.Begin("T")
	for i := range namesMax + 1 {
		m.Map(fmt.Appendf(nil, `{"Events":[{"Type":"task_start","Task":"k%d","Data":{"taskId":"k%[1]d"}}]}`, i), "")
	}
	m.Begin("U")
	for task, want := range map[string]string{"k0": "U", "k1": "T", fmt.Sprintf("k%d", namesMax): "T"} {
		drafts, _ := m.Map(fmt.Appendf(nil, `{"Events":[{"Type":"task_end","Task":%q,"Data":{"taskId":"x"}}]}`, task), "")
		if drafts[0].Turn != want {
			t.Errorf("task %s ended in %s, want %s", task, drafts[0].Turn, want)
		}
	}
}

func TestFew(t *testing.T) {
	var f few[int]
	f.drop("nothing")
	f.put("a", 1)
	f.put("b", 2)
	f.put("a", 3) // keeps its place
	f.drop("b")
	f.put("b", 4)
	if v, ok := f.get("a"); v != 3 || !ok {
		t.Errorf("a is %d, %v", v, ok)
	}
	for i := range namesMax - 1 {
		f.put(fmt.Sprint(i), i)
	}
	if _, ok := f.get("a"); ok {
		t.Error("the oldest was not forgotten")
	}
	if v, ok := f.get("b"); v != 4 || !ok || len(f.m) != namesMax || len(f.order) != namesMax {
		t.Errorf("b is %d, %v; %d are kept in an order of %d", v, ok, len(f.m), len(f.order))
	}
}

// TestLinesFormat: without a format nothing is said of the lines.
func TestLinesFormat(t *testing.T) {
	m := NewMapper(MapperOptions{Format: FormatLines, Prompts: true})
	drafts, meaning := m.Map([]byte(say), "k")
	checkDrafts(t, drafts, []store.Draft{{Key: "k", Type: TypeLine, Data: []byte(say)}})
	if meaning.Known || len(m.Unknown()) != 0 {
		t.Errorf("got %+v and %v", meaning, m.Unknown())
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown format was taken")
		}
	}()
	New("nothing", Options{})
}

func TestFormats(t *testing.T) {
	all := Formats()
	if !slices.IsSorted(all) || len(all) != 6 || Known("nothing") {
		t.Errorf("the formats are %v", all)
	}
	for _, name := range all {
		if f := New(name, Options{}); !Known(name) || (f == nil) != (name == FormatLines) {
			t.Errorf("%s: known %v, format %v", name, Known(name), f)
		}
	}
}
