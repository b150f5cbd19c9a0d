package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rivo/uniseg"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func num(v float64) *float64 { return &v }

var topNow = time.Date(2026, 11, 21, 14, 3, 22, 0, time.UTC)

func ago(d time.Duration) store.Stamp { return store.Stamp{Time: topNow.Add(-d)} }

// busy is a server with something of everything.
func busy() *topSnapshot {
	return &topSnapshot{
		Time: store.Stamp{Time: topNow}, Server: "http://127.0.0.1:8787", Version: "v1.2.3", interval: 2 * time.Second,
		Log: &topLog{Events: num(1234), Bytes: num(340_000), Commits: num(210), Refused: num(1.5), P50: num(.00071), P99: num(.0041), Sync: num(.0039), Wait: num(1.5),
			Queue: 12, QueueMax: 16384, QueueBytes: 3 << 10, QueueBytMax: 64 << 20},
		Readers: &topReaders{Connections: map[string]int64{"websocket": 12, "sse": 3, "poll": 1}, Subscriptions: 40, Events: num(14800), Lag: num(.0021), Cut: num(0)},
		Disk:    &topDisk{Writable: true, Database: 123 << 20, WAL: 4 << 20, Blobs: 900 << 10, Free: 41 << 30},
		Agents:  &topAgents{Running: 2, Waiting: 1, Max: 50},
		Turns: []topTurn{
			{Session: "build-17", Title: "Fix the flaky test of the parser and say why it was flaky", Turn: "t1", Agent: "claude", StartedAt: ago(3*time.Hour + 5*time.Minute), Tool: "Bash"},
			{Session: "docs:long-name-of-a-session-that-goes-on", Title: "日本語のタイトルです、とても長いので切られます、日本語のタイトル", Turn: "t2", Agent: "codex", StartedAt: ago(42 * time.Second), Tool: "Read", Questions: 1},
		},
	}
}

