package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// ask sends a request that the test makes itself.
func (w *world) ask(method, target, body string, header ...string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:9"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.api.Handler().ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

const jsonBody = "application/json"

// signIn returns the cookie as a browser would send it.
func (w *world) signIn(header ...string) (cookie *http.Cookie, a answer) {
	w.t.Helper()
	a = w.ask("POST", "/v1/login", `{"token":"`+tokenOf("both")+`"}`, append([]string{"Content-Type", jsonBody}, header...)...)
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		w.t.Fatalf("signing in gave %d %v %s", a.status, a.header, a.body)
	}
	w.secrets = append(w.secrets, cookies[0].Value)
	return cookies[0], a
}

func TestLogin(t *testing.T) {
	w := newWorld(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	cookie, a := w.signIn()
	if a.status != 200 || !strings.Contains(a.body, `"subject":"both"`) || cookie.Name != access.CookieName || !cookie.HttpOnly ||
		cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Secure || cookie.MaxAge <= 0 || cookie.Domain != "" {
		t.Errorf("got %d %s, cookie %+v", a.status, a.body, cookie)
	}
	secured, _ := w.signIn("X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https")
	if secured.Name != "__Host-"+access.CookieName || !secured.Secure {
		t.Errorf("behind a proxy with TLS: %+v", secured)
	}
	me := func(name, value string, header ...string) int {
		return w.ask("GET", "/v1/me", "", append([]string{"Cookie", name + "=" + value}, header...)...).status
	}
	if me(cookie.Name, cookie.Value) != 200 || me(secured.Name, secured.Value, "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1") != 200 {
		t.Error("the cookie is not taken")
	}
	if me(cookie.Name, cookie.Value, "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1") != 401 {
		t.Error("over TLS a cookie is taken that anybody on the way may have set")
	}
	if me(cookie.Name, cookie.Value[1:]) != 401 || me(cookie.Name, "") != 401 {
		t.Error("a cookie that was changed is taken")
	}
	for _, test := range []struct {
		body   string
		header []string
		status int
	}{
		{`{"token":"S3CRET-wrong"}`, []string{"Content-Type", jsonBody}, 401},
		{`{"token":"` + tokenOf("revoked") + `"}`, []string{"Content-Type", jsonBody}, 401},
		{`{}`, []string{"Content-Type", jsonBody}, 401},
		{`{"token":7}`, []string{"Content-Type", jsonBody}, 400},
		{`{"S3CRET-as-name":"x"}`, []string{"Content-Type", jsonBody}, 400},
		{`{"token":"S3CRET` + strings.Repeat("x", 5*access.TokenBytesMax) + `"}`, []string{"Content-Type", jsonBody}, 413},
		{`{"token":"` + tokenOf("both") + `"}`, []string{"Content-Type", jsonBody, "Sec-Fetch-Site", "same-site", "Origin", "http://localhost:5173"}, 403},
		{`{"token":"` + tokenOf("both") + `"}`, []string{"Content-Type", jsonBody, "Origin", "http://localhost:5173"}, 403},
	} {
		a := w.ask("POST", "/v1/login", test.body, test.header...)
		if a.status != test.status || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%.80s %v: got %d %s, want %d", test.body, test.header, a.status, a.body, test.status)
		}
		w.wantNoSecrets("the answer", a.body)
	}
	if a := w.ask("DELETE", "/v1/login", "", "Cookie", cookie.Name+"="+cookie.Value, "Sec-Fetch-Site", "cross-site", "Origin", "http://localhost:5173"); a.status != 403 {
		t.Errorf("another page signs somebody out: %d", a.status)
	}
	a = w.ask("DELETE", "/v1/login", "", "Cookie", cookie.Name+"="+cookie.Value)
	if a.status != 204 || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") || me(cookie.Name, cookie.Value) != 401 {
		t.Errorf("signing out: %d %v", a.status, a.header)
	}
	if a := w.ask("DELETE", "/v1/login", ""); a.status != 204 {
		t.Errorf("signing out twice: %d", a.status)
	}
	w.wantNoSecrets("log", w.text.String())
}

