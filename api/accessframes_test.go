package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// frameCalls are the frames of clients, and what decides about them. All types
// of frames that there are have to stand here.
var frameCalls = map[string]struct {
	frame   string // with {id}
	decides func(*access.Grant, string) verdict
}{
	"append":      {`"session":"{id}","events":[{"type":"note"}]`, toWrite},
	"send_prompt": {`"session":"{id}","text":"hi"`, toWrite},
	"stop_turn":   {`"session":"{id}"`, toWrite},
	"cancel":      {`"session":"{id}"`, toWrite},
	"answer":      {`"session":"{id}","requestId":"q","allow":true`, toWrite},
	"choose":      {`"kontaskId":"k-{id}","choice":0`, instead(toWrite, noKontask)},
	"seen":        {`"session":"{id}","id":1`, toRead},
	"subscribe":   {`"session":"{id}"`, toRead},
	"unsubscribe": {`"session":"{id}"`, free},
	"auth":        {`"token":"S3CRET-garbage"`, func(*access.Grant, string) verdict { return unauthorized }},
	"ping":        {`"n":1`, free},
}

// serve puts the world on the network.
func (w *world) serve() string {
	w.t.Helper()
	h := httptest.NewUnstartedServer(w.api.Handler())
	w.api.ConfigureHTTP(h.Config)
	h.Start()
	w.t.Cleanup(h.Close)
	return h.URL
}

// peerSocket is a WebSocket of a test.
type peerSocket struct {
	t    *testing.T
	ctx  context.Context
	conn *websocket.Conn
	all  strings.Builder // what was received
}

func dialAs(t *testing.T, url, path, subject string) *peerSocket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "ws"+url[4:]+path, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + tokenOf(subject)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(4 << 20)
	return &peerSocket{t: t, ctx: ctx, conn: conn}
}

func (s *peerSocket) say(frame string) {
	s.t.Helper()
	if err := s.conn.Write(s.ctx, websocket.MessageText, []byte(frame)); err != nil {
		s.t.Fatal(err)
	}
}

// heard is what the tests look at in a frame.
type heard struct {
	Type, Ref, Session, Reason string
	Code                       store.Code
	ID, GraceMs                int64
	Data                       json.RawMessage
}

// until reads up to a frame that f wants. The error is that of the connection.
func (s *peerSocket) until(f func(heard) bool) (heard, error) {
	s.t.Helper()
	for {
		_, body, err := s.conn.Read(s.ctx)
		if err != nil {
			return heard{}, err
		}
		s.all.Write(body)
		var got heard
		if err := json.Unmarshal(body, &got); err != nil {
			s.t.Fatalf("%s: %v", body, err)
		}
		if f(got) {
			return got, nil
		}
	}
}

func (s *peerSocket) answer(ref string) heard {
	s.t.Helper()
	got, err := s.until(func(f heard) bool { return f.Ref == ref })
	if err != nil {
		s.t.Fatalf("no answer to %s: %v", ref, err)
	}
	return got
}

// TestEveryFrameAsksForItsCredential sends all frames with all kinds of grants
// about all kinds of sessions.
func TestEveryFrameAsksForItsCredential(t *testing.T) {
	for typ := range commandTable {
		if _, ok := frameCalls[typ]; !ok {
			t.Errorf("frame %s is not tried", typ)
		}
	}
	for subject, g := range grants {
		if subject == "expired" || subject == "revoked" {
			continue
		}
		t.Run(subject, func(t *testing.T) {
			for _, typ := range slices.Sorted(maps.Keys(frameCalls)) {
				w := newWorld(t, Config{})
				s := dialAs(t, w.serve(), "/v1/ws", subject)
				for _, id := range []string{"mine-1", "other-1", "mine-9", "other-9"} {
					c := frameCalls[typ]
					s.all.Reset()
					s.say(`{"type":"` + typ + `","ref":"` + id + `",` + strings.ReplaceAll(c.frame, "{id}", id) + `}`)
					got := s.answer(id)
					what := typ + " about " + id
					switch want := c.decides(&g, id); {
					case want.status != 0 && (got.Type != "error" || got.Code != want.code):
						t.Errorf("%s: got %+v, want %s", what, got, want.code)
					case want.status == 0 && (got.Code == access.CodeUnauthorized || got.Code == access.CodeForbidden ||
						got.Code == store.CodeNotFound && strings.HasSuffix(id, "1")):
						t.Errorf("%s: got %+v, want it to pass", what, got)
					}
					w.wantNoLeak(what, &g, "", answer{body: s.all.String()})
					w.wantNoSecrets(what, s.all.String())
				}
				w.wantNoSecrets("log", w.text.String())
			}
		})
	}
}