func TestTopViews(t *testing.T) {
	gone := &topSnapshot{Time: store.Stamp{Time: topNow}, Server: "http://127.0.0.1:8787", Error: "metrics: GET /metrics: connection refused", Since: ago(75 * time.Second), interval: 2 * time.Second}
	denied := &topSnapshot{Time: store.Stamp{Time: topNow}, Server: "http://h", Error: "403 forbidden", Since: ago(0), Turns: busy().Turns[:1], interval: 2 * time.Second}
	first := busy()
	first.Log = &topLog{QueueMax: 16384}
	first.Readers, first.Turns = &topReaders{Connections: map[string]int64{}}, nil
	first.Disk.Writable = false
	for _, c := range []struct {
		name          string
		s             *topSnapshot
		width, height int
		want          string
	}{
		{"80x24", busy(), 80, 24, `
konlog top  http://127.0.0.1:8787  v1.2.3  14:03:22
append  1.23k events/s  332 KiB/s  210 commits/s  p50 710µs  p99 4.1ms
        sync 3.9ms
queue   12/16384  3 KiB/64 MiB  wait 1.5s  1.5 refused/s
readers ws 12  sse 3  poll 1  follow 40  14.8k events/s  lag 2.1ms  0 cut/s
disk    writable  db 123 MiB  wal 4 MiB  blobs 900 KiB  free 41 GiB
agents  2/50 running  1 waiting
turns   2 open
SESSION              AGE     TOOL         AGENT      TITLE
build-17             3h05m   Bash         claude     Fix the flaky test of the …
docs:long-name-of-a… 42s     ? asks       codex      日本語のタイトルです、とて…
q quits · every 2s`},
		{"40 columns", busy(), 40, 24, `
konlog top  http://127.0.0.1:8787
v1.2.3  14:03:22
append  1.23k events/s  332 KiB/s
        210 commits/s  p50 710µs
        p99 4.1ms  sync 3.9ms
queue   12/16384  3 KiB/64 MiB
        wait 1.5s  1.5 refused/s
readers ws 12  sse 3  poll 1  follow 40
        14.8k events/s  lag 2.1ms
        0 cut/s
disk    writable  db 123 MiB  wal 4 MiB
        blobs 900 KiB  free 41 GiB
agents  2/50 running  1 waiting
turns   2 open
SESSION              AGE     TOOL
build-17             3h05m   Bash
docs:long-name-of-a… 42s     ? asks
q quits · every 2s`},
		{"four lines", busy(), 80, 4, `
konlog top  http://127.0.0.1:8787  v1.2.3  14:03:22
append  1.23k events/s  332 KiB/s  210 commits/s  p50 710µs  p99 4.1ms
        sync 3.9ms
q quits · every 2s`},
		{"gone", gone, 80, 24, `
konlog top  http://127.0.0.1:8787  14:03:22
no answer for 1m15s; trying again: metrics: GET /metrics: connection refused
q quits · every 2s`},
		{"without metrics", denied, 80, 24, `
konlog top  http://h  14:03:22
in part: 403 forbidden
turns   1 open
SESSION              AGE     TOOL         AGENT      TITLE
build-17             3h05m   Bash         claude     Fix the flaky test of the …
q quits · every 2s`},
		{"the first look", first, 80, 24, `
konlog top  http://127.0.0.1:8787  v1.2.3  14:03:22
append  – events/s  – B/s  – commits/s  p50 –  p99 –  sync –
queue   0/16384  0 B  wait –  – refused/s
readers ws 0  sse 0  poll 0  follow 0  – events/s  lag –  – cut/s
disk    NOT WRITABLE  db 123 MiB  wal 4 MiB  blobs 900 KiB  free 41 GiB
agents  2/50 running  1 waiting
turns   0 open
q quits · every 2s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(topView{width: c.width, height: c.height, keys: true}.lines(c.s), "\n")
			if want := strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Whatever a producer has written, a line fits and steers no terminal.
func TestTopFits(t *testing.T) {
	s := busy()
	s.Turns = append(s.Turns, topTurn{Session: "x", Title: "\x1b[2J\x1b]0;owned\a\r\n\t👩‍👩‍👧‍👦 e\u0301 \u202e", Agent: "\x1b[31m", Tool: "a\nb", StartedAt: ago(-time.Hour)})
	s.Error, s.Since = "in part\x1b[2J\nbroken", ago(time.Hour)
	for width := range 200 {
		for _, height := range []int{1, 2, 7, 24, 100} {
			for _, p := range []paint{true, false} {
				lines := topView{width: width, height: height, keys: true, paint: p}.lines(s)
				if len(lines) > height {
					t.Fatalf("%d lines on %d", len(lines), height)
				}
				for _, line := range lines {
					text := plain(line)
					if got := uniseg.StringWidth(text); got > max(width, topWidthMin) {
						t.Fatalf("%d columns in %d: %q", got, width, text)
					}
					if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
						t.Fatalf("a control character came through: %q", line)
					}
					if !p && line != text {
						t.Fatalf("colours where nobody wants them: %q", line)
					}
				}
			}
		}
	}
}

// fakeTerminal keeps what it is told.
type fakeTerminal struct {
	mu    sync.Mutex // guards what follows
	b     bytes.Buffer
	fail  error
	width int
}

func (f *fakeTerminal) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	return f.b.Write(p)
}

func (f *fakeTerminal) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.b.String()
}

func (f *fakeTerminal) screen(restored *int) *screen {
	return &screen{out: f, size: func() (int, int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.width, 24
	}, before: func() { *restored++ }}
}

// The terminal is given back however top ends.
func TestTopGivesTheTerminalBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(keys chan byte, cancel func(), f *fakeTerminal, panics chan struct{})
		panic bool
		err   bool
	}{
		{name: "q", end: func(keys chan byte, _ func(), _ *fakeTerminal, _ chan struct{}) { keys <- 'x'; keys <- 'q' }},
		{name: "Ctrl-C", end: func(keys chan byte, _ func(), _ *fakeTerminal, _ chan struct{}) { keys <- 3 }},
		{name: "a signal", end: func(_ chan byte, cancel func(), _ *fakeTerminal, _ chan struct{}) { cancel() }},
		{name: "a panic", end: func(_ chan byte, _ func(), _ *fakeTerminal, panics chan struct{}) { close(panics) }, panic: true},
		{name: "a terminal that went away", end: func(_ chan byte, _ func(), f *fakeTerminal, _ chan struct{}) {
			f.mu.Lock()
			f.fail = errors.New("gone")
			f.mu.Unlock()
		}, err: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, restored, keys, panics := &fakeTerminal{width: 80}, 0, make(chan byte), make(chan struct{})
				loop := &topLoop{every: time.Second, keys: keys, sample: func(context.Context) *topSnapshot {
					select {
					case <-panics:
						panic("planted")
					default:
						return busy()
					}
				}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var err error
				var crashed any
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { crashed = recover() }()
					err = loop.onScreen(ctx, f.screen(&restored), false)
				}()
				time.Sleep(2500 * time.Millisecond)
				c.end(keys, cancel, f, panics)
				<-ended
				if (crashed != nil) != c.panic || (err != nil) != c.err || restored != 1 {
					t.Errorf("got panic %v, error %v, keyboard given back %d times", crashed, err, restored)
				}
				out := f.String()
				if !strings.HasPrefix(out, screenEnter) || !c.err && !strings.HasSuffix(out, screenLeave) || strings.Count(out, screenHome) != 3 {
					t.Errorf("got %q", out)
				}
			})
		})
	}
}

func TestTopResizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, restored, keys, resized := &fakeTerminal{width: 80}, 0, make(chan byte), make(chan struct{})
		loop := &topLoop{every: time.Hour, keys: keys, resized: resized, sample: func(context.Context) *topSnapshot { return busy() }}
		ended := make(chan error, 1)
		go func() { ended <- loop.onScreen(t.Context(), f.screen(&restored), true) }()
		synctest.Wait()
		f.mu.Lock()
		f.width = 40
		f.b.Reset()
		f.mu.Unlock()
		resized <- struct{}{}
		synctest.Wait()
		keys <- 'q'
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		frame, _, _ := strings.Cut(f.String(), screenBelow)
		if !strings.Contains(frame, "konlog top") || !strings.Contains(frame, "\x1b[") {
			t.Fatalf("got %q", frame)
		}
		for line := range strings.SplitSeq(strings.TrimPrefix(frame, screenHome), "\r\n") {
			if got := visible(strings.TrimSuffix(line, screenRest)); got > 40 {
				t.Errorf("%d columns on 40: %q", got, line)
			}
		}
	})
}

// A look that takes longer than the interval is not joined by another, and a
// key is heard meanwhile.
func TestTopWhileTheServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, restored, keys, looks := &fakeTerminal{width: 80}, 0, make(chan byte), 0
		loop := &topLoop{every: time.Second, keys: keys, sample: func(ctx context.Context) *topSnapshot {
			looks++
			<-ctx.Done()
			return busy()
		}}
		ended := make(chan error, 1)
		go func() { ended <- loop.onScreen(t.Context(), f.screen(&restored), false) }()
		time.Sleep(10 * time.Second)
		keys <- 'q'
		if err := <-ended; err != nil || looks != 1 || restored != 1 {
			t.Errorf("got %v after %d looks", err, looks)
		}
	})
}

const topScrape = `# TYPE process_start_time_seconds gauge
process_start_time_seconds %[1]d
# TYPE konlog_commits_total counter
konlog_commits_total %[2]d
# TYPE konlog_events_total counter
konlog_events_total %[3]d
# TYPE konlog_connections gauge
konlog_connections{transport="sse"} 4
# TYPE konlog_limit gauge
konlog_limit{name="engine.queue-requests"} 99
# TYPE konlog_append_seconds histogram
konlog_append_seconds_bucket{le="0.001"} %[3]d
konlog_append_seconds_bucket{le="0.01"} %[3]d
konlog_append_seconds_bucket{le="+Inf"} %[3]d
konlog_append_seconds_sum 1
konlog_append_seconds_count %[3]d
# TYPE konlog_build_info gauge
konlog_build_info{version="v7",go="go1"} 1
`

// Rates are of one run of the server: what is gone, and what began anew, has
// none.
func TestTopSource(t *testing.T) {
	var mu sync.Mutex // guards the two below
	text, down := "", false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case down:
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/metrics":
			fmt.Fprint(w, text)
		case r.URL.Path == "/v1/turns":
			fmt.Fprint(w, `{"turns":[{"session":"s1","turn":"t1","agent":"claude","startedAt":"2026-11-21T14:00:00.000Z"}],"next":""}`)
		case r.URL.Path == "/v1/sessions" && r.URL.Query().Get("state") == "working":
			fmt.Fprint(w, `{"sessions":[{"id":"s1","title":"T","head":5,"turn":"t1"}],"next":""}`)
		case r.URL.Path == "/v1/sessions":
			fmt.Fprint(w, `{"sessions":[],"next":""}`)
		case r.URL.Path == "/v1/sessions/s1/events":
			fmt.Fprint(w, `{"session":"s1","epoch":"e","floor":1,"head":5,"status":{},"events":[{"id":4,"session":"s1","type":"tool_start","turn":"t1","time":"2026-11-21T14:00:01.000Z","data":{"id":"c","name":"Bash"}}],"next":5,"caughtUp":true}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	cl, err := client.New(srv.URL, client.WithRetry(client.RetryLimits{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	now := topNow
	source := &topSource{client: cl, server: srv.URL, now: func() time.Time { return now }}
	look := func(start, commits, events int, gone bool) *topSnapshot {
		mu.Lock()
		text, down = fmt.Sprintf(topScrape, start, commits, events), gone
		mu.Unlock()
		now = now.Add(2 * time.Second)
		return source.sample(t.Context())
	}
	if s := look(1, 10, 100, false); s.Error != "" || s.Log.Events != nil || s.Log.QueueMax != 99 || s.Version != "v7" || s.Readers.Connections["sse"] != 4 {
		t.Errorf("first: %+v", s)
	}
	s := look(1, 20, 150, false)
	if s.Log.Events == nil || *s.Log.Events != 25 || *s.Log.Commits != 5 || s.Log.P99 == nil || math.Abs(*s.Log.P99-.00099) > 1e-9 {
		t.Errorf("second: %+v", s.Log)
	}
	if len(s.Turns) != 1 || s.Turns[0].Tool != "Bash" || s.Turns[0].Title != "T" || s.Turns[0].Agent != "claude" {
		t.Errorf("turns: %+v", s.Turns)
	}
	if s := look(1, 20, 150, false); s.Log.P99 != nil || *s.Log.Events != 0 {
		t.Errorf("nothing happened: %+v", s.Log)
	}
	for range 2 {
		s = look(1, 20, 150, true)
	}
	if s.Error == "" || s.Log != nil || !s.Since.Equal(now.Add(-2*time.Second)) {
		t.Errorf("gone: %+v", s)
	}
	if s := look(1, 90, 950, false); s.Error != "" || s.Log.Events != nil {
		t.Errorf("back: %+v", s.Log)
	}
	if s := look(2, 91, 951, false); s.Log.Events != nil {
		t.Errorf("a restart that counted further makes a rate: %+v", s.Log)
	}
}

func TestTopQuantile(t *testing.T) {
	hist := func(counts ...int) scrape {
		var b strings.Builder
		b.WriteString("# TYPE h histogram\n")
		for i, le := range []string{"1", "2", "+Inf"} {
			fmt.Fprintf(&b, "h_bucket{le=%q} %d\n", le, counts[i])
		}
		fmt.Fprintf(&b, "h_sum 0\nh_count %d\n", counts[2])
		s, err := parseScrape([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := &period{hist(10, 10, 10), hist(10, 20, 30), 1}
	for q, want := range map[float64]float64{.25: 1.5, .5: 2, .99: 2} {
		if got := p.quantile(q, "h"); got == nil || *got != want {
			t.Errorf("%v: got %v, want %v", q, got, want)
		}
	}
	if got := (&period{hist(1, 1, 1), hist(1, 1, 1), 1}).quantile(.5, "h"); got != nil {
		t.Errorf("of nothing: got %v", *got)
	}
	if got := p.quantile(.5, "absent"); got != nil {
		t.Errorf("of no metric: got %v", *got)
	}
}
