package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/stream"
)

// secureRig is a rig over TLS, whose client counts its connections.
type secureRig struct {
	*rig
	client *http.Client
	dials  *atomic.Int64
}

func newSecureRig(t *testing.T, cfg Config) *secureRig {
	t.Helper()
	hub := newHub()
	log := newFaultyLog(hub)
	text := new(bytes.Buffer)
	cfg.Logger = slog.New(slog.NewTextHandler(text, nil))
	s := New(log, hub, cfg)
	h := httptest.NewUnstartedServer(s.Handler())
	s.ConfigureHTTP(h.Config)
	h.EnableHTTP2 = true
	h.StartTLS()
	dials := new(atomic.Int64)
	tr := h.Client().Transport.(*http.Transport).Clone()
	tr.ForceAttemptHTTP2 = true
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if !s.draining() {
			s.Drain(ctx, 0)
		}
		tr.CloseIdleConnections()
		h.Close()
		_ = log.Close()
	})
	return &secureRig{&rig{t: t, log: log, api: s, http: h, text: text}, &http.Client{Transport: tr}, dials}
}

// ask sends a request, which must go over HTTP/2.
func (r *secureRig) ask(method, path string, body io.Reader, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.http.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	if res.ProtoMajor != 2 {
		r.t.Fatalf("%s %s went over %s", method, path, res.Proto)
	}
	return res
}

