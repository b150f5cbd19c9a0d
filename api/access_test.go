package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// keyring is a verifier whose tokens are in a table.
type keyring struct {
	mu      sync.Mutex // guards what follows
	grants  map[string]access.Grant
	revoked map[string]bool // by id
}

func (k *keyring) Verify(_ context.Context, token string) (access.Grant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, ok := k.grants[token]
	if !ok || k.revoked[g.ID] {
		return access.Grant{}, access.ErrUnauthorized
	}
	return g, nil
}

func (k *keyring) Holds(g *access.Grant) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.revoked[g.ID]
}

func (k *keyring) revoke(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.revoked[id] = true
}

// grants are what the tokens of the tests allow, by their subject.
var grants = map[string]access.Grant{
	"reader":    {Read: store.Patterns{"mine-*"}},
	"writer":    {Write: store.Patterns{"mine-*"}},
	"both":      {Read: store.Patterns{"mine-*"}, Write: store.Patterns{"mine-*"}},
	"lopsided":  {Read: store.Patterns{"mine-*"}, Write: store.Patterns{"elsewhere-*"}},
	"elsewhere": {Read: store.Patterns{"elsewhere-*"}, Write: store.Patterns{"elsewhere-*"}},
	"admin":     {Admin: true},
	"metrics":   {Metrics: true},
	"shell":     {Shell: true},
	"all":       {Read: store.AllSessions, Write: store.AllSessions},
	"expired":   {Read: store.AllSessions, Write: store.AllSessions, Admin: true, Expires: time.Unix(1, 0)},
	"revoked":   {Read: store.AllSessions, Write: store.AllSessions, Admin: true},
}

// tokenOf is the subject's. Nothing but a request may ever hold it.
func tokenOf(subject string) string { return "S3CRET-of-" + subject }

func newKeyring() *keyring {
	k := &keyring{grants: map[string]access.Grant{}, revoked: map[string]bool{"key:revoked": true}}
	for subject, g := range grants {
		g.Subject, g.ID = subject, "key:"+subject
		k.grants[tokenOf(subject)] = g
	}
	return k
}

