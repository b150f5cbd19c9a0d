package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

func runtimeYield() { runtime.Gosched() }

// odd is a session of everything that has ever broken an encoder.
func odd(l *fakeLog, id string) {
	l.append(id,
		store.Event{Type: "turn_start", Turn: "r-1", Data: []byte(`{"requestId":"r-1"}`)},
		store.Event{Type: "text_delta", Turn: "r-1", Data: []byte(`{"text":"I'll \u2028 <b>&amp;</b> ünï 🙂","n":1.0e+2, "k" : [ 1,2 ] }`)},
		store.Event{Type: "tool_result", Turn: "r-1", Parent: `to"ol<1>`, Data: []byte(`"data: x\n\nid: 99\r\n"`)},
		store.Event{Type: "agent", Data: []byte(`null`), Raw: []byte(`{"type":"x","a":1}`)},
		store.Event{Type: "agent", Data: []byte(`{"type":"hello"}`), Raw: []byte("not json: \x00 <&> \u2029")},
		store.Event{Type: "error", Data: []byte(`{"error":"` + strings.Repeat("x", 70_000) + `"}`)},
		store.Event{Type: "turn_end", Turn: "r-1", Data: []byte(`{"requestId":"r-1","success":true}`)},
	)
}

// The same events, replayed and live, must be the same bytes on every
// transport.
func TestP4_I9_SameBytesOnEveryTransport(t *testing.T) {
	for _, raw := range []bool{false, true} {
		l := newFakeLog("s")
		srv := New(l, l.hub, Config{PageEvents: 3})
		w := newSite(t, srv)
		odd(l, "s")
		q := "after=0"
		if raw {
			q += "&raw=1"
		}
		base := "/v1/sessions/s/"
		live := map[string]liveStream{
			"ws":        w.ws(base + "ws?" + q),
			"ws batch":  w.ws(base + "ws?batch=1&" + q),
			"sse":       w.sse(base + "sse?" + q),
			"sse named": w.sse(base + "sse?named=1&" + q),
			"sse many":  w.sse("/v1/sse?cursor=s:0&" + q),
			"ws many":   w.ws("/v1/ws?cursor=s:0&" + q),
		}
		for name, s := range live {
			if got := names(until(t, s, "caught_up")); got != "hello status 1 2 3 4 5 6 7 caught_up" {
				t.Errorf("%s: %s", name, got)
			}
		}
		odd(l, "s")
		want := l.bodies("s", raw)
		for name, s := range live {
			if got := nEvents(t, s, 7); !slices.Equal(got, want[7:]) {
				t.Errorf("%s live: bytes differ", name)
			}
			s.close()
		}
		for name, path := range map[string]string{"ws": base + "ws?" + q, "sse": base + "sse?" + q} {
			s := liveStream(nil)
			if name == "ws" {
				s = w.ws(path)
			} else {
				s = w.sse(path)
			}
			if got := nEvents(t, s, 14); !slices.Equal(got, want) {
				t.Errorf("%s replay: bytes differ", name)
			}
			s.close()
		}
		var got []string
		for after := int64(0); after < 14; {
			p := w.poll(fmt.Sprintf("%sevents?after=%d&limit=4&%s", base, after, strings.TrimPrefix(q, "after=0")))
			for _, e := range p.Events {
				got = append(got, string(e))
			}
			after = p.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("poll: bytes differ")
		}
		w.stop()
	}
}

func TestHelloAndStatus(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 3)
	w := newSite(t, New(l, l.hub, Config{}))
	for _, s := range []liveStream{w.ws("/v1/sessions/s/ws?tail=2"), w.sse("/v1/sessions/s/sse?tail=2")} {
		all := until(t, s, "caught_up")
		if names(all) != "hello status 2 3 caught_up" {
			t.Fatalf("got %s", names(all))
		}
		h := all[0]
		for k, want := range map[string]any{"session": "s", "epoch": "epoch-1", "floor": 1.0, "head": 3.0, "after": 1.0, "through": 3.0, "heartbeatMs": 10000.0} {
			if got := h.field(k); got != want {
				t.Errorf("hello %s = %v, want %v", k, got, want)
			}
		}
		for _, k := range []string{"questions", "tasks", "kontasks"} {
			if got, ok := h.field(k).([]any); !ok || len(got) != 0 {
				t.Errorf("hello %s = %v, want an empty list", k, h.field(k))
			}
		}
		if all[1].field("state") != "idle" || all[1].field("queued") != 0.0 {
			t.Errorf("status: %s", all[1].body)
		}
		defer s.close()
	}
	s := w.ws("/v1/sessions/s/ws?after=3")
	defer s.close()
	until(t, s, "caught_up")
	l.append("s", store.Event{Type: "turn_start", Turn: "r"})
	working := until(t, s, "status")
	if names(working) != "4 status" || working[1].field("state") != "working" || working[1].field("turn") != "r" || working[1].field("turnActive") != true {
		t.Errorf("a turn begins: %s", working[1].body)
	}
	l.append("s", store.Event{Type: "turn_end", Turn: "r"})
	if idle := until(t, s, "status"); names(idle) != "5 status" || idle[1].field("state") != "idle" {
		t.Errorf("a turn ends: %s", names(idle))
	}
	l.append("s", store.Event{Type: "turn_start", Turn: "r2"}, store.Event{Type: "turn_end", Turn: "r2"})
	if both := until(t, s, "status"); names(both) != "6 7 status" {
		t.Errorf("a whole turn in one batch: %s", names(both))
	}
	l.append("s", store.Event{Type: "session_closed"})
	if closed := until(t, s, "status"); closed[1].field("state") != "closed" {
		t.Errorf("closed: %s", closed[1].body)
	}
}

