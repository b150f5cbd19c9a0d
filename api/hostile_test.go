package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

const hostileWait = 10 * time.Second // for an answer; none is an error

// raw sends the bytes as they are and returns every answer that comes until
// the server closes or asks for more.
func (r *rig) raw(bytes string) (answers []answer, closed bool) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hostileWait))
	go func() { _, _ = io.WriteString(conn, bytes) }() // a server that refuses early may not read all
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: strings.ToUpper(strings.SplitN(bytes, " ", 2)[0])})
		if err != nil {
			return answers, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		a := answer{status: res.StatusCode, header: res.Header}
		stream := res.StatusCode == 101 || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
		if !stream {
			b, _ := io.ReadAll(res.Body)
			a.body = string(b)
		}
		answers = append(answers, a)
		if stream || res.Close {
			return answers, true
		}
	}
}

// request is one with the usual headers, after which the connection ends.
func request(method, target string, headers ...string) string {
	all := append([]string{method + " " + target + " HTTP/1.1", "Host: localhost", "Connection: close"}, headers...)
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), "content-length") }) {
		all = append(all, "Content-Length: 0")
	}
	return strings.Join(all, "\r\n") + "\r\n\r\n"
}

// checkHeaders holds what is true of every answer of the API, whatever was asked.
func checkHeaders(t *testing.T, what string, a answer) {
	t.Helper()
	h := a.header
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-site"} {
		if got := h[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s is %q", what, name, got)
		}
	}
	if got := h.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || !strings.Contains(got, "frame-ancestors '") || strings.Contains(got, "unsafe-eval") {
		t.Errorf("%s: policy %q", what, got)
	}
	if h.Get("Cache-Control") == "" || len(h["Cache-Control"]) != 1 {
		t.Errorf("%s: Cache-Control is %q", what, h["Cache-Control"])
	}
	for _, name := range []string{"Server", "X-Powered-By", "Strict-Transport-Security", "X-Injected", "Access-Control-Allow-Credentials"} {
		if h[name] != nil {
			t.Errorf("%s: %s is %q", what, name, h[name])
		}
	}
	if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		for _, name := range []string{"Permissions-Policy", "Cross-Origin-Opener-Policy"} {
			if h.Get(name) == "" && !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("%s: a page without %s", what, name)
			}
		}
	}
	if a.body != "" && h.Get("Content-Type") == "" {
		t.Errorf("%s: a body without a type", what)
	}
}

// TestEveryRouteAndMethod asks every route by every method: what a route does
// not know is refused, nothing fails, and all answers carry the headers.
func TestEveryRouteAndMethod(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{HSTS: time.Hour})
	fill := strings.NewReplacer(":sha256", strings.Repeat("a", 64), ":s", "s1", ":t", "turn1", ":k", "k1", ":file", "app.js", ":id", "x")
	known := map[string][]string{}
	for _, route := range r.api.routes {
		known[route.Path] = append(known[route.Path], route.Method)
	}
	if len(known) < 40 {
		t.Fatalf("only %d routes", len(known))
	}
	for path, methods := range known {
		target := fill.Replace(path)
		if strings.Contains(target, ":") {
			t.Errorf("%s has a parameter that this test does not know", path)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "get", "PROPFIND"} {
			what := method + " " + target
			if r.head("s1") < 0 { // some routes delete it
				wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
			}
			answers, closed := r.raw(request(method, target, "X-Secret: tell-nobody"))
			if len(answers) != 1 || !closed {
				t.Errorf("%s: %d answers, closed %v", what, len(answers), closed)
				continue
			}
			a := answers[0]
			checkHeaders(t, what, a)
			if slices.Contains(methods, method) {
				if a.status >= 500 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			} else if a.status != 405 && (method != "OPTIONS" || a.status != 204) {
				t.Errorf("%s: %d, want 405", what, a.status)
			} else if allow := a.header.Get("Allow"); allow == "" {
				t.Errorf("%s: %d without Allow", what, a.status)
			}
			if strings.Contains(a.body, "tell-nobody") {
				t.Errorf("%s: the answer shows the request's headers", what)
			}
		}
	}
}

