package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

// redact drops the content of events, as an engine does: in a new array.
func (l *fakeLog) redact(id string, gone func(int64) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	s.events = slices.Clone(s.events)
	for i := range s.events {
		if gone(s.events[i].ID) {
			s.events[i] = s.events[i].Redact()
		}
	}
}

// account writes what a reader was told in one line: ids of events, and gaps,
// those that touch as one.
type account struct {
	parts    []string
	from, to int64 // the gap that may go on
	reason   string
}

func (a *account) event(id int64) {
	a.end()
	a.parts = append(a.parts, fmt.Sprint(id))
}

func (a *account) gap(from, to int64, reason string) {
	if reason == a.reason && from == a.to+1 {
		a.to = to
		return
	}
	a.end()
	a.from, a.to, a.reason = from, to, reason
}

func (a *account) end() {
	if a.reason != "" {
		a.parts = append(a.parts, fmt.Sprintf("%d-%d:%s", a.from, a.to, a.reason))
	}
	a.from, a.to, a.reason = 0, 0, ""
}

func (a *account) String() string {
	a.end()
	return strings.Join(a.parts, " ")
}

// tell takes what a stream or a page said.
func (a *account) tell(t *testing.T, g got) {
	t.Helper()
	switch g.name {
	case "":
		if strings.Contains(g.body, `"data":}`) {
			t.Errorf("a redacted event went out: %s", g.body)
		}
		a.event(g.id)
	case "gap":
		a.gap(int64(g.field("from").(float64)), int64(g.field("to").(float64)), g.field("reason").(string))
	case "reset", "error":
		t.Errorf("got %s", g.body)
	}
}

// P6 on every transport, forwards and backwards, with and without a filter,
// whatever the pages are cut to: in the place of redacted events the reader
// gets a gap, and everything else as if they were there.
func TestP6_RedactedEventsAreAGap(t *testing.T) {
	const n = 40
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			l := newFakeLog("s")
			for i := range n {
				e := store.Event{Type: "text", Turn: "t"}
				if i%3 == 0 {
					e.Type = "other"
				}
				l.append("s", e)
			}
			gone := map[int64]bool{}
			for range 1 + rng.IntN(5) {
				from := 1 + rng.Int64N(n)
				for id := from; id <= min(n, from+rng.Int64N(8)); id++ {
					gone[id] = true
				}
			}
			l.redact("s", func(id int64) bool { return gone[id] })
			floor := 1 + rng.Int64N(6)
			l.forget("s", floor)
			var whole, filtered account
			if floor > 1 {
				whole.gap(1, floor-1, reasonRetention)
				filtered.gap(1, floor-1, reasonRetention)
			}
			for id := floor; id <= n; id++ {
				if gone[id] {
					whole.gap(id, id, reasonRedacted)
					filtered.gap(id, id, reasonRedacted)
					continue
				}
				whole.event(id)
				if (id-1)%3 != 0 {
					filtered.event(id)
				}
			}
			w := newSite(t, New(l, l.hub, Config{PageEvents: 1 + rng.IntN(7)}))
			for query, want := range map[string]string{"": whole.String(), "&types=text": filtered.String()} {
				for name, s := range map[string]liveStream{
					"ws": w.ws("/v1/sessions/s/ws?after=0" + query), "sse": w.sse("/v1/sessions/s/sse?after=0" + query), "several": w.sse("/v1/sse?cursor=s:0" + query),
				} {
					var told account
					for _, g := range until(t, s, "caught_up") {
						told.tell(t, g)
					}
					s.close()
					if told.String() != want {
						t.Errorf("%s%s was told\n%s\nwant\n%s", name, query, told.String(), want)
					}
				}
				limit := 1 + rng.IntN(9)
				if got := pollForward(t, w, fmt.Sprintf("&limit=%d%s", limit, query), n); got != want {
					t.Errorf("poll%s by %d was told\n%s\nwant\n%s", query, limit, got, want)
				}
				if floor == 1 {
					if got := pollBackward(t, w, fmt.Sprintf("&limit=%d%s", limit, query)); got != want {
						t.Errorf("poll%s backwards by %d was told\n%s\nwant\n%s", query, limit, got, want)
					}
				}
			}
		})
	}
}

