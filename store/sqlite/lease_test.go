package sqlite

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

// A producer that falls silent loses its turn when its lease has passed, not
// before, without anybody asking; what it appends, and a touch, renew it.
func TestP7_LeaseExpiresByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan int64, 1)
		begin := time.Now()
		l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, Committed: func(session string, head int64) {
			if session == "s" && head == 4 {
				ended <- head
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		add := func(d store.Draft) {
			t.Helper()
			if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, d); err != nil {
				t.Fatal(err)
			}
		}
		add(store.Draft{Type: store.TypeTurnStart, Turn: "t1", Data: []byte(`{"leaseMs":10000}`)})
		time.Sleep(9 * time.Second)
		add(store.Draft{Type: store.TypeText, Turn: "t1", Data: []byte(`{"text":"still here"}`)})
		time.Sleep(9 * time.Second)
		if _, err := l.TouchTurn(t.Context(), "s", "t1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		add(store.Draft{Type: store.TypeText, Turn: "t1", Data: []byte(`{"text":"and here"}`)})
		<-ended
		if got, want := time.Since(begin), 37*time.Second; got < want || got > want+time.Second {
			t.Errorf("the turn was ended after %v, want 10 s after its last event, %v", got, want)
		}
		turn, err := l.Turn(t.Context(), "s", "t1")
		if err != nil || turn.State != store.TurnEnded || turn.Reason != store.ReasonAbandoned || turn.Success {
			t.Errorf("turn %+v, %v", turn, err)
		}
		_, err = l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: store.TypeText, Turn: "t1"})
		if store.CodeOf(err) != store.CodeTurnEnded {
			t.Errorf("the late producer got %v, want turn_ended", err)
		}
	})
}

// Two leases: the shorter one, which came later, is not overslept.
func TestLaterLeaseMayEndEarlier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ended := make(chan struct{})
		l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, Committed: func(session string, head int64) {
			if session == "short" && head == 2 {
				close(ended)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		for session, lease := range map[string]string{"long": "3600000", "short": "2000"} {
			_, err := l.Append(t.Context(), session, store.AppendOptions{}, store.Draft{Type: store.TypeTurnStart, Turn: "t", Data: []byte(`{"leaseMs":` + lease + `}`)})
			if err != nil {
				t.Fatal(err)
			}
		}
		<-ended
		if got := time.Since(begin); got > 3*time.Second {
			t.Errorf("ended after %v, want 2 s", got)
		}
	})
}

// An append may come between the look for silent turns and the transaction
// that ends them: then the turn is not silent.
func TestRenewedLeaseIsNotEnded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, LeasesByHand: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: store.TypeTurnStart, Turn: "t", Data: []byte(`{"leaseMs":1000}`)})
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	if err := l.queue.do(t.Context(), 0, 0, func(t *txn) error { _, err := t.expire("s", &ended); return err }); err != nil || ended != 0 {
		t.Errorf("%d turns ended, %v, want none", ended, err)
	}
}

// The keeper must not lose a turn that was renewed between its look and its
// transaction: nobody would end it when it does fall silent.
func TestRenewedLeaseIsKeptInMind(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	var ahead atomic.Bool
	now := func() time.Time { // the clock that the look sees is ahead of the writer's
		if ahead.CompareAndSwap(true, false) {
			return begin.Add(time.Hour)
		}
		return begin
	}
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, LeasesByHand: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: store.TypeTurnStart, Turn: "t", Data: []byte(`{"leaseMs":1000}`)})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, l) // nobody else looks at the clock
	ahead.Store(true)
	ended, next, err := l.ExpireTurns(t.Context())
	if err != nil || ended != 0 || !next.Equal(begin.Truncate(time.Millisecond).Add(time.Second)) {
		t.Errorf("ended %d, next %v, %v, want the deadline of the turn that goes on", ended, next, err)
	}
}
