package store

import "bytes"

// Bounds of a fold.
const (
	// FoldEventsMax is how many events of the log a folded page is made of at
	// most: enough for folding to pay, and read within a few milliseconds.
	FoldEventsMax = 4096
	// FoldTextMax bounds the text of a folded event, so that a run of any
	// length gives events that every reader takes.
	FoldTextMax = 256 << 10
	// foldFrameMax is what the data of a delta may hold beside its text. With
	// it what is gathered for a page is bounded by the page and FoldEventsMax.
	foldFrameMax = 512
)

// Fold gives the events of a part of a session's log, which must be without a
// hole, as fewer ones that render the same (PROTOCOL.md P12). It is pure and
// does not look beyond the part: folded pages read one after the other give
// the same as the whole log.
//
// Two things are done. A run, which is deltas of one block with consecutive
// ids, becomes one event: of the type of the whole (text, thinking, tool_start
// for tool_delta), with the id and time of its last delta, From the id of its
// first, and their texts joined byte for byte, so that nothing is encoded
// anew. A reader appends the text of an event with From to its block, and
// replaces the block by one without.
//
// And deltas that a whole of their block supersedes later in the same part are
// left out, but for the first, where it is needed to keep the block's place
// among other events, and for one that ends another block.
//
// Blocks are told apart by turn, parent and block (text, thinking) or id
// (tools). Text or thinking without a block belongs to the open block of its
// turn and parent. A turn and parent have one at most; a delta without a block
// opens it, and any of these of the same turn and parent closes it: text or
// thinking, whole or delta, that does not continue it; tool_start; prompt,
// turn_start and turn_end. A whole without a block replaces and closes it. A
// tool_start is a whole when it has an input.
//
// Deltas whose data has other members than text and block (or id) pass as they
// are, and so does every other event. Ids ascend, and the last one is the last
// of the part. The result is sealed; the agents' own lines of folded deltas are
// not in it.
func Fold(events []Event) []Event {
	f := Folder{unbounded: true}
	f.grow(len(events))
	for i := range events {
		f.Add(events[i])
	}
	return f.Events()
}

// FoldPage folds as many of the events as the query's limits let pass, from
// the first on. The limits count what folding gives if nothing were left out,
// so where a page ends does not depend on what comes after it.
func FoldPage(events []Event, q Query) []Event {
	f := NewFolder(q)
	f.grow(min(len(events), FoldEventsMax))
	for i := range events {
		if !f.Add(events[i]) {
			break
		}
	}
	return f.Events()
}

// Folder gathers a part of a log for a folded page. It is not safe for
// concurrent use.
type Folder struct {
	raw       bool
	unbounded bool
	limit     Limit

	events []Event
	parts  []part
	count  int // of events that the runs make
	bytes  int // of their encoding, at most
	run    int // bytes of text in the run at the end; 0 when the last event is no delta to be joined
}

// NewFolder returns a folder with the limits of the query. With q.Raw a delta
// that has an agent's own line passes as it is, for the line would be lost.
func NewFolder(q Query) *Folder { return &Folder{raw: q.Raw, limit: q.Limit.OrDefault()} }

// grow makes room for n events at once.
func (f *Folder) grow(n int) { f.events, f.parts = make([]Event, 0, n), make([]part, 0, n) }

// Add takes the next event, and reports whether there was room for it. The
// first one is always taken.
func (f *Folder) Add(e Event) bool {
	p := parsePart(&e)
	if e.Raw != nil && f.raw {
		p.clean = false
	}
	n := len(f.events)
	count, size, run := 1, foldedSize(&e, f.raw), 0
	if p.clean {
		run = len(p.text)
		if n > 0 && f.joins(n-1, &e, &p) && f.run+run <= FoldTextMax {
			count, size, run = 0, run, f.run+run
		}
	}
	if !f.unbounded && n > 0 && (n == FoldEventsMax || f.count+count > f.limit.Events || f.bytes+size > f.limit.Bytes) {
		return false
	}
	f.events, f.parts = append(f.events, e), append(f.parts, p)
	f.count, f.bytes, f.run = f.count+count, f.bytes+size, run
	return true
}

// Len returns how many events were taken.
func (f *Folder) Len() int { return len(f.events) }

// Over reports whether the first event alone is more than the limit.
func (f *Folder) Over() bool { return f.bytes > f.limit.Bytes }

// joins reports whether a delta continues the run that event i belongs to.
func (f *Folder) joins(i int, e *Event, p *part) bool {
	last, q := &f.events[i], &f.parts[i]
	return q.clean && p.clean && last.ID+1 == e.ID && q.kind == p.kind && last.Turn == e.Turn && last.Parent == e.Parent &&
		(q.key == nil) == (p.key == nil) && bytes.Equal(q.key, p.key)
}

// foldedSize is how many bytes an event takes on the wire at most. It must not
// depend on whether the event is sealed, else engines would cut differently.
func foldedSize(e *Event, raw bool) int {
	const envelope = 160 // the fixed keys, two ids and a time
	size := envelope + len(e.Session) + len(e.Type) + quotedMax(e.Turn) + quotedMax(e.Parent) + len(e.Data)
	if raw {
		size += len(e.Raw)
	}
	return size
}

