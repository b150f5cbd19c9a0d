package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// guarded lets requests through that have the token which is good now.
type guarded struct {
	http.Handler
	good    atomic.Pointer[string]
	refused atomic.Int64
}

func newGuarded(h http.Handler, good string) *guarded {
	g := &guarded{Handler: h}
	g.good.Store(&good)
	return g
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+*g.good.Load() {
		g.Handler.ServeHTTP(w, r)
		return
	}
	g.refused.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"status":401,"code":"unauthorized","detail":"no","retryable":false}`)
}

// rotating gives the tokens t1, t2 and so on, and notes what was refused.
type rotating struct {
	mu  sync.Mutex // guards what follows
	n   int
	old []string
}

func (r *rotating) next(_ context.Context, old string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.old = append(r.old, old)
	return fmt.Sprint("t", r.n), nil
}

func (r *rotating) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.old...)
}

func sum256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func withToken(c *Client, o Option) *Client { o(c); return c }

// TestTokenOnEveryTransport guards that a token goes with every stream, and
// that another is asked for once when it is refused.
func TestTokenOnEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		f := newFake(t, 300)
		f.cutMax = 100
		g := newGuarded(f, "secret")
		collect(t, withToken(newClient(t, g), WithToken("secret")), f, TailOptions{Transport: transport, NoFollow: true}, 1, 300)
		if n := g.refused.Load(); n != 0 {
			t.Errorf("%s: %d requests came without the token", transport, n)
		}

		source := &rotating{}
		g = newGuarded(f, "t2")
		collect(t, withToken(newClient(t, g), WithTokenFunc(source.next)), f, TailOptions{Transport: transport, NoFollow: true}, 1, 300)
		if asked := source.asked(); len(asked) != 2 || asked[0] != "" || asked[1] != "t1" || g.refused.Load() != 1 {
			t.Errorf("%s: asked for tokens after %q, %d refused", transport, asked, g.refused.Load())
		}
	}
}

// TestRefusedToken guards that a token which is refused, and which no other
// takes the place of, ends a tail at once.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	for _, transport := range append(transports, "auto") {
		f := newFake(t, 3)
		g := newGuarded(f, "good")
		c := withToken(newClient(t, g), WithToken("bad"))
		for _, err := range c.Tail(t.Context(), "s1", TailOptions{Transport: transport}) {
			if store.CodeOf(err) != "unauthorized" || strings.Contains(fmt.Sprint(err), "bad") {
				t.Errorf("%s: got %v", transport, err)
			}
		}
		if n := g.refused.Load(); n != 1 {
			t.Errorf("%s: %d attempts", transport, n)
		}
	}
}

// TestRequestIsSentOnceMore guards that a call whose token was refused is made
// again with another one, with the whole of its body, and not a third time.
func TestRequestIsSentOnceMore(t *testing.T) {
	t.Parallel()
	var body []byte
	g := newGuarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"session":"s1","first":1,"last":1,"count":1}`)
	}), "t2")
	source := &rotating{}
	c := withToken(newClient(t, g), WithTokenFunc(source.next))
	for range 3 {
		if _, err := c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note", Data: []byte(`{"a":1}`)}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(body, []byte(`{"a":1}`)) {
			t.Errorf("got body %s", body)
		}
	}
	if n := g.refused.Load(); n != 1 || len(source.asked()) != 2 {
		t.Errorf("%d refused, asked after %q", n, source.asked())
	}
	never := "never"
	g.good.Store(&never)
	_, err := c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note"})
	if store.CodeOf(err) != "unauthorized" || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if n := g.refused.Load(); n != 3 {
		t.Errorf("%d attempts, want 2", n-1)
	}
}

