package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// fakeAccess is a credential that a test turns into another.
type fakeAccess struct {
	mu      sync.Mutex // guards what follows
	revoked bool
	expires time.Time
	hidden  string // a session that it does not reach
	tokens  map[string]func(*fakeAccess)
}

var errFakeUnauthorized = store.Errorf(CodeUnauthorized, "no")

func (f *fakeAccess) access() Access {
	return Access{
		Permit: func(_ context.Context, session string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if session == f.hidden {
				return store.ErrNotFound
			}
			return nil
		},
		Show: func(_ context.Context, session string) func(*store.Event) bool {
			if session != "feed" {
				return nil
			}
			return func(e *store.Event) bool { return e.Type != "hidden" }
		},
		Standing: func(context.Context) (bool, time.Time) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return !f.revoked, f.expires
		},
		Renew: func(_ context.Context, token string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			become, ok := f.tokens[token]
			if !ok {
				return errFakeUnauthorized
			}
			become(f)
			return nil
		},
	}
}

func (f *fakeAccess) change(how func(*fakeAccess)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(f)
}

// timed is a frame and when it came.
type timed struct {
	got
	at  time.Duration
	err error
}

// watched reads all the time, as a client does.
type watched struct {
	t      *testing.T
	frames chan timed // capacity: more than any test gets
}

func watch(t *testing.T, s liveStream) watched {
	begin := time.Now()
	w := watched{t, make(chan timed, 100)}
	go func() {
		for {
			g, err := s.next()
			w.frames <- timed{g, time.Since(begin), err}
			if err != nil {
				return
			}
		}
	}()
	return w
}

// next wants the next frame that is not a heartbeat, at that time.
func (w watched) next(name string, at time.Duration) got {
	w.t.Helper()
	for g := range w.frames {
		if g.err == nil && g.name == "ping" {
			continue
		}
		if g.err != nil || g.name != name || g.at != at {
			w.t.Fatalf("got %s after %v, %v; want %s after %v: %s", g.name, g.at, g.err, name, at, g.body)
		}
		return g.got
	}
	return got{}
}

// end wants the end of the connection, and returns how it ended.
func (w watched) end() error {
	w.t.Helper()
	g := <-w.frames
	if g.err == nil {
		w.t.Fatalf("got %s after the last frame", g.body)
	}
	return g.err
}

// TestExpiryEndsAWebSocketAfterAGrace in which it can be renewed and reads on.
func TestExpiryEndsAWebSocketAfterAGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fakeAccess{expires: begin.Add(25 * time.Second), tokens: map[string]func(*fakeAccess){
			"fresh": func(f *fakeAccess) { f.expires = begin.Add(70 * time.Second) },
		}}
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{Access: f.access()}))
		defer w.stop()
		s := w.ws("/v1/sessions/s/ws")
		until(t, s, "caught_up")
		seen := watch(t, s)
		if g := seen.next("auth_expiring", 25*time.Second); g.body != `{"type":"auth_expiring","graceMs":30000}` {
			t.Errorf("got %s", g.body)
		}
		time.Sleep(8 * time.Second)
		l.append("s", store.Event{Type: "a"})
		seen.next("", 33*time.Second)
		time.Sleep(14 * time.Second) // not the moment of a heartbeat: a pipe holds nothing, and both ends would wait for each other
		s.send(t, `{"type":"auth","ref":1,"token":"wrong"}`)
		if g := seen.next("error", 47*time.Second); g.field("code") != "unauthorized" {
			t.Errorf("got %s", g.body)
		}
		s.send(t, `{"type":"auth","ref":2,"token":"fresh"}`)
		if g := seen.next("ack", 47*time.Second); g.body != `{"type":"ack","ref":2}` {
			t.Errorf("got %s", g.body)
		}
		seen.next("auth_expiring", 70*time.Second)
		if g := seen.next("bye", 100*time.Second); g.field("reason") != "unauthorized" {
			t.Errorf("got %s", g.body)
		}
		if err := seen.end(); websocket.CloseStatus(err) != CloseUnauthorized {
			t.Errorf("closed with %v", err)
		}
	})
}

