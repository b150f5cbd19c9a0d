package api

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Limits of what a lens remembers.
const (
	// viewRecall is how many events before its cursor a reader's lens looks
	// at: the deltas of a block stand close before the whole of it.
	viewRecall = 512
	// viewBlocksMax bounds the blocks whose whole is awaited: as many agents
	// may write at the same time. The oldest goes first; its whole would then
	// be shown beside its deltas.
	viewBlocksMax = 128
)

// view is one column of the table: the log in one seed's shapes.
type view struct {
	name    string
	unknown cell // of a type that the table does not have
	recall  int
	status  func(stream.Status) any // what the status frame becomes; nil leaves it
	named   bool                    // its event stream is named by type
	reads   bool                    // it may be read without a session: then it shows the feed
	cells   map[string]cell
	feed    map[string]cell // of events in the feed; nil: as elsewhere
}

var _ stream.View = (*view)(nil)

func newView(v view, column func(*viewRow) cell) *view {
	v.cells = make(map[string]cell, len(viewRows))
	for i := range viewRows {
		v.cells[viewRows[i].event] = column(&viewRows[i])
	}
	if v.reads {
		v.feed = make(map[string]cell, len(viewRows))
		for i := range viewRows {
			v.feed[viewRows[i].event] = viewRows[i].feed
		}
	}
	return &v
}

func (v *view) cell(e *store.Event) cell {
	cells, unknown := v.cells, v.unknown
	if v.feed != nil && e.Session == store.FeedSession {
		cells, unknown = v.feed, ofFeed()
	}
	if c, ok := cells[e.Type]; ok {
		return c
	}
	return unknown
}

// Lens returns what shows the events of one subscription.
func (v *view) Lens() stream.Lens { return &lens{view: v} }

// Recall is how many events before its cursor a lens wants to know.
func (v *view) Recall() int { return v.recall }

// viewFailure is an error frame with the member by which the seeds' clients
// show it. It has no seq, by which it is told from an agent's own error.
type viewFailure struct {
	stream.Failure
	Error string `json:"error"`
}

// Control gives a control frame the view's shape.
func (v *view) Control(frame any) any {
	switch f := frame.(type) {
	case stream.Status:
		if v.status != nil {
			return v.status(f)
		}
	case stream.Failure:
		return viewFailure{f, f.Detail}
	}
	return frame
}

// stateOnly is the console's status.
func stateOnly(s stream.Status) any {
	return struct {
		Type    string `json:"type"`
		State   string `json:"state"`
		Session string `json:"session"`
		Turn    string `json:"turn,omitempty"`
	}{s.Type, s.State, s.Session, s.Turn}
}

// activityOnly is the dashboard's status.
func activityOnly(s stream.Status) any {
	return struct {
		Type       string `json:"type"`
		TurnActive bool   `json:"turnActive"`
		Elapsed    int64  `json:"elapsed"`
		Session    string `json:"session"`
		Turn       string `json:"turn,omitempty"`
	}{s.Type, s.TurnActive, s.Elapsed, s.Session, s.Turn}
}

// lens shows the events of one session to one reader.
type lens struct {
	view  *view
	agent string  // the agent's own session id, once it has told it
	grown []block // whose deltas were shown and whose whole has not come
}

// block names a block of text within a session. One without a name is the open
// one of its turn and parent, as store.Fold has it.
type block struct{ turn, parent, name string }

func blockOf(e *store.Event) block { return block{e.Turn, e.Parent, string(e.Field("block"))} }

// Recall learns what a reader that comes back has been shown.
func (l *lens) Recall(s *store.Session, before []store.Event) {
	if s.Open != nil {
		l.agent = s.Open.AgentID
	}
	for i := range before {
		if before[i].Redacted() {
			continue
		}
		l.shows(l.view.cell(&before[i]), &before[i])
	}
}

// shows reports whether the event is shown, and notes that it was. A client
// that puts every piece of text after the other gets each block once: its
// deltas as they come, or the whole when there were none.
func (l *lens) shows(c cell, e *store.Event) bool {
	switch e.Type {
	case store.TypeSessionInit:
		l.agent = e.Text("sessionId")
	case store.TypeThinkingDelta, store.TypeThinking, store.TypeToolStart, store.TypePrompt, store.TypeTurnStart, store.TypeTurnEnd:
		l.ends(block{e.Turn, e.Parent, ""})
	}
	if !c.delta && !c.whole {
		return true
	}
	b := blockOf(e)
	if b.name != "" {
		l.ends(block{e.Turn, e.Parent, ""})
	}
	if c.whole {
		return !l.ends(b)
	}
	l.grow(b)
	return true
}

