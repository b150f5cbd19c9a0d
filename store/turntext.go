package store

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// TurnTextBytesMax bounds the text of a turn: a book. The log has it all.
	TurnTextBytesMax = 1 << 20
	// turnBlocksMax bounds how many blocks are told apart while a turn is
	// open. An agent says a few between two calls of tools.
	turnBlocksMax = 10_000
	// textSeparator stands between two blocks: they are paragraphs of their
	// own, and often there was a tool call between them.
	textSeparator = "\n\n"
	// replacement is what unescape gives for half of a surrogate pair.
	replacement = string(utf8.RuneError)
)

// turnText tells the blocks of an open turn's text apart, as Fold does. The
// text is the beginning of what was said: once something did not fit, nothing
// is put after the hole.
type turnText struct {
	Blocks []textBlock `json:"blocks,omitempty"`
	Open   int         `json:"open,omitempty"` // one more than the index of the open block without a name; 0 for none
	Lost   bool        `json:"lost,omitempty"` // there are blocks after these of which nothing was kept
}

// textBlock is a block. Its text lies in Turn.Text.
type textBlock struct {
	Key  string `json:"key,omitempty"` // its name, as JSON; or ""
	Len  int    `json:"len,omitempty"`
	Cut  bool   `json:"cut,omitempty"`  // it is longer; only ever of the last block
	Half rune   `json:"half,omitempty"` // the first half of a surrogate pair that it ends with, until the second comes; or 0
}

// close ends the open block without a name. A redacted event, which no reader
// sees, ends nothing.
func (s *turnText) close(e *Event) {
	if e.Parent == "" && len(e.Data) > 0 {
		s.Open = 0
	}
}

// say applies text and thinking, whole or delta.
func (t *Turn) say(e *Event) {
	if e.Parent != "" {
		return
	}
	if e.From != 0 { // deltas that were folded
		delta := *e
		delta.From, delta.Type = 0, TypeTextDelta
		if e.Type == TypeThinking || e.Type == TypeThinkingDelta {
			delta.Type = TypeThinkingDelta
		}
		e = &delta
	}
	p := parsePart(e)
	if p.role == roleNone {
		return
	}
	if !p.clean && p.kind == kindText {
		p.text = field(e.Data, "text")
		p.text = p.text[1 : len(p.text)-1] // parsePart has seen that it is a string
	}
	s, open := &t.said, t.said.Open-1
	s.Open = 0
	if p.kind != kindText {
		return
	}
	i := open
	if p.key != nil {
		i = t.block(p.key)
	} else if i < 0 {
		i = t.addBlock("")
	}
	switch {
	case i < 0:
		s.Lost = true
	case p.role == roleWhole:
		t.replaceText(i, p.text)
	default:
		t.appendText(i, p.text)
		if p.key == nil {
			s.Open = i + 1
		}
	}
	t.TextCut = s.Lost || len(s.Blocks) > 0 && s.Blocks[len(s.Blocks)-1].Cut
}

// block returns the index of the block with this name, which it makes when
// there is none; -1 when there is no room for another.
func (t *Turn) block(name []byte) int {
	blocks := t.said.Blocks
	if n := len(blocks); n > 0 && blocks[n-1].Key == string(name) { // nearly always
		return n - 1
	}
	key := blockName(name)
	if i, ok := t.cached().blocks[key]; ok {
		return i
	}
	return t.addBlock(key)
}