func TestP6_GapAndResetOnEveryTransport(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	l.forget("s", 5)
	w := newSite(t, New(l, l.hub, Config{}))
	cases := []struct{ q, want string }{
		{"after=2", "hello status gap 5 6 7 8 9 10 caught_up"},
		{"after=4", "hello status 5 6 7 8 9 10 caught_up"},
		{"after=11", "hello status reset gap 5 6 7 8 9 10 caught_up"},
		{"after=7&epoch=old", "hello status reset gap 5 6 7 8 9 10 caught_up"},
		{"after=7&epoch=epoch-1", "hello status 8 9 10 caught_up"},
		{"tail=100", "hello status 5 6 7 8 9 10 caught_up"},
		{"tail=0", "hello status caught_up"},
		{"tail=1&epoch=old", "hello status 10 caught_up"},
	}
	for _, c := range cases {
		for _, s := range []liveStream{w.ws("/v1/sessions/s/ws?" + c.q), w.sse("/v1/sessions/s/sse?" + c.q)} {
			all := until(t, s, "caught_up")
			if names(all) != c.want {
				t.Errorf("%T %s: got %s, want %s", s, c.q, names(all), c.want)
			}
			for _, g := range all {
				if _, ok := s.(*sseStream); ok && g.name == "reset" && (!g.hasID || g.sseID != "0") {
					t.Errorf("reset must move the cursor of a browser to 0, got %q", g.sseID)
				}
			}
			s.close()
		}
	}
	p := w.poll("/v1/sessions/s/events?after=2")
	if p.Gap["from"] != 3.0 || p.Gap["to"] != 4.0 || p.ids() != "5 6 7 8 9 10" || p.Next != 10 || !p.CaughtUp {
		t.Errorf("poll over a gap: %+v", p)
	}
	p = w.poll("/v1/sessions/s/events?after=11&wait=5")
	if p.Reset["reason"] != "cursor_beyond_head" || p.Next != 0 || p.CaughtUp {
		t.Errorf("poll beyond the head: %+v", p)
	}
	p = w.poll("/v1/sessions/s/events?after=9&epoch=old")
	if p.Reset["reason"] != "epoch_changed" || p.Reset["epoch"] != "epoch-1" {
		t.Errorf("poll of another epoch: %+v", p)
	}
}

func TestEpochChangesInMidStream(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 2)
	w := newSite(t, New(l, l.hub, Config{}))
	streams := []liveStream{w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")}
	for _, s := range streams {
		until(t, s, "caught_up")
	}
	l.create("s", "epoch-2", 2)
	l.appendN("s", 2)
	for _, s := range streams {
		all := until(t, s, "caught_up")
		if got := names(all); got != "reset gap 3 4 caught_up" && got != "reset gap caught_up" {
			t.Errorf("%T: %s", s, got)
		}
		s.close()
	}
}

