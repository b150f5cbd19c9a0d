package store

import (
	"encoding/json"
	"strings"
	"time"
)

// Limits of what is kept of one turn beside its events.
const (
	// ToolCallsMax is far more than a turn of hours makes; calls beyond it are
	// counted and nothing else.
	ToolCallsMax = 10_000
	// TurnUsageBytesMax bounds the usage. Agents report a few numbers per
	// model; what is longer stays in the log alone.
	TurnUsageBytesMax = 16 << 10
	// TurnErrorBytesMax bounds the error, for lists show it.
	TurnErrorBytesMax = 8 << 10
	// turnLabelBytesMax bounds names and ids that the agent chose.
	turnLabelBytesMax = 256
	// numberBytesMax is more than any number has that means money.
	numberBytesMax = 64
)

// TurnState is queued, open or ended.
type TurnState string

// The states of a turn.
const (
	TurnQueued TurnState = "queued" // asked for, not begun
	TurnOpen   TurnState = "open"
	TurnEnded  TurnState = "ended"
)

// The reasons of a turn's end that turn_end need not give.
const (
	reasonDone  = "done"
	reasonError = "error"
)

// Turn is one request to an agent and what came of it: a fold of the events
// that name it. It is pure, so that the same log always gives the same turn.
//
// encoding/json gives the form in which engines keep a turn between two
// events, and takes it up again; it is not the one on the wire, which is
// TurnObject. A Turn is not safe for concurrent use, and a copy of the struct
// must not be applied to; Clone makes one that may.
type Turn struct {
	Session string    `json:"session"`
	ID      string    `json:"id"`
	State   TurnState `json:"state"`

	Prompt   string `json:"prompt,omitempty"` // of its first prompt, else of its turn_start
	PromptID int64  `json:"promptId,omitempty"`
	Source   string `json:"source,omitempty"`
	Images   int    `json:"images,omitempty"`
	Agent    string `json:"agent,omitempty"`

	First int64 `json:"first"` // ids of its first and last event
	Last  int64 `json:"last"`
	EndID int64 `json:"endId,omitempty"` // of its turn_end; 0 before

	QueuedAt  time.Time `json:"queuedAt,omitzero"`  // when it was asked for; zero when nobody asked before it began
	StartedAt time.Time `json:"startedAt,omitzero"` // zero when it never began
	EndedAt   time.Time `json:"endedAt,omitzero"`

	Success bool   `json:"success,omitempty"`
	Reason  string `json:"reason,omitempty"` // done, error, stopped, abandoned, exit or the producer's own word
	Error   string `json:"error,omitempty"`

	// Text is what the agent said, without its sub-agents: the text blocks of
	// no parent in the order of their first deltas, with textSeparator between
	// them; when there are none, turn_end's fullText. It is at most
	// TurnTextBytesMax long; with TextCut it is the beginning of more.
	Text    string `json:"text,omitempty"`
	TextCut bool   `json:"textCut,omitempty"`

	Tools     []ToolCall `json:"tools,omitempty"` // in the order of their first events; at most ToolCallsMax
	ToolCount int        `json:"toolCount,omitempty"`

	Usage   json.RawMessage `json:"usage,omitempty"` // an object, as said last; or nil
	CostUSD json.Number     `json:"costUsd,omitempty"`

	clock turnClock
	said  turnText
	cache *turnCache // what can be made again; or nil
}

