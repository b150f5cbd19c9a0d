package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/konlog/konlog/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake speaks the reading side of the protocol with faults.
type fake struct {
	head, floor int64
	cutMax      int  // a connection ends after 1 to cutMax events; 0 never
	hang        bool // WebSocket upgrades are never answered
	wsStatus    int  // instead of an upgrade
	sseStatus   int
	hole        int64 // this event is left out on the first connection
	double      bool  // every event is sent twice
	silentGap   bool  // the gap below the floor is not announced
	silent      chan struct{}
	epoch       atomic.Value
	connects    [3]atomic.Int64

	mu  sync.Mutex // guards rnd
	rnd *rand.Rand
}

func newFake(t *testing.T, head int64) *fake {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := &fake{head: head, floor: 1, rnd: rand.New(rand.NewPCG(seed, 1))}
	f.epoch.Store("e1")
	return f
}

func (f *fake) cut() int {
	if f.cutMax == 0 {
		return 1 << 30
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return 1 + f.rnd.IntN(f.cutMax)
}

func (f *fake) line(id int64) string {
	return fmt.Sprintf(`{"id":%d,"session":"s1","type":"text_delta","time":"2026-11-20T17:24:01.123Z","data":{"text":"<%d> \u00e9"}}`, id, id)
}

// play sends what a stream sends, name and frame, until it is cut.
func (f *fake) play(r *http.Request, send func(name, data string) error) error {
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64)
	if n, _ := strconv.ParseInt(q.Get("tail"), 10, 64); n > 0 {
		after = f.head - n
	}
	epoch := f.epoch.Load().(string)
	if err := send("hello", fmt.Sprintf(`{"type":"hello","session":"s1","epoch":%q,"floor":%d,"head":%d,"after":%d,"heartbeatMs":500,"status":{"state":"idle"}}`, epoch, f.floor, f.head, after)); err != nil {
		return err
	}
	if e := q.Get("epoch"); e != "" && e != epoch {
		after = 0
		_ = send("reset", fmt.Sprintf(`{"type":"reset","session":"s1","epoch":%q,"head":%d,"reason":"epoch_changed"}`, epoch, f.head))
	}
	if after+1 < f.floor {
		if !f.silentGap {
			_ = send("gap", fmt.Sprintf(`{"type":"gap","session":"s1","from":%d,"to":%d,"reason":"retention"}`, after+1, f.floor-1))
		}
		after = f.floor - 1
	}
	left := f.cut()
	for id := after + 1; id <= f.head; id++ {
		if id == f.hole && f.total() == 1 {
			continue
		}
		if left--; left < 0 {
			return errors.New("cut")
		}
		for range map[bool]int{false: 1, true: 2}[f.double] {
			if err := send("", f.line(id)); err != nil {
				return err
			}
		}
	}
	if f.silent != nil {
		select {
		case <-f.silent:
		case <-r.Context().Done():
		}
		return nil
	}
	return send("caught_up", fmt.Sprintf(`{"type":"caught_up","session":"s1","id":%d}`, f.head))
}

func (f *fake) total() int64 {
	return f.connects[0].Load() + f.connects[1].Load() + f.connects[2].Load()
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] {
	case "ws":
		f.serveWS(w, r)
	case "sse":
		f.serveSSE(w, r)
	default:
		f.servePoll(w, r)
	}
}

func (f *fake) serveWS(w http.ResponseWriter, r *http.Request) {
	f.connects[0].Add(1)
	if f.hang {
		<-r.Context().Done()
		return
	}
	if f.wsStatus != 0 {
		w.WriteHeader(f.wsStatus)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := conn.CloseRead(r.Context())
	err = f.play(r.WithContext(ctx), func(_, data string) error { return conn.Write(ctx, websocket.MessageText, []byte(data)) })
	if err == nil {
		<-ctx.Done()
	}
}

func (f *fake) serveSSE(w http.ResponseWriter, r *http.Request) {
	f.connects[1].Add(1)
	if f.sseStatus != 0 {
		w.WriteHeader(f.sseStatus)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "retry: 1000\n\n: beat\n\n")
	err := f.play(r, func(name, data string) error {
		out := ""
		if name != "" {
			out = "event: " + name + "\n"
		}
		_, err := io.WriteString(w, out+"data: "+data+"\n\n")
		return err
	})
	_ = http.NewResponseController(w).Flush()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (f *fake) servePoll(w http.ResponseWriter, r *http.Request) {
	f.connects[2].Add(1)
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	n := int64(f.cut())
	if f.cutMax > 0 && n%5 == 0 {
		panic(http.ErrAbortHandler)
	}
	last := min(f.head, after+n)
	lines := []string{}
	for id := after + 1; id <= last; id++ {
		lines = append(lines, f.line(id))
	}
	fmt.Fprintf(w, `{"session":"s1","epoch":"e1","floor":1,"head":%d,"next":%d,"caughtUp":%v,"status":{"state":"idle"},"events":[%s]}`, f.head, last, last == f.head, strings.Join(lines, ","))
}

func newClient(t *testing.T, h http.Handler) *Client {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL, WithRetry(RetryLimits{WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, Attempts: 5}))
	if err != nil {
		t.Fatal(err)
	}
	c.times.backoffMin, c.times.backoffMax = time.Millisecond, 2*time.Millisecond
	t.Cleanup(func() { c.Close() })
	return c
}

// collect tails to the end and checks that the ids are from..to and the bytes
// those of the server.
func collect(t *testing.T, c *Client, f *fake, o TailOptions, from, to int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	want := from
	for e, err := range c.Tail(ctx, "s1", o) {
		if err != nil {
			t.Fatalf("after %d: %v", want-1, err)
		}
		if e.ID != want || string(e.JSON) != f.line(want) {
			t.Fatalf("event %d %s, want %d", e.ID, e.JSON, want)
		}
		if string(e.Event.JSON()) != string(e.JSON) {
			t.Fatalf("encoded again %s, was %s", e.Event.JSON(), e.JSON)
		}
		want++
	}
	if want != to+1 {
		t.Fatalf("ended before %d, want up to %d", want, to)
	}
}

func TestP3_CutConnections(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			f := newFake(t, 5000)
			f.cutMax = 400
			collect(t, newClient(t, f), f, TailOptions{Transport: transport, NoFollow: true}, 1, 5000)
			if f.total() < 10 {
				t.Fatalf("%d connections: nothing was cut", f.total())
			}
		})
	}
}

