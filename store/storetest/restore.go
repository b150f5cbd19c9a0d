package storetest

import (
	"errors"
	"time"

	"github.com/konlog/konlog/store"
)

func testRestoreHead(r *rig) {
	l, ok := r.Log.(store.HeadRestorer)
	if !ok {
		r.Skip("the engine restores no heads")
	}
	raise := func(head int64) error {
		r.Helper()
		s, err := l.RestoreHead(ctx, "s", head)
		if err == nil && (s.Head != head || s.Floor != head+1) {
			r.Errorf("head %d: got %s", head, describe(s))
		}
		return err
	}
	if err := raise(5); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("no session: got %v, want %v", err, store.ErrNotFound)
	}
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{}); err != nil {
		r.Fatal(err)
	}
	for _, head := range []int64{5, 5, 9} {
		if err := raise(head); err != nil {
			r.Errorf("head %d: %v", head, err)
		}
	}
	gap := func(what string, head, want int64) {
		r.Helper()
		var e *store.Error
		if err := raise(head); !errors.As(err, &e) || e.Code != store.CodeRestoreGap || e.Want != want {
			r.Errorf("%s: got %v, want %s at %d", what, err, store.CodeRestoreGap, want)
		}
	}
	gap("a lower one", 8, 9)
	for _, head := range []int64{0, -1, store.IDMax + 1} {
		if err := raise(head); store.CodeOf(err) != store.CodeInvalidQuery {
			r.Errorf("head %d: got %v, want %s", head, err, store.CodeInvalidQuery)
		}
	}
	if r.engine.Reopen {
		r.reopen()
		l = r.Log.(store.HeadRestorer)
	}
	r.wantAppended("the next id", r.append("s", plain, text("x")), store.Appended{First: 10, Last: 10})
	gap("with an event", 20, 10)
	r.clock.move(time.Hour)
	r.retain(store.Retention{Age: time.Minute})
	if err := raise(20); err != nil {
		r.Errorf("when nothing can be read: %v", err)
	}
	r.append("s", plain, store.Draft{Type: store.TypeSessionClosed})
	if err := raise(30); !errors.Is(err, store.ErrSessionClosed) {
		r.Errorf("closed: got %v, want %v", err, store.ErrSessionClosed)
	}
}

// testRestoredLease: the times of a restored turn are no sign of silence, so
// that its import can come to its end.
func testRestoredLease(r *rig) {
	l, ok := r.Log.(store.Leaser)
	if !ok {
		r.Skip("the engine ends no silent turns")
	}
	o := store.AppendOptions{Restore: true}
	old := r.clock.now().Add(-time.Hour)
	draft := func(id int64, typ, data string) store.Draft {
		return store.Draft{ID: id, Time: old, Type: typ, Turn: "t", Data: []byte(data)}
	}
	r.append("s", o, draft(1, store.TypeTurnStart, `{"requestId":"t","leaseMs":60000}`))
	for id := int64(2); id <= 4; id++ {
		r.clock.move(40 * time.Second) // less than the lease from batch to batch
		if ended, _, err := l.ExpireTurns(ctx); ended != 0 || err != nil {
			r.Fatalf("before event %d: %d turns were ended, %v", id, ended, err)
		}
		r.append("s", o, draft(id, store.TypeText, `{"text":"x"}`))
	}
	r.clock.move(61 * time.Second)
	if ended, _, err := l.ExpireTurns(ctx); ended != 1 || err != nil {
		r.Errorf("after the lease: %d turns were ended, %v", ended, err)
	}
}
