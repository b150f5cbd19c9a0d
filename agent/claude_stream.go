package agent

import (
	"strconv"

	"github.com/konlog/konlog/store"
)

// claudeMessage is a message of the model as far as it was heard: block by
// block as it streams, and each block once more as a whole, in the same order.
type claudeMessage struct {
	id     string
	blocks []claudeBlock
}

// claudeBlocksMax bounds the blocks of a message that are told apart. Those of
// real messages are a few; the text of more goes to blocks without a name.
const claudeBlocksMax = 1000

// claudeBlock is one block of it.
type claudeBlock struct {
	index string // as the stream counts; "" when it was not streamed
	kind  string // text, thinking, or another
	tool  string // the id of the tool call
	whole bool   // has been heard as a whole
}

// name is the block's name, by which its deltas and its whole find together;
// "" when it has none.
func (m *claudeMessage) name(i int) string {
	if m == nil || i < 0 {
		return ""
	}
	if m.blocks[i].index != "" {
		return m.id + "/" + m.blocks[i].index
	}
	return m.id + "/" + strconv.Itoa(i)
}

// add notes a block, and gives its place, or -1 when there is none left.
func (m *claudeMessage) add(b claudeBlock) int {
	if len(m.blocks) >= claudeBlocksMax {
		return -1
	}
	m.blocks = append(m.blocks, b)
	return len(m.blocks) - 1
}

// streamed is the block that the stream calls index, or -1.
func (m *claudeMessage) streamed(index string) int {
	for i := len(m.blocks) - 1; i >= 0; i-- {
		if m.blocks[i].index == index {
			return i
		}
	}
	return -1
}

// complete gives the place of a block that is told as a whole: the first of its
// kind that was streamed and not yet told, or a new one.
func (m *claudeMessage) complete(kind string) int {
	if m == nil {
		return -1
	}
	for i := range m.blocks {
		if b := &m.blocks[i]; b.index != "" && b.kind == kind && !b.whole {
			b.whole = true
			return i
		}
	}
	return m.add(claudeBlock{kind: kind, whole: true})
}

// message is the message of that id; nil when it has none.
func (f *claudeFormat) message(id string) *claudeMessage {
	if id == "" {
		return nil
	}
	m, ok := f.blocks.get(id)
	if !ok {
		m = &claudeMessage{id: id}
		f.blocks.put(id, m)
	}
	return m
}

// stream reads an event of the model's stream.
func (f *claudeFormat) stream(l claudeFrame) Meaning {
	e := l.obj("event")
	typ := e.str("type")
	m := Meaning{Known: true, Kind: l.typ + "/" + typ}
	switch typ {
	case "message_start":
		f.current.put(l.parent, e.obj("message").str("id"))
		m.Place = Work
	case "content_block_start":
		m.Place, m.Events = Work, f.blockStart(l, e)
	case "content_block_delta":
		m.Place = Work
		m.Events, m.Known = f.delta(l, e)
	case "content_block_stop", "message_delta", "message_stop", "ping":
	case "error":
		m.Events = []Event{errorEvent(l.parent, errorText(e["error"]), e.obj("error").str("type"))}
	default:
		m.Known = false
	}
	return f.placed(l, m)
}

// placed puts what a sub-agent says where its task belongs: it may go on after
// the turn that started it, and never begins one.
func (f *claudeFormat) placed(l claudeFrame, m Meaning) Meaning {
	if l.parent == "" {
		return m
	}
	m.Place = Late
	task, _ := f.taskOf.get(l.parent)
	for i := range m.Events {
		m.Events[i].Task = task
	}
	return m
}

// streaming is the message that the frame belongs to. Only newer versions say
// it with each.
func (f *claudeFormat) streaming(l claudeFrame) *claudeMessage {
	id := l.str("api_message_id")
	if id == "" {
		id, _ = f.current.get(l.parent)
	}
	return f.message(id)
}

func (f *claudeFormat) blockStart(l claudeFrame, e object) []Event {
	block := e.obj("content_block")
	kind, id := block.str("type"), block.str("id")
	if m := f.streaming(l); m != nil {
		m.add(claudeBlock{index: e.id("index"), kind: kind, tool: id})
	}
	if !isToolUse(kind) || id == "" {
		return nil
	}
	var b body // its input is still to come
	return []Event{{Type: store.TypeToolStart, Parent: l.parent, Data: b.str("id", id).str("name", block.str("name")).data()}}
}

// delta reads a piece of a block. known is false for pieces of another kind.
func (f *claudeFormat) delta(l claudeFrame, e object) (events []Event, known bool) {
	d := e.obj("delta")
	switch d.str("type") {
	case "text_delta":
		return f.textDelta(l, e, store.TypeTextDelta, "text", d["text"]), true
	case "thinking_delta":
		return f.textDelta(l, e, store.TypeThinkingDelta, "thinking", d["thinking"]), true
	case "input_json_delta":
		m, i := f.streaming(l), -1
		if m != nil {
			i = m.streamed(e.id("index"))
		}
		if i < 0 || m.blocks[i].tool == "" || !isString(d["partial_json"]) {
			return nil, true // of a call that nobody announced; the whole comes
		}
		var b body
		return []Event{{Type: store.TypeToolDelta, Parent: l.parent, Data: b.str("id", m.blocks[i].tool).raw("text", d["partial_json"]).data()}}, true
	case "signature_delta", "citations_delta", "compaction_delta":
		return nil, true
	}
	return nil, false
}

// textDelta keeps the bytes of the text: a character may come in two halves,
// which only together can be decoded.
func (f *claudeFormat) textDelta(l claudeFrame, e object, typ, kind string, text []byte) []Event {
	if !isString(text) {
		return nil
	}
	name := ""
	if m := f.streaming(l); m != nil {
		index := e.id("index")
		i := m.streamed(index)
		if i < 0 && index != "" { // the stream was joined in the middle
			i = m.add(claudeBlock{index: index, kind: kind})
		}
		name = m.name(i)
	}
	var b body
	return []Event{{Type: typ, Parent: l.parent, Data: b.raw("text", text).str("block", name).data()}}
}

// isString reports whether a JSON value is a string.
func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }
