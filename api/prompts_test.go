package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

func commanded(t *testing.T, a answer) commandAnswer {
	t.Helper()
	var c commandAnswer
	if err := json.Unmarshal([]byte(a.body), &c); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return c
}

// viaFrame sends a command as a WebSocket client does, past the socket.
func (r *rig) viaFrame(home, frame string) (commandAnswer, error) {
	var head struct{ Type string }
	if err := json.Unmarshal([]byte(frame), &head); err != nil {
		r.t.Fatal(err)
	}
	a, err := commands{r.api}.Begin(context.Background(), home, head.Type, []byte(frame))()
	if err != nil {
		return commandAnswer{}, err
	}
	var c commandAnswer
	return c, json.Unmarshal(a.(json.RawMessage), &c)
}

func TestPromptIsDurableAndNamesItsTurn(t *testing.T) {
	r := newRig(t, Config{})
	a := r.post("/v1/sessions/s1/prompts", `{"text":"hi <b>","images":[{"sha256":"x"}],"source":"inject","key":"k1"}`)
	wantStatus(t, a, 201)
	c := commanded(t, a)
	e := r.events("s1")[0]
	if c.ID != 1 || c.Session != "s1" || c.Duplicate || c.Turn == "" || e.Turn != c.Turn || string(e.Data) != `{"text":"hi <b>","images":[{"sha256":"x"}],"source":"inject"}` {
		t.Errorf("answer %+v, event %s", c, e.JSON())
	}
	a = r.post("/v1/sessions/s1/prompts", `{"text":"hi <b>","images":[{"sha256":"x"}],"source":"inject","key":"k1"}`)
	wantStatus(t, a, 200)
	if again := commanded(t, a); !again.Duplicate || again.ID != 1 || again.Turn != c.Turn {
		t.Errorf("retry: %+v, want the first's turn", again)
	}
	wantCode(t, r.post("/v1/sessions/s1/prompts", `{"text":"other","key":"k1"}`), 409, store.CodeKeyConflict)
	if c := commanded(t, r.post("/v1/sessions/s1/prompts", `{"prompt":"second","requestId":"r-2"}`)); c.Turn != "r-2" {
		t.Errorf("turn %q, want the requestId", c.Turn)
	}
	if s := session(t, r.get("/v1/sessions/s1")); s.Queued != 2 {
		t.Errorf("queued %d, want 2", s.Queued)
	}
	for body, code := range map[string]store.Code{
		`{}`: store.CodeInvalidEvent, `{"text":1}`: store.CodeInvalidEvent, `{"text":"a","prompt":"b"}`: store.CodeInvalidEvent,
		`{"text":"a","source":"robot"}`: store.CodeInvalidEvent, `{"text":"a","images":{}}`: store.CodeInvalidEvent,
		`{"text":"a","txet":"b"}`: store.CodeInvalidEvent, `[`: store.CodeInvalidJSON, `{"text":"a","session":"s2"}`: store.CodeInvalidSession,
	} {
		if got := r.post("/v1/sessions/s1/prompts", body).problem(t); got.Code != code || got.Status != 400 {
			t.Errorf("%s: refused with %d %s, want %s", body, got.Status, got.Code, code)
		}
	}
	if r.head("s1") != 2 {
		t.Errorf("head %d, want 2: a refused prompt stores nothing", r.head("s1"))
	}
}

