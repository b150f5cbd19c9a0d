package main

import (
	"strings"
	"time"
	"unicode/utf16"

	"github.com/konlog/konlog/store"
)

// pace is how a text came, delta by delta.
type pace struct {
	start time.Time
	last  time.Time
	pairs []int64 // see replayEvent
}

func (p *pace) add(at time.Time, text string) {
	n := utf16Len(text)
	if len(p.pairs) > 0 && at.Sub(p.last) < paceMin {
		p.pairs[len(p.pairs)-1] += n
		return
	}
	if len(p.pairs) == 0 {
		p.start, p.last = at, at
	}
	p.pairs = append(p.pairs, at.Sub(p.last).Milliseconds(), n)
	p.last = at
}

// utf16Len is the length of s as a browser counts it.
func utf16Len(s string) (n int64) {
	for _, r := range s {
		n += int64(max(1, utf16.RuneLen(r)))
	}
	return n
}

// paceOfRun is how the deltas came that a fold has joined.
func paceOfRun(run []store.Event) *pace {
	var p pace
	for i := range run {
		p.add(run[i].Time, run[i].Text("text"))
	}
	return &p
}

// pacer finds how the text of a whole came, for a fold leaves out the deltas
// that a whole supersedes.
type pacer struct {
	found  map[int64]*pace // by the id of the whole
	blocks map[paceKey]*block
}

// paceKey names a block of text. What it tells apart wrongly does no harm: the
// pace of a whole is taken only when its text begins with what the deltas said.
type paceKey struct {
	typ, turn, parent, block string
}

// block gathers the deltas until their whole comes.
type block struct {
	pace
	text strings.Builder
}

// pacesOfWholes returns the paces by the ids of the wholes.
func pacesOfWholes(events []store.Event) map[int64]*pace {
	p := pacer{found: map[int64]*pace{}, blocks: map[paceKey]*block{}}
	for i := range events {
		p.see(&events[i])
	}
	return p.found
}

func (p *pacer) see(e *store.Event) {
	text := paceKey{typ: store.TypeText, turn: e.Turn, parent: e.Parent} // the open block without a name
	thinking := paceKey{typ: store.TypeThinking, turn: e.Turn, parent: e.Parent}
	switch e.Type {
	case store.TypeTextDelta, store.TypeText:
		delete(p.blocks, thinking)
		text.block = string(e.Field("block"))
		p.text(e, text)
	case store.TypeThinkingDelta, store.TypeThinking:
		delete(p.blocks, text)
		thinking.block = string(e.Field("block"))
		p.text(e, thinking)
	case store.TypePrompt, store.TypeTurnStart, store.TypeTurnEnd, store.TypeToolStart:
		delete(p.blocks, text)
		delete(p.blocks, thinking)
	}
}

func (p *pacer) text(e *store.Event, key paceKey) {
	text, b := e.Text("text"), p.blocks[key]
	if e.Type != key.typ { // a delta
		if b == nil {
			b = &block{}
			p.blocks[key] = b
		}
		b.add(e.Time, text)
		b.text.WriteString(text)
		return
	}
	delete(p.blocks, key)
	if b != nil && strings.HasPrefix(text, b.text.String()) {
		p.found[e.ID] = &b.pace
	}
}