// world is a server with credentials and two sessions: mine-1, in which alpha
// stands everywhere, and other-1, in which zulu does.
type world struct {
	t       *testing.T
	log     *faultyLog
	hub     *stream.Hub
	api     *Server
	keys    *keyring
	text    *lockedBuffer
	secrets []string // that were handed out
	hook    string   // the id of a webhook
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	hub := newHub()
	w := &world{t: t, log: newFaultyLog(hub), hub: hub, keys: newKeyring(), text: &lockedBuffer{}}
	cfg.Logger = slog.New(slog.NewTextHandler(w.text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if cfg.Access, err = access.New(access.Config{Verifier: w.keys, QueryToken: true, Grace: time.Second}); err != nil {
		t.Fatal(err)
	}
	cfg.Notifier = &notifier{}
	w.api = New(w.log, hub, cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		w.api.Drain(ctx, 0)
		_ = w.log.Close()
	})
	w.fill("mine-1", "alpha")
	w.fill("other-1", "zulu")
	if _, err := w.log.MarkSeen(t.Context(), "zulu", "mine-1", 3); err != nil {
		t.Fatal(err)
	}
	hook, err := w.log.CreateWebhook(t.Context(), store.WebhookSpec{URL: "https://example.org/zulu"})
	if err != nil {
		t.Fatal(err)
	}
	w.hook = hook.ID
	return w
}

func blobText(session string) string { return "content of " + marks[session] }

func blobOf(session string) string { return hashOf([]byte(blobText(session))) }

// marks are what stands everywhere in a session and nowhere else.
var marks = map[string]string{"mine-1": "alpha", "other-1": "zulu"}

func (w *world) fill(id, mark string) {
	w.t.Helper()
	ctx := w.t.Context()
	if _, _, err := w.log.CreateSession(ctx, id, store.SessionSpec{Title: mark, Scope: mark, Tags: []string{mark}}); err != nil {
		w.t.Fatal(err)
	}
	b, _, err := w.log.PutBlob(ctx, "text/"+mark, strings.NewReader(blobText(id)), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	turn := "t-" + id
	_, err = w.log.Append(ctx, id, store.AppendOptions{},
		store.Draft{Type: "prompt", Turn: turn, Key: "asked", Data: []byte(`{"text":"common words of ` + mark + `"}`)},
		store.Draft{Type: "turn_start", Turn: turn, Data: []byte(`{"agent":"` + mark + `"}`)},
		store.Draft{Type: "text", Turn: turn, Data: []byte(`{"text":"` + mark + `"}`)},
		store.Draft{Type: "permission_request", Turn: turn, Data: []byte(`{"requestId":"q","tool":"` + mark + `"}`)},
		store.Draft{Type: "kontask_ready", Data: []byte(`{"id":"k-` + id + `","title":"` + mark + `","context":{"output":"` + mark + `","choices":[{"label":"` + mark + `","value":"` + mark + `"}]}}`)},
		store.Draft{Type: "note", Data: []byte(`{"text":"` + mark + `","sha256":"` + b.SHA256 + `"}`)})
	if err != nil {
		w.t.Fatal(err)
	}
}

// credential is one way to come with one.
type credential struct {
	name  string
	grant string // the subject whose grant it stands for, or "": it is good for nothing
	put   func(w *world, r *http.Request)

	// Where it counts: everywhere, on streams, or on GET.
	streams, get bool
	// What is left of the grant, of a ticket; nil is all.
	narrow func(access.Grant) access.Grant
	// What it is refused with instead of unauthorized.
	code store.Code
}

func bearer(subject string) func(*world, *http.Request) {
	return func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer "+tokenOf(subject)) }
}

func addQuery(r *http.Request, name, value string) {
	if r.URL.RawQuery != "" {
		r.URL.RawQuery += "&"
	}
	r.URL.RawQuery += name + "=" + value
	r.RequestURI = r.URL.RequestURI()
}

// ticket hands one out to the subject.
func (w *world) ticket(subject string, sessions ...string) string {
	w.t.Helper()
	p, err := w.api.cfg.Access.Authenticate(w.t.Context(), tokenOf(subject))
	if err != nil {
		w.t.Fatal(err)
	}
	ticket, err := w.api.cfg.Access.Ticket(w.t.Context(), p, sessions)
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets = append(w.secrets, ticket.Value)
	return ticket.Value
}

// cookie signs the subject in.
func (w *world) cookie(subject string) string {
	w.t.Helper()
	value, _, err := w.api.cfg.Access.Login(w.t.Context(), tokenOf(subject))
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets = append(w.secrets, value)
	return value
}

func cookied(subject, site, origin string) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		r.AddCookie(&http.Cookie{Name: access.CookieName, Value: w.cookie(subject)})
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
	}
}

func narrowTo(sessions ...string) func(access.Grant) access.Grant {
	return func(g access.Grant) access.Grant {
		g.Read, g.Write, g.Admin, g.Metrics = sessions, sessions, false, false
		return g
	}
}