// The same functions stand behind REST and frames.
func TestCommandFrames(t *testing.T) {
	r := newRig(t, Config{})
	c, err := r.viaFrame("", `{"type":"send_prompt","ref":"1","session":"s1","prompt":"go","key":"k"}`)
	if err != nil || c.ID != 1 {
		t.Fatalf("send_prompt: %+v, %v", c, err)
	}
	if again, err := r.viaFrame("s1", `{"type":"send_prompt","prompt":"go","key":"k"}`); err != nil || !again.Duplicate || again.Turn != c.Turn {
		t.Errorf("retry on another connection, with its own session: %+v, %v", again, err)
	}
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"turn_start","turn":"`+c.Turn+`"}`), 201)
	if c, err := r.viaFrame("s1", `{"type":"cancel"}`); err != nil || c.ID != 3 {
		t.Errorf("cancel: %+v, %v", c, err)
	}
	if e := r.events("s1")[2]; e.Type != "stop_turn" || e.Turn != c.Turn {
		t.Errorf("cancel appended %s", e.JSON())
	}
	if _, err := r.viaFrame("", `{"type":"send_prompt","prompt":"go"}`); store.CodeOf(err) != codeSessionRequired {
		t.Errorf("no session: %v", err)
	}
	if _, err := r.viaFrame("", `{"type":"launch"}`); store.CodeOf(err) != codeUnknownCommand {
		t.Errorf("unknown command: %v", err)
	}
	if c, err := r.viaFrame("s1", `{"type":"seen","id":2}`); err != nil || c.ID != 2 {
		t.Errorf("seen: %+v, %v", c, err)
	}
}

// A key answers a stop again after its turn is over; it never lets a stop of
// nothing in.
func TestStopWithKey(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"turn_start","turn":"t1"}`), 201)
	wantStatus(t, r.post("/v1/sessions/s1/stop", `{"requestId":"t1","key":"k1"}`), 201)
	wantStatus(t, r.post("/v1/sessions/s1/prompts", `{"text":"a","requestId":"t2"}`), 201)
	wantStatus(t, r.post("/v1/sessions/s1/stop", `{"requestId":"t2","key":"k2"}`), 201)
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"turn_end","turn":"t1"}`), 201)
	head := r.head("s1")
	for body, id := range map[string]int64{`{"requestId":"t1","key":"k1"}`: 2, `{"requestId":"t2","key":"k2"}`: 4} {
		a := r.post("/v1/sessions/s1/stop", body)
		wantStatus(t, a, 200)
		if c := commanded(t, a); c.ID != id || !c.Duplicate {
			t.Errorf("%s again: %s", body, a.body)
		}
	}
	for _, body := range []string{`{"requestId":"t1","key":"k3"}`, `{"requestId":"never","key":"k4"}`, `{"requestId":"t2","key":"k1"}`} {
		wantCode(t, r.post("/v1/sessions/s1/stop", body), 409, store.CodeNoTurn)
	}
	if r.head("s1") != head {
		t.Errorf("head %d, want %d", r.head("s1"), head)
	}
}

func TestStop(t *testing.T) {
	r := newRig(t, Config{})
	wantCode(t, r.post("/v1/sessions/s1/stop", ``), 404, store.CodeNotFound)
	wantStatus(t, r.post("/v1/sessions/s1/prompts", `{"text":"a","requestId":"t1"}`), 201)
	wantCode(t, r.post("/v1/sessions/s1/stop", `{}`), 409, store.CodeNoTurn)
	wantCode(t, r.post("/v1/sessions/s1/stop", `{"requestId":"t9"}`), 409, store.CodeNoTurn)
	wantStatus(t, r.post("/v1/sessions/s1/stop", `{"requestId":"t1","reason":"never mind"}`), 201)
	events := r.events("s1")
	if len(events) != 3 || events[2].Type != "turn_end" || string(events[1].Data) != `{"requestId":"t1","reason":"never mind"}` {
		t.Errorf("a waiting turn that is stopped ends: got %d events, the second %s", len(events), events[1].JSON())
	}
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"turn_start","turn":"t2"}`), 201)
	wantStatus(t, r.post("/v1/sessions/s1/stop", ``), 201)
	if e := r.events("s1")[4]; e.Type != "stop_turn" || e.Turn != "t2" {
		t.Errorf("stop appended %s", e.JSON())
	}
	if s := session(t, r.get("/v1/sessions/s1")); s.Turn != "t2" {
		t.Error("a stop is a command to whoever runs the turn; it does not end it")
	}
}

