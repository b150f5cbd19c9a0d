package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

func TestI6_AWakeLeavesATokenThoughNobodyWaits(t *testing.T) {
	h := NewHub()
	wake := make(chan struct{}, 1)
	w := h.Watch("s", wake)
	defer w.Close()
	h.Committed("s", 1)
	h.Committed("s", 2)
	h.Committed("other", 2)
	if len(wake) != 1 || !w.Dirty() {
		t.Fatalf("tokens = %d, dirty = %v; want one merged wake-up", len(wake), w.Dirty())
	}
	own := NewTail(newFakeLog("s"), h, "s", 0)
	defer own.Close()
	h.Committed("s", 3)
	if len(own.wake) != 1 {
		t.Error("a tail's own channel lost the token")
	}
	c := New(newFakeLog("s"), h, Config{}).newConn(&seat{}, "s")
	if cap(c.wake) != 1 {
		t.Error("a connection's channel cannot keep a token")
	}
}

func TestHubForgetsClosedWatches(t *testing.T) {
	h := NewHub()
	wake := make(chan struct{}, 1)
	var all []*Watch
	for i := range 100 {
		all = append(all, h.Watch(fmt.Sprint("s", i%3), wake))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, w := range all {
		w.Close()
		w.Close()
		for _, other := range all[i+1:] {
			other.Clear()
		}
		for n := range 3 {
			h.Committed(fmt.Sprint("s", n), 1)
		}
		for j, other := range all {
			if want := j > i; j > i && other.Dirty() != want {
				t.Fatalf("after closing %d, watch %d: dirty = %v", i, j, other.Dirty())
			}
		}
	}
	if len(h.watches) != 0 {
		t.Errorf("%d sessions are still known", len(h.watches))
	}
}

// A commit that falls between an empty read and the wait must be found without
// the clock moving: not by a timeout.
func TestI6_CommitBetweenEmptyReadAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		empty := 0
		l.setAfterRead(func(p store.Page) {
			if len(p.Events) > 0 {
				return
			}
			if empty++; empty <= 20 {
				l.appendN("s", 1)
			}
		})
		tail := NewTail(l, l.hub, "s", 0)
		defer tail.Close()
		begin := time.Now()
		for want := int64(1); want <= 20; want++ {
			b, err := tail.Next(context.Background(), time.Minute)
			if err != nil || len(b.Events) != 1 || b.Events[0].ID != want {
				t.Fatalf("event %d: %v, %v", want, b.Events, err)
			}
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the events were found by a timeout: the clock moved by %v", d)
		}
		b, err := tail.Next(context.Background(), time.Minute)
		if err != nil || len(b.Events) != 0 || time.Since(begin) != time.Minute {
			t.Errorf("idle: %v, %v after %v; want nothing after a minute", b.Events, err, time.Since(begin))
		}
	})
}

func TestTailWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog("s")
		tail := NewTail(l, l.hub, "s", 0)
		defer tail.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := tail.Next(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// Producers, readers and the clock in every order that the seed gives: each
// reader sees cursor+1, cursor+2 … to the end.
func TestP3_TailsOnRandomSchedules(t *testing.T) {
	for round := range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { randomSchedule(t, seed, round) })
	}
}

func randomSchedule(t *testing.T, seed uint64, round int) {
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	l := newFakeLog("a", "b")
	const total = 300
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b"} {
		prng := rand.New(rand.NewPCG(seed, rng.Uint64()))
		wg.Go(func() {
			for left := total; left > 0; {
				n := min(1+prng.IntN(7), left)
				left -= n
				head := l.store(id, make([]store.Event, n)...)
				for range 1 + prng.IntN(2) { // news may come twice
					l.hub.Committed(id, head)
				}
				for range prng.IntN(3) {
					runtimeYield()
				}
			}
		})
	}
	for range 8 {
		prng := rand.New(rand.NewPCG(seed, rng.Uint64()))
		id := []string{"a", "b"}[prng.IntN(2)]
		wg.Go(func() { followRandomly(t, l, id, total, prng) })
	}
	wg.Wait()
}

