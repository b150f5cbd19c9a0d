package store

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Limits of one redaction.
const (
	// RedactEventsMax bounds the ids of one request: it is one transaction,
	// and appends of all sessions wait for it.
	RedactEventsMax = 1000
	// RedactBytesMax bounds, for the same reason, the content that one
	// transaction overwrites; a request that holds more takes several.
	RedactBytesMax = 4 << 20
	// ReasonBytesMax bounds the reason, which every reader gets.
	ReasonBytesMax = 512
)

// Redaction is what is left of the content of an event.
type Redaction struct {
	ID      int64
	Content Content // by which the hash chain can still be proven
	At      time.Time
	Reason  string
}

// Redactor is the ability to take the content of events out of a log.
type Redactor interface {
	// Redact drops data and raw of the events from From to To for good, and
	// with them every copy that the engine keeps. Ids, types, turns and times
	// stay. It appends an event of TypeRedacted, so that readers who have the
	// content learn of it in order; a closed session gets it too. Events that
	// retention has taken, that are redacted already, or that say what was
	// redacted, are passed over. ErrNotFound when there is no such session.
	Redact(ctx context.Context, session string, r RedactSpec) (Redacted, error)
}

// RedactSpec asks for a redaction.
type RedactSpec struct {
	From, To int64 // ids, inclusive
	Reason   string
}

// Redacted says what a redaction did.
type Redacted struct {
	ID     int64 // of the event that tells readers, the last of several; 0 when there was nothing left to redact
	Events int64 // whose content went
	// Pending says that traces of the bytes may still be on the disk: the
	// engine goes through a large database behind the answer, and cannot empty
	// its journal while somebody reads it, such as a backup.
	Pending bool
	// Forks are sessions that have inherited events of the range, at most
	// RedactForksMax: their copies are theirs to redact.
	Forks []string
}

// RedactForksMax bounds the list of Redacted.Forks.
const RedactForksMax = 100

// Check validates the request.
func (r *RedactSpec) Check() error {
	if r.From < 1 || r.To < r.From {
		return Errorf(CodeInvalidQuery, "from %d to %d is no range of ids: the first is 1, and to is not below from", r.From, r.To)
	}
	if r.To-r.From >= RedactEventsMax {
		return Errorf(CodeBatchTooLarge, "%d events are over the limit of %d for one redaction; redact them in parts", r.To-r.From+1, RedactEventsMax)
	}
	if len(r.Reason) > ReasonBytesMax {
		return Errorf(CodeInvalidQuery, "reason of %d bytes is over the limit of %d", len(r.Reason), ReasonBytesMax)
	}
	if !utf8.ValidString(r.Reason) {
		return Errorf(CodeInvalidUTF8, "reason is not valid UTF-8")
	}
	return nil
}

// Within returns the ids of the request that the session can still have. ok is
// false when there are none.
func (r *RedactSpec) Within(s *Session) (from, to int64, ok bool, err error) {
	if r.To > s.Head {
		return 0, 0, false, Errorf(CodeInvalidQuery, "event %d does not exist: the head is %d", r.To, s.Head)
	}
	from = max(r.From, s.Floor)
	return from, r.To, from <= r.To, nil
}

// Draft is the event that tells readers of a redaction.
func (r *RedactSpec) Draft(from, to int64) Draft {
	data := strconv.AppendInt([]byte(`{"from":`), from, 10)
	data = strconv.AppendInt(append(data, `,"to":`...), to, 10)
	if r.Reason != "" {
		data = appendString(append(data, `,"reason":`...), r.Reason)
	}
	return Draft{Type: TypeRedacted, Data: append(data, '}')}
}

// Redacted reports whether the event's content was redacted: every other has
// data, if only null. Readers get a gap in its place, never the event.
func (e *Event) Redacted() bool { return len(e.Data) == 0 }

// Redact returns the event without its content.
func (e Event) Redact() Event {
	e.Data, e.Raw, e.wire = nil, nil, nil
	e.Seal()
	return e
}

// Redactable reports whether a redaction takes the event's content: what is
// gone cannot go again, and what tells readers of a redaction has to stay.
func (e *Event) Redactable() bool { return !e.Redacted() && e.Type != TypeRedacted }

// Size is what the event counts against the limits of retention, in bytes.
func (e *Event) Size() int {
	return len(e.Type) + len(e.Turn) + len(e.Parent) + len(e.Data) + len(e.Raw)
}

// redact leaves what the session waits for as it is without the content of a
// range: as far as it can be told, as if the events had had none. o may be nil.
func (o *Open) redact(from, to int64) *Open {
	if o == nil {
		return nil
	}
	in := func(id int64) bool { return from <= id && id <= to }
	r := *o
	r.Prompts, r.Tasks, r.Kontasks = slices.Clone(o.Prompts), slices.Clone(o.Tasks), slices.Clone(o.Kontasks)
	for i := range r.Prompts {
		if q := &r.Prompts[i]; in(q.ID) {
			q.Text, q.Source = "", ""
		}
	}
	r.Questions = without(r.Questions, func(q Question) bool { return in(q.ID) }) // nobody can answer what nobody can read
	for i := range r.Tasks {
		if t := &r.Tasks[i]; t.ID <= to && from <= t.Last {
			t.Title, t.Status = "", ""
		}
	}
	for i := range r.Kontasks {
		if c := &r.Kontasks[i]; from <= c.ID { // which of its events said what is not known here
			*c = Card{ID: c.ID, Ready: c.Ready, KontaskID: c.KontaskID, Status: c.Status, RequestID: c.RequestID, Time: c.Time}
		}
	}
	if r.Ended != nil && in(r.Ended.ID) {
		r.Ended = &Ending{ID: r.Ended.ID, Turn: r.Ended.Turn, Time: r.Ended.Time}
	}
	return &r
}

// Redact drops from the state what it took from the content of a range.
func (s *Session) Redact(from, to int64) { s.Open = s.Open.redact(from, to) }

// Redact returns what is left of a turn when its words are taken from it: its
// ids, times and numbers, and how it ended.
func (t *Turn) Redact() *Turn {
	return &Turn{
		Session: t.Session, ID: t.ID, State: t.State, PromptID: t.PromptID, Images: t.Images,
		First: t.First, Last: t.Last, EndID: t.EndID, QueuedAt: t.QueuedAt, StartedAt: t.StartedAt, EndedAt: t.EndedAt,
		Success: t.Success, Reason: turnReason(t.Reason), ToolCount: t.ToolCount, CostUSD: t.CostUSD,
	}
}

// turnReason keeps the reasons that are not the producer's own words.
func turnReason(reason string) string {
	switch reason {
	case reasonDone, reasonError, "stopped", "exit", ReasonAbandoned:
		return reason
	}
	return ""
}

// Redact takes from a kontask what its events have said of it, but whether it
// is still being worked on, and whether something was chosen.
func (k *Kontask) Redact() {
	status := k.Text("status")
	if !unready[status] {
		status = ""
	}
	k.Record = json.RawMessage(`{"status":"` + status + `"}`)
	if k.Choice != nil {
		k.Choice = json.RawMessage("{}")
	}
}
