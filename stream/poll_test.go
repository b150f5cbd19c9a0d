package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

func TestPollPageForm(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 3)
	w := newSite(t, New(l, l.hub, Config{}))
	b, res := w.body("/v1/sessions/s/events?after=1")
	if res.Header.Get(TransportHeader) != "poll" || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", res.Header)
	}
	want := `{"session":"s","epoch":"epoch-1","floor":1,"head":3,"status":{"type":"status","session":"s","state":"idle","turnActive":false,"elapsed":0,"queued":0,"head":3,"serverTime":"`
	if !strings.HasPrefix(b, want) || !strings.HasSuffix(b, `"},"events":[`+strings.Join(l.bodies("s", false)[1:], ",")+`],"next":3,"caughtUp":true}`) || res.ContentLength != int64(len(b)) {
		t.Errorf("page: %s", b)
	}
	if b, _ := w.body("/v1/sessions/s/events?after=3"); !strings.HasSuffix(b, `,"events":[],"next":3,"caughtUp":true}`) {
		t.Errorf("empty page: %s", b)
	}
	l.append("s", large(20)...)
	if b, res := w.body("/v1/sessions/s/events"); res.ContentLength != int64(len(b)) || len(b) < 20*8<<10 {
		t.Errorf("a page of one piece: %d bytes, told %d", len(b), res.ContentLength)
	}
}

func TestPollPagesBackwards(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	l.forget("s", 2)
	w := newSite(t, New(l, l.hub, Config{}))
	steps := []struct {
		q, ids string
		next   int64
		end    bool
	}{
		{"tail=3", "8 9 10", 10, true},
		{"before=8&limit=4", "4 5 6 7", 4, false},
		{"before=4&limit=4", "2 3", 2, true},
		{"before=2&limit=4", "", 2, true},
		{"before=0&limit=2", "9 10", 9, false},
		{"before=8&limit=1&types=none", "", 2, true},
	}
	for _, s := range steps {
		p := w.poll("/v1/sessions/s/events?" + s.q)
		if p.ids() != s.ids || p.Next != s.next || p.CaughtUp != s.end {
			t.Errorf("%s: %s, next %d, end %v; want %s, %d, %v", s.q, p.ids(), p.Next, p.CaughtUp, s.ids, s.next, s.end)
		}
	}
}

func TestPollPageBelowTheHeadIsImmutable(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	w := newSite(t, New(l, l.hub, Config{}))
	tags := make(map[string]string)
	for _, q := range []string{"after=0&limit=4", "after=4&limit=4", "after=0&limit=5", "after=0&limit=4&raw=1", "after=0&limit=4&types=text_delta,x", "before=8&limit=4"} {
		if _, res := w.body("/v1/sessions/s/events?" + q); res.Header.Get("ETag") == "" || res.Header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: %v", q, res.Header) // made again, the session has other events under these ids
		}
		path := "/v1/sessions/s/events?epoch=epoch-1&" + q
		_, res := w.body(path)
		tag := res.Header.Get("ETag")
		if tag == "" || !strings.HasPrefix(res.Header.Get("Cache-Control"), "private, immutable, max-age=") {
			t.Errorf("%s: %v", q, res.Header)
		}
		if other, ok := tags[tag]; ok {
			t.Errorf("%s and %s have the same tag", q, other)
		}
		tags[tag] = q
		l.appendN("s", 1) // the page stays what it is
		if _, res = w.body(path, "If-None-Match", `"x", `+tag); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: status %d", q, res.StatusCode)
		}
		if _, res = w.body(path, "If-None-Match", `W/"x"`); res.StatusCode != http.StatusOK {
			t.Errorf("%s with another tag: status %d", q, res.StatusCode)
		}
	}
	for _, q := range []string{"after=0", "after=0&limit=4&epoch=old", "tail=3&limit=1", "after=0&until=3", "before=0&limit=2", "after=0&limit=4&types=none"} {
		if _, res := w.body("/v1/sessions/s/events?" + q); res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may change: %v", q, res.Header)
		}
	}
}

// large makes n events of which each piece of a few is worth a write.
func large(n int) []store.Event {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: string(rune('a' + i%2)), Data: fmt.Appendf(nil, `"%0*d"`, 8<<10, i)}
	}
	return events
}

// pieces is a page of eight pieces.
var pieces = Config{PageEvents: 5}

// The first piece is with the client while the second is not even read.
func TestPollPageLeavesInPieces(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", large(41)...)
	arrived := make(chan struct{})
	var reads, most atomic.Int64
	l.setAfterRead(func(p store.Page) {
		most.Store(max(most.Load(), int64(len(p.Events))))
		if reads.Add(1) == 2 {
			<-arrived
		}
	})
	w := newSite(t, New(l, l.hub, pieces))
	res, cancel := w.get("/v1/sessions/s/events?limit=40")
	defer cancel()
	defer res.Body.Close()
	first := make([]byte, 32<<10)
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	close(arrived)
	rest, err := io.ReadAll(res.Body)
	if err != nil || res.ContentLength != -1 {
		t.Fatalf("length %d, %v", res.ContentLength, err)
	}
	var p pollPage
	if err := json.Unmarshal(append(first, rest...), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Events) != 40 || p.Next != 40 || p.CaughtUp || p.Head != 41 || reads.Load() != 8 || most.Load() != 5 {
		t.Errorf("%d events, next %d, caughtUp %v, %d reads of at most %d", len(p.Events), p.Next, p.CaughtUp, reads.Load(), most.Load())
	}
}

