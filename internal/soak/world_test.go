package soak

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// Bounds of the load.
const (
	turnSteps  = 60 // requests of a turn
	batchMax   = 6  // events of a request
	retryWait  = 20 * time.Millisecond
	settledMax = 2 * time.Minute // for all to be level once the faults are over
)

// world is the load: agents that write to a session each, and readers of it.
type world struct {
	pace    *rate.Limiter
	pause   time.Duration // of an agent between two requests, as a mean
	agents  []*agentOf
	readers []*reader
	events  atomic.Int64 // acknowledged
	seen    atomic.Int64 // by readers
	working sync.WaitGroup
	reading sync.WaitGroup
	rest    func() // stops the agents
	leave   func() // stops the readers
}

// agentOf writes turns: prompts, text, tools, and a late kontask now and then.
type agentOf struct {
	session string
	acked   int64 // events, all in order
}

// reader follows a session. What it sees goes into a hash, so that hours of it
// take no memory.
type reader struct {
	session, transport string
	client             *client.Client
	last               atomic.Int64
	hash               uint64
}

// newWorld makes n agents with a reader for each of the clients' ways.
func newWorld(t *testing.T, n int, pause time.Duration, writer *client.Client, readers map[string]*client.Client) *world {
	w := &world{pace: rate.NewLimiter(rate.Inf, 1), pause: pause}
	working, rest := context.WithCancel(context.Background())
	reading, leave := context.WithCancel(context.Background())
	w.rest, w.leave = rest, leave
	t.Cleanup(func() { rest(); leave(); w.working.Wait(); w.reading.Wait() })
	for i := range n {
		a := &agentOf{session: fmt.Sprintf("soak-%d", i)}
		if _, _, err := writer.CreateSession(t.Context(), a.session, store.SessionSpec{}); err != nil {
			t.Fatal(err)
		}
		w.agents = append(w.agents, a)
		w.working.Go(func() { a.work(working, t, w, writer, rand.New(rand.NewPCG(uint64(i), 7))) })
		for transport, c := range readers {
			r := &reader{session: a.session, transport: transport, client: c}
			w.readers = append(w.readers, r)
			w.reading.Go(func() { r.read(reading, t, w) })
		}
	}
	return w
}

// work appends turn after turn. A request is repeated until it is acknowledged.
func (a *agentOf) work(ctx context.Context, t *testing.T, w *world, c *client.Client, random *rand.Rand) {
	p := c.Producer(a.session, "agent", 1)
	for n := 0; ctx.Err() == nil; n++ {
		for step := range turnSteps {
			drafts := script(a.session, n, step, 1+random.IntN(batchMax))
			if err := w.wait(ctx, len(drafts), random); err != nil {
				return
			}
			if !a.append(t, p, drafts) {
				return
			}
			w.events.Add(int64(len(drafts)))
		}
	}
}

