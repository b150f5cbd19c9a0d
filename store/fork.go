package store

import (
	"context"
	"time"
)

// Origin is where a fork's history comes from.
type Origin struct {
	Session string `json:"session"` // as it was called then; it may be gone
	After   int64  `json:"after"`   // id of the last event that was inherited
}

// ForkSpec asks for a fork.
type ForkSpec struct {
	After   int64   // the last event to inherit
	Session string  // the new session's id
	Title   *string // nil keeps the title of the source
}

// Forker is the ability to make a session that begins with another's history.
type Forker interface {
	// Fork makes a session that inherits the events 1 to After of the source,
	// as far as they can still be read: their ids, times, bytes and
	// redactions, and the source's scope, tags and meta. It has an epoch of
	// its own and no keys, producers, kontasks or read marks. A turn that was
	// open there ends as abandoned: whoever works on it does so in the source.
	// Nothing is seen of the fork before it is whole. ErrNotFound without the
	// source; ErrExists when there is a session of the new id.
	Fork(ctx context.Context, source string, f ForkSpec) (Session, error)
}

// Check validates what does not depend on the source.
func (f *ForkSpec) Check() error {
	if err := ValidSessionID(f.Session); err != nil {
		return err
	}
	if OwnSession(f.Session) {
		return Errorf(CodeInvalidSession, "session id %q is the server's own; choose one without the leading underscore", f.Session)
	}
	if f.Title != nil {
		return checkLabel("title", *f.Title, TitleBytesMax)
	}
	return nil
}

// Of holds the request against its source.
func (f *ForkSpec) Of(source *Session) error {
	switch {
	case OwnSession(source.ID):
		return Errorf(CodeInvalidSession, "session %q is the server's own and cannot be forked", source.ID)
	case f.After > source.Head:
		return Errorf(CodeInvalidQuery, "after %d is beyond the head %d", f.After, source.Head)
	case f.After < source.Floor-1:
		return Errorf(CodeInvalidQuery, "after %d is below the events that can still be read, which begin at %d", f.After, source.Floor)
	}
	return nil
}

// Begin is the state of the fork before its first event is folded.
func (f *ForkSpec) Begin(floor int64) Session {
	return Session{ID: f.Session, Head: floor - 1, Floor: floor}
}

// Finish makes what was folded from the inherited events a session of its own.
// now must not be before any of them.
func (f *ForkSpec) Finish(s *Session, source *Session, epoch string, now time.Time) {
	s.Epoch, s.CreatedAt, s.UpdatedAt = epoch, now, now
	spec := source.Spec()
	if f.Title != nil {
		spec.Title = *f.Title
	}
	s.SetSpec(spec)
	s.ForkedFrom = &Origin{Session: source.ID, After: f.After}
}

// Abandon is the event that ends the turn which was open where the fork
// begins. ok is false when none was.
func (s *Session) Abandon() (d Draft, ok bool) {
	if s.Turn == "" || s.Closed {
		return d, false
	}
	data := appendString([]byte(`{"requestId":`), s.Turn)
	data = append(data, `,"success":false,"reason":"`+ReasonAbandoned+`"}`...)
	return Draft{Type: TypeTurnEnd, Turn: s.Turn, Data: data}, true
}
