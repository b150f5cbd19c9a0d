package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// ingestLog is a session with the rules of the log: keys, turns, questions and
// limits, as the engines have them.
type ingestLog struct {
	max int

	mu      sync.Mutex // guards what follows
	s       store.Session
	keys    map[string]ingestKey
	events  []store.Event
	ended   map[string]string
	answers map[string]int64
	blobs   map[string][]byte
	appends int
}

type ingestKey struct {
	hash [16]byte
	id   int64
}

func newIngestLog() *ingestLog {
	return &ingestLog{
		max: store.EventBytesDefault, s: store.Session{ID: "s"}, keys: map[string]ingestKey{}, ended: map[string]string{},
		answers: map[string]int64{}, blobs: map[string][]byte{},
	}
}

func (l *ingestLog) TurnEnd(turn string) (string, bool, error) {
	reason, ended := l.ended[turn]
	return reason, ended, nil
}
func (l *ingestLog) Answer(id string) (int64, error)            { return l.answers[id], nil }
func (l *ingestLog) KontaskPlace(string) (string, int64, error) { return "", 0, nil }
func (l *ingestLog) sink() Sink                                 { return Sink{Append: l.append, PutBlob: l.putBlob} }
func (l *ingestLog) read(sum string) ([]byte, error)            { return l.blobs[sum], nil }
func (l *ingestLog) putBlob(_ context.Context, contentType string, content []byte) (store.Blob, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(content) > store.BlobBytesDefault {
		return store.Blob{}, store.BlobTooLarge(store.BlobBytesDefault)
	}
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	l.blobs[name] = bytes.Clone(content)
	return store.Blob{SHA256: name, Bytes: int64(len(content)), ContentType: contentType}, nil
}

func (l *ingestLog) append(_ context.Context, drafts []store.Draft) (store.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	drafts = slices.Clone(drafts)
	ids := make([]int64, len(drafts))
	var conflict error
	fresh := 0
	for i := range drafts {
		d := &drafts[i]
		if err := d.Check(l.max); err != nil {
			return store.Appended{}, store.AtEvent(err, i, len(drafts))
		}
		if d.NeedsTurn() {
			return store.Appended{}, errors.New("the mapper names its turns")
		}
		k, known := l.keys[d.Key]
		if slices.ContainsFunc(drafts[:i], func(o store.Draft) bool { return d.Key != "" && o.Key == d.Key && o.BodyHash() != d.BodyHash() }) {
			conflict = store.Errorf(store.CodeKeyConflict, "key %q twice", d.Key)
		}
		if d.Key != "" && known && k.hash != d.BodyHash() {
			conflict = store.Errorf(store.CodeKeyConflict, "key %q", d.Key)
		} else if d.Key != "" && known {
			ids[i] = k.id
		}
	}
	decided, refused := l.s.Admit(drafts, func(i int) bool { return ids[i] != 0 }, l)
	if conflict != nil {
		return store.Appended{}, conflict
	}
	if refused != nil {
		return store.Appended{}, refused
	}
	first := l.s.Head + 1
	for i, d := range drafts {
		if id := decided[i]; id != 0 {
			ids[i] = id
		}
		if ids[i] != 0 {
			continue
		}
		fresh++
		ids[i] = l.put(d)
	}
	a := store.Located(ids)
	a.Duplicate = fresh == 0
	if fresh > 0 {
		a.First, a.Last = first, l.s.Head
	}
	return a, nil
}

// put writes an event.
func (l *ingestLog) put(d store.Draft) int64 {
	e := store.Event{ID: l.s.Head + 1, Session: "s", Type: d.Type, Turn: d.Turn, Parent: d.Parent, Time: time.Unix(l.s.Head, 0), Data: bytes.Clone(d.Data), Raw: bytes.Clone(d.Raw)}
	e.Seal()
	l.s.Fold(&e, d.Size())
	l.events = append(l.events, e)
	if d.Key != "" {
		l.keys[d.Key] = ingestKey{d.BodyHash(), e.ID}
	}
	var said struct{ Reason, RequestID string }
	_ = json.Unmarshal(d.Data, &said)
	switch d.Type {
	case store.TypeTurnEnd:
		l.ended[d.Turn] = said.Reason
	case store.TypePermissionResponse:
		l.answers[said.RequestID] = e.ID
	}
	return e.ID
}

