package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// TestSubjectOfARequest guards that what was written for one subject is not
// taken for another's, whichever credential it comes with.
func TestSubjectOfARequest(t *testing.T) {
	w := newWorld(t, Config{})
	prompts := 0
	send := func(auth func(*world, *http.Request), subjects ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest("POST", "/v1/sessions/mine-1/prompts", strings.NewReader(`{"text":"go on"}`))
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:9"
		r.Header.Set("Content-Type", "application/json")
		for _, s := range subjects {
			r.Header.Add(subjectHeader, s)
		}
		auth(w, r)
		a := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(a, r)
		if a.Code < 300 {
			prompts++
		}
		return a
	}
	cookie := cookied("all", "same-origin", "")
	for _, auth := range []func(*world, *http.Request){bearer("all"), cookie} {
		for _, own := range [][]string{nil, {"all"}, {"%61ll"}} {
			if a := send(auth, own...); a.Code != http.StatusCreated {
				t.Errorf("for %q: %d %s", own, a.Code, a.Body)
			}
		}
		for _, other := range [][]string{{""}, {"al"}, {"alll"}, {"local"}, {"all", "all"}, {"all", "other"}, {"%"}} {
			if a := send(auth, other...); a.Code != http.StatusForbidden || !strings.Contains(a.Body.String(), `"code":"`+string(access.CodeForbidden)+`"`) {
				t.Errorf("for %q: %d %s", other, a.Code, a.Body)
			}
		}
	}
	page, err := w.log.Read(t.Context(), "mine-1", store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, e := range page.Events {
		if strings.Contains(string(e.Data), "go on") {
			got++
		}
	}
	if got != prompts || got != 6 {
		t.Errorf("%d prompts were taken and %d are in the log, want 6 of each", prompts, got)
	}
}

// TestSubjectWithoutCredentials guards that everybody is local where nobody is
// asked, so that what is kept for somebody is not taken there.
func TestSubjectWithoutCredentials(t *testing.T) {
	for subject, want := range map[string]bool{store.SubjectLocal: true, "anna": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(subjectHeader, subject)
		if got := meant(r, &access.Local) == nil; got != want {
			t.Errorf("for %s: %v, want %v", subject, got, want)
		}
	}
}
