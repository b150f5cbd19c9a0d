package stream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// rowLog serves pages of one prepared slice without copying: what an engine's
// cache of newest events does.
type rowLog struct {
	events []store.Event
	head   atomic.Int64
}

func newRowLog(n int) *rowLog {
	l := &rowLog{events: make([]store.Event, n)}
	data := []byte(`{"text":"` + strings.Repeat("x", 180) + `"}`)
	for i := range l.events {
		l.events[i] = store.Event{ID: int64(i + 1), Session: "s", Type: "text_delta", Turn: "r-1", Time: time.Now(), Data: data}
		l.events[i].Seal()
	}
	return l
}

func (l *rowLog) session() store.Session {
	return store.Session{ID: "s", Epoch: "e", Floor: 1, Head: l.head.Load()}
}

func (l *rowLog) Session(context.Context, string) (store.Session, error) { return l.session(), nil }

func (l *rowLog) Read(_ context.Context, _ string, q store.Query) (store.Page, error) {
	p := store.Page{Session: l.session()}
	end := min(p.Session.Head, q.After+int64(q.Limit.OrDefault().Events))
	if end > q.After {
		p.Events = l.events[q.After:end]
	}
	return p, nil
}

// BenchmarkFanout delivers each event to 1,000 watchers in this process; the
// unit is one delivery.
func BenchmarkFanout(b *testing.B) {
	for _, batch := range []int{1, 20} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			const watchers = 1000
			l := newRowLog((b.N/watchers/batch + 1) * batch)
			hub := NewHub()
			var wg sync.WaitGroup
			for range watchers {
				tail := NewTail(l, hub, "s", 0)
				wg.Go(func() {
					defer tail.Close()
					for tail.After() < int64(len(l.events)) {
						if _, err := tail.Next(context.Background(), time.Minute); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for head := int64(0); head < int64(len(l.events)); {
				head = l.head.Add(int64(batch))
				hub.Committed("s", head)
			}
			wg.Wait()
		})
	}
}

// counter tells when so many events were delivered.
type counter struct {
	noObserver
	left atomic.Int64
	done chan struct{}
	step chan struct{} // gets a token per each deliveries; or nil
	each int64
}

func (c *counter) Delivered(_ string, events, _ int) {
	if events == 0 {
		return
	}
	left := c.left.Add(-int64(events))
	if c.each > 0 && left%c.each == 0 {
		c.step <- struct{}{}
	}
	if left == 0 {
		close(c.done)
	}
}

func benchmarkSend(b *testing.B, path string) {
	l := newRowLog(b.N)
	l.head.Store(int64(b.N))
	c := &counter{done: make(chan struct{})}
	c.left.Store(int64(b.N))
	srv := New(l, NewHub(), Config{Observer: c})
	ts := httptest.NewServer(handler(srv))
	defer ts.Close()
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(l.events[0].JSON())))
	b.ReportAllocs()
	b.ResetTimer()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 1<<18))
	}()
	<-c.done
	b.StopTimer()
	conn.Close()
	<-drained
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	srv.Drain(ctx, "done", 0)
}

// BenchmarkSendWS replays a log over a WebSocket on loopback; the unit is one
// event of about 300 bytes.
func BenchmarkSendWS(b *testing.B) {
	b.Run("messages", func(b *testing.B) { benchmarkSend(b, "/v1/sessions/s/ws") })
	b.Run("batch=1", func(b *testing.B) { benchmarkSend(b, "/v1/sessions/s/ws?batch=1") })
}

// BenchmarkSendSSE does the same over an event stream.
func BenchmarkSendSSE(b *testing.B) {
	b.Run("unnamed", func(b *testing.B) { benchmarkSend(b, "/v1/sessions/s/sse") })
	b.Run("named", func(b *testing.B) { benchmarkSend(b, "/v1/sessions/s/sse?named=1") })
}

// BenchmarkReaders sends each event to 1,000 WebSocket readers on loopback;
// the unit is one delivery.
func BenchmarkReaders(b *testing.B) {
	for _, batch := range []int{1, 10} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			const readers = 1000
			l := newRowLog((b.N/readers/batch + 1) * batch)
			hub := NewHub()
			c := &counter{done: make(chan struct{}), step: make(chan struct{}, 1), each: int64(batch) * readers}
			c.left.Store(int64(len(l.events)) * readers)
			srv := New(l, hub, Config{Observer: c})
			ts := httptest.NewServer(handler(srv))
			defer ts.Close()
			var wg sync.WaitGroup
			var conns []net.Conn
			for range readers {
				conn := upgrade(b, ts.Listener.Addr().String())
				conns = append(conns, conn)
				wg.Go(func() {
					_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 4096))
				})
			}
			b.ResetTimer()
			for head := int64(0); head < int64(len(l.events)); {
				head = l.head.Add(int64(batch))
				hub.Committed("s", head)
				<-c.step
			}
			<-c.done
			b.StopTimer()
			for _, conn := range conns {
				conn.Close()
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			srv.Drain(ctx, "done", 0)
		})
	}
}

// upgrade opens a WebSocket by hand, to cost the client as little as possible.
func upgrade(b testing.TB, addr string) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(conn, "GET /started/s/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		b.Fatal(res, err)
	}
	return conn
}
