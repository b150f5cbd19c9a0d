package agent

import (
	"encoding/json"
	"strings"

	"github.com/konlog/konlog/store"
)

// claudeFormat reads Claude Code: stream-json of both directions, and the
// lines of its transcripts on disk, which have the same messages in another
// frame and tell no end of a turn but by what is written after it.
type claudeFormat struct {
	blocks  few[*claudeMessage] // by the message's id
	current few[string]         // by parent: the message that streams
	prompts few[bool]           // uuids of the prompts that were told
	unnamed int                 // prompts without a uuid whose echo is still to come
	asked   few[bool]           // questions that nobody has answered
	tasks   few[*claudeTask]
	taskOf  few[string] // by tool call: the task that it started
	listed  map[string]bool
	costs   claudeCosts
	texts   int    // since the last result
	session string // the last session that a transcript named
}

func newClaude(Options) Format { return &claudeFormat{} }

// claudeFrame is a line with what nearly all of them have.
type claudeFrame struct {
	object
	d       Direction
	typ     string
	subtype string
	parent  string // the tool call whose sub-agent says this; or ""
	stored  bool   // a line of a transcript
}

// Read implements Format.
func (f *claudeFormat) Read(line []byte, d Direction) Meaning {
	o, _ := parseObject(line)
	l := claudeFrame{object: o, d: d, typ: o.str("type"), subtype: o.str("subtype"), parent: o.str("parent_tool_use_id")}
	if l.stored = o.has("sessionId") || o.has("parentUuid"); l.stored && o.is("isSidechain") {
		if l.parent = o.str("agentId"); l.parent == "" {
			l.parent = claudeSidechain
		}
	}
	switch l.typ {
	case "stream_event":
		return f.stream(l)
	case "assistant":
		return f.assistant(l)
	case "user":
		return f.user(l)
	case "result":
		return f.result(l)
	case "system":
		return f.system(l)
	case "control_request":
		return f.request(l)
	case "control_response":
		return f.response(l)
	case "control_cancel_request":
		return f.cancel(l)
	case "conversation_reset":
		return f.reset(l)
	case "rate_limit_event":
		return rateLimit(l)
	case "auth_status":
		return claudeError(l.typ, l.object["error"], "")
	}
	return Meaning{Known: claudeTypes[l.typ], Kind: l.kind()}
}

// claudeSidechain is the parent of what a transcript of an older version says
// of sub-agents: only that it was one of them.
const claudeSidechain = "sidechain"

func (l *claudeFrame) kind() string {
	if l.subtype == "" {
		return l.typ
	}
	return l.typ + "/" + l.subtype
}

// claudeTypes are the types that say nothing neutral: bookkeeping of the stream
// and of transcripts.
var claudeTypes = setOf(
	"keep_alive", "command_lifecycle", "tool_progress", "tool_use_summary", "prompt_suggestion", "transcript_mirror",
	"streamlined_text", "streamlined_tool_use_summary", "active_goal", "update_environment_variables",
	"file-history-snapshot", "progress", "queue-operation", "summary", "custom-title", "ai-title", "agent-name", "last-prompt",
	"attachment", "permission-mode", "mode", "pr-link", "tag",
)

// claudeSubtypes are those of system likewise.
var claudeSubtypes = setOf(
	"status", "session_state_changed", "compact_boundary", "microcompact_boundary", "thinking_tokens", "hook_started", "hook_progress", "hook_response",
	"worker_shutting_down", "notification", "informational", "post_turn_summary", "files_persisted", "elicitation_complete",
	"local_command", "local_command_output", "permission_denied", "memory_recall", "plugin_install", "commands_changed",
	"control_request_progress", "model_refusal_fallback", "stop_hook_summary", "turn_duration", "away_summary", "api_metrics",
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// system reads what the program says of itself.
func (f *claudeFormat) system(l claudeFrame) Meaning {
	switch l.subtype {
	case "init":
		var b body
		b.str("sessionId", l.str("session_id")).str("model", l.str("model")).str("cwd", l.str("cwd")).raw("tools", l.array("tools"))
		return Meaning{Known: true, Kind: l.kind(), Place: Work, Events: []Event{{Type: store.TypeSessionInit, Data: b.data()}}}
	case "task_started", "task_progress", "task_updated", "task_notification":
		return f.task(l)
	case "background_tasks_changed":
		return f.taskList(l)
	case "api_retry":
		return apiRetry(l)
	case "api_error", "mirror_error":
		return claudeError(l.kind(), l.object["error"], l.subtype)
	case "session_writes_lost", "model_refusal_no_fallback":
		return claudeError(l.kind(), l.firstOf("error", "message", "content"), l.subtype)
	case "stop_hook_summary", "turn_duration":
		return f.storedEnd(l)
	}
	return Meaning{Known: claudeSubtypes[l.subtype], Kind: l.kind()}
}

// reset reads that the conversation goes on as an empty one of another name.
func (f *claudeFormat) reset(l claudeFrame) Meaning {
	f.costs = claudeCosts{}
	m := Meaning{Known: true, Kind: l.kind()}
	if id := l.str("new_conversation_id"); id != "" {
		var b body
		m.Events = []Event{{Type: store.TypeSessionInit, Data: b.str("sessionId", id).data()}}
	}
	return m
}

// array is an array as it is, or nothing.
func (l *claudeFrame) array(name string) []byte {
	if v := l.object[name]; len(v) > 0 && v[0] == '[' {
		return v
	}
	return nil
}

// claudeError is trouble that does not end the turn. Without words for it the
// code has to do; without that there was none.
func claudeError(kind string, value json.RawMessage, code string) Meaning {
	m := Meaning{Known: true, Kind: kind}
	text := errorText(value)
	if text == "" {
		text = strings.ReplaceAll(code, "_", " ")
	}
	if text != "" {
		m.Events = []Event{errorEvent("", text, code)}
	}
	return m
}

func errorEvent(parent, text, code string) Event {
	var b body
	return Event{Type: store.TypeError, Parent: parent, Data: b.text("error", text).str("code", code).truth("fatal", false).data()}
}

// apiRetry reads that a request to the model failed and is made again.
func apiRetry(l claudeFrame) Meaning {
	text := "a request to the model failed"
	if s := errorText(l.object["error"]); s != "" {
		text += ": " + s
	}
	if n := l.number("attempt"); n != "" {
		text += "; attempt " + string(n)
		if most := l.number("max_retries"); most != "" {
			text += " of " + string(most)
		}
	}
	return Meaning{Known: true, Kind: l.kind(), Events: []Event{errorEvent("", text, l.id("error_status"))}}
}

// rateLimit reads how much may still be asked of the model. Only a refusal is
// an error.
func rateLimit(l claudeFrame) Meaning {
	m := Meaning{Known: true, Kind: l.typ}
	if info := l.obj("rate_limit_info"); info.str("status") == "rejected" {
		text := "the rate limit is reached"
		if limit := info.str("rateLimitType"); limit != "" {
			text += " (" + limit + ")"
		}
		m.Events = []Event{errorEvent("", text, "rate_limit")}
	}
	return m
}