// pollForward reads page after page and returns what was told.
func pollForward(t *testing.T, w *site, query string, head int64) string {
	t.Helper()
	var told account
	for after, page := int64(0), (pollPage{}); after < head; after = page.Next {
		page = w.poll(fmt.Sprintf("/v1/sessions/s/events?after=%d%s", after, query))
		if page.Next <= after {
			t.Fatalf("after %d: next is %d", after, page.Next)
		}
		if page.Gap != nil {
			told.gap(int64(page.Gap["from"].(float64)), int64(page.Gap["to"].(float64)), page.Gap["reason"].(string))
		}
		for _, e := range page.Events {
			told.tell(t, parseGot(string(e)))
		}
	}
	return told.String()
}

// pollBackward is pollForward from the other end: of a page its gap comes last.
func pollBackward(t *testing.T, w *site, query string) string {
	t.Helper()
	var pages []pollPage
	for before := int64(1 << 20); ; {
		page := w.poll(fmt.Sprintf("/v1/sessions/s/events?before=%d%s", before, query))
		pages = append(pages, page)
		if page.CaughtUp {
			break
		}
		if page.Next >= before {
			t.Fatalf("before %d: next is %d", before, page.Next)
		}
		before = page.Next
	}
	slices.Reverse(pages)
	var told account
	for _, page := range pages {
		for _, e := range page.Events {
			told.tell(t, parseGot(string(e)))
		}
		if page.Gap != nil {
			told.gap(int64(page.Gap["from"].(float64)), int64(page.Gap["to"].(float64)), page.Gap["reason"].(string))
		}
	}
	return told.String()
}

// A reader that is attached is woken by the event that tells of the redaction,
// and sees nothing else of it.
func TestRedactionReachesLiveReaders(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 5)
	w := newSite(t, New(l, l.hub, Config{}))
	for _, s := range []liveStream{w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")} {
		until(t, s, "caught_up")
		defer s.close()
		l.redact("s", func(id int64) bool { return id == 3 })
		spec := store.RedactSpec{From: 3, To: 3}
		l.append("s", store.Event{Type: store.TypeRedacted, Data: spec.Draft(3, 3).Data})
		g, err := s.next()
		if err != nil || g.field("type") != store.TypeRedacted || !strings.Contains(g.body, `"data":{"from":3,"to":3}}`) {
			t.Errorf("got %s, %v", g.body, err)
		}
	}
}

// The name of a page that a client has kept changes with a redaction: it must
// not be told that what it has is still right.
func TestRedactionChangesTheTagOfAPage(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 20)
	w := newSite(t, New(l, l.hub, Config{}))
	const path = "/v1/sessions/s/events?after=0&limit=5"
	_, res := w.body(path)
	tag := res.Header.Get("ETag")
	if tag == "" {
		t.Fatal("a page below the head has no ETag")
	}
	l.redact("s", func(id int64) bool { return id == 3 })
	l.append("s", store.Event{Type: store.TypeRedacted})
	page := w.poll(path, "If-None-Match", tag) // fails on 304
	if page.ids() != "1 2" || page.Next != 2 {
		t.Errorf("page has %s and leads to %d, want 1 2 and 2", page.ids(), page.Next)
	}
	if page = w.poll("/v1/sessions/s/events?after=2&limit=5"); page.Gap["from"] != 3.0 || page.Gap["to"] != 3.0 || page.Gap["reason"] != "redacted" || page.ids() != "4 5 6 7 8" {
		t.Errorf("the next page has the gap %v and %s", page.Gap, page.ids())
	}
}
