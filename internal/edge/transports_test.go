package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

const (
	session   = "edge"
	steps     = 20
	lineMax   = 1 << 20
	waitMax   = 30 * time.Second // for what must come and comes at once
	idleUsual = 60 * time.Second // the proxies' own
)

// within gives the test's context a bound: what is held back by a buffer never comes.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	t.Cleanup(cancel)
	return ctx
}

// TestWebSocketBehindProxy: an upgrade passes, beside HTTP/2, and each event
// arrives before the next one is appended.
func TestWebSocketBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		ctx := within(t)
		ws, res, err := websocket.Dial(ctx, p.url("/v1/sessions/"+session+"/ws?after=0"), &websocket.DialOptions{HTTPClient: p.browser(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		if got := res.Header.Get(stream.TransportHeader); got != stream.WebSocket {
			t.Errorf("the transport is %q", got)
		}
		next := eventsOf(func() ([]byte, error) { _, b, err := ws.Read(ctx); return b, err })
		inOrder(t, r, next)
		// What a client sends arrives as it is sent, too.
		if err := ws.Write(ctx, websocket.MessageText, []byte(`{"type":"append","ref":"r1","events":[{"type":"text","data":{}}]}`)); err != nil {
			t.Fatal(err)
		}
		if id, err := next(); err != nil || id != steps+1 {
			t.Errorf("an appended frame came back as %d, %v", id, err)
		}
	})
}

// TestSSEBehindProxy: nothing on the way collects events before it sends them.
func TestSSEBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		res := p.get(t, within(t), "/v1/sessions/"+session+"/sse?after=0")
		if res.Header.Get(stream.TransportHeader) != stream.SSE || res.Header.Get("Cache-Control") != "no-store, no-transform" {
			t.Errorf("headers %v", res.Header)
		}
		events := sse.NewReader(res.Body, lineMax)
		inOrder(t, r, eventsOf(func() ([]byte, error) { e, err := events.Next(); return e.Data, err }))
	})
}

// TestStoppedReaderBehindProxy: a reader that takes in nothing is cut, though
// the proxy is in between, and does not collect a log on the proxy's disk. The
// file sees to that alone, and where nginx was left to collect, konlog's own
// word to it does.
func TestStoppedReaderBehindProxy(t *testing.T) {
	for _, k := range kinds {
		if k.collects == nil { // it never does
			continue
		}
		t.Run("ByTheFile", func(t *testing.T) {
			k.run(t, func(t *testing.T, k kind) { stopReading(t, k, k.alone) })
		})
		t.Run("ByTheAnswer", func(t *testing.T) {
			k.run(t, func(t *testing.T, k kind) { stopReading(t, k, k.collects) })
		})
	}
}

// stopReading opens an event stream of more than sockets hold and takes in
// only how it begins.
func stopReading(t *testing.T, k kind, more []string) {
	t.Helper()
	r := newRig(t, api.Config{Stream: stream.Config{WriteTimeout: time.Second}})
	p := startProxy(t, r, k, idleUsual, more...)
	drafts := make([]store.Draft, 12)
	for i := range drafts {
		drafts[i] = store.Draft{Type: "fill", Data: []byte(`{"x":"` + strings.Repeat("x", 1_000_000) + `"}`)}
	}
	if _, err := r.direct.Append(t.Context(), session, client.AppendOptions{}, drafts...); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if err := tcp.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(tcp, &tls.Config{RootCAs: r.roots, ServerName: publicHost, MinVersion: tls.VersionTLS12})
	ctx := within(t)
	if _, err := fmt.Fprintf(conn, "GET /v1/sessions/%s/sse?after=0 HTTP/1.1\r\nHost: %s%s\r\n\r\n", session, publicHost, p.port()); err != nil {
		t.Fatal(err)
	}
	if status, err := bufio.NewReaderSize(conn, 16).ReadString(' '); err != nil || status != "HTTP/1.1 " {
		t.Fatalf("%q, %v", status, err)
	}
	r.waitFor(t, ctx, stream.SSE, 0)
}