func TestP3_EventsSentTwicePassOnce(t *testing.T) {
	for _, transport := range []string{"ws", "sse"} {
		f := newFake(t, 300)
		f.double = true
		collect(t, newClient(t, f), f, TailOptions{Transport: transport, NoFollow: true}, 1, 300)
	}
}

func TestP6_SilentHoleIsNeverDelivered(t *testing.T) {
	for _, hole := range []int64{50, 100} { // in the middle, and the last one
		f := newFake(t, 100)
		f.hole = hole
		collect(t, newClient(t, f), f, TailOptions{Transport: "ws", NoFollow: true}, 1, 100)
		if f.total() < 2 {
			t.Fatal("the hole did not force a new connection")
		}
	}
}

func TestStepDown(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*fake)
		want int
	}{
		"ws 403":         {func(f *fake) { f.wsStatus = 403 }, 1},
		"ws answers 200": {func(f *fake) { f.wsStatus = 200 }, 1},
		"ws hangs":       {func(f *fake) { f.hang = true }, 1},
		"ws 500 twice":   {func(f *fake) { f.wsStatus = 500 }, 1},
		"sse off too":    {func(f *fake) { f.wsStatus, f.sseStatus = 426, 404 }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 20)
			tc.set(f)
			c := newClient(t, f)
			if f.hang {
				c.times.hello = 100 * time.Millisecond
			}
			collect(t, c, f, TailOptions{NoFollow: true}, 1, 20)
			if f.connects[tc.want].Load() == 0 {
				t.Fatalf("connections %v", f.connects[tc.want].Load())
			}
			if n := f.connects[0].Load(); n != 1 && f.wsStatus != 500 || n > 2 {
				t.Fatalf("%d attempts on a transport that was refused", n)
			}
		})
	}
}

func TestFixedTransportRefusedIsFinal(t *testing.T) {
	f := newFake(t, 5)
	f.wsStatus = 403
	for _, err := range newClient(t, f).Tail(t.Context(), "s1", TailOptions{Transport: "ws"}) {
		var se *StatusError
		if !errors.As(err, &se) || se.Status != 403 {
			t.Fatalf("got %v, want status 403", err)
		}
	}
	if f.connects[0].Load() != 1 {
		t.Fatal("tried again")
	}
}

func TestP6_GapAndResetAreTold(t *testing.T) {
	for _, silent := range []bool{false, true} {
		f := newFake(t, 30)
		f.floor, f.silentGap = 11, silent
		f.epoch.Store("e2")
		var kinds []string
		o := TailOptions{Transport: "sse", After: 20, Epoch: "e1", NoFollow: true, OnState: func(s State) {
			if s.Kind == StateGap && (s.From != 1 || s.To != 10) {
				t.Errorf("gap %d to %d", s.From, s.To)
			}
			kinds = append(kinds, s.Kind.String())
		}}
		collect(t, newClient(t, f), f, o, 11, 30)
		if got := strings.Join(kinds, " "); got != "reset connected status gap caught_up" {
			t.Fatalf("states %s", got)
		}
	}
}