// credentials are all the kinds.
var credentials = func() []credential {
	list := []credential{
		{name: "none", put: func(*world, *http.Request) {}},
		{name: "garbage", put: func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer S3CRET-garbage") }},
		{name: "another scheme", put: func(_ *world, r *http.Request) { r.SetBasicAuth("both", tokenOf("both")) }},
		{name: "two headers", put: func(_ *world, r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + tokenOf("all"), "Bearer " + tokenOf("all")}
		}},
		{name: "expired", put: bearer("expired")},
		{name: "revoked", put: bearer("revoked")},
		{name: "garbage beside a cookie", put: func(w *world, r *http.Request) {
			cookied("all", "same-origin", "")(w, r)
			r.Header.Set("Authorization", "Bearer S3CRET-garbage")
		}},
		{name: "used ticket", put: func(w *world, r *http.Request) {
			value := w.ticket("both")
			_, _ = w.api.cfg.Access.UseTicket(value)
			addQuery(r, "ticket", value)
		}},
		{name: "ticket", grant: "both", streams: true, put: func(w *world, r *http.Request) { addQuery(r, "ticket", w.ticket("both")) }},
		{name: "ticket for other sessions", grant: "both", streams: true, narrow: narrowTo("mine-7"), put: func(w *world, r *http.Request) {
			addQuery(r, "ticket", w.ticket("both", "mine-7"))
		}},
		{name: "token in the query", grant: "both", get: true, put: func(_ *world, r *http.Request) { addQuery(r, "access_token", tokenOf("both")) }},
		{name: "cookie", grant: "both", put: cookied("both", "same-origin", "http://localhost")},
		{name: "cookie of a tool", grant: "both", put: cookied("both", "", "")},
		{name: "cookie, by its origin", grant: "both", put: cookied("both", "", "http://localhost")},
		{name: "cookie, signed out", put: func(w *world, r *http.Request) {
			cookied("both", "same-origin", "")(w, r)
			c, _ := r.Cookie(access.CookieName)
			_ = w.api.cfg.Access.Logout(c.Value)
		}},
		{name: "cookie from another site", code: codeOriginNotAllowed, put: cookied("all", "cross-site", "http://evil.example")},
		{name: "cookie from another port", code: codeOriginNotAllowed, put: cookied("all", "same-site", "http://localhost:5173")},
		{name: "cookie from another port, by its origin", code: codeOriginNotAllowed, put: cookied("all", "", "http://localhost:5173")},
	}
	for _, subject := range []string{"reader", "writer", "both", "lopsided", "elsewhere", "admin", "metrics", "shell", "all"} {
		list = append(list, credential{name: subject, grant: subject, put: bearer(subject)})
	}
	return list
}()

// allowed is what the credential allows on a route; nil when it is none there.
func (c *credential) allowed(n need, method string) *access.Grant {
	if c.grant == "" || c.streams && !n.stream || c.get && method != "GET" {
		return nil
	}
	g := grants[c.grant]
	g.Subject = c.grant
	if c.narrow != nil {
		g = c.narrow(g)
	}
	return &g
}

// verdict is what a request must come to: a refusal, or none, which is any
// answer but unauthorized, forbidden, or not found where there is something.
type verdict struct {
	status int // 0: it passes
	code   store.Code
}

var (
	passes       = verdict{}
	unauthorized = verdict{401, access.CodeUnauthorized}
	forbidden    = verdict{403, access.CodeForbidden}
	noSession    = verdict{404, store.CodeNotFound}
	noKontask    = verdict{404, store.CodeNoKontask}
	noBlob       = verdict{404, store.CodeBlobNotFound}
)

func toRead(g *access.Grant, id string) verdict {
	if g.Read.Match(id) {
		return passes
	}
	return noSession
}

func toWrite(g *access.Grant, id string) verdict {
	switch {
	case g.Write.Match(id):
		return passes
	case g.Read.Match(id):
		return forbidden
	}
	return noSession
}

func free(*access.Grant, string) verdict { return passes }

// instead gives not found another code. Of a kontask that is absent nobody
// knows in which session it would be, so there it comes before forbidden.
func instead(of func(*access.Grant, string) verdict, v verdict) func(*access.Grant, string) verdict {
	return func(g *access.Grant, id string) verdict {
		got := of(g, id)
		if got == noSession || got == forbidden && strings.HasSuffix(id, "-9") {
			return v
		}
		return got
	}
}

func toSeeBlob(g *access.Grant, id string) verdict {
	if g.Admin || g.Read.Match(id) {
		return passes
	}
	return noBlob
}

// kontaskIsNew is what a kontask that one may not change is: one that is not
// there, of which a PUT must say where.
var kontaskIsNew = verdict{400, codeSessionRequired}

// call is how a route is asked about a session, and what it decides in its
// handler, which the table of routes cannot say.
type call struct {
	query, body string // with {id}
	decides     func(*access.Grant, string) verdict
	lists       bool // it shows what the credential may read
}