// longPoll begins a poll of s; what comes is how long after begin it was answered,
// and the answer.
func (w *site) longPoll(begin time.Time) <-chan string {
	answered := make(chan string, 1)
	go func() {
		body, _ := w.body("/v1/sessions/s/events?wait=30")
		answered <- fmt.Sprint(time.Since(begin), " ", body)
	}()
	return answered
}

// TestExpiryEndsAnEventStreamAndAPoll at its moment: they come back with
// another credential.
func TestExpiryEndsAnEventStreamAndAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fakeAccess{expires: begin.Add(25 * time.Second)}
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{Access: f.access()}))
		defer w.stop()
		polled := w.longPoll(begin)
		s := w.sse("/v1/sessions/s/sse")
		until(t, s, "caught_up")
		seen := watch(t, s)
		if g := seen.next("bye", 25*time.Second); g.field("reason") != "unauthorized" {
			t.Errorf("got %s", g.body)
		}
		_ = seen.end()
		if got := <-polled; !strings.HasPrefix(got, "25s ") || !strings.Contains(got, `"events":[]`) {
			t.Errorf("the poll: %s", got)
		}
	})
}

// TestRevocationEndsReaders at the next heartbeat, and a poll that waits when
// something would come.
func TestRevocationEndsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fakeAccess{expires: begin.Add(time.Hour)}
		l := newFakeLog("s", "quiet")
		w := newPipeSite(t, New(l, l.hub, Config{Access: f.access()}))
		defer w.stop()
		polled := w.longPoll(begin)
		s, e := w.ws("/v1/sessions/quiet/ws"), w.sse("/v1/sessions/quiet/sse")
		until(t, s, "caught_up")
		until(t, e, "caught_up")
		seen, streamed := watch(t, s), watch(t, e)
		time.Sleep(12 * time.Second)
		f.change(func(f *fakeAccess) { f.revoked = true })
		time.Sleep(time.Second)
		l.append("s", store.Event{Type: "a"})
		if got := <-polled; !strings.HasPrefix(got, "13s ") || !strings.Contains(got, `"events":[]`) {
			t.Errorf("the poll: %s", got)
		}
		seen.next("bye", 20*time.Second)
		if err := seen.end(); websocket.CloseStatus(err) != CloseUnauthorized {
			t.Errorf("closed with %v", err)
		}
		streamed.next("bye", 20*time.Second)
	})
}

// TestRevokedInTheGrace: what was left to an expired credential ends with it.
func TestRevokedInTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fakeAccess{expires: begin.Add(25 * time.Second)}
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{Access: f.access()}))
		defer w.stop()
		s := w.ws("/v1/sessions/s/ws")
		until(t, s, "caught_up")
		seen := watch(t, s)
		seen.next("auth_expiring", 25*time.Second)
		f.change(func(f *fakeAccess) { f.revoked = true })
		seen.next("bye", 30*time.Second) // the heartbeat before the grace is over
	})
}

// TestRenewalThatReachesLess ends what it does not reach.
func TestRenewalThatReachesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeAccess{tokens: map[string]func(*fakeAccess){"less": func(f *fakeAccess) { f.hidden = "b" }}}
		l := newFakeLog("a", "b")
		w := newPipeSite(t, New(l, l.hub, Config{Access: f.access()}))
		defer w.stop()
		several, own := w.ws("/v1/ws"), w.ws("/v1/sessions/b/ws")
		until(t, own, "caught_up")
		for _, id := range []string{"a", "b"} {
			several.send(t, `{"type":"subscribe","session":"`+id+`"}`)
			until(t, several, "caught_up")
		}
		seen := watch(t, several)
		several.send(t, `{"type":"auth","token":"less"}`)
		if g := seen.next("bye", 0); g.field("session") != "b" || g.field("reason") != "unauthorized" {
			t.Errorf("got %s", g.body)
		}
		l.append("b", store.Event{Type: "b"})
		l.append("a", store.Event{Type: "a"})
		if g := seen.next("", 0); g.field("session") != "a" {
			t.Errorf("got %s", g.body)
		}
		several.send(t, `{"type":"subscribe","ref":1,"session":"b"}`)
		if g := seen.next("error", 0); g.field("code") != "session_not_found" {
			t.Errorf("got %s", g.body)
		}
		own.send(t, `{"type":"auth","token":"less"}`)
		for {
			if _, err := own.next(); err != nil {
				if websocket.CloseStatus(err) != CloseUnauthorized {
					t.Errorf("closed with %v", err)
				}
				return
			}
		}
	})
}

