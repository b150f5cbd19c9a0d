package memory

import (
	"context"
	"slices"

	"github.com/konlog/konlog/store"
)

var _ store.Redactor = (*Log)(nil)

// Redact implements store.Redactor. There is nothing to be pending here.
func (l *Log) Redact(ctx context.Context, id string, r store.RedactSpec) (done store.Redacted, err error) {
	if err := store.ValidSessionID(id); err != nil {
		return done, err
	}
	if err := r.Check(); err != nil {
		return done, err
	}
	err = l.change(ctx, id, func() (int64, error) {
		s := l.sessions[id]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		from, to, ok, err := r.Within(&s.Session)
		if err != nil || !ok {
			return unchanged, err
		}
		done.Events = s.redact(from, to, func(e *store.Event) { l.redactFeed(e, r) })
		for _, f := range l.sessions {
			if f.ForkedFrom != nil && f.ForkedFrom.Session == id && f.ForkedFrom.After >= r.From {
				done.Forks = append(done.Forks, f.ID)
			}
		}
		slices.Sort(done.Forks)
		if done.Events == 0 {
			return unchanged, nil
		}
		l.serverEvent(s, r.Draft(from, to))
		done.ID = s.Head
		return s.Head, nil
	})
	return done, err
}

// redact drops the content of a range, tells of each event before it does, and
// folds the rest anew. Readers may hold the events, so they move to new places.
func (s *session) redact(from, to int64, drops func(*store.Event)) (n int64) {
	s.events = slices.Clone(s.events)
	for i := range s.events {
		e := &s.events[i]
		if e.ID < from || e.ID > to || !e.Redactable() {
			continue
		}
		drops(e)
		s.Bytes -= int64(len(e.Data) + len(e.Raw))
		*e = e.Redact()
		n++
	}
	if n > 0 {
		s.refold(from, to)
	}
	return n
}

// refold makes again what was derived from the log. What began below the floor
// cannot be, and stays.
func (s *session) refold(from, to int64) {
	again := store.Session{ID: s.ID, Head: s.Floor - 1, Floor: s.Floor}
	derived := store.NewDerived()
	for i := range s.events {
		again.Fold(&s.events[i], 0)
		derived.Apply(&s.events[i])
	}
	if s.Floor > 1 {
		s.Session.Redact(from, to)
		return
	}
	s.Open, s.derived = again.Open, derived
}

// redactFeed drops what the feed says of an event.
func (l *Log) redactFeed(e *store.Event, r store.RedactSpec) {
	d, told := store.FeedDraft(e)
	feed := l.sessions[store.FeedSession]
	if !told || feed == nil {
		return
	}
	for i := range feed.events {
		f := &feed.events[i]
		if f.Type != d.Type || string(f.Data) != string(d.Data) {
			continue
		}
		feed.redact(f.ID, f.ID, func(*store.Event) {})
		l.serverEvent(feed, r.Draft(f.ID, f.ID))
		l.fed = feed.Head
		return
	}
}
