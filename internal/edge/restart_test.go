package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const (
	rounds   = 3  // restarts of each side
	perRound = 25 // events around each
)

// TestRestartsBehindProxy: the server is drained and started again, and the
// proxy is, while readers of all transports and a producer come through it. All
// of them come back, and no event is lost or comes twice.
func TestRestartsBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		c := p.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*waitMax)
		defer cancel()
		total := int64(1 + 2*rounds*2*perRound)
		var readers sync.WaitGroup
		for _, transport := range []string{"ws", "sse", "poll"} {
			readers.Go(func() {
				want, last := int64(1), "nothing"
				o := client.TailOptions{Transport: transport, OnState: func(s client.State) { last = fmt.Sprint(s.Kind, " ", s.Err) }}
				for e, err := range c.Tail(ctx, session, o) {
					if err != nil {
						t.Errorf("%s ended at event %d: %v (%s)", transport, want, err, last)
						return
					}
					if e.ID != want {
						t.Errorf("%s: event %d came where %d must", transport, e.ID, want)
						return
					}
					if want++; want > total {
						return
					}
				}
			})
		}
		producer := c.Producer(session, "producer", 1)
		n := int64(1)
		write := func() {
			for range perRound {
				a, err := producer.Append(ctx, store.Draft{Type: "text", Data: json.RawMessage(`{}`)})
				if err != nil {
					t.Fatalf("append %d: %v", n+1, err)
				}
				if n++; a.Last != n {
					t.Fatalf("append %d was stored as %d", n, a.Last)
				}
			}
		}
		for range rounds {
			write()
			r.restart(t)
			write()
			write()
			p.restart(t)
			write()
		}
		readers.Wait()
	})
}

// client is konlog's own, over the proxy; it comes back soon.
func (p *proxy) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(p.url(""), client.WithHTTPClient(p.browser(t)), client.WithRetry(client.RetryLimits{
		Attempts: 500, WaitMin: 5 * time.Millisecond, WaitMax: 100 * time.Millisecond, AttemptTimeout: 10 * time.Second,
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAddressBehindProxy: the client's address is what the proxy saw, whatever
// the client says itself, and who comes past the proxy is not believed.
func TestAddressBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		lies := map[string]string{"": "", "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-Ip": "203.0.113.9"}
		ask := func(h *http.Client, url, header, value string) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set(header, value)
			}
			res, err := h.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body) // of an answer that is only needed for the log
			_ = res.Body.Close()
			if res.StatusCode != 404 {
				t.Fatalf("%s: %s", url, res.Status)
			}
		}
		for header, value := range lies {
			path := "/nothing/" + strings.ToLower(header)
			ask(p.browser(t), p.url(path), header, value)
			if got := r.clients.from(path); got != clientAddr {
				t.Errorf("over the proxy with %s: %q is taken for the client's address, not %q", header, got, clientAddr)
			}
			path += "-past"
			const from = "127.0.0.6"
			ask(r.plain(t, from), "http://"+r.addr+path, header, value)
			if got := r.clients.from(path); got != from {
				t.Errorf("past the proxy with %s: %q is taken for the client's address, not %q", header, got, from)
			}
		}
	})
}

// TestLimitBehindProxy: streams are counted by the client's address, which
// several claimed ones do not get around, and not by the proxy's.
func TestLimitBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{Limits: api.Limits{ConnectionsPerAddress: 2}})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		open := func(from, claimed string) int {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), "GET", p.url("/v1/sessions/"+session+"/sse"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", claimed)
			res, err := r.browser(t, p.addr, from).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			return res.StatusCode
		}
		for i, want := range []int{200, 200, 429} {
			if got := open(clientAddr, fmt.Sprintf("203.0.113.%d", i)); got != want {
				t.Errorf("stream %d of one address: %d, want %d", i+1, got, want)
			}
		}
		if got := open("127.0.0.7", "203.0.113.1"); got != 200 {
			t.Errorf("another address: %d", got)
		}
	})
}

// TestOriginBehindProxy: a page of the public name may write, and one of
// another may not, though the proxy comes from loopback.
func TestOriginBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{HSTS: 24 * time.Hour})
		p := startProxy(t, r, k, idleUsual)
		h := p.browser(t)
		for origin, want := range map[string]int{"https://" + publicHost + p.port(): 201, "https://evil.example": 403, "https://" + publicHost + ".evil.example": 403} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", p.url("/v1/sessions/"+session+"/events"), strings.NewReader(`{"type":"text"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", origin)
			res, err := h.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("from %s: %s, want %d", origin, res.Status, want)
			}
			if got := res.Header.Get("Strict-Transport-Security"); got != "max-age=86400" {
				t.Errorf("the proxy speaks TLS, and Strict-Transport-Security is %q", got)
			}
		}
	})
}
