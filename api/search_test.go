package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

func TestSearch(t *testing.T) {
	r := newRig(t, Config{})
	for _, text := range []string{"the login page", "a <b>Login</b> form", "北京大学"} {
		wantStatus(t, r.post("/v1/sessions/s1/events", fmt.Sprintf(`{"type":"text","data":{"text":%q}}`, text)), 201)
	}
	wantStatus(t, r.post("/v1/sessions/s2/events", `{"type":"error","data":{"error":"no login"}}`), 201)
	a := r.get("/v1/search?q=login")
	wantStatus(t, a, 200)
	var page store.SearchPage
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Hits) != 3 || page.Hits[0].Session != "s2" || page.Hits[0].Kind != "error" || page.Hits[1].ID != 2 || page.Next != "" {
		t.Errorf("got %s", a.body)
	}
	e := r.events("s1")[1]
	// json escapes what is markup, so that it is none wherever it lands.
	want := fmt.Sprintf(`{"session":"s1","id":2,"kind":"text","snippet":[{"text":"a \u003cb\u003e"},{"text":"Login","hit":true},{"text":"\u003c/b\u003e form"}],"time":"%s"}`, store.AppendTime(nil, e.Time))
	if !strings.Contains(a.body, want) {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	seen := ""
	for path, pages := "/v1/search?limit=1&q=login", 0; pages < 5; pages++ {
		page = store.SearchPage{}
		if err := json.Unmarshal([]byte(r.get(path).body), &page); err != nil || len(page.Hits) != 1 {
			t.Fatalf("%s: %+v, %v", path, page, err)
		}
		seen += fmt.Sprint(page.Hits[0].Session, "/", page.Hits[0].ID, " ")
		if page.Next == "" {
			break
		}
		path = "/v1/search?limit=1&q=login&cursor=" + page.Next
	}
	if seen != "s2/1 s1/2 s1/1 " {
		t.Errorf("page by page: %s", seen)
	}
	for query, want := range map[string]int{"q=login&session=s2": 1, "q=login&kind=text": 2, "q=" + url.QueryEscape("京大"): 1, "q=login&since=2999-01-01T00:00:00Z": 0, "q=absent": 0} {
		page = store.SearchPage{}
		a := r.get("/v1/search?" + query)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Hits) != want || !strings.Contains(a.body, `"hits":[`) {
			t.Errorf("%s: %s, want %d hits", query, a.body, want)
		}
	}
	for _, query := range []string{"", "q=", "q=-a", "q=a&limit=0", "q=a&limit=101", "q=a&kind=x", "q=a&cursor=x", "q=a&since=now", "q=a&x=1", "q=%ff", "q=" + strings.Repeat("a", store.SearchQueryBytesMax+1)} {
		wantCode(t, r.get("/v1/search?"+query), 400, store.CodeInvalidQuery)
	}
	wantCode(t, r.get("/v1/search?q=a&session=absent"), 404, store.CodeNotFound)
	wantCode(t, r.get("/v1/search?q=a&session=%2f"), 400, store.CodeInvalidSession)
	for _, odd := range []string{`"`, `a"b`, "a*", "NEAR(a)", "a AND", "text:a", "(a"} {
		wantStatus(t, r.get("/v1/search?q="+url.QueryEscape("x "+odd)), 200)
	}
}