// TestOddTargets: a path has one meaning, and none leads out of what is served.
func TestOddTargets(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	for target, want := range map[string]int{
		"/healthz":                             200,
		"/healthz?a=%00%0d%0aX-Injected:1":     200,
		"/healthz/":                            404,
		"//healthz":                            404,
		"/./healthz":                           404,
		"/v1/../healthz":                       404,
		"/v1/%2e%2e/healthz":                   404,
		"/v1//sessions":                        404,
		"/V1/sessions":                         404,
		"/v1/sessions/s1/":                     404,
		"/v1/sessions/s1/../../../healthz":     404,
		"/v1/sessions/..%2f..%2fhealthz":       400,
		"/v1/sessions/a%2Fb":                   400,
		"/v1/sessions/a%5Cb":                   400,
		"/v1/sessions/s1%00":                   400,
		"/v1/sessions/s1%0d%0aX-Injected:%201": 400,
		"/v1/sessions/%73%31":                  200,
		"/v1/sessions/%":                       400,
		"/v1/sessions/%zz":                     400,
		"/v1/sessions/s1;x=1":                  400,
		"/v1/sessions/s1/events;after=1":       404,
		"/assets/":                             404,
		"/assets/../index.html":                404,
		"/assets/..%2findex.html":              404,
		"/assets/%2e%2e%2f%2e%2e%2fgo.mod":     404,
		"/assets/..%5c..%5cgo.mod":             404,
		"/assets/%00":                          404,
		"/etc/passwd":                          404,
		"/.git/config":                         404,
		"/konlog.db":                           404,
		"/debug/pprof/":                        404,
		"/v1/blobs/..%2f..%2fkonlog.db":        404,
		"/<script>alert(1)</script>":           404,
		"http://localhost/healthz":             200,
		"http://evil.example/healthz":          421,
		"https://localhost:1/healthz":          200,
		"healthz":                              400,
		"*":                                    404,
		"/ HTTP/1.1\r\nX-Injected: 1\r\nY:":    200,
	} {
		answers, _ := r.raw(request("GET", target))
		if len(answers) != 1 {
			t.Errorf("%q: %d answers", target, len(answers))
			continue
		}
		a := answers[0]
		if a.status != want {
			t.Errorf("%q: %d, want %d; %.200s", target, a.status, want, a.body)
		}
		if !fromNetHTTP(a) {
			checkHeaders(t, target, a)
		}
		if strings.Contains(a.body, "<script>alert") {
			t.Errorf("%q: the answer repeats it: %s", target, a.body)
		}
	}
	for _, one := range []struct {
		request string
		want    int
	}{
		{request("OPTIONS", "*"), 404},
		{request("CONNECT", "evil.example:443"), 421},
		{request("CONNECT", "localhost:443"), 404},
		{request("GET", "/healthz") + "GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n", 200}, // after Connection: close nothing counts
	} {
		answers, _ := r.raw(one.request)
		if len(answers) != 1 || answers[0].status != one.want {
			t.Errorf("%q: %v, want %d", one.request, answers, one.want)
			continue
		}
		checkHeaders(t, one.request, answers[0])
	}
}

// fromNetHTTP reports whether net/http answered itself, before any handler:
// what it could not take for a request. All refusals of ours are problems.
func fromNetHTTP(a answer) bool {
	return slices.Contains([]int{400, 417, 431, 501, 505}, a.status) && a.header.Get("Content-Type") != "application/problem+json"
}

