package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

func session(t *testing.T, a answer) store.SessionObject {
	t.Helper()
	var s store.SessionObject
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return s
}

func (r *rig) send(method, path, body string) answer {
	r.t.Helper()
	return r.do(method, path, strings.NewReader(body))
}

func TestSessionLife(t *testing.T) {
	r := newRig(t, Config{})
	a := r.post("/v1/sessions", `{"id":"s1","title":"T <b>","scope":"a/b","tags":["x"],"meta":{"n":1.0}}`)
	wantStatus(t, a, 201)
	s := session(t, a)
	if s.ID != "s1" || s.Title != "T <b>" || s.Scope != "a/b" || s.Tags[0] != "x" || string(s.Meta) != `{"n":1.0}` || s.State != "idle" || s.Head != 0 || s.Floor != 1 {
		t.Errorf("created %s", a.body)
	}
	if got := a.header.Get("Location"); got != "/v1/sessions/s1" {
		t.Errorf("Location %q", got)
	}
	wantCode(t, r.post("/v1/sessions", `{"id":"s1"}`), 409, store.CodeExists)
	wantStatus(t, r.send("PUT", "/v1/sessions/s1", `{"title":"other"}`), 200)
	wantStatus(t, r.send("PUT", "/v1/sessions/s2", ``), 201)

	a = r.send("PATCH", "/v1/sessions/s1", `{"title":"U","meta":null}`)
	wantStatus(t, a, 200)
	if s := session(t, a); s.Title != "U" || s.Scope != "a/b" || string(s.Meta) != "{}" {
		t.Errorf("patched %s", a.body)
	}
	if got := session(t, r.get("/v1/sessions/s1")); got.Title != "U" {
		t.Errorf("got %+v", got)
	}
	wantStatus(t, r.do("DELETE", "/v1/sessions/s1", nil), 204)
	wantCode(t, r.do("DELETE", "/v1/sessions/s1", nil), 404, store.CodeNotFound)
	wantCode(t, r.get("/v1/sessions/s1"), 404, store.CodeNotFound)
	wantCode(t, r.send("PATCH", "/v1/sessions/s1", `{}`), 404, store.CodeNotFound)

	made := session(t, r.post("/v1/sessions", ""))
	if id, err := uuid.Parse(made.ID); err != nil || id.Version() != 7 {
		t.Errorf("id %q is no UUIDv7: %v", made.ID, err)
	}
}

func TestSessionRefusals(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	cases := []struct {
		method, path, body string
		status             int
		code               store.Code
	}{
		{"POST", "/v1/sessions", `{"id":"-"}`, 400, store.CodeInvalidSession},
		{"POST", "/v1/sessions", `{"id":"_own"}`, 400, store.CodeInvalidSession},
		{"POST", "/v1/sessions", `{"id":7}`, 400, codeInvalidSessionBody},
		{"POST", "/v1/sessions", `{"titel":"x"}`, 400, codeInvalidSessionBody},
		{"POST", "/v1/sessions", `{`, 400, store.CodeInvalidJSON},
		{"POST", "/v1/sessions", "{\"title\":\"\xff\"}", 400, store.CodeInvalidUTF8},
		{"POST", "/v1/sessions", `[]`, 400, store.CodeInvalidJSON},
		{"POST", "/v1/sessions", `{"title":"` + strings.Repeat("x", 70_000) + `"}`, 413, codeRequestTooLarge},
		{"PUT", "/v1/sessions/s2", `{"id":"s2"}`, 400, codeInvalidSessionBody},
		{"PUT", "/v1/sessions/s2", `{"title":"` + strings.Repeat("x", 600) + `"}`, 400, codeInvalidSessionBody},
		{"PUT", "/v1/sessions/s2", `{"tags":"x"}`, 400, codeInvalidSessionBody},
		{"PUT", "/v1/sessions/s2", `{"meta":[]}`, 400, codeInvalidSessionBody},
		{"PATCH", "/v1/sessions/s1", `{"tags":[""]}`, 400, codeInvalidSessionBody},
		{"DELETE", "/v1/sessions/_feed", ``, 400, store.CodeInvalidSession},
		{"GET", "/v1/sessions?state=busy", ``, 400, store.CodeInvalidQuery},
		{"GET", "/v1/sessions?limit=0", ``, 400, store.CodeInvalidQuery},
		{"GET", "/v1/sessions?limit=1001", ``, 400, store.CodeInvalidQuery},
		{"GET", "/v1/sessions?tagg=x", ``, 400, store.CodeInvalidQuery},
		{"GET", "/v1/sessions?tag=x&tag=y", ``, 400, store.CodeInvalidQuery},
		{"GET", "/v1/sessions?cursor=nonsense", ``, 400, store.CodeInvalidQuery},
	}
	for _, c := range cases {
		t.Run(c.method+c.path[3:], func(t *testing.T) { wantCode(t, r.send(c.method, c.path, c.body), c.status, c.code) })
	}
	if r.head("s2") != -1 {
		t.Error("a refused PUT made the session")
	}
}

