package parity

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// The size of the test and what it allows. The bounds are wide because the
// machine may be busy with other things; the log line says what was measured.
const (
	slowReaders   = 200
	fastReaders   = 4
	baseFor       = 1500 * time.Millisecond // the producer alone with the fast readers
	slowFor       = 3 * time.Second         // the slow ones stop reading
	slowFull      = 10 * time.Second        // likewise, with KONLOG_SLOW_FULL
	rateRatioMin  = 0.4
	latencyMax    = 500 * time.Millisecond // p99 of the fast readers
	replayed      = 600                    // events from before, for half of the slow ones: more than buffers hold
	slowPageBytes = 64 << 10
	slowCache     = 4 << 20
	heapSlack     = 24 << 20 // 200 connections of both ends, SQLite, the producer
)

// TestP5_I7_SlowReaders lets 200 readers stop reading while a producer goes on
// at full speed: it and the other readers must not feel it, the server must
// hold a bounded batch for each and not what they missed, and when they go on,
// some of them after the server has cut them, each gets every event once.
func TestP5_I7_SlowReaders(t *testing.T) {
	long.Only(t)
	stopped := slowFor
	if os.Getenv("KONLOG_SLOW_FULL") != "" {
		stopped = slowFull
	}
	r := newRig(t, sqlite.Options{CacheBytes: slowCache}, api.Config{
		Limits: api.Limits{PageBytes: slowPageBytes},
		Stream: stream.Config{WriteTimeout: stopped * 5 / 4, SilenceMax: 10 * stopped},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+4*stopped)
	defer cancel()
	if _, _, err := r.direct.CreateSession(ctx, "s", store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	p := &fullSpeed{c: newClient(t, r.url, nil)}
	fast := &latencies{}
	var group sync.WaitGroup
	for i := range fastReaders {
		f := newFast(fast, []string{"ws", "sse"}[i%2])
		group.Go(func() { report(t, f.transport, f.run(ctx, r.url)) })
	}
	produce, stop := context.WithCancel(ctx)
	defer stop()
	var producing sync.WaitGroup
	producing.Go(func() { report(t, "producer", p.run(produce)) })

	pause(ctx, baseFor/3) // everything is warm
	base := measure(ctx, p, fast, baseFor)
	before := heapInUse()
	readers, resume, late := startSlow(ctx, t, &group, r.url, p)
	slow := measure(ctx, p, fast, stopped)
	held := heapInUse() // while all are still stopped
	stop()
	producing.Wait()
	if _, err := r.direct.CloseSession(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	close(resume)
	pause(ctx, stopped*3/4) // until the server has cut those who still do not read
	close(late)
	group.Wait()

	cut := int64(0)
	log, _ := r.readLog(t, "s", false)
	for i, x := range readers {
		cut += x.cuts
		if sum, n := checksum(log[x.from:]), int64(len(log)); x.at.after != n || x.sum != sum {
			t.Errorf("slow reader %d over %s: %d of %d events, checksum %x, want %x", i, x.transport, x.at.after, n, x.sum, sum)
		}
	}
	missed := int64(slow.events) * slow.bytes * slowReaders
	bound := int64(slowReaders*3*slowPageBytes + slowCache + heapSlack)
	ratio := slow.rate() / base.rate()
	t.Logf("producer %.0f events/s without, %.0f with %d stopped readers: %.2f", base.rate(), slow.rate(), slowReaders, ratio)
	t.Logf("fast readers' p99 %v without, %v with them (p50 %v, %v)", base.quantile(0.99), slow.quantile(0.99), base.quantile(0.5), slow.quantile(0.5))
	t.Logf("heap grew by %d KiB (bound %d KiB) while they missed %d KiB; the server cut %d", (held-before)>>10, bound>>10, missed>>10, cut)
	if held-before > bound {
		t.Errorf("the heap grew by %d bytes, want at most %d", held-before, bound)
	}
	if long.Race { // what follows is about speed, which the detector decides
		return
	}
	if ratio < rateRatioMin {
		t.Errorf("the producer's rate fell to %.2f, want at least %.2f", ratio, rateRatioMin)
	}
	if p99 := slow.quantile(0.99); p99 > max(latencyMax, 3*base.quantile(0.99)) {
		t.Errorf("the fast readers' p99 is %v, it was %v", p99, base.quantile(0.99))
	}
	if missed < 2*bound || cut == 0 || cut == slowReaders {
		t.Errorf("missed %d bytes, cut %d of %d: this proves too little", missed, cut, slowReaders)
	}
}

func report(t *testing.T, who string, err error) {
	if err != nil {
		t.Errorf("%s: %v", who, err)
	}
}

// heapInUse is what lives in the heap, garbage left out.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

func checksum(events [][]byte) (sum uint32) {
	for _, e := range events {
		sum = crc32.Update(sum, crc32.IEEETable, e)
	}
	return sum
}

// fullSpeed appends one event after the other, each with its time of birth.
type fullSpeed struct {
	c    *client.Client
	head atomic.Int64
}

const fullSpeedFill = 1200

func (p *fullSpeed) run(ctx context.Context) error {
	w := p.c.Producer("s", "full", 1)
	fill := strings.Repeat("x", fullSpeedFill)
	for ctx.Err() == nil {
		d := store.Draft{Type: "text_delta", Data: fmt.Appendf(nil, `{"born":%d,"fill":"%s"}`, time.Now().UnixNano(), fill)}
		a, err := w.Append(ctx, d)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p.head.Store(a.Last)
	}
	return nil
}

// latencies collects what the fast readers measure.
type latencies struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (l *latencies) take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// span is what happened in a stretch of time.
type span struct {
	events  int
	bytes   int64 // of one event, as it stands on the wire
	took    time.Duration
	latency []time.Duration // sorted
}

func (s *span) rate() float64 { return float64(s.events) / s.took.Seconds() }

func (s *span) quantile(q float64) time.Duration {
	if len(s.latency) == 0 {
		return time.Hour // nothing came: worse than any bound
	}
	return s.latency[int(q*float64(len(s.latency)-1))]
}

func measure(ctx context.Context, p *fullSpeed, fast *latencies, d time.Duration) span {
	fast.take()
	began, head := time.Now(), p.head.Load()
	pause(ctx, d)
	s := span{events: int(p.head.Load() - head), bytes: fullSpeedFill, took: time.Since(began), latency: fast.take()}
	slices.Sort(s.latency)
	return s
}

// newFast makes a follower that measures and keeps nothing else.
func newFast(l *latencies, transport string) *slowReader {
	return &slowReader{transport: transport, at: place{session: "s"}, http: &http.Client{Transport: &http.Transport{}}, seen: func(body []byte) {
		_, rest, _ := bytes.Cut(body, []byte(`"born":`))
		born, _, ok := bytes.Cut(rest, []byte{','})
		n, err := strconv.ParseInt(string(born), 10, 64)
		if !ok || err != nil {
			return // the event that closes the session
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, time.Since(time.Unix(0, n)))
	}}
}

// slowReader reads one session to its end. Between its first two events it
// may wait.
type slowReader struct {
	transport string
	http      *http.Client
	from      int64 // where it began
	at        place
	sum       uint32
	cuts      int64             // connections that ended before the session did
	seen      func(body []byte) // or nil
	stopped   func()            // called after the first event, or nil
}

func (r *slowReader) run(ctx context.Context, base string) error {
	for {
		ended, err := r.connection(ctx, base)
		if ended || err != nil {
			return err
		}
		r.cuts++
		if ctx.Err() != nil {
			return fmt.Errorf("stopped at %d: %w", r.at.after, ctx.Err())
		}
	}
}

// connection reads until the connection breaks, which is no error.
func (r *slowReader) connection(ctx context.Context, base string) (ended bool, err error) {
	w, err := open(ctx, r.http, base, r.transport, []place{r.at})
	if err != nil {
		return false, err
	}
	defer w.close()
	for {
		f, err := w.next()
		if err != nil {
			return false, nil
		}
		if f.kind != "" {
			if f.kind == "gap" || f.kind == "reset" {
				return false, fmt.Errorf("told of a %s after %d", f.kind, r.at.after)
			}
			continue
		}
		if r.at.after++; f.id != r.at.after {
			return false, fmt.Errorf("got event %d, want %d", f.id, r.at.after)
		}
		r.sum = crc32.Update(r.sum, crc32.IEEETable, f.body)
		if r.seen != nil {
			r.seen(f.body)
		}
		if last(f.body) {
			return true, nil
		}
		if stop := r.stopped; stop != nil {
			r.stopped = nil
			stop()
		}
	}
}

// startSlow starts the slow readers, half of them with a replay before, and
// returns when all have stopped. One in four goes on only when late is closed,
// the others when resume is.
func startSlow(ctx context.Context, t *testing.T, group *sync.WaitGroup, base string, p *fullSpeed) (readers []*slowReader, resume, late chan struct{}) {
	resume, late = make(chan struct{}), make(chan struct{})
	h := &http.Client{Transport: smallWindow(windowBytes)}
	head := p.head.Load()
	var parked sync.WaitGroup
	for i := range slowReaders {
		wait, from := resume, head
		if i%2 == 1 { // stops in the middle of the replay, where pages are full
			from = max(0, head-replayed)
		}
		if i/2%4 == 3 {
			wait = late
		}
		parked.Add(1)
		once := sync.OnceFunc(parked.Done)
		r := &slowReader{transport: []string{"ws-lines", "sse"}[i/8%2], http: h, from: from, at: place{session: "s", after: from}}
		r.stopped = func() {
			once()
			select {
			case <-wait:
			case <-ctx.Done():
			}
		}
		readers = append(readers, r)
		group.Go(func() {
			defer once() // whatever happens, nobody waits for it
			report(t, "slow reader over "+r.transport, r.run(ctx, base))
		})
	}
	parked.Wait()
	return readers, resume, late
}