// whole is the answer, read to its end.
func (r *secureRig) whole(method, path string, body io.Reader, header ...string) answer {
	r.t.Helper()
	res := r.ask(method, path, body, header...)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// follow opens an event stream and returns its next event's id.
func (r *secureRig) follow(path string) func() string {
	r.t.Helper()
	res := r.ask("GET", path, nil)
	if res.StatusCode != 200 {
		r.t.Fatalf("%s: %s", path, res.Status)
	}
	events := sse.NewReader(res.Body, 1<<20)
	return func() string {
		r.t.Helper()
		for {
			e, err := events.Next()
			if err != nil {
				r.t.Fatalf("%s: %v", path, err)
			}
			if bytes.Contains(e.Data, []byte(`"type":"text"`)) || e.Name == "bye" {
				return e.Name + string(e.ID)
			}
		}
	}
}

// TestHTTP2: all that is not a WebSocket shares one connection, streams in both
// directions live longer than the deadlines of plain requests, and each counts.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	r := newSecureRig(t, Config{Limits: Limits{ConnectionsPerAddress: 5, BodyTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second}})
	if a := r.whole("POST", eventsPath, strings.NewReader(`{"type":"text"}`)); a.status != 201 {
		t.Fatalf("append: %+v", a)
	}
	first, second := r.follow("/v1/sessions/s1/sse"), r.follow("/v1/sse?cursor=s1:0")
	if first() != "1" || second() != "s1:1" {
		t.Fatal("the streams do not begin with event 1")
	}

	// A streamed body, whose lines are stored as they come.
	body, lines := io.Pipe()
	uploaded := make(chan answer, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", r.http.URL+eventsPath, body)
		req.Header.Set("Content-Type", "application/x-ndjson")
		res, err := r.client.Do(req)
		if err != nil {
			uploaded <- answer{body: err.Error()}
			return
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		uploaded <- answer{res.StatusCode, res.Header, string(b)}
	}()
	line := func(id int) {
		t.Helper()
		if _, err := io.WriteString(lines, `{"type":"text"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := first(); got != fmt.Sprint(id) {
			t.Fatalf("after line for %d came %s", id, got)
		}
		if got := second(); got != fmt.Sprintf("s1:%d", id) {
			t.Fatalf("after line for %d came %s on several", id, got)
		}
	}
	line(2)

	// A body that does not come is given up alone.
	stalled, never := io.Pipe()
	defer never.Close()
	wantCode(t, r.whole("POST", eventsPath, stalled), 408, codeRequestTimeout)

	// By now every deadline of a plain request has passed for the others.
	line(3)

	// A refused stream ends, and nothing else does.
	refused, rest := io.Pipe()
	go func() { _, _ = io.WriteString(rest, "no json\n") }()
	wantCode(t, r.whole("POST", eventsPath, refused, "Content-Type", "application/x-ndjson"), 400, "invalid_json")
	_ = rest.Close()
	line(4)

	third, fourth := r.ask("GET", "/v1/sessions/s1/sse", nil), r.ask("GET", "/v1/sessions/s1/sse", nil)
	wantCode(t, r.whole("GET", "/v1/sessions/s1/sse", nil), 429, codeTooManyConnections)
	_, _ = third.Body.Close(), fourth.Body.Close()
	_ = lines.Close()
	if a := <-uploaded; a.status != 201 || !strings.Contains(a.body, `"count":3`) {
		t.Errorf("the upload ended with %+v", a)
	}
	if n := r.dials.Load(); n != 1 {
		t.Errorf("%d connections were made where one must do", n)
	}

	r.api.Drain(t.Context(), 0)
	if got := first(); !strings.HasPrefix(got, "bye") {
		t.Errorf("at the end came %s", got)
	}
}

// TestHTTP2AndWebSocket: who upgrades gets HTTP/1.1 on a connection of its own.
// TestSilentStreamOverHTTP2: unlike with HTTP/1.1, a deadline for a write that is
// over ends the stream, so a stream in which nothing happens must have none.
func TestSilentStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	r := newSecureRig(t, Config{Stream: stream.Config{WriteTimeout: timeout, Heartbeat: time.Hour}})
	r.whole("PUT", "/v1/sessions/s1", nil)
	next := r.follow("/v1/sessions/s1/sse")
	<-time.After(2 * timeout) // the deadline is the network's own, which no clock of a test moves
	r.whole("POST", "/v1/sessions/s1/events", strings.NewReader(`{"type":"text","data":{"text":"late"}}`), "Content-Type", "application/json")
	if id := next(); id != "1" {
		t.Errorf("the next event is %q", id)
	}
}

func TestHTTP2AndWebSocket(t *testing.T) {
	r := newSecureRig(t, Config{})
	if a := r.whole("POST", eventsPath, strings.NewReader(`{"type":"text"}`)); a.status != 201 {
		t.Fatalf("append: %+v", a)
	}
	ws, res, err := websocket.Dial(t.Context(), r.http.URL+"/v1/sessions/s1/ws", &websocket.DialOptions{HTTPClient: r.client})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if res.ProtoMajor != 1 || res.Header.Get(stream.TransportHeader) != stream.WebSocket {
		t.Errorf("%s %v", res.Proto, res.Header)
	}
	for {
		_, b, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(`"type":"text"`)) {
			break
		}
	}
	a := r.whole("GET", "/v1/sessions/s1/ws", nil)
	wantCode(t, a, 426, stream.CodeUpgradeRequired)
	if a.header.Get("Upgrade") != "" {
		t.Errorf("HTTP/2 knows no header Upgrade: %v", a.header)
	}
}

// TestStreamsPerConnection: what is over the limit finds a second connection.
func TestStreamsPerConnection(t *testing.T) {
	r := newSecureRig(t, Config{Limits: Limits{StreamsPerConnection: 3}})
	if a := r.whole("POST", eventsPath, strings.NewReader(`{"type":"text"}`)); a.status != 201 {
		t.Fatalf("append: %+v", a)
	}
	for range 3 {
		r.follow("/v1/sessions/s1/sse")()
	}
	if n := r.dials.Load(); n != 1 {
		t.Fatalf("%d connections for three streams", n)
	}
	r.follow("/v1/sessions/s1/sse")()
	if n := r.dials.Load(); n != 2 {
		t.Errorf("%d connections for four streams of three each", n)
	}
}

// TestNoClearHTTP2: without TLS there is HTTP/1.1 only.
func TestNoClearHTTP2(t *testing.T) {
	r := newRig(t, Config{})
	for name, request := range map[string]string{
		"prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"upgrade":         "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(status, "HTTP/1.1 ") || strings.HasPrefix(status, "HTTP/1.1 101") {
			t.Errorf("%s: %q, %v", name, status, err)
		}
		_ = conn.Close()
	}
}
