package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// lines splits a text with one line of an agent per line.
func linesOf(text string) (lines [][]byte) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, []byte(line))
		}
	}
	return lines
}

// checkStream maps lines and compares what they say with want, one event per
// line, as in the golden files but without events that are only lines.
func checkStream(t *testing.T, format, stream, want string) *mapped {
	t.Helper()
	r := mapLines(linesOf(stream), MapperOptions{Format: format, Prompts: true})
	checkLines(t, r) // not checkTools: such streams may begin in the middle
	checkTurns(t, r.all())
	checkBlocks(t, r.all())
	appendAll(t, r.all())
	var got []string
	for line := range strings.Lines(r.text()) {
		line = strings.TrimSpace(line)
		if first, event, _ := strings.Cut(line, " "); first != "unknown" && !strings.HasPrefix(event, "agent ") {
			got = append(got, line)
		}
	}
	var wanted []string
	for _, line := range linesOf(want) {
		wanted = append(wanted, string(line))
	}
	if strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	return r
}

func TestClaude(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"a sub-agent works within its tool call", `
			{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"u1","name":"Task","input":{}}]}}
			{"type":"stream_event","parent_tool_use_id":"u1","event":{"type":"message_start","message":{"id":"m2"}}}
			{"type":"stream_event","event":{"type":"message_start","message":{"id":"m3"}}}
			{"type":"stream_event","parent_tool_use_id":"u1","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"in"}}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"out"}}}
			{"type":"assistant","parent_tool_use_id":"u1","message":{"id":"m2","content":[{"type":"text","text":"in"},{"type":"tool_use","id":"u2","name":"Read","input":{"p":1}}]}}
			{"type":"user","parent_tool_use_id":"u1","message":{"content":[{"type":"tool_result","tool_use_id":"u2","content":"x"}]}}
			{"type":"user","parent_tool_use_id":"u1","message":{"content":"what the sub-agent was asked"}}
			{"type":"result","is_error":false}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 tool_start t1 {"id":"u1","name":"Task","input":{}}
			4 text_delta t1 ^u1 {"text":"in","block":"m2/0"}
			5 text_delta t1 {"text":"out","block":"m3/0"}
			6 text t1 ^u1 {"text":"in","block":"m2/0"}
			6 tool_start t1 ^u1 {"id":"u2","name":"Read","input":{"p":1}}
			7 tool_result t1 ^u1 {"id":"u2","output":"x"}
			9 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a sub-agent in the background belongs to the turn that started it", `
			{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"u1","name":"Task","input":{}}]}}
			{"type":"system","subtype":"task_started","task_id":"k","tool_use_id":"u1","description":"look","is_backgrounded":true}
			{"type":"result","is_error":false}
			{"type":"assistant","parent_tool_use_id":"u1","message":{"id":"m2","content":[{"type":"text","text":"late"}]}}
			{"type":"assistant","message":{"id":"m3","content":[{"type":"text","text":"next"}]}}
			{"type":"system","subtype":"task_progress","task_id":"k","description":"reads","last_tool_name":"Read","usage":{"total_tokens":5}}
			{"type":"assistant","parent_tool_use_id":"u1","message":{"id":"m2","content":[{"type":"text","text":"later"}]}}
			{"type":"assistant","parent_tool_use_id":"nobody","message":{"id":"m4","content":[{"type":"text","text":"stray"}]}}
			{"type":"result","is_error":false,"result":"next"}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 tool_start t1 {"id":"u1","name":"Task","input":{}}
			2 task_start t1 ^u1 {"taskId":"k","title":"look"}
			3 turn_end t1 {"success":true,"reason":"done"}
			4 text t1 ^u1 {"text":"late","block":"m2/0"}
			5 turn_start t2 {"agent":"claude"}
			5 text t2 {"text":"next","block":"m3/0"}
			6 task_update t1 ^u1 {"taskId":"k","status":"reads","usage":{"total_tokens":5}}
			7 text t1 ^u1 {"text":"later","block":"m2/1"}
			8 text t2 ^nobody {"text":"stray","block":"m4/0"}
			9 turn_end t2 {"success":true,"reason":"done","fullText":"next"}
		`},
		{"tasks end once, however the frames are ordered", `
			{"type":"system","subtype":"init","session_id":"s"}
			{"type":"system","subtype":"task_started","task_id":"fore","is_backgrounded":false}
			{"type":"system","subtype":"task_updated","task_id":"fore","patch":{"status":"failed"}}
			{"type":"system","subtype":"task_notification","task_id":"fore","status":"failed"}
			{"type":"system","subtype":"task_started","task_id":"killed","is_backgrounded":true}
			{"type":"system","subtype":"task_updated","task_id":"killed","patch":{"status":"killed"}}
			{"type":"system","subtype":"task_notification","task_id":"killed","status":"stopped"}
			{"type":"system","subtype":"task_updated","task_id":"killed","patch":{"description":"too late"}}
			{"type":"system","subtype":"task_progress","task_id":"killed","summary":"too late"}
			{"type":"system","subtype":"task_started","task_id":"hidden","ambient":true}
			{"type":"system","subtype":"task_notification","task_id":"hidden","status":"completed"}
			{"type":"system","subtype":"task_started"}
			{"type":"system","subtype":"task_started","task_id":"killed","description":"once more"}
			{"type":"system","subtype":"task_updated","task_id":"killed","patch":{"status":"failed"}}
			{"type":"result","is_error":false}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 session_init t1 {"sessionId":"s"}
			2 task_start t1 {"taskId":"fore"}
			3 task_end t1 {"taskId":"fore","status":"failed","success":false}
			5 task_start t1 {"taskId":"killed"}
			6 task_end t1 {"taskId":"killed","status":"killed","success":false}
			13 task_start t1 {"taskId":"killed","title":"once more"}
			14 task_end t1 {"taskId":"killed","status":"failed","success":false}
			15 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"the list of tasks makes good for frames that did not come", `
			{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"b","description":"B"},{"task_id":"a","description":"A"},{"task_id":"h","ambient":true}]}
			{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"b","description":"B"},{"task_id":"a","description":"A"},{"task_id":"h","ambient":true},{}]}
			{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"a"}]}
			{"type":"system","subtype":"task_notification","task_id":"b","status":"failed","summary":"no luck"}
			{"type":"system","subtype":"task_notification","task_id":"b","status":"failed"}
			{"type":"system","subtype":"task_updated","task_id":"a","patch":{"status":"completed"}}
			{"type":"system","subtype":"background_tasks_changed","tasks":[]}
			{"type":"system","subtype":"task_notification","task_id":"a","status":"completed"}
		`, `
			2 task_start - {"taskId":"b","title":"B"}
			2 task_start - {"taskId":"a","title":"A"}
			3 task_end - {"taskId":"b"}
			4 task_end - {"taskId":"b","status":"failed","success":false,"summary":"no luck"}
			6 task_update - {"taskId":"a","status":"completed"}
			7 task_end - {"taskId":"a","status":"completed","success":true}
		`},
		{"a question is answered, taken back, or answered by an error", `
			{"t_ms":1,"dir":"out","msg":{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"May I?"}]}}}
			{"t_ms":2,"dir":"out","msg":{"type":"control_request","request_id":"q1","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"c":1.0},"tool_use_id":"u1"}}}
			{"t_ms":3,"dir":"in","msg":{"type":"control_response","response":{"subtype":"success","request_id":"q1","response":{"behavior":"deny","message":"no"}}}}
			{"t_ms":4,"dir":"out","msg":{"type":"control_response","response":{"subtype":"success","request_id":"q1","response":{"behavior":"deny","message":"no"}}}}
			{"t_ms":5,"dir":"out","msg":{"type":"control_cancel_request","request_id":"q1"}}
			{"t_ms":6,"dir":"out","msg":{"type":"control_request","request_id":"q2","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{}}}}
			{"t_ms":7,"dir":"in","msg":{"type":"control_cancel_request","request_id":"q2"}}
			{"t_ms":8,"dir":"out","msg":{"type":"control_cancel_request","request_id":"q2"}}
			{"t_ms":9,"dir":"out","msg":{"type":"control_request","request_id":"q3","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{}}}}
			{"t_ms":10,"dir":"in","msg":{"type":"control_response","response":{"subtype":"error","request_id":"q3","error":"nobody is there"}}}
			{"t_ms":11,"dir":"out","msg":{"type":"control_request","request_id":"h1","request":{"subtype":"hook_callback"}}}
			{"t_ms":12,"dir":"in","msg":{"type":"control_response","response":{"subtype":"success","request_id":"h1","response":{"continue":true}}}}
			{"t_ms":13,"dir":"in","msg":{"type":"control_request","request_id":"r1","request":{"subtype":"set_model"}}}
			{"t_ms":14,"dir":"out","msg":{"type":"control_response","response":{"subtype":"error","request_id":"r1","error":"no such model"}}}
			{"t_ms":15,"dir":"out","msg":{"type":"control_request","request":{"subtype":"can_use_tool"}}}
			{"t_ms":16,"dir":"out","msg":{"type":"result","is_error":false,"result":"May I?"}}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 text t1 {"text":"May I?","block":"m/0"}
			2 permission_request t1 {"requestId":"q1","tool":"Bash","input":{"c":1.0},"toolUseId":"u1"}
			3 permission_response t1 {"requestId":"q1","allow":false,"message":"no"}
			6 permission_request t1 {"requestId":"q2","tool":"Bash","input":{}}
			8 permission_response t1 {"requestId":"q2","allow":false,"message":"the agent took the question back","by":"agent"}
			9 permission_request t1 {"requestId":"q3","tool":"Bash","input":{}}
			10 permission_response t1 {"requestId":"q3","allow":false,"message":"nobody is there"}
			14 error t1 {"error":"no such model","code":"control_request","fatal":false}
			16 turn_end t1 {"success":true,"reason":"done","fullText":"May I?"}
		`},
		{"prompts are told once, and only prompts", `
			{"t_ms":1,"dir":"in","msg":{"type":"user","uuid":"a","message":{"role":"user","content":[{"type":"text","text":"one"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"text","text":"two"}]}}}
			{"t_ms":2,"dir":"out","msg":{"type":"user","uuid":"a","isReplay":true,"message":{"role":"user","content":"one"}}}
			{"t_ms":3,"dir":"out","msg":{"type":"system","subtype":"init","session_id":"s"}}
			{"t_ms":4,"dir":"in","msg":{"type":"user","message":{"role":"user","content":"<command-name>steer"}}}
			{"t_ms":5,"dir":"out","msg":{"type":"user","uuid":"b","isReplay":true,"message":{"role":"user","content":"steer"}}}
			{"t_ms":6,"dir":"out","msg":{"type":"user","uuid":"c","isReplay":true,"message":{"role":"user","content":"from elsewhere"}}}
			{"t_ms":7,"dir":"out","msg":{"type":"user","uuid":"d","isReplay":true,"isSynthetic":true,"message":{"role":"user","content":"by the program"}}}
			{"t_ms":8,"dir":"out","msg":{"type":"user","uuid":"e","isReplay":true,"message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user for tool use]"}]}}}
			{"t_ms":9,"dir":"out","msg":{"type":"user","uuid":"f","message":{"role":"user","content":"words of a skill"}}}
			{"t_ms":10,"dir":"out","msg":{"type":"user","uuid":"g","isReplay":true,"message":{"role":"user","content":"<task-notification>done</task-notification>"}}}
			{"t_ms":11,"dir":"out","msg":{"type":"result","is_error":false}}
			{"t_ms":12,"dir":"in","msg":{"type":"user","uuid":"h","message":{"role":"user","content":[]}}}
		`, `
			1 prompt t1 {"text":"one\ntwo","images":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}],"source":"user"}
			3 turn_start t1 {"agent":"claude"}
			3 session_init t1 {"sessionId":"s"}
			4 prompt t1 {"text":"<command-name>steer","source":"user"}
			6 prompt t1 {"text":"from elsewhere","source":"user"}
			11 turn_end t1 {"success":true,"reason":"done"}
			12 prompt t2 {"text":"","source":"user"}
		`},
		{"an interrupt is for the turn that is open", `
			{"t_ms":1,"dir":"in","msg":{"type":"control_request","request_id":"r0","request":{"subtype":"interrupt"}}}
			{"t_ms":2,"dir":"out","msg":{"type":"system","subtype":"init","session_id":"s"}}
			{"t_ms":3,"dir":"out","msg":{"type":"control_request","request_id":"r1","request":{"subtype":"interrupt"}}}
			{"t_ms":4,"dir":"in","msg":{"type":"control_request","request_id":"r2","request":{"subtype":"interrupt"}}}
			{"t_ms":5,"dir":"out","msg":{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"tool_deferred","errors":["odd"]}}
		`, `
			2 turn_start t1 {"agent":"claude"}
			2 session_init t1 {"sessionId":"s"}
			4 stop_turn t1 {}
			5 turn_end t1 {"success":false,"reason":"stopped","error":"odd"}
		`},
		{"results in all their forms", `
			{"type":"result","subtype":"success","is_error":false,"result":"only words"}
			{"type":"result","subtype":"error_max_turns","is_error":true}
			{"type":"result","subtype":"error_during_execution","errors":["one",{"message":"two"},3]}
			{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529"}
			{"type":"result","subtype":"success","is_error":false,"terminal_reason":"aborted_tools","result":"half"}
			{"type":"result"}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 turn_end t1 {"success":true,"reason":"done","fullText":"only words"}
			2 turn_start t2 {"agent":"claude"}
			2 turn_end t2 {"success":false,"reason":"error","error":"error max turns"}
			3 turn_start t3 {"agent":"claude"}
			3 turn_end t3 {"success":false,"reason":"error","error":"one\ntwo"}
			4 turn_start t4 {"agent":"claude"}
			4 turn_end t4 {"success":false,"reason":"error","error":"API Error: 529"}
			5 turn_start t5 {"agent":"claude"}
			5 turn_end t5 {"success":false,"reason":"stopped"}
			6 turn_start t6 {"agent":"claude"}
			6 turn_end t6 {"success":true,"reason":"done"}
		`},
		{"troubles are errors that end nothing", `
			{"type":"system","subtype":"api_retry","attempt":2,"max_retries":10,"error_status":529,"error":"overloaded"}
			{"type":"system","subtype":"api_retry"}
			{"type":"rate_limit_event","rate_limit_info":{"status":"allowed_warning"}}
			{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour"}}
			{"type":"assistant","error":"rate_limit","message":{"id":"m","content":[{"type":"text","text":"You hit your limit"}]}}
			{"type":"assistant","error":"server_error","message":{"id":"n","content":[]}}
			{"type":"stream_event","event":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}}
			{"type":"system","subtype":"mirror_error","error":"disk full"}
			{"type":"system","subtype":"session_writes_lost"}
			{"type":"auth_status","isAuthenticating":true}
			{"type":"auth_status","error":"expired"}
			{"type":"result","is_error":true,"result":"You hit your limit"}
		`, `
			1 error - {"error":"a request to the model failed: overloaded; attempt 2 of 10","code":"529","fatal":false}
			2 error - {"error":"a request to the model failed","fatal":false}
			4 error - {"error":"the rate limit is reached (five_hour)","code":"rate_limit","fatal":false}
			5 turn_start t1 {"agent":"claude"}
			5 text t1 {"text":"You hit your limit","block":"m/0"}
			5 error t1 {"error":"You hit your limit","code":"rate_limit","fatal":false}
			6 error t1 {"error":"the model gave no answer: server_error","code":"server_error","fatal":false}
			7 error t1 {"error":"Overloaded","code":"overloaded_error","fatal":false}
			8 error t1 {"error":"disk full","code":"mirror_error","fatal":false}
			9 error t1 {"error":"session writes lost","code":"session_writes_lost","fatal":false}
			11 error t1 {"error":"expired","fatal":false}
			12 turn_end t1 {"success":false,"reason":"error","error":"You hit your limit"}
		`},
		{"what tools give back", `
			{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"a","name":"A","input":{"n": 1e2}},{"type":"server_tool_use","id":"b","name":"web_search","input":{}},{"type":"tool_use","name":"no id"}]}}
			{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x\u00e9"},{"type":"text","text":"y"}]}]}}
			{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"},{"type":"image","source":{}}],"is_error":true},{"type":"tool_result","content":"no id"}]}}
			{"type":"assistant","message":{"id":"m","content":[{"type":"web_search_tool_result","tool_use_id":"b","content":[{"type":"web_search_result","url":"u"}]}]}}
			{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"b"}]}}
			{"type":"result","is_error":false}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 tool_start t1 {"id":"a","name":"A","input":{"n": 1e2}}
			1 tool_start t1 {"id":"b","name":"web_search","input":{}}
			2 tool_result t1 {"id":"a","output":"x\u00e9\ny"}
			3 tool_result t1 {"id":"a","output":[{"type":"text","text":"x"},{"type":"image","source":{}}],"isError":true}
			4 tool_result t1 {"id":"b","output":[{"type":"web_search_result","url":"u"}]}
			5 tool_result t1 {"id":"b"}
			6 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a to-do list is a plan", `
			{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"a","name":"TodoWrite","input":{"todos":[{"content":"one","status":"completed"},{"content":"two","status":"in_progress","activeForm":"doing two"},{"content":"three","status":"pending"},{"content":"four","status":"odd"}]}}]}}
			{"type":"assistant","parent_tool_use_id":"a","message":{"id":"n","content":[{"type":"tool_use","id":"b","name":"TodoWrite","input":{"todos":[]}}]}}
			{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"c","name":"Other","input":{"todos":[]}}]}}
			{"type":"result","is_error":false}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 tool_start t1 {"id":"a","name":"TodoWrite","input":{"todos":[{"content":"one","status":"completed"},{"content":"two","status":"in_progress","activeForm":"doing two"},{"content":"three","status":"pending"},{"content":"four","status":"odd"}]}}
			1 plan t1 {"items":[{"text":"one","state":"done"},{"text":"two","state":"active"},{"text":"three","state":"pending"},{"text":"four","state":"pending"}]}
			2 tool_start t1 ^a {"id":"b","name":"TodoWrite","input":{"todos":[]}}
			2 plan t1 ^a {"items":[]}
			3 tool_start t1 {"id":"c","name":"Other","input":{"todos":[]}}
			4 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"blocks of a stream that was joined in the middle, and texts left out", `
			{"type":"stream_event","api_message_id":"m","event":{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"\ud83d"}}}
			{"type":"stream_event","api_message_id":"m","event":{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"\udc69!"}}}
			{"type":"stream_event","api_message_id":"m","event":{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}}}
			{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"\ud83d\udc69!"}]}}
			{"type":"stream_event","event":{"type":"message_start","message":{"id":"n"}}}
			{"type":"stream_event","event":{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}}
			{"type":"stream_event","event":{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}}
			{"type":"stream_event","event":{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"b"}}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}}
			{"type":"assistant","message":{"id":"n","content":[{"type":"thinking","thinking":""}]}}
			{"type":"assistant","message":{"id":"n","content":[{"type":"text","text":"a"}]}}
			{"type":"assistant","message":{"id":"n","content":[{"type":"text","text":"b"}]}}
			{"type":"assistant","message":{"content":[{"type":"text","text":"no id"}]}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":3}}}
			{"type":"stream_event","event":{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}}
			{"type":"stream_event","event":{"type":"message_start","message":{"id":"o"}}}
			{"type":"stream_event","event":{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}}
			{"type":"stream_event","event":{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}}
			{"type":"assistant","message":{"id":"o","content":[{"type":"text","text":"before its thinking"}]}}
			{"type":"assistant","message":{"id":"o","content":[{"type":"text","text":"never streamed"}]}}
			{"type":"result","is_error":false,"result":"no id"}
		`, `
			1 turn_start t1 {"agent":"claude"}
			1 text_delta t1 {"text":"\ud83d","block":"m/2"}
			2 text_delta t1 {"text":"\udc69!","block":"m/2"}
			4 text t1 {"text":"\ud83d\udc69!","block":"m/2"}
			7 thinking_delta t1 {"text":"hm","block":"n/0"}
			10 text_delta t1 {"text":"b","block":"n/2"}
			11 text_delta t1 {"text":"a","block":"n/1"}
			13 text t1 {"text":"a","block":"n/1"}
			14 text t1 {"text":"b","block":"n/2"}
			15 text t1 {"text":"no id"}
			21 text t1 {"text":"before its thinking","block":"o/1"}
			22 text t1 {"text":"never streamed","block":"o/2"}
			23 turn_end t1 {"success":true,"reason":"done"}
		`},
		{"a transcript", `
			{"type":"file-history-snapshot","messageId":"x"}
			{"type":"user","sessionId":"S","cwd":"/w","uuid":"1","message":{"role":"user","content":"How many?"}}
			{"type":"assistant","sessionId":"S","cwd":"/w","uuid":"2","message":{"model":"m","id":"a","stop_reason":"end_turn","content":[{"type":"thinking","thinking":"count"}]}}
			{"type":"assistant","sessionId":"S","cwd":"/w","uuid":"3","message":{"model":"m","id":"a","stop_reason":"end_turn","content":[{"type":"text","text":"4"}]}}
			{"type":"system","subtype":"turn_duration","sessionId":"S","uuid":"4"}
			{"type":"user","sessionId":"S","uuid":"5","message":{"role":"user","content":"Again"}}
			{"type":"assistant","sessionId":"S","uuid":"6","message":{"id":"b","stop_reason":null,"content":[{"type":"text","text":"5"}]}}
			{"type":"assistant","sessionId":"S","uuid":"6b","isSidechain":true,"agentId":"g","message":{"id":"c","stop_reason":"end_turn","content":[{"type":"text","text":"aside"}]}}
			{"type":"user","sessionId":"S","uuid":"6c","isSidechain":true,"message":{"role":"user","content":"asked of it"}}
			{"type":"system","subtype":"stop_hook_summary","sessionId":"S","hookErrors":["go on"]}
			{"type":"system","subtype":"stop_hook_summary","sessionId":"S","hookErrors":[]}
			{"type":"user","sessionId":"S","uuid":"7","isMeta":true,"message":{"role":"user","content":"caveat"}}
			{"type":"user","sessionId":"S","uuid":"8","message":{"role":"user","content":"<command-name>/exit</command-name>"}}
			{"type":"user","sessionId":"T","uuid":"9","message":{"role":"user","content":"Other"}}
			{"type":"assistant","sessionId":"T","uuid":"10","message":{"id":"d","content":[{"type":"text","text":"6"}]}}
			{"type":"user","sessionId":"T","uuid":"11","message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user]"}]}}
			{"type":"user","sessionId":"T","uuid":"12","message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user]"}]}}
		`, `
			2 session_init - {"sessionId":"S","cwd":"/w"}
			2 prompt t1 {"text":"How many?","source":"user"}
			3 turn_start t1 {"agent":"claude"}
			3 thinking t1 {"text":"count","block":"a/0"}
			4 text t1 {"text":"4","block":"a/1"}
			4 turn_end t1 {"success":true,"reason":"done"}
			6 prompt t2 {"text":"Again","source":"user"}
			7 turn_start t2 {"agent":"claude"}
			7 text t2 {"text":"5","block":"b/0"}
			8 text t2 ^g {"text":"aside","block":"c/0"}
			11 turn_end t2 {"success":true,"reason":"done"}
			14 session_init - {"sessionId":"T"}
			14 prompt t3 {"text":"Other","source":"user"}
			15 turn_start t3 {"agent":"claude"}
			15 text t3 {"text":"6","block":"d/0"}
			16 turn_end t3 {"success":false,"reason":"stopped"}
		`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := checkStream(t, FormatClaude, c.stream, c.want); len(r.unknown) > 0 {
				t.Errorf("unknown kinds: %v", r.unknown)
			}
		})
	}
}

func TestClaudeCosts(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"the models say what the turn cost", `
			{"type":"result","total_cost_usd":9.5,"model_usage_since_last_result":{"a":{"costUSD":0.1},"b":{"costUSD":0.20}},"modelUsage":{"a":{}},"usage":{"n":1}}
		`, `{"costUsd":0.3,"usage":{"n":1,"modelUsage":{"a":{"costUSD":0.1},"b":{"costUSD":0.20}}}}`},
		{"the total grows", `
			{"type":"result","total_cost_usd":0.028040000000000002,"modelUsage":{"a":{"costUSD":1}}}
			{"type":"result","total_cost_usd":0.034148000000000005,"modelUsage":{"a":{"costUSD":2}}}
		`, `{"costUsd":0.028040000000000002,"usage":{"modelUsage":{"a":{"costUSD":1}}}}
			{"costUsd":0.006108000000000003,"usage":{"modelUsageTotal":{"a":{"costUSD":2}}}}`},
		{"the total begins anew", `
			{"type":"result","total_cost_usd":2}
			{"type":"result","total_cost_usd":0.5}
			{"type":"result","total_cost_usd":0.5}
			{"type":"conversation_reset","new_conversation_id":"s2"}
			{"type":"result","total_cost_usd":0.75}
		`, `{"costUsd":2}
			{"costUsd":0.5}
			{"costUsd":0}
			{"costUsd":0.75}`},
		{"one turn does not say", `
			{"type":"result","total_cost_usd":1}
			{"type":"result"}
			{"type":"result","total_cost_usd":1.5e0}
			{"type":"result","total_cost_usd":2,"model_usage_since_last_result":{"a":{"costUSD":0.25},"b":{}}}
		`, `{"costUsd":1}
			{}
			{"costUsd":0.5}
			{"costUsd":0.5,"usage":{"modelUsage":{"a":{"costUSD":0.25},"b":{}}}}`},
		{"numbers that mean no money", `
			{"type":"result","total_cost_usd":1e999999999}
			{"type":"result","total_cost_usd":-1e-999999999}
			{"type":"result","total_cost_usd":1e21}
			{"type":"result","total_cost_usd":1e-21}
			{"type":"result","total_cost_usd":"1"}
			{"type":"result","total_cost_usd":0.00000000000000000000000000000000000000000000000000001}
		`, `{}
			{}
			{}
			{}
			{}
			{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range mapLines(linesOf(c.stream), MapperOptions{Format: FormatClaude}).all() {
				if o, _ := parseObject(d.Data); d.Type == store.TypeTurnEnd {
					var b body
					got = append(got, string(b.raw("costUsd", o["costUsd"]).raw("usage", o["usage"]).data()))
				}
			}
			var want []string
			for _, line := range linesOf(c.want) {
				want = append(want, string(line))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestClaudeOwnTurn: a turn that the program began by itself does not end the
// one that somebody asked for meanwhile, unless it answers a prompt as well.
func TestClaudeOwnTurn(t *testing.T) {
	own := `{"type":"result","is_error":false,"total_cost_usd":0.5,"usage":{"n":1},"origin":{"kind":"task-notification"}%s}`
	m := NewMapper(MapperOptions{Format: FormatClaude})
	m.Begin("asked")
	drafts, _ := m.Map(fmt.Appendf(nil, own, ""), "1")
	if len(drafts) != 1 || drafts[0].Type != store.TypeUsage || drafts[0].Turn != "asked" || string(drafts[0].Data) != `{"n":1,"costUsd":0.5}` || m.Turn() != "asked" {
		t.Fatalf("got %v, and %q is open", drafts, m.Turn())
	}
	if drafts, _ = m.Map(fmt.Appendf(nil, own, `,"user_message_uuids":["u"]`), "2"); drafts[0].Type != store.TypeTurnEnd || m.Turn() != "" {
		t.Fatalf("got %v, and %q is open", drafts, m.Turn())
	}
	if drafts, _ = m.Map(fmt.Appendf(nil, own, ""), "3"); len(drafts) != 2 || drafts[1].Type != store.TypeTurnEnd {
		t.Fatalf("got %v", drafts)
	}
}

// TestClaudeOpens: which lines open a turn.
func TestClaudeOpens(t *testing.T) {
	for line, want := range map[string]Place{
		`{"type":"system","subtype":"init"}`:                                                Work,
		`{"type":"assistant","message":{}}`:                                                 Work,
		`{"type":"stream_event","event":{"type":"message_start"}}`:                          Work,
		`{"type":"stream_event","event":{"type":"message_stop"}}`:                           Aside,
		`{"type":"stream_event","event":{"type":"message_start"},"parent_tool_use_id":"u"}`: Late,
		`{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"u"}]}}`:  Work,
		`{"type":"user","message":{"content":"[Request interrupted by user]"}}`:             Aside,
		`{"type":"keep_alive"}`:                                                             Aside,
		`{"type":"command_lifecycle"}`:                                                      Aside,
		`{"type":"system","subtype":"session_state_changed"}`:                               Aside,
		`{"type":"system","subtype":"status"}`:                                              Aside,
		`{"type":"system","subtype":"task_notification","task_id":"k"}`:                     Late,
		`{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool"}}`:  Aside,
		`{"type":"control_response","response":{"subtype":"success"}}`:                      Aside,
		`{"type":"system","subtype":"compact_boundary"}`:                                    Aside,
	} {
		m := newClaude(Options{}).Read([]byte(line), FromAgent)
		if m.Place != want || !m.Known {
			t.Errorf("%s: place %v, known %v, want place %v", line, m.Place, m.Known, want)
		}
	}
}

