package agent

import "github.com/konlog/konlog/store"

// opencodePart is a part of a message: its kind is said once, by the whole of
// it, and deltas only name it.
type opencodePart struct {
	typ  string // of the event of its whole
	said bool
}

// opencodeTool is how far a call was told.
type opencodeTool struct{ asked, over bool }

// part reads a part of a message as a whole, as far as it is. Older versions
// say beside it what has come since the last time.
func (f *opencodeFormat) part(m *Meaning, part object, delta []byte) {
	session := part.str("sessionID")
	switch kind := part.str("type"); kind {
	case "text":
		if f.isPrompt(part) {
			f.prompt(m, part, session)
			return
		}
		if !part.is("ignored") {
			f.text(m, part, store.TypeText, delta)
		}
	case "reasoning":
		f.text(m, part, store.TypeThinking, delta)
	case "tool":
		f.tool(m, part)
	case "step-start":
		m.Place = f.place(session)
		if m.Place == Work {
			f.fail = nil // it went on
		}
	case "step-finish":
		f.step(m, part)
	case "retry":
		m.Events = []Event{errorEvent(f.parent(session), errorText(part["error"]), "retry")}
	}
}

// isPrompt reports whether a text is the user's. Of a message that nobody has
// heard of it is told by the times: only what an agent says takes time.
func (f *opencodeFormat) isPrompt(part object) bool {
	role, known := f.roles.get(part.str("messageID"))
	if known {
		return role == "user"
	}
	return part.has("messageID") && !part.has("time")
}

// prompt reads what the user says, once. What the program adds to that is not
// theirs, and what a tool asks of its session is the tool's input.
func (f *opencodeFormat) prompt(m *Meaning, part object, session string) {
	id, text := part.str("id"), part.str("text")
	known, _ := f.parts.get(id)
	if known.said || text == "" || part.is("synthetic") || part.is("ignored") || !f.enter(m, session) {
		return
	}
	f.parts.put(id, opencodePart{typ: store.TypePrompt, said: true})
	m.Events = append(m.Events, sayPrompt(text))
}

// opencodeDeltas are the events of what is added to a whole.
var opencodeDeltas = map[string]string{store.TypeText: store.TypeTextDelta, store.TypeThinking: store.TypeThinkingDelta}

func (f *opencodeFormat) text(m *Meaning, part object, typ string, delta []byte) {
	session, id, text := part.str("sessionID"), part.str("id"), part.quoted("text")
	m.Place = f.place(session)
	p, _ := f.parts.get(id)
	before := p.said
	if delta != nil {
		text = delta
	}
	empty := len(text) <= len(`""`)
	f.parts.put(id, opencodePart{typ: typ, said: before || !empty})
	if empty && (delta != nil || !before) {
		return // there is nothing yet, and nothing that it would take the place of
	}
	if delta != nil {
		typ = opencodeDeltas[typ]
	}
	e := sayText(typ, text, id)
	e.Parent = f.parent(session)
	m.Events = []Event{e}
}

// delta reads what is added to a part. One that nobody has heard of is text.
func (f *opencodeFormat) delta(m *Meaning, p object) {
	session, id, text := p.str("sessionID"), p.str("partID"), p.quoted("delta")
	m.Place = f.place(session)
	if p.str("field") != "text" || len(text) <= len(`""`) {
		return
	}
	part, known := f.parts.get(id)
	if !known {
		part.typ = store.TypeText
	}
	typ, ok := opencodeDeltas[part.typ]
	if !ok {
		return
	}
	part.said = true
	f.parts.put(id, part)
	e := sayText(typ, text, id)
	e.Parent = f.parent(session)
	m.Events = []Event{e}
}

