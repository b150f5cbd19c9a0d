package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

var update = flag.Bool("update", false, "write the snapshots of testdata/views anew")

// chatFlow is a turn from its prompt to the card that comes hours after its end.
var chatFlow = []store.Draft{
	{Type: "prompt", Turn: "r-1", Data: []byte(`{"text":"List the files","images":[{"sha256":"ab12"}]}`)},
	{Type: "turn_start", Turn: "r-1", Data: []byte(`{"requestId":"r-1","prompt":"List the files","agent":"claude"}`)},
	{Type: "session_init", Turn: "r-1", Data: []byte(`{"sessionId":"agent-7","model":"opus"}`)},
	{Type: "thinking_delta", Turn: "r-1", Data: []byte(`{"text":"Hm"}`)},
	{Type: "thinking", Turn: "r-1", Data: []byte(`{"text":"Hmm"}`)},
	{Type: "text_delta", Turn: "r-1", Data: []byte(`{"text":"I'll ","block":0}`)},
	{Type: "text_delta", Turn: "r-1", Data: []byte(`{"text":"look. ","block":0}`)},
	{Type: "text", Turn: "r-1", Data: []byte(`{"text":"I'll look. ","block":0}`)},
	{Type: "tool_start", Turn: "r-1", Data: []byte(`{"id":"t1","name":"Bash","input":{"command":"ls"}}`)},
	{Type: "permission_request", Turn: "r-1", Parent: "t1", Data: []byte(`{"requestId":"q1","tool":"Bash","input":{"command":"ls"}}`)},
	{Type: "permission_response", Turn: "r-1", Parent: "t1", Data: []byte(`{"requestId":"q1","allow":true}`)},
	{Type: "tool_delta", Turn: "r-1", Parent: "t1", Data: []byte(`{"id":"t1","text":"a\u000ab"}`)},
	{Type: "tool_result", Turn: "r-1", Parent: "t1", Data: []byte(`{"id":"t1","output":"a\nb","isError":false}`)},
	{Type: "task_start", Turn: "r-1", Data: []byte(`{"taskId":"k1","title":"index"}`)},
	{Type: "text", Turn: "r-1", Data: []byte(`{"text":"Two files.","block":1}`)},
	{Type: "text_delta", Turn: "r-1", Data: []byte(`{"text":"Sto"}`)},
	{Type: "usage", Turn: "r-1", Data: []byte(`{"inputTokens":12,"costUsd":0.10}`)},
	{Type: "plan", Turn: "r-1", Data: []byte(`{"items":[]}`)},
	{Type: "stop_turn", Turn: "r-1", Data: []byte(`{"requestId":"r-1","reason":"enough"}`)},
	{Type: "error", Turn: "r-1", Data: []byte(`{"error":"stopped by the user"}`)},
	{Type: "turn_end", Turn: "r-1", Data: []byte(`{"requestId":"r-1","success":false,"reason":"stopped","fullText":"I'll look. Two files.Sto"}`)},
	{Type: "process_exit", Turn: "r-1", Data: []byte(`{"exitCode":130,"signal":"SIGINT","reason":"stopped"}`)},
	{Type: "prompt", Turn: "r-2", Data: []byte(`{"text":"Disk is full","source":"inject"}`)},
	{Type: "agent", Data: []byte(`{"type":"system","session":"s1","data":[1]}`)},
	{Type: "x.custom", Data: []byte(`[1, 2]`)},
	{Type: "task_update", Data: []byte(`{"taskId":"k1","status":"running"}`)},
	{Type: "task_end", Data: []byte(`{"taskId":"k1","success":true}`)},
	{Type: "kontask_created", Turn: "r-1", Data: []byte(`{"id":"c-1","type":"general","status":"pending"}`)},
	{Type: "kontask_ready", Turn: "r-1", Data: []byte(`{"id":"c-1","session":"s1","type":"general","status":"completed","title":"Plan","context":{"output":"<b>x</b>","choices":[{"label":"Go","value":"Do it","primary":true}]}}`)},
	{Type: "kontask_updated", Turn: "r-1", Data: []byte(`{"id":"c-1","type":"general","title":"Plan 2"}`)},
	{Type: "kontask_chosen", Data: []byte(`{"kontaskId":"c-1","choice":0,"label":"Go","value":"Do it"}`)},
	{Type: "turn_end", Turn: "r-2", Data: []byte(`{"requestId":"r-2","success":false,"reason":"stopped"}`)},
	{Type: "session_closed", Data: []byte(`{}`)},
}