func TestClaudeUnknown(t *testing.T) {
	r := mapLines(linesOf(`
		{"type":"brand_new","x":1}
		{"type":"system","subtype":"brand_new"}
		{"type":"system","subtype":"brand_new"}
		{"type":"stream_event","event":{"type":"brand_new"}}
		{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"brand_new"}}}
		{"no":"type"}
		{"type":7}
	`), MapperOptions{Format: FormatClaude, Prompts: true})
	checkLines(t, r)
	want := "map[brand_new:1 other:2 stream_event/brand_new:1 stream_event/content_block_delta:1 system/brand_new:2]"
	if got := fmt.Sprint(r.unknown); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestClaudeForgets: what is kept of a stream is bounded.
func TestClaudeForgets(t *testing.T) {
	long.Only(t)
	f := newClaude(Options{}).(*claudeFormat)
	for i := range namesMax + 50 {
		for _, line := range []string{
			`{"type":"stream_event","parent_tool_use_id":"p%d","api_message_id":"m%[1]d","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}}`,
			`{"type":"stream_event","parent_tool_use_id":"p%d","event":{"type":"message_start","message":{"id":"m%[1]d"}}}`,
			`{"type":"system","subtype":"task_started","task_id":"k%d","tool_use_id":"u%[1]d"}`,
			`{"type":"control_request","request_id":"q%d","request":{"subtype":"can_use_tool"}}`,
			`{"type":"user","uuid":"u%d","isReplay":true,"message":{"content":"x"}}`,
		} {
			f.Read(fmt.Appendf(nil, line, i), FromAgent)
		}
		f.Read([]byte(`{"type":"user","message":{"content":"x"}}`), ToAgent)
	}
	for i := range claudeBlocksMax + 50 {
		f.Read(fmt.Appendf(nil, `{"type":"stream_event","api_message_id":"one","event":{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":"x"}}}`, i), FromAgent)
	}
	one := f.message("one")
	for name, n := range map[string]int{
		"messages": len(f.blocks.m), "current": len(f.current.m), "tasks": len(f.tasks.m), "tools": len(f.taskOf.m),
		"questions": len(f.asked.m), "prompts": len(f.prompts.m), "unnamed": f.unnamed, "order": len(f.blocks.order),
	} {
		if n > namesMax {
			t.Errorf("%d %s are kept", n, name)
		}
	}
	if len(one.blocks) != claudeBlocksMax {
		t.Errorf("%d blocks are kept of one message", len(one.blocks))
	}
}
