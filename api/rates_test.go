package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// holding returns a context that carries a pass with the id.
func holding(id string) context.Context {
	g := access.Local
	g.ID = id
	return access.With(context.Background(), access.NewPass(g, nil))
}

// from is a request of a client at the address.
func from(addr string) *http.Request {
	r := httptest.NewRequest("GET", "/v1/sessions", nil)
	r.RemoteAddr = addr
	return r
}

func testRates(t *testing.T, r Rates) (*rates, map[string]int) {
	t.Helper()
	hub := newHub()
	log := newFaultyLog(hub)
	t.Cleanup(func() { _ = log.Close() })
	counted := map[string]int{}
	return newRates(r, BodyBytesDefault, log, func(limit string) { counted[limit]++ }, make(chan struct{})), counted
}

func wantLimit(t *testing.T, err error, limit string, code store.Code) *limitError {
	t.Helper()
	limited, ok := asLimit(err)
	if !ok || limited.limit != limit || store.CodeOf(err) != code {
		t.Fatalf("got %v, want %s by limit %s", err, code, limit)
	}
	return limited
}

func TestRatesArePerCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, counted := testRates(t, Rates{Requests: 10, RequestsBurst: 5})
		for range 5 {
			if err := rt.ofCredential(holding("key:a")); err != nil {
				t.Fatal(err)
			}
		}
		limited := wantLimit(t, rt.ofCredential(holding("key:a")), limitRequests, codeRateLimited)
		if limited.after != 100*time.Millisecond || limited.retryAfter(9) != "1" {
			t.Errorf("come again after %v, Retry-After %s", limited.after, limited.retryAfter(9))
		}
		if err := rt.ofCredential(holding("key:b")); err != nil {
			t.Errorf("another credential: %v", err)
		}
		for range 100 { // nobody without a credential meets it
			if err := rt.ofCredential(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		if err := rt.ofCredential(holding("key:a")); err != nil {
			t.Errorf("after the time that was said: %v", err)
		}
		if counted[limitRequests] != 1 {
			t.Errorf("counted %v", counted)
		}
	})
}

func TestRatesArePerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := testRates(t, Rates{AddressRequests: 1, AddressRequestsBurst: 3})
		for i := range 3 { // one /64 is one client, whatever address of it
			if err := rt.ofAddress(from("[2001:db8::" + strconv.Itoa(i+1) + "]:4711")); err != nil {
				t.Fatal(err)
			}
		}
		wantLimit(t, rt.ofAddress(from("[2001:db8::ffff]:1")), limitAddressRequests, codeRateLimited)
		for _, other := range []string{"[2001:db8:0:1::1]:1", "192.0.2.1:1", "127.0.0.1:1", "[::1]:1"} {
			if err := rt.ofAddress(from(other)); err != nil {
				t.Errorf("%s: %v", other, err)
			}
		}
		local, _ := testRates(t, Rates{AddressRequests: 1, AddressRequestsBurst: 1, Local: true})
		_ = local.ofAddress(from("127.0.0.1:1"))
		wantLimit(t, local.ofAddress(from("127.0.0.1:2")), limitAddressRequests, codeRateLimited)
	})
}

// Guessing is slowed down before a credential is looked at; neighbours who
// came before with theirs are not locked out, and nobody is for long.
func TestFailuresSlowGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, counted := testRates(t, Rates{Failures: 1, FailuresBurst: 3})
		office := from("203.0.113.7:4711")
		try := func(token string, good bool) error {
			err := rt.mayTry(office, token)
			if err == nil {
				rt.tried(office, token, good)
			}
			return err
		}
		if err := try("neighbour", true); err != nil {
			t.Fatal(err)
		}
		looked := 0
		for n := range 1000 {
			if try("guess"+strconv.Itoa(n), false) == nil {
				looked++
			}
		}
		if looked != 3 {
			t.Errorf("%d guesses of 1000 were looked at, want the burst of 3", looked)
		}
		limited := wantLimit(t, rt.mayTry(office, "new"), limitFailures, codeRateLimited)
		if err := try("neighbour", true); err != nil {
			t.Errorf("the neighbour's right credential: %v", err)
		}
		if err := rt.mayTry(from("203.0.113.8:1"), "new"); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(limited.after)
		if err := try("new", true); err != nil {
			t.Errorf("a right one after the time that was said: %v", err)
		}
		if rt.tried(office, "neighbour", false); len(rt.known.newer) != 1 {
			t.Error("a credential that was refused is still known")
		}
		if counted[limitFailures] < 997 {
			t.Errorf("counted %v", counted)
		}
	})
}

func TestBytesRefuseAndPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := testRates(t, Rates{Bytes: 1 << 20, BytesBurst: 1})
		ctx := holding("key:a")
		if err := rt.ofBytes(ctx, BodyBytesDefault); err != nil {
			t.Fatalf("the largest body can never be sent: %v", err)
		}
		limited := wantLimit(t, rt.ofBytes(ctx, 1<<20), limitBytes, codeRateLimited)
		if limited.after != time.Second {
			t.Errorf("1 MiB at 1 MiB/s: after %v", limited.after)
		}
		start := time.Now()
		body := rt.body(ctx, bytes.NewReader(make([]byte, 3<<20)).Read, false)
		if n, err := io.Copy(io.Discard, body); n != 3<<20 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("3 MiB at 1 MiB/s took %v", took)
		}
	})
}

// A paced body does not outlast the server or its request.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := testRates(t, Rates{Bytes: 1, BytesBurst: 1, Local: true})
		stopped := make(chan struct{})
		rt.stopped = stopped
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		rt.pace(ctx, 1<<30)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("waited %v for a request that ended after 2s", took)
		}
		time.AfterFunc(3*time.Second, func() { close(stopped) })
		rt.pace(context.Background(), 1<<30)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %v for a server that stopped after 5s", took)
		}
	})
}

func TestSessionsPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := testRates(t, Rates{SessionsPerHour: 2})
		ctx := holding("key:a")
		make := func(id string) error {
			err := rt.mayCreate(ctx, id)
			if err == nil {
				_, _, err = rt.log.CreateSession(ctx, id, store.SessionSpec{})
			}
			return err
		}
		for _, id := range []string{"a", "b", "a"} { // the third is there already
			if err := make(id); err != nil {
				t.Fatal(err)
			}
		}
		limited := wantLimit(t, make("c"), limitSessionsPerHour, codeTooManySessions)
		if err := make("b"); err != nil {
			t.Errorf("one that is there: %v", err)
		}
		if err := rt.mayCreate(holding("key:b"), "c"); err != nil {
			t.Errorf("another credential: %v", err)
		}
		time.Sleep(limited.after)
		if err := make("c"); err != nil {
			t.Errorf("after %v: %v", limited.after, err)
		}
	})
}

func TestConnectionsAndSubscriptionsPerCredential(t *testing.T) {
	rt, _ := testRates(t, Rates{ConnectionsPerCredential: 1, SubscriptionsPerCredential: 1})
	conns := newConnections(10, 10)
	conns.rates = rt
	leave, err := conns.enter(from("192.0.2.1:1").WithContext(holding("key:a")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = conns.enter(from("192.0.2.2:1").WithContext(holding("key:a")))
	wantLimit(t, err, limitPerCredential, codeTooManyConnections)
	if conns.count() != 1 {
		t.Errorf("a refused connection holds a place: %d", conns.count())
	}
	leave()
	if leave, err = conns.enter(from("192.0.2.1:1").WithContext(holding("key:a"))); err != nil {
		t.Errorf("after it was left: %v", err)
	}
	leave()

	one := rt.ofClient(holding("key:a"))
	unsubscribe, err := one.Subscribed()
	if err != nil {
		t.Fatal(err)
	}
	_, err = rt.ofClient(holding("key:a")).Subscribed()
	wantLimit(t, err, limitSubscriptions, stream.CodeTooManySubscriptions)
	unsubscribe()
	if _, err = one.Subscribed(); err != nil {
		t.Errorf("after it was left: %v", err)
	}
	if rt.ofClient(context.Background()) != nil {
		t.Error("one without a credential is bounded")
	}
}

func TestFramesAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, counted := testRates(t, Rates{Frames: 100, FramesBurst: 100, Requests: 2, RequestsBurst: 2})
		l := rt.ofClient(holding("key:a"))
		start := time.Now()
		for range 30 {
			l.Received(context.Background(), 10, 60)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("300 frames at 100/s after a burst of 100 took %v", took)
		}
		start = time.Now()
		for range 6 {
			l.Asked(context.Background())
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("6 commands at 2/s after a burst of 2 took %v", took)
		}
		if counted[limitFrames] == 0 || counted[limitRequests] == 0 {
			t.Errorf("counted %v", counted)
		}
	})
}

