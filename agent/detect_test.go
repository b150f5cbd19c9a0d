package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// foreign are the recordings of what konlog has no format for.
var foreign = []string{"muse-", "anthropic-", "openai-", "langgraph-", "agui-"}

// everyLine gives each line of the recordings, with the format that is to be
// found: those of the project, and of the folder that KONLOG_RECORDINGS names.
func everyLine(t *testing.T, each func(file, format string, number int, line []byte)) {
	t.Helper()
	dirs := []string{"../testdata/recordings"}
	if more := os.Getenv("KONLOG_RECORDINGS"); more != "" {
		dirs = append(dirs, more)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no recordings in %s: %v", dir, err)
		}
		for _, file := range files {
			format := formatOf(file)
			if format == "" && !slices.ContainsFunc(foreign, func(begin string) bool { return strings.HasPrefix(filepath.Base(file), begin) }) {
				continue
			}
			for i, line := range readLines(t, file) {
				each(file, format, i+1, line)
				// As they would be without the frame of server-sent events.
				if data, is := bytes.CutPrefix(line, []byte("data: ")); is {
					each(file, format, i+1, data)
				}
			}
		}
	}
}

// TestDetectRecordings: no line is taken for another format's, and the first
// line of each recording tells its format.
func TestDetectRecordings(t *testing.T) {
	found := map[string]int{}
	lines, told := map[string]int{}, map[string]int{}
	everyLine(t, func(file, format string, number int, line []byte) {
		got := Detect(line)
		lines[file]++
		switch {
		case got != "" && got != format:
			t.Errorf("%s:%d is taken for %q: %.200s", file, number, got, line)
		case got != "":
			told[file]++
			if found[file] == 0 {
				found[file] = number
			}
		}
	})
	for file, n := range lines {
		if format := formatOf(file); format != "" && found[file] != 1 {
			t.Errorf("%s: %s is found in line %d of %d", file, format, found[file], n)
		}
		t.Logf("%s: %d of %d lines tell the format", file, told[file], n)
	}
}

func formatOf(file string) string {
	for begin, format := range recordingFormats {
		if strings.HasPrefix(filepath.Base(file), begin) {
			return format
		}
	}
	return ""
}

func TestDetect(t *testing.T) {
	for _, c := range []struct{ want, line string }{
		{FormatClaude, `{"type":"system","subtype":"init","session_id":"s","tools":[]}`},
		{FormatClaude, ` {"type":"control_request","request_id":"r","request":{"subtype":"initialize"}}`},
		{FormatClaude, `{"t_ms":1,"dir":"in","msg":{"type":"user","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":"x"}}}`},
		{FormatClaude, `{"type":"user","uuid":"u","sessionId":"s","parentUuid":null,"message":{"role":"user","content":"x"}}`},
		{FormatClaude, `{"type":"file-history-snapshot","messageId":"m","snapshot":{}}`},
		{FormatClaude, `{"type":"control_cancel_request","request_id":"r"}`},
		{FormatCodex, `{"type": "thread.started", "thread_id": "t"}`},
		{FormatCodex, `{"type":"turn.started"}`},
		{FormatCodex, `{"type":"turn.failed","error":{"message":"m"}}`},
		{FormatCodex, `{"type":"item.completed","item":{"id":"item_0","type":"error","message":"m"}}`},
		{FormatGemini, `{"type":"init","timestamp":"2026-11-20T17:52:47.447Z","session_id":"s","model":"m"}`},
		{FormatGemini, `{"type":"error","timestamp":"2026-11-20T17:52:47.447Z","severity":"warning","message":"m"}`},
		{FormatACP, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}`},
		{FormatACP, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"agentCapabilities":{}}}`},
		{FormatACP, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":2,"capabilities":{}}}`},
		{FormatACP, `{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{}}}`},
		{FormatACP, `{"jsonrpc":"2.0","id":4,"result":{"stopReason":"refusal"}}`},
		{FormatACP, `{"jsonrpc":"2.0","id":4,"result":{"outcome":{"outcome":"cancelled"}}}`},
		{FormatOpencode, `{"type":"server.connected","properties":{}}`},
		{FormatOpencode, `{"directory":"/w","payload":{"id":"evt_1","type":"session.idle","properties":{"sessionID":"s"}}}`},
		{FormatOpencode, `{"type":"step_start","timestamp":1,"sessionID":"s","part":{"type":"step-start"}}`},
		{FormatOpencode, `{"type":"error","timestamp":1,"sessionID":"s","error":{"name":"E"}}`},

		{"", ``},
		{"", `hello`},
		{"", `data: {"type":"server.connected","properties":{}}`},
		{"", `{"type":"turn.started"`},
		{"", "{\"type\":\"thread.started\",\"thread_id\":\"\xff\"}"},
		{"", `[{"type":"turn.started"}]`},
		{"", `{}`},
		{"", `{"type":7}`},
		{"", `{"type":"turn.started","id":"other"}`},
		{"", `{"type":"error","message":"m"}`},
		{"", `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`},
		{"", `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[]}}`},
		{"", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"t"}}`},
		{"", `{"type":"response.created","response":{"id":"resp_1","error":null},"sequence_number":0}`},
		{"", `{"type":"error","code":"c","message":"m","param":null,"sequence_number":1}`},
		{"", `{"type":"event","event_id":"1","seq":1,"method":"lifecycle","params":{"data":{"event":"running"}}}`},
		{"", `{"type":"RUN_STARTED","threadId":"t","runId":"r"}`},
		{"", `{"schema_version":1,"id":"u","stream":{"kind":"session","id":"s"},"sequence":1,"payload_type":"run.started","payload":{}}`},
		{"", `{"type":"text-delta","id":"1","delta":"t"}`},
		{"", `{"type":"message","role":"assistant","content":[{"type":"text","text":"t"}]}`},
		{"", `{"type":"tool_use","id":"toolu_1","name":"n","input":{}}`},
		{"", `{"type":"result","status":"success"}`},
		{"", `{"type":"init","session_id":"s","model":"m"}`},
		{"", `{"type":"tool_result","tool_id":"t","status":"success"}`},
		{"", `{"type":"system","subtype":"init","session_id":"s"}`},
		{"", `{"type":"user","message":{"role":"user","content":"x"}}`},
		{"", `{"type":"object","properties":{"a":{"type":"string"}}}`},
		{"", `{"type":"text","text":"t"}`},
		{"", `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`},
		{"", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}}`},
		{"", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":1,"rootUri":null,"capabilities":{}}}`},
		{"", `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{}}`},
		{"", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		{"", `{"id":1,"method":"session/prompt","params":{"sessionId":"s"}}`},
		{"", `{"t_ms":1,"dir":"sideways","msg":{"type":"turn.started"}}`},
	} {
		if got := Detect([]byte(c.line)); got != c.want {
			t.Errorf("%s is taken for %q, want %q", c.line, got, c.want)
		}
	}
}

