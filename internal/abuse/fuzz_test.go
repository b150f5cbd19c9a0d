package abuse

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// script is a connection whose client says what it has to say at once and then
// leaves. What the server says is kept.
type script struct {
	in     *bytes.Reader
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (c *script) Read(p []byte) (int, error) {
	if n, err := c.in.Read(p); err == nil {
		return n, nil
	}
	return 0, io.EOF
}

func (c *script) Write(p []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *script) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *script) CloseWrite() error                { return nil }
func (c *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8787} }
func (c *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711} }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

// scripts gives the server one script after the other.
type scripts struct {
	next chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *scripts) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *scripts) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *scripts) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8787} }

// fuzzed is a whole server that scripts talk to.
type fuzzed struct {
	listener *scripts
	mu       sync.Mutex // guards said
	said     bytes.Buffer
}

func (f *fuzzed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said.Write(p)
}

func newFuzzed(f *testing.F) *fuzzed {
	a, err := access.New(access.Config{Verifier: credentials{}, QueryToken: true})
	if err != nil {
		f.Fatal(err)
	}
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	for _, typ := range []string{"prompt", "turn_start", "text"} {
		if _, err := log.Append(context.Background(), "s1", store.AppendOptions{}, store.Draft{Type: typ, Turn: "t1", Data: []byte(`{"text":"hello"}`)}); err != nil {
			f.Fatal(err)
		}
	}
	fz := &fuzzed{listener: &scripts{next: make(chan net.Conn), done: make(chan struct{})}}
	s := api.New(log, hub, api.Config{
		Access: a, Ingest: plainLines, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Limits: api.Limits{PollWait: 10 * time.Millisecond, EventBytes: 64 << 10, BodyBytes: 256 << 10, FrameBytes: 64 << 10, BlobBytes: 64 << 10},
		Rates:  api.Rates{Local: true, IntakeBytes: 1 << 20, SubscriptionsPerCredential: 100, ConnectionsPerCredential: 100},
		Stream: stream.Config{Heartbeat: 50 * time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(fz, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	h := &http.Server{Handler: s.Handler()}
	s.ConfigureHTTP(h)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(fz.listener)
	}()
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Drain(ctx, 0)
		_ = h.Close()
		<-served
		_ = log.Close()
	})
	return fz
}

// talk gives the bytes to the server and returns what it answered. A panic, and
// a failure that the server takes for its own, fail the test.
func (f *fuzzed) talk(t *testing.T, in []byte) []byte {
	t.Helper()
	c := &script{in: bytes.NewReader(in), closed: make(chan struct{})}
	f.listener.next <- c
	select {
	case <-c.closed:
	case <-after(30 * time.Second):
		t.Fatalf("%q: the connection was not ended", in)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := bytes.Clone(c.out.Bytes())
	f.mu.Lock()
	said := f.said.String()
	f.said.Reset()
	f.mu.Unlock()
	if strings.Contains(said, "panic") || strings.Contains(said, "level=ERROR") {
		t.Errorf("%q: %s", in, said)
	}
	return out
}

// answers holds each HTTP answer to the form that all have.
func answers(t *testing.T, in, out []byte) {
	t.Helper()
	for r := bufio.NewReader(bytes.NewReader(out)); ; {
		if _, err := r.Peek(1); err != nil {
			return
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return // one of net/http's own, or what follows the answer to a HEAD
		}
		if res.StatusCode == http.StatusInternalServerError {
			t.Errorf("%q: %s", in, out)
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return
		}
	}
}

const hostLine = " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer attacker\r\n"

// FuzzHTTP gives the whole stack raw bytes.
func FuzzHTTP(f *testing.F) {
	upgrade := "GET /v1/ws" + hostLine + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	for _, seed := range []string{
		"GET /v1/sessions" + hostLine + "\r\n", "GET / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST /v1/sessions/s1/events" + hostLine + "Content-Length: 12\r\n\r\n{\"type\":\"a\"}GET /healthz" + hostLine + "\r\n",
		"POST /v1/sessions/s1/events" + hostLine + "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"type\":\"a\"}\n\r\n0\r\n\r\n",
		"POST /v1/sessions/s1/events" + hostLine + "Expect: 100-continue\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /v1/sessions/s1/events?after=0&limit=2" + hostLine + "If-None-Match: *\r\nRange: bytes=0-\r\n\r\n", "HEAD /v1/sessions/s1" + hostLine + "\r\n",
		"GET /v1/sessions HTTP/1.1\r\nHost: [::1]:8787\r\nOrigin: null\r\nCookie: konlog=x; a=\"b\r\nX-Forwarded-For: 1.2.3.4, [2001:db8::1]:80, unknown\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a,b\r\n\r\n",
		"GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nForwarded: for=\"[2001:db8::1]:1\";proto=https;by=x, for=_hidden\r\nAuthorization: bearer  \r\n\r\n",
		"GET /v1/sessions/%2e%2e%2f HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic eDp5\r\n\r\n", "POST /v1/blobs" + hostLine + "Content-Digest: sha-256=:AAAA:\r\nContent-Length: 2\r\n\r\nhi",
		upgrade + string(frame(0x81, `{"type":"subscribe","session":"s1","after":0}`)), "GET /v1/sessions/s1/sse?ticket=x&access_token=y" + hostLine + "Last-Event-ID: 2\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	fz := newFuzzed(f)
	f.Fuzz(func(t *testing.T, in []byte) { answers(t, in, fz.talk(t, in)) })
}

// FuzzWebSocket gives an upgraded connection raw bytes.
func FuzzWebSocket(f *testing.F) {
	for _, seed := range [][]byte{
		frame(0x81, `{"type":"ping","ref":1}`), frame(0x81, `{"type":"append","ref":"1","session":"s1","events":[{"type":"a"}]}`), frame(0x81, `{"type":"subscribe","session":"s1","after":0}`),
		append(frame(0x01, `{"type":`), frame(0x80, `"pong"}`)...), frame(0x89, "hello"), frame(0x88, "\x03\xe8bye"), {0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{0x81, 0x02, '{', '}'}, frame(0xc1, "x"), frame(0x82, "x"), frame(0x81, `{"type":"auth","token":"ordinary","ref":"a"}`), frame(0x81, `{"type":"send_prompt","session":"s1","text":"x"}`),
	} {
		f.Add(seed)
	}
	fz := newFuzzed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		up := "GET /v1/sessions/s1/ws" + hostLine + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
		out := fz.talk(t, append([]byte(up), in...))
		if !bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("not upgraded: %.200s", out)
		}
		if bytes.Contains(out, []byte(`"code":"internal"`)) {
			t.Errorf("%q: %s", in, out)
		}
	})
}

// FuzzQuery gives the routes that read raw queries.
func FuzzQuery(f *testing.F) {
	paths := []string{
		"/v1/sse", "/v1/poll", "/v1/sessions/s1/sse", "/v1/sessions/s1/events", "/v1/sessions", "/v1/turns", "/v1/kontasks", "/v1/search", "/v1/inbox", "/events", "/api/chat/events",
		"/v1/diag/poll", "/v1/sessions/s1/turns",
	}
	for i, seed := range []string{"cursor=s1:0,s2:3&until=3", "cursor=s1:1", "after=1&until=2&fold=1", "tail=1&epoch=x&types=a,b", "q=a%25&tag=x&cursor=9.9", "state=done&since=2026-01-01T00:00:00Z", "open=1&status=x", "q=%22a+b%22+-c+d*&limit=9", "limit=1&cursor=x", "session=s1&until=3", "sessionId=s1&cursor=2", "n=1", "q=hello&tool=x"} {
		f.Add(byte(i), seed)
	}
	fz := newFuzzed(f)
	f.Fuzz(func(t *testing.T, path byte, query string) {
		if strings.ContainsAny(query, " \r\n") || len(query) > 20_000 {
			return // another request than is meant here
		}
		in := []byte("GET " + paths[int(path)%len(paths)] + "?" + query + hostLine + "Connection: close\r\n\r\n")
		answers(t, in, fz.talk(t, in))
	})
}

// FuzzBodies gives the routes that take one object raw bodies.
func FuzzBodies(f *testing.F) {
	routes := []string{
		"POST /v1/tickets", "POST /v1/login", "POST /v1/sessions", "PUT /v1/sessions/s9", "PATCH /v1/sessions/s1", "POST /v1/sessions/s1/fork", "POST /v1/sessions/s1/prompts", "POST /v1/sessions/s1/stop",
		"POST /v1/sessions/s1/answers", "POST /v1/sessions/s1/seen", "PUT /v1/kontasks/k1", "POST /v1/kontasks/k1/choose", "POST /api/console/inject", "POST /api/chat/send", "POST /api/chat/abort",
		"POST /v1/sessions/s1/ingest", "POST /v1/sessions/s8/import", "POST /v1/blobs",
	}
	for i, seed := range []string{
		`{"sessions":["s1"]}`, `{"token":"attacker"}`, `{"session":"s7","title":"t","tags":["a"],"meta":{"k":1}}`, `{}`, `{"title":null}`, `{"after":1,"session":"s6"}`, `{"text":"hi","images":[],"key":"k"}`, `{"requestId":"t1"}`,
		`{"requestId":"q","allow":true}`, `{"id":1}`, `{"session":"s1","status":"ready","context":{"choices":[{"label":"a","value":1}]}}`, `{"choice":1}`, `{"session":"s1","text":"x"}`, `{"sessionId":"s1","message":"x"}`, `{"sessionId":"s1"}`,
		"{\"type\":\"system\"}\nplain\n", `{"id":1,"type":"a","time":"2026-11-20T17:24:01Z","data":null}`, "content",
	} {
		f.Add(byte(i), []byte(seed))
	}
	fz := newFuzzed(f)
	f.Fuzz(func(t *testing.T, route byte, body []byte) {
		i := int(route) % len(routes)
		contentType := "application/json"
		if strings.HasSuffix(routes[i], "import") {
			contentType = "application/x-ndjson"
		}
		in := fmt.Appendf(nil, "%s%sContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", routes[i], hostLine, contentType, len(body), body)
		answers(t, in, fz.talk(t, in))
	})
}
