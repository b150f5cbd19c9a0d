package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// lineDataMax is how much of an event's data a line shows.
const lineDataMax = 160

// humanPrinter shows events to a person: text that streams runs on as text, a
// whole text, thinking or prompt is shown as text too unless its pieces were
// shown already, every other event is one line.
type humanPrinter struct {
	w       io.Writer
	p       paint
	inText  bool // the line is not ended
	thought bool // the text so far is thinking

	deltas map[bool]*strings.Builder // by thought: the pieces since the last whole block
}

// shown is what a person sees of an event.
type shown struct {
	id    int64
	typ   string
	time  time.Time
	data  []byte
	quiet bool // only what streams and the names of tools
}

func (h *humanPrinter) event(e shown) error {
	var b strings.Builder
	if text, ok := wholeText(e.typ, e.data); ok && !e.quiet {
		return h.whole(e.typ, text)
	}
	if text, thought, ok := streamedText(e.typ, e.data); ok {
		h.keep(text, thought)
		text = printable(text)
		if h.inText && thought != h.thought {
			b.WriteString("\n")
		}
		h.thought = thought
		if thought {
			text = h.p.dim(text)
		}
		b.WriteString(text)
		h.inText = !strings.HasSuffix(text, "\n")
	} else if !e.quiet {
		h.end()
		fmt.Fprintf(&b, "%s %s %s %s\n", h.p.dim(fmt.Sprintf("%6d", e.id)), h.p.dim(e.time.Local().Format("15:04:05.000")),
			h.p.cyan(label(e.typ, e.data)), shorten(printable(string(e.data)), lineDataMax))
	}
	if e.quiet {
		b.WriteString(h.between(e))
	}
	_, err := io.WriteString(h.w, b.String())
	return err
}

// deltasMax bounds the pieces that are kept to know a whole block again.
const deltasMax = 4 << 20

// keep notes a piece of text that is shown.
func (h *humanPrinter) keep(text string, thought bool) {
	if h.deltas == nil {
		h.deltas = map[bool]*strings.Builder{false: {}, true: {}}
	}
	if b := h.deltas[thought]; b.Len()+len(text) <= deltasMax {
		b.WriteString(text)
	} else {
		b.Reset()
	}
}

// whole shows a block of text, unless the pieces before it were that text.
func (h *humanPrinter) whole(typ, text string) error {
	thought := typ == "thinking"
	if b := h.deltas[thought]; typ != "prompt" && b != nil {
		before := b.String()
		b.Reset()
		if strings.HasSuffix(before, text) {
			return nil
		}
	}
	h.end()
	text = strings.TrimSuffix(printable(text), "\n")
	switch typ {
	case "thinking":
		text = h.p.dim(text)
	case "prompt":
		text = h.p.bold("> " + strings.ReplaceAll(text, "\n", "\n> "))
	}
	_, err := fmt.Fprintln(h.w, text)
	return err
}

// wholeText returns the text of an event that holds a whole block of it.
func wholeText(typ string, data []byte) (string, bool) {
	var block struct {
		Text *string `json:"text"`
	}
	if typ != "text" && typ != "thinking" && typ != "prompt" || json.Unmarshal(data, &block) != nil || block.Text == nil {
		return "", false
	}
	return *block.Text, true
}

// between returns what is shown where a block of text ends or a tool begins.
func (h *humanPrinter) between(e shown) string {
	name, ok := breakIn(e)
	if !ok {
		return ""
	}
	text := ""
	if h.inText {
		text = "\n"
	}
	h.inText = false
	if name != "" {
		text += h.p.cyan("[tool "+printable(shorten(name, 40))+"]") + "\n"
	}
	return text
}

// breakIn reports whether a block of text ends with an event, and the name of the
// tool that begins with it: once, when its input is whole.
func breakIn(e shown) (tool string, ok bool) {
	var l agentLine
	if json.Unmarshal(e.data, &l) != nil {
		return "", false
	}
	switch {
	case e.typ == "tool_start":
		return l.Name, len(l.Input) > 0 && string(l.Input) != "null"
	case e.typ == "text" || e.typ == "thinking":
		return "", true
	}
	if l.Msg != nil {
		l = *l.Msg
	}
	if l.Event == nil || l.Event.Type != "content_block_stop" && l.Event.Block.Name == "" {
		return "", false
	}
	return l.Event.Block.Name, true
}