// What a credential is refused counts, too: the names of sessions are not to be
// guessed without end.
func TestRefusedRequestsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{Rates: Rates{Requests: 1, RequestsBurst: 2}})
	limited := false
	for range 100 {
		r := httptest.NewRequest("GET", "/v1/sessions/theirs-guess", nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", "Bearer "+tokenOf("reader"))
		a := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(a, r)
		if limited = a.Code == 429; limited {
			break
		}
		if a.Code != 404 {
			t.Fatalf("answered %d %s", a.Code, a.Body)
		}
	}
	if !limited {
		t.Error("a hundred guesses reach no limit")
	}
}

// Whoever reaches a limit over HTTP is told which, when to come again, and is
// counted.
func TestLimitAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Rates: Rates{Local: true, Requests: 1, RequestsBurst: 2}})
	a := r.get("/v1/sessions")
	for range 100 { // on a slow machine some are given back meanwhile
		if a.status == 429 {
			break
		}
		a = r.get("/v1/sessions")
	}
	p := wantCode(t, a, 429, codeRateLimited)
	if p.Limit != limitRequests || !p.Retryable {
		t.Errorf("problem %s", a.body)
	}
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || s < 1 {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if !strings.Contains(metricsOf(t, r.api), `konlog_limited_total{limit="requests"} 1`) {
		t.Error("the metric does not count it")
	}
}

func metricsOf(t *testing.T, s *Server) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.metrics.http.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// All routes by which a session can come into being know the limit.
func TestSessionsPerHourOnEveryRoute(t *testing.T) {
	r := newRig(t, Config{Shells: &fakeShells{}, Rates: Rates{Local: true, SessionsPerHour: 1}})
	wantStatus(t, r.post("/v1/sessions/first/events", `{"type":"a"}`), 201)
	for _, try := range []struct{ method, path, body, contentType string }{
		{"POST", "/v1/sessions/x/events", `{"type":"a"}`, "application/json"},
		{"POST", "/v1/sessions/x/events", `{"type":"a"}` + "\n", "application/x-ndjson"},
		{"POST", "/v1/sessions", `{}`, "application/json"},
		{"POST", "/v1/shells", `{"session":"x"}`, "application/json"},
		{"PUT", "/v1/sessions/x", `{}`, "application/json"},
		{"POST", "/v1/sessions/first/fork", `{"after":1,"session":"x"}`, "application/json"},
		{"POST", "/v1/sessions/x/prompts", `{"text":"hi"}`, "application/json"},
		{"PUT", "/v1/kontasks/k", `{"session":"x","status":"ready"}`, "application/json"},
		{"POST", "/v1/sessions/x/import", `{"id":1,"type":"a","time":"2026-11-20T17:24:01Z","data":null}` + "\n", "application/x-ndjson"},
		{"POST", "/api/console/inject", `{"session":"x","text":"hi"}`, "application/json"},
	} {
		a := r.do(try.method, try.path, strings.NewReader(try.body), "Content-Type", try.contentType)
		if p := a.problem(t); a.status != 429 || p.Code != codeTooManySessions || p.Limit != limitSessionsPerHour {
			t.Errorf("%s %s: %s", try.method, try.path, a.body)
		}
		if r.head("x") >= 0 {
			t.Fatalf("%s %s made the session", try.method, try.path)
		}
	}
	wantStatus(t, r.post("/v1/sessions/first/events", `{"type":"a"}`), 201)
}

// Bodies that do not end hold no more memory together than they may, and give
// it back.
func TestIntakeIsBounded(t *testing.T) {
	r := newRig(t, Config{Rates: Rates{IntakeBytes: 1 << 20}})
	hold := r.api.rates.intake.Hold()
	if !hold.Grow(900 << 10) {
		t.Fatal("900 KiB of 1 MiB were refused")
	}
	large := `{"type":"a","data":"` + strings.Repeat("x", 400<<10) + `"}`
	for _, contentType := range []string{"application/json", "application/x-ndjson"} {
		a := r.post("/v1/sessions/s1/events", large, "Content-Type", contentType)
		if p := wantCode(t, a, 429, codeRateLimited); p.Limit != limitIntake {
			t.Errorf("%s: %s", contentType, a.body)
		}
	}
	wantStatus(t, r.post("/v1/sessions/s1/events", `{"type":"a"}`), 201) // small ones always fit
	hold.Release()
	for _, contentType := range []string{"application/json", "application/x-ndjson"} {
		wantStatus(t, r.post("/v1/sessions/s1/events", large, "Content-Type", contentType), 201)
	}
	if used := r.api.rates.intake.Used(); used != 0 {
		t.Errorf("%d bytes are held after all", used)
	}
}