func TestFirstAnswerWins(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post("/v1/sessions/s1/events", `[{"type":"turn_start","turn":"t1"},{"type":"permission_request","turn":"t1","parent":"toolu_1","data":{"requestId":"q1","tool":"Bash"}}]`), 201)
	wantCode(t, r.post("/v1/sessions/s1/answers", `{"requestId":"q9","allow":true}`), 404, store.CodeNoQuestion)
	wantCode(t, r.post("/v1/sessions/s1/answers", `{"requestId":"q1"}`), 400, store.CodeInvalidEvent)
	var mu sync.Mutex
	var all sync.WaitGroup
	won, same := 0, map[string]bool{}
	for i := range 12 {
		all.Go(func() {
			a := r.post("/v1/sessions/s1/answers", fmt.Sprintf(`{"requestId":"q1","allow":%t,"by":"<device> %d" }`, i%2 == 0, i))
			mu.Lock()
			defer mu.Unlock()
			var c commandAnswer
			if err := json.Unmarshal([]byte(a.body), &c); err != nil || c.ID != 3 {
				t.Errorf("answer %d: %s", i, a.body)
			}
			if a.status == 201 {
				won++
				return
			}
			_, event, _ := strings.Cut(a.body, `"event":`)
			same[strings.TrimSuffix(strings.TrimSpace(event), "}")] = true
		})
	}
	all.Wait()
	events := r.events("s1")
	if won != 1 || len(same) != 1 || len(events) != 3 || !same[string(events[2].JSON())] {
		t.Errorf("%d answers won, the others were told of %v, the log has %d events", won, same, len(events))
	}
	if e := events[2]; e.Turn != "t1" || e.Parent != "toolu_1" {
		t.Errorf("the answer belongs to its question's turn and tool: %s", e.JSON())
	}
}

// seedRecord is a kontask as the dashboards that konlog stems from have it.
const seedRecord = `{"id":"33b0","type":"general","status":"completed","title":"Architecture","description":"Why","context":{"output":"<div>x</div>",` +
	`"choices":[{"label":"Plan it","value":"Write the plan","primary":true},{"label":"Later","value":"Defer it"}],"requestedAt":"2026-01-03T18:42:00.000Z","requestId":"r1"},` +
	`"createdBy":"claude","createdAt":"2026-01-03T08:42:14.263Z","updatedAt":"2026-01-03T08:42:14.417Z","requestId":"r1","scope":"vibetools","tags":["console"],"targetUser":"claude"}`