func TestDeletedSessionEndsItsReaders(t *testing.T) {
	l := newFakeLog("s", "other")
	l.appendN("s", 1)
	w := newSite(t, New(l, l.hub, Config{}))
	ws, sse, many := w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse"), w.ws("/v1/ws?cursor=s:0,other:0")
	until(t, ws, "caught_up")
	until(t, sse, "caught_up")
	until(t, many, "caught_up")
	until(t, many, "caught_up")
	l.delete("s")
	all, err := rest(ws)
	if websocket.CloseStatus(err) != CloseDeleted || names(all) != "bye" {
		t.Errorf("ws: %s, %v", names(all), err)
	}
	if all, _ = rest(sse); names(all) != "bye" || all[0].field("reason") != "deleted" {
		t.Errorf("sse: %s", names(all))
	}
	sse.close()
	if all := until(t, many, "bye"); names(all) != "error bye" || all[0].field("code") != "session_not_found" || all[0].field("session") != "s" {
		t.Errorf("one of several: %s", names(all))
	}
	l.appendN("other", 1)
	if got := names(until(t, many, "")); got != "1" {
		t.Errorf("the other session: %s", got)
	}
	many.close()
	for _, path := range []string{"/v1/sessions/s/sse", "/v1/sessions/s/events", "/v1/sessions/s/sse?tail=3", "/v1/poll?cursor=other:0,s:0"} {
		if _, res := w.body(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	if _, _, err := websocket.Dial(context.Background(), w.url+"/v1/sessions/s/ws", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("upgrade for a session that is not there: %v", err)
	}
}

func TestSSEForm(t *testing.T) {
	l := newFakeLog("s", "b:1")
	l.appendN("s", 2)
	l.appendN("b:1", 1)
	srv := New(l, l.hub, Config{})
	w := newSite(t, srv)
	res, cancel := w.get("/v1/sessions/s/sse")
	for k, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", TransportHeader: "sse",
	} {
		if got := res.Header.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	head := make([]byte, len("retry: 2000\n\nevent: hello\ndata: {"))
	if _, err := res.Body.Read(head); err != nil || string(head) != "retry: 2000\n\nevent: hello\ndata: {" {
		t.Errorf("begins with %q, %v", head, err)
	}
	cancel()
	res.Body.Close()

	s := w.sse("/v1/sessions/s/sse?after=0", "Last-Event-ID", "1")
	for _, g := range until(t, s, "caught_up") {
		switch {
		case g.name == "" && (g.id != 2 || !g.hasID || g.sseID != "2" || g.event != ""):
			t.Errorf("event: %+v; Last-Event-ID must win, and events are unnamed", g)
		case g.name != "" && (g.hasID || g.event != g.name):
			t.Errorf("control frame: %+v", g)
		}
	}
	s.close()
	s = w.sse("/v1/sessions/s/sse?named=1")
	if g := until(t, s, ""); g[len(g)-1].event != "text_delta" {
		t.Errorf("named: %+v", g[len(g)-1])
	}
	s.close()

	s = w.sse("/v1/sse?cursor=s:9,b:1:9", "Last-Event-ID", "s:1,b:1:0")
	var ids []string
	for len(ids) < 2 {
		g := until(t, s, "")
		ids = append(ids, g[len(g)-1].sseID)
	}
	if !slices.Equal(ids, []string{"s:2,b:1:0", "s:2,b:1:1"}) {
		t.Errorf("several sessions: ids %q", ids)
	}
	l.create("s", "epoch-2", 0)
	all := until(t, s, "reset")
	if g := all[len(all)-1]; g.sseID != "s:0,b:1:1" {
		t.Errorf("reset of one of several: %+v", g)
	}
	s.close()
}

func TestWebSocketBatch(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 50)
	w := newSite(t, New(l, l.hub, Config{}))
	s := w.ws("/v1/sessions/s/ws?batch=1")
	nEvents(t, s, 50)
	if len(s.sizes) != 1 || s.sizes[0] != 53 {
		t.Errorf("lines per message: %v; want hello, status, 50 events and caught_up in one", s.sizes)
	}
	if s.c.Subprotocol() != "konlog.v1" {
		t.Errorf("sub-protocol %q", s.c.Subprotocol())
	}
	s.close()
}

func TestP10_FiltersOnTheWire(t *testing.T) {
	l := newFakeLog("s")
	for range 30 {
		l.append("s", store.Event{Type: "a"}, store.Event{Type: "b", Turn: "t"})
	}
	w := newSite(t, New(l, l.hub, Config{PageEvents: 7}))
	for _, s := range []liveStream{w.ws("/v1/sessions/s/ws?types=b,c&after=54"), w.sse("/v1/sessions/s/sse?turn=t&after=54")} {
		all := until(t, s, "caught_up")
		if names(all) != "hello status 56 58 60 caught_up" {
			t.Errorf("%T: %s", s, names(all))
		}
		s.close()
	}
	s := w.ws("/v1/sessions/s/ws?types=none")
	if all := until(t, s, "caught_up"); names(all) != "hello status caught_up" || all[2].id != 60 {
		t.Errorf("nothing passes: %s, id %d", names(all), all[2].id)
	}
	s.close()
	p := w.poll("/v1/sessions/s/events?types=none&limit=7&wait=0")
	if len(p.Events) != 0 || p.Next != 60 || !p.CaughtUp {
		t.Errorf("poll: %+v", p)
	}
}

func TestUntil(t *testing.T) {
	l := newFakeLog("s")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 6 {
		l.append("s", store.Event{Time: at.Add(time.Duration(i) * time.Second)})
	}
	w := newSite(t, New(l, l.hub, Config{}))
	for _, u := range []string{"4", at.Add(3500 * time.Millisecond).Format(time.RFC3339Nano)} {
		ws := w.ws("/v1/sessions/s/ws?after=1&until=" + u)
		all, err := rest(ws)
		if names(all) != "hello status 2 3 4 caught_up bye" || websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("ws until %s: %s, %v", u, names(all), err)
		}
		s := w.sse("/v1/sessions/s/sse?after=1&until=" + u)
		all, _ = rest(s)
		if names(all) != "hello status 2 3 4 caught_up bye" || all[6].field("reason") != "until" {
			t.Errorf("sse until %s: %s", u, names(all))
		}
		s.close()
		if _, res := w.body("/v1/sessions/s/sse?until="+u, "Last-Event-ID", "4"); res.StatusCode != http.StatusNoContent {
			t.Errorf("a browser that comes back after until=%s: status %d", u, res.StatusCode)
		}
		if p := w.poll("/v1/sessions/s/events?after=1&wait=9&until=" + u); p.ids() != "2 3 4" || !p.CaughtUp || p.Next != 4 {
			t.Errorf("poll until %s: %+v", u, p)
		}
	}
	// A bound that lies ahead waits for it.
	s := w.ws("/v1/sessions/s/ws?after=5&until=8")
	if all := until(t, s, "caught_up"); names(all) != "hello status 6 caught_up" {
		t.Errorf("bound ahead: %s", names(all))
	}
	l.appendN("s", 5)
	if all, _ := rest(s); names(all) != "7 8 bye" {
		t.Errorf("bound reached: %s", names(all))
	}
	past := w.sse("/v1/sessions/s/sse?after=11&until=2026-01-02T00:00:00Z")
	if all, _ := rest(past); names(all) != "hello status caught_up bye" {
		t.Errorf("a time long past, at the head: %s", names(all))
	}
	past.close()
}

