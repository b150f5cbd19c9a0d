package api

import (
	"context"
	"strings"
	"testing"

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
