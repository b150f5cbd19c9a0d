package store

import (
	"encoding/json"
	"html"
	"slices"
	"strings"
	"time"
)

// Limits of documents.
const (
	// DocTextBytesMax bounds the text of a document; of a longer one the
	// beginning is found.
	DocTextBytesMax = 64 << 10
	// extractBytesMax bounds the text that an Extractor holds of blocks that
	// have not ended, and extractBlocksMax their number. Beyond, the oldest
	// one becomes a document as it is.
	extractBytesMax  = 256 << 10
	extractBlocksMax = 64
	// extractTurnsMax bounds the turns that an Extractor remembers to have
	// said something. One is forgotten when it ends, so only a log with many
	// turns that never do comes here.
	extractTurnsMax = 64
)

// Doc is a piece of a log that can be found by its words.
type Doc struct {
	ID    int64 // of the event; of a block that came in deltas, the last one
	First int64 // of the first event that the text was taken from
	Turn  string
	Kind  string
	Time  time.Time // of the event with ID
	Text  string
}

// Extractor makes documents of a session's events, which are fed in order. It
// is pure: the same events give the same documents, also when it is kept as
// its State and made again in between.
//
// A document is made of the text of a prompt; of a whole block of text; of the
// name and the strings of the input of a tool_start; of the output of a
// tool_result; of title, description and output of a kontask, without tags; of
// an error, also that of a turn_end. A block of which only deltas came, as
// Fold tells blocks apart, becomes one when it ends: one without a name with
// the event that closes it, any other with its turn, its tool_result or the
// session, and those that belong to no turn with the next turn_end or
// process_exit. The fullText of a turn_end is one only when the turn has said
// nothing otherwise.
//
// Thinking makes none, nor do the server's own sessions.
type Extractor struct {
	blocks []*openBlock // in the order in which they began
	spoke  []string     // turns with text that have not ended; "" stands for text outside of turns
	size   int          // bytes of text in blocks
	docs   []Doc        // of the event that is being added
}

// openBlock is a block of which only deltas have come so far.
type openBlock struct {
	Tool   bool   `json:"tool,omitempty"`
	Turn   string `json:"turn,omitempty"`
	Parent string `json:"parent,omitempty"`
	Key    string `json:"key,omitempty"` // its name as it was written, in JSON; "" when it has none
	First  int64  `json:"first"`
	Last   int64  `json:"last"`
	Time   int64  `json:"time"` // Unix milliseconds of the last delta
	Text   string `json:"text"` // of a State only; text has it otherwise

	text []byte
}

func (b *openBlock) is(tool bool, e *Event, key []byte) bool {
	return b.Tool == tool && b.Turn == e.Turn && b.Parent == e.Parent && b.Key == string(key)
}

// extracted is the state of an Extractor as it is kept.
type extracted struct {
	Blocks []*openBlock `json:"blocks,omitempty"`
	Spoke  []string     `json:"spoke,omitempty"`
}

// NewExtractor returns an extractor that goes on from a State; from the
// beginning of a log when there is none.
func NewExtractor(state []byte) (*Extractor, error) {
	x := &Extractor{}
	if len(state) == 0 {
		return x, nil
	}
	var kept extracted
	if err := json.Unmarshal(state, &kept); err != nil {
		return nil, err
	}
	x.blocks, x.spoke = kept.Blocks, kept.Spoke
	for _, b := range x.blocks {
		b.text, b.Text = []byte(b.Text), ""
		x.size += len(b.text)
	}
	return x, nil
}

// State is what is to be kept to go on after the last event; nil when nothing
// is.
func (x *Extractor) State() []byte {
	if len(x.blocks) == 0 && len(x.spoke) == 0 {
		return nil
	}
	kept := extracted{Spoke: x.spoke}
	for _, b := range x.blocks {
		c := *b
		c.Text = string(b.text)
		kept.Blocks = append(kept.Blocks, &c)
	}
	state, err := json.Marshal(kept)
	if err != nil {
		panic("store: blocks did not encode: " + err.Error()) // strings, numbers and names that were parsed
	}
	return state
}

// Size is how many bytes of text the extractor holds.
func (x *Extractor) Size() int { return x.size }

