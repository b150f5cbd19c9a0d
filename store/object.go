package store

import "encoding/json"

// SessionObject is a session as it stands on the wire (PROTOCOL.md 7.1).
type SessionObject struct {
	ID         string          `json:"id"`
	Epoch      string          `json:"epoch"`
	Head       int64           `json:"head"`
	Floor      int64           `json:"floor"`
	Bytes      int64           `json:"bytes"`
	State      string          `json:"state"`
	Title      string          `json:"title"`
	Scope      string          `json:"scope"`
	Tags       []string        `json:"tags"`
	Meta       json.RawMessage `json:"meta"` // an object
	Turn       string          `json:"turn,omitempty"`
	Queued     int             `json:"queued"`    // prompts that wait
	Questions  int             `json:"questions"` // that nobody has answered
	Notable    int64           `json:"notable"`   // id of the last event that asks for a person
	AgentID    string          `json:"agentId,omitempty"`
	ForkedFrom *Origin         `json:"forkedFrom,omitempty"` // or nil
	Retention  *Keep           `json:"retention,omitempty"`  // what it keeps, where that is its own; or nil
	Quota      *QuotaObject    `json:"quota,omitempty"`      // of a session that is asked for by itself; or nil
	CreatedAt  Stamp           `json:"createdAt"`
	UpdatedAt  Stamp           `json:"updatedAt"`
}

// Object returns the session as it stands on the wire.
func (s *Session) Object() SessionObject {
	o := SessionObject{
		ID: s.ID, Epoch: s.Epoch, Head: s.Head, Floor: s.Floor, Bytes: s.Bytes, State: s.State(),
		Title: s.Title, Scope: s.Scope, Tags: s.Tags, Meta: s.Meta, Turn: s.Turn,
		Queued: len(s.Queue()), Questions: len(s.Questions()), Notable: s.Notable, ForkedFrom: s.ForkedFrom, Retention: s.Retention,
		CreatedAt: Stamp{s.CreatedAt}, UpdatedAt: Stamp{s.UpdatedAt},
	}
	if s.Open != nil {
		o.AgentID = s.Open.AgentID
	}
	if o.Tags == nil {
		o.Tags = []string{}
	}
	if o.Meta == nil {
		o.Meta = json.RawMessage("{}")
	}
	return o
}

// Spec returns the part of the session that a client sets.
func (o *SessionObject) Spec() SessionSpec {
	return SessionSpec{Title: o.Title, Scope: o.Scope, Tags: o.Tags, Meta: o.Meta, Retention: o.Retention}
}

// The reasons for which a session waits for a subject.
const (
	ReasonWaiting  = "waiting" // an open question, seen or not
	ReasonFinished = "finished"
	ReasonFailed   = "failed"
	ReasonKontask  = "kontask"
)

// InboxObject is a session that waits for a subject, and why, as it stands on
// the wire (PROTOCOL.md 7.7).
type InboxObject struct {
	Session  SessionObject `json:"session"`
	Seen     int64         `json:"seen"`
	Reasons  []string      `json:"reasons"`
	Ended    *Ending       `json:"ended,omitempty"` // the turn that ended last, if that was not seen; or nil
	Kontasks []Card        `json:"kontasks"`        // those not seen
	// Questions are all that are open: one that was seen waits all the same.
	Questions []Question `json:"questions"`
}

// Object returns the item as it stands on the wire.
func (i *InboxItem) Object() InboxObject {
	s := &i.Session
	o := InboxObject{Session: s.Object(), Seen: i.Seen, Reasons: []string{}, Kontasks: []Card{}, Questions: []Question{}}
	if questions := s.Questions(); len(questions) > 0 {
		o.Questions = questions
		o.Reasons = append(o.Reasons, ReasonWaiting)
	}
	if s.Open == nil {
		return o
	}
	if ended := s.Open.Ended; ended != nil && ended.ID > i.Seen {
		o.Ended = ended
		reason := ReasonFinished
		if !ended.Success {
			reason = ReasonFailed
		}
		o.Reasons = append(o.Reasons, reason)
	}
	for _, card := range s.Open.Kontasks {
		if card.Ready > i.Seen {
			o.Kontasks = append(o.Kontasks, card)
		}
	}
	if len(o.Kontasks) > 0 {
		o.Reasons = append(o.Reasons, ReasonKontask)
	}
	return o
}
