package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// view is a copy that shares nothing a caller could change.
func (s *session) view() store.Session {
	v := s.Session
	v.SetSpec(cloneSpec(v.Spec()))
	return v
}

func cloneSpec(s store.SessionSpec) store.SessionSpec {
	s.Tags, s.Meta = slices.Clone(s.Tags), bytes.Clone(s.Meta)
	return s
}

// Session implements store.Sessions.
func (l *Log) Session(ctx context.Context, id string) (v store.Session, err error) {
	err = l.look(ctx, func() error {
		s := l.sessions[id]
		if s == nil {
			return store.ErrNotFound
		}
		v = s.view()
		return nil
	})
	return v, err
}

// CreateSession implements store.Sessions.
func (l *Log) CreateSession(ctx context.Context, id string, spec store.SessionSpec) (v store.Session, created bool, err error) {
	if err := store.ValidSessionID(id); err != nil {
		return v, false, err
	}
	if err := spec.Check(); err != nil {
		return v, false, err
	}
	err = l.change(ctx, id, func() (int64, error) {
		if s := l.sessions[id]; s != nil {
			v = s.view()
			return unchanged, nil
		}
		if err := l.o.Quotas.Create(spec.Scope, l.used(spec.Scope)); err != nil && !store.OwnSession(id) {
			return unchanged, err
		}
		s := l.fresh(id)
		s.SetSpec(cloneSpec(spec))
		l.keep(s)
		v, created = s.view(), true
		return s.Head, nil
	})
	return v, created, err
}

// UpdateSession implements store.Sessions.
func (l *Log) UpdateSession(ctx context.Context, id string, patch store.SessionPatch) (v store.Session, err error) {
	err = l.change(ctx, id, func() (int64, error) {
		s := l.sessions[id]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		spec, err := patch.Apply(s.Spec())
		if err != nil {
			return unchanged, err
		}
		if spec.Scope != s.Scope {
			if err := l.o.Quotas.Move(&s.Session, spec.Scope, l.used(spec.Scope)); err != nil {
				return unchanged, err
			}
		}
		s.SetSpec(cloneSpec(spec))
		if now := l.now(); now.After(s.UpdatedAt) {
			s.UpdatedAt = now
		}
		v = s.view()
		l.feedSession(store.TypeSessionUpdated, s)
		return s.Head, nil
	})
	return v, err
}

// DeleteSession implements store.Sessions.
func (l *Log) DeleteSession(ctx context.Context, id string) error {
	return l.change(ctx, id, func() (int64, error) {
		s := l.sessions[id]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		l.tombs[id] = s.Head
		delete(l.sessions, id)
		for m := range l.marks {
			if m.session == id {
				delete(l.marks, m)
			}
		}
		l.feedSession(store.TypeSessionDeleted, s)
		return s.Head, nil
	})
}

// ListSessions implements store.Sessions.
func (l *Log) ListSessions(ctx context.Context, f store.SessionFilter) (page store.SessionPage, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = store.SessionsPageDefault
	}
	limit = min(limit, store.SessionsPageMax)
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return page, err
	}
	switch f.State {
	case "", store.StateIdle, store.StateWorking, store.StateWaiting, store.StateClosed:
	default:
		return page, store.Errorf(store.CodeInvalidQuery, "state %.40q: use idle, working, waiting or closed", f.State)
	}
	err = l.look(ctx, func() error {
		var found []*session
		for _, s := range l.sessions {
			if selects(f, &s.Session) && (f.Cursor == "" || s.place().compare(after) > 0) {
				found = append(found, s)
			}
		}
		slices.SortFunc(found, func(a, b *session) int { return a.place().compare(b.place()) })
		if len(found) > limit {
			found = found[:limit]
			page.Next = found[limit-1].place().String()
		}
		for _, s := range found {
			page.Sessions = append(page.Sessions, s.view())
		}
		return nil
	})
	return page, err
}

func selects(f store.SessionFilter, s *store.Session) bool {
	return !store.OwnSession(s.ID) && store.Shows(f.Visible, s.ID) && (f.Scope == "" || f.Scope == s.Scope) &&
		(f.Tag == "" || slices.Contains(s.Tags, f.Tag)) &&
		(f.State == "" || f.State == s.State()) &&
		(strings.Contains(lower(s.ID), lower(f.Search)) || strings.Contains(lower(s.Title), lower(f.Search)))
}