// P4: however small the pieces are, the page is the same bytes with the same tag.
func TestP4_PollPageIsTheSameInAnyPieces(t *testing.T) {
	l := newFakeLog("s", "z")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 { // the first ones pass the filter, for a page begins with the piece that has something
		l.append("s", store.Event{Type: string(rune('a' + r.IntN(min(i/64+1, 3)))), Raw: []byte("line"), Data: fmt.Appendf(nil, `"%0*d"`, r.IntN(40<<10), 1)})
	}
	l.append("z", large(20)...)
	answer := func(cfg Config, path string) string {
		w := newSite(t, New(l, l.hub, cfg))
		defer w.stop()
		b, res := w.body(path)
		at, _, _ := strings.Cut(b[strings.Index(b, `"serverTime":"`)+14:], `"`)
		return strings.ReplaceAll(b, at, "") + res.Header.Get("ETag") + res.Header.Get("Cache-Control")
	}
	whole := Config{PageEvents: PollEventsMax, PageBytes: PollBytesMax}
	for _, q := range []string{
		"sessions/s/events?limit=290", "sessions/s/events?after=7&limit=200", "sessions/s/events?after=3&limit=90&raw=1", "sessions/s/events?tail=50",
		"sessions/s/events?limit=150&types=a,b", "sessions/s/events?limit=100&until=77", "sessions/s/events?limit=150&epoch=old", "sessions/s/events",
	} {
		want := answer(whole, "/v1/"+q)
		for _, cfg := range []Config{{PageEvents: 1}, {PageEvents: 7}, {PageBytes: 1}, {PageBytes: 100 << 10}, {PageEvents: 64, PageBytes: 1 << 20}} {
			if got := answer(cfg, "/v1/"+q); got != want {
				t.Errorf("%s: pieces of %d, %d bytes: %d bytes, want %d: …%s, want …%s", q, cfg.PageEvents, cfg.PageBytes,
					len(got), len(want), got[max(0, len(got)-150):], want[max(0, len(want)-150):])
			}
		}
	}
	var several struct {
		Sessions []pollPage
		Cursor   string
	}
	w := newSite(t, New(l, l.hub, pieces))
	b, _ := w.body("/v1/poll?cursor=s:100,z:0&limit=60")
	if err := json.Unmarshal([]byte(b), &several); err != nil || several.Cursor != "z:0,s:160" || len(several.Sessions) != 2 ||
		len(several.Sessions[0].Events) != 60 || len(several.Sessions[1].Events) != 0 || several.Sessions[0].CaughtUp || several.Sessions[1].CaughtUp {
		t.Errorf("several sessions: %v, cursor %s", err, several.Cursor)
	}
}

// The bound in bytes is exact, and one event is always given.
func TestPollPageEndsAtItsBytes(t *testing.T) {
	l := newFakeLog("s")
	for range 9 {
		l.append("s", store.Event{Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)})
	}
	l.append("s", store.Event{Data: []byte(`"` + strings.Repeat("x", PollBytesMax) + `"`)}, store.Event{})
	w := newSite(t, New(l, l.hub, Config{}))
	after := int64(0)
	for _, want := range []string{"1 2 3", "4 5 6", "7 8 9", "10", "11"} {
		p := w.poll(fmt.Sprintf("/v1/sessions/s/events?after=%d", after))
		if after = p.Next; p.ids() != want || p.CaughtUp != (want == "11") {
			t.Errorf("got %s, next %d, caughtUp %v; want %s", p.ids(), p.Next, p.CaughtUp, want)
		}
	}
}

// A page is of the moment of its first piece.
func TestPollPageStaysBelowTheHeadItTold(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", large(12)...)
	var reads atomic.Int64
	l.setAfterRead(func(store.Page) {
		if reads.Add(1) == 2 {
			l.append("s", large(9)...)
		}
	})
	w := newSite(t, New(l, l.hub, pieces))
	if p := w.poll("/v1/sessions/s/events"); p.Head != 12 || p.Next != 12 || len(p.Events) != 12 || !p.CaughtUp {
		t.Errorf("head %d, next %d, %d events, caughtUp %v", p.Head, p.Next, len(p.Events), p.CaughtUp)
	}
}

