package api

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

func TestOrigin(t *testing.T) {
	r := newRig(t, Config{AllowedOrigins: []string{"https://listed.example"}})
	wantStatus(t, r.post(eventsPath, `{"type":"first"}`), 201)
	cases := map[string]bool{
		"":                          true,
		r.http.URL:                  true,
		"http://localhost:3000":     true,
		"http://127.0.0.1:5173":     true,
		"http://[::1]:80":           true,
		"https://listed.example":    true,
		"https://listed.example:81": false,
		"https://evil.example":      false,
		"http://localhost.evil":     false,
		"null":                      false,
		"file://":                   false,
	}
	for origin, ok := range cases {
		header := []string{}
		if origin != "" {
			header = []string{"Origin", origin}
		}
		before := r.head("s1")
		a := r.post(eventsPath, `{"type":"text"}`, header...)
		if got := a.status == 201; got != ok {
			t.Errorf("append from %q: %d %s", origin, a.status, a.body)
		}
		if !ok {
			wantCode(t, a, 403, codeOriginNotAllowed)
			if r.head("s1") != before {
				t.Errorf("append from %q was stored", origin)
			}
		}
		ws, res, err := websocket.Dial(context.Background(), r.http.URL+"/v1/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": header[len(header)/2:]}})
		if (err == nil) != ok {
			t.Errorf("upgrade from %q: %v", origin, err)
		}
		if err == nil {
			ws.CloseNow()
		} else if res == nil || res.StatusCode != 403 {
			t.Errorf("upgrade from %q was refused with %v", origin, res)
		}
		ws, _, err = websocket.Dial(context.Background(), r.http.URL+"/v1/diag/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": header[len(header)/2:]}})
		if (err == nil) != ok {
			t.Errorf("diagnosis from %q: %v", origin, err)
		}
		if err == nil {
			ws.CloseNow()
		}
		wantStatus(t, r.do("GET", eventsPath, nil, header...), 200) // reading is for the browser to refuse
	}
}

// TestCORS: pages of loopback and listed origins can read every answer, and
// nobody else's can.
func TestCORS(t *testing.T) {
	r := newRig(t, Config{AllowedOrigins: []string{"https://listed.example"}})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	reads := map[string]int{
		"/v1/sessions/s1": 200, eventsPath: 200, eventsPath + "?wait=1": 200, "/v1/poll?cursor=s1:0": 200, "/v1/sessions/s1/sse?until=1": 200,
		"/v1/sessions/nope/sse": 404, "/nothing": 404, "/metrics": 200,
	}
	ask := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,producer-id"}
	for origin, ok := range map[string]bool{
		"http://localhost:5173": true, "http://127.0.0.1:5173": true, "http://[::1]:80": true, "https://listed.example": true,
		"https://evil.example": false, "http://localhost.evil": false, "https://listed.example:81": false, "null": false, "": false,
	} {
		header := []string{"Origin", origin}
		if origin == "" {
			header = nil
		}
		check := func(what string, a answer, status int) {
			t.Helper()
			wantStatus(t, a, status)
			want := ""
			if ok {
				want = origin
			}
			h := a.header
			if got := h.Get("Access-Control-Allow-Origin"); got != want || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %q: %v", what, origin, h)
			}
			if ok && !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
				t.Errorf("%s from %q exposes nothing: %v", what, origin, h)
			}
		}
		for path, status := range reads {
			check(path, r.do("GET", path, nil, header...), status)
		}
		preflight := r.do("OPTIONS", eventsPath, nil, append(ask, header...)...)
		check("preflight", preflight, 204)
		allowed := strings.ToLower(preflight.header.Get("Access-Control-Allow-Headers"))
		for _, name := range []string{"content-type", "last-event-id", "producer-id", "producer-epoch", "producer-seq", "expect-head"} {
			if strings.Contains(allowed, name) != ok {
				t.Errorf("preflight from %q: %s in %q is not %v", origin, name, allowed, ok)
			}
		}
		if (preflight.header.Get("Access-Control-Allow-Methods") != "") != ok || (preflight.header.Get("Access-Control-Max-Age") != "") != ok {
			t.Errorf("preflight from %q: %v", origin, preflight.header)
		}
	}
	every := newRig(t, Config{AllowedOrigins: []string{"*"}})
	if got := every.do("GET", "/healthz", nil, "Origin", "null").header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("null is told %q", got)
	}
	if got := every.do("GET", "/healthz", nil, "Origin", "https://a.example").header.Get("Access-Control-Allow-Origin"); got != "https://a.example" {
		t.Errorf("with all allowed an origin is told %q", got)
	}
	for _, a := range []answer{r.do("GET", "/healthz", nil, "Origin", "http://localhost:1", "Host", "evil.example"), r.do("OPTIONS", eventsPath, nil, append(ask, "Origin", "http://localhost:1", "Host", "evil.example")...)} {
		wantCode(t, a, 421, codeHostNotAllowed)
	}
}