// lines gives back the lines that the events were made from.
func (l *ingestLog) lines(t testing.TB) (lines []string) {
	t.Helper()
	var rest []byte
	for _, e := range l.events {
		line, ok, err := FittedLine(e.Data, l.read)
		switch {
		case err != nil:
			t.Fatal(err)
		case ok:
			var p LinePart
			if json.Unmarshal(e.Data, &p) == nil && p.Part > 0 {
				if rest = append(rest, line...); p.More {
					continue
				}
				line, rest = rest, nil
			}
		case e.Raw != nil:
			line = e.Raw
		case e.Type == TypeLine:
			if line, err = Line(e.Data, nil); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		lines = append(lines, string(line))
	}
	return lines
}

// linesIn are the lines that a source has.
func linesIn(body []byte) (lines []string) {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, string(line))
		}
	}
	return lines
}

func (l *ingestLog) ingest(t testing.TB, body []byte, o IngestOptions) IngestStats {
	t.Helper()
	o.EventBytes = l.max
	s, err := Ingest(t.Context(), bytes.NewReader(body), o, l.sink())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantOnce wants each turn of the log to have ended once at most.
func (l *ingestLog) wantOnce(t testing.TB) {
	t.Helper()
	ends := map[string]int{}
	for _, e := range l.events {
		if e.Type == store.TypeTurnEnd {
			ends[e.Turn]++
		}
	}
	for turn, n := range ends {
		if n != 1 {
			t.Errorf("turn %s has ended %d times", turn, n)
		}
	}
}

func ingestBodies(t testing.TB) map[string][]byte {
	t.Helper()
	bodies := map[string][]byte{}
	for _, dir := range []string{"../testdata/recordings", os.Getenv("KONLOG_RECORDINGS")} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || dir != "" && len(files) == 0 {
			t.Fatalf("no recordings in %s: %v", dir, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if dir != "" && err == nil {
				bodies[filepath.Base(file)] = body
			}
		}
	}
	return bodies
}

// TestIngestKeepsEveryLineAndIsDoneOnce: whatever the format is taken for, the
// lines come back byte for byte, a turn ends once, and to ingest the same again
// appends nothing, also as one byte after the other.
func TestIngestKeepsEveryLineAndIsDoneOnce(t *testing.T) {
	for name, body := range ingestBodies(t) {
		for _, format := range append(Formats(), FormatAuto) {
			t.Run(name+"/"+format, func(t *testing.T) {
				l := newIngestLog()
				o := IngestOptions{IntakeOptions: IntakeOptions{Format: format, Source: "file"}, EndTurns: true}
				s := l.ingest(t, body, o)
				want := linesIn(body)
				if got := l.lines(t); !slices.Equal(got, want) {
					t.Fatalf("%d lines came back, want %d%s", len(got), len(want), ingestDifference(got, want))
				}
				if s.Lines != len(want) || s.Appended != len(l.events) || s.Events != len(l.events) || s.Duplicates != 0 || s.Last != l.s.Head || s.First != 1 {
					t.Errorf("%d events: %+v", len(l.events), s)
				}
				if l.s.Turn != "" || len(l.s.Queue()) > 0 {
					t.Errorf("turn %q is open, %d wait", l.s.Turn, len(l.s.Queue()))
				}
				l.wantOnce(t)
				again, err := Ingest(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), o, l.sink())
				if err != nil || again.Appended != 0 || again.Duplicates == 0 || again.Lines != s.Lines || again.Turns != s.Turns {
					t.Errorf("again: %+v (%v), first %+v", again, err, s)
				}
				if detected := recordedFormat(name); format == FormatAuto && detected != "" && (s.Format != detected || s.Turns == 0 || s.Demoted != 0) {
					t.Errorf("auto: %+v, want format %s", s, detected)
				}
			})
		}
	}
}