// lower folds ASCII only, as the contract of SessionFilter.Search says.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// place is where a session stands in the list.
type place struct{ updated, order int64 }

func (s *session) place() place { return place{s.UpdatedAt.UnixMilli(), s.order} }

// compare orders newest activity first, and among equals the youngest session.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(q.updated, p.updated), cmp.Compare(q.order, p.order))
}

// String is the cursor of a page that ends here.
func (p place) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", p.updated, p.order))
}

func parseCursor(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d.%d", &p.updated, &p.order)
	}
	if err != nil {
		return p, store.Errorf(store.CodeInvalidQuery, "the cursor is not one that a page of sessions gave")
	}
	return p, nil
}

// Read implements store.Reader.
func (l *Log) Read(ctx context.Context, id string, q store.Query) (page store.Page, err error) {
	err = l.look(ctx, func() error {
		s := l.sessions[id]
		if s == nil {
			return store.ErrNotFound
		}
		page = store.Page{Session: s.view(), Events: s.page(q)}
		return nil
	})
	return page, err
}

// page picks the wanted events one by one until a bound of the page is met.
func (s *session) page(q store.Query) []store.Event {
	if q.Fold && !q.Backward {
		return s.folded(q)
	}
	limit := q.Limit.OrDefault()
	size := 0
	var events []store.Event
	take := func(e store.Event) bool {
		size += e.WireSize(q.Raw)
		if len(events) > 0 && (size > limit.Bytes || len(events) == limit.Events) {
			return false
		}
		events = append(events, e)
		return true
	}
	wanted := func(e store.Event) bool { return q.Until == 0 || e.ID <= q.Until }
	if !q.Backward {
		for _, e := range s.events {
			if e.ID > q.After && wanted(e) && !take(e) {
				break
			}
		}
		return events
	}
	for _, e := range slices.Backward(s.events) {
		if (q.Before == 0 || e.ID < q.Before) && wanted(e) && !take(e) {
			break
		}
	}
	slices.Reverse(events)
	return events
}

// folded is a page whose runs of deltas come as one event each.
func (s *session) folded(q store.Query) []store.Event {
	f := store.NewFolder(q)
	for _, e := range s.events {
		if e.ID > q.After && (q.Until == 0 || e.ID <= q.Until) && !f.Add(e) {
			break
		}
	}
	return f.Events()
}

// Retain implements store.Retainer. Keys and producers stay: they are for the
// life of the session, not of its events.
func (l *Log) Retain(ctx context.Context, r store.Retention, scopes ...store.ScopeRetention) (gone int64, err error) {
	var ids []string
	err = l.look(ctx, func() error {
		for id := range l.sessions {
			ids = append(ids, id)
		}
		return nil
	})
	slices.Sort(ids)
	for _, id := range ids {
		if err != nil {
			break
		}
		err = l.change(ctx, id, func() (int64, error) {
			s := l.sessions[id]
			if s == nil { // deleted since
				return unchanged, nil
			}
			n := s.forget(r.For(&s.Session, scopes), l.now())
			gone += n
			if n == 0 {
				return unchanged, nil
			}
			return s.Head, nil
		})
	}
	return gone, err
}

// forget drops the oldest event as long as it is too old or what is left is
// too much.
func (s *session) forget(r store.Retention, now time.Time) (gone int64) {
	for len(s.events) > 0 {
		e := &s.events[0]
		if !(r.Age > 0 && e.Time.Before(now.Add(-r.Age)) ||
			r.Events > 0 && int64(len(s.events)) > r.Events ||
			r.Bytes > 0 && s.Bytes > r.Bytes) {
			break
		}
		d := store.Draft{Type: e.Type, Turn: e.Turn, Parent: e.Parent, Data: e.Data, Raw: e.Raw}
		s.Bytes -= int64(d.Size())
		s.Floor = e.ID + 1
		s.events = s.events[1:]
		gone++
	}
	return gone
}
