package agent

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/konlog/konlog/store"
)

// fuzzBytesMax bounds the lines that are tried: longer ones only take longer.
const fuzzBytesMax = 64 << 10

// fuzzSeeds are lines that no recording has: of every format and none.
var fuzzSeeds = []string{
	`{}`, `{"type":"result"}`, `{"type":7,"subtype":[],"message":"x","event":null}`, `{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"\ud83d"}}}`,
	`{"type":"assistant","parent_tool_use_id":"u\u0000","message":{"id":"m","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"i","input":null}]},"error":"e"}`,
	`{"type":"user","isReplay":true,"message":{"content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"text"}]}]}}`,
	`{"type":"result","total_cost_usd":1e999999999,"usage":[],"errors":{},"origin":{"kind":"task-notification"},"model_usage_since_last_result":{"a":{"costUSD":-1e-9}}}`,
	`{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"a"},{"task_id":"a"},3]}`,
	`{"type":"control_request","request_id":7,"request":{"subtype":"can_use_tool"}}`,
	`{"t_ms":0,"dir":"in","msg":{"type":"user","message":{"content":"x"}}}`, `{"t_ms":0,"dir":"in","msg":{"type":"control_request","request":{"subtype":"interrupt"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"session/prompt","params":{"prompt":[{"type":"text","text":"x"}]}}`, `{"jsonrpc":"2.0","id":1,"error":{"message":3}}`,
	`{"type":"item.completed","item":{"id":"item_0","type":"todo_list","items":[{"text":1}]}}`, `{"type":"turn.failed","error":"x"}`,
	`{"type":"message.part.updated","properties":{"part":{"id":"p","type":"tool","state":{"status":"error"}}}}`, `{"type":"session.idle","properties":{}}`,
	`{"type":"message","role":"assistant","delta":true,"content":{}}`, "{\r}", "\xff", "null", `"x"`,
}

// fuzzLines are the lines of the recordings, one of each kind and format.
func fuzzLines(f *testing.F) (lines [][]byte) {
	seen := map[string]bool{}
	for _, rec := range recordings(f, "../testdata/recordings") {
		m := NewMapper(MapperOptions{Format: rec.format})
		for _, line := range readLines(f, rec.file) {
			_, meaning := m.Map(line, "")
			if kind := rec.format + " " + meaning.Kind; !seen[kind] {
				seen[kind] = true
				lines = append(lines, line)
			}
		}
	}
	for _, seed := range fuzzSeeds {
		lines = append(lines, []byte(seed))
	}
	return lines
}

// FuzzFormats gives any line to every format, of both directions: it is kept,
// and what it says is what the log takes.
func FuzzFormats(f *testing.F) {
	for _, line := range fuzzLines(f) {
		f.Add(line, "scope")
	}
	f.Fuzz(func(t *testing.T, line []byte, scope string) {
		if len(line) == 0 || len(line) > fuzzBytesMax || bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		for _, format := range Formats() {
			for _, l := range [][]byte{line, fmt.Appendf(nil, `{"t_ms":1,"dir":"in","msg":%s}`, line)} {
				m := NewMapper(MapperOptions{Format: format, Scope: scope, Prompts: true})
				for i := range 2 { // the second time it is known already
					drafts, _ := m.Map(l, fmt.Sprint("k", i))
					checkFuzzed(t, l, drafts)
				}
				if d, ok := m.Exit(End{Reason: "exit"}); ok && d.Check(1<<20) != nil {
					t.Fatalf("%s: the end of the stream is refused", format)
				}
			}
		}
	})
}

// checkFuzzed holds the events of a line to what they promise.
func checkFuzzed(t *testing.T, line []byte, drafts []store.Draft) {
	t.Helper()
	if len(drafts) == 0 {
		t.Fatalf("%q: no event", line)
	}
	for i := range drafts {
		d := drafts[i]
		if err := d.Check(1 << 30); err != nil {
			t.Fatalf("%q: %s %q is refused: %v", line, d.Type, d.Data, err)
		}
		back, is := lineOf(t, d)
		if is != (i == 0) || is && !bytes.Equal(back, line) {
			t.Fatalf("%q: event %d, %s, gives the line %q", line, i, d.Type, back)
		}
	}
}

// FuzzMapperStream gives the lines of any stream to a format: the turns that it
// makes begin and end once, and the log takes all of it.
func FuzzMapperStream(f *testing.F) {
	for i, rec := range recordings(f, "../testdata/recordings") {
		lines := readLines(f, rec.file)
		for n := 0; n < len(lines) && n < 400; n += 40 {
			f.Add(bytes.Join(lines[n:min(n+40, len(lines))], []byte("\n")), uint8(i), i%2 == 0)
		}
	}
	for i := range Formats() {
		f.Add(bytes.Join(fuzzLines(f), []byte("\n")), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, n uint8, prompts bool) {
		if len(stream) > 4*fuzzBytesMax {
			return
		}
		var lines [][]byte
		for line := range bytes.SplitSeq(stream, []byte("\n")) {
			if line = trimBreak(line); len(bytes.TrimSpace(line)) > 0 {
				lines = append(lines, line)
			}
		}
		o := MapperOptions{Format: Formats()[int(n)%len(Formats())], Prompts: prompts}
		r := mapLines(lines, o)
		checkLines(t, r)
		all := r.all()
		checkTurns(t, all)
		checkRefusals(t, all)
		if again := mapLines(lines, o); again.text() != r.text() {
			t.Error("the same lines gave other events the second time")
		}
	})
}

// checkRefusals appends a stream to a log, which may refuse of it only a
// question that it has an answer to: an agent may use an id twice.
func checkRefusals(t *testing.T, all []store.Draft) {
	t.Helper()
	l := newTestLog()
	for _, d := range all {
		before := len(l.refusals)
		l.append(d)
		if len(l.refusals) > before && d.Type != store.TypePermissionRequest && d.Type != store.TypePermissionResponse {
			t.Errorf("the log refuses %s", l.refusals[before])
		}
	}
}
