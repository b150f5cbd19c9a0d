package api

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// fakeShells notes what was asked for.
type fakeShells struct{ asked []ShellSpec }

func (f *fakeShells) Open(_ context.Context, s ShellSpec) (string, error) {
	f.asked = append(f.asked, s)
	if s.Dir == "/nowhere" {
		return "", store.Errorf(store.CodeInvalidShell, "there is no directory /nowhere")
	}
	return s.Session, nil
}

func TestShells(t *testing.T) {
	f := &fakeShells{}
	r := newRig(t, Config{Shells: f})
	for _, c := range []struct {
		body   string
		status int
		want   string // of the answer
	}{
		{`{"session":"t1","command":["bash","-l"],"dir":"/tmp","cols":100,"rows":40}`, 201, `{"session":"t1"}`},
		{``, 201, `{"session":"shell-`},
		{`{}`, 201, `{"session":"shell-`},
		{`{"session":"_x"}`, 400, `"invalid_session"`},
		{`{"session":"a b"}`, 400, `"invalid_session"`},
		{`{"command":"bash"}`, 400, `array of strings`},
		{`{"cols":0}`, 400, `cols must be above 0`},
		{`{"rows":"many"}`, 400, `rows`},
		{`{"shell":"zsh"}`, 400, `unknown member`},
		{`{"session":"t2","dir":"/nowhere"}`, 400, `there is no directory`},
	} {
		if a := r.post("/v1/shells", c.body); a.status != c.status || !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
		}
	}
	if len(f.asked) != 4 {
		t.Fatalf("%d shells were asked for: %+v", len(f.asked), f.asked)
	}
	if s := f.asked[0]; s.Session != "t1" || len(s.Command) != 2 || s.Dir != "/tmp" || s.Cols != 100 || s.Rows != 40 || s.By != store.SubjectLocal {
		t.Errorf("asked for was %+v", s)
	}
	if f.asked[1].Session == f.asked[2].Session {
		t.Error("two new ones have one name")
	}
	off := newRig(t, Config{})
	if a := off.post("/v1/shells", `{}`); a.status != 404 || !strings.Contains(string(a.body), "shell_disabled") || !strings.Contains(string(a.body), "ENABLE_SHELL_REALTIME") {
		t.Errorf("switched off: %d %s", a.status, a.body)
	}
}

// A shell learns that the key that opened it is no good any more.
func TestShellOfARevokedKey(t *testing.T) {
	f := &fakeShells{}
	w := newWorld(t, Config{Shells: f})
	for _, who := range []string{"one", "other"} {
		w.keys.grants["t-"+who] = access.Grant{Subject: who, ID: "key:" + who, Read: store.AllSessions, Write: store.AllSessions, Shell: true}
		r := httptest.NewRequest("POST", "/v1/shells", nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", "Bearer t-"+who)
		a := httptest.NewRecorder()
		if w.api.Handler().ServeHTTP(a, r); a.Code != 201 {
			t.Fatalf("%s: %d %s", who, a.Code, a.Body)
		}
	}
	w.keys.revoke("key:one")
	if one, other := f.asked[0].Revoked(), f.asked[1].Revoked(); !one || other {
		t.Errorf("the revoked one's shell is told %t, the other's %t", one, other)
	}
}

// Whoever may write a session may not yet type into its terminal, by no way in.
func TestTypingNeedsTheRight(t *testing.T) {
	w := newWorld(t, Config{Shells: &fakeShells{}})
	w.keys.grants["t-typist"] = access.Grant{Subject: "typist", ID: "key:typist", Read: store.AllSessions, Write: store.AllSessions, Shell: true}
	send := func(token, path, contentType, body string) int {
		t.Helper()
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", contentType)
		a := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(a, r)
		return a.Code
	}
	typed := `{"type":"terminal_input","data":{"text":"x"}}`
	for name, c := range map[string]struct{ path, contentType, body string }{
		"one event":     {"/v1/sessions/mine-1/events", "application/json", typed},
		"among others":  {"/v1/sessions/mine-1/events", "application/json", `[{"type":"text","data":{"text":"x"}},` + typed + `]`},
		"a stream":      {"/v1/sessions/mine-1/events", "application/x-ndjson", typed + "\n"},
		"false output":  {"/v1/sessions/mine-1/events", "application/json", `{"type":"terminal_output","data":{"bytes":"Rk9SR0VE"}}`},
		"a false end":   {"/v1/sessions/mine-1/events", "application/json", `{"type":"terminal_exit","data":{"exitCode":0}}`},
		"another size":  {"/v1/sessions/mine-1/events", "application/json", `{"type":"terminal_resize","data":{"cols":1,"rows":1}}`},
		"a new shell":   {"/v1/shells", "application/json", `{"session":"mine-2"}`},
		"one of others": {"/v1/shells", "application/json", `{}`},
	} {
		if got := send(tokenOf("all"), c.path, c.contentType, c.body); got != 403 {
			t.Errorf("%s: %d for who may write", name, got)
		}
		if got := send("t-typist", c.path, c.contentType, c.body); got != 201 {
			t.Errorf("%s: %d for who may use shells", name, got)
		}
	}
	if got := send(tokenOf("shell"), "/v1/shells", "application/json", `{"session":"mine-2"}`); got != 404 {
		t.Errorf("a shell in a session that may not be written: %d", got)
	}
	if got := send(tokenOf("shell"), "/v1/shells", "application/json", `{}`); got != 403 {
		t.Errorf("a shell of no name for who may write nothing: %d", got)
	}
	imported := `{"id":1,"session":"mine-9","time":"2026-01-01T00:00:00Z","type":"terminal_input","data":{}}` + "\n"
	for token, want := range map[string]int{tokenOf("all"): 403, "t-typist": 201} {
		if got := send(token, "/v1/sessions/mine-9/import", "application/x-ndjson", imported); got != want {
			t.Errorf("an import of %s: %d", token, got)
		}
	}
	s := dialAs(t, w.serve(), "/v1/ws", "all")
	s.say(`{"type":"append","session":"mine-1","ref":"1","events":[` + typed + `]}`)
	if h := s.answer("1"); h.Type != "error" || h.Code != "forbidden" {
		t.Errorf("a frame: %+v", h)
	}
}
