package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/konlog/konlog/store"
)

// retain leaves the announcements' order and number open: an engine works
// through the sessions as it likes and may take several transactions for one.
func (m *model) retain(t *rapid.T) {
	var k store.Retention
	switch pick(t, "bound", "events", "bytes", "age", "all") {
	case "events":
		k.Events = rapid.Int64Range(1, 6).Draw(t, "events")
	case "bytes":
		k.Bytes = rapid.Int64Range(1, 800).Draw(t, "bytes")
	case "age":
		k.Age = time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second
	default:
		k = store.Retention{Events: 5, Bytes: 700, Age: 30 * time.Minute}
	}
	keeper, ok := m.got.(store.Retainer)
	if !ok {
		t.Skip("the engine does not forget")
	}
	var scopes []store.ScopeRetention
	if chance(t, "scopes", 2) {
		scopes = []store.ScopeRetention{{Pattern: "a", Retention: store.Retention{Events: 2}}, {Pattern: "*", Retention: store.Retention{Bytes: 600}}}
	}
	got, gotErr := keeper.Retain(ctx, k, scopes...)
	want, wantErr := m.want.Retain(ctx, k, scopes...)
	m.gotNews, m.wantNews = distinct(m.gotNews), distinct(m.wantNews)
	m.same(fmt.Sprintf("retain %+v", k), fmt.Sprint(got), fmt.Sprint(want), gotErr, wantErr)
}

func distinct(all []news) []news {
	set := map[news]bool{}
	for _, n := range all {
		set[n] = true
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b news) int { return strings.Compare(a.session, b.session) })
}

func (m *model) read(t *rapid.T) {
	session := pick(t, "session", modelSessions...)
	near := func(name string) int64 { return max(m.head(session)-rapid.Int64Range(-2, 8).Draw(t, name), 0) }
	q := store.Query{Backward: chance(t, "backward", 2), After: near("after")}
	if chance(t, "before", 2) {
		q.Before = near("before")
	}
	if chance(t, "until", 3) {
		q.Until = near("until")
	}
	if chance(t, "limit", 2) {
		q.Limit.Events = rapid.IntRange(1, 4).Draw(t, "events")
	}
	if chance(t, "bytes", 2) {
		q.Limit.Bytes = rapid.IntRange(1, 900).Draw(t, "bytes")
	}
	q.Raw, q.Fold = chance(t, "raw", 2), chance(t, "fold", 3)
	m.readBoth(session, q)
}

func (m *model) readBoth(session string, q store.Query) {
	got, gotErr := m.got.Read(ctx, session, q)
	want, wantErr := m.want.Read(ctx, session, q)
	g, w := m.described(got.Session, want.Session)
	m.same(fmt.Sprintf("read %s %+v", session, q), g+lines(got.Events, q.Raw), w+lines(want.Events, q.Raw), gotErr, wantErr)
}

func lines(events []store.Event, raw bool) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "\n  %s", e.AppendJSON(nil, raw))
	}
	return b.String()
}

func (m *model) list(t *rapid.T) {
	m.listBoth(store.SessionFilter{
		Scope:  pick(t, "scope", "", "", "a"),
		Tag:    pick(t, "tag", "", "", "red"),
		State:  pick(t, "state", "", "", "idle", "working", "waiting", "closed", "odd"),
		Search: pick(t, "search", "", "", "s", "_", "TITLE", "%"),
		Limit:  rapid.IntRange(0, 3).Draw(t, "limit"),
	})
}

// listBoth walks all pages of both. Cursors differ, but not where they end.
func (m *model) listBoth(f store.SessionFilter) {
	gotFilter, wantFilter := f, f
	for { // ends with the reference's pages
		got, gotErr := m.got.ListSessions(ctx, gotFilter)
		want, wantErr := m.want.ListSessions(ctx, wantFilter)
		m.same(fmt.Sprintf("list %+v", f), fmt.Sprint(names(got.Sessions), got.Next != ""), fmt.Sprint(names(want.Sessions), want.Next != ""), gotErr, wantErr)
		for i := range want.Sessions {
			g, w := m.described(got.Sessions[i], want.Sessions[i])
			m.same("listed "+want.Sessions[i].ID, g, w, nil, nil)
		}
		if gotFilter.Cursor, wantFilter.Cursor = got.Next, want.Next; want.Next == "" {
			return
		}
	}
}

// time moves the clock, sometimes back.
func (m *model) time(t *rapid.T) {
	m.clock.move(time.Duration(pick(t, "seconds", 1, 2, 5, 3600, -3)) * time.Second)
}

// sessions compares every session by itself; it runs after every step.
func (m *model) sessions(*rapid.T) {
	for _, id := range modelSessions {
		got, gotErr := m.got.Session(ctx, id)
		want, wantErr := m.want.Session(ctx, id)
		g, w := m.described(got, want)
		m.same("session "+id, g, w, gotErr, wantErr)
	}
	m.used()
}

// used compares what quotas are held against.
func (m *model) used() {
	engine, ok := m.got.(store.UsageReporter)
	if !ok {
		return
	}
	for _, scope := range []string{"", "a", "b"} {
		got, gotErr := engine.Used(ctx, scope)
		want, wantErr := m.want.Used(ctx, scope)
		m.same("used of scope "+scope, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want), gotErr, wantErr)
	}
}

// everything compares all that can be seen.
func (m *model) everything() {
	m.listBoth(store.SessionFilter{})
	for _, id := range append([]string{store.FeedSession}, modelSessions...) {
		m.readBoth(id, store.Query{Raw: true})
	}
	m.derived(nil)
}
