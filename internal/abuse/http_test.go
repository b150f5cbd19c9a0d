package abuse

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
)

// A connection costs this much: buffers of net/http and the stacks of its
// goroutines, on both sides, which here are in one process.
const perConnection = 64 << 10

// socketsMax is what the settings let one attacker and the ordinary ones have.
func socketsMax() int64 { return int64(settings().Rates.SocketsPerAddress) + 10 }

// connectionsHeap is what so many may keep in memory.
func connectionsHeap() int64 { return socketsMax() * perConnection }

// A header that comes a byte at a time is cut at timeouts.header, not at its
// end.
func TestSlowHeaders(t *testing.T) {
	tg := newTarget(t, func(c *api.Config) { c.Limits.HeaderTimeout = 500 * time.Millisecond })
	var cut, lasted atomic.Int64
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax(), last: 1200 * time.Millisecond}, func(ctx context.Context) {
		crowd(ctx, 200, func(ctx context.Context, _ int) {
			c, err := tg.dial()
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			begun := time.Now()
			for _, b := range []byte(tg.head("GET", "/v1/sessions") + "X-Filler: " + strings.Repeat("x", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					if ctx.Err() == nil {
						cut.Add(1)
						lasted.Store(max(lasted.Load(), int64(time.Since(begun))))
					}
					return
				}
				pause(ctx, 20*time.Millisecond)
			}
		})
	})
	if cut.Load() == 0 {
		t.Error("no header that trickled was cut")
	}
}

// A body that trickles is answered or cut at timeouts.body; a streamed one when
// nothing comes for timeouts.line.
func TestSlowBodies(t *testing.T) {
	tg := newTarget(t, func(c *api.Config) { c.Limits.BodyTimeout, c.Limits.LineTimeout = 2*time.Second, time.Second })
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax(), last: 1200 * time.Millisecond}, func(ctx context.Context) {
		crowd(ctx, 100, func(ctx context.Context, i int) {
			c, err := tg.dial()
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			contentType := []string{"application/json", "application/x-ndjson"}[i%2]
			_, _ = io.WriteString(c, tg.head("POST", "/v1/sessions/slow/events", "Content-Type: "+contentType, "Content-Length: 1000000")+"\r\n")
			for range 1000 {
				if _, err := c.Write([]byte{' '}); err != nil {
					return
				}
				pause(ctx, 50*time.Millisecond)
			}
		})
	})
	begun := time.Now()
	c, err := tg.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, tg.head("POST", "/v1/sessions/slow/events", "Content-Type: application/json", "Content-Length: 1000000")+"\r\n{")
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that stops: %v %v after %v, want 408", res, err, time.Since(begun))
	}
}

// Answers that nobody takes are cut at timeouts.write, streams at
// stream.write-timeout; neither holds more than its page.
func TestAnswersNotRead(t *testing.T) {
	tg := newTarget(t, func(c *api.Config) {
		c.Limits.WriteTimeout, c.Stream.WriteTimeout = 2*time.Second, time.Second
	})
	tg.seed("large", 300, 60<<10)
	const pages = 4 << 20 // the most that a poll answers
	tg.under(measured{heap: 40*(512<<10) + connectionsHeap() + pages, sockets: socketsMax(), last: 1500 * time.Millisecond}, func(ctx context.Context) {
		crowd(ctx, 40, func(ctx context.Context, i int) {
			c, err := tg.dial()
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			path := []string{"/v1/sessions/large/events?limit=10000", "/v1/sessions/large/sse", "/v1/sse?cursor=large:0"}[i%3]
			_, _ = io.WriteString(c, tg.head("GET", path)+"\r\n")
			pause(ctx, 3*time.Second)
		})
	})
}