// tool reads a call, whose state is said whole each time.
func (f *opencodeFormat) tool(m *Meaning, part object) {
	session, id, call, name := part.str("sessionID"), part.str("id"), part.str("callID"), part.str("tool")
	m.Place = f.place(session)
	state := part.obj("state")
	if call == "" {
		return
	}
	if sub := opencodeSub(state); sub != "" {
		f.under.put(sub, call)
	}
	if id == "" {
		id = call
	}
	status := state.str("status")
	t, known := f.tools.get(id)
	if t.over {
		return
	}
	input := state.object("input")
	if status == "pending" && string(input) == "{}" {
		input = nil // it is still being written
	}
	parent := f.parent(session)
	if !known || input != nil && !t.asked {
		e := sayTool(call, name, input)
		e.Parent = parent
		m.Events = append(m.Events, e)
		t.asked = input != nil
	}
	if t.over = status == "completed" || status == "error"; t.over {
		e := sayResult(call, name, state.firstOf("output", "error"), status == "error")
		e.Parent = parent
		m.Events = append(m.Events, e)
	}
	f.tools.put(id, t)
}

// opencodeSub is the session that runs for a tool, or "".
func opencodeSub(state object) string {
	meta := state.obj("metadata")
	if id := meta.str("sessionId"); id != "" {
		return id
	}
	return meta.str("sessionID")
}

// step counts what a step has used, once.
func (f *opencodeFormat) step(m *Meaning, part object) {
	m.Place = f.place(part.str("sessionID"))
	if id := part.str("id"); id != "" {
		if counted, _ := f.steps.get(id); counted {
			return
		}
		f.steps.put(id, true)
	}
	if len(part.obj("tokens")) == 0 && part.number("cost") == "" {
		return
	}
	f.used.add(part)
	m.Events = []Event{f.used.event()}
}

// permission reads a question, in the forms of three versions.
func (f *opencodeFormat) permission(m *Meaning, p object) {
	tool := p.str("permission")
	if tool == "" {
		if tool = p.str("action"); tool == "" {
			tool = p.str("type")
		}
	}
	var b body
	b.str("title", p.str("title")).raw("patterns", p.firstOf("patterns", "resources", "pattern"))
	meta := p.obj("metadata")
	for _, name := range sortedKeys(meta) {
		if name != "title" && name != "patterns" {
			b.raw(name, meta[name])
		}
	}
	var c choices
	c.add("once", "Allow once", "allow_once")
	c.add("always", "Always allow", "allow_always")
	c.add("reject", "Reject", "reject_once")
	f.ask(m, p, c, tool, b.data())
}

// question reads what the agent asks in words.
func (f *opencodeFormat) question(m *Meaning, p object) {
	var b body
	f.ask(m, p, choices{}, "question", b.raw("questions", p["questions"]).data())
}

func (f *opencodeFormat) ask(m *Meaning, p object, c choices, tool string, input []byte) {
	id, session := label(p.str("id")), p.str("sessionID")
	if id == "" {
		return // nobody could answer it
	}
	m.Place = f.place(session)
	f.asked.put(id, session)
	e := c.ask(id, tool, input)
	e.Parent = f.parent(session)
	m.Events = []Event{e}
}

// replied reads the answer to a permission.
func (f *opencodeFormat) replied(m *Meaning, p object) {
	word := p.str("reply")
	if word == "" {
		word = p.str("response")
	}
	f.answer(m, p, word != "reject" && word != "", word)
}

// answered reads the answer to a question. What was said is in the line.
func (f *opencodeFormat) answered(m *Meaning, p object) {
	f.answer(m, p, p.has("answers"), "")
}

// answer reads that a question has its answer: of one that was asked here.
func (f *opencodeFormat) answer(m *Meaning, p object, allow bool, option string) {
	id := p.str("requestID")
	if id == "" {
		id = p.str("permissionID")
	}
	session, open := f.asked.get(id)
	if !open {
		return
	}
	f.asked.drop(id)
	e := sayAnswer(id, allow, option, "", "")
	e.Parent = f.parent(session)
	m.Events = []Event{e}
}