// TestBlobIsSentOnceMore guards the same for a body that can be read again from
// its beginning.
func TestBlobIsSentOnceMore(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("konlog", 1000)
	g := newGuarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"sha256":%q,"bytes":%d,"contentType":"text/plain"}`, sum256(b), len(b))
	}), "t2")
	source := &rotating{}
	c := withToken(newClient(t, g), WithTokenFunc(source.next))
	if b, _, err := c.PutBlob(t.Context(), "text/plain", strings.NewReader(content)); err != nil || b.SHA256 != sum256([]byte(content)) {
		t.Errorf("got %+v, %v", b, err)
	}
	never := "never"
	g.good.Store(&never)
	if _, _, err := c.PutBlob(t.Context(), "text/plain", strings.NewReader(content)); store.CodeOf(err) != "unauthorized" {
		t.Errorf("got %v", err)
	}
	if n := len(source.asked()); n > 2+renewalsMax {
		t.Errorf("%d tokens were asked for", n)
	}
}

// TestTokenThatCannotBeHad guards that a call ends with the reason, and that a
// tail which ran goes on trying.
func TestTokenThatCannotBeHad(t *testing.T) {
	t.Parallel()
	reason := errors.New("no such file")
	calls := 0
	c := withToken(newClient(t, newFake(t, 3)), WithTokenFunc(func(context.Context, string) (string, error) { calls++; return "", reason }))
	_, err := c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note"})
	if !errors.Is(err, reason) || !errors.Is(err, ErrToken) || errors.Is(err, ErrOutcomeUnknown) || calls != 1 {
		t.Errorf("append: %v after %d calls", err, calls)
	}
	for _, transport := range transports {
		for _, err := range c.Tail(t.Context(), "s1", TailOptions{Transport: transport}) {
			if !errors.Is(err, reason) {
				t.Errorf("%s: %v", transport, err)
			}
		}
	}
	for _, bad := range []string{"", " ", "a b", "a\nb", "tökén", strings.Repeat("x", tokenBytesMax+1)} {
		c := withToken(newClient(t, newFake(t, 3)), WithToken(bad))
		if _, err := c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note"}); !errors.Is(err, ErrToken) || len(bad) > 1 && strings.Contains(err.Error(), bad) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	f := newFake(t, 300)
	f.cutMax = 50
	g := newGuarded(f, "t1")
	n := 0
	c = withToken(newClient(t, g), WithTokenFunc(func(_ context.Context, old string) (string, error) {
		switch n++; n {
		case 1:
			return "t1", nil
		case 2, 3:
			return "", reason
		}
		return "t2", nil
	}))
	seen, second := 0, "t2"
	for _, err := range c.Tail(t.Context(), "s1", TailOptions{Transport: "ws", NoFollow: true}) {
		if err != nil {
			break // the refusal says more than the reason for which there is no other token
		}
		if seen++; seen == 1 {
			g.good.Store(&second)
		}
	}
	if n < 2 || seen == 0 {
		t.Errorf("%d events, %d calls", seen, n)
	}
}

// TestManyWantAnotherToken guards that a token which is refused for many at the
// same moment is renewed once.
func TestManyWantAnotherToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	started := make(chan struct{})
	c := withToken(newClient(t, newGuarded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"session":"s1","first":1,"last":1,"count":1}`)
	}), "new")), WithTokenFunc(func(_ context.Context, old string) (string, error) {
		if old == "" {
			return "old", nil
		}
		if asked.Add(1) == 1 {
			close(started)
		}
		return "new", nil
	}))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	<-started
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestWaitForTokenEnds guards that who waits for a token can give up.
func TestWaitForTokenEnds(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	c := withToken(newClient(t, newFake(t, 3)), WithTokenFunc(func(ctx context.Context, _ string) (string, error) {
		select {
		case <-hang:
		case <-ctx.Done():
		}
		return "", ctx.Err()
	}))
	first, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := c.token.get(first); done <- err }()
	c.token.asking <- struct{}{} // unless the first has it
	<-c.token.asking
	second, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.token.get(second); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(hang)
}

// expiring is a WebSocket server that asks for another token in mid-stream.
type expiring struct {
	t        *testing.T
	renewed  chan string // the token of the auth frame
	close    bool        // instead of waiting for it
	connects atomic.Int64
}