func TestHost(t *testing.T) {
	r := newRig(t, Config{AllowedHosts: []string{"konlog.example"}})
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:80": true, "127.0.0.1:1": true, "[::1]": true, "[::1]:8787": true, "a.localhost": true,
		"konlog.example": true, "KonLog.example:443": true,
		"evil.example": false, "127.0.0.1.evil.example": false, "evil.example:8787": false, "10.0.0.1": false,
	} {
		a := r.do("GET", "/healthz", nil, "Host", host)
		if ok {
			wantStatus(t, a, 200)
		} else {
			wantCode(t, a, 421, codeHostNotAllowed)
		}
	}
	// A connection that came in on another address carries the operator's names.
	req := httptest.NewRequest("GET", "/healthz", nil)
	req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80})))
	w := httptest.NewRecorder()
	r.api.Handler().ServeHTTP(w, req)
	if w.Code != 200 {
		t.Errorf("on another address: %d", w.Code)
	}
}

// A page elsewhere that has taken a name for this machine can send what a proxy
// would, too.
func TestHostBehindTrustedProxy(t *testing.T) {
	r := newRig(t, Config{AllowedHosts: []string{"konlog.example"}, TrustedProxies: prefixes("127.0.0.0/8")})
	for _, c := range []struct {
		host, said string
		status     int
	}{
		{"evil.example", "localhost", 421}, {"evil.example", "konlog.example", 421}, {"localhost", "evil.example", 421},
		{"localhost", "konlog.example", 200}, {"konlog.example", "konlog.example", 200},
	} {
		if a := r.do("GET", "/v1/sessions", nil, "Host", c.host, "X-Forwarded-Host", c.said); a.status != c.status {
			t.Errorf("host %s, said to be %s: %d", c.host, c.said, a.status)
		}
	}
}

func TestURLTooLong(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{URLBytes: 200}})
	wantCode(t, r.get("/healthz?x="+strings.Repeat("a", 300)), 414, codeURLTooLong)
}

func TestHeaderTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{HeaderBytes: 1000}})
	a := r.do("GET", "/healthz", nil, "X-Long", strings.Repeat("a", 10_000))
	if a.status != 431 {
		t.Errorf("status %d, want 431", a.status)
	}
}

func TestSecurityHeaders(t *testing.T) {
	r := newRig(t, Config{})
	for _, path := range []string{"/", "/assets/app.js", "/v1/sessions", "/nothing", "/metrics"} {
		a := r.get(path)
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, a.header)
		}
	}
}

// reader opens an SSE stream and waits for its first line.
func (r *rig) reader(path string) *http.Response {
	r.t.Helper()
	res, err := http.Get(r.http.URL + path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		r.t.Fatalf("%s: %s", path, res.Status)
	}
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		r.t.Fatal(err)
	}
	return res
}

