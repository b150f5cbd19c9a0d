package stream

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/konlog/konlog/store"
)

// oddView shows the events with odd ids, hides the others, and does not show
// hello. Its lens notes what it was told to recall.
type oddView struct {
	recall int

	mu     sync.Mutex
	lenses []*oddLens // since the last fresh
}

type oddLens struct {
	recalled []int64
	asked    atomic.Int32
}

func (v *oddView) Lens() Lens {
	l := &oddLens{}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lenses = append(v.lenses, l)
	return l
}
func (v *oddView) Recall() int { return v.recall }

// fresh returns the lenses that were made since it was called last.
func (v *oddView) fresh() []*oddLens {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.lenses
	v.lenses = nil
	return l
}

func (v *oddView) Control(frame any) any {
	switch f := frame.(type) {
	case Hello:
		return nil
	case Failure:
		return map[string]any{"type": "error", "error": f.Detail}
	}
	return frame
}

func (v *oddView) Inbound(frame []byte) ([]byte, bool) {
	if string(frame) == `{"type":"hi"}` {
		return []byte(`{"type":"ping","ref":"hi"}`), true
	}
	return nil, false
}

func (l *oddLens) Recall(_ *store.Session, before []store.Event) {
	for i := range before {
		l.recalled = append(l.recalled, before[i].ID)
	}
}

func (l *oddLens) AppendEvent(dst []byte, e *store.Event) ([]byte, string) {
	l.asked.Add(1)
	if e.ID%2 == 0 {
		return append(dst, "never seen"...), ""
	}
	return fmt.Appendf(dst, `{"type":"odd","id":%d,"data":0}`, e.ID), "odd"
}

// newViewSite serves all requests through the view.
func newViewSite(t *testing.T, s *Server, v View) *site {
	mux := http.NewServeMux()
	serve := func(pattern string, f func(http.ResponseWriter, *http.Request, Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			req, err := ParseRequest(r, r.PathValue("s"))
			req.View, req.Named = v, true
			if err == nil {
				err = f(w, r, req)
			}
			if err != nil {
				http.Error(w, string(store.CodeOf(err)), http.StatusBadRequest)
			}
		})
	}
	serve("GET /{s}/ws", s.ServeWebSocket)
	serve("GET /{s}/sse", s.ServeSSE)
	serve("GET /sse", s.ServeSSE)
	serve("GET /{s}/poll", s.ServePoll)
	serve("GET /poll", s.ServePoll)
	ts := httptest.NewServer(mux)
	w := &site{t: t, url: ts.URL, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx, "test", 0)
		w.client.CloseIdleConnections()
		ts.CloseClientConnections()
		ts.Close()
	})
	return w
}

// TestViewChangesNoCursor reads the same log with and without a view that
// hides half of it.
func TestViewChangesNoCursor(t *testing.T) {
	l := newFakeLog("s", "b")
	l.appendN("s", 9)
	l.appendN("b", 2)
	w := newViewSite(t, New(l, l.hub, Config{PageEvents: 4}), &oddView{})

	ws := w.ws("/s/ws?after=2")
	if all := until(t, ws, "caught_up"); names(all) != "status 3 5 7 9 status caught_up" || all[6].id != 9 {
		t.Errorf("WebSocket: %s", names(all))
	}
	l.appendN("s", 2)
	if all := until(t, ws, ""); all[len(all)-1].id != 11 {
		t.Errorf("live: %s", names(all))
	}
	ws.send(t, `{"type":"hi"}`)
	if all := until(t, ws, "pong"); all[len(all)-1].field("ref") != "hi" {
		t.Errorf("the client's frame was not translated: %s", all[len(all)-1].body)
	}
	ws.send(t, `{"type":"subscribe","session":"none"}`)
	if all := until(t, ws, "error"); all[len(all)-1].field("error") == nil {
		t.Errorf("the error frame is not the view's: %s", all[len(all)-1].body)
	}
	ws.send(t, `{"type":"subscribe","session":"b"}`)
	if all := until(t, ws, "caught_up"); names(all) != "status 1 status caught_up" {
		t.Errorf("a session that was subscribed to: %s", names(all))
	}
	ws.close()

	s := w.sse("/s/sse?after=2")
	all := until(t, s, "caught_up")
	if names(all) != "status 3 5 7 9 11 status caught_up" {
		t.Errorf("SSE: %s", names(all))
	}
	for _, g := range all {
		if g.name == "" && (g.event != "odd" || g.sseID != fmt.Sprint(g.id)) {
			t.Errorf("SSE event: %+v", g)
		}
	}
	l.appendN("s", 1) // hidden, and yet it moves the cursor
	if e, err := s.(*sseStream).r.Next(); err != nil || e.Data != nil || !e.HasID || e.ID != "12" {
		t.Errorf("a hidden event gives %+v, %v; want its id alone", e, err)
	}
	s.close()
}