// TestNoCredentials: where none is asked for, what clients do to get one works,
// and is worth nothing.
func TestNoCredentials(t *testing.T) {
	r := newRig(t, Config{})
	a := r.get("/v1/me")
	if wantStatus(t, a, 200); !strings.Contains(a.body, `"subject":"local","read":["*"],"write":["*"],"admin":true,"metrics":true,"shell":true}`) {
		t.Errorf("me is %s", a.body)
	}
	a = r.post("/v1/login", `{"token":"anything"}`)
	if wantStatus(t, a, 200); a.header.Get("Set-Cookie") != "" {
		t.Errorf("a cookie is set: %v", a.header)
	}
	wantStatus(t, r.post("/v1/tickets", `{"sessions":["s1"]}`), 201)
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	wantStatus(t, r.get("/v1/sessions/s1/sse?until=1&ticket=whatever"), 200)
	wantCode(t, r.get("/v1/sessions?ticket=whatever"), 400, store.CodeInvalidQuery)
	if got := r.get("/v1/sessions").header.Get("Vary"); got != "Origin" {
		t.Errorf("Vary is %q", got)
	}
}

func TestTickets(t *testing.T) {
	w := newWorld(t, Config{})
	auth := []string{"Authorization", "Bearer " + tokenOf("both"), "Content-Type", jsonBody}
	for body, want := range map[string]int{
		``: 201, `{}`: 201, `{"sessions":["mine-1","_feed"]}`: 201,
		`{"sessions":[]}`: 400, `{"sessions":"mine-1"}`: 400, `{"sessions":null}`: 400, `{"sessions":["/"]}`: 400, `{"x":1}`: 400,
		`{"sessions":["other-1"]}`: 404, `{"sessions":["mine-1","other-9"]}`: 404,
	} {
		if a := w.ask("POST", "/v1/tickets", body, auth...); a.status != want {
			t.Errorf("%s: got %d %s, want %d", body, a.status, a.body, want)
		}
	}
	ticket := w.ticket("both", "mine-1")
	if a := w.ask("GET", "/v1/sessions/mine-1/events?ticket="+ticket, ""); a.status != 401 {
		t.Errorf("a ticket opens what is no stream: %d", a.status)
	}
	if a := w.ask("GET", "/v1/sessions/mine-1/sse?ticket="+ticket+"&until=1", ""); a.status != 200 || !strings.Contains(a.body, "alpha") {
		t.Errorf("a ticket: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/v1/sessions/mine-1/sse?ticket="+ticket+"&until=1", ""); a.status != 401 {
		t.Errorf("a ticket opens twice: %d", a.status)
	}
	// A query that nothing else can read is no way past, and into no log.
	malformed := w.ticket("both")
	if a := w.ask("GET", "/v1/sessions/mine-1/sse?%zz&ticket="+malformed+"&ticket="+malformed, ""); a.status != 400 || strings.Contains(a.body, malformed) {
		t.Errorf("a malformed query: %d %s", a.status, a.body)
	}
	w.wantNoSecrets("log", w.text.String())
}

// TestQueryTokenIsOffByDefault, and then is a parameter that nobody knows.
func TestQueryTokenIsOffByDefault(t *testing.T) {
	w := newWorld(t, Config{})
	w.api.cfg.Access.QueryToken = false
	if a := w.ask("GET", "/v1/me?access_token="+tokenOf("both"), ""); a.status != 401 || strings.Contains(a.body, "S3CRET") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	w.wantNoSecrets("log", w.text.String())
}

// TestUploadsTellNothingOfOthers: whether a content was there, and as what, is
// told to who may read it.
func TestUploadsTellNothingOfOthers(t *testing.T) {
	w := newWorld(t, Config{})
	put := func(subject, content string) answer {
		return w.ask("POST", "/v1/blobs", content, "Authorization", "Bearer "+tokenOf(subject), "Content-Type", "text/mine")
	}
	for _, test := range []struct {
		subject, session string
		status           int
		contentType      string
	}{
		{"both", "other-1", 201, "text/mine"}, {"writer", "mine-1", 201, "text/mine"}, {"both", "mine-1", 200, "text/alpha"}, {"all", "other-1", 200, "text/zulu"},
	} {
		a := put(test.subject, blobText(test.session))
		if a.status != test.status || !strings.Contains(a.body, `"contentType":"`+test.contentType+`"`) {
			t.Errorf("%s sends what %s has: %d %s", test.subject, test.session, a.status, a.body)
		}
	}
	// Who sent a content sees it once an event that he may see refers to it.
	sha := hashOf([]byte("fresh"))
	get := func(subject string) int {
		return w.ask("GET", "/v1/blobs/"+sha, "", "Authorization", "Bearer "+tokenOf(subject)).status
	}
	if a := put("both", "fresh"); a.status != 201 || get("both") != 404 || get("admin") != 200 {
		t.Errorf("before an event refers to it: %d, %d, %d", a.status, get("both"), get("admin"))
	}
	if _, err := w.log.Append(t.Context(), "mine-1", store.AppendOptions{}, store.Draft{Type: "note", Data: []byte(`{"sha256":"` + sha + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if get("both") != 200 || get("writer") != 404 || get("elsewhere") != 404 {
		t.Errorf("after it: %d, %d, %d", get("both"), get("writer"), get("elsewhere"))
	}
}

// TestForksHideTheirOrigin, where that is not to be seen.
func TestForksHideTheirOrigin(t *testing.T) {
	w := newWorld(t, Config{})
	if _, err := w.log.Fork(context.Background(), "mine-1", store.ForkSpec{Session: "elsewhere-1", After: 1}); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]bool{"elsewhere": false, "all": true} {
		for _, path := range []string{"/v1/sessions/elsewhere-1", "/v1/sessions"} {
			a := w.ask("GET", path, "", "Authorization", "Bearer "+tokenOf(subject))
			if a.status != 200 || !strings.Contains(a.body, "elsewhere-1") || strings.Contains(a.body, "forkedFrom") != want {
				t.Errorf("%s gets from %s: %d %s", subject, path, a.status, a.body)
			}
		}
	}
}

// TestKontaskOfOthersIsTaken: its id is no longer free, and that is all.
func TestKontaskOfOthersIsTaken(t *testing.T) {
	w := newWorld(t, Config{})
	a := w.ask("PUT", "/v1/kontasks/k-other-1", `{"session":"mine-1","title":"x"}`, "Authorization", "Bearer "+tokenOf("both"), "Content-Type", jsonBody)
	if a.status != 409 || codeIn(a) != store.CodeKontaskMoved || strings.Contains(a.body, `"detail":"kontask \"k-other-1\" belongs to session`) || strings.Contains(strings.ReplaceAll(a.body, "k-other-1", ""), "other-1") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a = w.ask("PUT", "/v1/kontasks/k-mine-1", `{"title":"x"}`, "Authorization", "Bearer "+tokenOf("writer"), "Content-Type", jsonBody)
	if a.status != 200 || strings.TrimSpace(a.body) != `{"id":"k-mine-1","session":"mine-1"}` {
		t.Errorf("who may not read it gets %d %s", a.status, a.body)
	}
}

// TestFeedSealsAreForWhoReadsAll: they are over all events.
func TestFeedSealsAreForWhoReadsAll(t *testing.T) {
	w := newWorld(t, Config{})
	for subject, want := range map[string]int{"reader": 404, "elsewhere": 404, "all": 200} {
		if a := w.ask("GET", "/v1/sessions/_feed/seals", "", "Authorization", "Bearer "+tokenOf(subject)); a.status != want {
			t.Errorf("%s: got %d %s, want %d", subject, a.status, a.body, want)
		}
	}
}

// TestMarksAreOfTheSubject: what one has seen another has not.
func TestMarksAreOfTheSubject(t *testing.T) {
	w := newWorld(t, Config{})
	if a := w.ask("POST", "/v1/sessions/mine-1/seen", `{"id":6}`, "Authorization", "Bearer "+tokenOf("both"), "Content-Type", jsonBody); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for subject, want := range map[string]string{"both": `"seen":6`, "reader": `"seen":0`} {
		if a := w.ask("GET", "/v1/inbox", "", "Authorization", "Bearer "+tokenOf(subject)); !strings.Contains(a.body, want) {
			t.Errorf("%s: got %s", subject, a.body)
		}
	}
	hello := func(subject string) string {
		return w.ask("GET", "/v1/sessions/mine-1/sse?until=1", "", "Authorization", "Bearer "+tokenOf(subject)).body
	}
	if got := hello("both"); strings.Contains(got, `"kontaskId":"k-mine-1","`) && strings.Contains(got, `"kontasks":[{`) {
		t.Errorf("a card that was seen: %s", got)
	}
	if got := hello("reader"); !strings.Contains(got, `"kontasks":[{`) {
		t.Errorf("a card that was not seen: %s", got)
	}
}

// TestAnswersDependOnTheCredential, so what a browser keeps of one is not
// shown to another.
func TestAnswersDependOnTheCredential(t *testing.T) {
	w := newWorld(t, Config{})
	for _, path := range []string{"/v1/sessions/mine-1/events?limit=2", "/v1/blobs/" + blobOf("mine-1"), "/v1/sessions", "/v1/sessions/other-1"} {
		a := w.ask("GET", path, "", "Authorization", "Bearer "+tokenOf("both"))
		if vary := a.header.Get("Vary"); !strings.Contains(vary, "Authorization") || !strings.Contains(vary, "Cookie") {
			t.Errorf("%s: %d, Vary %q", path, a.status, vary)
		}
	}
}

// TestSessionWithoutAName gets one by itself only where that may be written.
func TestSessionWithoutAName(t *testing.T) {
	w := newWorld(t, Config{})
	for subject, want := range map[string]int{"both": 403, "writer": 403, "all": 201} {
		for path, body := range map[string]string{"/v1/sessions": `{"title":"x"}`, "/v1/sessions/mine-1/fork": `{"after":1}`} {
			status := want
			if subject == "writer" && strings.HasSuffix(path, "/fork") {
				status = 404
			}
			a := w.ask("POST", path, body, "Authorization", "Bearer "+tokenOf(subject), "Content-Type", jsonBody)
			if a.status != status || status == 403 && !strings.Contains(a.body, "give the session an id") {
				t.Errorf("%s posts to %s: got %d %s, want %d", subject, path, a.status, a.body, status)
			}
		}
	}
}

// TestTicketForTheFeed: it tells of what may be read, and opens none of it.
func TestTicketForTheFeed(t *testing.T) {
	w := newWorld(t, Config{})
	head, err := w.log.Session(t.Context(), store.FeedSession)
	if err != nil {
		t.Fatal(err)
	}
	feed := fmt.Sprintf("/v1/sessions/_feed/sse?until=%d&ticket=", head.Head)
	if a := w.ask("GET", feed+w.ticket("reader", store.FeedSession), ""); a.status != 200 || !strings.Contains(a.body, "alpha") || strings.Contains(a.body, "zulu") {
		t.Errorf("the feed: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", feed+w.ticket("reader", store.FeedSession, "mine-1"), ""); a.status != 200 || !strings.Contains(a.body, "alpha") {
		t.Errorf("the feed, beside a session: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/v1/sessions/mine-1/sse?until=1&ticket="+w.ticket("reader", store.FeedSession), ""); a.status != 404 || strings.Contains(a.body, "alpha") {
		t.Errorf("a session with a ticket for the feed: %d %s", a.status, a.body)
	}
	several := "/v1/sse?cursor=mine-1:0,_feed:0&until=1&ticket="
	if a := w.ask("GET", several+w.ticket("reader", store.FeedSession), ""); !strings.Contains(a.body, `"code":"session_not_found"`) || strings.Contains(a.body, "common words") {
		t.Errorf("both with a ticket for the feed: %d %s", a.status, a.body)
	}
}
