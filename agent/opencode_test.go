package agent

import (
	"fmt"
	"strings"
	"testing"
)

// events makes opencode's events of "type {properties}", with ids.
func events(stream string) string {
	var b strings.Builder
	for i, line := range linesOf(stream) {
		typ, properties, _ := strings.Cut(string(line), " ")
		fmt.Fprintf(&b, `{"id":"evt_%d","type":%q,"properties":%s}`+"\n", i, typ, properties)
	}
	return b.String()
}

func TestOpencode(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a turn", `
			server.connected {}
			session.created {"sessionID":"s","info":{"id":"s","directory":"/w","model":{"id":"m","providerID":"p"}}}
			message.updated {"sessionID":"s","info":{"id":"m1","role":"user"}}
			message.part.updated {"sessionID":"s","part":{"id":"p0","messageID":"m1","sessionID":"s","type":"text","text":"look at <it>"}}
			message.part.updated {"sessionID":"s","part":{"id":"p0","messageID":"m1","sessionID":"s","type":"text","text":"look at <it>"}}
			message.part.updated {"sessionID":"s","part":{"id":"p00","messageID":"m1","sessionID":"s","type":"text","text":"a file","synthetic":true}}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			message.updated {"sessionID":"s","info":{"id":"m2","role":"assistant"}}
			message.part.updated {"part":{"id":"p1","messageID":"m2","sessionID":"s","type":"reasoning","text":""}}
			message.part.delta {"sessionID":"s","messageID":"m2","partID":"p1","field":"text","delta":"hm\ud83d"}
			message.part.delta {"sessionID":"s","messageID":"m2","partID":"p1","field":"text","delta":"\ude00"}
			message.part.delta {"sessionID":"s","messageID":"m2","partID":"p1","field":"metadata","delta":"no"}
			message.part.updated {"part":{"id":"p1","messageID":"m2","sessionID":"s","type":"reasoning","text":"hm\ud83d\ude00"}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"pending","input":{},"raw":""}}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"running","input":{"command": "ls"}}}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"running","input":{"command": "ls"},"metadata":{"output":"a"}}}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"completed","input":{"command": "ls"},"output":"a"}}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"completed","input":{"command": "ls"},"output":"[gone]"}}}
			message.part.updated {"part":{"id":"p3","messageID":"m2","sessionID":"s","type":"tool","callID":"c2","tool":"read","state":{"status":"error","input":{"p":1},"error":"no file"}}}
			todo.updated {"sessionID":"s","todos":[{"content":"a","status":"in_progress"},{"content":"b","status":"cancelled"},{"content":"c","status":"completed"}]}
			message.part.delta {"sessionID":"s","messageID":"m2","partID":"p4","field":"text","delta":"x"}
			message.part.updated {"part":{"id":"p4","messageID":"m2","sessionID":"s","type":"text","text":"x","time":{"start":1,"end":2}}}
			session.status {"sessionID":"s","status":{"type":"idle"}}
			session.idle {"sessionID":"s"}
		`, `
			2 session_init - {"sessionId":"s","model":"p/m","cwd":"/w"}
			4 prompt t1 {"text":"look at <it>"}
			7 turn_start t1 {"agent":"opencode"}
			10 thinking_delta t1 {"text":"hm\ud83d","block":"p1"}
			11 thinking_delta t1 {"text":"\ude00","block":"p1"}
			13 thinking t1 {"text":"hm\ud83d\ude00","block":"p1"}
			14 tool_start t1 {"id":"c","name":"bash"}
			15 tool_start t1 {"id":"c","name":"bash","input":{"command": "ls"}}
			17 tool_result t1 {"id":"c","name":"bash","output":"a"}
			19 tool_start t1 {"id":"c2","name":"read","input":{"p":1}}
			19 tool_result t1 {"id":"c2","name":"read","output":"no file","isError":true}
			20 plan t1 {"items":[{"text":"a","state":"active"},{"text":"c","state":"done"}]}
			21 text_delta t1 {"text":"x","block":"p4"}
			22 text t1 {"text":"x","block":"p4"}
			23 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"steps add up to what the turn used, to the last digit", `
			session.status {"sessionID":"s","status":{"type":"busy"}}
			message.part.updated {"part":{"id":"p1","sessionID":"s","type":"step-finish","cost":0.1,"tokens":{"input":523,"output":4,"reasoning":36,"cache":{"read":8192,"write":0}}}}
			message.part.updated {"part":{"id":"p1","sessionID":"s","type":"step-finish","cost":0.1,"tokens":{"input":523,"output":4,"reasoning":36,"cache":{"read":8192,"write":0}}}}
			message.part.updated {"part":{"id":"p2","sessionID":"s","type":"step-finish","cost":0.034148000000000005,"tokens":{"input":1,"output":1}}}
			message.part.updated {"part":{"id":"p3","sessionID":"s","type":"step-finish","cost":2e-7,"tokens":{"input":1e99999}}}
			message.part.updated {"part":{"id":"p4","sessionID":"s","type":"step-finish"}}
			session.idle {"sessionID":"s"}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			message.part.updated {"part":{"id":"p5","sessionID":"s","type":"step-finish","cost":0.5}}
			session.idle {"sessionID":"s"}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			2 usage t1 {"input":523,"output":4,"reasoning":36,"cacheRead":8192,"cacheWrite":0,"costUsd":0.1}
			4 usage t1 {"input":524,"output":5,"reasoning":36,"cacheRead":8192,"cacheWrite":0,"costUsd":0.134148000000000005}
			5 usage t1 {"input":524,"output":5,"reasoning":36,"cacheRead":8192,"cacheWrite":0,"costUsd":0.134148200000000005}
			7 turn_end t1 {"success":true,"reason":"done","usage":{"input":524,"output":5,"reasoning":36,"cacheRead":8192,"cacheWrite":0},"costUsd":0.134148200000000005}
			8 turn_start t2 {"agent":"opencode"}
			9 usage t2 {"costUsd":0.5}
			10 turn_end t2 {"success":true,"reason":"done","costUsd":0.5}
		`},
		{"the session of a tool is within it, and begins and ends no turn", `
			session.status {"sessionID":"s","status":{"type":"busy"}}
			message.part.updated {"part":{"id":"p1","messageID":"m1","sessionID":"s","type":"tool","callID":"call","tool":"task","state":{"status":"running","input":{"prompt":"p"}}}}
			session.created {"info":{"id":"sub","parentID":"s"}}
			session.status {"sessionID":"sub","status":{"type":"busy"}}
			message.part.updated {"part":{"id":"p1","messageID":"m1","sessionID":"s","type":"tool","callID":"call","tool":"task","state":{"status":"running","input":{"prompt":"p"},"metadata":{"sessionId":"sub"}}}}
			message.updated {"info":{"id":"m2","role":"user","sessionID":"sub"}}
			message.part.updated {"part":{"id":"p2","messageID":"m2","sessionID":"sub","type":"text","text":"p"}}
			message.updated {"info":{"id":"m3","role":"assistant","sessionID":"sub"}}
			message.part.updated {"part":{"id":"p3","messageID":"m3","sessionID":"sub","type":"text","text":"within"}}
			message.part.delta {"sessionID":"sub","partID":"p3","field":"text","delta":"!"}
			message.part.updated {"part":{"id":"p4","messageID":"m3","sessionID":"sub","type":"tool","callID":"c4","tool":"read","state":{"status":"completed","input":{"p":1},"output":"o"}}}
			todo.updated {"sessionID":"sub","todos":[]}
			permission.asked {"id":"per_1","sessionID":"sub","permission":"bash","patterns":["ls"],"metadata":{"command":"ls"},"always":[]}
			permission.replied {"sessionID":"sub","requestID":"per_1","reply":"once"}
			session.error {"sessionID":"sub","error":{"name":"UnknownError","data":{"message":"sub failed"}}}
			message.part.updated {"part":{"id":"p5","messageID":"m3","sessionID":"sub","type":"step-finish","cost":1,"tokens":{}}}
			session.status {"sessionID":"sub","status":{"type":"idle"}}
			session.idle {"sessionID":"sub"}
			session.idle {"sessionID":"s"}
			session.status {"sessionID":"sub","status":{"type":"busy"}}
			message.part.delta {"sessionID":"sub","partID":"p3","field":"text","delta":"late"}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			2 tool_start t1 {"id":"call","name":"task","input":{"prompt":"p"}}
			9 text t1 ^call {"text":"within","block":"p3"}
			10 text_delta t1 ^call {"text":"!","block":"p3"}
			11 tool_start t1 ^call {"id":"c4","name":"read","input":{"p":1}}
			11 tool_result t1 ^call {"id":"c4","name":"read","output":"o"}
			12 plan t1 ^call {"items":[]}
			13 permission_request t1 ^call {"requestId":"per_1","tool":"bash","input":{"patterns":["ls"],"command":"ls"},"options":[{"id":"once","label":"Allow once","kind":"allow_once"},{"id":"always","label":"Always allow","kind":"allow_always"},{"id":"reject","label":"Reject","kind":"reject_once"}]}
			14 permission_response t1 ^call {"requestId":"per_1","allow":true,"option":"once"}
			15 error t1 ^call {"error":"sub failed","code":"UnknownError"}
			16 usage t1 {"costUsd":1}
			19 turn_end t1 {"success":true,"reason":"done","costUsd":1}
			21 text_delta - ^call {"text":"late","block":"p3"}
		`},
		{"another session of the server is beside the one that works, until that is done", `
			session.updated {"info":{"id":"a","directory":"/a"}}
			session.updated {"info":{"id":"b","directory":"/b"}}
			session.status {"sessionID":"a","status":{"type":"busy"}}
			session.status {"sessionID":"b","status":{"type":"busy"}}
			message.updated {"info":{"id":"m1","role":"user"}}
			message.part.updated {"part":{"id":"p0","messageID":"m1","sessionID":"b","type":"text","text":"not here"}}
			message.part.updated {"part":{"id":"p1","messageID":"m2","sessionID":"b","type":"text","text":"beside","time":{}}}
			session.idle {"sessionID":"b"}
			session.idle {"sessionID":"a"}
			message.part.updated {"part":{"id":"p2","messageID":"m1","sessionID":"b","type":"text","text":"now"}}
			session.status {"sessionID":"b","status":{"type":"busy"}}
			message.part.updated {"part":{"id":"p3","messageID":"m2","sessionID":"b","type":"text","text":"mine","time":{}}}
			session.idle {"sessionID":"b"}
		`, `
			1 session_init - {"sessionId":"a","cwd":"/a"}
			3 turn_start t1 {"agent":"opencode"}
			7 text t1 ^b {"text":"beside","block":"p1"}
			9 turn_end t1 {"success":true,"reason":"done"}
			10 session_init - {"sessionId":"b","cwd":"/b"}
			10 prompt t2 {"text":"now"}
			11 turn_start t2 {"agent":"opencode"}
			12 text t2 {"text":"mine","block":"p3"}
			13 turn_end t2 {"success":true,"reason":"done"}
		`},
		{"errors, a stop, and what the agent goes on from", `
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.status {"sessionID":"s","status":{"type":"retry","attempt":1,"message":"overloaded","next":5}}
			session.error {"sessionID":"s","error":{"name":"APIError","data":{"message":"it broke","statusCode":500}}}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.idle {"sessionID":"s"}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.error {"sessionID":"s","error":{"name":"MessageAbortedError","data":{"message":"Aborted"}}}
			session.idle {"sessionID":"s"}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.error {"sessionID":"s","error":{"name":"ContextOverflowError","data":{"message":"too long"}}}
			message.part.updated {"part":{"id":"p","sessionID":"s","type":"step-start"}}
			session.status {"sessionID":"s","status":{"type":"idle"}}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.error {"sessionID":"s","error":{"name":"APIError","data":{"message":"again"}}}
			session.idle {"sessionID":"s"}
			session.status {"sessionID":"s","status":{"type":"busy"}}
			session.idle {"sessionID":"s"}
			session.error {"error":{"name":"UnknownError"}}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			2 error t1 {"error":"overloaded","code":"retry","fatal":false}
			3 error t1 {"error":"it broke","code":"APIError"}
			5 turn_end t1 {"success":false,"reason":"error","error":"it broke"}
			6 turn_start t2 {"agent":"opencode"}
			8 turn_end t2 {"success":false,"reason":"stopped","error":"Aborted"}
			9 turn_start t3 {"agent":"opencode"}
			10 error t3 {"error":"too long","code":"ContextOverflowError"}
			12 turn_end t3 {"success":true,"reason":"done"}
			13 turn_start t4 {"agent":"opencode"}
			14 error t4 {"error":"again","code":"APIError"}
			15 turn_end t4 {"success":false,"reason":"error","error":"again"}
			16 turn_start t5 {"agent":"opencode"}
			17 turn_end t5 {"success":true,"reason":"done"}
			18 error - {"error":"UnknownError","code":"UnknownError"}
		`},
		{"questions of three versions", `
			session.status {"sessionID":"s","status":{"type":"busy"}}
			permission.updated {"id":"per_1","type":"edit","pattern":"*.go","sessionID":"s","title":"Edit","metadata":{"diff":"d","title":"t"}}
			permission.replied {"sessionID":"s","permissionID":"per_1","response":"reject"}
			permission.replied {"sessionID":"s","permissionID":"per_1","response":"always"}
			permission.v2.asked {"id":"per_2","sessionID":"s","action":"shell","resources":["r"]}
			permission.v2.replied {"sessionID":"s","requestID":"per_2","reply":"always"}
			question.asked {"id":"que_1","sessionID":"s","questions":[{"question":"Which?"}]}
			question.replied {"sessionID":"s","requestID":"que_1","answers":[["a"]]}
			question.asked {"id":"que_2","sessionID":"s","questions":[]}
			question.rejected {"sessionID":"s","requestID":"que_2"}
			permission.asked {"sessionID":"s","permission":"no id"}
			permission.replied {"sessionID":"s","requestID":"nobody asked","reply":"once"}
			session.idle {"sessionID":"s"}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			2 permission_request t1 {"requestId":"per_1","tool":"edit","input":{"title":"Edit","patterns":"*.go","diff":"d"},"options":[{"id":"once","label":"Allow once","kind":"allow_once"},{"id":"always","label":"Always allow","kind":"allow_always"},{"id":"reject","label":"Reject","kind":"reject_once"}]}
			3 permission_response t1 {"requestId":"per_1","allow":false,"option":"reject"}
			5 permission_request t1 {"requestId":"per_2","tool":"shell","input":{"patterns":["r"]},"options":[{"id":"once","label":"Allow once","kind":"allow_once"},{"id":"always","label":"Always allow","kind":"allow_always"},{"id":"reject","label":"Reject","kind":"reject_once"}]}
			6 permission_response t1 {"requestId":"per_2","allow":true,"option":"always"}
			7 permission_request t1 {"requestId":"que_1","tool":"question","input":{"questions":[{"question":"Which?"}]}}
			8 permission_response t1 {"requestId":"que_1","allow":true}
			9 permission_request t1 {"requestId":"que_2","tool":"question","input":{"questions":[]}}
			10 permission_response t1 {"requestId":"que_2","allow":false}
			13 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"older versions say beside the whole what has come", `
			message.part.updated {"part":{"id":"p","messageID":"m","sessionID":"s","type":"text","text":"a","time":{}},"delta":"a"}
			message.part.updated {"part":{"id":"p","messageID":"m","sessionID":"s","type":"text","text":"ab","time":{}},"delta":"b"}
			message.part.updated {"part":{"id":"p","messageID":"m","sessionID":"s","type":"text","text":"ab","time":{}},"delta":""}
			message.part.updated {"part":{"id":"p","messageID":"m","sessionID":"s","type":"text","text":"ab","time":{}}}
			session.idle {"sessionID":"s"}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			1 text_delta t1 {"text":"a","block":"p"}
			2 text_delta t1 {"text":"b","block":"p"}
			4 text t1 {"text":"ab","block":"p"}
			5 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"the server that comes back is asked anew", `
			session.status {"sessionID":"a","status":{"type":"busy"}}
			server.connected {}
			session.status {"sessionID":"b","status":{"type":"busy"}}
			session.idle {"sessionID":"b"}
			session.idle {"sessionID":"b"}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			4 turn_end t1 {"success":true,"reason":"done"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatOpencode, events(c.stream), c.want) })
	}
}

// TestOpencodeGlobal has an event in the frame of those of all directories.
func TestOpencodeGlobal(t *testing.T) {
	line := `{"directory":"/w","payload":{"id":"evt_1","type":"session.status","properties":{"sessionID":"s","status":{"type":"busy"}}}}`
	checkStream(t, FormatOpencode, line, `
		1 turn_start t1 {"agent":"opencode"}
		exit turn_end t1 {"success":false,"reason":"exit","error":"the stream is over"}
	`)
	if got := LineID(FormatOpencode, []byte(line)); got != "evt_1" {
		t.Errorf("its name is %q", got)
	}
}

// TestOpencodeRun has what `opencode run --format json` prints.
func TestOpencodeRun(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a turn", `
			{"type":"step_start","timestamp":1,"sessionID":"s","part":{"id":"p1","messageID":"m","sessionID":"s","type":"step-start"}}
			{"type":"reasoning","timestamp":2,"sessionID":"s","part":{"id":"p2","messageID":"m","sessionID":"s","type":"reasoning","text":"hm"}}
			{"type":"tool_use","timestamp":3,"sessionID":"s","part":{"id":"p3","messageID":"m","sessionID":"s","type":"tool","callID":"c","tool":"bash","state":{"status":"completed","input":{"command":"ls"},"output":"o"}}}
			{"type":"step_finish","timestamp":4,"sessionID":"s","part":{"id":"p4","messageID":"m","sessionID":"s","type":"step-finish","reason":"tool-calls","cost":0.1,"tokens":{"input":1}}}
			{"type":"step_start","timestamp":5,"sessionID":"s","part":{"id":"p5","messageID":"m","sessionID":"s","type":"step-start"}}
			{"type":"text","timestamp":6,"sessionID":"s","part":{"id":"p6","messageID":"m","sessionID":"s","type":"text","text":"done"}}
			{"type":"step_finish","timestamp":7,"sessionID":"s","part":{"id":"p7","messageID":"m","sessionID":"s","type":"step-finish","reason":"stop","cost":0.2,"tokens":{"input":2}}}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			1 session_init t1 {"sessionId":"s"}
			2 thinking t1 {"text":"hm","block":"p2"}
			3 tool_start t1 {"id":"c","name":"bash","input":{"command":"ls"}}
			3 tool_result t1 {"id":"c","name":"bash","output":"o"}
			4 usage t1 {"input":1,"costUsd":0.1}
			6 text t1 {"text":"done","block":"p6"}
			7 usage t1 {"input":3,"costUsd":0.3}
			7 turn_end t1 {"success":true,"reason":"done","usage":{"input":3},"costUsd":0.3}
		`},
		{"failures", `
			{"type":"step_start","timestamp":1,"sessionID":"s","part":{"id":"p1","type":"step-start"}}
			{"type":"step_finish","timestamp":7,"sessionID":"s","part":{"id":"p7","type":"step-finish","reason":"length"}}
			{"type":"step_start","timestamp":1,"sessionID":"s","part":{"id":"p2","type":"step-start"}}
			{"type":"error","timestamp":8,"sessionID":"s","error":{"name":"APIError","data":{"message":"it broke"}}}
			{"type":"error","timestamp":8,"sessionID":"s","error":{"name":"APIError","data":{"message":"again"}}}
		`, `
			1 turn_start t1 {"agent":"opencode"}
			1 session_init t1 {"sessionId":"s"}
			2 turn_end t1 {"success":false,"reason":"error","error":"length"}
			3 turn_start t2 {"agent":"opencode"}
			4 error t2 {"error":"it broke","code":"APIError"}
			4 turn_end t2 {"success":false,"reason":"error","error":"it broke"}
			5 error - {"error":"again","code":"APIError"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatOpencode, c.stream, c.want) })
	}
}