// Forget drops the blocks that hold something of the events from one id to
// another, whose content is to go.
func (x *Extractor) Forget(from, to int64) {
	x.remove(func(b *openBlock) bool { return b.First <= to && from <= b.Last })
}

// remove takes the blocks out of which is true.
func (x *Extractor) remove(is func(*openBlock) bool) (removed []*openBlock) {
	x.blocks = slices.DeleteFunc(x.blocks, func(b *openBlock) bool {
		if !is(b) {
			return false
		}
		x.size -= len(b.text)
		removed = append(removed, b)
		return true
	})
	return removed
}

// end makes documents of the blocks of which is true.
func (x *Extractor) end(is func(*openBlock) bool) {
	if len(x.blocks) == 0 {
		return
	}
	for _, b := range x.remove(is) {
		kind := DocText
		if b.Tool {
			kind = DocTool
		}
		x.doc(Doc{ID: b.Last, First: b.First, Turn: b.Turn, Kind: kind, Time: time.UnixMilli(b.Time).UTC(), Text: string(b.text)})
	}
}

// doc adds a document, unless it has no text.
func (x *Extractor) doc(d Doc) {
	d.Text = strings.ToValidUTF8(cutText(strings.TrimSpace(d.Text), DocTextBytesMax), "\uFFFD")
	if d.Text == "" {
		return
	}
	x.docs = append(x.docs, d)
	if d.Kind == DocText && !slices.Contains(x.spoke, d.Turn) {
		if len(x.spoke) == extractTurnsMax {
			x.spoke = slices.Delete(x.spoke, 0, 1)
		}
		x.spoke = append(x.spoke, d.Turn)
	}
}

// Add takes the next event and returns the documents that it completes. An
// event without content, as a redaction leaves it, makes none.
func (x *Extractor) Add(e *Event) []Doc {
	if e.Redacted() || OwnSession(e.Session) {
		return nil
	}
	x.docs = nil
	p := parsePart(e)
	x.closes(e, &p)
	if p.role == roleDelta {
		x.delta(e, &p)
		return x.docs
	}
	switch e.Type {
	case TypePrompt, TypeText, TypeToolStart, TypeToolResult, TypeTurnEnd, TypeError,
		TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeProcessExit, TypeSessionClosed:
		if json.Valid(e.Data) { // what comes from a damaged disk may not be
			x.whole(e, &p)
		}
	}
	return x.docs
}

// closes ends the block without a name that e does not continue.
func (x *Extractor) closes(e *Event, p *part) {
	if len(x.blocks) == 0 || p.role == roleNone || p.role == roleDelta && p.kind == kindTool {
		return
	}
	same := p.kind == kindText && p.key == nil && p.role != roleCloses // it continues or replaces it
	if !same {
		x.end(func(b *openBlock) bool { return b.is(false, e, nil) })
	}
}

// delta adds to a block, or begins it.
func (x *Extractor) delta(e *Event, p *part) {
	if p.kind == kindThinking {
		return
	}
	text := p.decoded(e)
	tool := p.kind == kindTool
	i := slices.IndexFunc(x.blocks, func(b *openBlock) bool { return b.is(tool, e, p.key) })
	if i < 0 {
		i = len(x.blocks)
		x.blocks = append(x.blocks, &openBlock{Tool: tool, Turn: e.Turn, Parent: e.Parent, Key: string(p.key), First: e.ID})
	}
	b := x.blocks[i]
	b.Last, b.Time = e.ID, e.Time.UnixMilli()
	text = cutText(text, DocTextBytesMax-len(b.text))
	b.text = append(b.text, text...)
	for x.size += len(text); x.size > extractBytesMax || len(x.blocks) > extractBlocksMax; {
		oldest := x.blocks[0]
		x.end(func(b *openBlock) bool { return b == oldest })
	}
}