func recordedFormat(name string) string {
	for begin, format := range recordingFormats {
		if strings.HasPrefix(name, begin) && !strings.Contains(name, "transcript") {
			return format
		}
	}
	return ""
}

func ingestDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("; line %d is\n%.200q, want\n%.200q", i+1, got[i], want[i])
		}
	}
	return ""
}

// TestIngestOfAFileThatWasCut: what was ingested of a file that was cut anywhere
// is completed by the whole file. No line is lost or doubled; but the piece of
// one stays, where it is no line of its own.
func TestIngestOfAFileThatWasCut(t *testing.T) {
	for name, body := range ingestBodies(t) {
		step := 10
		if os.Getenv("KONLOG_EVERY_CUT") == "" && len(body) > 1000 { // a quarter of an hour
			step = len(body)/10 + 1
		}
		for _, crlf := range []bool{false, true} {
			body := body
			if crlf {
				body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
			}
			want := linesIn(body)
			t.Run(fmt.Sprintf("%s/crlf=%v", name, crlf), func(t *testing.T) {
				for cut := 1; cut < len(body); cut += step {
					l := newIngestLog()
					o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}}
					l.ingest(t, body[:cut], o)
					l.ingest(t, body, o)
					got := l.lines(t)
					for i := range got { // one piece may be between them
						if i >= len(want) || got[i] != want[i] {
							if !slices.Contains(linesIn(body[:cut]), got[i]) {
								t.Fatalf("cut at %d: %.100q is no line", cut, got[i])
							}
							got = slices.Delete(got, i, i+1)
							break
						}
					}
					if !slices.Equal(got, want) {
						t.Fatalf("cut at %d: %d lines, want %d%s", cut, len(got), len(want), ingestDifference(got, want))
					}
					l.wantOnce(t)
					if s := l.ingest(t, body, o); s.Appended != 0 {
						t.Fatalf("cut at %d: the third time brings %+v", cut, s)
					}
				}
			})
		}
	}
}

// TestIngestTakesWhateverComes: noise, CRLF, blank lines, what is no UTF-8, no
// final newline, and lines that are too large for an event, for a blob, and to
// be read as one.
func TestIngestTakesWhateverComes(t *testing.T) {
	claude := `{"type":"assistant","session_id":"a","parent_tool_use_id":null,"uuid":"u%d","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"%s"}]}}`
	marked := func(n int) string { return strings.Repeat("x<&\\n", n/5) }
	body := strings.Join([]string{
		fmt.Sprintf(claude, 1, "hello"), "", "  \t", "noise <here>", "\xff\xfe", " {\"a\": 1} ", `{"type":"novel","b":1}`,
		fmt.Sprintf(claude, 2, marked(300_000)), strings.Repeat("plain ", 50_000), strings.Repeat("\xfe", 200_000), fmt.Sprintf(claude, 3, "bye"),
	}, "\r\n")
	l := newIngestLog()
	l.max = 64 << 10
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}, EndTurns: true}
	s := l.ingest(t, []byte(body), o)
	if got, want := l.lines(t), linesIn([]byte(body)); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d%s", len(got), len(want), ingestDifference(got, want))
	}
	if s.Blobs < 3 || s.Format != FormatClaude || s.Unknown["novel"] != 1 || s.Lines != 9 {
		t.Errorf("%+v", s)
	}
	for _, e := range l.events {
		if n := len(e.Data) + len(e.Raw); n > l.max {
			t.Errorf("event %d has %d bytes", e.ID, n)
		}
	}
	if s := l.ingest(t, []byte(body), o); s.Appended != 0 {
		t.Errorf("again: %+v", s)
	}
	if strings.Count(string(bytes.Join(texts(l.events), nil)), "bye") != 1 {
		t.Errorf("the text after the long lines is missing")
	}
}