// blockName is the same for all the ways to write the same name.
func blockName(raw []byte) string {
	if raw[0] == '"' {
		if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
			return label(string(raw))
		}
		return label(`"` + text(raw) + `"`)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch n := int64(f); {
	case err != nil: // larger than any float
		return label(string(raw))
	case float64(n) == f:
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (t *Turn) addBlock(key string) int {
	s := &t.said
	n := len(s.Blocks)
	if s.Lost || n == turnBlocksMax || n > 0 && s.Blocks[n-1].Cut {
		return -1
	}
	s.Blocks = append(s.Blocks, textBlock{Key: key})
	if key != "" {
		t.cached().blocks[key] = n
	}
	return n
}

// appendText adds what stands between the quotes of a JSON string to a block.
func (t *Turn) appendText(i int, raw []byte) {
	b, c := &t.said.Blocks[i], t.cached()
	half := b.Half
	switch {
	case b.Cut || len(raw) == 0:
		return
	case half != 0 && isLowHalf(raw): // the character came in two events
		c.buf = strconv.AppendInt(append(c.buf[:0], `\u`...), int64(half), 16)
		joined := unescape(nil, append(c.buf, raw...))
		t.rewrite(i, strings.TrimSuffix(t.blockText(i), replacement)+string(joined))
	case i < len(t.said.Blocks)-1:
		t.rewrite(i, t.blockText(i)+string(unescape(nil, raw)))
	default:
		c.buf = unescape(c.buf[:0], raw)
		t.appendLast(c.buf)
	}
	t.said.Blocks[i].Half = highHalf(raw)
}

// replaceText puts a whole in the place of its deltas. Most wholes only repeat
// them.
func (t *Turn) replaceText(i int, raw []byte) {
	b, c := &t.said.Blocks[i], t.cached()
	c.buf = unescape(c.buf[:0], raw)
	old := t.blockText(i)
	switch repeats := !b.Cut && strings.HasPrefix(string(c.buf), old); {
	case repeats && len(old) == len(c.buf):
	case repeats && i == len(t.said.Blocks)-1:
		t.appendLast(c.buf[len(old):])
	default:
		b.Cut = false
		t.rewrite(i, string(c.buf))
	}
	t.said.Blocks[i].Half = highHalf(raw)
}

// appendLast adds text to the last block without touching what is there, so
// that texts which were handed out stay as they are.
func (t *Turn) appendLast(added []byte) {
	c, b := t.cached(), &t.said.Blocks[len(t.said.Blocks)-1]
	separator := ""
	if b.Len == 0 && t.Text != "" {
		separator = textSeparator
	}
	if room := max(0, TurnTextBytesMax-len(t.Text)-len(separator)); len(added) > room {
		b.Cut = true
		for room > 0 && !utf8.RuneStart(added[room]) {
			room--
		}
		added = added[:room]
	}
	if len(added) == 0 {
		return
	}
	c.text.WriteString(separator)
	c.text.Write(added)
	b.Len += len(added)
	t.Text = c.text.String()
}

// rewrite gives a block another text. It copies all of them, which is the
// price of a block that was not the last or changed its mind.
func (t *Turn) rewrite(i int, content string) {
	c, all, texts := t.cached(), t.said.Blocks, t.blockTexts()
	texts[i] = content
	c.text, t.Text = strings.Builder{}, ""
	for j := range all {
		all[j].Len = 0
		t.said.Blocks = all[:j+1]
		t.appendLast([]byte(texts[j]))
		if all[j].Cut && j < len(all)-1 { // the rest was pushed out
			t.said.Lost = true
			for _, b := range all[j+1:] {
				delete(c.blocks, b.Key)
			}
			return
		}
	}
}

// blockText returns the text of a block.
func (t *Turn) blockText(i int) string {
	if blocks := t.said.Blocks; i == len(blocks)-1 {
		return t.Text[len(t.Text)-blocks[i].Len:]
	}
	return t.blockTexts()[i]
}

// blockTexts returns the texts of all blocks.
func (t *Turn) blockTexts() []string {
	texts := make([]string, len(t.said.Blocks))
	rest := t.Text
	for i, b := range t.said.Blocks {
		if b.Len > 0 && len(rest) < len(t.Text) {
			rest = rest[len(textSeparator):]
		}
		texts[i], rest = rest[:b.Len], rest[b.Len:]
	}
	return texts
}

// fits reports whether the blocks make up a text of this length.
func (s *turnText) fits(size int) bool {
	sum := 0
	for _, b := range s.Blocks {
		if b.Len < 0 || b.Len > size {
			return false
		}
		if b.Len > 0 && sum > 0 {
			sum += len(textSeparator)
		}
		sum += b.Len
	}
	return sum == size && s.Open >= 0 && s.Open <= len(s.Blocks)
}

// isLowHalf reports whether a JSON string begins with the second half of a
// surrogate pair.
func isLowHalf(raw []byte) bool {
	r := unit(raw)
	return utf16.IsSurrogate(r) && r >= lowHalf
}

// lowHalf is the first of the second halves of surrogate pairs.
const lowHalf = 0xdc00

// highHalf returns the first half of a surrogate pair that a JSON string ends
// with, or 0.
func highHalf(raw []byte) rune {
	at := len(raw) - len(`\u0000`)
	if at < 0 {
		return 0
	}
	r := unit(raw[at:])
	if !utf16.IsSurrogate(r) || r >= lowHalf {
		return 0
	}
	first := at // of the backslashes before it: after an odd number of them it is no escape
	for first > 0 && raw[first-1] == '\\' {
		first--
	}
	if (at-first)%2 != 0 {
		return 0
	}
	return r
}
