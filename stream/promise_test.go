package stream

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

// stagedLog is an engine in mid-commit: what is staged has its ids and is
// announced, as by an engine that errs, but it is not on disk yet, so that no
// read gives it.
type stagedLog struct {
	*fakeLog
	staged []store.Event
}

func (l *stagedLog) stage(id string, n int) {
	l.staged = append(l.staged, make([]store.Event, n)...)
	l.mu.Lock()
	head := l.sessions[id].Head
	l.mu.Unlock()
	l.hub.Committed(id, head+int64(len(l.staged)))
}

func (l *stagedLog) commit(id string) {
	l.append(id, l.staged...)
	l.staged = nil
}

// No reader learns of an event before it is on disk, also when it was
// announced and however long the commit takes: not by an event, not by the id
// of a frame, on no transport.
func TestP2_ReadersNeverSeeWhatIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &stagedLog{fakeLog: newFakeLog("s", "z")}
		l.appendN("s", 2)
		w := newPipeSite(t, New(l, l.hub, Config{Commander: commander(func(string, []byte) (any, error) {
			l.stage("s", 1)
			l.commit("s")
			return map[string]any{"first": 8}, nil
		})}))
		defer w.stop()
		live := map[string]liveStream{
			"ws": w.ws("/v1/sessions/s/ws"), "sse": w.sse("/v1/sessions/s/sse"), "several": w.sse("/v1/sse?cursor=s:0"), "batch": w.ws("/v1/sessions/s/ws?batch=1"),
		}
		for _, s := range live {
			until(t, s, "caught_up")
		}
		polled := make(chan pollPage, 1)
		poll := func() { polled <- w.poll("/v1/sessions/s/events?after=2&wait=30") }
		go poll()
		synctest.Wait()
		l.stage("s", 3)
		for range 2 { // two heartbeats of a commit that does not end
			for name, s := range live {
				if all := until(t, s, "ping"); names(all) != "ping" || all[0].id != 2 {
					t.Errorf("%s: %s, at %d, before the commit", name, names(all), all[0].id)
				}
			}
		}
		if p := w.poll("/v1/sessions/s/events?after=2"); len(p.Events) != 0 || p.Head != 2 || p.Next != 2 {
			t.Errorf("page before the commit: %+v", p)
		}
		late := w.sse("/v1/sessions/s/sse")
		if all := until(t, late, "caught_up"); names(all) != "hello status 1 2 caught_up" || all[0].field("head") != 2.0 {
			t.Errorf("who comes before the commit: %s", names(all))
		}
		select {
		case p := <-polled:
			t.Errorf("a poll was answered before the commit: %+v", p)
		default:
		}
		begin := time.Now()
		l.commit("s")
		for name, s := range live {
			if got := names(append(until(t, s, ""), append(until(t, s, ""), until(t, s, "")...)...)); got != "3 4 5" {
				t.Errorf("%s: %s after the commit", name, got)
			}
		}
		if p := <-polled; p.ids() != "3 4 5" || time.Since(begin) != 0 {
			t.Errorf("poll: %s after %v", p.ids(), time.Since(begin))
		}
		for _, s := range append([]liveStream{late}, live["ws"], live["sse"], live["several"], live["batch"]) {
			s.close()
		}
	})
}