func TestSessionList(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 5 {
		wantStatus(t, r.post("/v1/sessions", fmt.Sprintf(`{"id":"s%d","tags":["t%d"]}`, i, i%2)), 201)
	}
	var got []string
	for next := ""; ; {
		var page sessionPage
		a := r.get("/v1/sessions?limit=2&cursor=" + next)
		wantStatus(t, a, http.StatusOK)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			got = append(got, s.ID)
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[s4 s3 s2 s1 s0]" {
		t.Errorf("paged through %v", got)
	}
	if a := r.get("/v1/sessions?tag=t1"); strings.Count(a.body, `"id"`) != 2 {
		t.Errorf("by tag: %s", a.body)
	}
	if a := r.get("/v1/sessions?q=S3"); strings.Count(a.body, `"id"`) != 1 {
		t.Errorf("by text: %s", a.body)
	}
	if a := newRig(t, Config{}).get("/v1/sessions"); a.body != "{\"sessions\":[]}\n" {
		t.Errorf("of nothing: %s", a.body)
	}
}

// TestImport: what an export gave goes back in, byte for byte.
func TestImport(t *testing.T) {
	r := newRig(t, Config{})
	for _, body := range []string{
		`{"type":"text","turn":"r 1","parent":"p<>","data":{"n":1.0, "s":"\u0041<&>"},"raw":"agent's own \"line\""}`,
		`{"type":"a","raw":{"x":1.0}}`,
		`{"type":"b","data":[1,2]}`,
	} {
		wantStatus(t, r.post(eventsPath, body), 201)
	}
	var lines strings.Builder
	events := r.events("s1")
	for i := range events {
		lines.Write(events[i].AppendJSON(nil, true))
		lines.WriteByte('\n')
	}
	a := r.lines("/v1/sessions/s2/import", lines.String())
	wantStatus(t, a, 201)
	if want := `{"session":"s2","first":1,"last":3,"duplicate":false,"count":3,"duplicates":0}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	for i, e := range r.events("s2") {
		want := strings.Replace(string(events[i].AppendJSON(nil, true)), `"session":"s1"`, `"session":"s2"`, 1)
		if got := string(e.AppendJSON(nil, true)); got != want {
			t.Errorf("restored %s\nwant     %s", got, want)
		}
	}
	p := wantCode(t, r.lines("/v1/sessions/s2/import", lines.String()), 409, store.CodeRestoreGap)
	if p.Head == nil || *p.Head != 3 || p.Line != 1 {
		t.Errorf("head %v, line %d; want 3 and 1", p.Head, p.Line)
	}
	wantStatus(t, r.lines("/v1/sessions/s3/import", ""), 200)
	wantCode(t, r.lines("/v1/sessions/s3/import?create=0", lines.String()), 404, store.CodeNotFound)
	wantCode(t, r.post("/v1/sessions/s3/import", lines.String()), 415, codeUnsupportedMedia)
}

func TestImportBadLine(t *testing.T) {
	good := `{"id":7,"session":"x","type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`
	cases := map[string]string{
		"NoID":          `{"type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`,
		"ZeroID":        `{"id":0,"type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`,
		"FractionID":    `{"id":8.5,"type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`,
		"NoTime":        `{"id":8,"type":"a","data":1}`,
		"BadTime":       `{"id":8,"type":"a","time":"yesterday","data":1}`,
		"NoData":        `{"id":8,"type":"a","time":"2026-11-20T17:24:01.123Z"}`,
		"BadType":       `{"id":8,"type":"A","time":"2026-11-20T17:24:01.123Z","data":1}`,
		"UnknownMember": `{"id":8,"type":"a","time":"2026-11-20T17:24:01.123Z","data":1,"key":"k"}`,
		"BadSession":    `{"id":8,"session":"-","type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`,
		"NoJSON":        `{"id":8,`,
		"Hole":          `{"id":9,"type":"a","time":"2026-11-20T17:24:01.123Z","data":1}`,
	}
	for name, bad := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			a := r.lines("/v1/sessions/s1/import", good+"\n"+bad+"\n")
			if p := a.problem(t); a.status < 400 || a.status > 499 || p.Line != 2 || *p.Stored != (stored{7, 7, 1}) {
				t.Errorf("answer %s", a.body)
			}
			if r.head("s1") != 7 {
				t.Errorf("head is %d, want 7", r.head("s1"))
			}
		})
	}
}