// quotedMax is the length of s as a JSON string, or more.
func quotedMax(s string) int {
	const escaped = 6 // bytes of \u0000
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return escaped * len(s)
		}
	}
	return len(s)
}

// Events folds what was taken. It is called once.
func (f *Folder) Events() []Event {
	f.supersede()
	folded := make([]Event, 0, f.count)
	for i := 0; i < len(f.events); {
		if f.parts[i].superseded {
			i++
			continue
		}
		end, size := i+1, len(f.parts[i].text)
		for end < len(f.events) && !f.parts[end].superseded && f.joins(end-1, &f.events[end], &f.parts[end]) {
			if size += len(f.parts[end].text); size > FoldTextMax {
				break
			}
			end++
		}
		if end > i+1 {
			folded = append(folded, f.join(i, end))
		} else {
			e := f.events[i]
			if e.wire == nil {
				e.Seal()
			}
			folded = append(folded, e)
		}
		i = end
	}
	return folded
}

// join makes one event of the run from first to before end.
func (f *Folder) join(first, end int) Event {
	p := &f.parts[first]
	size := foldFrameMax
	for i := first; i < end; i++ {
		size += len(f.parts[i].text)
	}
	data := make([]byte, 0, size)
	if p.kind == kindTool {
		data = append(append(append(data, `{"id":`...), p.key...), ',')
	} else {
		data = append(data, '{')
	}
	data = append(data, `"text":"`...)
	for i := first; i < end; i++ {
		data = append(data, f.parts[i].text...)
	}
	data = append(data, '"')
	if p.kind != kindTool && p.key != nil {
		data = append(append(data, `,"block":`...), p.key...)
	}
	e := f.events[end-1]
	e.From, e.Type = f.events[first].ID, wholeTypes[p.kind]
	e.Data, e.Raw, e.wire = append(data, '}'), nil, nil
	e.Seal()
	return e
}

// supersede marks the deltas that the fold leaves out. What is told apart here
// too finely is only folded less: two ways to write the same id are two blocks.
func (f *Folder) supersede() {
	s := superseding{f: f, blocks: map[blockKey]*blockState{}, open: map[place]*blockState{}}
	for i := range f.parts {
		s.see(i)
	}
}

// superseding is the state of blocks as a reader would have it, as far as it
// decides which deltas can be left out.
type superseding struct {
	f      *Folder
	blocks map[blockKey]*blockState // those that have a name
	open   map[place]*blockState    // those that have none
	last   *blockState              // of the delta seen last, or nil
}

// place is what may have one open block without a name.
type place struct{ turn, parent string }

// blockKey names a block of a session.
type blockKey struct {
	kind kind
	place
	key string
}

type blockState struct {
	kind   kind
	deltas []int // indexes of those that a whole would supersede
	placed bool  // an event that stays has put the block in its place
}

func (s *superseding) see(i int) {
	p, e := &s.f.parts[i], &s.f.events[i]
	if i > 0 && p.role == roleDelta && s.f.joins(i-1, e, p) { // most deltas continue a run
		s.last.deltas = append(s.last.deltas, i)
		return
	}
	at := place{e.Turn, e.Parent}
	switch p.role {
	case roleDelta:
		s.last = s.state(p, at)
		s.delta(i, at, s.last)
	case roleWhole:
		s.replace(s.state(p, at), i)
		delete(s.open, at)
	case roleCloses:
		delete(s.open, at)
		if p.key != nil {
			s.state(p, at).stays()
		}
	}
}

// delta notes the first delta of a run.
func (s *superseding) delta(i int, at place, b *blockState) {
	p, closes := &s.f.parts[i], false
	if p.kind != kindTool {
		open := s.open[at]
		if closes = open != nil && open != b; closes {
			delete(s.open, at)
		}
		if p.key == nil {
			s.open[at] = b
		}
	}
	if p.clean && !closes {
		b.deltas = append(b.deltas, i)
	} else {
		b.stays()
	}
}

// stays notes an event of the block that is not left out. It holds the block's
// place when it is the first.
func (b *blockState) stays() { b.placed = b.placed || len(b.deltas) == 0 }

// state returns the block that a part belongs to: for one without a name the
// open one if it is of its kind, else a new one.
func (s *superseding) state(p *part, at place) *blockState {
	if p.key == nil {
		if b := s.open[at]; b != nil && b.kind == p.kind {
			return b
		}
		return &blockState{kind: p.kind}
	}
	key := blockKey{p.kind, at, string(p.key)}
	b := s.blocks[key]
	if b == nil {
		b = &blockState{kind: p.kind}
		s.blocks[key] = b
	}
	return b
}

// replace marks the deltas of a block whose whole is event i. Where anything
// stands between the first of them and the whole that first one stays: blocks
// are in the order of their first ids.
func (s *superseding) replace(b *blockState, i int) {
	gone := b.deltas
	if len(gone) > 0 && !b.placed && i-gone[0] != len(gone) {
		gone = gone[1:]
	}
	for _, d := range gone {
		s.f.parts[d].superseded = true
	}
	b.deltas, b.placed = b.deltas[:0], true
}
