package memory

import (
	"context"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

var _ store.Forker = (*Log)(nil)

// Fork implements store.Forker.
func (l *Log) Fork(ctx context.Context, source string, f store.ForkSpec) (v store.Session, err error) {
	if err := store.ValidSessionID(source); err != nil {
		return v, err
	}
	if err := f.Check(); err != nil {
		return v, err
	}
	err = l.change(ctx, f.Session, func() (int64, error) {
		from := l.sessions[source]
		if from == nil {
			return unchanged, store.ErrNotFound
		}
		if err := f.Of(&from.Session); err != nil {
			return unchanged, err
		}
		if l.sessions[f.Session] != nil || l.tombs[f.Session] >= from.Floor {
			return unchanged, store.ErrExists
		}
		s := l.fresh(f.Session)
		s.Session = f.Begin(from.Floor)
		for _, e := range from.events {
			if e.ID <= f.After {
				s.inherit(e)
			}
		}
		if err := l.o.Quotas.Fork(from.Scope, s.Bytes, l.used(from.Scope)); err != nil {
			return unchanged, err
		}
		now := l.now()
		if now.Before(from.UpdatedAt) {
			now = from.UpdatedAt
		}
		f.Finish(&s.Session, &from.Session, uuid.NewString(), now)
		l.keep(s)
		if d, open := s.Abandon(); open {
			l.serverEvent(s, d)
		}
		v = s.view()
		return s.Head, nil
	})
	return v, err
}

// inherit takes over an event of another session, id, time and all.
func (s *session) inherit(e store.Event) {
	copied := store.Event{
		ID: e.ID, Session: s.ID, Type: e.Type, Turn: e.Turn, Parent: e.Parent, Time: e.Time, Data: e.Data, Raw: e.Raw,
	}
	copied.Seal()
	s.events = append(s.events, copied)
	s.Fold(&copied, copied.Size())
	s.derived.Apply(&copied)
	s.arrive("turn "+e.Turn, s.derived.Turns[e.Turn] != nil)
	s.arrive("kontask "+copied.KontaskID(), s.derived.Kontasks[copied.KontaskID()] != nil)
}
