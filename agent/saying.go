package agent

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"github.com/konlog/konlog/store"
)

// scoped makes an id that an agent counts anew in every process one that is
// told apart in the session (Options.Scope).
func scoped(scope, id string) string {
	if scope == "" || id == "" {
		return id
	}
	return scope + ":" + id
}

// label is an id that can stand where the log bounds ids: what cannot is "".
func label(id string) string {
	if len(id) > store.ParentBytesMax || strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return ""
	}
	return id
}

// unnamed names the blocks of agents that do not: a block goes on until
// something else is said.
type unnamed struct {
	scope string
	n     int
	kind  string // of the open block, or ""
}

func (u *unnamed) block(kind string) string {
	if u.kind != kind {
		u.n++
		u.kind = kind
	}
	return scoped(u.scope, "block-"+strconv.Itoa(u.n))
}

// close ends the block.
func (u *unnamed) close() { u.kind = "" }

// sayText is an event of a block. text is a JSON string as the agent wrote it:
// an agent may split a character between two escapes, and only its own bytes,
// joined again, give that back.
func sayText(typ string, text []byte, block string) Event {
	var b body
	return Event{Type: typ, Data: b.raw("text", text).str("block", block).data()}
}

// sayTool is a tool_start. Without an input it is not yet known.
func sayTool(id, name string, input []byte) Event {
	var b body
	return Event{Type: store.TypeToolStart, Data: b.text("id", id).text("name", name).raw("input", input).data()}
}

// sayResult is a tool_result. A tool that gave nothing has the output "".
func sayResult(id, name string, output []byte, failed bool) Event {
	if len(output) == 0 || string(output) == "null" {
		output = []byte(`""`)
	}
	var b body
	b.text("id", id).str("name", name).raw("output", output)
	return Event{Type: store.TypeToolResult, Data: b.yes("isError", failed).data()}
}

// sayError is an error of which nobody says whether the turn will end for it.
func sayError(parent, text, code string) Event {
	var b body
	return Event{Type: store.TypeError, Parent: parent, Data: b.text("error", text).str("code", code).data()}
}

// sayTrouble is an error or a warning; a warning is never fatal.
func sayTrouble(text, severity string) Event {
	if severity == "warning" {
		return errorEvent("", text, severity)
	}
	return sayError("", text, severity)
}

// sayInit is a session_init.
func sayInit(session, model, cwd string) Event {
	var b body
	return Event{Type: store.TypeSessionInit, Data: b.text("sessionId", session).str("model", model).str("cwd", cwd).data()}
}

// sayPrompt is a prompt that the stream has.
func sayPrompt(text string) Event {
	var b body
	return Event{Type: store.TypePrompt, Data: b.text("text", text).data()}
}

// The states of an item of a plan.
const (
	planPending = "pending"
	planActive  = "active"
	planDone    = "done"
)

// planState is an agent's word for how far an item of its plan is.
func planState(word string) string {
	switch word {
	case "completed":
		return planDone
	case "in_progress":
		return planActive
	}
	return planPending
}

// plan collects what there is to do.
type plan struct{ items []json.RawMessage }

func (p *plan) add(text, state string) {
	var b body
	p.items = append(p.items, b.text("text", text).str("state", state).data())
}

func (p *plan) event() Event {
	var b body
	return Event{Type: store.TypePlan, Data: b.raw("items", array(p.items)).data()}
}

// array is a JSON array of the values as they are.
func array(values []json.RawMessage) []byte {
	list := []byte{'['}
	for i, v := range values {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, v...)
	}
	return append(list, ']')
}

// choices collects the ways to answer a question.
type choices struct{ options []json.RawMessage }

func (c *choices) add(id, text, kind string) {
	if text == "" {
		text = id
	}
	var b body
	c.options = append(c.options, b.text("id", id).text("label", text).str("kind", kind).data())
}

// ask is a permission_request with these ways to answer.
func (c *choices) ask(request, tool string, input []byte) Event {
	var b body
	b.text("requestId", request).str("tool", tool).raw("input", input)
	if len(c.options) > 0 {
		b.raw("options", array(c.options))
	}
	return Event{Type: store.TypePermissionRequest, Data: b.data()}
}

// sayAnswer is a permission_response. by is "" for the user's side.
func sayAnswer(request string, allow bool, option, message, by string) Event {
	var b body
	b.text("requestId", request).truth("allow", allow).str("option", option)
	return Event{Type: store.TypePermissionResponse, Data: b.str("message", message).str("by", by).data()}
}

// byAgent is who answers a question that the agent takes back.
const byAgent = "agent"

// exactNumber writes a decimal number with all its digits.
func exactNumber(r *big.Rat) json.Number {
	digits, _ := r.FloatPrec()
	return json.Number(r.FloatString(digits))
}