// TestOddRequests: of what two readers could cut in two ways, there is one
// answer and then no connection, so that nothing hides behind it.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{HeaderBytes: 8 << 10}})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	const (
		post  = "POST " + eventsPath + " HTTP/1.1\r\nHost: localhost\r\n"
		event = `{"type":"text"}`
		// What an attacker wants to be taken for a request of its own.
		hidden = "DELETE /v1/sessions/s1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
	)
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(event), event)
	for name, one := range map[string]struct {
		request string
		want    int
	}{
		"length and chunks":             {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, 201},
		"chunks and length":             {post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunked + hidden, 201},
		"chunks alone":                  {post + "Transfer-Encoding: chunked\r\n\r\n" + chunked + hidden, 201},
		"two lengths":                   {post + "Content-Length: 15\r\nContent-Length: 16\r\n\r\n" + event + hidden, 400},
		"a list of lengths":             {post + "Content-Length: 15, 16\r\n\r\n" + event + hidden, 400},
		"a signed length":               {post + "Content-Length: +15\r\n\r\n" + event + hidden, 400},
		"a negative length":             {post + "Content-Length: -1\r\n\r\n" + event + hidden, 400},
		"a length in hex":               {post + "Content-Length: 0xf\r\n\r\n" + event + hidden, 400},
		"two codings":                   {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, 501},
		"a hidden coding":               {post + "Transfer-Encoding: xchunked\r\n\r\n" + chunked + hidden, 501},
		"a coding before":               {post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked + hidden, 501},
		"a coding with a tab":           {post + "Transfer-Encoding:\tchunked\r\n\r\n" + chunked + hidden, 201},
		"a coding with vertical tab":    {post + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunked + hidden, 400},
		"a blank before the colon":      {post + "Transfer-Encoding : chunked\r\n\r\n" + chunked + hidden, 400},
		"an extended chunk":             {post + "Transfer-Encoding: chunked\r\n\r\nf;x=\"\n\"\r\n" + event + "\r\n0\r\n\r\n" + hidden, 503},
		"a chunk with a sign":           {post + "Transfer-Encoding: chunked\r\n\r\n+f\r\n" + event + "\r\n0\r\n\r\n" + hidden, 503},
		"a chunk that is too short":     {post + "Transfer-Encoding: chunked\r\n\r\n3\r\n" + event + "\r\n0\r\n\r\n" + hidden, 503},
		"HTTP/1.0 with chunks":          {"POST " + eventsPath + " HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, 400},
		"a folded header":               {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\nConnection: close\r\n\r\n", 200},
		"a header that begins folded":   {"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n", 400},
		"line feeds only":               {"GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n", 200},
		"a bare carriage return":        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\rX-Injected: c\r\n\r\n", 400},
		"a nul":                         {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\x00\r\n\r\n", 400},
		"no host":                       {"GET /healthz HTTP/1.1\r\n\r\n", 400},
		"two hosts":                     {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		"a host that is no name":        {"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		"a host with a path":            {"GET /healthz HTTP/1.1\r\nHost: evil.example/localhost\r\nConnection: close\r\n\r\n", 400},
		"an at sign in the host":        {"GET /healthz HTTP/1.1\r\nHost: localhost@evil.example\r\nConnection: close\r\n\r\n", 400},
		"no name":                       {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", 400},
		"a header without colon":        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nhello\r\n\r\n", 400},
		"HTTP/0.9":                      {"GET /healthz\r\n\r\n", 400},
		"HTTP/1.2":                      {"GET /healthz HTTP/1.2\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200},
		"HTTP/3":                        {"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n", 505},
		"no HTTP":                       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls\r\n\r\n", 400},
		"a long header":                 {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		"many headers":                  {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 8<<10) + "\r\n", 431},
		"a long method":                 {strings.Repeat("A", 64<<10) + " / HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		"an expectation":                {post + "Expect: 200-maybe\r\nContent-Length: 15\r\nConnection: close\r\n\r\n" + event, 417},
		"an id with a line break":       {"GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a%0d%0aX-Injected: b\r\nConnection: close\r\n\r\n", 404},
		"an origin with odd characters": {"POST " + eventsPath + " HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\t,http://evil.example\r\nContent-Length: 15\r\nConnection: close\r\n\r\n" + event, 403},
		"two origins":                   {"POST " + eventsPath + " HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\nContent-Length: 15\r\nConnection: close\r\n\r\n" + event, 403},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.head("s1")
			answers, closed := r.raw(one.request)
			if len(answers) != 1 || answers[0].status != one.want || !closed {
				t.Fatalf("%d answers, closed %v, want one of %d: %+v", len(answers), closed, one.want, answers)
			}
			if !fromNetHTTP(answers[0]) {
				checkHeaders(t, name, answers[0])
			}
			after := r.head("s1")
			if stored := after != before; after < 0 || stored != (one.want == 201) {
				t.Errorf("the head went from %d to %d", before, after)
			}
		})
	}
}

// TestNoHeaderInjection: what clients store comes back in bodies and in headers
// only where it cannot begin a new one.
func TestNoHeaderInjection(t *testing.T) {
	r := newRig(t, Config{})
	const evil = "a\r\nX-Injected: 1\r\n\r\n<script>"
	wantCode(t, r.do("PUT", "/v1/sessions/s1", strings.NewReader(`{"title":"a\r\nX-Injected: 1\r\n\r\n<script>"}`)), 400, codeInvalidSessionBody)
	wantStatus(t, r.do("PUT", "/v1/sessions/s1", strings.NewReader(`{"title":"X-Injected: 1 <script>","meta":{"a":"b\r\nX-Injected: 1"}}`)), 201)
	for _, typ := range []string{"text/html", "text/html; charset=utf-8", "image/svg+xml", "text/plain", "application/xhtml+xml", "text/xml", "application/x-javascript"} {
		a := r.do("POST", "/v1/blobs", strings.NewReader("<script>alert(1)</script>"+typ), "Content-Type", typ)
		if a.status != 201 && a.status != 200 {
			t.Fatalf("%s: %d %s", typ, a.status, a.body)
		}
		got := r.get(a.header.Get("Location"))
		checkHeaders(t, typ, got)
		if p := got.header.Get("Content-Security-Policy"); !strings.Contains(p, "sandbox") || got.header.Get("Content-Disposition") == "" {
			t.Errorf("%s: %v", typ, got.header)
		}
	}
	answers, _ := r.raw("POST /v1/blobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\x01\x7f\r\nContent-Length: 1\r\n\r\nx")
	if len(answers) != 1 || answers[0].status != 400 {
		t.Errorf("a type with control characters: %+v", answers)
	}
	for _, path := range []string{"/v1/sessions/s1", "/v1/sessions", "/v1/sessions/" + store.FeedSession, "/v1/search?q=script", "/v1/kontasks/%0d%0aX-Injected:1", "/v1/turns?cursor=%0d%0aX-Injected:1"} {
		a := r.get(path)
		checkHeaders(t, path, a)
		for name, values := range a.header {
			if strings.Contains(strings.Join(values, " "), "Injected") {
				t.Errorf("%s: %s is %q", path, name, values)
			}
		}
	}
	if a := r.do("GET", "/nothing", nil, "X-Request-Id", strings.ReplaceAll(evil, "\r\n", " ")); strings.Contains(a.header.Get("X-Request-Id"), "script") {
		t.Errorf("the request's id came back: %v", a.header)
	}
}

// TestHSTS: only those who came over TLS are told, and only when it is set.
func TestHSTS(t *testing.T) {
	ask := func(r *rig, header ...string) string {
		t.Helper()
		return r.do("GET", "/healthz", nil, header...).header.Get("Strict-Transport-Security")
	}
	plain := newRig(t, Config{HSTS: 30 * 24 * time.Hour})
	if got := ask(plain); got != "" {
		t.Errorf("over plain HTTP: %q", got)
	}
	if got := ask(plain, "X-Forwarded-Proto", "https"); got != "" {
		t.Errorf("a stranger says https: %q", got)
	}
	proxied := newRig(t, Config{HSTS: 30 * 24 * time.Hour, TrustedProxies: prefixes("127.0.0.0/8")})
	if got := ask(proxied, "X-Forwarded-Proto", "https"); got != "max-age=2592000" {
		t.Errorf("a trusted proxy says https: %q", got)
	}
	if got := ask(proxied, "X-Forwarded-Proto", "http"); got != "" {
		t.Errorf("a trusted proxy says http: %q", got)
	}
	if got := newSecureRig(t, Config{HSTS: time.Hour}).whole("GET", "/healthz", nil).header.Get("Strict-Transport-Security"); got != "max-age=3600" {
		t.Errorf("over TLS: %q", got)
	}
	if got := newSecureRig(t, Config{}).whole("GET", "/healthz", nil).header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("unset: %q", got)
	}
}