func texts(events []store.Event) (all [][]byte) {
	for _, e := range events {
		if e.Type == store.TypeText {
			all = append(all, e.Data)
		}
	}
	return all
}

// TestIngestOfALineOverAllLimits: it comes in parts, and nothing of it is lost.
func TestIngestOfALineOverAllLimits(t *testing.T) {
	long.Only(t)
	long := `{"type":"x","text":"` + strings.Repeat("0123456789abcdef", 40<<16) + `"}`
	body := "one\n" + long + "\ntwo\n"
	l := newIngestLog()
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}}
	s := l.ingest(t, []byte(body), o)
	if got := l.lines(t); len(got) != 3 || got[1] != long || got[2] != "two" {
		t.Errorf("%d lines came back", len(got))
	}
	if s.Lines != 3 || s.Events != 4 || s.Blobs != 2 {
		t.Errorf("%+v", s)
	}
	if s := l.ingest(t, []byte(body), o); s.Appended != 0 || s.Duplicates != 4 {
		t.Errorf("again: %+v", s)
	}
}

// turnOf is a turn in Claude's lines, with a question and its answer.
func turnOf(n int) string {
	return fmt.Sprintf(`{"type":"system","subtype":"init","session_id":"c","uuid":"%[1]d-1","model":"m","tools":[]}
{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"%[1]d-2","message":{"id":"m%[1]d","role":"assistant","content":[{"type":"text","text":"word %[1]d"}]}}
{"type":"result","subtype":"success","is_error":false,"session_id":"c","uuid":"%[1]d-3","result":"word %[1]d","usage":{}}
`, n)
}

