package agent

import "github.com/konlog/konlog/store"

// request reads a question of one side to the other. Of the agent's only the
// one for leave to use a tool is for a person; of the host's only the one to
// stop is news.
func (f *claudeFormat) request(l claudeFrame) Meaning {
	r := l.obj("request")
	subtype, id := r.str("subtype"), l.str("request_id")
	m := Meaning{Known: true, Kind: l.typ + "/" + subtype}
	switch {
	case l.d == ToAgent && subtype == "interrupt":
		m.Events = []Event{{Type: store.TypeStopTurn, Data: []byte("{}")}}
	case l.d == FromAgent && subtype == "can_use_tool" && id != "":
		f.asked.put(id, true)
		var b body
		b.str("requestId", id).str("tool", r.str("tool_name")).raw("input", r["input"]).str("toolUseId", r.str("tool_use_id"))
		m.Events = []Event{{Type: store.TypePermissionRequest, Data: b.data()}}
	}
	return m
}

// response reads an answer. The agent repeats those that it was given, which
// is no second answer.
func (f *claudeFormat) response(l claudeFrame) Meaning {
	r := l.obj("response")
	subtype, id := r.str("subtype"), r.str("request_id")
	m := Meaning{Known: true, Kind: l.typ + "/" + subtype}
	open, _ := f.asked.get(id)
	answer := r.obj("response")
	switch {
	case l.d == FromAgent:
		if text := errorText(r["error"]); subtype == "error" && text != "" {
			m.Events = []Event{errorEvent("", text, "control_request")}
		}
	case id == "" || !open && !answer.has("behavior"): // an answer to another kind of question
	default:
		f.asked.drop(id)
		allow, message := answer.str("behavior") == "allow", answer.str("message")
		if subtype == "error" {
			allow, message = false, errorText(r["error"])
		}
		var b body
		b.str("requestId", id).truth("allow", allow).raw("updatedInput", answer["updatedInput"]).str("message", message)
		m.Events = []Event{{Type: store.TypePermissionResponse, Data: b.data()}}
	}
	return m
}

// cancel reads that a question needs no answer any more.
func (f *claudeFormat) cancel(l claudeFrame) Meaning {
	m := Meaning{Known: true, Kind: l.typ}
	id := l.str("request_id")
	if open, _ := f.asked.get(id); open && l.d == FromAgent {
		f.asked.drop(id)
		var b body
		b.str("requestId", id).truth("allow", false).str("message", "the agent took the question back").str("by", "agent")
		m.Events = []Event{{Type: store.TypePermissionResponse, Data: b.data()}}
	}
	return m
}
