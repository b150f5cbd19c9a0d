package agent

import (
	"strings"
	"testing"
)

func TestCodex(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a warning before the turn opens none", `
			{"type":"thread.started","thread_id":"th"}
			{"type":"item.completed","item":{"id":"item_0","type":"error","message":"no metadata"}}
			{"type":"turn.started"}
			{"type":"item.completed","item":{"id":"item_1","type":"error","message":"slow"}}
			{"type":"turn.completed","usage":{"input_tokens":1.50}}
			{"type":"item.completed","item":{"id":"item_2","type":"error","message":"late"}}
		`, `
			1 session_init - {"sessionId":"th"}
			2 error - {"error":"no metadata","fatal":false}
			3 turn_start t1 {"agent":"codex"}
			4 error t1 {"error":"slow","fatal":false}
			5 turn_end t1 {"success":true,"reason":"done","usage":{"input_tokens":1.50}}
			6 error - {"error":"late","fatal":false}
		`},
		{"an item is work of a turn, also where its beginning is missing", `
			{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"\ud83d\ude00 <b>"}}
			{"type":"turn.completed"}
			{"type":"item.completed","item":{"id":"item_2","type":"a_new_one","text":"x"}}
			{"type":"turn.completed","usage":7}
		`, `
			1 turn_start t1 {"agent":"codex"}
			1 text t1 {"text":"\ud83d\ude00 <b>","block":"item_1"}
			2 turn_end t1 {"success":true,"reason":"done"}
			3 turn_start t2 {"agent":"codex"}
			4 turn_end t2 {"success":true,"reason":"done"}
		`},
		{"a text that grows is always whole", `
			{"type":"item.started","item":{"id":"item_0","type":"reasoning","text":""}}
			{"type":"item.updated","item":{"id":"item_0","type":"reasoning","text":"a"}}
			{"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"ab"}}
			{"type":"turn.completed"}
		`, `
			1 turn_start t1 {"agent":"codex"}
			2 thinking t1 {"text":"a","block":"item_0"}
			3 thinking t1 {"text":"ab","block":"item_0"}
			4 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"calls overlap, and some are told only when they are over", `
			{"type":"turn.started"}
			{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"ls","aggregated_output":"","exit_code":null,"status":"in_progress"}}
			{"type":"item.started","item":{"id":"item_2","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"n":1.0},"status":"in_progress"}}
			{"type":"item.updated","item":{"id":"item_1","type":"command_execution","command":"ls","aggregated_output":"a","exit_code":null,"status":"in_progress"}}
			{"type":"item.completed","item":{"id":"item_2","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"n":1.0},"result":{"content":[]},"error":null,"status":"completed"}}
			{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"ls","aggregated_output":"ab","exit_code":2,"status":"completed"}}
			{"type":"item.completed","item":{"id":"item_3","type":"file_change","changes":[{"path":"x","kind":{"type":"add"}}],"status":"failed"}}
			{"type":"item.completed","item":{"id":"item_4","type":"web_search","query":"q","action":{"type":"search"}}}
			{"type":"item.started","item":{"id":"item_5","type":"collab_tool_call","tool":"spawn_agent","prompt":"p","agents_states":{},"status":"in_progress"}}
			{"type":"item.completed","item":{"id":"item_5","type":"collab_tool_call","tool":"spawn_agent","prompt":"p","agents_states":{"k":1},"status":"completed"}}
			{"type":"item.completed","item":{"id":"item_6","type":"mcp_tool_call","server":"s","tool":"u","arguments":null,"error":{"message":"no"}}}
			{"type":"item.completed","item":{"id":"item_7","type":"command_execution","command":"rm","aggregated_output":"","status":"declined"}}
			{"type":"turn.completed"}
		`, `
			1 turn_start t1 {"agent":"codex"}
			2 tool_start t1 {"id":"item_1","name":"command","input":{"command":"ls"}}
			3 tool_start t1 {"id":"item_2","name":"s.t","input":{"n":1.0}}
			5 tool_result t1 {"id":"item_2","name":"s.t","output":{"content":[]}}
			6 tool_result t1 {"id":"item_1","name":"command","output":{"aggregated_output":"ab","exit_code":2},"isError":true}
			7 tool_start t1 {"id":"item_3","name":"file_change","input":{"changes":[{"path":"x","kind":{"type":"add"}}]}}
			7 tool_result t1 {"id":"item_3","name":"file_change","output":"failed","isError":true}
			8 tool_start t1 {"id":"item_4","name":"web_search","input":{"action":{"type":"search"},"query":"q"}}
			8 tool_result t1 {"id":"item_4","name":"web_search","output":""}
			9 tool_start t1 {"id":"item_5","name":"spawn_agent","input":{"prompt":"p"}}
			10 tool_result t1 {"id":"item_5","name":"spawn_agent","output":{"k":1}}
			11 tool_start t1 {"id":"item_6","name":"s.u","input":{}}
			11 tool_result t1 {"id":"item_6","name":"s.u","output":{"message":"no"},"isError":true}
			12 tool_start t1 {"id":"item_7","name":"command","input":{"command":"rm"}}
			12 tool_result t1 {"id":"item_7","name":"command","output":{"aggregated_output":""},"isError":true}
			13 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a plan", `
			{"type":"item.started","item":{"id":"item_1","type":"todo_list","items":[{"text":"a","completed":false},{"text":"b","completed":true},7]}}
			{"type":"item.completed","item":{"id":"item_1","type":"todo_list","items":[]}}
			{"type":"turn.completed"}
		`, `
			1 turn_start t1 {"agent":"codex"}
			1 plan t1 {"items":[{"text":"a","state":"pending"},{"text":"b","state":"done"}]}
			2 plan t1 {"items":[]}
			3 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a failure is said twice and ends the turn once; what is tried again does not", `
			{"type":"turn.started"}
			{"type":"error","message":"Reconnecting... 1/5"}
			{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"on"}}
			{"type":"error","message":"limit"}
			{"type":"turn.failed","error":{"message":"limit"}}
			{"type":"turn.started"}
			{"type":"turn.failed","error":{}}
		`, `
			1 turn_start t1 {"agent":"codex"}
			2 error t1 {"error":"Reconnecting... 1/5"}
			3 text t1 {"text":"on","block":"item_1"}
			4 error t1 {"error":"limit"}
			5 turn_end t1 {"success":false,"reason":"error","error":"limit"}
			6 turn_start t2 {"agent":"codex"}
			7 turn_end t2 {"success":false,"reason":"error","error":"the turn failed, and codex did not say why"}
		`},
		{"items are counted anew in a thread", `
			{"type":"thread.started","thread_id":"th"}
			{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"a"}}
			{"type":"turn.completed"}
			{"type":"thread.started","thread_id":"th"}
			{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"b","aggregated_output":"x","exit_code":0}}
			{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"t"}}
			{"type":"turn.completed"}
		`, `
			1 session_init - {"sessionId":"th"}
			2 turn_start t1 {"agent":"codex"}
			2 tool_start t1 {"id":"item_0","name":"command","input":{"command":"a"}}
			3 turn_end t1 {"success":true,"reason":"done"}
			5 turn_start t2 {"agent":"codex"}
			5 tool_start t2 {"id":"2:item_0","name":"command","input":{"command":"b"}}
			5 tool_result t2 {"id":"2:item_0","name":"command","output":{"aggregated_output":"x","exit_code":0}}
			6 text t2 {"text":"t","block":"2:item_1"}
			7 turn_end t2 {"success":true,"reason":"done"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatCodex, c.stream, c.want) })
	}
}

