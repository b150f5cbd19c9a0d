package parity

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// sendBuffer is the kernel's share of what a stopped reader holds. Left to the
// kernel it would be megabytes, and no write would ever wait.
const sendBuffer = 64 << 10

// rig is the real server over the real engine, in this process.
type rig struct {
	log    *sqlite.Log
	addr   string
	url    string
	direct *client.Client // past every proxy
}

func newRig(t *testing.T, o sqlite.Options, cfg api.Config) *rig {
	t.Helper()
	hub := stream.NewHub()
	o.Committed = hub.Committed
	log, err := sqlite.Open(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := api.New(log, hub, cfg)
	h := &http.Server{Handler: s.Handler()}
	s.ConfigureHTTP(h)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(smallBuffers{l}) // ErrServerClosed, when the test ends
	}()
	r := &rig{log: log, addr: l.Addr().String(), url: "http://" + l.Addr().String()}
	r.direct = newClient(t, r.url, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.Drain(ctx, 0)
		_ = h.Close()
		<-served
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// smallBuffers bounds the send buffer of every connection.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(sendBuffer)
	}
	return c, err
}

func newClient(t *testing.T, url string, h *http.Client) *client.Client {
	t.Helper()
	o := []client.Option{client.WithRetry(client.RetryLimits{
		Attempts: 500, WaitMin: 5 * time.Millisecond, WaitMax: 100 * time.Millisecond, AttemptTimeout: time.Second,
	})}
	if h != nil {
		o = append(o, client.WithHTTPClient(h))
	}
	c, err := client.New(url, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// impatient is an HTTP client for polls: its connections break when nothing
// has come for a while. Streams have heartbeats and need none of it.
func impatient(t *testing.T, silence time.Duration) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &silentConn{c, silence}, nil
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

type silentConn struct {
	net.Conn
	max time.Duration
}

func (c *silentConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.max)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// readLog reads a whole session over REST, as bytes in the order of ids, and
// the id before the first of them.
func (r *rig) readLog(t *testing.T, session string, raw bool) (log [][]byte, before int64) {
	t.Helper()
	first := true
	for after := int64(0); ; {
		p, err := r.direct.Read(t.Context(), session, client.PageQuery{After: after, Raw: raw})
		if err != nil {
			t.Fatal(err)
		}
		if first {
			before, after, first = p.Floor-1, p.Floor-1, false
		}
		for _, e := range p.Events {
			if after++; e.ID != after {
				t.Fatalf("%s: the log has event %d where %d must be", session, e.ID, after)
			}
			log = append(log, e.JSON)
		}
		if p.CaughtUp {
			return log, before
		}
	}
}

// append stores n small events of some size.
func (r *rig) append(t *testing.T, session string, n, size int) {
	t.Helper()
	drafts := make([]store.Draft, n)
	for i := range drafts {
		drafts[i] = store.Draft{Type: "text_delta", Data: []byte(`{"fill":"` + string(bytes.Repeat([]byte("x"), size)) + `"}`)}
	}
	if _, err := r.direct.Append(t.Context(), session, client.AppendOptions{}, drafts...); err != nil {
		t.Fatal(err)
	}
}

// same holds what a reader got against the log.
func same(t *testing.T, who string, got, log [][]byte) {
	t.Helper()
	for i := range min(len(got), len(log)) {
		if !bytes.Equal(got[i], log[i]) {
			t.Errorf("%s: event number %d is not the log's\n got %.300s\nwant %.300s", who, i+1, got[i], log[i])
			return
		}
	}
	if len(got) != len(log) {
		t.Errorf("%s: got %d events, the log has %d", who, len(got), len(log))
	}
}

func seedFromEnv(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("KONLOG_PARITY_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("KONLOG_PARITY_SEED=%q is not a number", v)
		}
		seed = n
	}
	t.Logf("KONLOG_PARITY_SEED=%d", seed)
	return seed
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