// end finishes a line of text that is still open.
func (h *humanPrinter) end() {
	if h.inText {
		fmt.Fprintln(h.w)
		h.inText = false
	}
}

// agentLine holds the members in which known agents put pieces of text. Anything
// else is shown as it is.
type agentLine struct {
	Type    string     `json:"type"`
	Subtype string     `json:"subtype"`
	Method  string     `json:"method"`
	Dir     string     `json:"dir"`
	Text    *string    `json:"text"`
	Msg     *agentLine `json:"msg"`   // recordings of both directions
	Event   *agentLine `json:"event"` // Claude Code
	Delta   delta      `json:"delta"` // Anthropic, OpenAI, Gemini
	Block   struct {
		Name string `json:"name"`
	} `json:"content_block"` // Anthropic
	Name    string          `json:"name"`  // of a tool
	Input   json.RawMessage `json:"input"` // likewise
	Role    string          `json:"role"`
	Content delta           `json:"content"`
	Params  *struct {
		Update *struct {
			Kind    string    `json:"sessionUpdate"`
			Content agentLine `json:"content"`
		} `json:"update"`
	} `json:"params"` // ACP
}

// delta is a piece of text in one of its forms: a string, or an object with the
// text. Other forms are passed over.
type delta struct {
	set     bool
	text    string
	thought bool
}

func (d *delta) UnmarshalJSON(b []byte) error {
	var o struct {
		Text     *string `json:"text"`
		Thinking *string `json:"thinking"`
	}
	switch {
	case b[0] == '"':
		d.set = true
		return json.Unmarshal(b, &d.text)
	case b[0] != '{' || json.Unmarshal(b, &o) != nil:
	case o.Text != nil:
		d.set, d.text = true, *o.Text
	case o.Thinking != nil:
		d.set, d.text, d.thought = true, *o.Thinking, true
	}
	return nil
}

// streamedText returns the piece of text that an event adds to a stream.
func streamedText(typ string, data []byte) (text string, thought, ok bool) {
	if typ != "text_delta" && typ != "thinking_delta" && typ != "agent" || len(data) == 0 || data[0] != '{' {
		return "", false, false
	}
	var l agentLine
	if json.Unmarshal(data, &l) != nil {
		return "", false, false
	}
	if typ != "agent" {
		if l.Text == nil {
			return "", false, false
		}
		return *l.Text, typ == "thinking_delta", true
	}
	if l.Msg != nil {
		l = *l.Msg
	}
	if l.Event != nil {
		l = *l.Event
	}
	return l.piece()
}

func (l *agentLine) piece() (text string, thought, ok bool) {
	switch {
	case l.Type == "content_block_delta", l.Type == "response.output_text.delta":
		return l.Delta.text, l.Delta.thought, l.Delta.set
	case l.Type == "message" && l.Role == "assistant":
		return l.Content.text, false, l.Content.set
	case l.Params != nil && l.Params.Update != nil && l.Params.Update.Content.Text != nil:
		kind := l.Params.Update.Kind
		return *l.Params.Update.Content.Text, kind == "agent_thought_chunk", kind == "agent_message_chunk" || kind == "agent_thought_chunk"
	}
	return "", false, false
}

// label is an event's type, and for an agent's line what the agent calls it.
func label(typ string, data []byte) string {
	var l agentLine
	if typ != "agent" || len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &l) != nil {
		return typ
	}
	if l.Msg != nil {
		l = *l.Msg
	}
	parts := []string{typ}
	for _, s := range []string{l.Type, l.Subtype, l.Method} {
		if s != "" {
			parts = append(parts, printable(shorten(s, 40)))
		}
	}
	if l.Event != nil && l.Event.Type != "" {
		parts = append(parts, printable(shorten(l.Event.Type, 40)))
	}
	return strings.Join(parts, " ")
}

// shorten cuts s to max bytes at a character's edge.
func shorten(s string, max int) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if len(s) <= max {
		return s
	}
	cut := max
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