// calls are how routes are asked. Those with the session in their path are
// decided by the table of routes; the others have to stand here.
var calls = map[string][]call{
	"POST /v1/sessions/:s/events":   {{body: `{"type":"note"}`}},
	"POST /v1/sessions/:s/ingest":   {{body: "line"}},
	"POST /v1/sessions/:s/prompts":  {{body: `{"text":"hi"}`}, {body: `{"text":"common words of alpha","key":"asked","requestId":"t-mine-1"}`}},
	"POST /v1/sessions/:s/answers":  {{body: `{"requestId":"q","allow":true}`}},
	"POST /v1/sessions/:s/seen":     {{body: `{"id":1}`}},
	"POST /v1/sessions/:s/fork":     {{body: `{"after":1,"session":"mine-fork"}`, decides: toForkIntoMine}},
	"POST /v1/sessions/:s/redact":   {{body: `{"from":1}`}},
	"GET /v1/sessions/:s/sse":       {{query: "until=1"}},
	"GET /v1/sessions/:s/events":    {{}, {query: "before=9"}, {query: "tail=2"}},
	"PATCH /v1/sessions/:s":         {{body: `{"title":"new"}`}},
	"POST /v1/sessions":             {{body: `{"id":"{id}"}`, decides: toWrite}},
	"GET /v1/sessions":              {{decides: free, lists: true}},
	"GET /v1/sessions/":             {{decides: free, lists: true}},
	"GET /v1/poll":                  {{query: "cursor={id}:0", decides: toRead}},
	"GET /v1/sse":                   {{query: "cursor={id}:0&until=1", decides: toRead}},
	"GET /v1/ws":                    {{decides: free}},
	"POST /v1/blobs":                {{body: "anything", decides: free}, {body: "content of zulu", decides: free}},
	"GET /v1/blobs/:sha256":         {{decides: toSeeBlob}},
	"GET /v1/turns":                 {{decides: free, lists: true}, {query: "q=common", decides: free, lists: true}, {query: "session={id}", decides: toRead}, {query: "session={id}&q=common", decides: toRead}},
	"GET /v1/kontasks":              {{decides: free, lists: true}, {query: "session={id}", decides: free}},
	"GET /v1/inbox":                 {{decides: free, lists: true}},
	"GET /v1/search":                {{query: "q=common", decides: free, lists: true}, {query: "q=common&session={id}", decides: toRead}, {query: "q=zulu", decides: free}},
	"GET /v1/kontasks/:k":           {{decides: instead(toRead, noKontask)}},
	"GET /v1/kontasks/:k/output":    {{decides: instead(toRead, noKontask)}},
	"PUT /v1/kontasks/:k":           {{body: `{"title":"new"}`, decides: instead(toWrite, kontaskIsNew)}},
	"POST /v1/kontasks/:k/choose":   {{body: `{"choice":0}`, decides: instead(toWrite, noKontask)}},
	"GET /ws/console":               {{query: "session={id}", decides: toRead}},
	"GET /api/konsole/dashboard/ws": {{query: "session={id}", decides: toRead}},
	"GET /ws":                       {{query: "session={id}", decides: toRead}},
	"GET /api/sdk/ws":               {{query: "session={id}", decides: toRead}},
	"GET /events":                   {{query: "session={id}&until=1", decides: toRead}},
	"GET /api/chat/events":          {{query: "session={id}", decides: toRead}, {query: "cursor=_feed:0", decides: toReadFeed}},
	"POST /api/console/inject":      {{body: `{"session":"{id}","text":"hi"}`, decides: toWrite}},
	"POST /api/chat/send":           {{body: `{"sessionId":"{id}","message":"hi"}`, decides: toWrite}},
	"POST /api/chat/abort":          {{body: `{"sessionId":"{id}"}`, decides: toWrite}},
	"POST /api/chat/set-active-session": {
		{body: `{"sessionId":"{id}"}`, decides: toRead}},
	"GET /v1/diag/poll": {{decides: free}},
	"GET /v1/diag/sse":  {{decides: free}},
	"GET /v1/diag/ws":   {{decides: free}},
	"GET /v1/me":        {{decides: free}},
	"POST /v1/tickets":  {{decides: free}, {body: `{"sessions":["{id}"]}`, decides: toRead}},

	"POST /v1/webhooks":      {{body: `{"url":"https://example.org/"}`}},
	"PATCH /v1/webhooks/:id": {{body: `{"paused":true}`}},
}

func toReadFeed(g *access.Grant, _ string) verdict {
	if len(g.Read) > 0 {
		return passes
	}
	return noSession
}

