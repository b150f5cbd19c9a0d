package store

import "context"

// HeadRestorer is the ability to restore how far a log was of which no event
// is left: ids must go on where they ended, for they are never used again.
type HeadRestorer interface {
	// RestoreHead raises the head of a session that has no events. The head
	// that it has is no change. ErrNotFound, ErrSessionClosed, and
	// ErrRestoreGap when it has events or its head is higher.
	RestoreHead(ctx context.Context, session string, head int64) (Session, error)
}

// RaiseHead checks a RestoreHead and does it to the session.
func (s *Session) RaiseHead(head int64) (changed bool, err error) {
	switch {
	case s.Closed:
		return false, ErrSessionClosed
	case head < 1 || head > IDMax:
		return false, Errorf(CodeInvalidQuery, "head must be a whole number from 1 to %d", int64(IDMax))
	case head == s.Head && s.Floor > s.Head:
		return false, nil
	case s.Floor <= s.Head || head < s.Head:
		err := Errorf(CodeRestoreGap, "the session is at event %d: only one without events can be given a head, and only a higher one", s.Head)
		err.Want = s.Head
		return false, err
	}
	s.Head, s.Floor = head, head+1
	return true, nil
}