// followRandomly reads a session to its end, with a new tail now and then.
func followRandomly(t *testing.T, l *fakeLog, id string, total int64, rng *rand.Rand) {
	wake := make(chan struct{}, 1)
	cursor := int64(0)
	for cursor < total {
		limit := store.Limit{Events: 1 + rng.IntN(20), Bytes: 1 + rng.IntN(4000)}
		tail := newTail(l, l.hub, wake, Request{Session: id, After: cursor}, limit)
		for range 1 + rng.IntN(20) {
			if cursor == total {
				break
			}
			b, err := tail.Next(context.Background(), time.Minute)
			if err != nil || len(b.Events) == 0 {
				t.Errorf("%s after %d: %d events, %v", id, cursor, len(b.Events), err)
				tail.Close()
				return
			}
			for i := range b.Events {
				if cursor++; b.Events[i].ID != cursor {
					t.Errorf("%s: got %d, want %d", id, b.Events[i].ID, cursor)
				}
			}
			if b.Next != cursor || tail.After() != cursor {
				t.Errorf("%s: next = %d, after = %d, want %d", id, b.Next, tail.After(), cursor)
			}
		}
		tail.Close()
	}
}

func TestP6_TailTellsWhatIsMissing(t *testing.T) {
	ctx := context.Background()
	l := newFakeLog("s")
	l.appendN("s", 10)
	l.forget("s", 5)
	tail := NewTail(l, l.hub, "s", 2)
	defer tail.Close()
	b, err := tail.Next(ctx, 0)
	if err != nil || b.Gap == nil || b.Gap.From != 3 || b.Gap.To != 4 || len(b.Events) != 6 || b.Events[0].ID != 5 {
		t.Fatalf("gap: %+v, %v", b, err)
	}
	level := NewTail(l, l.hub, "s", 4)
	defer level.Close()
	if b, err = level.Next(ctx, 0); err != nil || b.Gap != nil {
		t.Errorf("a cursor just below the floor misses nothing, got %+v, %v", b.Gap, err)
	}

	l.create("s", "epoch-2", 10) // deleted and made anew
	b, err = tail.Next(ctx, 0)
	if err != nil || b.Reset == nil || b.Reset.Reason != "epoch_changed" || b.Reset.Epoch != "epoch-2" || b.Next != 0 {
		t.Fatalf("reset: %+v, %v", b, err)
	}
	l.appendN("s", 1)
	b, err = tail.Next(ctx, 0)
	if err != nil || b.Gap == nil || b.Gap.From != 1 || b.Gap.To != 10 || len(b.Events) != 1 || b.Events[0].ID != 11 {
		t.Fatalf("after the reset: %+v, %v", b, err)
	}

	beyond := NewTail(l, l.hub, "s", 12)
	defer beyond.Close()
	if b, err = beyond.Next(ctx, 0); err != nil || b.Reset == nil || b.Reset.Reason != "cursor_beyond_head" {
		t.Fatalf("beyond the head: %+v, %v", b, err)
	}
	l.delete("s")
	if _, err = tail.Next(ctx, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

// An engine that breaks its contract is found out before a reader sees it.
func TestI3_TailRefusesAHole(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 5)
	l.sessions["s"].events = append(l.sessions["s"].events[:2], l.sessions["s"].events[3:]...)
	tail := NewTail(l, l.hub, "s", 0)
	defer tail.Close()
	if _, err := tail.Next(context.Background(), 0); store.CodeOf(err) != store.CodeCorrupt {
		t.Errorf("got %v", err)
	}
}

func TestP10_FilterAdvancesTheCursor(t *testing.T) {
	l := newFakeLog("s")
	for range 50 {
		l.append("s", store.Event{Type: "a", Turn: "t1"}, store.Event{Type: "b"}, store.Event{Type: "a"})
	}
	wake := make(chan struct{}, 1)
	tail := newTail(l, l.hub, wake, Request{Session: "s", Types: []string{"a", "x"}, Turn: "t1"}, store.Limit{Events: 7})
	defer tail.Close()
	n := 0
	for !n50(tail, &n, t) {
	}
	if n != 50 || tail.After() != 150 {
		t.Errorf("%d events, cursor %d", n, tail.After())
	}
	none := newTail(l, l.hub, wake, Request{Session: "s", Types: []string{"none"}}, store.Limit{Events: 7})
	defer none.Close()
	b, err := none.Next(context.Background(), 0)
	if err != nil || len(b.Events) != 0 || b.Next != 150 || !b.Level {
		t.Errorf("nothing passes: %+v, %v", b, err)
	}
}

func n50(tail *Tail, n *int, t *testing.T) (level bool) {
	b, err := tail.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Events {
		if e.Type != "a" || e.Turn != "t1" {
			t.Errorf("%s passed the filter", e.JSON())
		}
	}
	*n += len(b.Events)
	return b.Level
}
