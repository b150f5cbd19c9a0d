package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/konlog/konlog/internal/long"
)

// twoWay puts lines that begin with > into the envelope of those that go to the
// agent, and the others into that of those that come from it.
func twoWay(stream string) string {
	var b strings.Builder
	for i, line := range linesOf(stream) {
		dir := "agent->client"
		if line[0] == '>' {
			dir, line = "client->agent", line[1:]
		}
		fmt.Fprintf(&b, `{"t_ms":%d,"dir":%q,"msg":%s}`+"\n", i, dir, line)
	}
	return b.String()
}

// updates makes session/update notifications of what begins with ~, and
// completes the frame of all others.
func updates(stream string) string {
	var b strings.Builder
	for _, line := range linesOf(stream) {
		text, to := string(line), ""
		if text[0] == '>' {
			text, to = text[1:], ">"
		}
		if text[0] == '~' {
			text = `{"method":"session/update","params":{"sessionId":"s","update":` + text[1:] + `}}`
		}
		fmt.Fprintf(&b, "%s{\"jsonrpc\":\"2.0\",%s\n", to, text[1:])
	}
	return b.String()
}

func TestACP(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a turn of version 1", `
			>{"id":0,"method":"initialize","params":{"protocolVersion":1}}
			{"id":0,"result":{"protocolVersion":1,"agentCapabilities":{}}}
			>{"id":1,"method":"session/new","params":{"cwd":"/w","mcpServers":[]}}
			{"id":1,"result":{"sessionId":"s","models":{"currentModelId":"m"}}}
			~{"sessionUpdate":"available_commands_update","availableCommands":[]}
			>{"id":2,"method":"session/prompt","params":{"sessionId":"s","prompt":[{"type":"text","text":"a"},{"type":"image","data":"AA=="},{"type":"text","text":"b"}]}}
			~{"sessionUpdate":"agent_thought_chunk","content":{"type":"text","text":"hm"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x\ud83d"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"\ude00"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"image","data":"AA=="}}
			~{"sessionUpdate":"plan","entries":[{"content":"p","status":"in_progress"},{"content":"q","status":"completed"},{"content":"r","status":"new"}]}
			~{"sessionUpdate":"agent_message_chunk","messageId":"mm","content":{"type":"text","text":"named"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"again"}}
			{"id":2,"result":{"stopReason":"end_turn","usage":{"inputTokens":3.0}}}
		`, `
			4 session_init - {"sessionId":"s","model":"m","cwd":"/w"}
			6 prompt t1 {"text":"a\nb"}
			7 turn_start t1 {"agent":"acp"}
			7 thinking_delta t1 {"text":"hm","block":"block-1"}
			8 text_delta t1 {"text":"x\ud83d","block":"block-2"}
			9 text_delta t1 {"text":"\ude00","block":"block-2"}
			11 plan t1 {"items":[{"text":"p","state":"active"},{"text":"q","state":"done"},{"text":"r","state":"pending"}]}
			12 text_delta t1 {"text":"named","block":"mm"}
			13 text_delta t1 {"text":"again","block":"block-3"}
			14 turn_end t1 {"success":true,"reason":"done","usage":{"inputTokens":3.0}}
		`},
		{"only the answer to the prompt ends a turn, and ids of both sides are two things", `
			>{"id":1,"method":"session/prompt","params":{"prompt":[{"type":"text","text":"a"}]}}
			>{"id":2,"method":"session/set_mode","params":{}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x"}}
			{"id":2,"result":{"stopReason":"end_turn","sessionId":"other"}}
			>{"id":3,"method":"session/list"}
			{"id":3,"error":{"code":-32601,"message":"no list"}}
			{"id":1,"method":"fs/read_text_file","params":{}}
			>{"id":1,"result":{"stopReason":"end_turn","content":"c"}}
			{"id":1,"result":{"stopReason":"end_turn"}}
		`, `
			1 prompt t1 {"text":"a"}
			3 turn_start t1 {"agent":"acp"}
			3 session_init t1 {"sessionId":"s"}
			3 text_delta t1 {"text":"x","block":"block-1"}
			6 error t1 {"error":"no list","code":"-32601"}
			9 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"every other reason is no success", `
			>{"id":1,"method":"session/prompt","params":{"prompt":[]}}
			{"id":1,"result":{"stopReason":"refusal"}}
			>{"id":2,"method":"session/prompt","params":{"prompt":[]}}
			{"id":2,"result":{"stopReason":"max_tokens"}}
			>{"id":3,"method":"session/prompt","params":{"prompt":[]}}
			{"id":3,"result":{"stopReason":"max_turn_requests"}}
			>{"id":4,"method":"session/prompt","params":{"prompt":[]}}
			{"id":4,"error":{"code":-32000,"message":"quota"}}
			>{"id":5,"method":"session/prompt","params":{"prompt":[]}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x"}}
			>{"method":"session/cancel","params":{"sessionId":"s"}}
			{"id":5,"result":{"stopReason":"cancelled"}}
			>{"id":"6","method":"session/prompt","params":{"prompt":[]}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"y"}}
			>{"method":"$/cancel_request","params":{"requestId":6}}
			>{"method":"$/cancel_request","params":{"requestId":"6"}}
			{"id":"6","error":{"code":-32800,"message":"cancelled"}}
		`, `
			1 prompt t1 {"text":""}
			2 turn_start t1 {"agent":"acp"}
			2 turn_end t1 {"success":false,"reason":"error","error":"refusal"}
			3 prompt t2 {"text":""}
			4 turn_start t2 {"agent":"acp"}
			4 turn_end t2 {"success":false,"reason":"error","error":"max_tokens"}
			5 prompt t3 {"text":""}
			6 turn_start t3 {"agent":"acp"}
			6 turn_end t3 {"success":false,"reason":"error","error":"max_turn_requests"}
			7 prompt t4 {"text":""}
			8 turn_start t4 {"agent":"acp"}
			8 turn_end t4 {"success":false,"reason":"error","error":"quota"}
			9 prompt t5 {"text":""}
			10 turn_start t5 {"agent":"acp"}
			10 session_init t5 {"sessionId":"s"}
			10 text_delta t5 {"text":"x","block":"block-1"}
			11 stop_turn t5 {}
			12 turn_end t5 {"success":false,"reason":"stopped"}
			13 prompt t6 {"text":""}
			14 turn_start t6 {"agent":"acp"}
			14 text_delta t6 {"text":"y","block":"block-2"}
			16 stop_turn t6 {}
			17 turn_end t6 {"success":false,"reason":"stopped","error":"cancelled"}
		`},
		{"a tool call is told as it becomes known, and its end once", `
			~{"sessionUpdate":"tool_call","toolCallId":"c1","title":"Terminal","kind":"execute","status":"pending","rawInput":{}}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"in_progress"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","title":"ls","rawInput":{"command": "ls"}}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","title":"list","content":[{"type":"content","content":{"type":"text","text":"a"}}]}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","content":[{"type":"content","content":{"type":"text","text":"a"}},{"type":"content","content":{"type":"text","text":"b"}}]}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"completed"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"completed"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"failed","rawOutput":{"exit":1}}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c2","name":"read_file","kind":"read","status":"failed","content":[{"type":"terminal","terminalId":"t"}],"rawInput":{"p":1}}
			~{"sessionUpdate":"tool_call","toolCallId":"c3","kind":"other"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c3","kind":"edit","locations":[{"path":"p"}],"content":[{"type":"diff","path":"p","newText":"n"}]}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c3","content":null}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c3","status":"completed","title":"at last","rawOutput":"raw","rawInput":[1]}
			~{"sessionUpdate":"tool_call","toolCallId":"c4","kind":"read","title":"before"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c4","status":"completed","title":"after"}
			~{"sessionUpdate":"tool_call","title":"no id"}
			{"id":9,"result":{"stopReason":"end_turn"}}
		`, `
			1 turn_start t1 {"agent":"acp"}
			1 session_init t1 {"sessionId":"s"}
			1 tool_start t1 {"id":"c1","name":"execute","input":{"title":"Terminal"}}
			3 tool_start t1 {"id":"c1","name":"execute","input":{"command": "ls"}}
			6 tool_result t1 {"id":"c1","name":"execute","output":"a\nb"}
			8 tool_result t1 {"id":"c1","name":"execute","output":{"exit":1},"isError":true}
			9 tool_start t1 {"id":"c2","name":"read_file","input":{"p":1}}
			9 tool_result t1 {"id":"c2","name":"read_file","output":[{"type":"terminal","terminalId":"t"}],"isError":true}
			10 tool_start t1 {"id":"c3","name":"tool"}
			11 tool_start t1 {"id":"c3","name":"edit","input":{"locations":[{"path":"p"}],"content":[{"type":"diff","path":"p","newText":"n"}]}}
			12 tool_start t1 {"id":"c3","name":"edit","input":{"locations":[{"path":"p"}]}}
			13 tool_start t1 {"id":"c3","name":"edit","input":[1]}
			13 tool_result t1 {"id":"c3","name":"edit","output":"raw"}
			14 tool_start t1 {"id":"c4","name":"read","input":{"title":"before"}}
			15 tool_result t1 {"id":"c4","name":"read","output":""}
			17 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"questions and their answers", `
			{"id":0,"method":"session/request_permission","params":{"sessionId":"s","options":[{"optionId":"a","name":"Always","kind":"allow_always"},{"optionId":"n","name":"","kind":"reject_once"}],"toolCall":{"toolCallId":"c1","title":"rm","kind":"execute"}}}
			>{"id":7,"result":{"outcome":{"outcome":"selected","optionId":"n"}}}
			>{"id":0,"result":{"outcome":{"outcome":"selected","optionId":"a"}}}
			>{"id":0,"result":{"outcome":{"outcome":"selected","optionId":"n"}}}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c2","rawInput":{"x":1},"kind":"fetch"}
			{"id":"q2","method":"session/request_permission","params":{"options":[{"optionId":"n","name":"No","kind":"reject_always"}],"toolCall":{"toolCallId":"c2"}}}
			>{"id":"q2","result":{"outcome":{"outcome":"selected","optionId":"n"}}}
			{"id":3,"method":"session/request_permission","params":{"title":"Run it?","description":"d","options":[],"subject":{"type":"command","command":"ls -l","cwd":"/w"}}}
			>{"id":3,"result":{"outcome":{"outcome":"cancelled"}}}
			{"id":4,"method":"session/request_permission","params":{"title":"Sure?","options":[{"optionId":"_x","name":"Maybe","kind":"_other"}]}}
			>{"id":4,"result":{"outcome":{"outcome":"selected","optionId":"_x"}}}
			{"id":5,"method":"session/request_permission","params":{"title":"Sure?","options":[]}}
			>{"id":5,"error":{"code":-32603,"message":"the client is closing"}}
			{"id":6,"method":"session/request_permission","params":{"subject":{"type":"tool_call","toolCall":{"toolCallId":"c1"}},"options":[]}}
			{"method":"$/cancel_request","params":{"requestId":6}}
			>{"id":6,"result":{"outcome":{"outcome":"selected","optionId":"a"}}}
		`, `
			1 turn_start t1 {"agent":"acp"}
			1 tool_start t1 {"id":"c1","name":"execute","input":{"title":"rm"}}
			1 permission_request t1 {"requestId":"0","tool":"execute","input":{"title":"rm"},"options":[{"id":"a","label":"Always","kind":"allow_always"},{"id":"n","label":"n","kind":"reject_once"}]}
			3 permission_response t1 {"requestId":"0","allow":true,"option":"a"}
			5 session_init t1 {"sessionId":"s"}
			5 tool_start t1 {"id":"c2","name":"fetch","input":{"x":1}}
			6 permission_request t1 {"requestId":"q2","tool":"fetch","input":{"x":1},"options":[{"id":"n","label":"No","kind":"reject_always"}]}
			7 permission_response t1 {"requestId":"q2","allow":false,"option":"n"}
			8 permission_request t1 {"requestId":"3","tool":"execute","input":{"command":"ls -l","cwd":"/w"}}
			9 permission_response t1 {"requestId":"3","allow":false,"message":"cancelled"}
			10 permission_request t1 {"requestId":"4","tool":"tool","input":{"title":"Sure?"},"options":[{"id":"_x","label":"Maybe","kind":"_other"}]}
			11 permission_response t1 {"requestId":"4","allow":true,"option":"_x"}
			12 permission_request t1 {"requestId":"5","tool":"tool","input":{"title":"Sure?"}}
			13 permission_response t1 {"requestId":"5","allow":false,"message":"the client is closing"}
			14 permission_request t1 {"requestId":"6","tool":"execute","input":{"title":"rm"}}
			15 permission_response t1 {"requestId":"6","allow":false,"message":"the agent took the question back","by":"agent"}
			exit turn_end t1 {"success":false,"reason":"exit","error":"the stream is over"}
		`},
		{"what is said again of a session that is loaded does not happen now", `
			>{"id":1,"method":"session/load","params":{"sessionId":"s","cwd":"/w"}}
			~{"sessionUpdate":"user_message_chunk","content":{"type":"text","text":"old"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"old"}}
			~{"sessionUpdate":"tool_call","toolCallId":"c","status":"completed"}
			{"id":1,"result":{"modes":{}}}
			>{"id":2,"method":"session/prompt","params":{"prompt":[{"type":"text","text":"a"}]}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"new"}}
			{"id":2,"result":{"stopReason":"end_turn"}}
		`, `
			5 session_init - {"sessionId":"s","cwd":"/w"}
			6 prompt t1 {"text":"a"}
			7 turn_start t1 {"agent":"acp"}
			7 text_delta t1 {"text":"new","block":"block-1"}
			8 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a turn of version 2", `
			>{"id":1,"method":"session/prompt","params":{"sessionId":"s","prompt":[{"type":"text","text":"a"}]}}
			{"id":1,"result":{"messageId":"u1"}}
			~{"sessionUpdate":"state_update","state":"idle","stopReason":"end_turn"}
			~{"sessionUpdate":"user_message","messageId":"u1","content":[{"type":"text","text":"a"}]}
			~{"sessionUpdate":"state_update","state":"running"}
			~{"sessionUpdate":"agent_thought","messageId":"m0","content":[{"type":"text","text":"th"}]}
			~{"sessionUpdate":"agent_message_chunk","messageId":"m1","content":{"type":"text","text":"yz"}}
			~{"sessionUpdate":"agent_message","messageId":"m1"}
			~{"sessionUpdate":"agent_message","messageId":"m1","content":[{"type":"text","text":"y"},{"type":"text","text":"z"}]}
			~{"sessionUpdate":"agent_message","messageId":"m3","content":null}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c","kind":"read","status":"pending"}
			~{"sessionUpdate":"tool_call_content_chunk","toolCallId":"c","content":{"type":"content","content":{"type":"text","text":"1"}}}
			~{"sessionUpdate":"tool_call_content_chunk","toolCallId":"c","content":{"type":"content","content":{"type":"text","text":"2"}}}
			~{"sessionUpdate":"plan_update","plan":{"type":"items","planId":"p","entries":[{"content":"e","status":"pending"}]}}
			~{"sessionUpdate":"plan_update","plan":{"type":"_own","planId":"p"}}
			~{"sessionUpdate":"state_update","state":"requires_action"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"c","status":"completed"}
			~{"sessionUpdate":"state_update","state":"idle","stopReason":"end_turn"}
			~{"sessionUpdate":"tool_call_update","toolCallId":"late","kind":"read","status":"completed"}
			~{"sessionUpdate":"state_update","state":"idle","stopReason":"end_turn"}
			~{"sessionUpdate":"user_message","messageId":"u1","content":[{"type":"text","text":"a"}]}
			~{"sessionUpdate":"state_update","state":"running"}
			~{"sessionUpdate":"state_update","state":"idle","stopReason":"error","error":{"code":1,"message":"broken"}}
			~{"sessionUpdate":"state_update","state":"running"}
			~{"sessionUpdate":"state_update","state":"idle"}
		`, `
			1 prompt t1 {"text":"a"}
			3 session_init - {"sessionId":"s"}
			5 turn_start t1 {"agent":"acp"}
			6 thinking t1 {"text":"th","block":"m0"}
			7 text_delta t1 {"text":"yz","block":"m1"}
			9 text t1 {"text":"yz","block":"m1"}
			10 text t1 {"text":"","block":"m3"}
			11 tool_start t1 {"id":"c","name":"read"}
			14 plan t1 {"items":[{"text":"e","state":"pending"}]}
			17 tool_result t1 {"id":"c","name":"read","output":"1\n2"}
			18 turn_end t1 {"success":true,"reason":"done"}
			19 tool_start - {"id":"late","name":"read"}
			19 tool_result - {"id":"late","name":"read","output":""}
			22 turn_start t2 {"agent":"acp"}
			23 turn_end t2 {"success":false,"reason":"error","error":"broken"}
			24 turn_start t3 {"agent":"acp"}
			25 turn_end t3 {"success":true,"reason":"done"}
		`},
		{"the cost of a turn is what the session's has grown", `
			>{"id":1,"method":"session/new","params":{"cwd":"/w"}}
			{"id":1,"result":{"sessionId":"s","configOptions":[{"id":"m","category":"model","currentValue":"big"}]}}
			>{"id":2,"method":"session/prompt","params":{"prompt":[]}}
			~{"sessionUpdate":"usage_update","used":10,"size":200,"cost":{"amount":0.1,"currency":"USD"}}
			~{"sessionUpdate":"usage_update","used":20,"size":200,"cost":{"amount":0.3,"currency":"USD"}}
			{"id":2,"result":{"stopReason":"end_turn"}}
			~{"sessionUpdate":"usage_update","used":20,"size":200,"cost":{"amount":0.3,"currency":"EUR"}}
			>{"id":3,"method":"session/prompt","params":{"prompt":[]}}
			~{"sessionUpdate":"usage_update","used":30,"size":200,"cost":{"amount":0.4,"currency":"USD"}}
			{"id":3,"result":{"stopReason":"end_turn"}}
			>{"id":4,"method":"session/prompt","params":{"prompt":[]}}
			{"id":4,"result":{"stopReason":"end_turn"}}
		`, `
			2 session_init - {"sessionId":"s","model":"big","cwd":"/w"}
			3 prompt t1 {"text":""}
			4 usage - {"used":10,"size":200,"costUsd":0.1}
			5 usage - {"used":20,"size":200,"costUsd":0.3}
			6 turn_start t1 {"agent":"acp"}
			6 turn_end t1 {"success":true,"reason":"done","costUsd":0.3}
			7 usage - {"used":20,"size":200}
			8 prompt t2 {"text":""}
			9 usage - {"used":30,"size":200,"costUsd":0.1}
			10 turn_start t2 {"agent":"acp"}
			10 turn_end t2 {"success":true,"reason":"done","costUsd":0.1}
			11 prompt t3 {"text":""}
			12 turn_start t3 {"agent":"acp"}
			12 turn_end t3 {"success":true,"reason":"done"}
		`},
		{"notices", `
			~{"sessionUpdate":"notice","severity":"warning","title":"slow","description":"very"}
			~{"sessionUpdate":"notice","severity":"info","title":"hello"}
			~{"sessionUpdate":"notice","severity":"error","title":"bad"}
		`, `
			1 session_init - {"sessionId":"s"}
			1 error - {"error":"slow: very","code":"warning","fatal":false}
			3 error - {"error":"bad","code":"error"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatACP, twoWay(updates(c.stream)), c.want) })
	}
}

