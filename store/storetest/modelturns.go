package storetest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/konlog/konlog/store"
)

// derivedLog is what the model asks of an engine beside the log.
type derivedLog interface {
	store.Turns
	store.Kontasks
	store.Questions
	store.Marks
	store.Leaser
}

// both returns the engine under test and the reference.
func (m *model) both() (got, want derivedLog) {
	got, ok := m.got.(derivedLog)
	if !ok {
		m.Fatal("the engine does not know turns, kontasks, questions, marks and leases")
	}
	return got, m.want
}

func (m *model) touch(t *rapid.T) {
	session, turn := pick(t, "session", modelSessions...), pick(t, "turn", "t1", "t2", "none")
	if s, err := m.want.Session(ctx, session); err == nil && s.Turn != "" && chance(t, "the open one", 2) {
		turn = s.Turn
	}
	got, want := m.both()
	g, gotErr := got.TouchTurn(ctx, session, turn)
	w, wantErr := want.TouchTurn(ctx, session, turn)
	m.same("touch "+turn+" of "+session, stamp(g), stamp(w), gotErr, wantErr)
}

func (m *model) expire(*rapid.T) {
	got, want := m.both()
	g, gotNext, gotErr := got.ExpireTurns(ctx)
	w, wantNext, wantErr := want.ExpireTurns(ctx)
	m.same("expire", fmt.Sprint(g, stamp(gotNext)), fmt.Sprint(w, stamp(wantNext)), gotErr, wantErr)
}

func (m *model) seen(t *rapid.T) {
	session, subject := pick(t, "session", modelSessions...), pick(t, "subject", "ann", "bob")
	id := rapid.Int64Range(0, 12).Draw(t, "id")
	got, want := m.both()
	g, gotErr := got.MarkSeen(ctx, subject, session, id)
	w, wantErr := want.MarkSeen(ctx, subject, session, id)
	m.same(fmt.Sprintf("%s saw %s up to %d", subject, session, id), fmt.Sprint(g), fmt.Sprint(w), gotErr, wantErr)
}

// rebuild folds a session anew and must find that nothing differs (I8).
func (m *model) rebuild(t *rapid.T) {
	r, ok := m.got.(store.Rebuilder)
	session := pick(t, "session", modelSessions...)
	if s, err := m.want.Session(ctx, session); !ok || err != nil || s.Floor != 1 {
		return
	}
	differences, err := r.Rebuild(ctx, session)
	if err != nil || len(differences) > 0 {
		m.Fatalf("rebuild %s: %v %q", session, err, differences)
	}
}

// derived compares all turns, kontasks, questions and inboxes.
func (m *model) derived(*rapid.T) {
	got, want := m.both()
	for _, session := range modelSessions {
		g, gotErr := turnsOf(got, session)
		w, wantErr := turnsOf(want, session)
		m.same("turns of "+session, g, w, gotErr, wantErr)
		for _, q := range []string{"q0", "q1", "q2"} {
			ga, gb, gotErr := got.Answer(ctx, session, q)
			wa, wb, wantErr := want.Answer(ctx, session, q)
			m.same("question "+q+" of "+session, fmt.Sprint(ga, gb), fmt.Sprint(wa, wb), gotErr, wantErr)
		}
	}
	ids := []string{"c0", "c1", "c2"}
	for _, session := range modelSessions {
		ids = append(ids, session+"-c0", session+"-c1", session+"-c2")
	}
	for _, id := range ids {
		g, gotErr := got.Kontask(ctx, id)
		w, wantErr := want.Kontask(ctx, id)
		m.same("kontask "+id, asJSON(g), asJSON(w), gotErr, wantErr)
	}
	g, gotErr := inboxOf(got, "ann")
	w, wantErr := inboxOf(want, "ann")
	m.same("inbox", g, w, gotErr, wantErr)
}

// turnsOf shows every turn of a session, one by one as they are now.
func turnsOf(l store.Turns, session string) (all string, err error) {
	f := store.TurnFilter{Session: session, Limit: 2}
	for {
		page, err := l.ListTurns(ctx, f)
		if err != nil {
			return "", err
		}
		for _, t := range page.Turns {
			whole, err := l.Turn(ctx, session, t.ID)
			if err != nil {
				return "", err
			}
			all += asJSON(whole) + "\n"
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return all, nil
		}
	}
}

func inboxOf(l store.Marks, subject string) (all string, err error) {
	f := store.InboxFilter{Subject: subject, Limit: 2}
	for {
		page, err := l.Inbox(ctx, f)
		if err != nil {
			return "", err
		}
		for _, item := range page.Items {
			all += fmt.Sprintln(item.Session.ID, item.Seen, item.Session.Notable, len(item.Session.Questions()))
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return all, nil
		}
	}
}
