package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// storedTurn is the form of a Turn that engines keep: all of it, also what
// Apply needs to go on.
type storedTurn struct {
	*plainTurn
	Clock *turnClock `json:"clock"`
	Said  *turnText  `json:"said"`
}

// plainTurn is Turn without its methods.
type plainTurn Turn

// MarshalJSON encodes the turn for UnmarshalJSON. An ended one may be stored
// without its Text; of an open one the text is part of the fold.
func (t *Turn) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedTurn{(*plainTurn)(t), &t.clock, &t.said})
}

// UnmarshalJSON takes up what MarshalJSON encoded: applying further events
// gives the same as if there had been no stop.
func (t *Turn) UnmarshalJSON(b []byte) error {
	*t = Turn{}
	if err := json.Unmarshal(b, &storedTurn{(*plainTurn)(t), &t.clock, &t.said}); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	if !t.said.fits(len(t.Text)) { // a text that others took out cannot be gone on with
		t.said = turnText{}
	}
	return nil
}

// TurnObject is a turn as it stands on the wire.
type TurnObject struct {
	Session   string          `json:"session"`
	Turn      string          `json:"turn"`
	State     TurnState       `json:"state"`
	Success   *bool           `json:"success,omitempty"` // or nil when it has not ended
	Reason    string          `json:"reason,omitempty"`
	Error     string          `json:"error,omitempty"`
	Prompt    string          `json:"prompt,omitempty"`
	PromptID  int64           `json:"promptId,omitempty"`
	Source    string          `json:"source,omitempty"`
	Images    int             `json:"images,omitempty"`
	Agent     string          `json:"agent,omitempty"`
	First     int64           `json:"first"`
	Last      int64           `json:"last"`
	EndID     int64           `json:"endId,omitempty"`
	QueuedAt  Stamp           `json:"queuedAt,omitzero"`
	StartedAt Stamp           `json:"startedAt,omitzero"`
	EndedAt   Stamp           `json:"endedAt,omitzero"`
	Timing    Timing          `json:"timing"`
	ToolCalls int             `json:"toolCalls"`
	Tools     []ToolObject    `json:"tools"` // fewer than ToolCalls when there are more than ToolCallsMax
	Text      string          `json:"text,omitempty"`
	TextCut   bool            `json:"textCut,omitempty"`
	Usage     json.RawMessage `json:"usage,omitempty"`
	CostUSD   json.Number     `json:"costUsd,omitempty"`
}

// ToolObject is a tool call as it stands on the wire.
type ToolObject struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Parent    string `json:"parent,omitempty"`
	Start     int64  `json:"start,omitempty"`
	End       int64  `json:"end,omitempty"`
	StartedAt Stamp  `json:"startedAt,omitzero"`
	EndedAt   Stamp  `json:"endedAt,omitzero"`
	IsError   bool   `json:"isError,omitempty"`
}

// Object returns the turn as it stands on the wire. An open turn is timed up
// to now.
func (t *Turn) Object(now time.Time) TurnObject {
	o := TurnObject{
		Session: t.Session, Turn: t.ID, State: t.State, Reason: t.Reason, Error: t.Error,
		Prompt: t.Prompt, PromptID: t.PromptID, Source: t.Source, Images: t.Images, Agent: t.Agent,
		First: t.First, Last: t.Last, EndID: t.EndID,
		QueuedAt: Stamp{t.QueuedAt}, StartedAt: Stamp{t.StartedAt}, EndedAt: Stamp{t.EndedAt},
		Timing: t.Timing(now), ToolCalls: t.ToolCount, Tools: make([]ToolObject, len(t.Tools)),
		Text: t.Text, TextCut: t.TextCut, Usage: t.Usage, CostUSD: t.CostUSD,
	}
	if t.State == TurnEnded {
		success := t.Success
		o.Success = &success
	}
	for i, c := range t.Tools {
		o.Tools[i] = ToolObject{c.ID, c.Name, c.Parent, c.Start, c.End, Stamp{c.StartedAt}, Stamp{c.EndedAt}, c.IsError}
	}
	return o
}

// AppendJSON appends the turn as it stands on the wire: its Object.
func (t *Turn) AppendJSON(dst []byte, now time.Time) []byte {
	b, err := json.Marshal(t.Object(now))
	if err != nil {
		panic("store: a turn did not encode: " + err.Error()) // bill lets nothing in that does not
	}
	return append(dst, b...)
}