// TestIngestIntoASessionWithAnOpenTurn: what the log refuses there is kept
// without its meaning, and is there when it is ingested again, also when the log
// would take it by then.
func TestIngestIntoASessionWithAnOpenTurn(t *testing.T) {
	l := newIngestLog()
	l.max = 16 << 10
	other := func(typ string, turn string) {
		if _, err := l.append(t.Context(), []store.Draft{{Type: typ, Turn: turn, Data: []byte(`{"success":true}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	other(store.TypeTurnStart, "theirs")
	open, _, _ := strings.Cut(turnOf(3), `{"type":"result"`)
	large := strings.Replace(turnOf(2), `"word 2"`, `"`+strings.Repeat("word", 10_000)+`"`, 2)
	body := []byte(turnOf(1) + large + open)
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}, EndTurns: true}
	s := l.ingest(t, body, o)
	if s.Demoted == 0 || l.s.Turn != "theirs" {
		t.Errorf("%+v, turn %q", s, l.s.Turn)
	}
	want := linesIn(body)
	if got := l.lines(t); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d%s", len(got), len(want), ingestDifference(got, want))
	}
	other(store.TypeTurnEnd, "theirs")
	before := len(l.events)
	if s := l.ingest(t, body, o); s.Appended != 0 || len(l.events) != before {
		t.Errorf("again: %+v", s)
	}
	for _, e := range l.events {
		if strings.Contains(string(e.Data), `"reason":"exit"`) {
			t.Errorf("the end of a turn that never began is kept: %s %s", e.Type, e.Data)
		}
		if _, fitted, _ := FittedLine(e.Data, l.read); e.Type == "agent.turn_start" || fitted && e.Type == "agent.turn_end" { // which had a line
			t.Errorf("event %d is a %s: %.100s", e.ID, e.Type, e.Data)
		}
	}
	s = l.ingest(t, append(body, turnOf(4)...), o)
	if s.Demoted != 1 || s.Appended == 0 || l.s.Turn != "" { // the end of the third turn, which was open
		t.Errorf("grown: %+v, turn %q", s, l.s.Turn)
	}
	l.wantOnce(t)
}

// TestIngestAfterTheLease: what comes of a turn that was abandoned is kept.
func TestIngestAfterTheLease(t *testing.T) {
	l := newIngestLog()
	body := []byte(turnOf(1))
	cut := bytes.LastIndexByte(body[:len(body)-1], '\n') + 1
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}}
	l.ingest(t, body[:cut], o)
	if l.s.Turn == "" {
		t.Fatal("no turn is open")
	}
	if _, err := l.append(t.Context(), []store.Draft{store.TurnEndDraft(l.s.Turn, store.ReasonAbandoned)}); err != nil {
		t.Fatal(err)
	}
	for _, first := range []bool{true, false} {
		s := l.ingest(t, body, o)
		if got, want := l.lines(t), linesIn(body); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if first != (s.Demoted > 0) || first != (s.Appended > 0) {
			t.Errorf("first %v: %+v", first, s)
		}
	}
	l.wantOnce(t)
}

// TestIngestOfAnAnswerThatSomebodyElseGave: the log takes the first answer, and
// keeps the line of the second.
func TestIngestOfAnAnswerThatSomebodyElseGave(t *testing.T) {
	var acp []byte
	for name, body := range ingestBodies(t) {
		if strings.HasPrefix(name, "acp-") {
			acp = body
		}
	}
	l := newIngestLog()
	scope := IntakeOptions{Format: FormatACP, Source: "file"}
	n := NewIntake(scope)
	var question string
	for i, line := range linesIn(acp) {
		for _, d := range n.Take(TextLine{Number: i + 1, Offset: int64(i), Text: []byte(line)}).Drafts {
			if d.Type == store.TypePermissionResponse && question == "" {
				question = string(d.Data)
			}
		}
	}
	if question == "" {
		t.Fatal("the recording has no answer")
	}
	var said struct {
		RequestID string `json:"requestId"`
	}
	if err := json.Unmarshal([]byte(question), &said); err != nil {
		t.Fatal(err)
	}
	if _, err := l.append(t.Context(), []store.Draft{{Type: store.TypePermissionResponse, Data: fmt.Appendf(nil, `{"requestId":%q,"allow":false}`, said.RequestID)}}); err != nil {
		t.Fatal(err)
	}
	o := IngestOptions{IntakeOptions: scope}
	s := l.ingest(t, acp, o)
	if got, want := l.lines(t), linesIn(acp); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d%s", len(got), len(want), ingestDifference(got, want))
	}
	if s.Demoted == 0 {
		t.Errorf("%+v", s)
	}
	if s := l.ingest(t, acp, o); s.Appended != 0 {
		t.Errorf("again: %+v", s)
	}
}

// TestIngestOfAnotherFile: other lines under the same keys are told, with the
// place; a line of the agent's own id is there already.
func TestIngestOfAnotherFile(t *testing.T) {
	l := newIngestLog()
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}}
	l.ingest(t, []byte("{\"a\":1}\n{\"b\":1}\n"), o)
	_, err := Ingest(t.Context(), strings.NewReader("{\"a\":1}\n{\"c\":1}\n"), o, l.sink())
	var conflict *ConflictError
	if !errors.As(err, &conflict) || conflict.Line != 2 || conflict.End != 15 || store.CodeOf(err) != store.CodeKeyConflict {
		t.Errorf("%v", err)
	}
	l = newIngestLog()
	o.Format = FormatClaude
	l.ingest(t, []byte(turnOf(1)), o)
	before := len(l.events)
	o.Format, o.Source = FormatClaude, "moved"
	o.Redact = func(line []byte) ([]byte, map[string]int) {
		clean := bytes.ReplaceAll(line, []byte("word"), []byte("[redacted:word]"))
		return clean, map[string]int{"word": bytes.Count(line, []byte("word"))}
	}
	s := l.ingest(t, []byte(turnOf(1)), o)
	if s.Appended != 0 || len(l.events) != before || s.Redacted["word"] != 2 {
		t.Errorf("%+v, %d events, before %d", s, len(l.events), before)
	}
}

// TestIngestOfATextOfAnotherFile: also what is no JSON has its place as its key.
func TestIngestOfATextOfAnotherFile(t *testing.T) {
	l := newIngestLog()
	o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}}
	l.ingest(t, []byte("one\n"), o)
	if _, err := Ingest(t.Context(), strings.NewReader("three\n"), o, l.sink()); store.CodeOf(err) != store.CodeKeyConflict {
		t.Errorf("%v", err)
	}
}

// TestIngestKnowsLinesByTheirIDs: wherever they come from, with those between
// them that have none. An id that stands for two lines loses neither.
func TestIngestKnowsLinesByTheirIDs(t *testing.T) {
	body := ingestBodies(t)["claude-code-duplex-4turns.jsonl"]
	first := 0 // lines before one that has an id
	for _, line := range linesIn(body) {
		if LineID(FormatClaude, []byte(line)) != "" {
			break
		}
		first++
	}
	l := newIngestLog()
	l.ingest(t, body, IngestOptions{IntakeOptions: IntakeOptions{Format: FormatClaude, Source: "a"}})
	s := l.ingest(t, body, IngestOptions{IntakeOptions: IntakeOptions{Format: FormatClaude, Source: "b"}})
	if s.Appended > 2*first {
		t.Errorf("%d lines have no id before them: %+v", first, s)
	}
	l = newIngestLog()
	twice := []byte(`{"type":"x","session_id":"c","uuid":"1","n":1}` + "\n" + `{"type":"x","session_id":"c","uuid":"1","n":2}` + "\n")
	for n := range 2 {
		s := l.ingest(t, twice, IngestOptions{IntakeOptions: IntakeOptions{Format: FormatClaude}})
		if got := l.lines(t); len(got) != 2 || (s.Appended == 0) != (n == 1) {
			t.Errorf("time %d: %+v, %q", n, s, got)
		}
	}
}

func dump(drafts []store.Draft) string {
	var b strings.Builder
	for _, d := range drafts {
		fmt.Fprintf(&b, "%s %s %s %s %s\n", d.Type, d.Turn, d.Parent, d.Data, d.Raw)
	}
	return b.String()
}

// TestIntakeKeepsNothingOfTheLine: the splitter uses its memory again.
func TestIntakeKeepsNothingOfTheLine(t *testing.T) {
	for _, format := range append(Formats(), FormatAuto) {
		for _, line := range append(linesIn([]byte(turnOf(1))), "noise", `{"type":"novel"}`, "[1]") {
			n := NewIntake(IntakeOptions{Format: format, Source: "file"})
			text := []byte(line)
			drafts := n.Take(TextLine{Number: 1, Text: text}).Drafts
			before := dump(drafts)
			copy(text, strings.Repeat("#", len(text)))
			if after := dump(drafts); after != before {
				t.Errorf("%s: %s became\n%s, was\n%s", format, line, after, before)
			}
		}
	}
}

// TestIngestFindsTheFormat: lines before the first that tells are plain, and
// after too many of them all are.
func TestIngestFindsTheFormat(t *testing.T) {
	for _, c := range []struct {
		before int
		want   string
	}{{0, FormatClaude}, {undecidedMax, FormatClaude}, {undecidedMax + 1, FormatLines}} {
		l := newIngestLog()
		var found []string
		o := IngestOptions{IntakeOptions: IntakeOptions{Source: "file", Found: func(f string) { found = append(found, f) }}}
		s := l.ingest(t, []byte(strings.Repeat("noise\n", c.before)+turnOf(1)), o)
		if s.Format != c.want || !slices.Equal(found, []string{c.want}) || (s.Turns == 1) != (c.want == FormatClaude) {
			t.Errorf("%d lines before: %+v, found %v", c.before, s, found)
		}
	}
}

// TestIngestEndsTurns: at the end of the source, when it is asked to.
func TestIngestEndsTurns(t *testing.T) {
	body := []byte(turnOf(1))
	body = body[:bytes.LastIndexByte(body[:len(body)-1], '\n')+1]
	for _, end := range []bool{true, false} {
		l := newIngestLog()
		var turns []string
		o := IngestOptions{EndTurns: end, Turned: func(turn string) { turns = append(turns, turn) }}
		o.NewKey = func() string { return fmt.Sprintf("key-%d", len(l.keys)+100) }
		l.ingest(t, body, o)
		if (l.s.Turn == "") != end || len(turns) == 0 || (turns[len(turns)-1] == "") != end {
			t.Errorf("end %v: turn %q, told %q", end, l.s.Turn, turns)
		}
		last := l.events[len(l.events)-1]
		if end && (last.Type != store.TypeTurnEnd || string(last.Data) != `{"success":false,"reason":"exit"}`) {
			t.Errorf("the last event is %s %s", last.Type, last.Data)
		}
	}
}

// TestIngestEndsWhatWaits: a prompt that got no answer before the source ended
// gets none.
func TestIngestEndsWhatWaits(t *testing.T) {
	body := []byte(`{"t_ms":1,"dir":"in","msg":{"type":"user","uuid":"1","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":[{"type":"text","text":"hello"}]}}}` + "\n")
	for _, end := range []bool{true, false} {
		l := newIngestLog()
		s := l.ingest(t, body, IngestOptions{IntakeOptions: IntakeOptions{Source: "file"}, EndTurns: end})
		if waits := len(l.s.Queue()) + len(l.s.Turn); (waits == 0) != end || s.Format != FormatClaude {
			t.Errorf("end %v: turn %q, %d wait; %+v", end, l.s.Turn, len(l.s.Queue()), s)
		}
	}
}

// TestTwoIngestsAtOnce into one session: all lines of both are there.
func TestTwoIngestsAtOnce(t *testing.T) {
	bodies := ingestBodies(t)
	l := newIngestLog()
	var want []string
	var all sync.WaitGroup
	for _, name := range []string{"claude-code-duplex-4turns.jsonl", "codex-exec-plan-todo.jsonl", "gemini-stream-tools.jsonl"} {
		want = append(want, linesIn(bodies[name])...)
		all.Go(func() {
			o := IngestOptions{IntakeOptions: IntakeOptions{Source: name}, EndTurns: true}
			if _, err := Ingest(t.Context(), iotest.HalfReader(bytes.NewReader(bodies[name])), o, l.sink()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := l.lines(t)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d%s", len(got), len(want), ingestDifference(got, want))
	}
	l.wantOnce(t)
	if l.s.Turn != "" {
		t.Errorf("turn %s is open", l.s.Turn)
	}
}

// TestIngestSendsWhatIsThere: no line waits for another, and what was read is
// appended before an error of the source.
func TestIngestSendsWhatIsThere(t *testing.T) {
	l := newIngestLog()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := Ingest(t.Context(), r, IngestOptions{IntakeOptions: IntakeOptions{Format: FormatLines}}, l.sink())
		done <- err
	}()
	for i, piece := range []string{"one\n\n \ntw", "o\nthree\n\r\nfour"} {
		if _, err := io.WriteString(w, piece); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(nil); err != nil { // returns when the piece was read and the next read has begun
			t.Fatal(err)
		}
		l.mu.Lock()
		if got := len(l.events); got != 2*i+1 {
			t.Errorf("piece %d: %d lines are there", i, got)
		}
		l.mu.Unlock()
	}
	broken := errors.New("broken")
	w.CloseWithError(broken)
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if got := l.lines(t); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("%q", got) // of four nobody knows if it is whole
	}
}

// TestIngestPaces: each line is sent when it is due, and Stop ends the wait.
func TestIngestPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newIngestLog()
		began := time.Now()
		stop := make(chan struct{})
		time.AfterFunc(3*time.Second, func() { close(stop) })
		o := IngestOptions{IntakeOptions: IntakeOptions{Format: FormatLines}, Pacer: &Pacer{Factor: 1}, Stop: stop}
		_, err := Ingest(t.Context(), strings.NewReader("{\"t_ms\":0}\n{\"t_ms\":2000}\n{\"t_ms\":5000}\n"), o, l.sink())
		if !errors.Is(err, context.Canceled) || time.Since(began) != 3*time.Second || len(l.events) != 2 {
			t.Errorf("%v after %v with %d events", err, time.Since(began), len(l.events))
		}
	})
}

// TestIngestFailures: what no demotion helps ends it, and says which lines.
func TestIngestFailures(t *testing.T) {
	for _, c := range []struct {
		code store.Code
		want string
	}{{store.CodeSessionClosed, "lines 1 to 2"}, {store.CodeStorageFailed, "lines 1 to 2"}, {store.CodeEventTooLarge, "line 1"}} {
		to := newIngestLog().sink()
		to.Append = func(context.Context, []store.Draft) (store.Appended, error) {
			return store.Appended{}, store.Errorf(c.code, "no")
		}
		_, err := Ingest(t.Context(), strings.NewReader("a\nb\n"), IngestOptions{}, to)
		if store.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.code, err)
		}
	}
}

func TestDemote(t *testing.T) {
	for _, c := range []struct{ name, typ, data, raw, wantType, wantData, wantRaw string }{
		{"with a line", "turn_end", `{"success":true}`, `{"a": 1}`, "agent", `{"a": 1}`, `{"a": 1}`},
		{"without", "turn_end", `{"success":true}`, "", "agent.turn_end", `{"success":true}`, ""},
		{"noise", "agent", `"noise"`, "", "agent", `"noise"`, "noise"},
		{"no UTF-8", "agent", `{"encoding":"base64","bytes":"Yf8="}`, "", "agent", `{"encoding":"base64","bytes":"Yf8="}`, ""},
		{"no type", strings.Repeat("x", 64), `1`, "", "agent.event", `1`, ""},
	} {
		d := store.Draft{Type: c.typ, Key: "k", Turn: "t", Parent: "p", Data: []byte(c.data)}
		if c.raw != "" {
			d.Raw = []byte(c.raw)
		}
		got := Demote(d)
		if got.Type != c.wantType || string(got.Data) != c.wantData || string(got.Raw) != c.wantRaw || got.Key != "k" || got.Turn != "" || got.Parent != "" {
			t.Errorf("%s: %+v", c.name, got)
		}
		if err := got.Check(0); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if again := Demote(got); c.wantType == "agent" && (again.BodyHash() != got.BodyHash()) {
			t.Errorf("%s: twice is %+v", c.name, again)
		}
	}
}

// TestIngestStatsAdd: the counts of several sources are one.
func TestIngestStatsAdd(t *testing.T) {
	var s IngestStats
	s.Add(IngestStats{Format: "a", Lines: 1, Events: 2, Appended: 3, Duplicates: 4, First: 5, Last: 6, Turns: 7, Demoted: 8, Blobs: 9, Unknown: map[string]int{"x": 1}, Line: 3})
	s.Add(IngestStats{Format: "b", Lines: 1, Events: 1, Appended: 1, Duplicates: 1, First: 9, Last: 9, Turns: 1, Demoted: 1, Blobs: 1, Unknown: map[string]int{"x": 1, "y": 1}, Redacted: map[string]int{"z": 1}, Line: 4})
	if s.Format != "b" || s.Lines != 2 || s.Events != 3 || s.Appended != 4 || s.Duplicates != 5 || s.First != 5 || s.Last != 9 || s.Turns != 8 || s.Demoted != 9 || s.Blobs != 10 || s.Line != 4 ||
		!maps.Equal(s.Unknown, map[string]int{"x": 2, "y": 1}) || s.Redacted["z"] != 1 {
		t.Errorf("%+v", s)
	}
}