func TestWebSocketSubscriptions(t *testing.T) {
	l := newFakeLog("a", "b")
	l.appendN("a", 3)
	l.appendN("b", 3)
	srv := New(l, l.hub, Config{SubscriptionsMax: 2})
	w := newSite(t, srv)
	s := w.ws("/v1/ws")
	defer s.close()
	s.send(t, `{"type":"subscribe","session":"a","after":1,"ref":"r1"}`)
	if got := names(until(t, s, "caught_up")); got != "ack hello status 2 3 caught_up" {
		t.Errorf("subscribe: %s", got)
	}
	s.send(t, `{"type":"subscribe","session":"b","tail":1,"types":["text_delta","x"],"raw":true,"turn":null,"until":"2099-01-01T00:00:00Z"}`)
	if got := names(until(t, s, "caught_up")); got != "hello status 3 caught_up" {
		t.Errorf("subscribe to a second: %s", got)
	}
	for frame, code := range map[string]string{
		`{"type":"subscribe","session":"c","ref":7}`:               "too_many_subscriptions",
		`{"type":"subscribe","session":"b!"}`:                      "invalid_session",
		`{"type":"subscribe","session":"b","after":-1}`:            "invalid_query",
		`{"type":"subscribe","session":"b","after":1,"tail":1}`:    "invalid_query",
		`{"type":"subscribe","session":"b","types":[1]}`:           "invalid_query",
		`{"type":"subscribe","session":"b","turn":{}}`:             "invalid_query",
		`{"type":"subscribe","session":"b","fold":"yes"}`:          "invalid_query",
		`{"type":"unsubscribe","session":"zzz","ref":{"any":[1]}}`: "invalid_frame",
		`{"type":"append","session":"b"}`:                          "invalid_frame",
		`{"type":17}`:                                              "invalid_frame",
		`{"type":"ping","ref":"` + strings.Repeat("x", 200) + `"}`: "invalid_frame",
	} {
		s.send(t, frame)
		all := until(t, s, "error")
		if g := all[len(all)-1]; g.field("code") != code {
			t.Errorf("%s: %s", frame, g.body)
		}
	}
	s.send(t, `{"type":"unsubscribe","session":"a","ref":"u"}`)
	if g := until(t, s, "ack"); g[0].field("ref") != "u" || g[0].field("session") != "a" {
		t.Errorf("unsubscribe: %s", g[0].body)
	}
	l.appendN("a", 1)
	l.appendN("b", 1)
	if g := until(t, s, ""); g[0].field("session") != "b" {
		t.Errorf("an event of an ended subscription: %s", g[0].body)
	}
	s.send(t, `{"type":"subscribe","session":"b","after":0}`)
	if got := names(until(t, s, "caught_up")); got != "hello status 1 2 3 4 caught_up" {
		t.Errorf("subscribe again: %s", got)
	}
	s.send(t, `{"type":"ping","ref":"p"}`)
	if g := until(t, s, "pong"); g[0].field("ref") != "p" || g[0].id != 4 || g[0].field("serverTime") == nil {
		t.Errorf("pong: %s", g[0].body)
	}
	s.send(t, `{"type":"subscribe","session":"none"}`)
	if g := until(t, s, "error"); g[0].field("code") != "session_not_found" || g[0].field("session") != "none" {
		t.Errorf("no such session: %s", g[0].body)
	}
}

type commander func(typ string, frame []byte) (any, error)

func (c commander) Begin(_ context.Context, _, typ string, frame []byte) func() (any, error) {
	return func() (any, error) { return c(typ, frame) }
}

