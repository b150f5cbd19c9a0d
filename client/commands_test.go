package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// lossy is a real server that does what it is asked and loses the answer to
// the next posts.
type lossy struct {
	*client.Client
	t     *testing.T
	loses atomic.Int64
	after func() // is run once after an answer was lost, or nil
}

func newLossy(t *testing.T) *lossy {
	hub := stream.NewHub()
	handler := api.New(memory.New(memory.Options{Committed: hub.Committed}), hub, api.Config{}).Handler()
	l := &lossy{t: t}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && l.loses.Add(-1) >= 0 {
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if after := l.after; after != nil {
				l.after = nil
				after()
			}
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	c, err := client.New(ts.URL, client.WithRetry(client.RetryLimits{WaitMin: time.Millisecond, WaitMax: time.Millisecond, Attempts: 4}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	l.Client = c
	return l
}

// lose makes the answers to the next posts get lost.
func (l *lossy) lose(n int64) { l.loses.Store(n) }

func (l *lossy) append(session, typ, turn, data string) {
	l.t.Helper()
	if _, err := l.Append(context.Background(), session, client.AppendOptions{}, store.Draft{Type: typ, Turn: turn, Data: []byte(data)}); err != nil {
		l.t.Fatal(err)
	}
}

// events returns type and data of the session's events.
func (l *lossy) events(session string) (all []string) {
	l.t.Helper()
	for e, err := range l.Export(context.Background(), session, 0) {
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, e.Type+" "+string(e.Data))
	}
	return all
}

func TestPromptIsAskedForOnceWhateverIsLost(t *testing.T) {
	l, ctx := newLossy(t), t.Context()
	l.lose(2)
	p, err := l.Prompt(ctx, "s1", client.PromptSpec{Text: "a < b & \u2028", Source: "inject", Images: []json.RawMessage{[]byte(`{"sha256":"x"}`)}})
	if err != nil || p.ID != 1 || p.Turn == "" || p.Duplicate || p.Session != "s1" {
		t.Errorf("prompt %+v, %v", p, err)
	}
	if got := l.events("s1"); len(got) != 1 || got[0] != "prompt {\"text\":\"a < b & \\u2028\",\"images\":[{\"sha256\":\"x\"}],\"source\":\"inject\"}" {
		t.Errorf("the log has %q", got)
	}
	for i, want := range []bool{false, true} {
		p, err := l.Prompt(ctx, "s1", client.PromptSpec{Text: "b", Turn: "t2", Key: "mine"})
		if err != nil || p.ID != 2 || p.Turn != "t2" || p.Duplicate != want || (p.Event != nil) != want {
			t.Errorf("%d: prompt with a key of one's own: %+v, %v", i, p, err)
		}
	}
	if _, err := l.Prompt(ctx, "s1", client.PromptSpec{Text: "a\xff"}); store.CodeOf(err) != store.CodeInvalidUTF8 {
		t.Errorf("invalid UTF-8: %v", err)
	}
	if _, err := l.Prompt(ctx, "s1", client.PromptSpec{Text: "x", Source: "robot"}); store.CodeOf(err) != store.CodeInvalidEvent || errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("refused prompt: %v", err)
	}
	l.lose(9)
	if _, err := l.Prompt(ctx, "s1", client.PromptSpec{Text: "x"}); !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("all answers lost: %v", err)
	}
}

