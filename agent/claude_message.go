package agent

import (
	"encoding/json"
	"strings"

	"github.com/konlog/konlog/store"
)

// assistant reads a message of the model, or one block of it, as a whole.
func (f *claudeFormat) assistant(l claudeFrame) Meaning {
	message := l.obj("message")
	m := Meaning{Known: true, Kind: l.typ, Place: Work, Events: f.storedSession(l)}
	for _, block := range message.objects("content") {
		m.Events = append(m.Events, f.block(l, message.str("id"), block)...)
	}
	if code := l.id("error"); code != "" {
		text := claudeText(message["content"])
		if text == nil {
			text = textData([]byte("the model gave no answer: " + code))
		}
		var b body
		m.Events = append(m.Events, Event{Type: store.TypeError, Parent: l.parent, Data: b.raw("error", text).str("code", code).truth("fatal", false).data()})
	}
	if l.stored && l.parent == "" && endsTurn(message) {
		m.End = &End{Success: true}
	}
	return f.placed(l, m)
}

// endsTurn reports whether a message in a transcript is the model's last word.
// All the lines of a message have its stop reason, the text comes last.
func endsTurn(message object) bool {
	switch message.str("stop_reason") {
	case "end_turn", "stop_sequence", "max_tokens", "refusal":
	default:
		return false
	}
	for _, block := range message.objects("content") {
		if block.str("type") == "text" {
			return true
		}
	}
	return false
}

// block reads a block of content.
func (f *claudeFormat) block(l claudeFrame, message string, block object) []Event {
	kind := block.str("type")
	switch {
	case kind == "text":
		return f.whole(l, message, kind, store.TypeText, block["text"])
	case kind == "thinking":
		return f.whole(l, message, kind, store.TypeThinking, block["thinking"])
	case isToolUse(kind) && block.str("id") != "":
		return toolCall(l, block)
	case isToolResult(kind) && block.str("tool_use_id") != "":
		return []Event{toolResult(l, block)}
	}
	return nil
}

// whole reads a block of text. An empty one says nothing: the text is left out
// of the whole where only its deltas may be shown.
func (f *claudeFormat) whole(l claudeFrame, message, kind, typ string, text []byte) []Event {
	m := f.message(message)
	i := m.complete(kind)
	if !isString(text) || len(text) == 2 {
		return nil
	}
	if kind == "text" && l.parent == "" {
		f.texts++
	}
	var b body
	return []Event{{Type: typ, Parent: l.parent, Data: b.raw("text", text).str("block", m.name(i)).data()}}
}

// isToolUse and isToolResult take the tools that run at the model's side, which
// have names of their own, for tools.
func isToolUse(kind string) bool    { return strings.HasSuffix(kind, "tool_use") }
func isToolResult(kind string) bool { return strings.HasSuffix(kind, "tool_result") }

// toolCall reads a call with its input, and the plan that some are.
func toolCall(l claudeFrame, block object) []Event {
	name := block.str("name")
	var b body
	b.str("id", block.str("id")).str("name", name).raw("input", block["input"])
	events := []Event{{Type: store.TypeToolStart, Parent: l.parent, Data: b.data()}}
	if input := block.obj("input"); name == "TodoWrite" && input.has("todos") {
		plan := todoPlan(input)
		plan.Parent = l.parent
		events = append(events, plan)
	}
	return events
}

// todoPlan makes a plan of a to-do list.
func todoPlan(input object) Event {
	var p plan
	for _, todo := range input.objects("todos") {
		p.add(todo.str("content"), planState(todo.str("status")))
	}
	return p.event()
}

// toolResult reads what a tool gave back.
func toolResult(l claudeFrame, block object) Event {
	output := block["content"]
	if text := claudeText(output); text != nil && onlyText(output) {
		output = text
	}
	var b body
	b.str("id", block.str("tool_use_id")).raw("output", output).yes("isError", block.is("is_error"))
	return Event{Type: store.TypeToolResult, Parent: l.parent, Data: b.data()}
}

// onlyText reports whether content is a text, or nothing but blocks of text.
func onlyText(content json.RawMessage) bool {
	if isString(content) {
		return true
	}
	list := object{"content": content}
	blocks := list.objects("content")
	for _, block := range blocks {
		if block.str("type") != "text" || !isString(block["text"]) {
			return false
		}
	}
	return len(blocks) > 0 && len(blocks) == len(list.list("content"))
}