func TestSilenceForcesReconnect(t *testing.T) {
	f := newFake(t, 10)
	f.silent = make(chan struct{})
	c := newClient(t, f)
	t.Cleanup(func() { close(f.silent) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	o := TailOptions{Transport: "ws", OnState: func(s State) {
		if s.Kind == StateDisconnected {
			if !errors.Is(s.Err, errSilent) {
				t.Errorf("got %v", s.Err)
			}
			cancel()
		}
	}}
	for _, err := range c.Tail(ctx, "s1", o) {
		if err == nil {
			seen++
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if seen != 10 {
		t.Fatalf("%d events", seen)
	}
}

func TestTailOptionStartsThere(t *testing.T) {
	f := newFake(t, 100)
	collect(t, newClient(t, f), f, TailOptions{Transport: "ws", Tail: 7, NoFollow: true}, 94, 100)
}

// log is an append endpoint that loses answers.
type log struct {
	mu    sync.Mutex
	seen  map[string]int64 // key, or producer and seq
	order []string
	lose  int // answers to lose
	code  int // refuse with it instead, once per lose
	last  int64
	posts int
}

func (l *log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posts++
	if l.code != 0 && l.lose > 0 {
		l.lose--
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(l.code)
		_, _ = io.WriteString(w, `{"code":"producer_gap","detail":"hole","expected":4}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	drafts, err := store.ParseDrafts(body)
	if err != nil {
		w.WriteHeader(400)
		return
	}
	k := drafts[0].Key
	if id := r.Header.Get("Producer-Id"); id != "" {
		k = id + "/" + r.Header.Get("Producer-Seq")
	}
	id, dup := l.seen[k]
	if !dup {
		l.last++
		id = l.last
		l.seen[k] = id
		l.order = append(l.order, string(drafts[0].Data))
	}
	if l.lose > 0 {
		l.lose--
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"first": id, "last": id, "duplicate": dup})
}

func TestP13_LostAnswerStoresOnce(t *testing.T) {
	l := &log{seen: map[string]int64{}, lose: 2}
	a, err := newClient(t, l).Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "text", Data: []byte("1")})
	if err != nil || a.First != 1 || a.Duplicate {
		t.Fatalf("got %+v, %v", a, err)
	}
	if l.last != 1 || l.posts != 3 {
		t.Fatalf("stored %d in %d requests, want 1 in 3", l.last, l.posts)
	}
}

func TestP14_ProducerResendsItsNumber(t *testing.T) {
	l := &log{seen: map[string]int64{}, lose: 7} // the first call's 5 attempts, and 2 more
	p := newClient(t, l).Producer("s1", "p", 0)
	d := func(s string) store.Draft { return store.Draft{Type: "text", Data: []byte(s)} }
	if _, err := p.Append(t.Context(), d("1")); !errors.Is(err, ErrOutcomeUnknown) {
		t.Fatalf("got %v", err)
	}
	if _, err := p.Append(t.Context(), d("2")); !errors.Is(err, ErrUnsettled) {
		t.Fatalf("got %v", err)
	}
	for _, s := range []string{"1", "2", "3"} {
		if _, err := p.Append(t.Context(), d(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(l.order, ""); got != "123" {
		t.Fatalf("stored %s, want 123", got)
	}
}

func TestRefusalsAreTheServersOwn(t *testing.T) {
	l := &log{seen: map[string]int64{}, lose: 1, code: 409}
	p := newClient(t, l).Producer("s1", "p", 0)
	_, err := p.Append(t.Context(), store.Draft{Type: "text"})
	var e *store.Error
	if !errors.Is(err, store.ErrProducerGap) || !errors.As(err, &e) || e.Want != 4 || errors.Is(err, ErrOutcomeUnknown) {
		t.Fatalf("got %v", err)
	}
	if l.posts != 1 {
		t.Fatalf("%d requests: a refusal was retried", l.posts)
	}
}

func TestBusyIsRetried(t *testing.T) {
	for _, code := range []int{429, 502, 503, 504, 507} {
		l := &log{seen: map[string]int64{}, lose: 2, code: code}
		if _, err := newClient(t, l).Append(t.Context(), "s1", AppendOptions{}, store.Draft{Type: "text"}); err != nil || l.last != 1 {
			t.Fatalf("%d: %v", code, err)
		}
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	c, err := New("http://bob:hunter2@127.0.0.1:1/base", WithRetry(RetryLimits{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Read(t.Context(), "s1", PageQuery{Turn: "hidden"})
	if s := fmt.Sprint(err); strings.Contains(s, "hunter2") || strings.Contains(s, "hidden") || !strings.Contains(s, "127.0.0.1:1/base/v1/sessions/s1/events") {
		t.Fatal(s)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"id":1,"session":"s1","type":"error","time":"2026-11-20T17:24:01.123Z","data":null,"raw":"x"}`))
	f.Add([]byte(`{"type":"hello","epoch":"e","floor":1,"heartbeatMs":10,"status":{"state":"idle"}}`))
	f.Add([]byte(`{"type":"gap","from":1,"to":2}`))
	f.Add([]byte(`{"type":"later","id":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := decodeFrame(b)
		if err != nil {
			return
		}
		if fr.kind == frameEvent && (fr.event.ID <= 0 || !json.Valid(fr.event.Data) || !bytes.Equal(fr.event.JSON, b)) {
			t.Fatalf("%q gave %+v", b, fr.event)
		}
		if fr.kind == "" {
			t.Fatalf("%q has no kind", b)
		}
	})
}
