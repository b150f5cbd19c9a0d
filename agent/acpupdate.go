package agent

import (
	"strings"

	"github.com/konlog/konlog/store"
)

// acpQuiet are the updates that say nothing neutral.
var acpQuiet = setOf(
	"available_commands_update", "current_mode_update", "config_option_update", "session_info_update",
	"compaction_update", "compaction_summary_chunk", "terminal_update", "terminal_output_chunk", "plan_removed",
)

// update reads a session/update.
func (f *acpFormat) update(params object) Meaning {
	u := params.obj("update")
	kind := u.str("sessionUpdate")
	m := Meaning{Known: true, Kind: "session/update/" + kind}
	var first []Event
	if id := params.str("sessionId"); id != "" && f.session == "" && f.replay.done() {
		f.session = id // the stream began in the middle
		first = append(first, sayInit(id, "", ""))
	}
	if f.replay.has(kind) {
		return m
	}
	if kind != "user_message_chunk" && !acpQuiet[kind] {
		first = append(first, f.said.end()...)
	}
	f.read(&m, kind, u)
	if len(first) > 0 {
		m.Events = append(first, m.Events...)
	}
	return m
}

func (f *acpFormat) read(m *Meaning, kind string, u object) {
	switch kind {
	case "agent_message_chunk":
		f.chunk(m, u, store.TypeTextDelta)
	case "agent_thought_chunk":
		f.chunk(m, u, store.TypeThinkingDelta)
	case "agent_message":
		f.whole(m, u, store.TypeText)
	case "agent_thought":
		f.whole(m, u, store.TypeThinking)
	case "user_message_chunk":
		f.blocks.close()
		m.Events = f.said.chunk(u)
	case "user_message":
		f.blocks.close()
		m.Events = f.said.whole(u)
	case "tool_call", "tool_call_update":
		m.Place = f.place()
		f.blocks.close()
		m.Events = f.tools.update(u)
	case "tool_call_content_chunk":
		m.Place = f.place()
		f.tools.chunk(u)
	case "plan":
		m.Place = f.place()
		m.Events = acpPlan(u)
	case "plan_update":
		m.Place = f.place()
		m.Events = acpPlan(u.obj("plan"))
	case "state_update":
		f.state(m, u)
	case "usage_update":
		m.Events = []Event{f.usage(u)}
	case "notice":
		m.Events = acpNotice(u)
	default:
		m.Known = acpQuiet[kind]
	}
}

// place is that of what an agent does. One that tells its state says by that
// where its work begins; the rest may come from what goes on in the background.
func (f *acpFormat) place() Place {
	if f.states {
		return Aside
	}
	return Work
}

func (f *acpFormat) chunk(m *Meaning, u object, typ string) {
	m.Place = f.place()
	content := u.obj("content")
	text := content.quoted("text")
	if content.str("type") != "text" || len(text) <= len(`""`) {
		return
	}
	m.Events = []Event{sayText(typ, text, f.block(u, typ))}
}

// block is the message's own id, or else its place.
func (f *acpFormat) block(u object, typ string) string {
	if id := u.str("messageId"); id != "" {
		f.blocks.close()
		return id
	}
	return f.blocks.block(typ)
}

// whole reads a message that takes the place of what was said of it so far.
// Without content only other things about it are said.
func (f *acpFormat) whole(m *Meaning, u object, typ string) {
	m.Place = f.place()
	if id := u.str("messageId"); id != "" && u.hasKey("content") {
		f.blocks.close()
		m.Events = []Event{sayText(typ, textData([]byte(contentText(u["content"], ""))), id)}
	}
}

func acpPlan(u object) []Event {
	if !u.hasKey("entries") {
		return nil // a plan of another form
	}
	var p plan
	for _, entry := range u.objects("entries") {
		p.add(entry.str("content"), planState(entry.str("status")))
	}
	return []Event{p.event()}
}

// state reads a state_update. Idle is also said again, with the last reason, to
// a client that comes back: only where work was going on it is an end.
func (f *acpFormat) state(m *Meaning, u object) {
	f.states = true
	switch u.str("state") {
	case "running":
		m.Place = Work
		f.running = true
	case "idle":
		if !f.running {
			return
		}
		stop := u.str("stopReason")
		if stop == "" {
			stop = "end_turn" // the agent does not say more than that it is done
		}
		m.End = f.end(stop, u)
	}
}

// usage reads how full the context is, and what the session has cost.
func (f *acpFormat) usage(u object) Event {
	var b body
	b.raw("used", []byte(u.number("used"))).raw("size", []byte(u.number("size")))
	return Event{Type: store.TypeUsage, Data: b.raw("costUsd", []byte(f.cost.share(u.obj("cost")))).data()}
}

func acpNotice(u object) []Event {
	severity := u.str("severity")
	if severity != "error" && severity != "warning" {
		return nil
	}
	text := u.str("title")
	if more := u.str("description"); more != "" {
		text = strings.TrimPrefix(text+": "+more, ": ")
	}
	return []Event{sayTrouble(text, severity)}
}

// acpUser is what the user says, by the agent's telling. An agent of version 2
// repeats each prompt: that of which the client's request was seen is known.
type acpUser struct {
	echoes int
	id     string // of the message
	known  few[bool]
	open   bool // a message comes in chunks
	text   strings.Builder
}

// userTextMax bounds a message of the user that is put together.
const userTextMax = 1 << 20

// chunk collects a message that comes in pieces; one with another id ends the
// one before.
func (s *acpUser) chunk(u object) (events []Event) {
	id := u.str("messageId")
	if s.open && id != s.id {
		events = s.end()
	}
	if told, _ := s.known.get(id); told && id != "" {
		return events
	}
	s.open, s.id = true, id
	if text := u.obj("content").str("text"); s.text.Len()+len(text) <= userTextMax {
		s.text.WriteString(text)
	}
	return events
}

// end is the prompt that the chunks were, if there were any.
func (s *acpUser) end() []Event {
	if !s.open {
		return nil
	}
	text := s.text.String()
	s.open = false
	s.text.Reset()
	return s.tell(s.id, text)
}

// whole is a message at once. It may come again with other things about it.
func (s *acpUser) whole(u object) []Event {
	if !u.has("content") {
		return nil
	}
	return s.tell(u.str("messageId"), contentText(u["content"], "\n"))
}

func (s *acpUser) tell(id, text string) []Event {
	if told, _ := s.known.get(id); told && id != "" {
		return nil
	}
	s.known.put(id, true)
	if s.echoes > 0 {
		s.echoes--
		return nil
	}
	return []Event{sayPrompt(text)}
}

// acpReplay knows what an agent says again of a session that was before, when a
// client loads it: all until the answer to that. None of it happens now. Where
// the request is not seen it is known by the user's words, with which it begins,
// between the handshake and the next answer.
type acpReplay struct {
	on    bool
	begin bool // after the handshake nothing has come of the conversation yet
}

// asked: the client has asked for it.
func (r *acpReplay) asked() { r.on = true }

// begun: the agent has answered the handshake.
func (r *acpReplay) begun() { r.begin = true }

// answered: an answer of the agent has come.
func (r *acpReplay) answered() { r.on = false }

// over: the session is there.
func (r *acpReplay) over() { r.begin = false }

// done reports whether the session that updates name is one that goes on.
func (r *acpReplay) done() bool { return !r.on && !r.begin }

// has reports whether an update is of that kind.
func (r *acpReplay) has(kind string) bool {
	if r.begin && !acpQuiet[kind] {
		r.begin = false
		r.on = r.on || kind == "user_message_chunk" || kind == "user_message"
	}
	return r.on
}
