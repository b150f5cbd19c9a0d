package stream

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// delta is a delta of a block of a turn.
func delta(block string) store.Event {
	return store.Event{Type: "text_delta", Turn: "t", Data: fmt.Appendf(nil, `{"text":"x","block":%q}`, block)}
}

func whole(block string) store.Event {
	return store.Event{Type: "text", Turn: "t", Data: fmt.Appendf(nil, `{"text":"xxx","block":%q}`, block)}
}

// foldable is three blocks: one superseded (1 to 4), one that another event
// parts (5 to 11), and one at the end (12 to 20).
func foldable() []store.Event {
	events := []store.Event{delta("a"), delta("a"), delta("a"), whole("a")}
	for range 3 {
		events = append(events, delta("b"))
	}
	events = append(events, store.Event{Type: "usage"})
	for range 3 {
		events = append(events, delta("b"))
	}
	for range 9 {
		events = append(events, delta("c"))
	}
	return events
}

// runs writes events as id or from-id, frames by name.
func runs(all []got) string {
	var words []string
	for _, g := range all {
		switch from := g.field("from"); {
		case g.name != "":
			words = append(words, g.name)
		case from != nil:
			words = append(words, fmt.Sprintf("%v-%d", from, g.id))
		default:
			words = append(words, fmt.Sprint(g.id))
		}
	}
	return strings.Join(words, " ")
}

func (p pollPage) runs() string {
	var all []got
	for _, e := range p.Events {
		all = append(all, parseGot(string(e)))
	}
	return runs(all)
}

// With fold=1 the replay comes folded and live events as they are.
func TestP12_StreamFoldsTheReplay(t *testing.T) {
	for _, name := range []string{WebSocket, SSE} {
		for after, replay := range map[int64]string{0: "4 5-7 8 9-11 12-20", 5: "6-7 8 9-11 12-20", 19: "20", 20: ""} {
			t.Run(fmt.Sprintf("%s after %d", name, after), func(t *testing.T) {
				l := newFakeLog("s")
				l.append("s", foldable()...)
				w := newSite(t, New(l, l.hub, Config{}))
				var s liveStream
				if path := fmt.Sprintf("/v1/sessions/s/%s?fold=1&after=%d", name[:2], after); name == SSE {
					s = w.sse(fmt.Sprintf("/v1/sessions/s/sse?fold=1&after=%d", after))
				} else {
					s = w.ws(strings.Replace(path, "/we?", "/ws?", 1))
				}
				defer s.close()
				all := until(t, s, "caught_up")
				want := strings.Join(strings.Fields("hello status "+replay+" caught_up"), " ")
				if got := runs(all); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				for _, g := range all {
					if name == SSE && g.name == "" && g.sseID != fmt.Sprint(g.id) {
						t.Errorf("event %d has the SSE id %q", g.id, g.sseID)
					}
				}
				l.append("s", delta("c"), delta("c"), delta("c"))
				if got := runs(append(until(t, s, ""), append(until(t, s, ""), until(t, s, "")...)...)); got != "21 22 23" {
					t.Errorf("live: got %s, want them as they are", got)
				}
			})
		}
	}
}

// Of a session without events nothing is to be replayed: its first ones are live.
func TestP12_EmptySessionIsLive(t *testing.T) {
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{}))
	s := w.sse("/v1/sessions/s/sse?fold=1")
	defer s.close()
	until(t, s, "caught_up")
	l.append("s", delta("a"), delta("a"))
	if got := runs(append(until(t, s, ""), until(t, s, "")...)); got != "1 2" {
		t.Errorf("got %s, want 1 2", got)
	}
}

