package agent

import (
	"bytes"
	"crypto/sha256"
	"strings"
)

// acpTool is what an agent has said of a tool call: each update holds only what
// changes.
type acpTool struct {
	name      string
	title     []byte            // a string
	locations []byte            // an array
	content   []byte            // likewise
	input     []byte            // as the tool got it
	told      [sha256.Size]byte // of the input that was told last
	over      bool
}

// acpTools are the tool calls of a session.
type acpTools struct {
	calls few[*acpTool]
	kept  int // bytes that the calls hold
}

// toolBytesMax bounds what is kept of all calls together. When there is more all
// of it is forgotten: then a result that says nothing itself, and a question
// that only names its call, are without.
const toolBytesMax = 16 << 20

// keep puts a value in the place of another.
func (t *acpTools) keep(place *[]byte, value []byte) {
	t.kept += len(value) - len(*place)
	*place = bytes.Clone(value)
	t.bound()
}

// bound forgets everything when it has become too much.
func (t *acpTools) bound() {
	if t.kept <= toolBytesMax {
		return
	}
	for _, call := range t.calls.m {
		*call = acpTool{name: call.name, told: call.told, over: call.over}
	}
	t.kept = 0
}

// call finds a tool call by its id. One that was forgotten is a new one.
func (t *acpTools) call(id string) (call *acpTool, known bool) {
	if call, known = t.calls.get(id); known {
		return call, true
	}
	if len(t.calls.order) >= namesMax { // which put is about to forget
		old, _ := t.calls.get(t.calls.order[0])
		t.kept -= old.bytes()
	}
	call = &acpTool{}
	t.calls.put(id, call)
	return call, false
}

func (c *acpTool) bytes() int {
	return len(c.title) + len(c.locations) + len(c.content) + len(c.input)
}

// update reads a tool_call or a tool_call_update, which are the same thing but
// for what a client may expect of the first.
func (t *acpTools) update(u object) (events []Event) {
	id := u.str("toolCallId")
	if id == "" {
		return nil
	}
	call, known := t.call(id)
	status := u.str("status")
	over := status == "completed" || status == "failed"
	t.learn(call, u)
	if !call.over && t.start(call, known, over && !u.has("rawInput")) {
		events = append(events, sayTool(id, call.name, call.asked()))
	}
	// Said again, a result counts only when it says more.
	if !over || call.over && !u.has("rawOutput") && call.content == nil {
		return events
	}
	events = append(events, sayResult(id, call.name, acpOutput(call.content, u), status == "failed"))
	call.over = true
	t.kept -= call.bytes()
	*call = acpTool{name: call.name, over: true}
	return events
}

// learn takes what an update says.
func (t *acpTools) learn(call *acpTool, u object) {
	if call.name == "" || call.name == acpAnyTool {
		call.name = acpToolName(u)
	}
	if title := u.quoted("title"); len(title) > len(`""`) {
		t.keep(&call.title, title)
	}
	if len(u.list("locations")) > 0 {
		t.keep(&call.locations, u["locations"])
	}
	if input := u.firstOf("rawInput"); input != nil && string(input) != "{}" {
		t.keep(&call.input, input)
	}
	if !u.hasKey("content") {
		return
	}
	t.keep(&call.content, nil)
	if len(u.list("content")) > 0 {
		t.keep(&call.content, u["content"])
	}
}

// start reports whether there is news of what a tool is to do. At its end that
// is only what it was really given.
func (t *acpTools) start(call *acpTool, known, ending bool) bool {
	told := sha256.Sum256(append([]byte(call.name+" "), call.asked()...))
	news := !known || told != call.told && !ending
	if news {
		call.told = told
	}
	return news
}

// acpAnyTool is the name of a tool of which nothing is known but that it is one.
const acpAnyTool = "tool"

// acpToolName is the tool's own name, or else what kind it is of: the title is
// words for people, of this one call.
func acpToolName(u object) string {
	if name := u.str("name"); name != "" {
		return name
	}
	if kind := u.str("kind"); kind != "" && kind != "other" {
		return kind
	}
	return acpAnyTool
}

// asked is what a tool was given, as it came; else what is said of that, with
// the changes that it is to make. nil when there is nothing.
func (c *acpTool) asked() []byte {
	if c.input != nil {
		return c.input
	}
	var b body
	b.raw("title", c.title).raw("locations", c.locations)
	for _, item := range (object{"content": c.content}).objects("content") {
		if item.str("type") == "diff" {
			b.raw("content", c.content)
			break
		}
	}
	if len(b.b) == 0 {
		return nil
	}
	return b.data()
}

