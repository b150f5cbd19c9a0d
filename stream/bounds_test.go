package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// severalPages is the answer of a poll of several sessions.
type severalPages struct {
	Sessions []pollPage
	Cursor   string
}

func (w *site) pollSeveral(path string) (severalPages, int) {
	w.t.Helper()
	b, res := w.body(path)
	var p severalPages
	if err := json.Unmarshal([]byte(b), &p); err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: status %d, %v", path, res.StatusCode, err)
	}
	return p, len(b)
}

// The bounds of a poll are those of the answer, however many sessions it
// follows, and a session that had no room has some in the end.
func TestI7_PollOfSeveralSessionsIsBounded(t *testing.T) {
	const sessions, each = 12, 8
	var ids, cursor []string
	for i := range sessions {
		ids = append(ids, fmt.Sprint("s", i))
		cursor = append(cursor, fmt.Sprintf("s%d:0", i))
	}
	l := newFakeLog(ids...)
	for _, id := range ids {
		for range each {
			l.append(id, store.Event{Data: []byte(`"` + strings.Repeat("x", 100<<10) + `"`)})
		}
	}
	w := newSite(t, New(l, l.hub, Config{}))
	for _, limit := range []int{PollEventsMax, 5} {
		at := make(map[string]int64)
		next := strings.Join(cursor, ",")
		for polls := 0; ; polls++ {
			p, size := w.pollSeveral(fmt.Sprintf("/v1/poll?cursor=%s&limit=%d", next, limit))
			events, level := 0, 0
			for _, one := range p.Sessions {
				for _, e := range one.Events {
					if at[one.Session]++; parseGot(string(e)).id != at[one.Session] {
						t.Fatalf("%s: want event %d, got %.80s", one.Session, at[one.Session], e)
					}
				}
				if one.Next != at[one.Session] || one.Head != each || one.CaughtUp && one.Next != each {
					t.Errorf("%s at %d: next %d, head %d, caughtUp %v", one.Session, at[one.Session], one.Next, one.Head, one.CaughtUp)
				}
				events += len(one.Events)
				if one.CaughtUp {
					level++
				}
			}
			if size > PollBytesMax+16<<10 || events > limit {
				t.Fatalf("limit %d: %d bytes, %d events", limit, size, events)
			}
			if next = p.Cursor; level == sessions {
				break
			}
			if polls > 40 {
				t.Fatalf("limit %d: still at %s", limit, next)
			}
		}
	}
}

// A session that has more than fits every time does not starve the others.
func TestPollOfSeveralTakesTurns(t *testing.T) {
	l := newFakeLog("busy", "calm")
	l.appendN("busy", 100)
	l.appendN("calm", 1)
	w := newSite(t, New(l, l.hub, Config{}))
	p, _ := w.pollSeveral("/v1/poll?cursor=busy:0,calm:0&limit=3")
	if p.Cursor != "calm:0,busy:3" || p.Sessions[1].CaughtUp || p.Sessions[1].Head != 1 {
		t.Errorf("first: %+v", p)
	}
	if p, _ = w.pollSeveral("/v1/poll?limit=3&cursor=" + p.Cursor); p.Sessions[0].ids() != "1" || p.Sessions[1].ids() != "4 5" {
		t.Errorf("second: %+v", p)
	}
}