// inOrder appends an event only after the one before was seen.
func inOrder(t *testing.T, r *rig, next func() (int64, error)) {
	t.Helper()
	for want := int64(1); want <= steps; want++ {
		id, err := next()
		if err != nil {
			t.Fatalf("event %d was not seen before the next one was to be appended: %v", want, err)
		}
		if id != want {
			t.Fatalf("event %d came where %d must", id, want)
		}
		if want < steps {
			r.append(t, session, "more")
		}
	}
}

// eventsOf gives the ids of the events among the frames.
func eventsOf(read func() ([]byte, error)) func() (int64, error) {
	var lines [][]byte
	return func() (int64, error) {
		for {
			for len(lines) > 0 {
				var e struct {
					ID   int64
					Type string
				}
				line := lines[0]
				lines = lines[1:]
				if json.Unmarshal(line, &e) == nil && e.Type == "text" {
					return e.ID, nil
				}
			}
			b, err := read()
			if err != nil {
				return 0, err
			}
			lines = bytes.Split(bytes.Clone(b), []byte("\n"))
		}
	}
}

// get asks the proxy. The body is closed with the test.
func (p *proxy) get(t *testing.T, ctx context.Context, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", p.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.ProtoMajor != 2 {
		t.Errorf("%s does not speak HTTP/2 to the client: %s", p.kind.name, res.Proto)
	}
	if res.StatusCode != 200 {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %s %s", path, res.Status, b)
	}
	return res
}

// TestPollBehindProxy: a poll waits through the proxy and ends when there is news.
func TestPollBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		h, ctx := p.browser(t), within(t)
		type answer struct {
			body string
			err  error
		}
		for n := int64(1); n <= 3; n++ {
			got := make(chan answer, 1)
			go func() {
				req, err := http.NewRequestWithContext(ctx, "GET", p.url(fmt.Sprintf("/v1/sessions/%s/events?after=%d&wait=25", session, n)), nil)
				if err != nil {
					got <- answer{err: err}
					return
				}
				res, err := h.Do(req)
				if err != nil {
					got <- answer{err: err}
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				got <- answer{string(b), err}
			}()
			r.waitFor(t, ctx, stream.Poll, 1)
			if id := r.append(t, session, "news"); id != n+1 {
				t.Fatalf("appended %d", id)
			}
			a := <-got
			if a.err != nil || !strings.Contains(a.body, fmt.Sprintf(`"id":%d,`, n+1)) {
				t.Fatalf("the poll after %d brought %s, %v", n, a.body, a.err)
			}
		}
	})
}

// waitFor returns when so many readers of the transport are on the server.
func (r *rig) waitFor(t *testing.T, ctx context.Context, transport string, n int) {
	t.Helper()
	for {
		h, err := r.direct.Health(ctx)
		if err == nil && h.Connections[transport] == n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v readers, want %d; %v", transport, h.Connections, n, err)
		case <-time.After(5 * time.Millisecond): // no event says who is on a server
		}
	}
}

// TestLargeBodiesBehindProxy: what konlog takes, the proxy takes.
func TestLargeBodiesBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		c, err := client.New(p.url(""), client.WithHTTPClient(p.browser(t)), client.WithRetry(client.RetryLimits{Attempts: 1}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		drafts := make([]store.Draft, batchEvents)
		for i := range drafts {
			drafts[i] = store.Draft{Type: "text", Data: []byte(`{"text":"` + strings.Repeat("x", 980_000) + `"}`)}
		}
		a, err := c.Append(t.Context(), session, client.AppendOptions{}, drafts...)
		if err != nil || a.Last != int64(len(drafts)) {
			t.Fatalf("append %+v, %v", a, err)
		}
		content := make([]byte, blobBytes)
		if _, err := rand.Read(content); err != nil {
			t.Fatal(err)
		}
		b, _, err := c.PutBlob(t.Context(), "application/octet-stream", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		res := p.get(t, t.Context(), "/v1/blobs/"+b.SHA256)
		back, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(back, content) {
			t.Errorf("the blob came back with %d bytes, %v", len(back), err)
		}
		// The longest cursors make URLs of about 20 KB.
		p.get(t, t.Context(), "/v1/sessions/"+session+"?x="+strings.Repeat("a", 20_000))
	})
}