func TestCommands(t *testing.T) {
	l := newFakeLog("s")
	srv := New(l, l.hub, Config{Commander: commander(func(typ string, frame []byte) (any, error) {
		switch typ {
		case "append":
			l.appendN("s", 1)
			return map[string]any{"session": "s", "first": 1, "last": 1, "duplicate": false}, nil
		case "none":
			return nil, nil
		case "empty":
			return struct{}{}, nil
		case "broken":
			return nil, errors.New("secret")
		}
		return nil, &store.Error{Code: store.CodeHeadMoved, Detail: "the session has moved on", Want: 7}
	})})
	w := newSite(t, srv)
	s := w.ws("/v1/ws")
	defer s.close()
	for frame, want := range map[string]string{
		`{"type":"append","ref":"1","events":[]}`: `{"type":"ack","ref":"1","duplicate":false,"first":1,"last":1,"session":"s"}`,
		`{"type":"none"}`:                         `{"type":"ack"}`,
		`{"type":"empty","ref":2}`:                `{"type":"ack","ref":2}`,
		`{"type":"stop","ref":"3"}`:               `{"type":"error","ref":"3","code":"head_moved","detail":"the session has moved on","retryable":false,"want":7}`,
		`{"type":"broken"}`:                       `{"type":"error","code":"internal","detail":"the server failed; try again","retryable":true}`,
	} {
		s.send(t, frame)
		g, err := s.next()
		if err != nil || g.body != want {
			t.Errorf("%s: got %s, %v; want %s", frame, g.body, err, want)
		}
	}
}

func TestBadFramesCloseOnlyTheirConnection(t *testing.T) {
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{FrameBytesMax: 1000}))
	other := w.ws("/v1/sessions/s/ws")
	defer other.close()
	until(t, other, "caught_up")
	text, binary := websocket.MessageText, websocket.MessageBinary
	cases := map[string]struct {
		typ   websocket.MessageType
		frame string
		times int
		code  websocket.StatusCode
	}{
		"not JSON":     {text, `{"type":`, 1, CloseBadFrame},
		"not object":   {text, `[1]`, 1, CloseBadFrame},
		"binary":       {binary, `{"type":"ping"}`, 1, CloseBadFrame},
		"too large":    {text, `{"type":"ping","x":"` + strings.Repeat("x", 1000) + `"}`, 1, CloseFrameTooLarge},
		"again, again": {text, `{"type":"no_such"}`, badFramesMax, CloseBadFrame},
	}
	for name, c := range cases {
		s := w.ws("/v1/sessions/s/ws")
		for range c.times {
			if err := s.c.Write(context.Background(), c.typ, []byte(c.frame)); err != nil {
				t.Fatal(name, err)
			}
		}
		if _, err := rest(s); websocket.CloseStatus(err) != c.code {
			t.Errorf("%s: %v, want %d", name, err, c.code)
		}
	}
	l.appendN("s", 1)
	if got := names(until(t, other, "")); got != "1" {
		t.Errorf("the other reader: %s", got)
	}
}

func TestUpgradeRefusals(t *testing.T) {
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{}))
	if b, _ := w.body("/v1/sessions/s/ws"); !strings.HasPrefix(b, "upgrade_required") {
		t.Errorf("plain GET: %q", b)
	}
	up := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	if b, _ := w.body("/v1/sessions/s/ws", append(up, "Origin", "https://evil.example")...); !strings.HasPrefix(b, "origin_not_allowed") {
		t.Errorf("foreign origin: %q", b)
	}
	for _, path := range []string{"/v1/sse", "/v1/poll", "/v1/sessions/s/sse?fold=2", "/v1/sessions/s/events?speed=2", "/v1/sessions/s/events?before=3&tail=1"} {
		if b, _ := w.body(path); !strings.HasPrefix(b, "invalid_query") {
			t.Errorf("%s: %q", path, b)
		}
	}
}