func TestCodexUnknown(t *testing.T) {
	r := checkStream(t, FormatCodex, `
		{"type":"item.plan.delta","item_id":"item_1","delta":"x"}
		{"type":"item.completed","item":{"id":"item_1"}}
		{"type":"item.started","item":{"id":"item_1","type":"plan"}}
		{"type":"request_user_input"}
		{"type":"turn.completed"}
	`, `
		3 turn_start t1 {"agent":"codex"}
		5 turn_end t1 {"success":true,"reason":"done"}
	`)
	want := map[string]int{"item.plan.delta": 1, "item.completed/": 1, "item.started/plan": 1, "request_user_input": 1}
	checkUnknown(t, r, want)
}

func checkUnknown(t *testing.T, r *mapped, want map[string]int) {
	t.Helper()
	for kind, n := range want {
		if r.unknown[kind] != n {
			t.Errorf("unknown: got %v, want %v", r.unknown, want)
			return
		}
	}
	if len(r.unknown) != len(want) {
		t.Errorf("unknown: got %v, want %v", r.unknown, want)
	}
}

// checkScope maps a stream with a scope, and requires that the ids which the
// agent counts anew have it.
func checkScope(t *testing.T, format, stream string, want ...string) {
	t.Helper()
	r := mapLines(linesOf(stream), MapperOptions{Format: format, Scope: "S", Prompts: true})
	checkMapped(t, r)
	text := r.text()
	for _, id := range want {
		if !strings.Contains(text, id) {
			t.Errorf("%s is not in\n%s", id, text)
		}
	}
}

// TestCodexForgets: nothing is kept of a call that is over.
func TestCodexForgets(t *testing.T) {
	f := newCodex(Options{}).(*codexFormat)
	f.Read([]byte(`{"type":"item.started","item":{"id":"item_1","type":"web_search","query":"q"}}`), FromAgent)
	f.Read([]byte(`{"type":"item.completed","item":{"id":"item_1","type":"web_search","query":"q"}}`), FromAgent)
	if len(f.started.m) != 0 {
		t.Errorf("%v are kept", f.started.m)
	}
}

func TestCodexScope(t *testing.T) {
	checkScope(t, FormatCodex, `
		{"type":"thread.started","thread_id":"th"}
		{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"t"}}
		{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"a"}}
		{"type":"thread.started","thread_id":"th"}
		{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"t"}}
	`, `"block":"S:item_0"`, `"id":"S:item_1"`, `"block":"S:2:item_0"`, `{"sessionId":"th"}`)
}

func BenchmarkCodex(b *testing.B) { benchmarkRecording(b, "codex-exec-plan-todo") }

// benchmarkRecording maps the lines of a recording, once per operation.
func benchmarkRecording(b *testing.B, name string) {
	for _, rec := range recordings(b, "../testdata/recordings") {
		if rec.name != name {
			continue
		}
		lines := readLines(b, rec.file)
		b.ReportAllocs()
		for b.Loop() {
			m := NewMapper(MapperOptions{Format: rec.format, Prompts: true})
			for _, line := range lines {
				m.Map(line, "key")
			}
		}
		perLine := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(lines))
		b.ReportMetric(perLine, "ns/line")
		b.ReportMetric(1e9/perLine, "lines/s")
		return
	}
	b.Fatalf("no recording %s", name)
}