// Headers and addresses over their limits are refused before they are all read.
func TestHugeHeadersAndAddresses(t *testing.T) {
	tg := newTarget(t, nil)
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 8, func(ctx context.Context, i int) {
			c, err := tg.dial()
			if err != nil {
				return
			}
			defer until(ctx, c)()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, tg.head("GET", "/v1/sessions"))
			for range 1000 { // a MiB of header lines, if it is let
				if _, err := io.WriteString(c, fmt.Sprintf("X-%d: %s\r\n", i, strings.Repeat("y", 1000))); err != nil {
					return
				}
			}
		})
	})
	for name, try := range map[string]struct {
		status int
		path   string
		header string
	}{
		"one long header": {431, "/v1/sessions", "X-Long: " + strings.Repeat("x", 1<<20)},
		"a long query":    {414, "/v1/sessions?q=" + strings.Repeat("x", 28<<10), "X: y"},
		"a long path":     {414, "/v1/sessions/" + strings.Repeat("x", 28<<10), "X: y"},
		"beyond both":     {431, "/v1/sessions?q=" + strings.Repeat("x", 1<<20), "X: y"},
	} {
		if status, _ := tg.ask("GET", try.path, "", try.header); status != try.status && status != 0 {
			t.Errorf("%s: %d, want %d or a cut", name, status, try.status)
		}
	}
}

// A body that grows when it is unpacked is refused as it is, on every route
// that takes one.
func TestCompressedBombs(t *testing.T) {
	tg := newTarget(t, nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte{' '}, 64<<20))
	_ = z.Close()
	bomb := packed.String()
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
		for _, path := range []string{"/v1/sessions/s/events", "/v1/sessions/s/import", "/v1/sessions/s/ingest", "/v1/sessions/s/prompts", "/v1/sessions", "/v1/blobs"} {
			contentType := "Content-Type: application/json"
			if strings.HasSuffix(path, "import") {
				contentType = "Content-Type: application/x-ndjson"
			}
			if status, body := tg.ask("POST", path, bomb, contentType, "Content-Encoding: "+coding); status != 415 && status != 0 {
				t.Errorf("%s to %s: %d %s", coding, path, status, body)
			}
		}
	}
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 8, func(context.Context, int) {
			tg.ask("POST", "/v1/sessions/s/events", bomb, "Content-Type: application/json", "Content-Encoding: gzip")
		})
	})
}

// A line that never ends is refused at its limit, and all of them together hold
// no more than limits.intake-bytes.
func TestEndlessLine(t *testing.T) {
	tg := newTarget(t, nil)
	s := settings()
	piece := strings.Repeat("x", 64<<10)
	var refused, large atomic.Int64
	tg.under(measured{heap: 3*int64(s.Rates.IntakeBytes) + connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 64, func(ctx context.Context, i int) {
			path := []string{"/v1/sessions/s/events", "/v1/sessions/s/ingest?agent=lines", "/v1/sessions/s/import"}[i%3]
			c, err := tg.dial()
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			_, _ = io.WriteString(c, tg.head("POST", path, "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")+"\r\n")
			go func() {
				for ctx.Err() == nil {
					if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece); err != nil {
						return
					}
				}
			}()
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				refused.Add(1)
				if res.StatusCode == 413 {
					large.Add(1)
				}
			}
		})
	})
	t.Logf("%d were refused, %d for their length", refused.Load(), large.Load())
}

// A stream of tiny lines without end is slowed down to limits.bytes; what was
// taken is in the log.
func TestEndlessTinyLines(t *testing.T) {
	const rate = 256 << 10
	tg := newTarget(t, func(c *api.Config) {
		c.Limits.BodyBytes = 64 << 10 // also the least burst
		c.Rates.Bytes, c.Rates.BytesBurst = rate, 64<<10
	})
	piece := strings.Repeat(`{"type":"a"}`+"\n", 1000)
	begun := time.Now()
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 4, func(ctx context.Context, _ int) {
			c, err := tg.dial()
			if err != nil {
				return
			}
			defer until(ctx, c)()
			_, _ = io.WriteString(c, tg.head("POST", "/v1/sessions/tiny/events", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")+"\r\n")
			for ctx.Err() == nil {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece); err != nil {
					return
				}
			}
		})
	})
	s, err := tg.log.Session(context.Background(), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	// Each of the four has one read of 64 KiB under way that it waits for.
	most := (rate*time.Since(begun).Seconds() + 6*(64<<10)) / float64(len(`{"type":"a"}`+"\n"))
	if float64(s.Head) > most || s.Head == 0 {
		t.Errorf("%d events were taken; the limit lets through %.0f", s.Head, most)
	}
}

