package agent

import (
	"encoding/json"
	"math"
	"time"
)

// times are the members in which agents state when a line was written, in the
// order in which they are believed.
type times struct {
	TMs        json.RawMessage `json:"t_ms"`        // milliseconds since the recording began
	Timestamp  json.RawMessage `json:"timestamp"`   // RFC 3339 or milliseconds since 1970
	RecordedAt json.RawMessage `json:"recorded_at"` // microseconds since 1970
	Time       json.RawMessage `json:"time"`        // RFC 3339 or milliseconds since 1970
}

// LineTime returns when a line says that it was written, as a distance from an
// origin that is the same for all lines of one file.
func LineTime(line []byte) (time.Duration, bool) {
	var t times
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &t) != nil {
		return 0, false
	}
	if at, ok := number(t.TMs, time.Millisecond); ok {
		return at, true
	}
	if at, ok := stamp(t.Timestamp); ok {
		return at, true
	}
	if at, ok := number(t.RecordedAt, time.Microsecond); ok {
		return at, true
	}
	return stamp(t.Time)
}

// stamp reads RFC 3339 text or a number of milliseconds.
func stamp(value json.RawMessage) (time.Duration, bool) {
	var at time.Time
	if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &at) == nil {
		return time.Duration(at.UnixNano()), true
	}
	return number(value, time.Millisecond)
}

func number(value json.RawMessage, unit time.Duration) (time.Duration, bool) {
	if len(value) == 0 || value[0] == '"' {
		return 0, false
	}
	var f *float64
	if json.Unmarshal(value, &f) != nil || f == nil {
		return 0, false
	}
	ns := *f * float64(unit)
	if math.Abs(ns) >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(ns), true
}

// Pacer turns the times of lines into waits. Lines without a time follow the
// one before; a time that goes back waits for nothing.
type Pacer struct {
	Factor float64       // 2 is twice as fast
	GapMax time.Duration // no wait is longer, before Factor is applied; 0 means no bound

	started bool
	last    time.Duration
}

// Gap returns how long after the line before it this line is due.
func (p *Pacer) Gap(line []byte) time.Duration {
	at, ok := LineTime(line)
	if !ok {
		return 0
	}
	gap := at - p.last
	first := !p.started
	p.started = true
	if first || gap > 0 {
		p.last = at
	}
	if first || gap <= 0 {
		return 0
	}
	if p.GapMax > 0 {
		gap = min(gap, p.GapMax)
	}
	return time.Duration(float64(gap) / p.Factor)
}