// P6: a page that cannot be ended is cut, so that nobody takes a part of it for
// the whole.
func TestP6_PollPageIsCutWhenTheLogFails(t *testing.T) {
	for name, fault := range map[string]func(*fakeLog){
		"deleted":   func(l *fakeLog) { l.delete("s") },
		"new epoch": func(l *fakeLog) { l.create("s", "epoch-2", 0); l.append("s", large(40)...) },
		"retention": func(l *fakeLog) { l.forget("s", 30) },
		"failed":    func(l *fakeLog) { l.mu.Lock(); l.broken = errors.New("disk"); l.mu.Unlock() },
	} {
		l := newFakeLog("s")
		l.append("s", large(40)...)
		var reads atomic.Int64
		l.setAfterRead(func(store.Page) {
			if reads.Add(1) == 2 {
				fault(l)
			}
		})
		w := newSite(t, New(l, l.hub, pieces))
		res, cancel := w.get("/v1/sessions/s/events?limit=30")
		b, err := io.ReadAll(res.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(b) == 0 || json.Valid(b) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		res.Body.Close()
		cancel()
		w.stop()
	}
}

// While nothing is written a failure is an answer of its own, which nobody may keep.
func TestPollFailsCleanlyBeforeItsFirstByte(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 40) // small: two pieces are not worth a write
	var reads atomic.Int64
	l.setAfterRead(func(store.Page) {
		if reads.Add(1) == 2 {
			l.delete("s")
		}
	})
	w := newSite(t, New(l, l.hub, pieces))
	if b, res := w.body("/v1/sessions/s/events?limit=30"); res.StatusCode != http.StatusNotFound || res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "" {
		t.Errorf("status %d, %v: %s", res.StatusCode, res.Header, b)
	}
}

func TestPollPiecesAreImmutableWhenTheirEndIsCertain(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", large(40)...)
	w := newSite(t, New(l, l.hub, pieces))
	for q, want := range map[string]bool{
		"limit=39": true, "after=20&limit=19": true, "limit=39&types=b": true, "limit=40": false, "limit=30&until=35": false,
		"limit=30&until=2100-01-01T00:00:00Z": false, "tail=30&limit=20": false,
	} {
		path := "/v1/sessions/s/events?epoch=epoch-1&" + q
		_, res := w.body(path)
		tag := res.Header.Get("ETag")
		if (tag != "") != want || strings.Contains(res.Header.Get("Cache-Control"), "immutable") != want {
			t.Errorf("%s: %v", q, res.Header)
		}
		if !want {
			continue
		}
		reads := l.reads
		if _, res = w.body(path, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || l.reads != reads+1 {
			t.Errorf("%s again: status %d after %d reads", q, res.StatusCode, l.reads-reads)
		}
	}
}

// A client that leaves, or reads nothing any more, ends the reading.
func TestPollStopsWhenTheClientLeaves(t *testing.T) {
	l := newFakeLog("s")
	l.append("s", large(1000)...)
	left := make(chan struct{})
	var reads atomic.Int64
	l.setAfterRead(func(store.Page) {
		if reads.Add(1) == 2 {
			<-left
		}
	})
	ended := make(chan any, 1)
	h := handler(New(l, l.hub, pieces))
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { v := recover(); ended <- v; panic(http.ErrAbortHandler) }()
		context.AfterFunc(r.Context(), func() { close(left) })
		h.ServeHTTP(w, r)
	}))
	defer ts.Close()
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /v1/sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(conn, make([]byte, 16<<10)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if v := <-ended; v != http.ErrAbortHandler || reads.Load() > 3 {
		t.Errorf("ended with %v after %d reads", v, reads.Load())
	}
}

// BenchmarkPollPages reads a log of 100,000 events of about 300 bytes in pages
// of 10,000 over loopback; the unit is one event, and first-ms is the time
// from a request to its first bytes of an event.
func BenchmarkPollPages(b *testing.B) {
	const events, limit = 100_000, 10_000
	l := newRowLog(events)
	l.head.Store(events)
	ts := httptest.NewServer(handler(New(l, NewHub(), Config{})))
	defer ts.Close()
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 1<<18)
	var first time.Duration
	pages := 0
	b.SetBytes(int64(len(l.events[0].JSON())))
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += limit {
		begin := time.Now()
		fmt.Fprintf(conn, "GET /v1/sessions/s/events?after=%d&limit=%d HTTP/1.1\r\nHost: x\r\n\r\n", done%events, limit)
		for begun, tail := false, []byte(nil); ; {
			n, err := conn.Read(buf)
			if err != nil && err != io.EOF {
				b.Fatal(err)
			}
			if !begun && bytes.Contains(buf[:n], []byte(`{"id":`)) {
				begun = true
				first += time.Since(begin)
			}
			tail = append(tail, buf[max(0, n-8):n]...)
			tail = tail[max(0, len(tail)-8):]
			if bytes.HasSuffix(tail, []byte("]}")) || bytes.HasSuffix(tail, []byte("\r\n0\r\n\r\n")) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		pages++
	}
	b.StopTimer()
	b.ReportMetric(float64(first.Microseconds())/1e3/float64(pages), "first-ms")
}