// TestUploadBehindProxy: a streamed body is passed on line by line. Each line
// is in the log before the next one is written.
func TestUploadBehindProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		r := newRig(t, api.Config{})
		p := startProxy(t, r, k, idleUsual)
		r.append(t, session, "first")
		ctx := within(t)
		watch, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/v1/sessions/"+session+"/ws?after=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.CloseNow()
		next := eventsOf(func() ([]byte, error) { _, b, err := watch.Read(ctx); return b, err })
		body, lines := io.Pipe()
		defer lines.Close()
		req, err := http.NewRequestWithContext(ctx, "POST", p.url("/v1/sessions/"+session+"/events"), body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		done := make(chan error, 1)
		h := p.browser(t)
		go func() {
			res, err := h.Do(req)
			if err == nil {
				var b []byte
				b, err = io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err == nil && res.StatusCode != 201 {
					err = fmt.Errorf("%s %s", res.Status, b)
				}
			}
			_ = body.CloseWithError(err) // a refused body must not leave the writer waiting
			done <- err
		}()
		for want := int64(2); want <= steps; want++ {
			if _, err := fmt.Fprintf(lines, `{"type":"text","data":{"n":%d}}`+"\n", want); err != nil {
				t.Fatalf("line %d: %v", want, err)
			}
			if id, err := next(); err != nil || id != want {
				t.Fatalf("line %d was not stored before the next was written: %d, %v", want, id, err)
			}
		}
		_ = lines.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Times of silence. Heartbeats must come often within the proxy's patience.
const (
	idleShort = 3 * time.Second
	beatShort = 300 * time.Millisecond
	beatsOver = 20 // heartbeats in a row last for twice the proxy's patience
)

// TestSilenceBehindProxy: heartbeats keep what says nothing open for longer
// than the proxy waits, and it does wait no longer: without them it cuts.
func TestSilenceBehindProxy(t *testing.T) {
	long.Only(t)
	eachProxy(t, func(t *testing.T, k kind) {
		t.Run("Heartbeats", func(t *testing.T) {
			r := newRig(t, api.Config{Stream: stream.Config{Heartbeat: beatShort}})
			p := startProxy(t, r, k, idleShort)
			r.append(t, session, "first")
			ctx := within(t)
			pings := 0
			beat := make(chan struct{})
			ws, _, err := websocket.Dial(ctx, p.url("/v1/sessions/"+session+"/ws?after=1"), &websocket.DialOptions{HTTPClient: p.browser(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			go func() {
				defer close(beat)
				for pings < beatsOver {
					if _, b, err := ws.Read(ctx); err != nil {
						return
					} else if bytes.Contains(b, []byte(`"type":"ping"`)) {
						if ws.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`)) != nil {
							return
						}
						pings++
					}
				}
			}()
			res := p.get(t, ctx, "/v1/sessions/"+session+"/sse?after=1")
			lines := bufio.NewReader(res.Body)
			for n := 0; n < beatsOver; {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("the event stream was cut after %d heartbeats: %v", n, err)
				}
				if strings.HasPrefix(line, ": beat") {
					n++
				}
			}
			if <-beat; pings < beatsOver {
				t.Fatalf("the WebSocket was cut after %d heartbeats", pings)
			}
			r.append(t, session, "news") // both still bring what comes
			event := func() error {
				for {
					line, err := lines.ReadString('\n')
					if err != nil || strings.HasPrefix(line, "id: 2") {
						return err
					}
				}
			}
			if err := event(); err != nil {
				t.Errorf("the event stream: %v", err)
			}
			if id, err := eventsOf(func() ([]byte, error) { _, b, err := ws.Read(ctx); return b, err })(); err != nil || id != 2 {
				t.Errorf("the WebSocket: %d, %v", id, err)
			}
		})
		if k.name == "Caddy" { // which does not cut what is silent
			return
		}
		t.Run("None", func(t *testing.T) {
			r := newRig(t, api.Config{Stream: stream.Config{Heartbeat: time.Hour}})
			p := startProxy(t, r, k, time.Second)
			r.append(t, session, "first")
			ctx := within(t)
			res := p.get(t, ctx, "/v1/sessions/"+session+"/sse?after=1")
			if _, err := io.Copy(io.Discard, res.Body); ctx.Err() != nil {
				t.Errorf("without heartbeats the stream was not cut (%v): this test proves nothing", err)
			}
		})
	})
}