func TestStopIsAboutTheTurnThatWasOpen(t *testing.T) {
	l, ctx := newLossy(t), t.Context()
	if _, err := l.Stop(ctx, "s1", client.StopSpec{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no session: %v", err)
	}
	l.append("s1", store.TypeTurnStart, "t1", `{}`)
	l.after = func() { // before the retry the turn has ended and another is open
		l.append("s1", store.TypeTurnEnd, "t1", `{"success":false,"reason":"stopped"}`)
		l.append("s1", store.TypeTurnStart, "t2", `{}`)
	}
	l.lose(1)
	done, err := l.Stop(ctx, "s1", client.StopSpec{Reason: "enough"})
	if err != nil || done.ID != 2 || done.Turn != "t1" || done.Duplicate {
		t.Errorf("stop %+v, %v", done, err)
	}
	if got := strings.Join(l.events("s1"), "\n"); strings.Count(got, "stop_turn") != 1 || !strings.Contains(got, `stop_turn {"requestId":"t1","reason":"enough"}`) {
		t.Errorf("the log has %s", got)
	}
	for _, turn := range []string{"t1", "never"} {
		if _, err := l.Stop(ctx, "s1", client.StopSpec{Turn: turn}); store.CodeOf(err) != store.CodeNoTurn {
			t.Errorf("stop of turn %s: %v", turn, err)
		}
	}
	l.append("s1", store.TypeTurnEnd, "t2", `{"success":true}`)
	if _, err := l.Stop(ctx, "s1", client.StopSpec{}); store.CodeOf(err) != store.CodeNoTurn {
		t.Errorf("nothing runs: %v", err)
	}
}

func TestAnswerTellsOursFromAnother(t *testing.T) {
	l, ctx := newLossy(t), t.Context()
	l.append("s1", store.TypeTurnStart, "t1", `{}`)
	for _, q := range []string{"q1", "q2"} {
		l.append("s1", store.TypePermissionRequest, "t1", `{"requestId":"`+q+`","tool":"Bash"}`)
	}
	l.lose(1)
	ours := client.AnswerSpec{RequestID: "q1", Allow: true, UpdatedInput: json.RawMessage(`{"command": "ls <x>"}`), By: "me"}
	if a, err := l.Answer(ctx, "s1", ours); err != nil || a.Duplicate || a.ID != 4 {
		t.Errorf("answer whose answer was lost: %+v, %v", a, err)
	}
	a, err := l.Answer(ctx, "s1", client.AnswerSpec{RequestID: "q1", Allow: false})
	if err != nil || !a.Duplicate || a.ID != 4 || a.Event == nil || a.Event.Turn != "t1" || string(a.Event.Field("allow")) != "true" {
		t.Errorf("second answer: %+v, %v", a, err)
	}
	if a, err := l.Answer(ctx, "s1", ours); err != nil || !a.Duplicate {
		t.Errorf("the same answer by another call: %+v, %v", a, err)
	}
	l.append("s1", store.TypePermissionResponse, "t1", `{"requestId":"q2","allow":false}`)
	l.lose(1)
	if a, err := l.Answer(ctx, "s1", client.AnswerSpec{RequestID: "q2", Allow: true}); err != nil || !a.Duplicate {
		t.Errorf("answered by another before, and an answer lost: %+v, %v", a, err)
	}
	if _, err := l.Answer(ctx, "s1", client.AnswerSpec{RequestID: "q9", Allow: true}); !errors.Is(err, store.ErrNoQuestion) {
		t.Errorf("no question: %v", err)
	}
}

func TestKontasks(t *testing.T) {
	l, ctx := newLossy(t), t.Context()
	if _, err := l.PutKontask(ctx, "k1", json.RawMessage(`{"status":"done"}`)); store.CodeOf(err) != "session_required" {
		t.Errorf("without a session: %v", err)
	}
	l.lose(1)
	record := json.RawMessage(`{"session":"s1","status":"done","title":"T","tags":["a"],"context":{"choices":[{"label":"Yes","value":"Do it"},{"label":"No","value":"Do not"}]}}`)
	k, err := l.PutKontask(ctx, "k1", record)
	if err != nil || k.ID != "k1" || k.Session != "s1" || k.Ready != 1 || k.Last != 1 || k.Chosen != 0 || k.Text("title") != "T" || k.CreatedAt.IsZero() {
		t.Errorf("put %+v, %v", k, err)
	}
	if k, err = l.PutKontask(ctx, "k1", json.RawMessage(`{"title":"U"}`)); err != nil || k.Text("title") != "U" || k.Text("status") != "done" || k.Last != 2 {
		t.Errorf("put again %+v, %v", k, err)
	}
	if _, err := l.PutKontask(ctx, "k2", json.RawMessage(`{"session":"s2","status":"running"}`)); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct {
		f    store.KontaskFilter
		want string
	}{
		"all": {store.KontaskFilter{}, "k2,k1"}, "open": {store.KontaskFilter{Open: true}, "k1"}, "session": {store.KontaskFilter{Session: "s2"}, "k2"},
		"status": {store.KontaskFilter{Status: "done"}, "k1"}, "tag": {store.KontaskFilter{Tag: "a"}, "k1"}, "limit": {store.KontaskFilter{Limit: 1}, "k2"},
	} {
		page, err := l.Kontasks(ctx, tc.f)
		var ids []string
		for _, k := range page.Kontasks {
			ids = append(ids, k.ID)
		}
		if err != nil || strings.Join(ids, ",") != tc.want || (page.Next != "") != (name == "limit") {
			t.Errorf("%s: %v next %q, want %s, %v", name, ids, page.Next, tc.want, err)
		}
	}
	if _, err := l.Choose(ctx, "k1", "Maybe"); store.CodeOf(err) != store.CodeNoChoice {
		t.Errorf("no such choice: %v", err)
	}
	l.lose(1)
	if c, err := l.ChooseAt(ctx, "k1", 0); err != nil || c.Duplicate || c.ID != 3 || c.Turn == "" {
		t.Errorf("chosen by place, the answer lost: %+v, %v", c, err)
	}
	if c, err := l.Choose(ctx, "k1", "No"); err != nil || !c.Duplicate || c.ID != 3 || c.Event == nil || c.Event.Text("label") != "Yes" {
		t.Errorf("chosen again: %+v, %v", c, err)
	}
	k, err = l.Kontask(ctx, "k1")
	if err != nil || k.Chosen != 3 || len(k.Choices()) != 2 || !strings.Contains(string(k.Choice), `"Do it"`) {
		t.Errorf("kontask %+v, %v", k, err)
	}
	if _, err := l.Kontask(ctx, "nobody"); !errors.Is(err, store.ErrNoKontask) {
		t.Errorf("no kontask: %v", err)
	}
}

func TestInboxAndMarks(t *testing.T) {
	l, ctx := newLossy(t), t.Context()
	l.append("a", store.TypeTurnStart, "t1", `{"leaseMs":60000}`)
	l.append("a", store.TypePermissionRequest, "t1", `{"requestId":"q1","tool":"Bash","input":{"command":"ls"}}`)
	l.append("b", store.TypeTurnStart, "t2", `{}`)
	l.append("b", store.TypeTurnEnd, "t2", `{"success":false,"reason":"error"}`)
	if s, err := l.Session(ctx, "a"); err != nil || s.State != store.StateWaiting || s.Questions != 1 || s.Notable != 2 {
		t.Errorf("session %+v, %v", s, err)
	}
	first, err := l.Inbox(ctx, "", 1)
	if err != nil || len(first.Items) != 1 || first.Next == "" || first.Items[0].Session.ID != "b" {
		t.Fatalf("first page %+v, %v", first, err)
	}
	if b := first.Items[0]; b.Reasons[0] != store.ReasonFailed || b.Ended == nil || b.Ended.Turn != "t2" || b.Ended.Time.IsZero() {
		t.Errorf("b waits for %+v", b)
	}
	second, err := l.Inbox(ctx, first.Next, 1)
	if err != nil || len(second.Items) != 1 || second.Items[0].Questions[0].RequestID != "q1" || second.Items[0].Questions[0].Tool != "Bash" {
		t.Fatalf("second page %+v, %v", second, err)
	}
	for _, id := range []int64{2, 1} {
		if mark, err := l.Seen(ctx, "b", id); err != nil || mark != 2 {
			t.Errorf("seen up to %d: mark %d, %v", id, mark, err)
		}
	}
	if left, err := l.Inbox(ctx, "", 0); err != nil || len(left.Items) != 1 || left.Items[0].Session.ID != "a" {
		t.Errorf("left %+v, %v", left, err)
	}
	l.append("a", store.TypeKontaskReady, "", `{"id":"k1","status":"done"}`)
	for i, want := range []string{"waiting,kontask", "waiting"} {
		id := int64(2 + i)
		if _, err := l.Seen(ctx, "a", id); err != nil {
			t.Error(err)
		}
		page, err := l.Inbox(ctx, "", 0)
		if err != nil || len(page.Items) != 1 || strings.Join(page.Items[0].Reasons, ",") != want || len(page.Items[0].Kontasks) != strings.Count(want, "kontask") {
			t.Errorf("seen up to %d: %+v, want %s, %v", id, page, want, err)
		}
	}
	if at, err := l.TouchTurn(ctx, "a", "t1"); err != nil || time.Until(at) < time.Second {
		t.Errorf("touched until %s, %v", at, err)
	}
	if _, err := l.TouchTurn(ctx, "b", "t2"); store.CodeOf(err) != store.CodeTurnEnded {
		t.Errorf("touch of a turn that has ended: %v", err)
	}
}
