package store

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// SessionIDBytesMax bounds a session's id.
const SessionIDBytesMax = 128

// Limits of what a session carries beside its events.
const (
	TitleBytesMax = 512
	ScopeBytesMax = 128
	TagsMax       = 32
	TagBytesMax   = 64
	MetaBytesMax  = 16 << 10
)

// ValidSessionID reports why id cannot name a session, or nil. Ids that begin
// with an underscore are the server's own; clients may read them only.
func ValidSessionID(id string) error {
	ok := id != "" && len(id) <= SessionIDBytesMax
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = alnum || i > 0 && (c == '.' || c == '_' || c == ':' || c == '-') || i == 0 && c == '_'
	}
	if !ok {
		return Errorf(CodeInvalidSession, "session id %.160q: use a letter or digit, then at most 127 of A-Z a-z 0-9 . _ : -", id)
	}
	return nil
}

// OwnSession reports whether id is one of the server's own sessions.
func OwnSession(id string) bool { return id != "" && id[0] == '_' }

// Session is what is known of a log beside its events.
type Session struct {
	ID        string
	Epoch     string // changes when the history was replaced
	Head      int64  // id of the last event, 0 when there never was one
	Floor     int64  // id of the first event that can still be read; Head+1 when none can
	Bytes     int64  // what its readable events occupy, as Draft.Size counts
	CreatedAt time.Time
	UpdatedAt time.Time // of the last append or change
	Closed    bool

	Title string
	Scope string
	Tags  []string
	Meta  json.RawMessage // an object, or nil

	Retention *Keep // what it keeps, where that is its own; or nil. Not to be changed

	Turn      string        // the open turn, or ""
	TurnSince time.Time     // when it was opened
	TurnSeen  time.Time     // its last event or touch
	TurnLease time.Duration // how long it may be silent before the server ends it; 0 is for ever

	Notable int64 // id of the last event that asks for a person: an ended turn, a question, a kontask
	Open    *Open // what the session waits for; nil when nothing. Not to be changed

	Redacted   int64   // id of the last event that says what was redacted, 0 when none does
	ForkedFrom *Origin // or nil. Not to be changed
}

// SessionSpec is what a client says of a session when it creates one.
type SessionSpec struct {
	Title string
	Scope string
	Tags  []string
	Meta  json.RawMessage

	Retention *Keep // or nil
}

// SessionPatch changes what is not nil.
type SessionPatch struct {
	Title *string
	Scope *string
	Tags  *[]string
	Meta  *json.RawMessage // a null empties it

	Retention *Keep // an empty one takes it away
}

// Check validates the spec.
func (s *SessionSpec) Check() error {
	if err := checkLabel("title", s.Title, TitleBytesMax); err != nil {
		return err
	}
	if err := checkLabel("scope", s.Scope, ScopeBytesMax); err != nil {
		return err
	}
	if len(s.Tags) > TagsMax {
		return Errorf(CodeInvalidQuery, "%d tags are over the limit of %d", len(s.Tags), TagsMax)
	}
	for _, t := range s.Tags {
		if err := checkLabel("tag", t, TagBytesMax); err != nil {
			return err
		}
		if t == "" {
			return Errorf(CodeInvalidQuery, "a tag is empty")
		}
	}
	if len(s.Meta) > MetaBytesMax {
		return Errorf(CodeInvalidQuery, "meta of %d bytes is over the limit of %d", len(s.Meta), MetaBytesMax)
	}
	if s.Meta != nil && (checkJSON(s.Meta) != nil || s.Meta[skipSpace(s.Meta, 0)] != '{') {
		return Errorf(CodeInvalidQuery, "meta must be a JSON object")
	}
	return s.Retention.check()
}

// Apply lays the patch over a spec and checks the result.
func (p SessionPatch) Apply(s SessionSpec) (SessionSpec, error) {
	if p.Title != nil {
		s.Title = *p.Title
	}
	if p.Scope != nil {
		s.Scope = *p.Scope
	}
	if p.Tags != nil {
		s.Tags = *p.Tags
	}
	if p.Meta != nil {
		s.Meta = *p.Meta
		if string(s.Meta) == "null" {
			s.Meta = nil
		}
	}
	if p.Retention != nil {
		s.Retention = p.Retention
	}
	return s, s.Check()
}

// Spec returns the part of the session that a client sets.
func (s *Session) Spec() SessionSpec {
	return SessionSpec{Title: s.Title, Scope: s.Scope, Tags: s.Tags, Meta: s.Meta, Retention: s.Retention}
}

// SetSpec replaces the part of the session that a client sets. It keeps
// nothing of the caller's.
func (s *Session) SetSpec(spec SessionSpec) {
	s.Title, s.Scope, s.Tags, s.Meta = spec.Title, spec.Scope, slices.Clone(spec.Tags), bytes.Clone(spec.Meta)
	s.Retention = nil
	if !spec.Retention.Empty() {
		keep := *spec.Retention // what it points at is made anew for each change
		s.Retention = &keep
	}
}

// The states of a session.
const (
	StateIdle    = "idle"
	StateWorking = "working" // a turn is open
	StateWaiting = "waiting" // for the answer to a question
	StateClosed  = "closed"
)

// State is the session's state in one word.
func (s *Session) State() string {
	switch {
	case s.Closed:
		return StateClosed
	case len(s.Questions()) > 0:
		return StateWaiting
	case s.Turn != "":
		return StateWorking
	}
	return StateIdle
}

// Fold applies an event to the session: its head, size, open turn and what it
// waits for. It is pure, so that the same log always gives the same session.
// It takes any log: what Admit refuses may come from a restored one.
func (s *Session) Fold(e *Event, size int) {
	s.Head = e.ID
	s.Bytes += int64(size)
	s.UpdatedAt = e.Time
	if OwnSession(s.ID) { // it tells of other sessions' turns and has none
		return
	}
	if e.Turn != "" && e.Turn == s.Turn {
		s.TurnSeen = e.Time
	}
	switch e.Type {
	case TypeTurnStart:
		if e.Turn != "" { // one without a name opens nothing that could be ended
			s.Turn, s.TurnSince, s.TurnSeen = e.Turn, e.Time, e.Time
			s.TurnLease, _ = leaseOf(e.Data)
		}
		s.foldOpen(e, false)
	case TypeTurnEnd:
		began := e.Turn == s.Turn
		if began {
			s.endTurn()
			s.Notable = e.ID
		}
		s.foldOpen(e, began)
	case TypeSessionClosed:
		s.Closed = true
		s.endTurn()
		s.foldOpen(e, false)
	case TypePermissionRequest, TypeKontaskReady:
		s.Notable = e.ID
		s.foldOpen(e, false)
	case TypeRedacted:
		s.Redacted = e.ID
	case TypePrompt, TypeSessionInit, TypePermissionResponse, TypeTaskStart, TypeTaskUpdate, TypeTaskEnd,
		TypeKontaskCreated, TypeKontaskUpdated, TypeKontaskChosen:
		s.foldOpen(e, false)
	}
}

func (s *Session) endTurn() {
	s.Turn, s.TurnSince, s.TurnSeen, s.TurnLease = "", time.Time{}, time.Time{}, 0
}
