package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

var update = flag.Bool("update", false, "write testdata/agent/*.golden anew; read them before you keep them")

// recordingFormats names the format of a recording by how its name begins.
var recordingFormats = map[string]string{
	"claude-": FormatClaude, "codex-": FormatCodex, "gemini-": FormatGemini, "acp-": FormatACP, "opencode-": FormatOpencode,
}

type recording struct{ name, format, file string }

// recordings lists those of a folder whose format is known.
func recordings(t testing.TB, dir string) (all []recording) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s: %v", dir, err)
	}
	for _, file := range files {
		for begin, format := range recordingFormats {
			if name := strings.TrimSuffix(filepath.Base(file), ".jsonl"); strings.HasPrefix(name, begin) {
				all = append(all, recording{name, format, file})
			}
		}
	}
	return all
}

func readLines(t testing.TB, file string) (lines [][]byte) {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSplitter(bytes.NewReader(body), store.EventBytesDefault)
	for {
		line, err := s.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		lines = append(lines, bytes.Clone(line.Text))
	}
}

// mapped is a stream after it was mapped.
type mapped struct {
	lines    [][]byte
	meanings []Meaning       // by line
	drafts   [][]store.Draft // by line
	exit     *store.Draft    // how the end of the stream ended the open turn; or nil
	unknown  map[string]int
}

func mapLines(lines [][]byte, o MapperOptions) *mapped {
	m := NewMapper(o)
	r := &mapped{lines: lines}
	for i, line := range lines {
		drafts, meaning := m.Map(line, fmt.Sprintf("L%d", i+1))
		r.drafts, r.meanings = append(r.drafts, drafts), append(r.meanings, meaning)
	}
	if d, ok := m.Exit(End{Reason: "exit", Error: "the stream is over"}); ok {
		r.exit = &d
	}
	r.unknown = m.Unknown()
	return r
}

// all gives every draft in order.
func (r *mapped) all() (all []store.Draft) {
	for _, drafts := range r.drafts {
		all = append(all, drafts...)
	}
	if r.exit != nil {
		all = append(all, *r.exit)
	}
	return all
}

func TestGolden(t *testing.T) {
	for _, rec := range recordings(t, "../testdata/recordings") {
		t.Run(rec.name, func(t *testing.T) {
			r := mapLines(readLines(t, rec.file), MapperOptions{Format: rec.format, Prompts: true})
			checkMapped(t, r)
			log := appendAll(t, r.all())
			got := r.text() + log.text()
			file := filepath.Join("../testdata/agent", rec.name+".golden")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run the test with -update and read what it writes", err)
			}
			if got != string(want) {
				t.Errorf("%s differs: %s", file, goldenDifference(got, string(want)))
			}
			again := mapLines(r.lines, MapperOptions{Format: rec.format, Prompts: true})
			if again.text() != r.text() {
				t.Error("the same lines gave other events the second time")
			}
		})
	}
}

// TestMoreRecordings holds the recordings of another folder to the same rules.
func TestMoreRecordings(t *testing.T) {
	dir := os.Getenv("KONLOG_RECORDINGS")
	if dir == "" {
		t.Skip("KONLOG_RECORDINGS names no folder")
	}
	for _, rec := range recordings(t, dir) {
		t.Run(rec.name, func(t *testing.T) {
			r := mapLines(readLines(t, rec.file), MapperOptions{Format: rec.format, Prompts: true})
			checkMapped(t, r)
			t.Log("\n" + r.text() + appendAll(t, r.all()).text())
		})
	}
}