// TestAnswersOfOthersAreNotShown: a duplicate is answered with the first event,
// but not to who may not read it.
func TestAnswersOfOthersAreNotShown(t *testing.T) {
	for subject, shown := range map[string]bool{"both": true, "writer": false} {
		w := newWorld(t, Config{})
		url := w.serve()
		first := dialAs(t, url, "/v1/ws", "all")
		first.say(`{"type":"answer","ref":"1","session":"mine-1","requestId":"q","allow":true,"message":"alpha"}`)
		first.answer("1")
		first.say(`{"type":"choose","ref":"2","kontaskId":"k-mine-1","choice":0}`)
		first.answer("2")
		s := dialAs(t, url, "/v1/ws", subject)
		s.say(`{"type":"answer","ref":"1","session":"mine-1","requestId":"q","allow":false}`)
		s.answer("1")
		s.say(`{"type":"choose","ref":"2","kontaskId":"k-mine-1","choice":0}`)
		s.answer("2")
		before := s.all.Len()
		s.say(`{"type":"stop_turn","ref":"3","session":"mine-1"}`)
		if h := s.answer("3"); h.Type != "ack" {
			t.Errorf("%s: %+v", subject, h)
		}
		if got := strings.Count(s.all.String(), `"event":`) == 2; got != shown {
			t.Errorf("%s gets %s", subject, s.all.String())
		}
		if got := strings.Contains(s.all.String()[before:], "t-mine-1"); got != shown {
			t.Errorf("%s is told which turn is open: %s", subject, s.all.String())
		}
	}
}

// feedOf reads the feed over all transports, and returns what each gave.
func (w *world) feedOf(url, subject string) map[string]string {
	w.t.Helper()
	ask := func(path string) string {
		r, err := http.NewRequestWithContext(w.t.Context(), "GET", url+path, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tokenOf(subject))
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Etag") != "" {
			w.t.Errorf("%s: the feed may be kept: %v", path, res.Header)
		}
		return string(body)
	}
	head, err := w.log.Session(w.t.Context(), store.FeedSession)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]string{
		"poll":       ask("/v1/sessions/_feed/events?epoch=" + head.Epoch + "&limit=3"),
		"backward":   ask("/v1/sessions/_feed/events?before=1000"),
		"several":    ask("/v1/poll?cursor=_feed:0"),
		"sse":        ask(fmt.Sprintf("/v1/sessions/_feed/sse?until=%d", head.Head)),
		"folded":     ask(fmt.Sprintf("/v1/sessions/_feed/sse?fold=1&until=%d", head.Head)),
		"events":     ask(fmt.Sprintf("/events?after=0&until=%d", head.Head)),
		"chat":       ask("/api/chat/events?cursor=0"),
		"turn":       ask("/v1/sessions/_feed/events?turn=t-other-1"),
		"type":       ask("/v1/sessions/_feed/events?types=session_created"),
		"one by one": ask("/v1/sessions/_feed/events?after=1&limit=1"),
	}
	for path, view := range map[string]string{"/v1/sessions/_feed/ws": "ws", "/ws": "ws of the chat"} {
		s := dialAs(w.t, url, path+fmt.Sprintf("?after=0&until=%d", head.Head), subject)
		if _, err := s.until(func(f heard) bool { return f.Type == "caught_up" }); err != nil {
			w.t.Fatal(err)
		}
		got[view] = s.all.String()
	}
	return got
}

// TestFeedShowsWhatMayBeRead, on all transports, and goes past what it leaves
// out.
func TestFeedShowsWhatMayBeRead(t *testing.T) {
	w := newWorld(t, Config{})
	if _, err := w.log.MarkSeen(t.Context(), "reader", "mine-1", 2); err != nil {
		t.Fatal(err)
	}
	url := w.serve()
	for name, text := range w.feedOf(url, "reader") {
		if strings.Contains(text, "zulu") || strings.Contains(text, "other-1") {
			t.Errorf("%s shows what may not be read: %s", name, text)
		}
		if name != "turn" && name != "one by one" && !strings.Contains(text, "alpha") {
			t.Errorf("%s does not show what may be read: %s", name, text)
		}
		if name != "poll" && name != "turn" && name != "type" && name != "one by one" && !strings.Contains(text, `"subject":"reader"`) {
			t.Errorf("%s does not show the own mark: %s", name, text)
		}
	}
	everything := w.feedOf(url, "all")
	for _, name := range []string{"several", "sse", "ws"} {
		if text := everything[name]; !strings.Contains(text, "other-1") || strings.Contains(text, `"subject":"zulu"`) {
			t.Errorf("who may read everything gets over %s %s", name, text)
		}
	}
	for name, text := range w.feedOf(url, "elsewhere") {
		if strings.Contains(text, "zulu") || strings.Contains(text, "alpha") {
			t.Errorf("%s shows what may not be read: %s", name, text)
		}
	}
	head, _ := w.log.Session(t.Context(), store.FeedSession)
	if text := w.feedOf(url, "elsewhere")["several"]; !strings.Contains(text, fmt.Sprintf(`"cursor":"_feed:%d"`, head.Head)) {
		t.Errorf("the cursor does not go past what is left out: %s", text)
	}
}