// flowRig is a server whose log holds the flow in session s1.
func flowRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.appendDrafts("s1", chatFlow...)
	return r
}

func (r *rig) appendDrafts(session string, drafts ...store.Draft) {
	r.t.Helper()
	for i := range drafts { // one by one, as a producer does
		if _, err := r.log.Append(context.Background(), session, store.AppendOptions{}, drafts[i]); err != nil {
			r.t.Fatalf("append %s: %v", drafts[i].Type, err)
		}
	}
}

// frame is one frame of a view, and its bytes.
type frame struct {
	Type    string
	Seq     int64
	Session string
	Content string
	Text    string
	json    string
}

func parseViewFrame(t testing.TB, body []byte) frame {
	t.Helper()
	f := frame{json: string(body)}
	if err := json.Unmarshal(body, &f); err != nil {
		t.Fatalf("frame %s: %v", body, err)
	}
	return f
}

// untilCaughtUp takes frames up to the n-th caught_up.
func untilCaughtUp(t testing.TB, next func() []byte, n int) (frames []frame) {
	t.Helper()
	for n > 0 {
		f := parseViewFrame(t, next())
		frames = append(frames, f)
		if f.Type == "caught_up" {
			n--
		}
	}
	return frames
}

func (r *rig) dial(path string) *websocket.Conn {
	r.t.Helper()
	ws, res, err := websocket.Dial(context.Background(), r.http.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	if got := res.Header.Get(stream.TransportHeader); got != stream.WebSocket {
		r.t.Errorf("%s: transport header %q", path, got)
	}
	return ws
}

func receive(t testing.TB, ws *websocket.Conn) func() []byte {
	return func() []byte {
		t.Helper()
		_, body, err := ws.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
}

// overSSE reads an event stream up to its n-th caught_up. Each event must be
// named by the type in its data.
func (r *rig) overSSE(path string, n int, header ...string) []frame {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", r.http.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get(stream.TransportHeader) != stream.SSE {
		r.t.Fatalf("%s: %s, transport %q", path, res.Status, res.Header.Get(stream.TransportHeader))
	}
	in := sse.NewReader(res.Body, 0)
	return untilCaughtUp(r.t, func() []byte {
		for {
			e, err := in.Next()
			if err != nil {
				r.t.Fatal(err)
			}
			if e.Data == nil {
				continue
			}
			f := parseViewFrame(r.t, e.Data)
			if e.Name != f.Type {
				r.t.Errorf("%s is named %q", e.Data, e.Name)
			}
			if f.Seq > 0 && !strings.HasSuffix(e.ID, strconv.FormatInt(f.Seq, 10)) {
				r.t.Errorf("%s has the id %q", e.Data, e.ID)
			}
			return slices.Clone(e.Data)
		}
	}, n)
}

// pollPage is the answer of /api/chat/events.
type pollPage struct {
	Events   []json.RawMessage
	Cursor   string
	CaughtUp bool
}

func (r *rig) poll(path string) (frames []frame, page pollPage) {
	r.t.Helper()
	a := r.get(path)
	wantStatus(r.t, a, 200)
	if got := a.header.Get(stream.TransportHeader); got != stream.Poll {
		r.t.Errorf("%s: transport header %q", path, got)
	}
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		r.t.Fatalf("%s: %v", a.body, err)
	}
	for _, e := range page.Events {
		frames = append(frames, parseViewFrame(r.t, e))
	}
	return frames, page
}

// eventFrames leaves out the control frames.
func eventFrames(frames []frame) []frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f frame) bool { return f.Seq == 0 })
}

var moment = regexp.MustCompile(`"(epoch|serverTime|createdAt|updatedAt|time)":"[^"]*"|"elapsed":[0-9]+`)