// wait is how agents are slow.
func (w *world) wait(ctx context.Context, events int, random *rand.Rand) error {
	if w.pause == 0 {
		return w.pace.WaitN(ctx, events)
	}
	timer := time.NewTimer(time.Duration(random.ExpFloat64() * float64(w.pause)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// append does not end before the outcome is known, also when the agent is to
// rest: then all that it has sent is acknowledged.
func (a *agentOf) append(t *testing.T, p *client.Producer, drafts []store.Draft) bool {
	ctx, cancel := context.WithTimeout(context.Background(), settledMax)
	defer cancel()
	for {
		done, err := p.Append(ctx, drafts...)
		if err == nil {
			if done.First != a.acked+1 || done.Last != a.acked+int64(len(drafts)) {
				t.Errorf("%s: %d events after %d were acknowledged as %d to %d", a.session, len(drafts), a.acked, done.First, done.Last)
				return false
			}
			a.acked = done.Last
			return true
		}
		if ctx.Err() != nil {
			t.Errorf("%s: not acknowledged within %v: %v", a.session, settledMax, err)
			return false
		}
		time.Sleep(retryWait) // only the server can say when it is back
	}
}

// script is what an agent says in a step of a turn.
func script(session string, n, step, size int) []store.Draft {
	turn := fmt.Sprintf("t%d", n)
	of := func(typ, format string, args ...any) store.Draft {
		return store.Draft{Type: typ, Turn: turn, Data: fmt.Appendf(nil, format, args...)}
	}
	switch {
	case step == 0:
		return []store.Draft{of(store.TypePrompt, `{"text":"turn %d of %s"}`, n, session), of(store.TypeTurnStart, `{"agent":"soak"}`)}
	case step == turnSteps-1:
		end := []store.Draft{of(store.TypeTurnEnd, `{"success":true,"reason":"done"}`)}
		if n%10 == 9 {
			end = append(end, store.Draft{Type: store.TypeKontaskReady, Data: fmt.Appendf(nil, `{"kontaskId":"%s-%d","title":"late"}`, session, n)})
		}
		return end
	case step%20 == 10:
		return []store.Draft{
			of(store.TypeToolStart, `{"id":"%d-%d","name":"Bash","input":{"command":"ls"}}`, n, step),
			of(store.TypeToolResult, `{"id":"%d-%d","success":true,"output":"a file of some length that a tool has found"}`, n, step),
		}
	}
	var drafts []store.Draft
	for i := range size {
		drafts = append(drafts, of(store.TypeTextDelta, `{"block":"b%d","text":"word %d of step %d "}`, step/20, i, step))
	}
	return drafts
}

func (r *reader) read(ctx context.Context, t *testing.T, w *world) {
	h := fnv.New64a()
	for e, err := range r.client.Tail(ctx, r.session, client.TailOptions{Transport: r.transport}) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			t.Errorf("%s over %s: %v", r.session, r.transport, err)
			break
		}
		if e.ID != r.last.Load()+1 {
			t.Errorf("%s over %s: event %d after %d", r.session, r.transport, e.ID, r.last.Load())
			break
		}
		_, _ = h.Write(e.JSON)
		r.last.Store(e.ID)
		w.seen.Add(1)
	}
	r.hash = h.Sum64()
}

// settle lets the agents end what they are at and the readers come level, and
// holds what each reader saw against a fresh one.
func (w *world) settle(t *testing.T, fresh *client.Client) {
	t.Helper()
	w.rest()
	w.working.Wait()
	heads := map[string]int64{}
	for _, a := range w.agents {
		heads[a.session] = a.acked
	}
	for deadline := time.Now().Add(settledMax); ; time.Sleep(retryWait) {
		behind := 0
		for _, r := range w.readers {
			if r.last.Load() < heads[r.session] {
				behind++
			}
		}
		if behind == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d readers of %d are not level", behind, len(w.readers))
			break
		}
	}
	w.leave()
	w.reading.Wait()
	for _, a := range w.agents {
		h, n := fnv.New64a(), int64(0)
		for e, err := range fresh.Tail(t.Context(), a.session, client.TailOptions{Transport: "poll", NoFollow: true}) {
			if err != nil {
				t.Fatalf("%s: %v", a.session, err)
			}
			if n++; e.ID != n {
				t.Fatalf("%s: event %d is the %d.", a.session, e.ID, n)
			}
			_, _ = h.Write(e.JSON)
		}
		if n != a.acked {
			t.Errorf("%s: %d events are there, %d were acknowledged", a.session, n, a.acked)
		}
		for _, r := range w.readers {
			if r.session == a.session && (r.last.Load() != n || r.hash != h.Sum64()) {
				t.Errorf("%s over %s: it saw %d of %d events, or others than are there", r.session, r.transport, r.last.Load(), n)
			}
		}
	}
	if w.events.Load() == 0 || w.seen.Load() == 0 {
		t.Error("nothing happened: the test proves nothing")
	}
}