func TestOpencodeUnknown(t *testing.T) {
	r := checkStream(t, FormatOpencode, events(`
		session.next.text.delta {"sessionID":"s"}
		lsp.updated {}
		message.part.updated {"part":7}
		session.status {"status":{"type":"new"}}
	`)+`{"type":"step_start"}
		{"type":"new","sessionID":"s"}
	`, `
		6 session_init - {"sessionId":"s"}
	`)
	checkUnknown(t, r, map[string]int{"session.next.text.delta": 1, "step_start": 1, "new": 1})
}

// TestOpencodeParent has a session whose id is too long to be the parent of an
// event. It is not the one that works for that.
func TestOpencodeParent(t *testing.T) {
	long := strings.Repeat("x", 300)
	checkStream(t, FormatOpencode, events(`
		session.status {"sessionID":"s","status":{"type":"busy"}}
		message.part.updated {"part":{"id":"p","messageID":"m","sessionID":"`+long+`","type":"text","text":"beside","time":{}}}
		session.idle {"sessionID":"`+long+`"}
		permission.asked {"id":"`+long+`","sessionID":"s","permission":"bash"}
		session.idle {"sessionID":"s"}
	`), `
		1 turn_start t1 {"agent":"opencode"}
		2 text t1 {"text":"beside","block":"p"}
		5 turn_end t1 {"success":true,"reason":"done"}
	`)
}

// TestOpencodeUnanswerable: a question that nobody could answer is not kept.
func TestOpencodeUnanswerable(t *testing.T) {
	f := newOpencode(Options{}).(*opencodeFormat)
	for _, id := range []string{strings.Repeat("x", 300), `a\nb`, ``} {
		m := f.Read([]byte(`{"type":"permission.asked","properties":{"id":"`+id+`","permission":"bash"}}`), FromAgent)
		if len(m.Events) != 0 || len(f.asked.m) != 0 {
			t.Errorf("of the id %.20s came %d events, %d are kept", id, len(m.Events), len(f.asked.m))
		}
	}
}

func BenchmarkOpencode(b *testing.B) { benchmarkRecording(b, "opencode-event-stream") }