// compare holds the frames against a snapshot.
func compare(t *testing.T, name string, frames []frame) {
	t.Helper()
	var got bytes.Buffer
	for _, f := range frames {
		if f.Type == "hello" { // the same on every route: its own tests hold it
			continue
		}
		got.WriteString(moment.ReplaceAllStringFunc(f.json, func(m string) string {
			name, _, _ := strings.Cut(m, ":")
			return name + `:"*"`
		}))
		got.WriteByte('\n')
	}
	path := filepath.Join("testdata", "views", name+".jsonl")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() == string(want) {
		return
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s, line %d (go test ./api -run TestViews -update writes it anew):\ngot  %s\nwant %s", path, i+1, lineAt(g, i), lineAt(w, i))
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// TestViewsShowTheFlow holds every view on every transport against what its
// clients were promised.
func TestViewsShowTheFlow(t *testing.T) {
	r := flowRig(t, Config{})
	for name, path := range map[string]string{"console": "/ws/console", "dashboard": "/api/konsole/dashboard/ws", "chat": "/ws", "sdk": "/api/sdk/ws"} {
		for _, member := range []string{"session", "sessionId"} {
			t.Run(name+" by "+member, func(t *testing.T) {
				compare(t, name+".websocket", untilCaughtUp(t, receive(t, r.dial(path+"?"+member+"=s1")), 1))
			})
		}
	}
	t.Run("chat as an event stream", func(t *testing.T) { compare(t, "chat.sse", r.overSSE("/events?session=s1", 1)) })
	t.Run("chat by polls", func(t *testing.T) {
		frames, page := r.poll("/api/chat/events?session=s1&cursor=0")
		compare(t, "chat.poll", frames)
		if page.Cursor != strconv.Itoa(len(chatFlow)) || !page.CaughtUp {
			t.Errorf("cursor %s, caughtUp %v", page.Cursor, page.CaughtUp)
		}
	})
	t.Run("the feed", func(t *testing.T) {
		compare(t, "feed.sse", r.overSSE("/events?cursor=0", 1))
		compare(t, "feed.websocket", untilCaughtUp(t, receive(t, r.dial("/ws?cursor=0")), 1))
	})
}

// TestViewsOfOneSessionAreTheSameOnEveryTransport is the parity of the types,
// and of the bytes.
func TestViewsOfOneSessionAreTheSameOnEveryTransport(t *testing.T) {
	r := flowRig(t, Config{})
	ws := eventFrames(untilCaughtUp(t, receive(t, r.dial("/ws?session=s1")), 1))
	if len(ws) != len(chatFlow) {
		t.Fatalf("%d events, want %d", len(ws), len(chatFlow))
	}
	if got := eventFrames(r.overSSE("/events?session=s1", 1)); !reflect.DeepEqual(got, ws) {
		t.Errorf("SSE differs from WebSocket:\n%v\n%v", got, ws)
	}
	var polled []frame
	for cursor := "0"; ; {
		frames, page := r.poll("/api/chat/events?session=s1&limit=7&cursor=" + cursor)
		polled, cursor = append(polled, frames...), page.Cursor
		if page.CaughtUp {
			break
		}
	}
	if !reflect.DeepEqual(polled, ws) {
		t.Errorf("polls differ from WebSocket:\n%v\n%v", polled, ws)
	}
}

// TestViewsShowEachTextOnce puts the pieces of text after one another, as a
// plain client does, with a new connection at every event.
func TestViewsShowEachTextOnce(t *testing.T) {
	r := flowRig(t, Config{})
	const want = "I'll look. Two files.Sto"
	for _, path := range []string{"/ws/console", "/api/sdk/ws"} {
		texts := func(frames []frame) (text string, last int64) {
			for _, f := range frames {
				if f.Type == "output" {
					text += f.Content
				}
				if f.Type == "text-delta" {
					text += f.Text
				}
				last = max(last, f.Seq)
			}
			return text, last
		}
		whole, _ := texts(untilCaughtUp(t, receive(t, r.dial(path+"?session=s1")), 1))
		if whole != want {
			t.Errorf("%s shows %q, want %q", path, whole, want)
		}
		for k := range len(chatFlow) {
			q := fmt.Sprintf("%s?session=s1&until=%d", path, max(k, 1))
			before, _ := texts(untilCaughtUp(t, receive(t, r.dial(q)), 1))
			after, _ := texts(untilCaughtUp(t, receive(t, r.dial(fmt.Sprintf("%s?session=s1&after=%d", path, max(k, 1)))), 1))
			if before+after != want {
				t.Errorf("%s cut at %d shows %q and %q, want %q", path, k, before, after, want)
			}
		}
	}
}

func TestViewsCursors(t *testing.T) {
	r := flowRig(t, Config{})
	first := func(frames []frame) int64 { return eventFrames(frames)[0].Seq }
	for name, got := range map[string]int64{
		"after":         first(untilCaughtUp(t, receive(t, r.dial("/ws?session=s1&after=9")), 1)),
		"cursor":        first(untilCaughtUp(t, receive(t, r.dial("/ws?session=s1&cursor=9")), 1)),
		"named cursor":  first(untilCaughtUp(t, receive(t, r.dial("/ws?session=s1&cursor=s1:9")), 1)),
		"several":       first(untilCaughtUp(t, receive(t, r.dial("/ws?cursor=s1:9")), 1)),
		"last event id": first(r.overSSE("/events?session=s1", 1, "Last-Event-ID", "9")),
		"sse several":   first(r.overSSE("/events?cursor=s1:9", 1)),
	} {
		if got != 10 {
			t.Errorf("%s: first event %d, want 10", name, got)
		}
	}
	_, page := r.poll("/api/chat/events?cursor=s1:9,_feed:1&limit=3")
	if !strings.Contains(page.Cursor, "s1:12") || !strings.Contains(page.Cursor, "_feed:1") || page.CaughtUp {
		t.Errorf("cursor %q, caughtUp %v", page.Cursor, page.CaughtUp)
	}
	frames, page := r.poll("/api/chat/events")
	if len(frames) != 0 || page.Cursor == "0" || !page.CaughtUp {
		t.Errorf("the feed without a cursor gives %d frames and cursor %q, want none and its head", len(frames), page.Cursor)
	}
	if frames, _ := r.poll("/api/chat/events?session=s1&cursor=999"); len(frames) != 1 || frames[0].Type != "reset" {
		t.Errorf("a cursor beyond the head gives %v, want a reset", frames)
	}
}

func TestViewsRefuse(t *testing.T) {
	r := flowRig(t, Config{})
	for path, code := range map[string]store.Code{
		"/ws/console":                           codeSessionRequired,
		"/api/konsole/dashboard/ws":             codeSessionRequired,
		"/api/sdk/ws":                           codeSessionRequired,
		"/api/sdk/ws?cursor=s1:1":               codeSessionRequired,
		"/ws/console?session=a/b":               store.CodeInvalidSession,
		"/ws/console?session=a&sessionId=b":     store.CodeInvalidQuery,
		"/ws/console?session=s1&prompt=hello":   store.CodeInvalidQuery,
		"/events?session=s1&cursor=s2:1":        store.CodeInvalidQuery,
		"/events?session=s1&cursor=1&after=1":   store.CodeInvalidQuery,
		"/events?session=s1&raw=1":              store.CodeInvalidQuery,
		"/events?session=s1&fold=1":             store.CodeInvalidQuery,
		"/api/chat/events?session=s1&cursor=-1": store.CodeInvalidQuery,
	} {
		wantCode(t, r.get(path), 400, code)
	}
	wantCode(t, r.get("/ws/console?session=nope"), 404, store.CodeNotFound)
	wantCode(t, r.get("/events?session=nope"), 404, store.CodeNotFound)
	wantCode(t, r.get("/ws/console?session=s1"), 426, stream.CodeUpgradeRequired)
	wantCode(t, r.post("/api/chat/send", `{"message":"x"}`), 400, codeSessionRequired)
	wantCode(t, r.post("/api/chat/send", `{`), 400, store.CodeInvalidJSON)
	wantCode(t, r.post("/api/chat/send", `[]`), 400, store.CodeInvalidJSON)
	wantCode(t, r.post("/api/chat/send", `{"sessionId":7}`), 400, store.CodeInvalidEvent)
	wantCode(t, r.post("/api/chat/set-active-session", `{"sessionId":"nope"}`), 404, store.CodeNotFound)
	for _, body := range []string{`{"sessionId":"s1"}`, `{"sessionId":null}`, `{}`} {
		if a := r.post("/api/chat/set-active-session", body); a.status != 204 {
			t.Errorf("set-active-session %s: %d %s", body, a.status, a.body)
		}
	}
}

// TestSwitchesHoldOnViews turns every transport and channel off.
func TestSwitchesHoldOnViews(t *testing.T) {
	ws := []string{"/ws/console?session=s1", "/api/konsole/dashboard/ws?session=s1", "/ws?session=s1", "/api/sdk/ws?session=s1"}
	sse := []string{"/events?session=s1"}
	poll := []string{"/api/chat/events?session=s1&wait=1"}
	for _, c := range []struct {
		name  string
		cfg   Config
		off   []string // 404 transport_disabled
		plain []string // answered
	}{
		{"websocket", Config{DisableWebSocket: true}, ws, append(sse, poll...)},
		{"sse", Config{DisableSSE: true}, sse, poll},
		{"polling", Config{DisablePolling: true}, append(poll, "/api/chat/events?session=s1"), sse},
		{"feed", Config{DisableFeedPush: true},
			[]string{"/events", "/events?cursor=0", "/api/chat/events?cursor=0&wait=1", "/v1/sessions/_feed/sse", "/v1/sessions/_feed/events?wait=1", "/v1/sse?cursor=_feed:0"},
			[]string{"/api/chat/events?cursor=0", "/v1/sessions/_feed/events", "/events?session=s1", "/api/chat/events?session=s1&wait=1"}},
		{"shell", Config{DisableShellRealtime: true},
			[]string{"/events?session=sh", "/api/chat/events?session=sh&wait=1", "/v1/sessions/sh/sse", "/v1/sessions/sh/events?wait=1"},
			[]string{"/api/chat/events?session=sh", "/v1/sessions/sh/events", "/events?session=s1", "/events?cursor=0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := flowRig(t, c.cfg)
			if _, _, err := r.log.CreateSession(context.Background(), "sh", store.SessionSpec{Tags: []string{"shell"}}); err != nil {
				t.Fatal(err)
			}
			r.appendDrafts("sh", store.Draft{Type: "x", Data: []byte(`1`)})
			for _, path := range c.off {
				wantCode(t, r.get(path), 404, codeTransportDisabled)
			}
			for _, path := range c.plain {
				if strings.HasPrefix(path, "/events") {
					r.overSSE(path, 1)
					continue
				}
				wantStatus(t, r.get(path), 200)
			}
			if len(c.off) > 4 || c.cfg.DisableShellRealtime { // pushes: a subscription among others is told
				ws := r.dial("/v1/ws?cursor=s1:0")
				session := "_feed"
				if c.cfg.DisableShellRealtime {
					session = "sh"
				}
				untilCaughtUp(t, receive(t, ws), 1)
				send(t, ws, `{"type":"subscribe","session":"`+session+`"}`)
				if f := parseViewFrame(t, receive(t, ws)()); f.Type != "error" || !strings.Contains(f.json, `"transport_disabled"`) {
					t.Errorf("got %s, want an error frame", f.json)
				}
				both := r.dial("/ws?cursor=" + session + ":0,s1:0")
				frames := untilCaughtUp(t, receive(t, both), 1)
				if f := frames[0]; f.Type != "error" || f.Session != session || !strings.Contains(f.json, `"error":"`) {
					t.Errorf("got %s, want an error frame", f.json)
				}
			}
		})
	}
}

func send(t testing.TB, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// fakeCommander takes note of what it is to do.
type fakeCommander struct{ got chan string }

func (f fakeCommander) Begin(_ context.Context, home, typ string, frame []byte) func() (any, error) {
	text := home + " " + string(frame)
	return func() (any, error) {
		f.got <- text
		if strings.Contains(text, "nothing runs") {
			return nil, store.Errorf(store.CodeSessionClosed, "no")
		}
		return map[string]any{"id": 7}, nil
	}
}

// commandRig is a server that hands the commands of its WebSockets to a fake.
func commandRig(t *testing.T) (*rig, chan string) {
	t.Helper()
	r := flowRig(t, Config{})
	got := make(chan string, 1)
	cfg := r.api.cfg.Stream
	cfg.Commander = fakeCommander{got}
	r.api.streams = stream.New(r.log, newHub(), cfg)
	return r, got
}

// TestPlainClientsSpeakTheirOwnNames sends what each seed's client sends.
func TestPlainClientsSpeakTheirOwnNames(t *testing.T) {
	r, got := commandRig(t)
	for _, c := range []struct{ path, frame, want string }{
		{"/ws/console?session=s1", `{"type":"prompt","text":"hi","images":[1]}`, `s1 {"type":"send_prompt","text":"hi","images":[1]}`},
		{"/ws/console?session=s1", `{ "type" : "cancel" }`, `s1 {"type":"stop_turn"}`},
		{"/api/konsole/dashboard/ws?session=s1", `{"type":"send_prompt","prompt":"hi","images":[]}`, `s1 {"type":"send_prompt","prompt":"hi","images":[]}`},
		{"/api/konsole/dashboard/ws?session=s1", `{"type":"stop_turn"}`, `s1 {"type":"stop_turn"}`},
		{"/ws", `{"type":"prompt","sessionId":"s2","message":"hi"}`, ` {"type":"send_prompt","session":"s2","text":"hi"}`},
		{"/ws", `{"type":"abort","sessionId":"s1"}`, ` {"type":"stop_turn","session":"s1"}`},
		{"/api/sdk/ws?sessionId=s1", `{"type":"prompt","text":"h\u0069"}`, `s1 {"type":"send_prompt","text":"h\u0069"}`},
		{"/api/sdk/ws?sessionId=s1", `{"type":"stop","sessionId":null}`, `s1 {"type":"stop_turn"}`},
		{"/ws?session=s1", `{"type":"answer","requestId":"q1","allow":true}`, `s1 {"type":"answer","requestId":"q1","allow":true}`},
		{"/ws?session=s1", `{"type":"choose","kontaskId":"c-1","choice":0}`, `s1 {"type":"choose","kontaskId":"c-1","choice":0}`},
		{"/ws?session=s1", `{"type":"append","session":"s3","events":[]}`, `s1 {"type":"append","session":"s3","events":[]}`},
	} {
		ws := r.dial(c.path)
		untilCaughtUp(t, receive(t, ws), 1)
		send(t, ws, c.frame)
		if g := <-got; g != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.path, c.frame, g, c.want)
		}
		if f := parseViewFrame(t, receive(t, ws)()); f.Type != "ack" {
			t.Errorf("answered %s", f.json)
		}
		send(t, ws, `{"type":"ping"}`)
		if f := parseViewFrame(t, receive(t, ws)()); f.Type != "pong" {
			t.Errorf("a ping is answered by %s", f.json)
		}
	}
	ws := r.dial("/ws/console?session=s1")
	untilCaughtUp(t, receive(t, ws), 1)
	send(t, ws, `{"type":"cancel","reason":"nothing runs"}`)
	<-got
	if f := parseViewFrame(t, receive(t, ws)()); f.Type != "error" || !strings.Contains(f.json, `"error":"no"`) {
		t.Errorf("a refused command is answered by %s", f.json)
	}
	for _, bad := range []string{`{"type":"prompt","text":}`, `{"type":"prompt"`} {
		ws := r.dial("/ws/console?session=s1&tail=0")
		untilCaughtUp(t, receive(t, ws), 1)
		send(t, ws, bad)
		if _, _, err := ws.Read(context.Background()); websocket.CloseStatus(err) != stream.CloseBadFrame {
			t.Errorf("%s: %v, want close 4400", bad, err)
		}
	}
}

// TestViewsCommandTheLog is the whole way of a plain client's frames, and of
// their REST twins, into the log and back.
func TestViewsCommandTheLog(t *testing.T) {
	r := newRig(t, Config{})
	inject := `{"session":"s1","text":"x","source":"user","key":"k"}`
	a := r.post("/api/console/inject", inject)
	wantStatus(t, a, 201)
	if got := a.header.Get(stream.TransportHeader); got != stream.Poll {
		t.Errorf("transport header %q", got)
	}
	wantStatus(t, r.post("/api/console/inject", inject), 200)
	wantCode(t, r.post("/api/chat/abort", `{"sessionId":"s2"}`), 404, store.CodeNotFound)
	wantStatus(t, r.post("/api/chat/send?sessionId=s1", `{"message":"h\u0069","projectId":"p","files":["a"]}`), 201)
	page, err := r.log.Read(context.Background(), "s1", store.Query{})
	if err != nil || len(page.Events) != 2 {
		t.Fatalf("%d events, %v", len(page.Events), err)
	}
	for i, want := range []string{`{"text":"x","source":"inject"}`, `{"text":"h\u0069","files":["a"]}`} {
		if got := string(page.Events[i].Data); got != want {
			t.Errorf("event %d has the data %s, want %s", i+1, got, want)
		}
	}
	wantCode(t, r.post("/api/chat/send", `{"sessionId":"s1","message":"x","mode":1}`), 400, store.CodeInvalidEvent)
	for _, c := range []struct{ path, prompt, shown, stop, stopped string }{
		{"/ws/console", `{"type":"prompt","text":"hi","images":[]}`, "prompt", `{"type":"cancel"}`, "stop_turn"},
		{"/api/konsole/dashboard/ws", `{"type":"send_prompt","prompt":"hi"}`, "event", `{"type":"stop_turn"}`, "event"},
		{"/ws", `{"type":"prompt","message":"hi"}`, "prompt", `{"type":"abort"}`, "stop_turn"},
		{"/api/sdk/ws", `{"type":"prompt","text":"hi"}`, "prompt", `{"type":"stop"}`, "stop_turn"},
	} {
		t.Run(c.path, func(t *testing.T) {
			ws := r.dial(c.path + "?session=s1&tail=0")
			next := receive(t, ws)
			untilCaughtUp(t, next, 1)
			until := func(typ string) frame {
				for {
					if f := parseViewFrame(t, next()); f.Seq > 0 && f.Type == typ {
						return f
					} else if f.Type == "error" {
						t.Fatalf("refused: %s", f.json)
					}
				}
			}
			send(t, ws, c.prompt)
			prompt := until(c.shown)
			var p struct{ Turn string }
			if err := json.Unmarshal([]byte(prompt.json), &p); err != nil || p.Turn == "" {
				t.Fatalf("the prompt has no turn: %s", prompt.json)
			}
			r.appendDrafts("s1", store.Draft{Type: "turn_start", Turn: p.Turn, Data: []byte(`{}`)})
			for f := (frame{}); f.Type != "status" && f.Type != "turn_start" && f.Type != "session-init"; {
				f = parseViewFrame(t, next())
			}
			send(t, ws, c.stop)
			if f := until(c.stopped); !strings.Contains(f.json, `"requestId":"`+p.Turn+`"`) {
				t.Errorf("the stop is %s, want the turn %s", f.json, p.Turn)
			}
			r.appendDrafts("s1", store.Draft{Type: "turn_end", Turn: p.Turn, Data: []byte(`{"success":false,"reason":"stopped"}`)})
		})
	}
}

// TestEveryKnownTypeHasARow is the lint of the table: a type that store learns
// must be given its names here.
func TestEveryKnownTypeHasARow(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "store", "types.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Type") {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, name)
		}
		return true
	})
	if len(known) < 30 {
		t.Fatalf("only %d types found in store/types.go", len(known))
	}
	rows := map[string]int{}
	for i := range viewRows {
		rows[viewRows[i].event]++
		if !slices.Contains(known, viewRows[i].event) {
			t.Errorf("the row of %s is for no type that store knows", viewRows[i].event)
		}
	}
	for _, name := range known {
		if rows[name] != 1 {
			t.Errorf("type %s has %d rows in viewRows, want 1", name, rows[name])
		}
	}
	for _, v := range []*view{consoleView, dashboardView, chatView, sdkView} {
		for typ, c := range v.cells {
			if len(c.ensure) > 2 || len(c.rename)%2 != 0 {
				t.Errorf("%s, %s: the cell is malformed", v.name, typ)
			}
		}
	}
}