// toForkIntoMine: the source is read, and the fork is written.
func toForkIntoMine(g *access.Grant, id string) verdict {
	if v := toRead(g, id); v != passes {
		return v
	}
	return toWrite(g, "mine-fork")
}

// verdictOf is what a request must come to.
func verdictOf(c *credential, n need, method string, ask *call, id string) verdict {
	if n.kind == needNothing || n.kind == needAsked {
		return passes
	}
	g := c.allowed(n, method)
	if g == nil {
		if c.code != "" {
			return verdict{403, c.code}
		}
		return unauthorized
	}
	switch {
	case n.kind == needAdmin && !g.Admin, n.kind == needMetrics && !g.Admin && !g.Metrics, n.kind == needShell && !g.Shell,
		n.kind == needWriteAny && len(g.Write) == 0:
		return forbidden
	case ask.decides != nil:
		return ask.decides(g, id)
	case n.kind == needRead:
		return toRead(g, id)
	case n.kind == needWrite:
		return toWrite(g, id)
	}
	return passes
}

// send asks a route about a session.
func (w *world) send(c *credential, method, path string, ask *call, id string) answer {
	w.t.Helper()
	fill := strings.NewReplacer(":sha256", blobOf(id), ":s", id, ":t", "t-"+id, ":k", "k-"+id, ":id", w.hook, ":file", "none.js")
	target := fill.Replace(path)
	named := strings.NewReplacer("{id}", id)
	if ask.query != "" {
		target += "?" + named.Replace(ask.query)
	}
	var body io.Reader
	if method != "GET" && method != "HEAD" {
		body = strings.NewReader(named.Replace(ask.body))
	}
	r := httptest.NewRequest(method, target, body)
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:9"
	r.Header.Set("X-Request-Id", "same")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if strings.HasSuffix(path, "/import") {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	c.put(w, r)
	ctx, cancel := context.WithCancel(r.Context())
	if strings.HasPrefix(path, "/v1/diag/") { // it takes its time
		cancel()
	}
	defer cancel()
	rec := httptest.NewRecorder()
	w.api.Handler().ServeHTTP(rec, r.WithContext(ctx))
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

func codeIn(a answer) store.Code {
	if a.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	_, rest, _ := strings.Cut(a.body, `"code":"`)
	code, _, _ := strings.Cut(rest, `"`)
	return store.Code(code)
}

// TestEveryRouteAsksForItsCredential walks all routes with all kinds of
// credentials about a session that is reached, one that is not, and one of
// either name that is absent.
func TestEveryRouteAsksForItsCredential(t *testing.T) {
	t.Parallel()
	routes := newWorld(t, Config{}).api.routes
	for i := range credentials {
		c := &credentials[i]
		t.Run(c.name, func(t *testing.T) {
			w, changed := newWorld(t, Config{Ingest: ingestNothing}), false
			for _, route := range routes {
				n, ok := w.api.needs[route.Method+" "+route.Path]
				if !ok || n.kind == needUndeclared {
					t.Fatalf("%s %s does not say what it needs", route.Method, route.Path)
				}
				if route.Path == "/v1/login" { // TestLogin
					continue
				}
				name := strings.Replace(route.Method, "HEAD", "GET", 1) + " " + route.Path
				asks := calls[name]
				if asks == nil {
					asks = []call{{}}
				}
				for k := range asks {
					if asks[k].decides == nil && (n.kind == needAny || n.kind == needWriteAny) {
						t.Fatalf("%s decides in its handler, so say in calls what it must come to", name)
					}
					changes := route.Method != "GET" && route.Method != "HEAD"
					if changes || changed {
						w = newWorld(t, Config{Ingest: ingestNothing})
					}
					changed = changes
					w.walk(c, n, route.Method, route.Path, &asks[k])
				}
			}
			w.wantNoSecrets("log", w.text.String())
			w.wantNoSecrets("/metrics", w.send(&credential{put: bearer("metrics")}, "GET", "/metrics", &call{}, "").body)
			w.wantNoSecrets("/health/realtime", w.send(&credential{put: bearer("all")}, "GET", "/health/realtime", &call{}, "").body)
		})
	}
}

func ingestNothing(_ context.Context, r IngestRequest) (Ingested, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return Ingested{Lines: 1}, err
}

// walk asks one route about all sessions.
func (w *world) walk(c *credential, n need, method, path string, ask *call) {
	w.t.Helper()
	answers := map[string]answer{}
	for _, id := range []string{"mine-1", "other-1", "mine-9", "other-9"} {
		what := fmt.Sprintf("%s %s?%s %s about %s", method, path, ask.query, ask.body, id)
		a := w.send(c, method, path, ask, id)
		answers[id] = a
		want := verdictOf(c, n, method, ask, id)
		switch got := codeIn(a); {
		case want.status != 0 && (a.status != want.status || got != want.code):
			w.t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, want.status, want.code)
		case want.status == 0 && (a.status == 401 || a.status == 403):
			w.t.Errorf("%s: got %d %s, want it to pass", what, a.status, a.body)
		case want.status == 0 && a.status == 404 && strings.HasSuffix(id, "1") && strings.Contains(path+ask.query+ask.body, ":s") && got == store.CodeNotFound:
			w.t.Errorf("%s: got %s for a session that is reached", what, a.body)
		case want.status == 0 && strings.HasSuffix(id, "-1") && (got == store.CodeBlobNotFound || got == store.CodeNoKontask):
			w.t.Errorf("%s: got %s for what is there", what, a.body)
		case a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer":
			w.t.Errorf("%s: 401 without WWW-Authenticate", what)
		}
		g := c.allowed(n, method)
		w.wantNoLeak(what, g, path, a)
		w.wantNoSecrets(what, a.body+fmt.Sprint(a.header))
		if g != nil && ask.lists && g.Read.Match("mine-1") && !strings.Contains(a.body, "mine-1") {
			w.t.Errorf("%s: does not show what may be read: %s", what, a.body)
		}
		if n.kind == needAsked && (g == nil) != !strings.Contains(a.body, "version") {
			w.t.Errorf("%s: got %s", what, a.body)
		}
	}
	// What is not reached is as if it were absent, to the byte.
	if verdictOf(c, n, method, ask, "other-1").status != 0 {
		there, absent := answers["other-1"], answers["other-9"]
		same := strings.NewReplacer("other-1", "other-9", blobOf("other-1"), blobOf("other-9"))
		if there.status != absent.status || same.Replace(there.body) != absent.body || fmt.Sprint(there.header) != fmt.Sprint(absent.header) {
			w.t.Errorf("%s %s?%s: other-1 is answered with %v, and an absent session with %v", method, path, ask.query, there, absent)
		}
	}
}

// wantNoLeak wants nothing in the answer of sessions that may not be read.
func (w *world) wantNoLeak(what string, g *access.Grant, path string, a answer) {
	w.t.Helper()
	if path == "/openapi.json" || path == "/" || path == "/assets/:file" || g != nil && g.Admin {
		return
	}
	for id, mark := range marks {
		if g != nil && g.Read.Match(id) {
			continue
		}
		if strings.Contains(a.body, mark) || strings.Contains(fmt.Sprint(a.header), mark) {
			w.t.Errorf("%s: the answer has %s of %s: %v", what, mark, id, a)
		}
		if !strings.Contains(what, id) && strings.Contains(a.body, id) {
			w.t.Errorf("%s: the answer names %s: %s", what, id, a.body)
		}
	}
}

// wantNoSecrets wants no credential in a text.
func (w *world) wantNoSecrets(what, text string) {
	w.t.Helper()
	for _, secret := range append([]string{"S3CRET"}, w.secrets...) {
		if i := strings.Index(text, secret); i >= 0 {
			w.t.Errorf("%s has a credential: %.200s", what, text[max(0, i-100):])
		}
	}
}

// TestUndeclaredNeedLetsNobodyThrough: a route that says nothing is for nobody.
func TestUndeclaredNeedLetsNobodyThrough(t *testing.T) {
	if err := (need{}).met(&access.Local, "s"); store.CodeOf(err) != access.CodeForbidden {
		t.Errorf("got %v", err)
	}
}

// TestCallsAreOfRoutes: what the walk knows of routes is about routes.
func TestCallsAreOfRoutes(t *testing.T) {
	w := newWorld(t, Config{})
	for name := range calls {
		if _, ok := w.api.needs[name]; !ok {
			t.Errorf("%s is no route", name)
		}
	}
	streams := []string{}
	for name, n := range w.api.needs {
		if n.stream {
			streams = append(streams, name)
		}
	}
	slices.Sort(streams)
	want := []string{"GET /api/konsole/dashboard/ws", "GET /api/sdk/ws", "GET /events", "GET /v1/diag/sse", "GET /v1/diag/ws", "GET /v1/sessions/:s/sse", "GET /v1/sessions/:s/ws", "GET /v1/sse", "GET /v1/ws", "GET /ws", "GET /ws/console"}
	if !slices.Equal(streams, want) {
		t.Errorf("tickets open %s, want %s", streams, want)
	}
}

// declared is what each route is to need, apart from the table of routes: so a
// need that was changed by mistake is noticed, too.
var declared = map[needKind]string{
	needNothing: `
		DELETE /v1/login
		GET /
		GET /assets/:file
		GET /healthz
		GET /openapi.json
		GET /readyz
		POST /v1/login
`,
	needAsked: `
		GET /health/realtime
`,
	needAny: `
		GET /api/chat/events
		GET /api/konsole/dashboard/ws
		GET /api/sdk/ws
		GET /events
		GET /v1/blobs/:sha256
		GET /v1/diag/poll
		GET /v1/diag/sse
		GET /v1/diag/ws
		GET /v1/inbox
		GET /v1/kontasks
		GET /v1/kontasks/:k
		GET /v1/kontasks/:k/output
		GET /v1/me
		GET /v1/poll
		GET /v1/search
		GET /v1/sessions
		GET /v1/sessions/
		GET /v1/sse
		GET /v1/turns
		GET /v1/ws
		GET /ws
		GET /ws/console
		POST /api/chat/set-active-session
		POST /v1/tickets
`,
	needRead: `
		GET /v1/sessions/:s
		GET /v1/sessions/:s/events
		GET /v1/sessions/:s/seals
		GET /v1/sessions/:s/sse
		GET /v1/sessions/:s/turns
		GET /v1/sessions/:s/turns/:t
		GET /v1/sessions/:s/ws
		POST /v1/sessions/:s/fork
		POST /v1/sessions/:s/seen
`,
	needWrite: `
		DELETE /v1/sessions/:s
		PATCH /v1/sessions/:s
		POST /v1/sessions/:s/answers
		POST /v1/sessions/:s/close
		POST /v1/sessions/:s/events
		POST /v1/sessions/:s/import
		POST /v1/sessions/:s/ingest
		POST /v1/sessions/:s/prompts
		POST /v1/sessions/:s/stop
		POST /v1/sessions/:s/turns/:t/touch
		PUT /v1/sessions/:s
`,
	needWriteAny: `
		POST /api/chat/abort
		POST /api/chat/send
		POST /api/console/inject
		POST /v1/blobs
		POST /v1/kontasks/:k/choose
		POST /v1/sessions
		PUT /v1/kontasks/:k
`,
	needAdmin: `
		DELETE /v1/webhooks/:id
		GET /v1/webhooks
		GET /v1/webhooks/:id
		PATCH /v1/webhooks/:id
		POST /v1/backup
		POST /v1/sessions/:s/redact
		POST /v1/webhooks
		POST /v1/webhooks/:id/test
`,
	needMetrics: `
		GET /metrics
`,
	needShell: `
		POST /v1/shells
`,
}

// TestRoutesNeedWhatTheyAreToNeed holds the table of routes against declared.
func TestRoutesNeedWhatTheyAreToNeed(t *testing.T) {
	want := map[string]needKind{}
	for kind, routes := range declared {
		for line := range strings.Lines(routes) {
			if route := strings.TrimSpace(line); route != "" {
				want[route] = kind
				if get, ok := strings.CutPrefix(route, "GET "); ok {
					want["HEAD "+get] = kind
				}
			}
		}
	}
	for route, n := range newWorld(t, Config{}).api.needs {
		if kind, ok := want[route]; !ok || kind != n.kind {
			t.Errorf("%s needs %d, and is to need %d", route, n.kind, kind)
		}
	}
}