// claudeText is the text of content as a JSON string: the content itself, or
// its blocks of text one below the other; nil when it has none. The strings
// are put together as they are, so that nothing in them changes.
func claudeText(content json.RawMessage) []byte {
	if isString(content) {
		return content
	}
	var joined []byte
	for _, block := range (object{"content": content}).objects("content") {
		text := block["text"]
		if block.str("type") != "text" || !isString(text) {
			continue
		}
		if joined == nil {
			joined = append(joined, '"')
		} else {
			joined = append(joined, `\n`...)
		}
		joined = append(joined, text[1:len(text)-1]...)
	}
	if joined == nil {
		return nil
	}
	return append(joined, '"')
}

// user reads what came from the user's side: results of tools, prompts, and
// what the program puts there itself.
func (f *claudeFormat) user(l claudeFrame) Meaning {
	message := l.obj("message")
	m := Meaning{Known: true, Kind: l.typ, Events: f.storedSession(l)}
	for _, block := range message.objects("content") {
		if kind := block.str("type"); isToolResult(kind) && block.str("tool_use_id") != "" {
			m.Place = Work
			m.Events = append(m.Events, toolResult(l, block))
		}
	}
	if m.Place == Work || l.parent != "" {
		return f.placed(l, m)
	}
	text := claudeText(message["content"])
	if l.stored && wasInterrupted(text) {
		m.End = &End{Reason: "stopped", Again: true}
	}
	if f.isPrompt(l, text) {
		m.Events = append(m.Events, claudePrompt(message, text))
	}
	return m
}

// isPrompt reports whether a message of the user's side is what somebody said,
// and is said for the first time: the program repeats what it was given.
func (f *claudeFormat) isPrompt(l claudeFrame, text []byte) bool {
	if l.d == FromAgent && !l.is("isReplay") && !l.stored || l.synthetic(text) {
		return false
	}
	uuid := l.str("uuid")
	if l.d == ToAgent && uuid == "" {
		f.unnamed = min(f.unnamed+1, namesMax)
		return true
	}
	if told, _ := f.prompts.get(uuid); told && uuid != "" {
		return false
	}
	f.prompts.put(uuid, true)
	if l.d == FromAgent && f.unnamed > 0 {
		f.unnamed--
		return false
	}
	return true
}

// synthetic reports whether the program wrote the message.
func (l *claudeFrame) synthetic(text []byte) bool {
	for _, mark := range []string{"isSynthetic", "isMeta", "isCompactSummary", "isVisibleInTranscriptOnly"} {
		if l.is(mark) {
			return true
		}
	}
	if wasInterrupted(text) {
		return true
	}
	for _, tag := range []string{"task-notification>", "local-command-", "command-name>", "command-message>", "bash-", "system-reminder>"} {
		if startsWith(text, "<"+tag) && l.d == FromAgent {
			return true
		}
	}
	return false
}

// wasInterrupted reports whether the message only tells that the turn was
// stopped.
func wasInterrupted(text []byte) bool { return startsWith(text, "[Request interrupted by user") }

// startsWith reports whether a JSON string begins with that text.
func startsWith(value []byte, text string) bool {
	s := object{"s": value}.str("s")
	return strings.HasPrefix(strings.TrimSpace(s), text)
}

func claudePrompt(message object, text []byte) Event {
	if text == nil {
		text = []byte(`""`)
	}
	var images []json.RawMessage
	for _, raw := range message.list("content") {
		if block, ok := parseObject(raw); ok && block.str("type") == "image" {
			images = append(images, raw)
		}
	}
	var b body
	b.raw("text", text)
	if len(images) > 0 {
		b.raw("images", array(images))
	}
	return Event{Type: store.TypePrompt, Data: b.str("source", "user").data()}
}

// storedSession names the session of a transcript when it is another than
// before: transcripts have no init.
func (f *claudeFormat) storedSession(l claudeFrame) []Event {
	id := l.str("sessionId")
	if !l.stored || id == "" || id == f.session {
		return nil
	}
	f.session = id
	var b body
	b.str("sessionId", id).str("model", l.obj("message").str("model")).str("cwd", l.str("cwd"))
	return []Event{{Type: store.TypeSessionInit, Data: b.data()}}
}

// storedEnd reads what a transcript has after the end of a turn. Hooks that
// failed may have sent the model back to work.
func (f *claudeFormat) storedEnd(l claudeFrame) Meaning {
	m := Meaning{Known: true, Kind: l.kind()}
	if l.stored && l.parent == "" && len(l.list("hookErrors")) == 0 {
		m.End = &End{Success: true, Again: true}
	}
	return m
}
