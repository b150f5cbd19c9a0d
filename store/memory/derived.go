package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

var (
	_ store.Turns     = (*Log)(nil)
	_ store.Kontasks  = (*Log)(nil)
	_ store.Questions = (*Log)(nil)
	_ store.Marks     = (*Log)(nil)
	_ store.Leaser    = (*Log)(nil)
)

// mark names how far a subject has seen a session.
type mark struct{ subject, session string }

// past answers the questions of store.Session.Admit.
type past struct {
	l *Log
	s *session
}

func (p past) TurnEnd(turn string) (string, bool, error) {
	t := p.s.derived.Turns[turn]
	if t == nil || t.State != store.TurnEnded {
		return "", false, nil
	}
	return t.Reason, true, nil
}

func (p past) Answer(requestID string) (int64, error) { return p.s.derived.Answered[requestID], nil }

func (p past) KontaskPlace(id string) (string, int64, error) {
	k := p.l.kontask(id)
	if k == nil {
		return "", 0, nil
	}
	return k.Session, k.Chosen, nil
}

// kontask returns the one with this id: where two sessions tell of it, as an
// imported copy does, it belongs to the one that told first.
func (l *Log) kontask(id string) (found *store.Kontask) {
	first := int64(0)
	for _, s := range l.sessions {
		if k := s.derived.Kontasks[id]; k != nil && (found == nil || s.arrived["kontask "+id] < first) {
			found, first = k, s.arrived["kontask "+id]
		}
	}
	return found
}

// arrive notes the place of a turn or kontask when it is new.
func (s *session) arrive(name string, exists bool) {
	if exists && s.arrived[name] == 0 {
		s.log.arrivals++
		s.arrived[name] = s.log.arrivals
	}
}

// feedEvent tells the feed of an event, if it is one that lists need.
func (l *Log) feedEvent(e *store.Event) {
	if d, ok := store.FeedDraft(e); ok {
		l.feed(d)
	}
}

func (l *Log) feedSession(typ string, s *session) {
	if !store.OwnSession(s.ID) {
		l.feed(store.FeedSessionDraft(typ, &s.Session))
	}
}

func (l *Log) feed(d store.Draft) {
	s := l.sessions[store.FeedSession]
	if s == nil {
		s = l.fresh(store.FeedSession)
		l.keep(s)
	}
	l.serverEvent(s, d)
	l.fed = s.Head
}

// serverEvent appends what the server itself has to say.
func (l *Log) serverEvent(s *session, d store.Draft) {
	now := l.now()
	if now.Before(s.UpdatedAt) {
		now = s.UpdatedAt
	}
	l.feedEvent(s.add(&d, s.Head+1, now, false))
}

// Turn implements store.Turns.
func (l *Log) Turn(ctx context.Context, session, turn string) (found *store.Turn, err error) {
	err = l.look(ctx, func() error {
		s := l.sessions[session]
		if s == nil {
			return store.ErrNotFound
		}
		t := s.derived.Turns[turn]
		if t == nil {
			return store.ErrTurnNotFound
		}
		found = t.Clone()
		return nil
	})
	return found, err
}

// ListTurns implements store.Turns.
func (l *Log) ListTurns(ctx context.Context, f store.TurnFilter) (page store.TurnPage, err error) {
	var q *store.SearchQuery
	if f.Query != "" {
		if q, err = store.ParseSearch(f.Query); err != nil {
			return page, err
		}
	}
	err = l.look(ctx, func() error {
		if f.Session != "" && (l.sessions[f.Session] == nil || !store.Shows(f.Visible, f.Session)) {
			return store.ErrNotFound
		}
		var found []*store.Turn
		for _, s := range l.sessions {
			for _, id := range s.derived.Order {
				if t := s.derived.Turns[id]; wantsTurn(f, t) && (q == nil || l.said(q, t)) {
					t = t.Clone()
					t.Brief()
					found = append(found, t)
				}
			}
		}
		place := func(t *store.Turn) int64 { return l.sessions[t.Session].arrived["turn "+t.ID] }
		slices.SortFunc(found, func(a, b *store.Turn) int { return cmp.Compare(place(b), place(a)) })
		page.Turns, page.Next, err = cut(found, f.Cursor, f.Limit, store.TurnsPageDefault, store.TurnsPageMax)
		return err
	})
	return page, err
}

// cut takes a page out of a list; here a cursor is a place in it.
func cut[T any](all []T, cursor string, limit, usual, most int) (page []T, next string, err error) {
	from := 0
	if cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 {
			return nil, "", store.Errorf(store.CodeInvalidQuery, "cursor %.40q is not one that a page of this list gave", cursor)
		}
	}
	if limit <= 0 {
		limit = usual
	}
	from = min(from, len(all))
	to := min(from+min(limit, most), len(all))
	if to < len(all) {
		next = fmt.Sprint(to)
	}
	return all[from:to], next, nil
}

// began is when a turn was asked for, or began when nobody asked.
func began(t *store.Turn) time.Time {
	if t.QueuedAt.IsZero() {
		return t.StartedAt
	}
	return t.QueuedAt
}

func wantsTurn(f store.TurnFilter, t *store.Turn) bool {
	at := began(t)
	return (f.Session == "" || f.Session == t.Session) && store.Shows(f.Visible, t.Session) && (f.State == "" || f.State == t.State) &&
		(f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until)) &&
		(f.Tool == "" || slices.ContainsFunc(t.Tools, func(c store.ToolCall) bool { return c.Name == f.Tool }))
}

// Answer implements store.Questions.
func (l *Log) Answer(ctx context.Context, session, requestID string) (asked, answered int64, err error) {
	err = l.look(ctx, func() error {
		s := l.sessions[session]
		if s == nil {
			return store.ErrNotFound
		}
		asked, answered = s.derived.Asked[requestID], s.derived.Answered[requestID]
		return nil
	})
	return asked, answered, err
}