// pipeListener gives out connections whose peers have the given addresses.
type pipeListener struct{ next chan net.Conn }

type addrConn struct {
	net.Conn
	addr   net.Addr
	closed chan struct{}
}

func (c addrConn) RemoteAddr() net.Addr { return c.addr }
func (c addrConn) Close() error         { close(c.closed); return c.Conn.Close() }

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.next
	if !ok {
		return nil, errors.New("closed")
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestSocketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proxy := netip.MustParsePrefix("198.51.100.9/32")
		s := New(newFaultyLog(newHub()), newHub(), Config{TrustedProxies: []netip.Prefix{proxy}, Rates: Rates{Sockets: 6, SocketsPerAddress: 2, NewSockets: 1, NewSocketsBurst: 3}})
		in := pipeListener{make(chan net.Conn)}
		l := s.LimitListener(in)
		accepted := make(chan net.Conn)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		defer close(in.next)
		dial := func(addr string) (c net.Conn) {
			a, _ := net.Pipe()
			raw := addrConn{a, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), make(chan struct{})}
			in.next <- raw
			select {
			case c = <-accepted:
				return c
			case <-raw.closed:
				return nil
			}
		}
		first := dial("192.0.2.1:1")
		if first == nil || dial("192.0.2.1:2") == nil {
			t.Fatal("two of an address were refused")
		}
		if dial("192.0.2.1:3") != nil {
			t.Error("a third of one address was let in")
		}
		if dial("192.0.2.1:4") != nil {
			t.Error("a fourth in a moment was let in")
		}
		time.Sleep(time.Second)
		_ = first.Close()
		_ = first.(*socket).CloseWrite()
		if again := dial("192.0.2.1:5"); again == nil {
			t.Error("after one was closed, none was let in")
		}
		for i := range 4 { // a proxy and loopback are bounded in all only
			addr := []string{"198.51.100.9:1", "198.51.100.9:2", "198.51.100.9:3", "127.0.0.1:1"}[i]
			if dial(addr) == nil {
				t.Errorf("%s was refused", addr)
			}
		}
		if dial("127.0.0.1:9") != nil {
			t.Error("a seventh in all was let in")
		}
		text := metricsOf(t, s)
		for _, want := range []string{`limit="sockets"} 1`, `limit="sockets-per-address"} 1`, `limit="new-sockets"} 1`} {
			if !strings.Contains(text, "konlog_limited_total{"+want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
	})
}

// Whoever sends no credential shares none with others: a stranger cannot use up
// what a health check needs.
func TestStrangersShareNoLimit(t *testing.T) {
	r := newRig(t, Config{Rates: Rates{Local: true, Requests: 1, RequestsBurst: 1}})
	for range 5 {
		wantStatus(t, r.get("/healthz"), 200)
		wantStatus(t, r.get("/readyz"), 200)
	}
	w := newWorld(t, Config{Rates: Rates{Local: true, Requests: 1, RequestsBurst: 1}})
	for range 5 {
		a := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/health/realtime", nil)
		req.Host = "localhost"
		w.api.Handler().ServeHTTP(a, req)
		if a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
}

// A body that is read for long belongs to a credential that holds.
func TestBodyOfARevokedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := testRates(t, Rates{})
		keys := newKeyring()
		g, err := keys.Verify(t.Context(), tokenOf("both"))
		if err != nil {
			t.Fatal(err)
		}
		b := rt.body(access.With(t.Context(), access.NewPass(g, keys)), func(p []byte) (int, error) { return copy(p, "x"), nil }, false)
		read := func() error {
			_, err := b.Read(make([]byte, 10))
			return err
		}
		time.Sleep(bodyAsks)
		if err := read(); err != nil {
			t.Fatal(err)
		}
		keys.revoke("key:both")
		if err := read(); err != nil {
			t.Errorf("it is asked for each byte: %v", err)
		}
		time.Sleep(bodyAsks)
		if err := read(); store.CodeOf(err) != access.CodeUnauthorized {
			t.Errorf("a revoked key goes on: %v", err)
		}
	})
}
