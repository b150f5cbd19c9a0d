package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// witness keeps what it is told.
type witness struct {
	noObserver
	mu   sync.Mutex // guards what follows
	said []string
	subs map[string]int
}

func (w *witness) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *witness) Lagged(transport string, behind int64, age time.Duration) {
	w.note("lag %s %d %s", transport, behind, age)
}
func (w *witness) Cut(transport, why string) { w.note("cut %s %s", transport, why) }
func (w *witness) Sent(transport, session string, first, last int64, woke time.Time) {
	w.note("sent %s %s %d-%d", transport, session, first, last)
	if woke.IsZero() || woke.After(time.Now()) {
		w.note("woke at %s", woke)
	}
}

func (w *witness) Subscribed(transport string, change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs == nil {
		w.subs = map[string]int{}
	}
	w.subs[transport] += change
}

func (w *witness) follows(transport string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.subs[transport]
}

// take returns what was said since, sorted.
func (w *witness) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.said)
	said := strings.Join(w.said, ", ")
	w.said = nil
	return said
}

// What a reader gets of history is no lag; from then on its lag is the age of
// the oldest event of a batch, and what it has still to get.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := newFakeLog("s"), &witness{}
		l.append("s", store.Event{Time: time.Now().Add(-24 * time.Hour)}, store.Event{Time: time.Now().Add(-time.Hour)})
		w := newPipeSite(t, New(l, l.hub, Config{Observer: seen, Trail: seen, PageEvents: 2, Heartbeat: time.Hour, SilenceMax: 2 * time.Hour}))
		defer w.stop()
		for name, open := range map[string]func() liveStream{
			"websocket": func() liveStream { return w.ws("/v1/sessions/s/ws?after=0") },
			"sse":       func() liveStream { return w.sse("/v1/sessions/s/sse?after=0") },
		} {
			head := l.store("s")
			s := open()
			until(t, s, "caught_up")
			synctest.Wait()
			if said := seen.take(); strings.Contains(said, "lag") || !strings.Contains(said, "sent "+name+" s 1-2") {
				t.Errorf("%s: of history: %s", name, said)
			}
			l.append("s", store.Event{Time: time.Now().Add(-3 * time.Second)})
			nEvents(t, s, 1)
			synctest.Wait()
			if got, want := seen.take(), fmt.Sprintf("lag %s 0 3s, sent %s s %d-%d", name, name, head+1, head+1); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
			l.store("s", store.Event{Time: time.Now().Add(-5 * time.Second)}, store.Event{}, store.Event{}, store.Event{}, store.Event{})
			l.hub.Committed("s", 0)
			nEvents(t, s, 5)
			synctest.Wait()
			got := seen.take()
			for _, want := range []string{"lag " + name + " 3 5s", "lag " + name + " 1 0s", "lag " + name + " 0 0s"} {
				if !strings.Contains(got, want) {
					t.Errorf("%s: got %s, want %s", name, got, want)
				}
			}
			if n := seen.follows(name); n != 1 || l.hub.Watches() != 1 {
				t.Errorf("%s: %d sessions are followed, %d watched", name, n, l.hub.Watches())
			}
			s.close()
			synctest.Wait()
			if n := seen.follows(name); n != 0 || l.hub.Watches() != 0 {
				t.Errorf("%s: %d sessions are followed, %d watched, by nobody", name, n, l.hub.Watches())
			}
			l.forget("s", head+6)
			l.create("s", "epoch-1", 0)
			l.append("s", store.Event{Time: time.Now().Add(-24 * time.Hour)}, store.Event{Time: time.Now().Add(-time.Hour)})
			seen.take()
		}
	})
}

// A poll that had to wait has a lag; one that finds events at once has none.
func TestLagOfAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := newFakeLog("s"), &witness{}
		l.append("s", store.Event{Time: time.Now().Add(-time.Hour)})
		w := newPipeSite(t, New(l, l.hub, Config{Observer: seen, Trail: seen}))
		defer w.stop()
		if p := w.poll("/v1/sessions/s/events?after=0&wait=10"); p.ids() != "1" || seen.take() != "" {
			t.Error("a poll that did not wait has a lag")
		}
		time.AfterFunc(time.Second, func() { l.append("s", store.Event{Time: time.Now().Add(-2 * time.Second)}) })
		if p := w.poll("/v1/sessions/s/events?after=1&wait=10"); p.ids() != "2" {
			t.Fatal(p.ids())
		}
		synctest.Wait()
		if got, want := seen.take(), "lag poll 0 2s, sent poll s 2-2"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if n := seen.follows(Poll); n != 0 {
			t.Errorf("%d sessions are followed by nobody", n)
		}
	})
}

// Who takes nothing, and who gives no sign, is counted as cut; whom a drain
// sends away is not.
func TestCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := newFakeLog("s"), &witness{}
		srv := New(l, l.hub, Config{Observer: seen, Heartbeat: 10 * time.Second, SilenceMax: time.Minute, WriteTimeout: 5 * time.Second})
		w := newPipeSite(t, srv)
		slow := []liveStream{w.ws("/v1/sessions/s/ws"), w.sse("/v1/sessions/s/sse")}
		l.append("s", large(100)...)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got, want := seen.take(), "cut sse slow, cut websocket slow"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, s := range slow {
			s.close()
		}
		res, cancel := w.get("/v1/sessions/s/events")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := seen.take(); got != "cut poll slow" {
			t.Errorf("got %s", got)
		}
		cancel()
		res.Body.Close()

		stalled := w.sse("/v1/sessions/s/sse")
		defer stalled.close()
		synctest.Wait()
		w.stop()
		synctest.Wait()
		if got := seen.take(); got != "" {
			t.Errorf("a drain: got %s", got)
		}
	})
}

func TestCutSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := newFakeLog("s"), &witness{}
		w := newPipeSite(t, New(l, l.hub, Config{Observer: seen}))
		defer w.stop()
		c, _, err := websocket.Dial(context.Background(), w.url+"/v1/sessions/s/ws", &websocket.DialOptions{
			HTTPClient: w.client, OnPingReceived: func(context.Context, []byte) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = rest(&wsStream{c: c})
		synctest.Wait()
		if got, want := seen.take(), "cut websocket silent"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// BenchmarkLag is what telling of a batch costs, beside what sending it does
// (BenchmarkSendWS).
func BenchmarkLag(b *testing.B) {
	c := &conn{srv: New(newFakeLog(), NewHub(), Config{}), seat: &seat{transport: SSE}}
	now := time.Now()
	events := []store.Event{{ID: 1, Time: now}}
	for range b.N {
		c.sending("s", events, 0, true, now)
		c.sentBatch(now)
	}
}