func TestKontask(t *testing.T) {
	r := newRig(t, Config{})
	wantCode(t, r.send("PUT", "/v1/kontasks/33b0", seedRecord), 400, codeSessionRequired)
	body := strings.Replace(seedRecord, `{"id"`, `{"session":"s1","id"`, 1)
	wantStatus(t, r.post("/v1/sessions/s1/events", `[{"type":"turn_start","turn":"r1"},{"type":"turn_end","turn":"r1","data":{"success":true}}]`), 201)
	a := r.send("PUT", "/v1/kontasks/33b0", body)
	wantStatus(t, a, 201)
	e := r.events("s1")[2]
	if e.Type != "kontask_ready" || e.Turn != "r1" || string(e.Data) != body {
		t.Errorf("appended %s, want the record as it was sent, after its turn has ended", e.JSON())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got["title"] != "Architecture" || got["session"] != "s1" {
		t.Errorf("got %s, %v", a.body, err)
	}
	if got["createdAt"] == "2026-01-03T08:42:14.263Z" {
		t.Error("createdAt is the client's, want the server's")
	}
	wantStatus(t, r.send("PUT", "/v1/kontasks/33b0", body), 200)
	if r.head("s1") != 3 {
		t.Error("the same record again appended an event")
	}
	wantStatus(t, r.send("PUT", "/v1/kontasks/33b0", `{"context":{"output":"x","choices":[{"label":"Plan it","value":"Write the plan"}]},"turnTiming":{"totalMs":1}}`), 200)
	if e := r.events("s1")[3]; e.Type != "kontask_updated" || !strings.HasPrefix(string(e.Data), `{"id":"33b0",`) {
		t.Errorf("update appended %s", e.JSON())
	}
	if a := r.get("/v1/kontasks/33b0"); !strings.Contains(a.body, `"title":"Architecture"`) || !strings.Contains(a.body, `"turnTiming":{"totalMs":1}`) {
		t.Errorf("got %s, want both records as one", a.body)
	}
	wantCode(t, r.send("PUT", "/v1/kontasks/33b0", `{"id":"other"}`), 400, store.CodeInvalidEvent)
	wantCode(t, r.send("PUT", "/v1/kontasks/33b0", `{"session":"s2"}`), 409, store.CodeKontaskMoved)
	wantCode(t, r.get("/v1/kontasks/none"), 404, store.CodeNoKontask)
	wantStatus(t, r.send("PUT", "/v1/kontasks/k2", `{"session":"s1","status":"running"}`), 201)
	wantStatus(t, r.send("PUT", "/v1/kontasks/k2", `{"status":"completed"}`), 201)
	if n := len(r.events("s1")); r.events("s1")[n-2].Type != "kontask_created" || r.events("s1")[n-1].Type != "kontask_ready" {
		t.Error("a kontask that is made and then finished is created, then ready")
	}
	wantStatus(t, r.send("PUT", "/v1/kontasks/k3", `{"session":"s3"}`), 201)
	wantStatus(t, r.send("PUT", "/v1/kontasks/k4?", "\n{ }\n"), 400)
}

func TestChooseOnce(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.send("PUT", "/v1/kontasks/33b0", strings.Replace(seedRecord, `{"id"`, `{"session":"s1","id"`, 1)), 201)
	wantCode(t, r.post("/v1/kontasks/33b0/choose", `{"choice":7}`), 404, store.CodeNoChoice)
	wantCode(t, r.post("/v1/kontasks/33b0/choose", `{}`), 400, store.CodeInvalidEvent)
	wantCode(t, r.post("/v1/kontasks/none/choose", `{"choice":0}`), 404, store.CodeNoKontask)
	var mu sync.Mutex
	var all sync.WaitGroup
	turns, won := map[string]bool{}, 0
	for i, choice := range []string{`0`, `"Plan it"`, `"Defer it"`, `1`, `"Write the plan"`, `"Later"`} {
		all.Go(func() {
			var c commandAnswer
			var created bool
			if i%2 == 0 {
				a := r.post("/v1/kontasks/33b0/choose", `{"choice":`+choice+`}`)
				if err := json.Unmarshal([]byte(a.body), &c); err != nil {
					t.Errorf("%s", a.body)
				}
				created = a.status == 201
			} else {
				var err error
				if c, err = r.viaFrame("", `{"type":"choose","kontaskId":"33b0","choice":`+choice+`}`); err != nil {
					t.Error(err)
				}
				created = !c.Duplicate
			}
			mu.Lock()
			defer mu.Unlock()
			turns[c.Turn] = true
			if created {
				won++
			}
		})
	}
	all.Wait()
	events := r.events("s1")
	if won != 1 || len(turns) != 1 || len(events) != 3 || events[1].Type != "kontask_chosen" || events[2].Type != "prompt" || !turns[events[2].Turn] {
		t.Fatalf("%d choices won, turns %v, the log has %d events", won, turns, len(events))
	}
	if e := events[2]; e.Text("source") != "kontask" || e.Text("kontaskId") != "33b0" || e.Text("text") != events[1].Text("value") {
		t.Errorf("the prompt is %s", e.JSON())
	}
}

