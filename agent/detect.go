package agent

import (
	"strings"
	"unicode/utf8"
)

// Detect says by the shape of a line which format it is of: "" for noise, text
// and whatever is not surely of one of them. A line that several formats might
// have is of none. Lines in the envelope of two-way recordings are told too.
func Detect(line []byte) string {
	o, ok := sniffed(line)
	if !ok {
		return ""
	}
	typ := o.str("type")
	switch {
	case o.str("jsonrpc") == "2.0":
		if isACP(o) {
			return FormatACP
		}
	case isClaude(o, typ):
		return FormatClaude
	case isCodex(o, typ):
		return FormatCodex
	case isGemini(o, typ):
		return FormatGemini
	case isOpencode(o, typ):
		return FormatOpencode
	}
	return ""
}

// sniffed is the message of a line that a format would be asked about.
func sniffed(line []byte) (o object, ok bool) {
	if len(line) == 0 || line[0] != '{' && line[0] != ' ' && line[0] != '\t' || !utf8.Valid(line) {
		return nil, false
	}
	msg, _ := unwrap(line)
	return parseObject(msg)
}

// isClaude knows lines by what the program adds to each: its session and a
// name of the line's own.
func isClaude(o object, typ string) bool {
	named := isText(o, "session_id") && o.str("uuid") != ""
	switch typ {
	case "":
		return false
	case "file-history-snapshot":
		return o.has("snapshot")
	case "control_request":
		return o.str("request_id") != "" && o.obj("request").str("subtype") != ""
	case "control_response":
		response := o.obj("response")
		return response.str("request_id") != "" && response.str("subtype") != ""
	case "control_cancel_request":
		return o.str("request_id") != ""
	case "user", "assistant":
		stream := isText(o, "session_id") && o.hasKey("parent_tool_use_id")
		stored := o.str("sessionId") != "" && o.hasKey("parentUuid")
		return o.obj("message").has("content") && (named || stream || stored)
	case "system":
		return o.str("subtype") != "" && (named || o.hasKey("parentUuid") || o.hasKey("tools"))
	}
	return named || o.str("sessionId") != "" && o.hasKey("parentUuid") && o.str("uuid") != ""
}

func isCodex(o object, typ string) bool {
	switch typ {
	case "thread.started":
		return o.str("thread_id") != ""
	case "turn.started":
		return len(o) == 1
	case "turn.completed":
		return o.obj("usage").has("input_tokens")
	case "turn.failed":
		return o.obj("error").str("message") != ""
	case "item.started", "item.updated", "item.completed":
		item := o.obj("item")
		return item.str("id") != "" && item.str("type") != ""
	}
	return false
}

// isGemini knows lines by their time, which all have, and what only they have.
func isGemini(o object, typ string) bool {
	if !isText(o, "timestamp") {
		return false
	}
	switch typ {
	case "init":
		return o.str("session_id") != ""
	case "message":
		return o.str("role") != "" && isText(o, "content")
	case "tool_use":
		return o.str("tool_id") != "" && o.str("tool_name") != ""
	case "tool_result":
		return o.str("tool_id") != "" && o.str("status") != ""
	case "error":
		return o.str("severity") != ""
	case "result":
		return o.str("status") != "" && o.has("stats")
	}
	return false
}

// isACP knows messages by what only this protocol has: JSON-RPC is spoken by
// many.
func isACP(o object) bool {
	method := o.str("method")
	switch {
	case method == "initialize":
		return o.obj("params").number("protocolVersion") != ""
	case method != "":
		return acpMethods[method] && o.obj("params").str("sessionId") != "" || method == "session/new" && o.obj("params").has("mcpServers") ||
			method == "authenticate" && o.obj("params").has("methodId")
	}
	result := o.obj("result")
	switch {
	case result.number("protocolVersion") != "": // that of others is a text
		return result.hasKey("agentCapabilities") || result.hasKey("authMethods") || result.hasKey("capabilities")
	case result.str("stopReason") != "":
		return acpStops[result.str("stopReason")]
	case result.has("outcome"):
		return acpOutcomes[result.obj("outcome").str("outcome")]
	}
	return result.str("sessionId") != ""
}

func isOpencode(o object, typ string) bool {
	if e := opencodeEvent(o); e.object("properties") != nil {
		return strings.Contains(e.str("type"), ".")
	}
	if o.str("sessionID") == "" {
		return false
	}
	switch typ {
	case "step_start", "step_finish", "text", "reasoning", "tool_use":
		return o.obj("part").str("type") != ""
	case "error":
		return o.has("error")
	}
	return false
}

// isText reports whether a member is a string, also an empty one.
func isText(o object, name string) bool { return o.quoted(name) != nil }

// LineID is the line's own name, by which it is known again however it comes:
// the uuid of Claude's lines, the id of opencode's events. It is "" where the
// format has none. What goes to the agent has other names than what comes from
// it: the echo of a prompt has the uuid of the prompt. The name is the agent's:
// any text, of any length, and with nothing that keeps it apart from other ids.
func LineID(format string, line []byte) string {
	if format != FormatClaude && format != FormatOpencode || !utf8.Valid(line) {
		return ""
	}
	msg, d := unwrap(line)
	o, _ := parseObject(msg)
	id := ""
	if format == FormatClaude {
		id = o.str("uuid")
	} else if o = opencodeEvent(o); o.object("properties") != nil {
		id = o.str("id")
	}
	if id != "" && d == ToAgent {
		return "in:" + id
	}
	return id
}