func TestDrainSendsReadersAway(t *testing.T) {
	l := newFakeLog("s")
	srv := New(l, l.hub, Config{})
	w := newSite(t, srv)
	ws, sse := w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")
	defer sse.close()
	until(t, ws, "caught_up")
	until(t, sse, "caught_up")
	if n := srv.Connections(); n[WebSocket] != 1 || n[SSE] != 1 || n[Poll] != 0 {
		t.Errorf("connections: %v", n)
	}
	begin := time.Now()
	polled := make(chan pollPage)
	go func() { polled <- w.poll("/v1/sessions/s/events?wait=30") }()
	for srv.Connections()[Poll] == 0 {
		runtime.Gosched()
	}
	drained := make(chan struct{})
	go func() { defer close(drained); srv.Drain(context.Background(), "restart", 5*time.Second) }()
	for _, s := range []liveStream{ws, sse} {
		all, err := rest(s)
		if names(all) != "bye" || all[0].field("reason") != "restart" {
			t.Fatalf("%T: %s, %v", s, names(all), err)
		}
		if ms := all[0].field("reconnectMs").(float64); ms < 0 || ms > 5000 {
			t.Errorf("reconnectMs = %v", ms)
		}
		if _, ok := s.(*wsStream); ok && websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("close: %v", err)
		}
	}
	if p := <-polled; p.Session != "s" || len(p.Events) != 0 {
		t.Errorf("poll: %+v", p)
	}
	<-drained
	if d := time.Since(begin); d > PollWaitMaxDefault/2 {
		t.Errorf("drained after %v: somebody waited for its own end", d)
	}
	for _, path := range []string{"/v1/sessions/s/sse", "/v1/sessions/s/events?wait=1", "/v1/poll?cursor=s:0&wait=1"} {
		if b, _ := w.body(path); !strings.HasPrefix(b, "shutting_down") {
			t.Errorf("%s while draining: %q", path, b)
		}
	}
	srv.Drain(context.Background(), "again", 0)
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s", "b")
		l.append("s", store.Event{Type: "a"})
		srv := New(l, l.hub, Config{})
		w := newPipeSite(t, srv)
		defer w.stop()
		ws, sse := w.ws("/v1/sessions/s/ws?types=x"), w.sse("/v1/sessions/s/sse?types=x")
		defer sse.close()
		defer ws.close()
		many := w.ws("/v1/ws?cursor=s:0,b:0&types=x")
		defer many.close()
		for _, s := range []liveStream{ws, sse, many, many} {
			until(t, s, "caught_up")
		}
		begin := time.Now()
		l.append("s", store.Event{Type: "a"})
		for i := 1; i <= 5; i++ {
			for _, s := range []liveStream{ws, sse} {
				all := until(t, s, "ping")
				if names(all) != "ping" || all[0].id != 2 || all[0].hasID {
					t.Fatalf("%T: %s; want a ping with id 2 that moves no cursor: %+v", s, names(all), all[0])
				}
			}
			all := until(t, many, "ping")
			if want := map[bool]any{true: "s:2", false: nil}[i == 1]; all[0].field("cursor") != want {
				t.Errorf("several sessions: %s", all[0].body)
			}
			if got, want := time.Since(begin), time.Duration(i)*HeartbeatDefault; got != want {
				t.Fatalf("ping %d after %v, want %v", i, got, want)
			}
		}
	})
}

// A wake-up that never comes costs one heartbeat, not more.
func TestI6_LostWakeCostsOneHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{}))
		defer w.stop()
		for _, s := range []liveStream{w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")} {
			until(t, s, "caught_up")
			begin := time.Now()
			l.store("s", store.Event{}) // and the hub is not told
			if g := until(t, s, ""); time.Since(begin) > HeartbeatDefault {
				t.Errorf("%T: %s after %v", s, names(g), time.Since(begin))
			}
			s.close()
		}
	})
}

// The same gap as in the tail's test, for a live connection: the heartbeat
// must not be what finds the event.
func TestI6_CommitInTheGapOfALiveReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s", "b")
		w := newPipeSite(t, New(l, l.hub, Config{}))
		defer w.stop()
		for _, path := range []string{"ws", "sse", "many"} {
			level := 0
			from, _ := l.Session(context.Background(), "s")
			l.setAfterRead(func(p store.Page) {
				if n := len(p.Events); p.Session.ID != "s" || n > 0 && p.Events[n-1].ID < p.Session.Head {
					return
				}
				if level++; level <= 20 {
					l.appendN("s", 1)
				}
			})
			begin := time.Now()
			var s liveStream
			switch path {
			case "ws":
				s = w.ws("/v1/sessions/s/ws?tail=0")
			case "sse":
				s = w.sse("/v1/sessions/s/sse?tail=0")
			default:
				s = w.ws(fmt.Sprintf("/v1/ws?cursor=b:0,s:%d", from.Head))
			}
			nEvents(t, s, 20)
			if d := time.Since(begin); d != 0 {
				t.Errorf("%s: the clock moved by %v", path, d)
			}
			s.close()
		}
	})
}

func TestSilentClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		srv := New(l, l.hub, Config{})
		w := newPipeSite(t, srv)
		defer w.stop()
		good := w.ws("/v1/sessions/s/ws") // answers pings as long as it reads
		defer good.close()
		dead := w.ws("/v1/sessions/s/ws")
		until(t, good, "caught_up")
		until(t, dead, "caught_up")
		begin := time.Now()
		for range 6 { // nobody reads what dead is sent
			until(t, good, "ping")
		}
		if d := time.Since(begin); d != 6*HeartbeatDefault {
			t.Fatalf("six pings took %v", d)
		}
		if n := srv.Connections()[WebSocket]; n != 1 {
			t.Errorf("%d connections; the one that takes nothing must be gone", n)
		}
		dead.close()
	})
}

func TestSilenceClosesWith4408(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		w := newPipeSite(t, New(l, l.hub, Config{}))
		defer w.stop()
		// A client that takes its bytes but answers nothing, not even pings.
		c, _, err := websocket.Dial(context.Background(), w.url+"/v1/sessions/s/ws", &websocket.DialOptions{
			HTTPClient: w.client, OnPingReceived: func(context.Context, []byte) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		all, err := rest(&wsStream{c: c})
		if websocket.CloseStatus(err) != CloseSilent || time.Since(begin) != SilenceMaxDefault {
			t.Errorf("%s, %v after %v", names(all), err, time.Since(begin))
		}
	})
}

func TestPollWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s", "b")
		l.append("s", store.Event{Type: "a"})
		w := newPipeSite(t, New(l, l.hub, Config{}))
		defer w.stop()
		begin := time.Now()
		after := func(path string, want time.Duration) pollPage {
			t.Helper()
			begin = time.Now()
			p := w.poll(path)
			if d := time.Since(begin); d != want {
				t.Errorf("%s took %v, want %v", path, d, want)
			}
			return p
		}
		after("/v1/sessions/s/events?after=1", 0)
		after("/v1/sessions/s/events?after=0&wait=8", 0)
		if p := after("/v1/sessions/s/events?after=1&wait=8", 8*time.Second); len(p.Events) != 0 || p.Next != 1 || !p.CaughtUp {
			t.Errorf("nothing came: %+v", p)
		}
		after("/v1/sessions/s/events?after=1&wait=99999", PollWaitMaxDefault)
		after("/v1/sessions/s/events?after=1&wait=0.5", 500*time.Millisecond)
		go func() { time.Sleep(3 * time.Second); l.append("s", store.Event{Type: "a"}) }()
		if p := after("/v1/sessions/s/events?after=1&wait=8", 3*time.Second); p.ids() != "2" {
			t.Errorf("an event came: %+v", p)
		}
		go func() {
			l.append("s", store.Event{Type: "a"})
			time.Sleep(3 * time.Second)
			l.append("s", store.Event{Type: "b"})
		}()
		if p := after("/v1/sessions/s/events?after=2&wait=8&types=b", 3*time.Second); p.ids() != "4" {
			t.Errorf("with a filter: %+v", p)
		}
		go func() { time.Sleep(2 * time.Second); l.appendN("b", 1) }()
		begin = time.Now()
		body, _ := w.body("/v1/poll?cursor=s:4,b:0&wait=8")
		if time.Since(begin) != 2*time.Second || !strings.HasSuffix(body, `],"cursor":"s:4,b:1"}`) || !strings.HasPrefix(body, `{"sessions":[{"session":"s",`) {
			t.Errorf("several: after %v: %s", time.Since(begin), body)
		}
	})
}

func TestSpeedReplaysAtTheRecordedPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, ms := range []int{0, 1000, 1000, 3000, 60_000, 59_000, 61_000} { // a pause, and a clock that went back
			l.append("s", store.Event{Time: at.Add(time.Duration(ms) * time.Millisecond)})
		}
		w := newPipeSite(t, New(l, l.hub, Config{PageEvents: 3}))
		defer w.stop()
		for speed, want := range map[string][]int{
			"1":   {0, 1000, 1000, 3000, 6000, 6000, 8000},
			"2":   {0, 500, 500, 1500, 4500, 4500, 5500},
			"100": {0, 10, 10, 30, 600, 600, 620},
		} {
			for _, open := range []func() liveStream{
				func() liveStream { return w.ws("/v1/sessions/s/ws?speed=" + speed) },
				func() liveStream { return w.sse("/v1/sessions/s/sse?speed=" + speed) },
			} {
				begin := time.Now()
				s := open()
				var took []int
				for range want {
					until(t, s, "")
					took = append(took, int(time.Since(begin).Milliseconds()))
				}
				if !slices.Equal(took, want) {
					t.Errorf("%T speed %s: events at %v ms, want %v", s, speed, took, want)
				}
				until(t, s, "caught_up")
				s.close()
			}
		}
	})
}

// A reader that does not take its bytes is cut after the write timeout, and
// nobody else notices.
func TestP5_I7_SlowReaderCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		srv := New(l, l.hub, Config{Heartbeat: time.Hour, SilenceMax: 2 * time.Hour})
		w := newPipeSite(t, srv)
		defer w.stop()
		slow := []liveStream{w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")}
		good := w.ws("/v1/sessions/s/ws")
		defer good.close()
		until(t, good, "caught_up")
		begin := time.Now()
		for range 100 {
			l.append("s", store.Event{Data: []byte(`"` + strings.Repeat("x", 2000) + `"`)})
			nEvents(t, good, 1)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the other reader had to wait for %v", d)
		}
		time.Sleep(WriteTimeoutDefault + time.Millisecond)
		synctest.Wait()
		if n := srv.Connections(); n[WebSocket] != 1 || n[SSE] != 0 {
			t.Errorf("after the write timeout: %v", n)
		}
		for _, s := range slow {
			s.close()
		}
	})
}

// A busy session must not starve the others of a connection.
func TestRoundRobin(t *testing.T) {
	l := newFakeLog("busy", "calm")
	l.appendN("busy", 5000)
	l.appendN("calm", 1)
	w := newSite(t, New(l, l.hub, Config{PageEvents: 10}))
	s := w.ws("/v1/ws?cursor=busy:0,calm:0")
	defer s.close()
	for n := 0; ; n++ {
		g, err := s.next()
		if err != nil || n > 40 {
			t.Fatalf("nothing of the calm session among the first %d frames: %v", n, err)
		}
		if g.name == "" && g.field("session") == "calm" {
			return
		}
	}
}

