package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

func TestRedact(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `[{"type":"text","data":"a"},{"type":"text","data":"secret"},{"type":"text","data":"c"}]`), 201)
	base := strings.TrimSuffix(eventsPath, "/events")
	a := r.post(base+"/redact", `{"from":2,"reason":"a <key>"}`)
	wantStatus(t, a, 200)
	want := `{"session":"` + strings.TrimPrefix(base, "/v1/sessions/") + `","id":4,"events":1,"pending":false,"forks":[]}` + "\n"
	if a.body != want {
		t.Errorf("got %s, want %s", a.body, want)
	}
	if a = r.get(eventsPath + "?after=1"); !strings.Contains(a.body, `"gap":{"type":"gap"`) || !strings.Contains(a.body, `"from":2,"to":2,"reason":"redacted"`) || strings.Contains(a.body, "secret") {
		t.Errorf("read %s", a.body)
	}
	if events := r.events(strings.TrimPrefix(base, "/v1/sessions/")); events[3].Type != store.TypeRedacted || string(events[3].Data) != `{"from":2,"to":2,"reason":"a \u003ckey\u003e"}` {
		t.Errorf("told %s", events[3].JSON())
	}
	a = r.post(base+"/redact", `{"from":2,"to":2}`)
	wantStatus(t, a, 200)
	if strings.Contains(a.body, `"id"`) || !strings.Contains(a.body, `"events":0`) {
		t.Errorf("again: %s", a.body)
	}
	for _, test := range []struct {
		path, body string
		status     int
		code       store.Code
	}{
		{base + "/redact", `{}`, 400, codeInvalidSessionBody},
		{base + "/redact", `{"from":3,"to":2}`, 400, codeInvalidSessionBody},
		{base + "/redact", `{"from":1,"to":9}`, 400, codeInvalidSessionBody},
		{base + "/redact", `{"from":1,"to":2000}`, 413, store.CodeBatchTooLarge},
		{base + "/redact", `{"from":1,"too":2}`, 400, codeInvalidSessionBody},
		{base + "/redact", `{"from":"1"}`, 400, codeInvalidSessionBody},
		{base + "/redact", `{"from":1`, 400, store.CodeInvalidJSON},
		{base + "/redact?x=1", `{"from":1}`, 400, codeInvalidSessionBody},
		{"/v1/sessions/none/redact", `{"from":1}`, 404, store.CodeNotFound},
		{"/v1/sessions/_feed/redact", `{"from":1}`, 400, store.CodeInvalidSession},
	} {
		wantCode(t, r.post(test.path, test.body), test.status, test.code)
	}
}

func TestFork(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post("/v1/sessions", `{"id":"s","title":"T","tags":["x"]}`), 201)
	wantStatus(t, r.post("/v1/sessions/s/events", `[{"type":"turn_start","turn":"t"},{"type":"text","turn":"t","data":"a"},{"type":"turn_end","turn":"t"}]`), 201)
	a := r.post("/v1/sessions/s/fork", `{"after":2,"session":"f","title":"F"}`)
	wantStatus(t, a, 201)
	if got := a.header.Get("Location"); got != "/v1/sessions/f" {
		t.Errorf("Location %q", got)
	}
	var s store.SessionObject
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || s.ID != "f" || s.Head != 3 || s.Title != "F" || s.Tags[0] != "x" || s.Turn != "" || s.ForkedFrom == nil || *s.ForkedFrom != (store.Origin{Session: "s", After: 2}) {
		t.Errorf("got %s, %v", a.body, err)
	}
	if !strings.Contains(a.body, `"forkedFrom":{"session":"s","after":2}`) || strings.Contains(r.get("/v1/sessions/s").body, "forkedFrom") {
		t.Errorf("forkedFrom in %s", a.body)
	}
	a = r.post("/v1/sessions/s/fork", `{"after":0}`)
	wantStatus(t, a, 201)
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || len(s.ID) != 36 || s.Head != 0 || s.Title != "T" {
		t.Errorf("without an id: %s, %v", a.body, err)
	}
	for _, test := range []struct {
		path, body string
		status     int
		code       store.Code
	}{
		{"/v1/sessions/s/fork", `{"session":"g"}`, 400, codeInvalidSessionBody},
		{"/v1/sessions/s/fork", `{"after":9,"session":"g"}`, 400, codeInvalidSessionBody},
		{"/v1/sessions/s/fork", `{"after":1,"session":"f"}`, 409, store.CodeExists},
		{"/v1/sessions/s/fork", `{"after":1,"session":"_g"}`, 400, store.CodeInvalidSession},
		{"/v1/sessions/s/fork", `{"after":1,"name":"g"}`, 400, codeInvalidSessionBody},
		{"/v1/sessions/none/fork", `{"after":1,"session":"g"}`, 404, store.CodeNotFound},
		{"/v1/sessions/_feed/fork", `{"after":1,"session":"g"}`, 400, store.CodeInvalidSession},
	} {
		wantCode(t, r.post(test.path, test.body), test.status, test.code)
	}
}

func TestSeals(t *testing.T) {
	r := newRig(t, Config{})
	for _, turn := range []string{"a", "b", "c"} {
		wantStatus(t, r.post("/v1/sessions/s/events", `[{"type":"turn_start","turn":"`+turn+`"},{"type":"turn_end","turn":"`+turn+`"}]`), 201)
	}
	var page struct {
		Session, Epoch string
		Head, Next     int64
		Seals          []struct {
			First, Last    int64
			Hash, SealedAt string
		}
	}
	a := r.get("/v1/sessions/s/seals?limit=2")
	wantStatus(t, a, 200)
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || page.Session != "s" || page.Epoch == "" || page.Head != 6 || page.Next != 4 || len(page.Seals) != 2 {
		t.Fatalf("got %s, %v", a.body, err)
	}
	if s := page.Seals[1]; s.First != 3 || s.Last != 4 || len(s.Hash) != 64 || len(s.SealedAt) != len(store.TimeLayout) {
		t.Errorf("seal %+v", s)
	}
	page.Next = 0
	if a = r.get("/v1/sessions/s/seals?after=4"); json.Unmarshal([]byte(a.body), &page) != nil || page.Next != 0 || len(page.Seals) != 1 || page.Seals[0].Last != 6 {
		t.Errorf("last page %s", a.body)
	}
	wantCode(t, r.get("/v1/sessions/s/seals?after=-1"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/sessions/s/seals?limit=0"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/sessions/none/seals"), 404, store.CodeNotFound)
}