// TestOneWay reads recordings as a runner does: only what the agent wrote, with
// the prompts from the log, each given when it was in the recording. The turns
// end as they do when both directions are read.
func TestOneWay(t *testing.T) {
	for _, rec := range recordings(t, "../testdata/recordings") {
		t.Run(rec.name, func(t *testing.T) {
			lines := readLines(t, rec.file)
			both := mapLines(lines, MapperOptions{Format: rec.format, Prompts: true})
			r := oneWay(lines, rec.format)
			checkTurns(t, r.all())
			checkTools(t, r.all())
			checkBlocks(t, r.all())
			appendAll(t, r.all())
			var got, want []string
			for _, d := range r.all() {
				switch d.Type {
				case store.TypeTurnEnd:
					got = append(got, string(d.Data))
				case store.TypePrompt:
					t.Errorf("a prompt, though prompts are in the log already: %s", d.Data)
				}
			}
			for _, d := range both.all() {
				if d.Type == store.TypeTurnEnd {
					want = append(want, string(d.Data))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("the turns end with\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// oneWay maps what the agent wrote. What is not of the agent begins and stops
// turns from outside, as does the first line of a recording of one prompt.
func oneWay(lines [][]byte, format string) *mapped {
	m, host := NewMapper(MapperOptions{Format: format}), New(format, Options{})
	r := &mapped{}
	turns := 0
	var begun []store.Draft
	begin := func() {
		if m.Turn() == "" {
			turns++
			m.Begin(fmt.Sprintf("asked-%d", turns))
			begun = append(begun, store.Draft{Type: store.TypeTurnStart, Turn: m.Turn()})
		}
	}
	if _, d := unwrap(lines[0]); !bytes.Contains(lines[0], []byte(`"dir"`)) && d == FromAgent {
		begin()
	}
	for i, line := range lines {
		msg, d := unwrap(line)
		if d == FromAgent {
			drafts, meaning := m.Map(msg, fmt.Sprintf("L%d", i+1))
			r.lines, r.meanings = append(r.lines, msg), append(r.meanings, meaning)
			r.drafts = append(r.drafts, append(begun, drafts...))
			begun = nil
			continue
		}
		for _, e := range host.Read(msg, d).Events {
			switch e.Type {
			case store.TypePrompt:
				begin()
			case store.TypeStopTurn:
				m.Stop()
			}
		}
	}
	if d, ok := m.Exit(End{Reason: "exit"}); ok {
		r.exit = &d
	}
	return r
}

// checkMapped holds a stream to what every stream keeps, whatever the agent.
func checkMapped(t *testing.T, r *mapped) {
	t.Helper()
	checkLines(t, r)
	all := r.all()
	checkTurns(t, all)
	checkTools(t, all)
	checkBlocks(t, all)
	checkQuestions(t, all)
}

// checkLines: every line comes back byte for byte, and no key comes twice.
func checkLines(t *testing.T, r *mapped) {
	t.Helper()
	keys := map[string]bool{}
	for i, drafts := range r.drafts {
		if len(drafts) == 0 {
			t.Fatalf("line %d has no event", i+1)
		}
		for n, d := range drafts {
			if err := d.Check(64 << 20); err != nil {
				t.Errorf("line %d: %s is refused: %v", i+1, d.Type, err)
			}
			if want := lineKey(fmt.Sprintf("L%d", i+1), n); d.Key != want || keys[d.Key] {
				t.Errorf("line %d: event %d has the key %q, want %q once", i+1, n, d.Key, want)
			}
			keys[d.Key] = true
			back, is := lineOf(t, d)
			if is != (n == 0) {
				t.Errorf("line %d: event %d, %s, has a line: %v", i+1, n, d.Type, is)
			}
			if is && !bytes.Equal(back, r.lines[i]) {
				t.Errorf("line %d came back as %q", i+1, back)
			}
		}
	}
}

// lineOf is the line that an event was made of, if it is the first of one.
func lineOf(t *testing.T, d store.Draft) (line []byte, ok bool) {
	t.Helper()
	if d.Raw == nil && d.Type != TypeLine {
		return nil, false
	}
	line, err := Line(d.Data, d.Raw)
	if err != nil {
		t.Fatalf("no line: %v", err)
	}
	return line, true
}

// checkTurns: a turn begins once and ends once, and what comes later is late.
func checkTurns(t *testing.T, all []store.Draft) {
	t.Helper()
	starts, ends := map[string]int{}, map[string]int{}
	open := ""
	for i, d := range all {
		switch {
		case d.Type == store.TypeTurnStart:
			if open != "" {
				t.Errorf("event %d: %s begins while %s is open", i, d.Turn, open)
			}
			open = d.Turn
			starts[d.Turn]++
		case d.Type == store.TypeTurnEnd:
			if open != d.Turn {
				t.Errorf("event %d: %s ends while %q is open", i, d.Turn, open)
			}
			open = ""
			ends[d.Turn]++
		case ends[d.Turn] > 0 && !strings.HasPrefix(d.Type, "task_") && d.Parent == "":
			t.Errorf("event %d: %s of %s after its end", i, d.Type, d.Turn)
		case d.Turn != "" && d.Type != store.TypePrompt && starts[d.Turn] == 0:
			t.Errorf("event %d: %s of %s, which has not begun", i, d.Type, d.Turn)
		}
	}
	for turn, n := range starts {
		if n != 1 || ends[turn] != 1 {
			t.Errorf("%s began %d times and ended %d times", turn, n, ends[turn])
		}
	}
}

func dataMember(d store.Draft, name string) string {
	o, _ := parseObject(d.Data)
	return o.str(name)
}

// checkTools: a result has a call before it.
func checkTools(t *testing.T, all []store.Draft) {
	t.Helper()
	started := map[string]bool{}
	for i, d := range all {
		switch d.Type {
		case store.TypeToolStart:
			started[dataMember(d, "id")] = true
		case store.TypeToolDelta, store.TypeToolResult:
			if !started[dataMember(d, "id")] {
				t.Errorf("event %d: %s of a tool that was not started: %s", i, d.Type, d.Data)
			}
		}
	}
}

// checkBlocks: the deltas of a block, joined, are the text of its whole.
func checkBlocks(t *testing.T, all []store.Draft) {
	t.Helper()
	type place struct{ turn, parent, kind, block string }
	said := map[place]string{}
	for i, d := range all {
		kind, delta := strings.CutSuffix(d.Type, "_delta")
		if kind != "text" && kind != "thinking" {
			continue
		}
		p := place{d.Turn, d.Parent, kind, dataMember(d, "block")}
		o, _ := parseObject(d.Data)
		text := string(o["text"][1 : len(o["text"])-1]) // its own bytes: half a character is not decoded
		if delta {
			said[p] += text
		} else if before, streamed := said[p]; streamed && unquoted(t, before) != unquoted(t, text) {
			t.Errorf("event %d: block %v was streamed as %q and is %q as a whole", i, p, before, text)
		}
	}
}

func unquoted(t *testing.T, text string) (s string) {
	t.Helper()
	if err := json.Unmarshal([]byte(`"`+text+`"`), &s); err != nil {
		t.Fatalf("%q is no text: %v", text, err)
	}
	return s
}

// checkQuestions: a question is answered, or its turn ends.
func checkQuestions(t *testing.T, all []store.Draft) {
	t.Helper()
	open := map[string]string{}
	for _, d := range all {
		switch d.Type {
		case store.TypePermissionRequest:
			open[dataMember(d, "requestId")] = d.Turn
		case store.TypePermissionResponse:
			delete(open, dataMember(d, "requestId"))
		case store.TypeTurnEnd:
			maps.DeleteFunc(open, func(_, turn string) bool { return turn == d.Turn })
		}
	}
	if len(open) > 0 {
		t.Errorf("nobody will answer %v", open)
	}
}

// testLog is a log of one session in the store's own rules, without an engine.
type testLog struct {
	session  store.Session
	turns    map[string]*store.Turn
	order    []string
	ends     map[string]string
	answers  map[string]int64
	refusals []string
}

func (l *testLog) TurnEnd(turn string) (string, bool, error) {
	reason, ended := l.ends[turn]
	return reason, ended, nil
}
func (l *testLog) Answer(id string) (int64, error)            { return l.answers[id], nil }
func (l *testLog) KontaskPlace(string) (string, int64, error) { return "", 0, nil }
func newTestLog() *testLog {
	return &testLog{session: store.Session{ID: "s"}, turns: map[string]*store.Turn{}, ends: map[string]string{}, answers: map[string]int64{}}
}

// append appends an event as an engine does, or notes the refusal.
func (l *testLog) append(d store.Draft) {
	drafts := []store.Draft{d}
	decided, err := l.session.Admit(drafts, nil, l)
	if err != nil || decided != nil {
		l.refusals = append(l.refusals, fmt.Sprintf("%s %s: %v %v", d.Type, d.Data, decided, err))
		return
	}
	d = drafts[0]
	e := store.Event{ID: l.session.Head + 1, Session: "s", Type: d.Type, Turn: d.Turn, Parent: d.Parent, Time: time.UnixMilli(1e12 + l.session.Head), Data: d.Data, Raw: d.Raw}
	l.session.Fold(&e, len(e.Data))
	switch e.Type {
	case store.TypeTurnEnd:
		l.ends[e.Turn] = dataMember(d, "reason")
	case store.TypePermissionResponse:
		l.answers[dataMember(d, "requestId")] = e.ID
	}
	if e.Turn == "" {
		return
	}
	turn := l.turns[e.Turn]
	if turn == nil {
		turn = store.NewTurn("s", e.Turn)
		l.turns[e.Turn], l.order = turn, append(l.order, e.Turn)
	}
	turn.Apply(&e)
}

// appendAll appends a stream to an empty log, which must take all of it.
func appendAll(t *testing.T, all []store.Draft) *testLog {
	t.Helper()
	l := newTestLog()
	for _, d := range all {
		l.append(d)
	}
	for _, r := range l.refusals {
		t.Errorf("the log refuses %s", r)
	}
	return l
}

// names gives turns short names in the order in which they come up.
type names map[string]string

func (n names) of(turn string) string {
	if turn == "" {
		return "-"
	}
	if n[turn] == "" {
		n[turn] = fmt.Sprintf("t%d", len(n)+1)
	}
	return n[turn]
}

// goldenMax is how much of an event's data a golden file shows.
const goldenMax = 400

// text writes the stream down, one line per event: the number of its line, its
// type, turn and parent, and its data. Of a line without a meaning its kind is
// shown, with a question mark when the format does not know it.
func (r *mapped) text() string {
	var b strings.Builder
	turns := names{}
	for i, drafts := range r.drafts {
		for _, d := range drafts {
			fmt.Fprintf(&b, "%d %s\n", i+1, eventText(d, r.meanings[i], turns))
		}
	}
	if r.exit != nil {
		fmt.Fprintf(&b, "exit %s\n", eventText(*r.exit, Meaning{}, turns))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.unknown)) {
		fmt.Fprintf(&b, "unknown %s %d\n", kind, r.unknown[kind])
	}
	return b.String()
}

func eventText(d store.Draft, m Meaning, turns names) string {
	text := d.Type + " " + turns.of(d.Turn)
	if d.Parent != "" {
		text += " ^" + d.Parent
	}
	if d.Type == TypeLine {
		if !m.Known {
			text += " ?"
		}
		return text + " " + m.Kind
	}
	data := d.Data
	if len(data) > goldenMax {
		cut := bytes.ToValidUTF8(data[:goldenMax], nil)
		return fmt.Sprintf("%s %s… %d bytes, sha256 %.8x", text, cut, len(data), sha256.Sum256(data))
	}
	return text + " " + string(data)
}

// text writes down what became of the turns.
func (l *testLog) text() string {
	var b strings.Builder
	turns := names{}
	for _, id := range l.order {
		t := l.turns[id]
		fmt.Fprintf(&b, "\nturn %s %s %s success=%v", turns.of(id), t.State, t.Reason, t.Success)
		if t.CostUSD != "" {
			fmt.Fprintf(&b, " cost=%s", t.CostUSD)
		}
		b.WriteString("\n")
		show := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&b, "  %s %q\n", name, value)
			}
		}
		show("prompt", t.Prompt)
		show("text", t.Text)
		show("error", t.Error)
		for _, c := range t.Tools {
			fmt.Fprintf(&b, "  tool %s %s %d-%d error=%v", c.ID, c.Name, c.Start, c.End, c.IsError)
			if c.Parent != "" {
				fmt.Fprintf(&b, " ^%s", c.Parent)
			}
			b.WriteString("\n")
		}
		if t.Usage != nil {
			fmt.Fprintf(&b, "  usage %s\n", t.Usage)
		}
	}
	open, _ := json.Marshal(l.session.Open)
	fmt.Fprintf(&b, "\nopen %s\n", open)
	return b.String()
}

func goldenDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "nothing", "nothing"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, a, b)
		}
	}
	return "in nothing"
}