// TestSeveralSessionsOfWhichSomeAreNotReached: those are as absent as those
// that are.
func TestSeveralSessionsOfWhichSomeAreNotReached(t *testing.T) {
	w := newWorld(t, Config{})
	reader := &credential{put: bearer("reader")}
	for _, other := range []string{"other-1", "other-9"} {
		a := w.send(reader, "GET", "/v1/sse", &call{query: "cursor=mine-1:0," + other + ":0&until=2"}, "")
		if a.status != 200 || !strings.Contains(a.body, "alpha") || strings.Contains(a.body, "zulu") ||
			!strings.Contains(a.body, `"code":"session_not_found"`) || !strings.Contains(a.body, `"bye","session":"`+other+`","reason":"deleted"`) {
			t.Errorf("%s beside one that is reached: %d %s", other, a.status, a.body)
		}
		if a := w.send(reader, "GET", "/v1/poll", &call{query: "cursor=mine-1:0," + other + ":0"}, ""); a.status != 404 || strings.Contains(a.body, "zulu") {
			t.Errorf("a poll of %s beside one that is reached: %d %s", other, a.status, a.body)
		}
	}
}

// TestRenewedConnection: another token of the same subject takes the place of
// the first, with what it allows and no more.
func TestRenewedConnection(t *testing.T) {
	w := newWorld(t, Config{})
	w.keys.grants["S3CRET-more"] = access.Grant{Subject: "reader", ID: "key:more", Read: store.AllSessions, Write: store.Patterns{"mine-*"}}
	w.keys.grants["S3CRET-less"] = access.Grant{Subject: "reader", ID: "key:less", Read: store.Patterns{"other-*"}}
	s := dialAs(t, w.serve(), "/v1/ws", "reader")
	want := func(ref, frame string, code store.Code) {
		t.Helper()
		s.say(frame[:len(frame)-1] + `,"ref":"` + ref + `"}`)
		if got := s.answer(ref); got.Code != code || (code == "") != (got.Type == "ack") {
			t.Errorf("%s: got %+v, want %q", frame, got, code)
		}
	}
	want("1", `{"type":"subscribe","session":"mine-1"}`, "")
	want("2", `{"type":"append","session":"mine-1","events":[{"type":"note"}]}`, access.CodeForbidden)
	want("3", `{"type":"auth","token":"`+tokenOf("all")+`"}`, access.CodeForbidden) // another subject's
	want("4", `{"type":"auth","token":"S3CRET-none"}`, access.CodeUnauthorized)
	want("5", `{"type":"auth"}`, stream.CodeInvalidFrame)
	want("6", `{"type":"auth","token":"S3CRET-more","extra":1}`, stream.CodeInvalidFrame)
	want("7", `{"type":"append","session":"mine-1","events":[{"type":"note"}]}`, access.CodeForbidden)
	want("8", `{"type":"auth","token":"S3CRET-more"}`, "")
	want("9", `{"type":"append","session":"mine-1","events":[{"type":"note"}]}`, "")
	want("10", `{"type":"subscribe","session":"other-1"}`, "")
	want("11", `{"type":"auth","token":"S3CRET-less"}`, "")
	if bye, err := s.until(func(f heard) bool { return f.Type == "bye" }); err != nil || bye.Session != "mine-1" || bye.Reason != "unauthorized" {
		t.Errorf("a subscription that is reached no more: got %+v, %v", bye, err)
	}
	if _, err := w.log.Append(t.Context(), "mine-1", store.AppendOptions{}, store.Draft{Type: "after.bye"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.log.Append(t.Context(), "other-1", store.AppendOptions{}, store.Draft{Type: "still.there"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.until(func(f heard) bool { return f.Type == "still.there" || f.Type == "after.bye" }); err != nil || got.Type != "still.there" {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantNoSecrets("log", w.text.String())
}

// TestRevokedWhileConnected: what is sent is refused at once, and what is read
// ends at the next heartbeat.
func TestRevokedWhileConnected(t *testing.T) {
	w := newWorld(t, Config{Stream: stream.Config{Heartbeat: 20 * time.Millisecond}})
	url := w.serve()
	s := dialAs(t, url, "/v1/sessions/mine-1/ws", "both")
	if _, err := s.until(func(f heard) bool { return f.Type == "caught_up" }); err != nil {
		t.Fatal(err)
	}
	began, events := make(chan struct{}), make(chan string, 1)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", url+"/v1/sessions/mine-1/sse", nil)
		r.Header.Set("Authorization", "Bearer "+tokenOf("both"))
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			events <- err.Error()
			return
		}
		defer res.Body.Close()
		close(began)
		body, _ := io.ReadAll(res.Body) // it ends with the stream
		events <- string(body)
	}()
	<-began
	w.keys.revoke("key:both")
	bye, err := s.until(func(f heard) bool { return f.Type == "bye" })
	if err != nil || bye.Reason != "unauthorized" {
		t.Errorf("got %+v, %v", bye, err)
	}
	if _, err := s.until(func(heard) bool { return true }); websocket.CloseStatus(err) != stream.CloseUnauthorized {
		t.Errorf("closed with %v", err)
	}
	if strings.Contains(s.all.String(), "auth_expiring") {
		t.Error("a revocation has a grace")
	}
	if got := <-events; !strings.Contains(got, `event: bye`) || !strings.Contains(got, `"reason":"unauthorized"`) {
		t.Errorf("the event stream ended with %s", got[max(0, len(got)-300):])
	}
}

// TestExpiredConnectionTakesNoCommands, in the grace in which it still reads.
func TestExpiredConnectionTakesNoCommands(t *testing.T) {
	w := newWorld(t, Config{})
	expires := time.Now().Add(time.Hour)
	w.keys.grants["S3CRET-short"] = access.Grant{Subject: "both", ID: "key:short", Read: store.AllSessions, Write: store.AllSessions, Expires: expires}
	p, err := w.api.cfg.Access.Authenticate(t.Context(), "S3CRET-short")
	if err != nil {
		t.Fatal(err)
	}
	g := *p.Grant()
	g.Expires = time.Now().Add(-time.Millisecond) // as if the hour had passed
	ctx := access.With(t.Context(), access.NewPass(g, w.api.cfg.Access))
	for typ, c := range frameCalls {
		if typ == "subscribe" || typ == "unsubscribe" || typ == "ping" || typ == "auth" {
			continue
		}
		_, err := commands{w.api}.Begin(ctx, "", typ, []byte(`{"type":"`+typ+`",`+strings.ReplaceAll(c.frame, "{id}", "mine-1")+`}`))()
		if store.CodeOf(err) != access.CodeUnauthorized {
			t.Errorf("%s: got %v", typ, err)
		}
	}
	if err := w.api.permit(ctx, "mine-1"); store.CodeOf(err) != access.CodeUnauthorized {
		t.Errorf("subscribe: got %v", err)
	}
}

// TestStreamedBodyOfARevokedKey: each commit of a body that goes on is asked
// anew.
func TestStreamedBodyOfARevokedKey(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"at once": 0, "later": bodyAsks + 100*time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			streamedBodyOfARevokedKey(t, pause)
		})
	}
}