func TestKontaskList(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 3 {
		wantStatus(t, r.send("PUT", fmt.Sprintf("/v1/kontasks/k%d", i), fmt.Sprintf(`{"session":"s1","status":"completed","tags":["t%d"],"requestId":"r"}`, i)), 201)
	}
	for query, want := range map[string]int{"": 3, "?tag=t1": 1, "?requestId=r&limit=2": 2, "?open=1": 3, "?status=running": 0, "?session=s1": 3} {
		var page struct{ Kontasks []json.RawMessage }
		a := r.get("/v1/kontasks" + query)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Kontasks) != want || page.Kontasks == nil {
			t.Errorf("%s: %s, want %d", query, a.body, want)
		}
	}
	wantCode(t, r.get("/v1/kontasks?open=x"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/kontasks?cursor=x"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/kontasks?color=red"), 400, store.CodeInvalidQuery)
}

func TestTurns(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post("/v1/sessions/s1/events", `[{"type":"prompt","turn":"t 1","data":{"text":"hi"}},{"type":"turn_start","turn":"t 1","data":{"leaseMs":60000}},
		{"type":"tool_start","turn":"t 1","data":{"id":"a","name":"Read"}},{"type":"text","turn":"t 1","data":{"text":"half"}}]`), 201)
	var turn store.TurnObject
	a := r.get("/v1/sessions/s1/turns/t%201")
	if err := json.Unmarshal([]byte(a.body), &turn); err != nil || turn.State != store.TurnOpen || turn.Prompt != "hi" || turn.Text != "half" || turn.ToolCalls != 1 || turn.First != 1 {
		t.Errorf("open turn %s, %v", a.body, err)
	}
	var until touched
	a = r.post("/v1/sessions/s1/turns/t%201/touch", "")
	if err := json.Unmarshal([]byte(a.body), &until); err != nil || until.Deadline == "" {
		t.Errorf("touch: %s", a.body)
	}
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"turn_end","data":{"requestId":"t 1","success":true}}`), 201)
	wantCode(t, r.post("/v1/sessions/s1/turns/t%201/touch", ""), 409, store.CodeTurnEnded)
	wantCode(t, r.get("/v1/sessions/s1/turns/none"), 404, store.CodeTurnNotFound)
	for query, want := range map[string]int{
		"/v1/turns": 1, "/v1/sessions/s1/turns?state=ended&tool=Read": 1, "/v1/turns?session=s1&tool=Bash": 0,
		"/v1/turns?until=2020-01-01T00:00:00Z": 0, "/v1/turns?since=2020-01-01T00:00:00Z": 1,
	} {
		var page turnPage
		a := r.get(query)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Turns) != want || page.Turns == nil {
			t.Errorf("%s: %s, want %d", query, a.body, want)
		}
	}
	wantCode(t, r.get("/v1/sessions/none/turns"), 404, store.CodeNotFound)
	wantCode(t, r.get("/v1/turns?state=odd"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/turns?since=monday"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/sessions/s1/turns?session=s2"), 400, store.CodeInvalidQuery)
}

func TestInbox(t *testing.T) {
	r := newRig(t, Config{})
	inbox := func() map[string]store.InboxObject {
		t.Helper()
		var page inboxPage
		a := r.get("/v1/inbox")
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		items := map[string]store.InboxObject{}
		for _, item := range page.Items {
			items[item.Session.ID] = item
		}
		return items
	}
	if len(inbox()) != 0 {
		t.Error("the inbox is not empty at first")
	}
	wantStatus(t, r.post("/v1/sessions/ok/events", `[{"type":"turn_start","turn":"t"},{"type":"turn_end","turn":"t","data":{"success":true}}]`), 201)
	wantStatus(t, r.post("/v1/sessions/bad/events", `[{"type":"turn_start","turn":"t"},{"type":"turn_end","turn":"t","data":{"success":false}}]`), 201)
	wantStatus(t, r.post("/v1/sessions/asks/events", `{"type":"permission_request","data":{"requestId":"q","tool":"Bash"}}`), 201)
	wantStatus(t, r.send("PUT", "/v1/kontasks/k", `{"session":"card","title":"Card"}`), 201)
	items := inbox()
	for id, reason := range map[string]string{"ok": "finished", "bad": "failed", "asks": "waiting", "card": "kontask"} {
		if got := items[id].Reasons; len(got) != 1 || got[0] != reason {
			t.Errorf("%s is there for %v, want %s", id, got, reason)
		}
	}
	if items["card"].Kontasks[0].Title != "Card" || items["asks"].Questions[0].Tool != "Bash" || items["bad"].Ended == nil {
		t.Errorf("items %+v", items)
	}
	for _, id := range []string{"ok", "bad", "asks", "card"} {
		wantStatus(t, r.post("/v1/sessions/"+id+"/seen", `{"id":2}`), 200)
	}
	if items := inbox(); len(items) != 1 || items["asks"].Seen != 1 {
		t.Errorf("after all was seen: %+v, want only the question", items)
	}
	wantCode(t, r.post("/v1/sessions/none/seen", `{"id":2}`), 404, store.CodeNotFound)
	wantCode(t, r.post("/v1/sessions/ok/seen", `{"id":-2}`), 400, store.CodeInvalidEvent)
	wantCode(t, r.post("/v1/sessions/ok/seen", `{}`), 400, store.CodeInvalidEvent)
	feed := r.events(store.FeedSession)
	seen := 0
	for _, e := range feed {
		if e.Type == store.TypeSeen {
			seen++
		}
	}
	if seen != 4 {
		t.Errorf("the feed tells %d times that something was seen, want 4: the other device learns of it there", seen)
	}
}

// hello says what the session waits for, also to a reader that has read it all.
func TestHelloIsLevelSet(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post("/v1/sessions/s1/events", `[{"type":"prompt","turn":"t2","data":{"text":"next"}},{"type":"turn_start","turn":"t1"},
		{"type":"permission_request","turn":"t1","data":{"requestId":"q","tool":"Bash","input":{"command":"ls"}}},{"type":"task_start","data":{"taskId":"k","title":"build"}},
		{"type":"kontask_ready","data":{"id":"c","title":"Card","context":{"choices":[{"label":"a","value":"b"}]}}}]`), 201)
	hello := func() map[string]any {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return r.firstFrame(ctx, "/v1/sessions/s1/sse?after=5", "hello")
	}
	h := hello()
	status := h["status"].(map[string]any)
	if h["through"] != 5.0 || status["state"] != "waiting" || status["turn"] != "t1" || status["queued"] != 1.0 {
		t.Errorf("hello %v", h)
	}
	if q := h["questions"].([]any); len(q) != 1 || q[0].(map[string]any)["requestId"] != "q" || q[0].(map[string]any)["input"].(map[string]any)["command"] != "ls" {
		t.Errorf("questions %v", q)
	}
	if k := h["kontasks"].([]any); len(k) != 1 || k[0].(map[string]any)["title"] != "Card" || len(h["tasks"].([]any)) != 1 {
		t.Errorf("kontasks %v, tasks %v", k, h["tasks"])
	}
	wantStatus(t, r.post("/v1/sessions/s1/seen", `{"id":5}`), 200)
	if k := hello()["kontasks"].([]any); len(k) != 0 {
		t.Errorf("a seen kontask is still unseen: %v", k)
	}
}

// firstFrame reads an event stream up to the frame of that name.
func (r *rig) firstFrame(ctx context.Context, path, name string) map[string]any {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", r.http.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for found := false; lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && found {
			var frame map[string]any
			if err := json.Unmarshal([]byte(data), &frame); err != nil {
				r.t.Fatal(err)
			}
			return frame
		}
		found = found || lines.Text() == "event: "+name
	}
	r.t.Fatalf("%s ended without a %s frame: %v", path, name, lines.Err())
	return nil
}
