package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
)

// contract is the description that clients' types are made from, as something
// to hold answers against.
type contract struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	doc      map[string]any
	compiled map[string]*jsonschema.Schema
}

// closed are the schemas of what the server alone writes: a member that they
// do not name is a mistake. The others hold what clients wrote.
var closed = []string{"question", "task", "card", "ending", "status", "gap", "reset", "event", "session", "turn", "toolCall", "inboxItem", "page", "appended", "command", "hit", "blob", "realtime", "webhook", "feedData"}

func newContract(t *testing.T) *contract {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{t: t, compiler: jsonschema.NewCompiler(), doc: doc.(map[string]any), compiled: map[string]*jsonschema.Schema{}}
	schemas := within(c.doc, "components", "schemas")
	for _, name := range closed {
		within(schemas, name)["additionalProperties"] = false
	}
	for _, frame := range within(schemas, "frames", "properties") {
		if frame := frame.(map[string]any); frame["$ref"] == nil {
			frame["additionalProperties"] = false
		}
	}
	c.compiler.AssertFormat()
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := c.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// within walks down objects.
func within(v map[string]any, path ...string) map[string]any {
	for _, name := range path {
		v, _ = v[name].(map[string]any)
	}
	return v
}

// check holds JSON against the schema at that place of the description.
func (c *contract) check(place string, value []byte) error {
	s := c.compiled[place]
	if s == nil {
		var err error
		if s, err = c.compiler.Compile("openapi.json#" + place); err != nil {
			return fmt.Errorf("schema %s: %w", place, err)
		}
		c.compiled[place] = s
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return fmt.Errorf("%s: %w", value, err)
	}
	if err := s.Validate(v); err != nil {
		return fmt.Errorf("%.300s: %w", value, err)
	}
	return nil
}

func (c *contract) want(place string, value []byte) {
	c.t.Helper()
	if err := c.check(place, value); err != nil {
		c.t.Error(err)
	}
}

// frame checks a control frame, and returns its type.
func (c *contract) frame(value []byte) string {
	c.t.Helper()
	var f struct{ Type string }
	if err := json.Unmarshal(value, &f); err != nil {
		c.t.Fatal(err)
	}
	c.want("/components/schemas/frames/properties/"+f.Type, value)
	return f.Type
}

// event checks an event and, where the server knows its type, its data.
func (c *contract) event(value []byte) string {
	c.t.Helper()
	c.want("/components/schemas/event", value)
	var e struct {
		Session, Type string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(value, &e); err != nil {
		c.t.Fatal(err)
	}
	switch known := within(c.doc, "components", "schemas", "eventData", "properties"); {
	case e.Session == store.FeedSession:
		c.want("/components/schemas/feedData", e.Data)
	case known[e.Type] != nil:
		c.want("/components/schemas/eventData/properties/"+e.Type, e.Data)
	}
	return e.Type
}

// message checks what came over a WebSocket: only an event has data.
func (c *contract) message(value []byte) string {
	c.t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(value, &m); err != nil {
		c.t.Fatal(err)
	}
	if m["data"] != nil {
		return "event " + c.event(value)
	}
	return c.frame(value)
}

// meaningful is a session in which everything is open that a hello can tell.
func meaningful(r *rig) {
	r.t.Helper()
	r.appendDrafts("s1", chatFlow[:len(chatFlow)-1]...)
	r.appendDrafts("s1",
		store.Draft{Type: "turn_start", Turn: "r-3", Data: []byte(`{"requestId":"r-3"}`)},
		store.Draft{Type: "tool_start", Turn: "r-3", Data: []byte(`{"id":7,"name":"Bash"}`)},
		store.Draft{Type: "permission_request", Turn: "r-3", Parent: "7", Data: []byte(`{"requestId":"q2","tool":"Bash","input":{"command":"rm"},"options":["once"]}`)},
		store.Draft{Type: "task_start", Turn: "r-3", Data: []byte(`{"taskId":"k2","title":"index","status":"running"}`)},
		store.Draft{Type: "kontask_ready", Turn: "r-1", Data: []byte(`{"id":"c-2","type":"general","status":"completed","title":"Plan","description":"d","requestId":"r-1","context":{"output":"<b>x</b>","choices":[{"label":"Go","value":"Do it","primary":true}]}}`)},
	)
}

// TestFramesAreAsDescribed: what comes over a WebSocket is what the client's
// types say, frames and events, the answers to commands and refusals.
func TestFramesAreAsDescribed(t *testing.T) {
	c := newContract(t)
	r := newRig(t, Config{})
	meaningful(r)
	wantStatus(t, r.post("/v1/sessions/s1/redact", `{"from":9}`), 200)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+r.http.URL[4:]+"/v1/ws?batch=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	seen := map[string]bool{}
	say := func(frame string, until ...string) { // in whatever order
		t.Helper()
		if frame != "" {
			if err := ws.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		for len(until) > 0 {
			_, b, err := ws.Read(ctx)
			if err != nil {
				t.Fatalf("%s: until %s: %v", frame, until, err)
			}
			for line := range bytes.Lines(b) {
				got := c.message(line)
				seen[got] = true
				until = slices.DeleteFunc(until, func(want string) bool { return want == got })
			}
		}
	}
	say(`{"type":"subscribe","ref":"a","session":"s1"}`, "caught_up")
	say(`{"type":"subscribe","ref":"b","session":"_feed"}`, "caught_up")
	say(`{"type":"subscribe","ref":"c","session":"nobody"}`, "error")
	say(`{"type":"ping","ref":"d"}`, "pong")
	say(`{"type":"append","ref":"e","session":"s1","events":[{"type":"text","data":{"text":"x"},"key":"k"},{"type":"x.y"}]}`, "ack")
	say(`{"type":"append","ref":"e2","session":"s1","events":[{"type":"text","data":{"text":"x"},"key":"k"},{"type":"x.y","key":"l"}]}`, "ack")
	say(`{"type":"append","ref":"f","session":"s1","expectHead":3,"events":[{"type":"x.y"}]}`, "error")
	say(`{"type":"answer","ref":"g","session":"s1","requestId":"q2","allow":true,"option":"once","message":"fine","by":"me"}`, "ack", "event permission_response", "status")
	say(`{"type":"answer","ref":"g2","session":"s1","requestId":"q2","allow":false}`, "ack")
	say(`{"type":"choose","ref":"h","kontaskId":"c-2","choice":0}`, "ack", "event kontask_chosen")
	say(`{"type":"send_prompt","ref":"i","session":"s1","text":"go on","images":[{"sha256":"ab12","contentType":"image/png","bytes":3}]}`, "ack", "event prompt")
	say(`{"type":"stop_turn","ref":"j","session":"s1"}`, "ack")
	say(`{"type":"seen","ref":"k","session":"s1","id":3}`, "ack", "event seen")
	say(`{"type":"nonsense","ref":"l"}`, "error")
	say(`{"type":"unsubscribe","ref":"m","session":"_feed"}`, "ack")
	wantStatus(t, r.post("/v1/sessions", `{"id":"s2"}`), 201)
	say(`{"type":"subscribe","ref":"n","session":"s2","after":1000}`, "reset")
	wantStatus(t, r.do("DELETE", "/v1/sessions/s2", nil), 204)
	say("", "bye")
	go r.api.Drain(ctx, 0)
	say("", "bye")
	for _, want := range []string{"hello", "caught_up", "status", "pong", "gap", "reset", "ack", "error", "bye", "event prompt", "event permission_response", "event kontask_chosen", "event redacted", "event seen"} {
		if !seen[want] {
			t.Errorf("no %s came", want)
		}
	}
}

// TestStreamsAreAsDescribed: SSE has the same frames, under their names, and a
// silent one a ping.
func TestStreamsAreAsDescribed(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	cfg := Config{}
	cfg.Stream.Heartbeat = 20 * time.Millisecond
	r := newRig(t, cfg)
	meaningful(r)
	wantStatus(t, r.post("/v1/sessions/s1/redact", `{"from":9}`), 200)
	for path, wanted := range map[string][]string{
		"/v1/sessions/s1/sse":           {"hello", "gap", "caught_up", "ping"},
		"/v1/sessions/s1/sse?fold=1":    {"hello", "gap", "caught_up", "ping"},
		"/v1/sessions/s1/sse?raw=1":     {"hello", "gap", "caught_up", "ping"},
		"/v1/sessions/s1/sse?until=3":   {"hello", "bye"},
		"/v1/sessions/s1/sse?after=999": {"reset", "hello"},
		"/v1/sse?cursor=s1:0,_feed:0":   {"hello", "caught_up", "ping"},
		"/v1/sse?cursor=s1:0,nobody:0":  {"hello", "error", "caught_up", "ping"},
	} {
		res, err := http.Get(r.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		stream, left := sse.NewReader(res.Body, 1<<20), wanted
		for len(left) > 0 {
			b, err := stream.Next()
			if err != nil {
				t.Fatalf("%s: %v before %v", path, err, left)
			}
			switch {
			case b.Name != "" && len(b.Data) > 0:
				if got := c.frame(b.Data); got != b.Name {
					t.Errorf("%s: %s under the name %s", path, got, b.Name)
				}
				if i := slices.Index(left, b.Name); i >= 0 {
					left = slices.Delete(slices.Clone(left), i, i+1)
				}
			case len(b.Data) > 0:
				c.event(b.Data)
			}
		}
		res.Body.Close()
	}
}

// routeParam finds the parameters of a path as the router has them.
var routeParam = regexp.MustCompile(`:(\w+)`)

// checkAnswer holds an answer against the description of its route.
func (c *contract) checkAnswer(r *rig, method, path, body string, status int) {
	c.t.Helper()
	var a answer
	if body == "" {
		a = r.do(method, path, nil)
	} else {
		a = r.do(method, path, strings.NewReader(body))
	}
	wantStatus(c.t, a, status)
	if status >= 400 {
		c.want("/components/schemas/problem", []byte(a.body))
		return
	}
	bare, _, _ := strings.Cut(path, "?")
	for _, route := range r.api.routes {
		pattern := regexp.MustCompile("^" + routeParam.ReplaceAllString(route.Path, "[^/]+") + "$")
		if route.Method != method || !pattern.MatchString(bare) || strings.Contains(route.Path, ":") && strings.Count(route.Path, "/") != strings.Count(bare, "/") {
			continue
		}
		described := routeParam.ReplaceAllString(route.Path, "{$1}")
		answers := within(c.doc, "paths", described, strings.ToLower(method), "responses")
		if answers[strconv.Itoa(status)] == nil {
			c.t.Errorf("%s %s: status %d is not described", method, described, status)
			return
		}
		pointer := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(described)
		if err := c.check("/paths/"+pointer+"/"+strings.ToLower(method)+"/responses/"+strconv.Itoa(status)+"/content/application~1json/schema", []byte(a.body)); err != nil {
			c.t.Errorf("%s %s: %v", method, path, err)
		}
		return
	}
	c.t.Errorf("%s %s has no route", method, path)
}

// TestAnswersAreAsDescribed: the answers over REST are what the description
// says of them.
func TestAnswersAreAsDescribed(t *testing.T) {
	c := newContract(t)
	r := newRig(t, Config{})
	meaningful(r)
	for _, ask := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/sessions", "", 200},
		{"POST", "/v1/sessions", `{"id":"s9","title":"t","tags":["a"],"meta":{"a":1}}`, 201},
		{"POST", "/v1/sessions", `{"id":"s9"}`, 409},
		{"GET", "/v1/sessions/s1", "", 200},
		{"PUT", "/v1/sessions/s9", "", 200},
		{"PATCH", "/v1/sessions/s9", `{"title":"u"}`, 200},
		{"POST", "/v1/sessions/s1/fork", `{"after":20,"session":"f1"}`, 201},
		{"GET", "/v1/sessions/f1", "", 200},
		{"GET", "/v1/sessions/f1/seals", "", 200},
		{"POST", "/v1/sessions/s1/events", `[{"type":"x.y"},{"type":"x.y"}]`, 201},
		{"POST", "/v1/sessions/s1/events", `{"type":"hello"}`, 400},
		{"GET", "/v1/sessions/s1/events", "", 200},
		{"GET", "/v1/sessions/s1/events?fold=1", "", 200},
		{"GET", "/v1/sessions/s1/events?after=9999", "", 200},
		{"GET", "/v1/poll?cursor=s1:0,_feed:0", "", 200},
		{"POST", "/v1/sessions/s1/prompts", `{"text":"x","key":"p"}`, 201},
		{"POST", "/v1/sessions/s1/prompts", `{"text":"x","key":"p"}`, 200},
		{"POST", "/v1/sessions/s1/answers", `{"requestId":"q2","allow":true}`, 201},
		{"POST", "/v1/sessions/s1/stop", `{}`, 201},
		{"GET", "/v1/inbox", "", 200},
		{"POST", "/v1/sessions/s1/seen", `{"id":4}`, 200},
		{"GET", "/v1/sessions/s1/turns", "", 200},
		{"GET", "/v1/sessions/s1/turns/r-1", "", 200},
		{"GET", "/v1/sessions/s1/turns/r-3", "", 200},
		{"POST", "/v1/sessions/s1/turns/r-3/touch", "", 200},
		{"GET", "/v1/turns?state=ended", "", 200},
		{"GET", "/v1/kontasks", "", 200},
		{"GET", "/v1/kontasks/c-1", "", 200},
		{"PUT", "/v1/kontasks/c-3", `{"session":"s1","status":"completed","title":"T"}`, 201},
		{"PUT", "/v1/kontasks/c-3", `{"title":"U"}`, 200},
		{"GET", "/v1/kontasks/nobody", "", 404},
		{"POST", "/v1/kontasks/c-2/choose", `{"choice":"Go"}`, 201},
		{"GET", "/v1/search?q=files", "", 200},
		{"POST", "/v1/sessions/s1/redact", `{"from":9}`, 200},
		{"GET", "/v1/sessions/s1/events?after=3", "", 200},
		{"POST", "/v1/blobs", "content", 201},
		{"GET", "/health/realtime", "", 200},
		{"GET", "/readyz", "", 200},
		{"GET", "/healthz", "", 200},
		{"GET", "/v1/diag/poll?n=1", "", 200},
	} {
		c.checkAnswer(r, ask.method, ask.path, ask.body, ask.status)
	}
}

// TestRecordedEventsAreAsDescribed: the demo's events, which a real agent's run
// was made of, have the members that the description names.
func TestRecordedEventsAreAsDescribed(t *testing.T) {
	c := newContract(t)
	f, err := os.Open("../cmd/konlog/testdata/demo.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{})
	for line := range bytes.Lines(b) {
		wantStatus(t, r.post("/v1/sessions/demo/events", `{"type":"agent","raw":`+strconv.Quote("x")+`,"data":`+string(bytes.TrimSpace(line))+`}`), 201)
	}
	for _, d := range chatFlow {
		r.appendDrafts("flow", d)
	}
	n := 0
	for _, session := range []string{"demo", "flow"} {
		for _, e := range r.events(session) {
			c.event(e.JSON())
			n++
		}
	}
	if n < len(chatFlow)+10 {
		t.Errorf("only %d events were read", n)
	}
}

// TestContractCatchesPlantedFaults: a member that is not described, one that
// is missing and one of another type are found.
func TestContractCatchesPlantedFaults(t *testing.T) {
	c := newContract(t)
	const frames, schemas = "/components/schemas/frames/properties/", "/components/schemas/"
	for _, f := range []struct{ place, value, want string }{
		{frames + "gap", `{"type":"gap","session":"s","from":1,"to":2,"reason":"redacted"}`, ""},
		{frames + "gap", `{"type":"gap","session":"s","from":1,"to":2,"reason":"lost"}`, "reason"},
		{frames + "gap", `{"type":"gap","session":"s","from":1,"reason":"redacted"}`, "to"},
		{frames + "gap", `{"type":"gap","session":"s","from":1,"to":2,"reason":"redacted","more":1}`, "more"},
		{frames + "bye", `{"type":"bye","reason":"until","reconnectMs":0,"more":1}`, "more"},
		{frames + "caught_up", `{"type":"caught_up","session":"s","id":-1}`, "id"},
		{schemas + "event", `{"id":1,"session":"s","type":"x","time":"yesterday","data":1}`, "time"},
		{schemas + "eventData/properties/turn_end", `{"success":"yes"}`, "success"},
		{schemas + "feedData", `{"id":1}`, "session"},
	} {
		err := c.check(f.place, []byte(f.value))
		if f.want == "" && err != nil || f.want != "" && (err == nil || !strings.Contains(err.Error(), "'"+f.want+"'") && !strings.Contains(err.Error(), "/"+f.want)) {
			t.Errorf("%s: %v, want %q", f.value, err, f.want)
		}
	}
}