// Kontask implements store.Kontasks.
func (l *Log) Kontask(ctx context.Context, id string) (k store.Kontask, err error) {
	err = l.look(ctx, func() error {
		found := l.kontask(id)
		if found == nil {
			return store.ErrNoKontask
		}
		k = *found
		return nil
	})
	return k, err
}

// ListKontasks implements store.Kontasks.
func (l *Log) ListKontasks(ctx context.Context, f store.KontaskFilter) (page store.KontaskPage, err error) {
	err = l.look(ctx, func() error {
		var found []store.Kontask
		for _, s := range l.sessions {
			for id, k := range s.derived.Kontasks {
				if l.kontask(id) == k && wantsKontask(f, k) {
					found = append(found, *k)
				}
			}
		}
		place := func(k store.Kontask) int64 { return l.sessions[k.Session].arrived["kontask "+k.ID] }
		slices.SortFunc(found, func(a, b store.Kontask) int {
			return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(place(b), place(a)))
		})
		page.Kontasks, page.Next, err = cut(found, f.Cursor, f.Limit, store.TurnsPageDefault, store.TurnsPageMax)
		return err
	})
	return page, err
}

func wantsKontask(f store.KontaskFilter, k *store.Kontask) bool {
	for name, want := range map[string]string{"status": f.Status, "scope": f.Scope, "targetUser": f.TargetUser, "requestId": f.RequestID} {
		if want != "" && k.Text(name) != want {
			return false
		}
	}
	return (f.Session == "" || f.Session == k.Session) && store.Shows(f.Visible, k.Session) && (f.Tag == "" || slices.Contains(k.Tags(), f.Tag)) &&
		(!f.Open || k.Ready > 0 && k.Chosen == 0)
}

// MarkSeen implements store.Marks.
func (l *Log) MarkSeen(ctx context.Context, subject, session string, id int64) (at int64, err error) {
	err = l.change(ctx, session, func() (int64, error) {
		s := l.sessions[session]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		m := mark{subject, session}
		if at = min(id, s.Head); at <= l.marks[m] {
			at = l.marks[m]
			return unchanged, nil
		}
		l.marks[m] = at
		if !store.OwnSession(session) {
			l.feed(store.FeedSeenDraft(subject, session, at))
		}
		return unchanged, nil
	})
	return at, err
}

// Seen implements store.Marks.
func (l *Log) Seen(ctx context.Context, subject, session string) (at int64, err error) {
	err = l.look(ctx, func() error {
		if l.sessions[session] == nil {
			return store.ErrNotFound
		}
		at = l.marks[mark{subject, session}]
		return nil
	})
	return at, err
}

// Inbox implements store.Marks.
func (l *Log) Inbox(ctx context.Context, f store.InboxFilter) (page store.InboxPage, err error) {
	err = l.look(ctx, func() error {
		var waiting []*session
		for _, s := range l.sessions {
			if !store.OwnSession(s.ID) && store.Shows(f.Visible, s.ID) && (!s.Closed && len(s.Questions()) > 0 || s.Notable > l.marks[mark{f.Subject, s.ID}]) {
				waiting = append(waiting, s)
			}
		}
		slices.SortFunc(waiting, func(a, b *session) int { return a.place().compare(b.place()) })
		waiting, page.Next, err = cut(waiting, f.Cursor, f.Limit, store.SessionsPageDefault, store.SessionsPageMax)
		for _, s := range waiting {
			page.Items = append(page.Items, store.InboxItem{Session: s.view(), Seen: l.marks[mark{f.Subject, s.ID}]})
		}
		return err
	})
	return page, err
}

// TouchTurn implements store.Leaser.
func (l *Log) TouchTurn(ctx context.Context, session, turn string) (deadline time.Time, err error) {
	err = l.change(ctx, session, func() (int64, error) {
		s := l.sessions[session]
		if s == nil {
			return unchanged, store.ErrNotFound
		}
		if s.Turn != turn {
			if _, ended, _ := (past{l, s}).TurnEnd(turn); ended {
				return unchanged, store.Errorf(store.CodeTurnEnded, "turn %.100q has ended", turn)
			}
			return unchanged, store.Errorf(store.CodeNoTurn, "turn %.100q is not open in this session", turn)
		}
		head := int64(unchanged)
		if now := l.now(); !now.Equal(s.TurnSeen) {
			s.TurnSeen, head = now, s.Head
		}
		deadline = s.Deadline()
		return head, nil
	})
	return deadline, err
}

// ExpireTurns implements store.Leaser. Nothing here calls it by itself.
func (l *Log) ExpireTurns(ctx context.Context) (ended int, next time.Time, err error) {
	var leased []*session
	_ = l.look(ctx, func() error {
		for _, s := range l.sessions {
			if !s.Deadline().IsZero() {
				leased = append(leased, s)
			}
		}
		return nil
	})
	slices.SortFunc(leased, func(a, b *session) int {
		return cmp.Or(a.Deadline().Compare(b.Deadline()), cmp.Compare(a.order, b.order))
	})
	for _, was := range leased {
		id := was.ID
		err = l.change(ctx, id, func() (int64, error) {
			s := l.sessions[id]
			if s == nil || s.Deadline().IsZero() {
				return unchanged, nil
			}
			if at := s.Deadline(); at.After(l.now()) {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				return unchanged, nil
			}
			ended++
			l.serverEvent(s, store.TurnEndDraft(s.Turn, store.ReasonAbandoned))
			return s.Head, nil
		})
		if err != nil {
			break
		}
	}
	return ended, next, err
}