// TestLineIDRecordings: a name that a line has is of this line alone.
func TestLineIDRecordings(t *testing.T) {
	names, named, lines := map[string]map[string]int{}, map[string]int{}, map[string]int{}
	everyLine(t, func(file, format string, number int, line []byte) {
		if names[file] == nil {
			names[file] = map[string]int{}
		}
		lines[file]++
		id := LineID(format, line)
		if id == "" {
			return
		}
		if format != FormatClaude && format != FormatOpencode {
			t.Errorf("%s:%d has the name %q, and its format has none", file, number, id)
		}
		named[file]++
		names[file][id]++
	})
	for file, n := range lines {
		if len(names[file]) != named[file] {
			t.Errorf("%s: %d lines have %d names", file, named[file], len(names[file]))
		}
		if formatOf(file) == FormatOpencode && named[file] != n {
			t.Errorf("%s: %d of %d lines have a name", file, named[file], n)
		}
		t.Logf("%s: %d of %d lines have a name", file, named[file], n)
	}
}

func TestLineID(t *testing.T) {
	for _, c := range []struct{ format, want, line string }{
		{FormatClaude, "u", `{"type":"assistant","uuid":"u"}`},
		{FormatClaude, "u", `{"t_ms":1,"dir":"out","msg":{"type":"user","uuid":"u"}}`},
		{FormatClaude, "in:u", `{"t_ms":1,"dir":"in","msg":{"type":"user","uuid":"u"}}`},
		{FormatClaude, "", `{"t_ms":1,"dir":"in","msg":{"type":"control_request","request_id":"r"}}`},
		{FormatClaude, "", `{"type":"assistant","uuid":7}`},
		{FormatClaude, "", `{"type":"assistant","uuid":"u"`},
		{FormatClaude, "", "{\"type\":\"assistant\",\"uuid\":\"\xff\"}"},
		{FormatClaude, "", `text`},
		{FormatOpencode, "evt_1", `{"id":"evt_1","type":"session.idle","properties":{}}`},
		{FormatOpencode, "", `{"id":"prt_1","type":"text"}`},
		{FormatCodex, "", `{"type":"item.completed","id":"x","uuid":"x"}`},
		{FormatGemini, "", `{"id":"x","uuid":"x","properties":{}}`},
		{FormatACP, "", `{"id":"x","uuid":"x","properties":{}}`},
		{FormatLines, "", `{"id":"x","uuid":"x","properties":{}}`},
		{"", "", `{"id":"x","uuid":"x"}`},
	} {
		if got := LineID(c.format, []byte(c.line)); got != c.want {
			t.Errorf("%s %s has the name %q, want %q", c.format, c.line, got, c.want)
		}
	}
}

func BenchmarkDetect(b *testing.B) {
	for _, rec := range recordings(b, "../testdata/recordings") {
		if rec.name != "claude-code-duplex-4turns" {
			continue
		}
		lines := readLines(b, rec.file)
		for b.Loop() {
			for _, line := range lines {
				if Detect(line) == "" && LineID(rec.format, line) != "" {
					b.Fatalf("not told, but named: %s", line)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/line")
	}
}