// What is committed while the replay is under way belongs to no run of it,
// however small the pages are.
func TestP12_ReplayEndsAtTheHeadOfTheAttach(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", foldable()...)
	reads := 0
	l.setAfterRead(func(store.Page) {
		if reads++; reads == 1 {
			l.append("s", delta("c"), delta("c"))
		}
	})
	w := newSite(t, New(l, l.hub, Config{PageEvents: 2}))
	s := w.ws("/v1/sessions/s/ws?fold=1")
	defer s.close()
	if got, want := runs(until(t, s, "caught_up")), "hello status 4 5-7 8 9-11 12-20 21 22 caught_up"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A folded page says where the next one begins, and is told from others.
func TestP12_PollFolds(t *testing.T) {
	l := newFakeLog("s", "z")
	l.append("s", foldable()...)
	w := newSite(t, New(l, l.hub, Config{}))
	for _, step := range []struct {
		q, runs string
		next    int64
		level   bool
	}{
		{"after=0", "4 5-7 8 9-11 12-20", 20, true},
		{"after=0&limit=2", "4 5-7", 7, false},
		{"after=7&limit=2", "8 9-11", 11, false},
		{"after=11&limit=2", "12-20", 20, true},
		{"tail=3", "18-20", 20, true},
		{"after=0&until=2", "1-2", 2, true},
		{"after=0&until=2&wait=1", "1-2", 2, true},
		{"after=0&types=usage", "8", 20, true},
		{"after=0&raw=1", "4 5-7 8 9-11 12-20", 20, true},
	} {
		p := w.poll("/v1/sessions/s/events?fold=1&" + step.q)
		if p.runs() != step.runs || p.Next != step.next || p.CaughtUp != step.level {
			t.Errorf("%s: %s, next %d, caught up %v; want %s, %d, %v", step.q, p.runs(), p.Next, p.CaughtUp, step.runs, step.next, step.level)
		}
	}
	const path = "/v1/sessions/s/events?epoch=epoch-1&after=3&limit=2" // both begin with event 4
	_, folded := w.body(path + "&fold=1")
	_, plain := w.body(path)
	if a, b := folded.Header.Get("ETag"), plain.Header.Get("ETag"); a == "" || a == b {
		t.Errorf("tags %q and %q", a, b)
	}
	if _, res := w.body(path+"&fold=1", "If-None-Match", folded.Header.Get("ETag")); res.StatusCode != http.StatusNotModified {
		t.Errorf("the same page: status %d", res.StatusCode)
	}
	if b, _ := w.body("/v1/sessions/s/events?fold=1&before=9"); !strings.HasPrefix(b, "invalid_query") {
		t.Errorf("backwards: %s", b)
	}
	l.append("s", delta("c"), delta("c"))
	if p := w.poll("/v1/sessions/s/events?fold=1&after=20&wait=5"); p.runs() != "21-22" {
		t.Errorf("a poll folds what came live too: got %s", p.runs())
	}
	reads := 0
	l.setAfterRead(func(store.Page) {
		if reads++; reads == 1 { // while the poll waits
			l.append("s", delta("c"), delta("c"))
		}
	})
	if p := w.poll("/v1/sessions/s/events?fold=1&after=22&wait=5"); p.runs() != "23-24" {
		t.Errorf("a poll folds what it waited for: got %s", p.runs())
	}
	b, _ := w.body("/v1/poll?fold=1&cursor=s:4,z:0")
	if !strings.Contains(b, `{"id":7,"from":5,`) || !strings.Contains(b, `"cursor":"s:24,z:0"`) {
		t.Errorf("several sessions: %s", b)
	}
}

// A large page is read in pieces, each a fold of its own.
func TestP12_PollFoldsPieceByPiece(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", foldable()...)
	reads := 0
	l.setAfterRead(func(store.Page) {
		if reads++; reads == 1 {
			l.append("s", delta("c"))
		}
	})
	w := newSite(t, New(l, l.hub, Config{PageEvents: 2}))
	p := w.poll("/v1/sessions/s/events?fold=1")
	if p.runs() != "4 5-7 8 9-11 12-20" || p.Next != 20 || p.Head != 20 || !p.CaughtUp {
		t.Errorf("got %s, next %d, head %d, caught up %v", p.runs(), p.Next, p.Head, p.CaughtUp)
	}
}

// P4: a folded event is the same bytes on every transport.
func TestP4_FoldedEventsAreTheSameBytes(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", foldable()...)
	w := newSite(t, New(l, l.hub, Config{}))
	var want []string
	for _, e := range w.poll("/v1/sessions/s/events?fold=1").Events {
		want = append(want, string(e))
	}
	for name, s := range map[string]liveStream{WebSocket: w.ws("/v1/sessions/s/ws?fold=1"), SSE: w.sse("/v1/sessions/s/sse?fold=1")} {
		if got := nEvents(t, s, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		s.close()
	}
}

// A bound in time cuts before the fold: a run that goes on past it ends at it,
// and a whole past it supersedes nothing.
func TestP12_UntilATime(t *testing.T) {
	l := newFakeLog("s")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	events := []store.Event{delta("a"), delta("a"), delta("a"), whole("a")}
	for i := range events {
		events[i].Time = at.Add(time.Duration(i) * time.Minute)
	}
	l.append("s", events...)
	w := newSite(t, New(l, l.hub, Config{}))
	s := w.ws("/v1/sessions/s/ws?fold=1&until=2026-01-01T00:01:30Z")
	defer s.close()
	if got, want := runs(until(t, s, "bye")), "hello status 1-2 caught_up bye"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Another history is another replay.
func TestP12_ResetFoldsAnew(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", foldable()...)
	w := newSite(t, New(l, l.hub, Config{}))
	s := w.sse("/v1/sessions/s/sse?fold=1&after=20&epoch=old")
	defer s.close()
	if got, want := runs(until(t, s, "caught_up")), "hello status reset 4 5-7 8 9-11 12-20 caught_up"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	l.mu.Lock()
	l.sessions["s"] = &fakeSession{Session: store.Session{ID: "s", Epoch: "epoch-2", Floor: 1}}
	l.mu.Unlock()
	l.append("s", append(foldable(), delta("c"), delta("c"))...)
	all := until(t, s, "caught_up")
	all = slices.DeleteFunc(all, func(g got) bool { return g.name == "status" })
	if got, want := runs(all), "reset 4 5-7 8 9-11 12-22 caught_up"; got != want {
		t.Errorf("while it was attached: got %s, want %s", got, want)
	}
}

// misfolded is an engine whose folds are out of order.
type misfolded struct {
	*fakeLog
	events []store.Event
}

func (m *misfolded) Read(ctx context.Context, id string, q store.Query) (store.Page, error) {
	p, err := m.fakeLog.Read(ctx, id, q)
	p.Events = m.events
	return p, err
}

// I3: what an engine folds wrongly is found out here and not by a reader.
func TestI3_FoldsOutOfOrderAreRefused(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 20)
	for name, events := range map[string][]store.Event{
		"twice":            {{ID: 3, From: 1}, {ID: 5, From: 3}},
		"below the cursor": {{ID: 3, From: 0}, {ID: 2, From: 1}},
		"backwards":        {{ID: 3, From: 5}},
		"again":            {{ID: 4}, {ID: 4}},
	} {
		tail := newTail(&misfolded{l, events}, l.hub, make(chan struct{}, 1), Request{Session: "s", Fold: true}, store.Limit{})
		if _, err := tail.Next(t.Context(), 0); store.CodeOf(err) != store.CodeCorrupt {
			t.Errorf("%s: got %v, want %s", name, err, store.CodeCorrupt)
		}
		tail.Close()
	}
	tail := newTail(&misfolded{l, []store.Event{{ID: 3, From: 2}, {ID: 5}}}, l.hub, make(chan struct{}, 1), Request{Session: "s", Fold: true}, store.Limit{})
	defer tail.Close()
	if b, err := tail.Next(t.Context(), 0); err != nil || b.Next != 5 {
		t.Errorf("ids that are left out: next %d, %v", b.Next, err)
	}
}
