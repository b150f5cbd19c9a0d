package agent

import "testing"

func TestGemini(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a message goes on until something else is said", `
			{"type":"init","timestamp":"2026-11-20T17:52:47.447Z","session_id":"s","model":"m"}
			{"type":"message","role":"user","content":"do <it>"}
			{"type":"message","role":"assistant","content":"a \ud83d","delta":true}
			{"type":"message","role":"assistant","content":"\ude00 b","delta":true}
			{"type":"tool_use","tool_name":"ls","tool_id":"ls-1","parameters":{"dir": "."}}
			{"type":"tool_use","tool_name":"cat","tool_id":"cat-1","parameters":{}}
			{"type":"tool_result","tool_id":"cat-1","status":"error","output":"","error":{"type":"x","message":"not found"}}
			{"type":"tool_result","tool_id":"ls-1","status":"success"}
			{"type":"message","role":"assistant","content":"c","delta":true}
			{"type":"message","role":"assistant","content":"","delta":true}
			{"type":"message","role":"assistant","content":"whole"}
			{"type":"message","role":"assistant","content":"d","delta":true}
			{"type":"result","status":"success","stats":{"total_tokens":5016,"cached": 7.0}}
		`, `
			1 turn_start t1 {"agent":"gemini"}
			1 session_init t1 {"sessionId":"s","model":"m"}
			2 prompt t1 {"text":"do <it>"}
			3 text_delta t1 {"text":"a \ud83d","block":"block-1"}
			4 text_delta t1 {"text":"\ude00 b","block":"block-1"}
			5 tool_start t1 {"id":"ls-1","name":"ls","input":{"dir": "."}}
			6 tool_start t1 {"id":"cat-1","name":"cat","input":{}}
			7 tool_result t1 {"id":"cat-1","output":"not found","isError":true}
			8 tool_result t1 {"id":"ls-1","output":""}
			9 text_delta t1 {"text":"c","block":"block-2"}
			11 text t1 {"text":"whole","block":"block-3"}
			12 text_delta t1 {"text":"d","block":"block-4"}
			13 turn_end t1 {"success":true,"reason":"done","usage":{"total_tokens":5016,"cached": 7.0}}
		`},
		{"errors and warnings end nothing, the result does", `
			{"type":"error","severity":"warning","message":"Loop detected"}
			{"type":"init","session_id":"s","model":"m"}
			{"type":"error","severity":"error","message":"quota"}
			{"type":"result","status":"error","error":{"type":"E","message":"it failed"},"stats":{"tool_calls":0}}
			{"type":"init","session_id":"s","model":"m"}
			{"type":"result","status":"error"}
		`, `
			1 error - {"error":"Loop detected","code":"warning","fatal":false}
			2 turn_start t1 {"agent":"gemini"}
			2 session_init t1 {"sessionId":"s","model":"m"}
			3 error t1 {"error":"quota","code":"error"}
			4 turn_end t1 {"success":false,"reason":"error","error":"it failed","usage":{"tool_calls":0}}
			5 turn_start t2 {"agent":"gemini"}
			6 turn_end t2 {"success":false,"reason":"error","error":"error"}
		`},
		{"a stream from the middle", `
			{"type":"tool_result","tool_id":"x","status":"success","output":{"a":1}}
			{"type":"result","status":"success","stats":null}
			{"type":"message","role":"assistant","content":"n","delta":true}
		`, `
			1 turn_start t1 {"agent":"gemini"}
			1 tool_result t1 {"id":"x","output":{"a":1}}
			2 turn_end t1 {"success":true,"reason":"done"}
			3 turn_start t2 {"agent":"gemini"}
			3 text_delta t2 {"text":"n","block":"block-1"}
			exit turn_end t2 {"success":false,"reason":"exit","error":"the stream is over"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatGemini, c.stream, c.want) })
	}
}

func TestGeminiUnknown(t *testing.T) {
	r := checkStream(t, FormatGemini, `
		{"type":"thought","content":"x"}
		{"type":"message","role":"system","content":"x"}
		{"type":7}
	`, ``)
	checkUnknown(t, r, map[string]int{"thought": 1, "message/system": 1, "other": 1})
}

func TestGeminiScope(t *testing.T) {
	checkScope(t, FormatGemini, `{"type":"message","role":"assistant","content":"n","delta":true}`, `"block":"S:block-1"`)
}

func BenchmarkGemini(b *testing.B) { benchmarkRecording(b, "gemini-stream-tools") }