// chunk adds to the content of a tool call.
func (t *acpTools) chunk(u object) {
	call, known := t.calls.get(u.str("toolCallId"))
	if !known || !u.has("content") {
		return
	}
	if call.content == nil {
		t.keep(&call.content, []byte("[]"))
	}
	before := len(call.content)
	if call.content = call.content[:before-1]; before > len("[]") {
		call.content = append(call.content, ',')
	}
	call.content = append(append(call.content, u["content"]...), ']')
	t.kept += len(call.content) - before
	t.bound()
}

// acpOutput is what a tool gave: its content, as text when it is nothing else,
// or what the tool itself gave.
func acpOutput(content []byte, u object) []byte {
	if content == nil {
		return u.firstOf("rawOutput")
	}
	var texts []string
	items := (object{"content": content}).objects("content")
	for _, item := range items {
		inner := item.obj("content")
		if item.str("type") != "content" || inner.str("type") != "text" {
			return content
		}
		texts = append(texts, inner.str("text"))
	}
	return textData([]byte(strings.Join(texts, "\n")))
}

// acpQuestion is a request for permission that waits for its answer.
type acpQuestion struct {
	request string
	kinds   map[string]string // of its options
}

// acpOptionsMax bounds the options of a question whose kinds are kept.
const acpOptionsMax = 100

// ask reads a question of the agent. It may be the first that is heard of the
// tool call that it is about.
func (f *acpFormat) ask(m Meaning, o object) Meaning {
	params := o.obj("params")
	request := label(scoped(f.scope, o.id("id")))
	if request == "" {
		return m // nobody could answer it
	}
	m.Place = f.place()
	m.Events = f.said.end()
	f.blocks.close()
	tool, input, events := f.askedFor(params)
	m.Events = append(m.Events, events...)
	var c choices
	kinds := map[string]string{}
	for i, option := range params.objects("options") {
		if i < acpOptionsMax {
			c.add(option.str("optionId"), option.str("name"), option.str("kind"))
			kinds[option.str("optionId")] = option.str("kind")
		}
	}
	f.asked.put(string(o["id"]), acpQuestion{request: request, kinds: kinds})
	m.Events = append(m.Events, c.ask(request, tool, input))
	return m
}

// askedFor is what a question is about: a tool call, which it may be the first to
// tell of, a command, or whatever its words say.
func (f *acpFormat) askedFor(params object) (tool string, input []byte, events []Event) {
	subject := params.obj("subject")
	u := params.obj("toolCall")
	if u == nil {
		u = subject.obj("toolCall")
	}
	if id := u.str("toolCallId"); id != "" {
		events = f.tools.update(u)
		call, _ := f.tools.calls.get(id)
		return call.name, call.asked(), events
	}
	var b body
	if command := subject.quoted("command"); command != nil {
		return "execute", b.raw("command", command).str("cwd", subject.str("cwd")).data(), nil
	}
	return acpAnyTool, b.str("title", params.str("title")).str("description", params.str("description")).data(), nil
}

// acpOutcomes are the ways in which a question ends.
var acpOutcomes = setOf("selected", "cancelled")

// answered reads the client's answer to a request of the agent: of those that
// ask for permission.
func (f *acpFormat) answered(m Meaning, o object) Meaning {
	id := string(o["id"])
	question, open := f.asked.get(id)
	if !open {
		return m
	}
	f.asked.drop(id)
	m.Kind += "/session/request_permission"
	if o.has("error") {
		m.Events = []Event{sayAnswer(question.request, false, "", errorText(o["error"]), "")}
		return m
	}
	outcome := o.obj("result").obj("outcome")
	option := outcome.str("optionId")
	if word := outcome.str("outcome"); word != "selected" {
		m.Events = []Event{sayAnswer(question.request, false, "", word, "")}
		return m
	}
	allow := !strings.HasPrefix(question.kinds[option], "reject")
	m.Events = []Event{sayAnswer(question.request, allow, option, "", "")}
	return m
}

// takeBack reads that the agent wants no answer any more.
func (f *acpFormat) takeBack(m Meaning, params object) Meaning {
	id := string(params["requestId"])
	if question, open := f.asked.get(id); open {
		f.asked.drop(id)
		m.Events = []Event{sayAnswer(question.request, false, "", "the agent took the question back", byAgent)}
	}
	return m
}