// TestViewFramesLoseNothing shows data that does not fit a flat frame.
func TestViewFramesLoseNothing(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`null`, `{"type":"x","seq":3,"session":"s"}`},
		{`7`, `{"type":"x","data":7,"seq":3,"session":"s"}`},
		{`{"a":1.50,"ü":"\u00fc","a":2}`, `{"type":"x","a":1.50,"ü":"\u00fc","a":2,"seq":3,"session":"s"}`},
		{`{"session":"s","a":1}`, `{"type":"x","a":1,"seq":3,"session":"s"}`},
		{`{"session":"t","a":1}`, `{"type":"x","a":1,"data":{"session":"t","a":1},"seq":3,"session":"s"}`},
		{`{"seq":9}`, `{"type":"x","data":{"seq":9},"seq":3,"session":"s"}`},
		{`{"data":[0]}`, `{"type":"x","data":{"data":[0]},"seq":3,"session":"s"}`},
		{`{"type":{"session":"q"}}`, `{"type":"x","data":{"type":{"session":"q"}},"seq":3,"session":"s"}`},
		{`{"a":[}`, `{"type":"x","data":{"a":[},"seq":3,"session":"s"}`}, // which no engine hands out
	} {
		got, _ := chatView.Lens().AppendEvent(nil, &store.Event{ID: 3, Session: "s", Type: "x", Data: []byte(c.data)})
		if want := strings.ReplaceAll(c.want, `"ü"`, `"ü"`); string(got) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.data, got, want)
		}
	}
}