func TestConnectionLimit(t *testing.T) {
	for name, limits := range map[string]Limits{"Total": {Connections: 2}, "PerAddress": {ConnectionsPerAddress: 2}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Limits: limits})
			wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
			r.reader("/v1/sessions/s1/sse")
			r.reader("/v1/sse?cursor=s1:0")
			a := r.get("/v1/sessions/s1/sse")
			wantCode(t, a, 429, codeTooManyConnections)
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			wantCode(t, r.get(eventsPath+"?after=1&wait=5"), 429, codeTooManyConnections)
			wantCode(t, r.lines(eventsPath, `{"type":"text"}`), 429, codeTooManyConnections)
			if _, res, err := websocket.Dial(context.Background(), r.http.URL+"/v1/ws", nil); err == nil || res.StatusCode != 429 {
				t.Errorf("a WebSocket over the limit: %v", err)
			}
			wantStatus(t, r.get(eventsPath), 200) // what holds no connection goes on
			wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
		})
	}
}

func TestConnectionsLeave(t *testing.T) {
	c := newConnections(2, 1)
	a, b := &http.Request{RemoteAddr: "10.0.0.1:1"}, &http.Request{RemoteAddr: "[::2]:1"}
	leave, err := c.enter(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.enter(a); store.CodeOf(err) != codeTooManyConnections {
		t.Errorf("second of an address: %v", err)
	}
	leaveB, err := c.enter(b)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	leaveB()
	if c.open != 0 || len(c.byAddr) != 0 {
		t.Errorf("after all left: %d, %v", c.open, c.byAddr)
	}
	if _, err := c.enter(a); err != nil {
		t.Error(err)
	}
}

func TestSwitches(t *testing.T) {
	r := newRig(t, Config{DisableWebSocket: true, DisableSSE: true, DisablePolling: true})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	for _, path := range []string{
		"/v1/sessions/s1/ws", "/v1/ws", "/v1/diag/ws", "/v1/sessions/s1/sse", "/v1/sse?cursor=s1:0", "/v1/diag/sse",
		eventsPath + "?wait=1", "/v1/poll?cursor=s1:0", "/v1/diag/poll",
	} {
		wantCode(t, r.get(path), 404, codeTransportDisabled)
	}
	wantStatus(t, r.get(eventsPath), 200) // a plain read is no transport
	if a := r.get("/health/realtime"); !strings.Contains(a.body, `"transports":{"poll":false,"sse":false,"websocket":false}`) {
		t.Errorf("health says %s", a.body)
	}
}

// TestUnknownSession: 404 comes before any upgrade.
func TestUnknownSession(t *testing.T) {
	r := newRig(t, Config{})
	for _, path := range []string{"/v1/sessions/nope", "/v1/sessions/nope/events", "/v1/sessions/nope/events?wait=1", "/v1/sessions/nope/sse"} {
		if p := wantCode(t, r.get(path), 404, store.CodeNotFound); !strings.HasPrefix(p.Detail, "there is no session nope, or this credential does not reach it") {
			t.Errorf("%s: detail %q", path, p.Detail)
		}
	}
	wantCode(t, r.get("/v1/poll?cursor=nope:0"), 404, store.CodeNotFound)
	_, res, err := websocket.Dial(context.Background(), r.http.URL+"/v1/sessions/nope/ws", nil)
	if err == nil || res.StatusCode != 404 || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("upgrade: %v", err)
	}
	wantCode(t, r.get("/v1/sessions/nope/ws"), 404, store.CodeNotFound) // not 426, which would be mended in vain
	wantCode(t, r.get("/v1/sessions/-x/sse"), 400, store.CodeInvalidSession)
	wantCode(t, r.get("/v1/sessions//sse"), 400, store.CodeInvalidSession)
}

func TestTransportHeader(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	if got := r.reader("/v1/sessions/s1/sse").Header.Get(stream.TransportHeader); got != stream.SSE {
		t.Errorf("SSE says %q", got)
	}
	if got := r.get(eventsPath + "?wait=1").header.Get(stream.TransportHeader); got != stream.Poll {
		t.Errorf("poll says %q", got)
	}
	ws, res, err := websocket.Dial(context.Background(), r.http.URL+"/v1/sessions/s1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if got := res.Header.Get(stream.TransportHeader); got != stream.WebSocket {
		t.Errorf("WebSocket says %q", got)
	}
}