// A reader of several sessions that takes nothing costs a page, also when its
// bytes are mostly the agents' own lines.
func TestI7_SeveralSessionsWithRawHoldOnePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 30
		var ids, at []string
		for i := range sessions {
			ids = append(ids, fmt.Sprint("s", i))
			at = append(at, ids[i]+":0")
		}
		l := newFakeLog(ids...)
		for _, id := range ids {
			for range 200 {
				l.append(id, store.Event{Raw: []byte(strings.Repeat("r", 4<<10))})
			}
		}
		var read atomic.Int64
		l.setAfterRead(func(p store.Page) {
			for i := range p.Events {
				read.Add(int64(len(p.Events[i].AppendJSON(nil, true))))
			}
		})
		w := newPipeSite(t, New(l, l.hub, Config{Heartbeat: time.Hour, SilenceMax: 2 * time.Hour, WriteTimeout: time.Hour}))
		defer w.stop()
		q := "?raw=1&cursor=" + strings.Join(at, ",")
		var stalled []io.Closer
		for name, open := range map[string]func() io.Closer{
			"ws":  func() io.Closer { return closer(w.ws("/v1/ws" + q).close) },
			"sse": func() io.Closer { return closer(w.sse("/v1/sse" + q).close) },
			"poll": func() io.Closer {
				res, cancel := w.get("/v1/poll" + q)
				return closer(func() { cancel(); res.Body.Close() })
			},
		} {
			read.Store(0)
			stalled = append(stalled, open())
			synctest.Wait()
			if n := read.Load(); n == 0 || n > 2*PageBytesDefault+64<<10 {
				t.Errorf("%s: %d bytes were read for a reader that takes nothing, pages are of %d", name, n, PageBytesDefault)
			}
		}
		for _, s := range stalled {
			s.Close()
		}
	})
}

type closer func()

func (c closer) Close() error { c(); return nil }

// slowConn is a line of 10 KiB per second.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	<-time.After(400 * time.Millisecond) // of virtual time
	return c.Conn.Read(p[:min(len(p), 4<<10)])
}

// An event that takes longer than the write timeout reaches whoever goes on
// taking it.
func TestLargeEventOverASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		l.append("s", store.Event{Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)})
		w := newPipeSite(t, New(l, l.hub, Config{}))
		defer time.Sleep(time.Second) // a read of the line that was under way
		defer w.stop()
		tr := w.client.Transport.(*http.Transport)
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return slowConn{c}, err
		}
		begin := time.Now()
		for _, open := range []func() liveStream{
			func() liveStream { return w.ws("/v1/sessions/s/ws") },
			func() liveStream { return w.sse("/v1/sessions/s/sse") },
		} {
			s := open()
			until(t, s, "caught_up")
			until(t, s, "ping") // and it is not taken for silent
			s.close()
		}
		if p := w.poll("/v1/sessions/s/events"); p.ids() != "1" {
			t.Errorf("poll: %s", p.ids())
		}
		if d := time.Since(begin); d < 10*WriteTimeoutDefault {
			t.Errorf("the line was not slow: %v", d)
		}
	})
}

// When the time to drain is over, connections in mid-write end at once.
func TestDrainCutsStalledConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		l.append("s", large(500)...)
		srv := New(l, l.hub, Config{WriteTimeout: time.Minute})
		w := newPipeSite(t, srv)
		defer w.stop()
		ws, sse := w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")
		res, cancel := w.get("/v1/sessions/s/events?wait=1")
		synctest.Wait()
		if n := srv.Connections(); n[WebSocket]+n[SSE]+n[Poll] != 3 {
			t.Fatalf("connections: %v", n)
		}
		begin := time.Now()
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		srv.Drain(ctx, "restart", 0)
		if d, n := time.Since(begin), srv.Connections(); d != time.Second || n[WebSocket]+n[SSE]+n[Poll] != 0 {
			t.Errorf("after %v: %v", d, n)
		}
		ws.close()
		sse.close()
		cancel()
		res.Body.Close()
	})
}

// A plain read is over at once: it has no reason to be refused.
func TestPlainReadsGoOnDuringDrain(t *testing.T) {
	l := newFakeLog("s", "z")
	l.appendN("s", 3)
	srv := New(l, l.hub, Config{})
	w := newSite(t, srv)
	srv.Drain(context.Background(), "restart", 0)
	if p := w.poll("/v1/sessions/s/events?after=1"); p.ids() != "2 3" {
		t.Errorf("page: %+v", p)
	}
	if p, _ := w.pollSeveral("/v1/poll?cursor=s:0,z:0"); p.Cursor != "s:3,z:0" {
		t.Errorf("several: %+v", p)
	}
	if b, _ := w.body("/v1/sessions/s/events?wait=1"); !strings.HasPrefix(b, "shutting_down") {
		t.Errorf("with a wait: %s", b)
	}
	if n := srv.Connections()[Poll]; n != 0 {
		t.Errorf("%d polls", n)
	}
}