// JSON that is nested a million deep is refused or kept as it is, on every way
// in; nothing here follows it down its own stack.
func TestDeepJSON(t *testing.T) {
	tg := newTarget(t, nil)
	deep := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	wide := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	tries := []struct{ method, path, contentType, body string }{
		{"POST", "/v1/sessions/deep/events", "application/json", `{"type":"a","data":` + deep(400_000) + `}`},
		{"POST", "/v1/sessions/deep/events", "application/json", deep(1_000_000)},
		{"POST", "/v1/sessions/deep/events", "application/json", `{"type":"tool_start","data":` + wide + `}`},
		{"POST", "/v1/sessions/deep/events", "application/json", strings.Repeat("[", 4_000_000)},
		{"POST", "/v1/sessions/deep/events", "application/x-ndjson", `{"type":"text","data":{"text":"x","y":` + deep(400_000) + `}}` + "\n"},
		{"POST", "/v1/sessions/deep/ingest?agent=auto", "text/plain", `{"type":"assistant","message":` + deep(200_000) + "}\n" + wide + "\n"},
		{"POST", "/v1/sessions/deep/ingest?agent=claude", "text/plain", `{"type":"assistant","message":` + deep(200_000) + "}\n"},
		{"POST", "/v1/sessions/deep/prompts", "application/json", `{"text":"x","images":` + deep(400_000) + `}`},
		{"PUT", "/v1/sessions/deep2", "application/json", `{"meta":` + deep(30_000) + `}`},
		{"PUT", "/v1/kontasks/k1", "application/json", `{"session":"deep","status":"ready","context":{"output":` + deep(400_000) + `}}`},
		{"POST", "/v1/tickets", "application/json", deep(30_000)},
	}
	for _, try := range tries {
		status, body := tg.ask(try.method, try.path, try.body, "Content-Type: "+try.contentType)
		if status == 0 || status >= 500 {
			t.Errorf("%s %s %.40s: %d %.300s", try.method, try.path, try.body, status, body)
		}
	}
	tg.seed("deep", 1, 100)
	c, r, _, err := tg.webSocket("/v1/sessions/deep/ws")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(frame(0x81, `{"type":"append","events":{"type":"a","data":`+deep(400_000)+`}}`))
	_, _ = c.Write(frame(0x81, deep(1_000_000)))
	if code := closeCode(c, r); code != 4400 {
		t.Errorf("a frame of nothing but depth: %d, want 4400", code)
	}
	_ = c.Close()
	for _, path := range []string{"/v1/sessions/deep/events?fold=1", "/v1/sessions/deep/turns", "/v1/kontasks/k1", "/v1/kontasks/k1/output", "/v1/search?q=x"} {
		if status, body := tg.ask("GET", path, ""); status == 0 || status >= 500 {
			t.Errorf("afterwards %s: %d %.300s", path, status, body)
		}
	}
	tg.under(measured{heap: int64(settings().Rates.IntakeBytes)*4 + connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 2, func(ctx context.Context, i int) {
			try := tries[i]
			if status, _ := tg.ask(try.method, try.path, try.body, "Content-Type: "+try.contentType); status == 429 {
				pause(ctx, 50*time.Millisecond)
			}
		})
	})
}