// decoded is the text of a delta.
func (p *part) decoded(e *Event) string {
	if p.text == nil {
		if !json.Valid(e.Data) {
			return ""
		}
		return e.Text("text")
	}
	quoted := make([]byte, 0, len(p.text)+2)
	quoted = append(append(append(quoted, '"'), p.text...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}

// whole makes documents of an event that is no delta.
func (x *Extractor) whole(e *Event, p *part) {
	one := func(kind string, text ...string) {
		x.doc(Doc{ID: e.ID, First: e.ID, Turn: e.Turn, Kind: kind, Time: e.Time, Text: strings.Join(slices.DeleteFunc(text, empty), "\n")})
	}
	switch e.Type {
	case TypePrompt:
		one(DocPrompt, e.Text("text"))
	case TypeText:
		if p.role == roleWhole {
			x.remove(func(b *openBlock) bool { return b.is(false, e, p.key) })
		}
		one(DocText, e.Text("text"))
	case TypeToolStart:
		if p.role == roleWhole {
			x.remove(func(b *openBlock) bool { return b.is(true, e, p.key) })
		}
		one(DocTool, e.Text("name"), stringsOf(e.Field("input")))
	case TypeToolResult:
		key := e.Field("id")
		x.end(func(b *openBlock) bool { return b.Tool && b.is(true, e, key) })
		one(DocOutput, stringsOf(e.Field("output")))
	case TypeError:
		one(DocError, stringsOf(e.Field("error")))
	case TypeTurnEnd:
		x.endTurn(e, one)
	case TypeProcessExit:
		x.end(func(b *openBlock) bool { return b.Turn == "" })
	case TypeSessionClosed:
		x.end(func(*openBlock) bool { return true })
		x.spoke = nil
	default:
		one(DocKontask, e.Text("title"), e.Text("description"), stripTags(text(field(e.Field("context"), "output"))))
	}
}

// endTurn ends the blocks of a turn, and those that belong to none.
func (x *Extractor) endTurn(e *Event, one func(kind string, text ...string)) {
	its := func(turn string) bool { return turn == e.Turn || turn == "" }
	x.end(func(b *openBlock) bool { return its(b.Turn) })
	if !slices.ContainsFunc(x.spoke, its) {
		one(DocText, e.Text("fullText"))
	}
	x.spoke = slices.DeleteFunc(x.spoke, its)
	if len(x.spoke) == 0 {
		x.spoke = nil
	}
	one(DocError, stringsOf(e.Field("error")))
}

func empty(s string) bool { return s == "" }

// stringsOf gathers the strings in a value, one a line, up to what a document
// takes. The names of members are left out.
func stringsOf(value []byte) string {
	if s := text(value); s != "" {
		return s
	}
	var b strings.Builder
	gather(&b, value)
	return b.String()
}

func gather(b *strings.Builder, value []byte) {
	if len(value) == 0 || b.Len() > DocTextBytesMax {
		return
	}
	switch value[0] {
	case '"':
		if s := text(value); s != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(s)
		}
	case '{':
		_ = eachMember(value, func(_ string, v []byte) error { gather(b, v); return nil })
	case '[':
		_ = eachElement(value, func(v []byte) error { gather(b, v); return nil })
	}
}

// silentTags are the elements whose content nobody sees.
var silentTags = []string{"script", "style", "head", "template"}

// stripTags gives the text of HTML: it is for finding words, not for showing.
func stripTags(s string) string {
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(s, "<")
		b.WriteString(before)
		if !more {
			break
		}
		if after, comment := strings.CutPrefix(rest, "!--"); comment {
			_, s, _ = strings.Cut(after, "-->")
			continue
		}
		if rest == "" || !(rest[0] == '/' || rest[0] == '!' || rest[0] >= 'a' && rest[0] <= 'z' || rest[0] >= 'A' && rest[0] <= 'Z') {
			b.WriteByte('<') // a tag does not begin so
			s = rest
			continue
		}
		b.WriteByte(' ')
		tag, after, _ := strings.Cut(rest, ">")
		s = after
		if name := tagName(tag); slices.Contains(silentTags, name) {
			s = afterTag(after, "</"+name)
		}
	}
	return strings.Join(strings.Fields(html.UnescapeString(b.String())), " ")
}

func tagName(tag string) string {
	if end := strings.IndexAny(tag, " \t\r\n/"); end >= 0 {
		tag = tag[:end]
	}
	return strings.ToLower(tag)
}

// afterTag returns what follows the end of an element; nothing when it has
// none.
func afterTag(s, end string) string {
	for i := 0; i+len(end) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(end)], end) {
			_, rest, _ := strings.Cut(s[i:], ">")
			return rest
		}
	}
	return ""
}