// What is not UTF-8 would come back in a text message as a ref.
func TestFrameThatIsNotUTF8(t *testing.T) {
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{Commander: commander(func(string, []byte) (any, error) { return nil, nil })}))
	for _, frame := range []string{"{\"type\":\"ping\",\"ref\":\"\xff\"}", "{\"type\":\"append\",\"ref\":[\"\xc3\x28\"]}", "{\"type\":\"no_such\",\"ref\":\"\xed\xa0\x80\"}"} {
		s := w.ws("/v1/ws")
		s.send(t, frame)
		if all, err := rest(s); len(all) != 0 || websocket.CloseStatus(err) != CloseBadFrame {
			t.Errorf("%q: %s, %v", frame, names(all), err)
		}
	}
}

// One session that is gone must not keep a browser from the others: at a 404
// an EventSource gives up for good.
func TestAbsentSessionAmongSeveral(t *testing.T) {
	l := newFakeLog("a", "b")
	l.appendN("a", 1)
	l.appendN("b", 1)
	w := newSite(t, New(l, l.hub, Config{}))
	const q = "?cursor=a:0,none:3,b:0"
	for _, s := range []liveStream{w.ws("/v1/ws" + q), w.sse("/v1/sse" + q)} {
		all := append(until(t, s, "caught_up"), until(t, s, "caught_up")...)
		if names(all[:2]) != "error bye" || all[0].field("code") != "session_not_found" || all[0].field("session") != "none" ||
			all[1].field("session") != "none" || names(all[2:]) != "hello status 1 caught_up hello status 1 caught_up" {
			t.Errorf("%T: %s", s, names(all))
		}
		if last := all[len(all)-2]; last.hasID && last.sseID != "a:1,b:1" {
			t.Errorf("cursor %q", last.sseID)
		}
		s.close()
	}
	if _, res := w.body("/v1/sse?cursor=none:0,nor:1"); res.StatusCode != http.StatusNotFound {
		t.Errorf("none exists: status %d", res.StatusCode)
	}
}

// A browser whose filter lets nothing pass up to until must come to an end.
func TestUntilBehindAFilterMovesTheCursor(t *testing.T) {
	l := newFakeLog("s", "b")
	l.appendN("s", 6)
	l.appendN("b", 6)
	w := newSite(t, New(l, l.hub, Config{PageEvents: 2}))
	for path, ids := range map[string]string{"/v1/sessions/s/sse?types=none&until=4": "4", "/v1/sse?cursor=s:0,b:3&types=none&until=4": "s:4,b:4 b:4"} {
		body, _ := w.body(path)
		var got []string
		for line := range strings.Lines(body) {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				got = append(got, strings.TrimSpace(id))
			}
		}
		if last := len(got) - 1; last < 0 || !strings.HasSuffix(ids, got[last]) && !strings.HasSuffix(got[last], ":4") || strings.Index(body, "id: ") > strings.LastIndex(body, "event: bye") {
			t.Fatalf("%s: ids %q, want %s, before bye:\n%s", path, got, ids, body)
		}
		if _, res := w.body(path, "Last-Event-ID", got[len(got)-1]); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s comes back with %s: status %d", path, got[len(got)-1], res.StatusCode)
		}
	}
}