func TestLensForgetsTheOldestBlocks(t *testing.T) {
	l := consoleView.Lens().(*lens)
	for i := range viewBlocksMax + 10 {
		l.AppendEvent(nil, &store.Event{ID: int64(i + 1), Session: "s", Type: "text_delta", Data: fmt.Appendf(nil, `{"text":"x","block":%d}`, i)})
	}
	if len(l.grown) != viewBlocksMax || l.grown[0].name != "10" {
		t.Errorf("%d blocks are kept, the oldest %q", len(l.grown), l.grown[0].name)
	}
}

// TestTextWithoutBlocks follows the rules by which store.Fold tells blocks
// without a name apart.
func TestTextWithoutBlocks(t *testing.T) {
	l := consoleView.Lens()
	for i, c := range []struct {
		typ, data string
		shown     bool
	}{
		{"text_delta", `{"text":"a"}`, true},
		{"text", `{"text":"a"}`, false},
		{"text", `{"text":"b"}`, true}, // another block, which had no deltas
		{"text_delta", `{"text":"c"}`, true},
		{"tool_start", `{"id":"t"}`, true}, // ends the open block
		{"text", `{"text":"d"}`, true},
		{"text_delta", `{"text":"e"}`, true},
		{"text_delta", `{"text":"f","block":1}`, true}, // likewise
		{"text", `{"text":"g"}`, true},
		{"text", `{"text":"f","block":1}`, false},
	} {
		_, typ := l.AppendEvent(nil, &store.Event{ID: int64(i + 1), Session: "s", Turn: "r", Type: c.typ, Data: []byte(c.data)})
		if (typ != "") != c.shown {
			t.Errorf("event %d, %s %s: shown %v, want %v", i+1, c.typ, c.data, typ != "", c.shown)
		}
	}
}

func FuzzViewInbound(f *testing.F) {
	for _, seed := range []string{
		`{"type":"prompt","text":"hi","images":[{"a":1}]}`, `{"type":"cancel"}`, `{"type":"send_prompt","prompt":"x","sessionId":null}`,
		`{"type":"stop","session":"a","sessionId":"b"}`, `{"type":"prompt","type":"ping"}`, `{"type":"prompt","x":}`, `{"type":"prompt","\u0074ype":1}`,
		`[]`, `{}`, ``, `{"type":"seen","id":3} x`, `{"type":"append","events":[]}`, `{"type":"prompt","a":{]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := slices.Clone(body)
		got, ok := chatView.Inbound(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the client's frame was changed")
		}
		if !ok {
			return
		}
		if !json.Valid(body) || !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		var f struct{ Type string }
		if err := json.Unmarshal(got, &f); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(inboundRows, func(r inboundRow) bool { return r.command == f.Type }) {
			t.Fatalf("%q became the command %q", body, f.Type)
		}
		again, ok := chatView.Inbound(got)
		if !ok || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q and then %q", body, got, again)
		}
	})
}
