package store

import (
	"slices"
	"time"
)

// Timing says where the time of a turn went. Each moment counts once: until
// the agent is first heard of it is TTFE, then waiting for an answer beats
// running a tool, and what is left is thinking. So TotalMs is the sum of
// TTFEMs, ThinkingMs, ToolExecutionMs and WaitingMs.
type Timing struct {
	TotalMs         int64 `json:"totalMs"`
	QueueMs         int64 `json:"queueMs"` // between the prompt and the start; not part of the total
	TTFEMs          int64 `json:"ttfeMs"`  // time to first event
	ThinkingMs      int64 `json:"thinkingMs"`
	ToolExecutionMs int64 `json:"toolExecutionMs"`
	WaitingMs       int64 `json:"waitingMs"`
	ToolCallCount   int   `json:"toolCallCount"`
	ThinkingPct     int   `json:"thinkingPct"` // of the total, rounded
	ToolsPct        int   `json:"toolsPct"`
	TTFEPct         int   `json:"ttfePct"`
}

// Timing returns the timing of a turn up to now; of one that has ended, up to
// its end. A turn begins with its turn_start, or else with the first event of
// its agent.
func (t *Turn) Timing(now time.Time) Timing {
	c := t.clock
	if t.State != TurnEnded {
		c.tick(now, t.First == 0)
	}
	m := Timing{ToolCallCount: t.ToolCount}
	if c.Begun {
		m.TotalMs = c.Now - c.Start
		m.TTFEMs, m.ToolExecutionMs, m.WaitingMs = c.TTFE, c.Tools, c.Waiting
		m.ThinkingMs = m.TotalMs - m.TTFEMs - m.ToolExecutionMs - m.WaitingMs
		m.ThinkingPct, m.ToolsPct, m.TTFEPct = percent(m.ThinkingMs, m.TotalMs), percent(m.ToolExecutionMs, m.TotalMs), percent(m.TTFEMs, m.TotalMs)
	}
	if !t.QueuedAt.IsZero() {
		start := c.Now
		if c.Begun {
			start = c.Start
		}
		m.QueueMs = max(0, start-t.QueuedAt.UnixMilli()) // asked for after it was heard of
	}
	return m
}

// percent rounds to whole percents.
func percent(part, total int64) int {
	if total <= 0 {
		return 0
	}
	return int((200*part + total) / (2 * total)) // far from overflow: clockMax bounds both
}

// turnClock splits the time of a turn as it passes, in Unix milliseconds. It
// never runs backwards, even if the server's clock was set back.
type turnClock struct {
	Now     int64    `json:"now,omitempty"` // of the newest event
	Start   int64    `json:"start,omitempty"`
	Begun   bool     `json:"begun,omitempty"`
	Heard   bool     `json:"heard,omitempty"`   // of the agent, since it began
	Running int      `json:"running,omitempty"` // tool calls
	Asked   []string `json:"asked,omitempty"`   // the open questions, oldest first; at most QuestionsMax
	TTFE    int64    `json:"ttfe,omitempty"`
	Tools   int64    `json:"tools,omitempty"`
	Waiting int64    `json:"waiting,omitempty"`
}

// Times outside of these years cannot be written; such an event keeps the time
// of the one before.
var (
	clockMin = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	clockMax = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli()
)

// tick moves the clock to t and gives the time that has passed to what was
// going on. It returns the clock's time. first is for the turn's first event.
func (c *turnClock) tick(t time.Time, first bool) int64 {
	now := t.UnixMilli()
	if sec := t.Unix(); sec < clockMin/1000 || sec > clockMax/1000 || now < c.Now && !first {
		now = c.Now
	}
	passed := now - c.Now
	c.Now = now
	switch {
	case !c.Begun || first:
	case !c.Heard:
		c.TTFE += passed
	case len(c.Asked) > 0:
		c.Waiting += passed
	case c.Running > 0:
		c.Tools += passed
	}
	return now
}

// begin starts the clock anew. What runs and what is asked stays.
func (c *turnClock) begin(now int64) {
	c.Begun, c.Start, c.Heard = true, now, false
	c.TTFE, c.Tools, c.Waiting = 0, 0, 0
}

// stop keeps what Timing needs of a turn that has ended.
func (c *turnClock) stop() { c.Running, c.Asked = 0, nil }

// ask opens or closes a question.
func (c *turnClock) ask(e *Event) {
	id := label(e.RequestID())
	if id == "" {
		return
	}
	c.Asked = without(c.Asked, func(asked string) bool { return asked == id })
	if e.Type == TypePermissionRequest {
		c.Asked = newest(append(slices.Clip(c.Asked), id), QuestionsMax)
	}
}

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// startTool applies tool_start. Agents say it twice when the input comes after
// the name: it is the same call.
func (t *Turn) startTool(e *Event, now int64) {
	if len(e.Data) == 0 || e.From != 0 { // redacted, or deltas of an input
		return
	}
	t.said.close(e)
	var id, name string
	scanFields(e.Data, func(key, value []byte) {
		switch {
		case isName(key, "id"):
			id = scalarText(value)
		case isName(key, "name"):
			name = label(text(value))
		}
	})
	if i := t.call(id); i >= 0 {
		if c := &t.Tools[i]; c.Name == "" {
			c.Name = name
		}
		return
	}
	if t.addCall(ToolCall{ID: id, Name: name, Parent: label(e.Parent), Start: e.ID, StartedAt: fromMilli(now)}) {
		t.clock.Running++
	}
}

// endTool applies tool_result. Without an id it ends the oldest call that has
// none.
func (t *Turn) endTool(e *Event, now int64) {
	if len(e.Data) == 0 {
		return
	}
	var id, name string
	var isError bool
	scanFields(e.Data, func(key, value []byte) {
		switch {
		case isName(key, "id"):
			id = scalarText(value)
		case isName(key, "name"):
			name = label(text(value))
		case isName(key, "isError"):
			isError = string(value) == "true"
		}
	})
	i := t.call(id)
	if id == "" {
		i = slices.IndexFunc(t.Tools, func(c ToolCall) bool { return c.ID == "" && c.running() })
	}
	if i < 0 {
		if len(t.Tools) < ToolCallsMax { // beyond it this is most likely the end of a call that was counted
			t.addCall(ToolCall{ID: id, Name: name, Parent: label(e.Parent), End: e.ID, EndedAt: fromMilli(now), IsError: isError})
		}
		return
	}
	c := &t.Tools[i]
	if c.Name == "" {
		c.Name = name
	}
	if c.running() {
		c.End, c.EndedAt, c.IsError = e.ID, fromMilli(now), isError
		t.clock.Running--
	}
}

// call returns the index of the call with this id, or -1.
func (t *Turn) call(id string) int {
	if i, ok := t.cached().calls[id]; ok && id != "" {
		return i
	}
	return -1
}

// addCall counts a call, and reports whether it was kept as well.
func (t *Turn) addCall(c ToolCall) bool {
	t.ToolCount++
	if len(t.Tools) >= ToolCallsMax {
		return false
	}
	t.Tools = append(t.Tools, c)
	if c.ID != "" {
		t.cached().calls[c.ID] = len(t.Tools) - 1
	}
	return true
}

// scalarText reads an id, which is a string as a rule and sometimes a number.
func scalarText(value []byte) string {
	if len(value) > 0 && value[0] != '"' && scalar(value) {
		return label(string(value))
	}
	return label(text(value))
}