// ToolCall is one call of a tool. A call whose end nobody told ended with its
// turn; one whose start nobody told has an end only and took no time.
type ToolCall struct {
	ID        string    `json:"id,omitempty"`
	Name      string    `json:"name,omitempty"`
	Parent    string    `json:"parent,omitempty"`
	Start     int64     `json:"start,omitempty"` // ids of its first tool_start and of what ended it
	End       int64     `json:"end,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	IsError   bool      `json:"isError,omitempty"`
}

// running reports whether the call takes time.
func (c *ToolCall) running() bool { return c.Start != 0 && c.End == 0 }

// NewTurn returns a turn without events.
func NewTurn(session, id string) *Turn { return &Turn{Session: session, ID: id, State: TurnQueued} }

// Apply folds the next event of the turn: the caller passes over those of
// other turns. It takes any log and any data; what makes no sense changes
// nothing but First and Last.
func (t *Turn) Apply(e *Event) {
	first := t.First == 0
	if first {
		t.First = e.ID
	}
	t.Last = e.ID
	if t.State == TurnEnded { // what comes late adds to the bill, not to the turn
		if e.Type == TypeUsage {
			t.bill(e, e.Data)
		}
		return
	}
	now := t.clock.tick(e.Time, first)
	if ofAgent(e.Type) && !t.clock.Heard {
		t.hear(now)
	}
	switch e.Type {
	case TypeTextDelta, TypeText, TypeThinkingDelta, TypeThinking:
		t.say(e)
	case TypeToolStart:
		t.startTool(e, now)
	case TypeToolResult:
		t.endTool(e, now)
	case TypePermissionRequest, TypePermissionResponse:
		t.clock.ask(e)
	case TypeUsage:
		t.bill(e, e.Data)
	case TypePrompt:
		t.ask(e, now)
	case TypeTurnStart:
		t.start(e, now)
	case TypeTurnEnd:
		t.end(e, now)
	}
}

// ask applies a prompt. Only the first one is the turn's own, and none if its
// turn_start had one; what is injected later is told by the log.
func (t *Turn) ask(e *Event, now int64) {
	t.said.close(e)
	if t.PromptID != 0 || t.Prompt != "" {
		return
	}
	t.PromptID, t.Prompt = e.ID, e.Text("text")
	t.Source = label(e.Text("source"))
	var images []json.RawMessage
	if json.Unmarshal(e.Field("images"), &images) == nil { // what is no list has none
		t.Images = len(images)
	}
	if t.State == TurnQueued {
		t.QueuedAt = fromMilli(now)
	}
}

// start applies turn_start. What was heard of the turn before it took no time
// of the turn: the producer says when it began.
func (t *Turn) start(e *Event, now int64) {
	t.said.close(e)
	if t.State != TurnQueued {
		return
	}
	t.State = TurnOpen
	t.begin(now)
	if t.Prompt == "" {
		t.Prompt = e.Text("prompt")
	}
	t.Agent = label(e.Text("agent"))
}

// begin starts the turn's clock.
func (t *Turn) begin(now int64) {
	t.clock.begin(now)
	t.StartedAt = fromMilli(now)
}

// hear notes the first event of the agent.
func (t *Turn) hear(now int64) {
	if !t.clock.Begun {
		t.begin(now)
	}
	t.clock.Heard = true
}

// end applies turn_end. The time of a turn that never began is none.
func (t *Turn) end(e *Event, now int64) {
	if !t.clock.Begun {
		t.clock.begin(now)
	}
	t.State, t.EndID, t.EndedAt = TurnEnded, e.ID, fromMilli(now)
	t.clock.stop()
	for i := range t.Tools {
		if c := &t.Tools[i]; c.running() {
			c.End, c.EndedAt = e.ID, t.EndedAt
		}
	}
	t.Success = string(e.Field("success")) == "true"
	if t.Reason = label(e.Text("reason")); t.Reason == "" {
		t.Reason = reasonError
		if t.Success {
			t.Reason = reasonDone
		}
	}
	t.Error = cutText(errorText(e.Field("error")), TurnErrorBytesMax)
	if t.Text == "" && !t.TextCut {
		if full := e.Text("fullText"); full != "" {
			t.Text = cutText(full, TurnTextBytesMax)
			t.TextCut = len(t.Text) < len(full)
		}
	}
	t.bill(e, e.Field("usage"))
	t.said, t.cache = turnText{}, nil // nothing is said any more
}

// errorText reads an error, which is a text or an object with a message.
func errorText(value []byte) string {
	if s := text(value); s != "" {
		return s
	}
	return text(field(value, "message"))
}

// bill takes usage and cost; what was said last holds. What a sub-agent used
// is in the sum of its parent, or else in the log.
func (t *Turn) bill(e *Event, usage []byte) {
	if e.Parent != "" {
		return
	}
	if len(usage) > 0 && usage[0] == '{' && len(usage) <= TurnUsageBytesMax {
		// Encoded once here, it stays the same however often the turn is
		// stored and loaded.
		if b, err := json.Marshal(json.RawMessage(usage)); err == nil {
			t.Usage = b
		}
	}
	cost := e.Field("costUsd")
	if len(cost) > 0 && len(cost) <= numberBytesMax && (cost[0] == '-' || cost[0] >= '0' && cost[0] <= '9') && json.Valid(cost) {
		t.CostUSD = json.Number(cost)
	}
}

// ofAgent reports whether an event of this type came from the agent, not from
// those who use it, nor from the server.
func ofAgent(typ string) bool {
	switch typ {
	case TypePrompt, TypeTurnStart, TypeTurnEnd, TypeStopTurn, TypePermissionResponse, TypeKontaskChosen, TypeRedacted, TypeSessionClosed:
		return false
	}
	return true
}

// promptBriefBytes is how much of its prompt a turn shows in a list.
const promptBriefBytes = 2 << 10

// Brief leaves out what a list of turns does not show: the text, the tools one
// by one, and what is long of the prompt.
func (t *Turn) Brief() {
	t.Text, t.Tools, t.Prompt = "", nil, cutText(t.Prompt, promptBriefBytes)
}

// Clone returns a copy that shares nothing that Apply changes.
func (t *Turn) Clone() *Turn {
	c := *t
	c.Tools = append([]ToolCall(nil), t.Tools...)
	c.clock.Asked = append([]string(nil), t.clock.Asked...)
	c.said.Blocks = append([]textBlock(nil), t.said.Blocks...)
	c.cache = nil
	return &c
}

// turnCache holds what is derived from a turn to find things in it.
type turnCache struct {
	text   strings.Builder // gives Text without copying it
	buf    []byte          // for text that has to be unescaped
	blocks map[string]int  // text blocks that have a name
	calls  map[string]int  // tool calls that have an id
}

func (t *Turn) cached() *turnCache {
	if t.cache == nil {
		c := &turnCache{blocks: map[string]int{}, calls: map[string]int{}}
		c.text.WriteString(t.Text)
		for i := range t.said.Blocks {
			if key := t.said.Blocks[i].Key; key != "" {
				c.blocks[key] = i
			}
		}
		for i := range t.Tools {
			if id := t.Tools[i].ID; id != "" {
				c.calls[id] = i
			}
		}
		t.cache = c
	}
	return t.cache
}

// label bounds a word that the agent chose.
func label(s string) string { return cutText(s, turnLabelBytesMax) }