// Ten thousand connections of one address do not take the descriptors of the
// others: each address has its share.
func TestTenThousandConnections(t *testing.T) {
	tg := newTarget(t, nil)
	const tries = 10_000
	var tried, stayed atomic.Int64
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax(), last: 2500 * time.Millisecond}, func(ctx context.Context) {
		all, done := context.WithCancel(context.Background()) // however long it takes
		defer done()
		crowd(all, 50, func(all context.Context, _ int) {
			if tried.Add(1) > tries {
				done()
				return
			}
			c, err := tg.dial()
			if err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if _, err := c.Read([]byte{0}); err != nil && isTimeout(err) { // it was let in, and stays as long as it can
				stayed.Add(1)
				context.AfterFunc(ctx, func() { _ = c.Close() })
				return
			}
			_ = c.Close()
		})
		<-ctx.Done()
	})
	if stayed.Load() == 0 || tried.Load() < tries {
		t.Errorf("%d of %d connections stayed; the limit is %d", stayed.Load(), tried.Load(), settings().Rates.SocketsPerAddress)
	}
	t.Logf("%d tried, %d stayed", tried.Load(), stayed.Load())
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Requests that come one behind the other without waiting for answers are
// answered one after the other, and no faster than limits.requests.
func TestPipelining(t *testing.T) {
	tg := newTarget(t, nil)
	requests := strings.Repeat(tg.head("GET", "/v1/sessions")+"\r\n", 200)
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 20, func(ctx context.Context, _ int) {
			c, err := tg.dial()
			if err != nil {
				return
			}
			defer until(ctx, c)()
			go func() { _, _ = io.CopyN(io.Discard, c, 100_000) }() // and then takes no more
			for ctx.Err() == nil {
				if _, err := io.WriteString(c, requests); err != nil {
					return
				}
			}
		})
	})
	if status, body := tg.ask("GET", "/v1/sessions", ""); status != 429 && status != 200 {
		t.Errorf("after the flood: %d %s", status, body)
	}
}

// A flood of wrong credentials is not looked at; whoever comes from elsewhere,
// or from the same address with one that was right before, is let in.
func TestGuessing(t *testing.T) {
	tg := newTarget(t, nil)
	if status, _ := tg.ask("GET", "/v1/sessions", ""); status != 200 {
		t.Fatal("the neighbour could not sign in")
	}
	guess := func(n int64) (int, string) {
		c, err := tg.dial()
		if err != nil {
			return 0, ""
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "GET /v1/sessions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer guess%d\r\nConnection: close\r\n\r\n", tg.addr, n)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, ""
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	var guesses, looked, slowed atomic.Int64
	begun := time.Now()
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 8, func(context.Context, int) {
			switch status, body := guess(guesses.Add(1)); {
			case status == 401:
				looked.Add(1)
			case status == 429 && codeOf(body) == "rate_limited/failures":
				slowed.Add(1)
			}
		})
		if status, body := tg.ask("GET", "/v1/sessions", ""); status != 200 {
			t.Errorf("the neighbour behind the same address was locked out: %d %s", status, body)
		}
	})
	s := settings().Rates
	if most := float64(s.FailuresBurst) + float64(s.Failures)*time.Since(begun).Seconds() + 1; float64(looked.Load()) > most || slowed.Load() == 0 {
		t.Errorf("of %d guesses %d were looked at, the limit lets through %.0f; %d were slowed down", guesses.Load(), looked.Load(), most, slowed.Load())
	}
}

// Tickets that nobody uses are bounded, as is the rate of asking.
func TestTicketFlood(t *testing.T) {
	tg := newTarget(t, nil)
	var given, refused atomic.Int64
	tg.under(measured{heap: connectionsHeap() + 1000<<10, sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 8, func(context.Context, int) {
			switch status, _ := tg.ask("POST", "/v1/tickets", `{}`, "Content-Type: application/json"); status {
			case 200, 201:
				given.Add(1)
			case 429:
				refused.Add(1)
			}
		})
	})
	if given.Load() == 0 || given.Load() > 200 || refused.Load() == 0 {
		t.Errorf("%d tickets were given and %d refused; at most 200 are unused at a time", given.Load(), refused.Load())
	}
}