// TestACPAlone has the lines of an agent without those of its client, as a
// runner has.
func TestACPAlone(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"answers are understood by what they hold", `
			{"id":0,"result":{"protocolVersion":1}}
			{"id":1,"error":{"code":-32000,"message":"log in"}}
			{"id":2,"result":{"sessionId":"s","models":{"currentModelId":"m"}}}
			~{"sessionUpdate":"user_message_chunk","content":{"type":"text","text":"what "}}
			~{"sessionUpdate":"user_message_chunk","content":{"type":"text","text":"I say"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x"}}
			{"id":3,"result":{}}
			{"id":4,"result":{"stopReason":"end_turn","_meta":{"quota":{"token_count":{"input_tokens":3}}}}}
			{"id":5,"error":{"code":-32603}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"y"}}
			{"id":6,"error":{"code":-32603,"message":"broken"}}
			~{"sessionUpdate":"usage_update","cost":{"amount":0.25}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"z"}}
			{"id":7,"result":{"stopReason":"cancelled"}}
		`, `
			2 error - {"error":"log in","code":"-32000"}
			3 session_init - {"sessionId":"s","model":"m"}
			6 turn_start t1 {"agent":"acp"}
			6 prompt t1 {"text":"what I say"}
			6 text_delta t1 {"text":"x","block":"block-1"}
			8 turn_end t1 {"success":true,"reason":"done","usage":{"input_tokens":3}}
			9 error - {"error":"the agent refused a request, code -32603","code":"-32603"}
			10 turn_start t2 {"agent":"acp"}
			10 text_delta t2 {"text":"y","block":"block-2"}
			11 error t2 {"error":"broken","code":"-32603"}
			11 turn_end t2 {"success":false,"reason":"error","error":"broken"}
			12 usage - {"costUsd":0.25}
			13 turn_start t3 {"agent":"acp"}
			13 text_delta t3 {"text":"z","block":"block-3"}
			14 turn_end t3 {"success":false,"reason":"stopped","costUsd":0.25}
		`},
		{"a session that is loaded is known by the user's words", `
			{"id":0,"result":{"protocolVersion":1}}
			~{"sessionUpdate":"available_commands_update"}
			~{"sessionUpdate":"user_message_chunk","content":{"type":"text","text":"old"}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"old"}}
			{"id":1,"result":{}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"new"}}
			{"id":2,"result":{"stopReason":"end_turn"}}
		`, `
			6 turn_start t1 {"agent":"acp"}
			6 session_init t1 {"sessionId":"s"}
			6 text_delta t1 {"text":"new","block":"block-1"}
			7 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"one that goes on without them is not", `
			{"id":0,"result":{"protocolVersion":1}}
			{"id":1,"result":{}}
			~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"new"}}
			{"id":2,"result":{"stopReason":"end_turn"}}
		`, `
			3 turn_start t1 {"agent":"acp"}
			3 text_delta t1 {"text":"new","block":"block-1"}
			4 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"prompts of version 2 are told by the agent", `
			~{"sessionUpdate":"user_message","messageId":"u1","content":[{"type":"text","text":"a"}]}
			~{"sessionUpdate":"state_update","state":"running"}
			~{"sessionUpdate":"user_message","messageId":"u1","content":[{"type":"text","text":"a"}]}
			~{"sessionUpdate":"user_message_chunk","messageId":"u2","content":{"type":"text","text":"b"}}
			~{"sessionUpdate":"user_message_chunk","messageId":"u3","content":{"type":"text","text":"c"}}
			~{"sessionUpdate":"state_update","state":"idle","stopReason":"max_tokens"}
		`, `
			1 session_init - {"sessionId":"s"}
			1 prompt t1 {"text":"a"}
			2 turn_start t1 {"agent":"acp"}
			5 prompt t1 {"text":"b"}
			6 prompt t1 {"text":"c"}
			6 turn_end t1 {"success":false,"reason":"error","error":"max_tokens"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) { checkStream(t, FormatACP, updates(c.stream), c.want) })
	}
}

func TestACPUnknown(t *testing.T) {
	r := checkStream(t, FormatACP, twoWay(updates(`
		{"method":"_own/thing","params":{}}
		>{"id":1,"method":"_own/thing"}
		{"id":1,"result":{}}
		{"method":"session/update","params":{"update":{"sessionUpdate":"_new"}}}
		{"id":2,"method":"terminal/create","params":{}}
		>{"id":2,"result":{}}
		{"id":3,"method":"session/request_permission","params":{"options":{}}}
		{"id":"`+strings.Repeat("x", 300)+`","method":"session/request_permission","params":{"options":[]}}
	`)), `
		7 turn_start t1 {"agent":"acp"}
		7 permission_request t1 {"requestId":"3","tool":"tool","input":{}}
		exit turn_end t1 {"success":false,"reason":"exit","error":"the stream is over"}
	`)
	checkUnknown(t, r, map[string]int{"_own/thing": 2, "session/update/_new": 1})
}

// TestACPUnanswerable: a question that nobody could answer is not kept.
func TestACPUnanswerable(t *testing.T) {
	f := newACP(Options{}).(*acpFormat)
	for _, id := range []string{`"` + strings.Repeat("x", 300) + `"`, `"a\nb"`, `""`, `null`} {
		m := f.Read([]byte(`{"jsonrpc":"2.0","id":`+id+`,"method":"session/request_permission","params":{}}`), FromAgent)
		if len(m.Events) != 0 || len(f.asked.m) != 0 {
			t.Errorf("of the id %.20s came %d events, %d are kept", id, len(m.Events), len(f.asked.m))
		}
	}
}

func TestACPScope(t *testing.T) {
	checkScope(t, FormatACP, updates(`
		~{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x"}}
		{"id":0,"method":"session/request_permission","params":{"options":[]}}
	`), `"block":"S:block-1"`, `"requestId":"S:0"`)
}

// TestACPKeepsLittle has an agent that says more of its tool calls than is kept.
func TestACPKeepsLittle(t *testing.T) {
	long.Only(t)
	var tools acpTools
	big := strings.Repeat("x", toolBytesMax/4)
	for i := range 3 {
		o, _ := parseObject(fmt.Appendf(nil, `{"toolCallId":"c%d","title":"t","rawInput":{"big":%q}}`, i, big))
		tools.update(o)
		o, _ = parseObject(fmt.Appendf(nil, `{"toolCallId":"c%d","content":{"type":"content","content":{"type":"text","text":%q}}}`, i, big))
		tools.chunk(o)
		kept := 0
		for _, call := range tools.calls.m {
			kept += call.bytes()
		}
		if kept > toolBytesMax || kept != tools.kept {
			t.Fatalf("after %d calls %d bytes are kept, counted as %d; the limit is %d", i+1, kept, tools.kept, toolBytesMax)
		}
	}
	for i := range namesMax + 10 {
		o, _ := parseObject(fmt.Appendf(nil, `{"toolCallId":"d%d","title":"t"}`, i))
		tools.update(o)
	}
	kept := 0
	for _, call := range tools.calls.m {
		kept += call.bytes()
	}
	if len(tools.calls.m) > namesMax || kept != tools.kept {
		t.Errorf("%d calls of %d bytes are kept, counted as %d", len(tools.calls.m), kept, tools.kept)
	}
	o, _ := parseObject([]byte(`{"toolCallId":"c2","status":"completed"}`))
	if got := tools.update(o); len(got) == 0 {
		t.Error("the end of a call that was forgotten is not told")
	}
}

func BenchmarkACP(b *testing.B) { benchmarkRecording(b, "acp-v1-gemini-permissions") }