// ends forgets a block, and reports whether its deltas were shown.
func (l *lens) ends(b block) bool {
	i := slices.Index(l.grown, b)
	if i < 0 {
		return false
	}
	l.grown = slices.Delete(l.grown, i, i+1)
	return true
}

func (l *lens) grow(b block) {
	if slices.Contains(l.grown, b) {
		return
	}
	if len(l.grown) >= viewBlocksMax {
		l.grown = slices.Delete(l.grown, 0, 1)
	}
	l.grown = append(l.grown, b)
}

// AppendEvent appends the event's frame: its type, the members of data, and
// where it stands in the log.
func (l *lens) AppendEvent(dst []byte, e *store.Event) (frame []byte, typ string) {
	c := l.view.cell(e)
	if !l.shows(c, e) {
		return dst, ""
	}
	typ = c.name(e)
	dst = append(dst, `{"type":"`...)
	dst = append(append(dst, typ...), '"')
	if c.fixed != "" {
		dst = append(append(dst, ','), c.fixed...)
	}
	switch {
	case c.wrap:
		dst = append(append(dst, `,"event":"`...), e.Type...)
		dst = append(append(dst, `","data":`...), dataOf(e)...)
	default:
		dst = l.appendMembers(dst, c, e)
	}
	if e.Parent != "" {
		dst = appendText(dst, "parent", e.Parent)
	}
	dst = strconv.AppendInt(append(dst, `,"seq":`...), e.ID, 10)
	dst = appendText(dst, "session", e.Session)
	if e.Turn != "" {
		dst = appendText(dst, "turn", e.Turn)
	}
	return append(dst, '}'), typ
}

// dataOf is the event's data; of one without any it is null.
func dataOf(e *store.Event) []byte {
	if len(e.Data) == 0 {
		return []byte("null")
	}
	return e.Data
}

// name is the type of the event's frame.
func (c *cell) name(e *store.Event) string {
	if c.inject != "" {
		if source := e.Text("source"); source != "" && source != "user" {
			return c.inject
		}
	}
	if c.typ != "" {
		return c.typ
	}
	return e.Type
}

// appendMembers appends the members of data, as they are but for their names.
// What cannot lie flat beside the frame's own members comes once more, whole
// and untouched, as the member data: nothing is lost.
func (l *lens) appendMembers(dst []byte, c cell, e *store.Event) []byte {
	data := dataOf(e)
	start := len(dst)
	var seen [2]bool // of c.ensure, which has two at most
	clash := data[0] != '{' && string(data) != "null"
	if data[0] == '{' {
		err := eachMember(data, func(name string, value []byte) error {
			to, ok := c.place(name)
			switch {
			case repeats(name, value, e):
			case !ok:
				clash = true
			default:
				dst = append(appendString(append(dst, ','), to), ':')
				dst = append(dst, value...)
				if i := slices.Index(c.ensure, to); i >= 0 {
					seen[i] = true
				}
			}
			return nil
		})
		if err != nil { // an engine has checked it; a reader gets it as it is in any case
			dst, clash = dst[:start], true
		}
	}
	for i, name := range c.ensure {
		if value := l.derived(name, e); value != "" && !seen[i] {
			dst = appendText(dst, name, value)
		}
	}
	if clash {
		dst = append(append(dst, `,"data":`...), data...)
	}
	return dst
}

// place is where a member of data stands in the frame; ok is false when
// something else stands there.
func (c *cell) place(name string) (to string, ok bool) {
	for i := 0; i < len(c.rename); i += 2 {
		switch name {
		case c.rename[i]:
			return c.rename[i+1], true
		case c.rename[i+1]:
			return "", false
		}
	}
	switch name {
	case "type", "seq", "session", "turn", "parent", "data":
		return "", false
	}
	return name, c.fixed == "" || !strings.HasPrefix(c.fixed, `"`+name+`":`)
}

// repeats reports whether the member says what the frame says anyway.
func repeats(name string, value []byte, e *store.Event) bool {
	own := ""
	switch name {
	case "session":
		own = e.Session
	case "turn":
		own = e.Turn
	}
	if own == "" {
		return false
	}
	s, err := stringValue(name, value)
	return err == nil && s == own
}

// derived is a member that the frame has even if data does not.
func (l *lens) derived(name string, e *store.Event) string {
	switch name {
	case "requestId":
		return e.Turn
	case "kontaskId":
		return e.KontaskID()
	case "sessionId":
		if l.agent != "" {
			return l.agent
		}
	}
	return e.Session
}

func appendText(dst []byte, name, value string) []byte {
	dst = append(appendString(append(dst, ','), name), ':')
	return appendString(dst, value)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("api: a string did not encode: " + err.Error()) // encoding/json encodes every string
			}
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
