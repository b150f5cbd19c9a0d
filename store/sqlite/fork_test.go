package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// rows counts what hangs on session numbers that no session has.
func strays(t *testing.T, l *Log) (n int64) {
	t.Helper()
	err := l.withReader(context.Background(), func(c *sqlite3.Conn) error {
		for _, table := range []string{"garbage", "events", "redactions", "seals"} {
			k, err := c.Int(`SELECT count(*) FROM ` + table + ` WHERE session_no NOT IN (SELECT no FROM sessions WHERE deleted_at IS NULL)`)
			if err != nil {
				return err
			}
			n += k
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// halfway begins a fork and copies a part of it.
func halfway(t *testing.T, l *Log, source string, f store.ForkSpec, chunks int) *forking {
	t.Helper()
	k := &forking{l: l, source: source, spec: f}
	if err := l.queue.do(context.Background(), 0, 0, k.begin); err != nil {
		t.Fatal(err)
	}
	for range chunks {
		k.step(t)
	}
	return k
}

func (k *forking) step(t *testing.T) (more bool) {
	t.Helper()
	err := k.l.queue.do(context.Background(), 0, 0, func(tx *txn) (err error) {
		more, err = k.copy(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return more
}

// complete brings a fork to its end as Fork does.
func (k *forking) complete(t *testing.T) {
	t.Helper()
	for k.step(t) {
	}
	for !k.whole {
		err := k.fold(context.Background())
		if err == nil {
			err = k.l.queue.do(context.Background(), 0, 0, k.finish)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func longSession(t *testing.T, l *Log, session string, n int) {
	t.Helper()
	var drafts []store.Draft
	for i := range n {
		drafts = append(drafts, secretive(i, 10))
	}
	appendTo(t, l, session, drafts...)
}

// A process that dies in the middle of a fork leaves rows of a number that no
// session has, and the next one removes them.
func TestForkCrashLeavesNothing(t *testing.T) {
	t.Parallel()
	for chunks := range 4 {
		dir := t.TempDir()
		l := openDerive(t, dir)
		longSession(t, l, "s", 1200)
		settled(t, l)
		k := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "f"}, chunks)
		if err := l.Close(); err != nil { // what the process knew of the fork is gone with it
			t.Fatal(err)
		}
		if problems, _ := verified(t, dir); len(problems) > 0 {
			t.Errorf("after %d chunks: %q", chunks, problems)
		}
		again := openDerive(t, dir)
		if _, err := again.Session(context.Background(), "f"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after %d chunks there is a session: %v", chunks, err)
		}
		if err := again.sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := strays(t, again); n != 0 {
			t.Errorf("after %d chunks: %d rows of number %d are left", chunks, n, k.no)
		}
		if _, err := again.Fork(context.Background(), "s", store.ForkSpec{After: 1200, Session: "f"}); err != nil {
			t.Errorf("after %d chunks: fork again: %v", chunks, err)
		}
	}
}

// The janitor leaves a fork alone that is being made, and takes one that was
// given up.
func TestForkAndJanitor(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	longSession(t, l, "s", 1200)
	longSession(t, l, "other", 600)
	k := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "f"}, 1)
	if err := l.DeleteSession(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	if err := l.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	k.complete(t)
	page, err := l.Read(ctx, "f", store.Query{Limit: store.Limit{Events: 2000, Bytes: 1 << 24}})
	if err != nil || len(page.Events) != 1200 {
		t.Fatalf("the fork has %d events, %v", len(page.Events), err)
	}
	given := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "g"}, 1)
	l.copies.release(given.no)
	if err := l.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strays(t, l); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Fork(cancelled, "s", store.ForkSpec{After: 5, Session: "h"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What is redacted in the source while it is copied is redacted in the fork,
// whatever part of it was copied already.
func TestForkAndRedaction(t *testing.T) {
	t.Parallel()
	for _, chunks := range []int{0, 1, 2, 5} {
		dir := t.TempDir()
		l := openDerive(t, dir)
		ctx := context.Background()
		longSession(t, l, "s", 1200)
		k := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "f"}, chunks)
		redact(t, l, "s", 600, 1200)
		k.complete(t)
		page, err := l.Read(ctx, "f", store.Query{Limit: store.Limit{Events: 2000, Bytes: 1 << 24}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if e.Redacted() != (e.ID >= 600) {
				t.Fatalf("after %d chunks: event %d is redacted: %t", chunks, e.ID, e.Redacted())
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if problems, _ := verified(t, dir); len(problems) > 0 {
			t.Errorf("after %d chunks: %q", chunks, problems)
		}
	}
}

// It may be redacted also between the fold and the last transaction.
func TestForkFoldsAgainAfterARedaction(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	put(t, l, "s", store.Draft{Type: store.TypePrompt, Turn: "t", Data: []byte(`{"text":"` + secretWord + `"}`)})
	k := halfway(t, l, "s", store.ForkSpec{After: 1, Session: "f"}, 5)
	if err := k.fold(ctx); err != nil {
		t.Fatal(err)
	}
	redact(t, l, "s", 1, 1)
	if err := l.queue.do(ctx, 0, 0, k.finish); err != nil || k.whole {
		t.Fatalf("finished with what was redacted: %t, %v", k.whole, err)
	}
	k.complete(t)
	s, err := l.Session(ctx, "f")
	if err != nil || len(s.Queue()) != 1 || s.Queue()[0].Text != "" {
		t.Errorf("the fork waits for %+v, %v", s.Queue(), err)
	}
}

// Retention may take from below what is still to be copied: the fork then
// begins where the copy does.
func TestForkAndRetention(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	longSession(t, l, "s", 1200)
	k := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "f"}, 1) // 701 to 1200
	if _, err := l.Retain(ctx, store.Retention{Events: 800}); err != nil {
		t.Fatal(err)
	}
	k.complete(t)
	late := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "late"}, 1)
	if _, err := l.Retain(ctx, store.Retention{Events: 200}); err != nil {
		t.Fatal(err)
	}
	late.complete(t)
	for session, floor := range map[string]int64{"f": 401, "late": 701} {
		s, err := l.Session(ctx, session)
		if err != nil || s.Head != 1200 {
			t.Fatalf("%s: %+v, %v", session, s, err)
		}
		if session == "late" && s.Floor != floor { // f was cut itself since
			t.Errorf("%s begins at %d, want %d", session, s.Floor, floor)
		}
		page, err := l.Read(ctx, session, store.Query{Limit: store.Limit{Events: 2000, Bytes: 1 << 24}})
		if err != nil || int64(len(page.Events)) != s.Head-s.Floor+1 {
			t.Errorf("%s: %d events from %d on, %v", session, len(page.Events), s.Floor, err)
		}
	}
}

// A source that is deleted while it is copied has no fork.
func TestForkOfADeletedSource(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	longSession(t, l, "s", 1200)
	k := halfway(t, l, "s", store.ForkSpec{After: 1200, Session: "f"}, 1)
	if err := l.DeleteSession(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	longSession(t, l, "s", 10)
	err := l.queue.do(ctx, 0, 0, func(t *txn) error {
		_, err := k.copy(t)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("copied from a session made again: %v", err)
	}
	if err := l.queue.do(ctx, 0, 0, k.finish); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("finished without its source: %v", err)
	}
}

// The name may be taken while the fork is made: who came first has it.
func TestForkIsTooLate(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	longSession(t, l, "s", 10)
	k := halfway(t, l, "s", store.ForkSpec{After: 10, Session: "f"}, 3)
	put(t, l, "f", store.Draft{Type: "x"})
	err := k.fold(ctx)
	if err == nil {
		err = l.queue.do(ctx, 0, 0, k.finish)
	}
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("took a name that is taken: %v", err)
	}
}

// A fork has its source's chain up to where they part, and what follows from
// its log is what is stored of it.
func TestForkIsSoundAndSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(8, 9))
	for turn := range 6 {
		appendTo(t, l, "s", turnOf(rng, fmt.Sprint("t", turn), 10)...)
	}
	settled(t, l)
	redact(t, l, "s", 4, 14)
	if _, err := l.Fork(ctx, "s", store.ForkSpec{After: 35, Session: "f"}); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, "f", turnOf(rng, "u", 10)...) // 37 to 46, after the turn that was abandoned
	settled(t, l)
	source, fork := sealsOf(t, l, "s"), sealsOf(t, l, "f")
	if len(fork) != 5 || fork[2].Hash != source[2].Hash || fork[3].First != 31 || fork[3].Last != 36 || fork[4].Last != 46 {
		t.Errorf("seals of the fork %+v, of its source %+v", fork, source)
	}
	for _, session := range []string{"s", "f"} {
		if differences, err := l.Rebuild(ctx, session); err != nil || len(differences) > 0 {
			t.Errorf("%s: what is stored is not what follows from the log: %q, %v", session, differences, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	problems, report := verified(t, dir)
	if len(problems) > 0 || report.Proven != 60+46 {
		t.Errorf("got %q and %+v", problems, report)
	}
}