// Every carrier attaches the same way: it watches, says hello, replays, says
// caught_up, and goes on by the same reads. What is committed in between comes
// once, in its place.
func TestP9_AttachIsOnePathOnAllCarriers(t *testing.T) {
	open := map[string]func(w *site) liveStream{
		"ws":       func(w *site) liveStream { return w.ws("/v1/sessions/s/ws") },
		"ws batch": func(w *site) liveStream { return w.ws("/v1/sessions/s/ws?batch=1") },
		"ws many":  func(w *site) liveStream { return w.ws("/v1/ws?cursor=s:0") },
		"ws subscribe": func(w *site) liveStream {
			s := w.ws("/v1/ws")
			s.send(w.t, `{"type":"subscribe","session":"s"}`)
			return s
		},
		"sse":      func(w *site) liveStream { return w.sse("/v1/sessions/s/sse") },
		"sse many": func(w *site) liveStream { return w.sse("/v1/sse?cursor=s:0") },
		"poll":     func(w *site) liveStream { return &pollStream{w: w, path: "/v1/sessions/s/events?wait=20&limit=2"} },
	}
	for name, carrier := range open {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLog("s")
			l.appendN("s", 5)
			reads := 0
			l.setAfterRead(func(p store.Page) {
				l.hub.mu.RLock()
				if len(l.hub.watches["s"]) == 0 {
					t.Errorf("%s: a read before the session is watched", name)
				}
				l.hub.mu.RUnlock()
				if reads++; reads <= 4 { // during the replay, and in the gap at its end
					l.appendN("s", 1)
				}
			})
			w := newPipeSite(t, New(l, l.hub, Config{PageEvents: 2}))
			defer w.stop()
			begin := time.Now()
			s := carrier(w)
			defer s.close()
			all := until(t, s, "caught_up")
			for all[len(all)-1].id != 9 || all[len(all)-1].name != "" {
				all = append(all, until(t, s, "")...)
				if len(all) > 20 {
					t.Fatalf("%s: %s", name, names(all))
				}
			}
			if got := names(slices.DeleteFunc(slices.Clone(all), func(g got) bool { return g.name == "caught_up" })); got != "hello status 1 2 3 4 5 6 7 8 9" {
				t.Errorf("%s: %s", name, names(all))
			}
			n := len(strings.Fields(names(all)))
			if at := slices.IndexFunc(all, func(g got) bool { return g.name == "caught_up" }); n != 12 || all[at].id != all[at-1].id {
				t.Errorf("%s: caught_up does not stand behind the event that it names: %s", name, names(all))
			}
			l.appendN("s", 3)
			if got := names(append(until(t, s, ""), append(until(t, s, ""), until(t, s, "")...)...)); got != "10 11 12" {
				t.Errorf("%s live: %s", name, got)
			}
			if d := time.Since(begin); d != 0 {
				t.Errorf("%s: a clock found the events, after %v", name, d)
			}
		})
	}
}

// pollStream shows a reader that polls as the other carriers are.
type pollStream struct {
	w     *site
	path  string
	after int64
	begun bool
	level bool
	queue []got
}

func (s *pollStream) next() (got, error) {
	for len(s.queue) == 0 {
		p := s.w.poll(fmt.Sprintf("%s&after=%d", s.path, s.after))
		if !s.begun {
			s.begun = true
			s.queue = append(s.queue, got{name: "hello"}, got{name: "status"})
		}
		for _, e := range p.Events {
			s.queue = append(s.queue, parseGot(string(e)))
		}
		if s.after = p.Next; p.CaughtUp && !s.level {
			s.level = true
			s.queue = append(s.queue, got{name: "caught_up", id: p.Next})
		}
	}
	g := s.queue[0]
	s.queue = s.queue[1:]
	return g, nil
}
func (s *pollStream) close() {}

// Paced appends reach readers with the producer's gaps, not in lumps. The
// bounds are wide because the machine may be busy with other things.
func TestP11_PacedAppendsKeepTheirGaps(t *testing.T) {
	const (
		events = 20
		gap    = 50 * time.Millisecond
	)
	l := newFakeLog("s")
	w := newSite(t, New(l, l.hub, Config{}))
	readers := map[string]liveStream{
		"ws": w.ws("/v1/sessions/s/ws"), "batch": w.ws("/v1/sessions/s/ws?batch=1"), "sse": w.sse("/v1/sessions/s/sse"),
		"several": w.sse("/v1/sse?cursor=s:0"), "poll": &pollStream{w: w, path: "/v1/sessions/s/events?wait=20"},
	}
	for name, s := range readers {
		if name != "poll" {
			until(t, s, "caught_up")
		}
	}
	var mu sync.Mutex
	arrived := make(map[string][]time.Time)
	var wg sync.WaitGroup
	for name, s := range readers {
		wg.Go(func() {
			defer s.close()
			for range events {
				for g := (got{name: "-"}); g.name != ""; {
					var err error
					if g, err = s.next(); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
				mu.Lock()
				arrived[name] = append(arrived[name], time.Now())
				mu.Unlock()
			}
		})
	}
	var sent []time.Time
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for range events {
		<-tick.C
		sent = append(sent, time.Now())
		l.appendN("s", 1)
	}
	wg.Wait()
	for name, at := range arrived {
		if len(at) != events {
			t.Fatalf("%s: %d events", name, len(at))
		}
		var late []time.Duration
		kept := 0
		for i := range at {
			late = append(late, at[i].Sub(sent[i]))
			if i > 0 && at[i].Sub(at[i-1]) >= sent[i].Sub(sent[i-1])/2 {
				kept++
			}
		}
		slices.Sort(late)
		if late[events/2] > gap/2 || late[events-1] > 10*gap || kept < events*3/4 || at[events-1].Sub(at[0]) < (events-1)*gap/2 {
			t.Errorf("%s: %d of %d gaps kept; late by %v (half), %v (most)", name, kept, events-1, late[events/2], late[events-1])
		}
	}
}