func TestReadErrorIsToldWithoutItsText(t *testing.T) {
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{}))
	ws, sse := w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")
	defer sse.close()
	until(t, ws, "caught_up")
	until(t, sse, "caught_up")
	l.mu.Lock()
	l.broken = errors.New("secret path")
	l.mu.Unlock()
	l.hub.Committed("s", 1)
	for _, s := range []liveStream{ws, sse} {
		all, _ := rest(s)
		if names(all) != "error bye" || strings.Contains(all[0].body, "secret") || all[0].field("retryable") != true {
			t.Errorf("%T: %v", s, all)
		}
	}
}

// A connection is over only when its reading goroutine is: a command that it
// carries out must not outlive the server's count of connections.
func TestConnectionWaitsForItsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		release, started := make(chan struct{}), make(chan struct{})
		srv := New(l, l.hub, Config{Commander: commander(func(string, []byte) (any, error) {
			close(started)
			<-release
			return nil, nil
		})})
		w := newPipeSite(t, srv)
		defer w.stop()
		c, _, err := websocket.Dial(context.Background(), w.url+"/v1/sessions/s/ws", &websocket.DialOptions{
			HTTPClient: w.client, OnPingReceived: func(context.Context, []byte) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &wsStream{c: c}
		s.send(t, `{"type":"append"}`)
		until(t, s, "caught_up")
		<-started
		for range 5 { // a client that is waited for is not silent
			until(t, s, "ping")
		}
		s.close()
		l.appendN("s", 1) // the pump finds the connection broken
		synctest.Wait()
		if n := srv.Connections()[WebSocket]; n != 1 {
			t.Errorf("%d connections while a command is carried out", n)
		}
		close(release)
		synctest.Wait()
		if n := srv.Connections()[WebSocket]; n != 0 {
			t.Errorf("%d connections after the last one ended", n)
		}
	})
}

// StartWebSocket gives the handler back at once, and tells when it is over.
func TestStartWebSocket(t *testing.T) {
	l := newFakeLog("s")
	srv := New(l, l.hub, Config{})
	returned, ended := make(chan struct{}), make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := ParseRequest(r, "s")
		if err := srv.StartWebSocket(w, r, req, func() { close(ended) }); err != nil {
			t.Error(err)
		}
		close(returned)
	}))
	defer ts.Close()
	c, _, err := websocket.Dial(context.Background(), ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &wsStream{c: c}
	<-returned
	until(t, s, "caught_up")
	l.appendN("s", 1)
	until(t, s, "")
	s.close()
	<-ended
	if n := srv.Connections()[WebSocket]; n != 0 {
		t.Errorf("%d connections", n)
	}
}

// The engine of the tests of other packages, with its real announcements.
func TestP3_ReadersOfAMemoryLogThatSwitchTransports(t *testing.T) {
	hub := NewHub()
	l := memory.New(memory.Options{Committed: hub.Committed})
	if _, _, err := l.CreateSession(context.Background(), "s", store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	w := newSite(t, New(l, hub, Config{PageEvents: 16}))
	const total = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < total; i += 4 {
			drafts := make([]store.Draft, 4)
			for j := range drafts {
				drafts[j] = store.Draft{Type: "text_delta", Data: fmt.Appendf(nil, `{"n":%d}`, i+j+1)}
			}
			if _, err := l.Append(context.Background(), "s", store.AppendOptions{}, drafts...); err != nil {
				t.Error(err)
			}
		}
	})
	seed := rand.Uint64()
	for r := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(r)))
		wg.Go(func() {
			for cursor := int64(0); cursor < total; {
				cursor = readSome(t, w, rng, cursor, total)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// readSome follows the session for a while on one transport.
func readSome(t *testing.T, w *site, rng *rand.Rand, cursor, total int64) int64 {
	check := func(body string) {
		cursor++
		if g := parseGot(body); g.id != cursor || !strings.HasSuffix(body, fmt.Sprintf(`"data":{"n":%d}}`, cursor)) {
			t.Errorf("want event %d, got %s", cursor, body)
		}
	}
	n := min(1+rng.Int64N(200), total-cursor)
	var s liveStream
	switch rng.IntN(4) {
	case 0:
		s = w.ws(fmt.Sprint("/v1/sessions/s/ws?after=", cursor))
	case 1:
		s = w.ws(fmt.Sprint("/v1/sessions/s/ws?batch=1&after=", cursor))
	case 2:
		s = w.sse("/v1/sessions/s/sse", "Last-Event-ID", fmt.Sprint(cursor))
	default:
		p := w.poll(fmt.Sprintf("/v1/sessions/s/events?wait=5&after=%d&limit=%d", cursor, n))
		for _, e := range p.Events {
			check(string(e))
		}
		return cursor
	}
	defer s.close()
	for _, body := range nEvents(t, s, int(n)) {
		check(body)
	}
	return cursor
}