func streamedBodyOfARevokedKey(t *testing.T, pause time.Duration) {
	w := newWorld(t, Config{})
	url := w.serve()
	body, lines := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/sessions/mine-1/events", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+tokenOf("both"))
	r.Header.Set("Content-Type", "application/x-ndjson")
	answered := make(chan string, 1)
	go func() {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answered <- fmt.Sprint(res.StatusCode, " ", string(text))
	}()
	tail := stream.NewTail(w.log, w.hub, "mine-1", 6)
	defer tail.Close()
	_, _ = io.WriteString(lines, `{"type":"note"}`+"\n")
	if b, err := tail.Next(t.Context(), time.Minute); err != nil || b.Next != 7 {
		t.Fatalf("after the first line: %+v, %v", b, err)
	}
	w.keys.revoke("key:both")
	<-time.After(pause) // the body's own look comes first then
	_, _ = io.WriteString(lines, `{"type":"note"}`+"\n")
	got := <-answered
	_ = lines.Close()
	if !strings.HasPrefix(got, "401 ") || !strings.Contains(got, `"line":2`) || !strings.Contains(got, `"stored":{"first":7,"last":7,"count":1}`) {
		t.Errorf("got %s", got)
	}
	if s, _ := w.log.Session(t.Context(), "mine-1"); s.Head != 7 {
		t.Errorf("the head is %d", s.Head)
	}
}