func (s *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.connects.Add(1)
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	send := func(text string) { _ = conn.Write(r.Context(), websocket.MessageText, []byte(text)) }
	event := func(id int) string {
		return fmt.Sprintf(`{"id":%d,"session":"s1","type":"note","time":"2026-11-20T17:24:01.123Z","data":null}`, id)
	}
	after := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("after"), &after)
	send(fmt.Sprintf(`{"type":"hello","session":"s1","epoch":"e","floor":1,"head":2,"after":%d,"heartbeatMs":10000,"status":{"state":"idle"}}`, after))
	if after == 0 {
		send(event(1))
	}
	if s.close && n == 1 {
		_ = conn.Close(closeUnauthorized, "expired")
		return
	}
	if !s.close {
		send(`{"type":"auth_expiring","graceMs":30000}`)
		send(`{"type":"auth_expiring","graceMs":30000}`)
		_, b, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var f struct{ Type, Token, Ref string }
		if err := json.Unmarshal(b, &f); err != nil || f.Type != "auth" || f.Ref == "" {
			s.t.Errorf("got %s", b)
		}
		s.renewed <- f.Token
		send(`{"type":"auth_expiring","graceMs":30000}`) // said before the token was taken: it is of the one before
		send(`{"type":"ack","ref":"` + f.Ref + `"}`)
	}
	send(event(2))
	send(`{"type":"caught_up","session":"s1","id":2}`)
	_, _, _ = conn.Read(r.Context())
}

// TestTokenIsRenewedInMidStream guards that a stream whose token is about to
// expire goes on where it is, with another one.
func TestTokenIsRenewedInMidStream(t *testing.T) {
	t.Parallel()
	s := &expiring{t: t, renewed: make(chan string, 1)}
	source := &rotating{}
	c := withToken(newClient(t, s), WithTokenFunc(source.next))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	want := int64(1)
	for e, err := range c.Tail(ctx, "s1", TailOptions{Transport: "ws", NoFollow: true}) {
		if err != nil || e.ID != want {
			t.Fatalf("got %d, %v; want %d", e.ID, err, want)
		}
		want++
	}
	if got := <-s.renewed; got != "t2" || s.connects.Load() != 1 || want != 3 {
		t.Errorf("renewed with %q, %d connections, %d events", got, s.connects.Load(), want-1)
	}
	if asked := source.asked(); len(asked) != 2 || asked[1] != "t1" {
		t.Errorf("asked after %q", asked)
	}
}

// TestStreamWhoseTokenExpired guards that a stream which was cut for its token
// goes on over a new connection, after the event that came last; and that it
// ends when there is no token to be had.
func TestStreamWhoseTokenExpired(t *testing.T) {
	t.Parallel()
	s := &expiring{t: t, close: true}
	c := withToken(newClient(t, s), WithTokenFunc((&rotating{}).next))
	want := int64(1)
	for e, err := range c.Tail(t.Context(), "s1", TailOptions{Transport: "ws", NoFollow: true}) {
		if err != nil || e.ID != want {
			t.Fatalf("got %d, %v; want %d", e.ID, err, want)
		}
		want++
	}
	if s.connects.Load() != 2 || want != 3 {
		t.Errorf("%d connections, %d events", s.connects.Load(), want-1)
	}
	var last error
	for _, last = range newClient(t, &expiring{t: t, close: true}).Tail(t.Context(), "s1", TailOptions{Transport: "ws"}) {
	}
	if store.CodeOf(last) != "unauthorized" {
		t.Errorf("without a token: %v", last)
	}
}

// TestClientIsNotPrinted guards that printing a client shows no credential.
func TestClientIsNotPrinted(t *testing.T) {
	t.Parallel()
	c, err := New("http://user:hunter2@localhost:1/p?q=hunter2", WithToken("hunter2"), WithHeader("X-Key", "hunter2"), WithRetry(RetryLimits{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.token.get(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, c, c.token)
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "http://localhost:1/p") {
		t.Errorf("got %s", text)
	}
	_, err = c.Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "note"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// TestRedirectKeepsTheTokenSafe guards that no redirect has the token sent in
// the clear, or to somebody else.
func TestRedirectKeepsTheTokenSafe(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	defer plain.Close()
	safe := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer safe.Close()
	c, err := New(safe.URL, WithToken("secret"), WithRetry(RetryLimits{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.own.TLSClientConfig = safe.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := c.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("got %v", err)
	}
	select {
	case header := <-got:
		t.Errorf("it came to the other with %q", header)
	default:
	}
	many := httptest.NewServer(nil)
	defer many.Close()
	many.Config.Handler = http.RedirectHandler(many.URL, http.StatusTemporaryRedirect)
	c2, err := New(many.URL, WithRetry(RetryLimits{Attempts: 1, AttemptTimeout: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	if _, err := c2.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("got %v", err)
	}
}