// TestGuessedTokensCloseTheConnection after ten.
func TestGuessedTokensCloseTheConnection(t *testing.T) {
	l := newFakeLog("s")
	f := &fakeAccess{}
	w := newSite(t, New(l, l.hub, Config{Access: f.access()}))
	s := w.ws("/v1/ws")
	for range badFramesMax {
		s.send(t, `{"type":"auth","token":"guessed"}`)
	}
	for {
		if g, err := s.next(); err != nil {
			if websocket.CloseStatus(err) != CloseBadFrame {
				t.Errorf("closed with %v after %s", err, g.body)
			}
			return
		}
	}
}

// TestPermitOnEveryTransport: a session that is not reached is absent.
func TestPermitOnEveryTransport(t *testing.T) {
	l := newFakeLog("s", "other")
	f := &fakeAccess{hidden: "other"}
	w := newSite(t, New(l, l.hub, Config{Access: f.access()}))
	for _, path := range []string{"/v1/sessions/%s/events", "/v1/sessions/%s/events?before=9", "/v1/sessions/%s/events?wait=9", "/v1/sessions/%s/sse", "/v1/poll?cursor=%s:0", "/v1/sse?cursor=%s:0"} {
		there, res := w.body(fmt.Sprintf(path, "other"))
		absent, _ := w.body(fmt.Sprintf(path, "nowhere"))
		if res.StatusCode != 404 || there != absent {
			t.Errorf("%s: %d %s, absent %s", path, res.StatusCode, there, absent)
		}
	}
	_, res, err := websocket.Dial(t.Context(), w.url+"/v1/sessions/other/ws", &websocket.DialOptions{HTTPClient: w.client})
	if err == nil || res == nil || res.StatusCode != 404 {
		t.Errorf("WebSocket: %v, %v", res, err)
	}
}

// TestShowFiltersEvents like the filters that a reader asks for.
func TestShowFiltersEvents(t *testing.T) {
	l := newFakeLog("feed")
	f := &fakeAccess{}
	for i := range 6 {
		typ := "shown"
		if i%2 == 1 {
			typ = "hidden"
		}
		l.append("feed", store.Event{Type: typ})
	}
	w := newSite(t, New(l, l.hub, Config{Access: f.access()}))
	for path, want := range map[string]string{
		"/v1/sessions/feed/events":                       "1 3 5",
		"/v1/sessions/feed/events?epoch=epoch-1&limit=2": "1",
		"/v1/sessions/feed/events?before=9":              "1 3 5",
		"/v1/sessions/feed/events?fold=1":                "1 3 5",
		"/v1/sessions/feed/events?types=hidden":          "",
		"/v1/sessions/feed/events?tail=1":                "",
		"/v1/sessions/feed/events?types=shown,hidden":    "1 3 5",
	} {
		body, res := w.body(path)
		var ids []string
		for _, part := range strings.Split(body, `{"id":`)[1:] {
			id, _, _ := strings.Cut(part, ",")
			ids = append(ids, id)
		}
		if got := strings.Join(ids, " "); got != want || strings.Contains(body, "hidden") || strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("ETag") != "" {
			t.Errorf("%s: got %s %v: %s", path, got, res.Header, body)
		}
	}
	for _, s := range []liveStream{w.sse("/v1/sessions/feed/sse"), w.ws("/v1/sessions/feed/ws"), w.sse("/v1/sse?cursor=feed:0")} {
		var ids []int64
		for _, g := range until(t, s, "caught_up") {
			if g.name == "" {
				ids = append(ids, g.id)
			} else if g.name == "caught_up" && g.field("id") != float64(6) {
				t.Errorf("got %s", g.body)
			}
		}
		if fmt.Sprint(ids) != "[1 3 5]" {
			t.Errorf("got %v", ids)
		}
		s.close()
	}
	if errors.Is(errFakeUnauthorized, store.ErrNotFound) {
		t.Error("unauthorized is not absent")
	}
}