// The clock alone does not say that nothing of a time is still on its way.
func TestUntilATimeThatIsJustPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{Heartbeat: 2 * time.Second}))
		defer w.stop()
		at := time.Now().UTC()
		time.Sleep(300 * time.Millisecond)
		s := w.sse("/v1/sessions/s/sse?until=" + at.Format(time.RFC3339Nano))
		until(t, s, "caught_up")
		time.Sleep(300 * time.Millisecond)
		l.append("s", store.Event{Time: at.Add(-time.Millisecond)})
		if all, _ := rest(s); names(all) != "1 bye" {
			t.Errorf("got %s", names(all))
		}
		s.close()
		at = time.Now().UTC()
		time.Sleep(time.Millisecond)
		l.append("s", store.Event{})
		s = w.sse("/v1/sessions/s/sse?until=" + at.Format(time.RFC3339Nano))
		begin := time.Now()
		if all, _ := rest(s); names(all) != "hello status 1 caught_up bye" || time.Since(begin) != 0 {
			t.Errorf("an event past it was seen: %s after %v", names(all), time.Since(begin))
		}
		s.close()
	})
}

func TestBackwardsWithUntilAndEpoch(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	w := newSite(t, New(l, l.hub, Config{}))
	for q, want := range map[string]string{
		"before=0&limit=3&until=6": "4 5 6", "before=9&limit=3&until=6": "4 5 6", "before=5&limit=3&until=6": "2 3 4", "before=0&until=9223372036854775807&limit=2": "9 10",
		"before=8&limit=2&epoch=epoch-1": "6 7", "tail=2&until=6": "5 6", "tail=2&until=99": "9 10", "tail=20&until=3": "1 2 3", "tail=0&until=6": "",
	} {
		if p := w.poll("/v1/sessions/s/events?" + q); p.ids() != want || p.Reset != nil {
			t.Errorf("%s: %s, want %s; reset %v", q, p.ids(), want, p.Reset)
		}
	}
	p := w.poll("/v1/sessions/s/events?before=8&limit=2&epoch=old")
	if p.Reset["reason"] != "epoch_changed" || p.Reset["epoch"] != "epoch-1" || len(p.Events) != 0 || p.Next != 0 || p.CaughtUp {
		t.Errorf("backwards in another epoch: %+v", p)
	}
	s := w.sse("/v1/sessions/s/sse?tail=2&until=6")
	if all, _ := rest(s); names(all) != "hello status 5 6 caught_up bye" {
		t.Errorf("sse: %s", names(all))
	}
	s.close()
}

// Nothing that a reader asked for may be lost in silence.
func TestMalformedQueriesAreRefused(t *testing.T) {
	for query, want := range map[string]string{
		"after=1&after=2": "parameter after is given more than once", "afer=1": `parameter "afer" is not known here; use after, tail,`,
		"after=%zz": "malformed", "after=1;tail=2": "malformed", "limit=5&Limit=6": `"Limit"`,
	} {
		_, err := ParseRequest(&http.Request{URL: mustURL("/?" + query)}, "s")
		if store.CodeOf(err) != store.CodeInvalidQuery || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
	if _, err := ParseRequest(&http.Request{URL: mustURL("/?cursor=a:1,b:2&epoch=x")}, ""); store.CodeOf(err) != store.CodeInvalidQuery {
		t.Errorf("an epoch for several sessions: %v", err)
	}
}

func mustURL(s string) *url.URL {
	path, query, _ := strings.Cut(s, "?")
	return &url.URL{Path: path, RawQuery: query}
}

// The agents' own lines count against the bytes of a page.
func TestI7_PollPageWithRawIsBounded(t *testing.T) {
	l := newFakeLog("s")
	for range 12 {
		l.append("s", store.Event{Raw: []byte(strings.Repeat("r", 1<<20))})
	}
	w := newSite(t, New(l, l.hub, Config{}))
	for q, least := range map[string]int{"after=0&raw=1": 3, "before=0&raw=1": 3, "after=0": 12} {
		b, _ := w.body("/v1/sessions/s/events?" + q)
		var p pollPage
		if err := json.Unmarshal([]byte(b), &p); err != nil || len(b) > PollBytesMax+4<<10 || len(p.Events) < least {
			t.Errorf("%s: %d bytes, %d events, %v", q, len(b), len(p.Events), err)
		}
	}
}