func TestViewOfPolls(t *testing.T) {
	l := newFakeLog("s", "b")
	l.appendN("s", 9)
	l.appendN("b", 3)
	l.forget("s", 3)
	w := newViewSite(t, New(l, l.hub, Config{PageEvents: 2}), &oddView{})
	odd := func(ids ...int) string {
		var all []string
		for _, id := range ids {
			all = append(all, fmt.Sprintf(`{"type":"odd","id":%d,"data":0}`, id))
		}
		return strings.Join(all, ",")
	}
	gap := `{"type":"gap","session":"s","from":1,"to":2,"reason":"retention"}`
	reset := `{"type":"reset","session":"s","epoch":"epoch-1","head":9,"reason":"cursor_beyond_head"}`
	for path, want := range map[string]string{
		"/s/poll":                      `{"events":[` + gap + "," + odd(3, 5, 7, 9) + `],"cursor":"9","caughtUp":true}`,
		"/s/poll?after=3&limit=1":      `{"events":[],"cursor":"4","caughtUp":false}`,
		"/s/poll?after=3&limit=4":      `{"events":[` + odd(5, 7) + `],"cursor":"7","caughtUp":false}`,
		"/s/poll?after=99":             `{"events":[` + reset + `],"cursor":"0","caughtUp":false}`,
		"/s/poll?before=8&limit=3":     `{"events":[` + odd(5, 7) + `],"cursor":"5","caughtUp":false}`,
		"/poll?cursor=b:0,s:4":         `{"events":[` + odd(1, 3, 5, 7, 9) + `],"cursor":"b:3,s:9","caughtUp":true}`,
		"/poll?cursor=b:3,s:9":         `{"events":[],"cursor":"b:3,s:9","caughtUp":true}`,
		"/poll?cursor=b:0,s:4&limit=4": `{"events":[` + odd(1, 3, 5) + `],"cursor":"s:5,b:3","caughtUp":false}`,
	} {
		b, res := w.body(path)
		if b != want || res.StatusCode != 200 || res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v\ngot  %s\nwant %s", path, res.Header, b, want)
		}
	}
	l.append("s", large(40)...) // more than one write
	b, _ := w.body("/s/poll?after=9")
	if want := `{"events":[` + odd(11); !strings.HasPrefix(b, want) || !strings.HasSuffix(b, `,"cursor":"49","caughtUp":true}`) || strings.Count(b, `"odd"`) != 20 {
		t.Errorf("a long answer: %s", b)
	}
}

// TestViewRecallsWhatItsReaderHad holds what a lens learns of the events before
// its cursor.
func TestViewRecallsWhatItsReaderHad(t *testing.T) {
	l := newFakeLog("s")
	for range 4 {
		l.append("s", store.Event{Type: "a"}, store.Event{Type: "b"})
	}
	v := &oddView{recall: 3}
	w := newViewSite(t, New(l, l.hub, Config{}), v)
	for _, c := range []struct{ query, want string }{
		{"after=0", "[]"}, {"after=6", "[4 5 6]"}, {"after=2", "[1 2]"}, {"tail=1", "[5 6 7]"}, {"after=6&types=b", "[4 6]"},
	} {
		s := w.ws("/s/ws?" + c.query)
		until(t, s, "caught_up")
		if got := fmt.Sprint(v.fresh()[0].recalled); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
		s.close()
	}
	w.body("/s/poll?before=8&limit=2")
	if got := fmt.Sprint(v.fresh()[0].recalled); got != "[3 4 5]" {
		t.Errorf("backwards: %s, want those before the page", got)
	}
	v = &oddView{recall: 3}
	s := newViewSite(t, New(l, l.hub, Config{}), v).ws("/s/ws?after=6")
	until(t, s, "caught_up")
	v.fresh()
	l.create("s", "epoch-2", 0)
	until(t, s, "reset")
	l.appendN("s", 1)
	until(t, s, "")
	if made := v.fresh(); len(made) != 1 || len(made[0].recalled) != 0 || made[0].asked.Load() != 1 {
		t.Errorf("after a reset: %d new lenses, of which the last was asked %d times", len(made), made[len(made)-1].asked.Load())
	}
	s.close()
}

// TestCheckFollow refuses one session in real time, and leaves plain reads.
func TestCheckFollow(t *testing.T) {
	l := newFakeLog("s", "no")
	l.appendN("s", 1)
	l.appendN("no", 1)
	refuse := func(s *store.Session) error {
		if s.ID == "no" {
			return store.Errorf(store.CodeInvalidQuery, "not this one")
		}
		return nil
	}
	w := newSite(t, New(l, l.hub, Config{CheckFollow: refuse}))
	for path, want := range map[string]int{
		"/v1/sessions/no/sse": 400, "/v1/sessions/no/events?wait=1": 400, "/v1/sse?cursor=no:0": 400, "/v1/poll?cursor=no:0,s:0&wait=1": 400,
		"/v1/sessions/no/events": 200, "/v1/poll?cursor=no:0,s:0": 200, "/v1/sessions/s/events?wait=1": 200,
	} {
		if b, res := w.body(path); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, b, want)
		}
	}
	s := w.ws("/v1/ws?cursor=no:0,s:0")
	if all := until(t, s, "caught_up"); names(all) != "error bye hello status 1 caught_up" || all[0].field("session") != "no" || all[1].field("reason") != reasonFailed {
		t.Errorf("one of two: %s %s", names(all), all[0].body)
	}
	s.send(t, `{"type":"subscribe","session":"no","ref":"7"}`)
	if all := until(t, s, "error"); all[len(all)-1].field("ref") != "7" {
		t.Errorf("subscribe: %s", all[len(all)-1].body)
	}
	s.close()
}
