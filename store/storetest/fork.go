package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

func (r *rig) forker() store.Forker {
	r.Helper()
	l, ok := r.Log.(store.Forker)
	if !ok {
		r.Skip("the engine does not fork")
	}
	return l
}

func (r *rig) fork(source string, f store.ForkSpec) store.Session {
	r.Helper()
	s, err := r.forker().Fork(ctx, source, f)
	if err != nil {
		r.Fatalf("fork %s %+v: %v", source, f, err)
	}
	return s
}

// inherited is what two sessions' events must have in common.
func inherited(events []store.Event, after int64) string {
	var b strings.Builder
	for _, e := range events {
		if e.ID > after {
			break
		}
		fmt.Fprintf(&b, "%d %s %q %q %s %s %q %t\n", e.ID, e.Type, e.Turn, e.Parent, stamp(e.Time), e.Data, e.Raw, e.Raw == nil)
	}
	return b.String()
}

func testFork(r *rig) {
	title := "forked"
	spec := store.SessionSpec{Title: "source", Scope: "sc", Tags: []string{"a"}, Meta: []byte(`{"x":1}`)}
	if _, _, err := r.CreateSession(ctx, "s", spec); err != nil {
		r.Fatal(err)
	}
	for i := range 5 {
		r.clock.move(time.Second)
		r.append("s", plain, store.Draft{Key: fmt.Sprint("k", i), Type: "text", Turn: "t", Parent: "p", Data: fmt.Appendf(nil, `{"n": %d}`, i), Raw: []byte("line")})
	}
	r.append("s", producer("p", 0, 0), store.Draft{Type: "text", Raw: []byte{}})
	r.redact("s", store.RedactSpec{From: 2, To: 3})
	r.fill("s", 3)
	r.clock.move(time.Second)
	before := describe(r.session("s"))
	r.heard()

	made := r.fork("s", store.ForkSpec{After: 8, Session: "f", Title: &title})
	testForked(r, before, made)
	testForkGoesItsWay(r)
}

// testForked looks at the fork f of s after event 8.
func testForked(r *rig, before string, made store.Session) {
	source := r.session("s")
	if describe(source) != before {
		r.Errorf("the source was changed\nfrom %s\nto   %s", before, describe(source))
	}
	if said := r.heard(); len(said) == 0 || said[0] != (news{"f", 8}) {
		r.Errorf("announced %v", said)
	}
	for _, when := range []string{"forked", "reopened"} {
		s, events := r.session("f"), r.events("f")
		if describe(s) != describe(made) || s.Epoch != made.Epoch || s.Epoch == source.Epoch || s.Epoch == "" {
			r.Errorf("%s: got %s epoch %s, want %s epoch %s", when, describe(s), s.Epoch, describe(made), made.Epoch)
		}
		if s.Head != 8 || s.Floor != 1 || s.Title != "forked" || s.Scope != "sc" || len(s.Tags) != 1 || string(s.Meta) != `{"x":1}` || s.Redacted != 7 || !s.CreatedAt.Equal(r.clock.now()) {
			r.Errorf("%s: %s", when, describe(s))
		}
		if s.ForkedFrom == nil || *s.ForkedFrom != (store.Origin{Session: "s", After: 8}) {
			r.Errorf("%s: forked from %+v", when, s.ForkedFrom)
		}
		if got, want := inherited(events, 9), inherited(r.events("s"), 8); got != want {
			r.Errorf("%s: inherited\n%s\nwant\n%s", when, got, want)
		}
		size := 0
		for _, e := range events {
			if size += e.Size(); e.Session != "f" {
				r.Errorf("%s: event %d says it is of session %s", when, e.ID, e.Session)
			}
		}
		if s.Bytes != int64(size) {
			r.Errorf("%s: %d bytes are counted of %d", when, s.Bytes, size)
		}
		if !r.engine.Reopen {
			break
		}
		r.reopen()
	}
}

func testForkGoesItsWay(r *rig) {
	head := r.session("s").Head
	r.wantAppended("a key of the source", r.append("f", plain, keyed("k0", "new")), store.Appended{First: 9, Last: 9})
	r.wantAppended("a producer of the source", r.append("f", producer("p", 0, 0), text("x")), store.Appended{First: 10, Last: 10})
	r.wantAppended("the source goes on", r.append("s", plain, text("x")), store.Appended{First: head + 1, Last: head + 1})
	if done := r.redact("s", store.RedactSpec{From: 8, To: 8}); len(done.Forks) != 1 || done.Forks[0] != "f" {
		r.Errorf("forks that have event 8: %v, want f", done.Forks)
	}
	if done := r.redact("s", store.RedactSpec{From: 9, To: 9}); len(done.Forks) != 0 {
		r.Errorf("forks that have event 9: %v, want none", done.Forks)
	}
	if e := r.events("f")[7]; e.Redacted() {
		r.Error("redacting the source took the fork's event with it")
	}
}

func testForkRefusals(r *rig) {
	r.fill("s", 10)
	r.retain(store.Retention{Events: 4}) // 7 to 10 are left
	r.fill("there", 1)
	r.fill("gone", 8)
	r.delete("gone")
	long := strings.Repeat("x", store.TitleBytesMax+1)
	for _, test := range []struct {
		source string
		f      store.ForkSpec
		want   store.Code
	}{
		{"s", store.ForkSpec{After: 11, Session: "f"}, store.CodeInvalidQuery},
		{"s", store.ForkSpec{After: 5, Session: "f"}, store.CodeInvalidQuery},
		{"s", store.ForkSpec{After: 8, Session: "there"}, store.CodeExists},
		{"s", store.ForkSpec{After: 8, Session: "s"}, store.CodeExists},
		{"s", store.ForkSpec{After: 8, Session: "gone"}, store.CodeExists}, // 7 and 8 would mean something else
		{"s", store.ForkSpec{After: 8, Session: "_f"}, store.CodeInvalidSession},
		{"s", store.ForkSpec{After: 8, Session: "no good"}, store.CodeInvalidSession},
		{"s", store.ForkSpec{After: 8, Session: "f", Title: &long}, store.CodeInvalidEvent},
		{"none", store.ForkSpec{After: 0, Session: "f"}, store.CodeNotFound},
		{"gone", store.ForkSpec{After: 0, Session: "f"}, store.CodeNotFound},
		{store.FeedSession, store.ForkSpec{After: 1, Session: "f"}, store.CodeInvalidSession},
	} {
		before := r.state()
		_, err := r.forker().Fork(ctx, test.source, test.f)
		if store.CodeOf(err) != test.want {
			r.Errorf("fork %s %+v: got %v, want %s", test.source, test.f, err, test.want)
		}
		if after := r.state(); after != before {
			r.Errorf("a refused fork changed something\nbefore: %s\nafter:  %s", before, after)
		}
	}
}

// testForkBounds forks at the ends of what can be read.
func testForkBounds(r *rig) {
	r.fill("s", 10)
	r.retain(store.Retention{Events: 4}) // 7 to 10 are left
	if s := r.fork("s", store.ForkSpec{After: 10, Session: "all"}); s.Floor != 7 || s.Head != 10 || s.Title != "" {
		r.Errorf("all: %s", describe(s))
	}
	if s := r.fork("s", store.ForkSpec{After: 6, Session: "none"}); s.Floor != 7 || s.Head != 6 || s.Bytes != 0 {
		r.Errorf("none: %s", describe(s))
	}
	r.wantAppended("after nothing", r.append("none", plain, text("x")), store.Appended{First: 7, Last: 7})
	if got, want := inherited(r.events("all"), 10), inherited(r.events("s"), 10); got != want {
		r.Errorf("inherited\n%s\nwant\n%s", got, want)
	}
	r.fill("low", 3)
	r.delete("low")
	if s := r.fork("s", store.ForkSpec{After: 9, Session: "low"}); s.Floor != 7 || s.Head != 9 { // its old ids end at 3
		r.Errorf("low: %s", describe(s))
	}
	if s := r.fork("all", store.ForkSpec{After: 8, Session: "again"}); s.ForkedFrom.Session != "all" || s.Head != 8 {
		r.Errorf("a fork of a fork: %s from %+v", describe(s), s.ForkedFrom)
	}
	if r.fork("s", store.ForkSpec{After: 10, Session: "last"}); r.retain(store.Retention{Events: 1}) == 0 {
		r.Error("retention passes over forks")
	}
	r.wantIDs("retention of a fork", r.events("last"), 10)
}

// testForkTurn forks in the middle of a turn: it goes on in the source and is
// abandoned in the fork.
func testForkTurn(r *rig) {
	r.append("s", plain, of("prompt", "t1", `{"text":"do"}`), of("turn_start", "t1", ""), of("text", "t1", `{"text":"half"}`))
	r.append("s", plain, of("kontask_ready", "t1", `{"id":"k1","title":"T"}`))
	made := r.fork("s", store.ForkSpec{After: 4, Session: "f"})
	if made.Head != 5 || made.Turn != "" || made.State() != store.StateIdle {
		r.Errorf("fork: %s", describe(made))
	}
	end := r.events("f")[4]
	if end.Type != store.TypeTurnEnd || end.Turn != "t1" || string(end.Data) != `{"requestId":"t1","success":false,"reason":"abandoned"}` {
		r.Errorf("the turn ends with %s", end.JSON())
	}
	if s := r.session("s"); s.Turn != "t1" || s.Head != 4 {
		r.Errorf("source: %s", describe(s))
	}
	if turn := r.turn("f", "t1"); turn.State != store.TurnEnded || turn.Reason != store.ReasonAbandoned {
		r.Errorf("turn of the fork: %+v", turn)
	}
	if turn := r.turn("s", "t1"); turn.State != store.TurnOpen {
		r.Errorf("turn of the source: %+v", turn)
	}
	if k, err := r.derived().Kontask(ctx, "k1"); err != nil || k.Session != "s" {
		r.Errorf("the kontask is of %q now, %v", k.Session, err)
	}
	r.refused(store.CodeTurnEnded, "f", plain, of("text", "t1", `{"text":"late"}`))
	r.append("s", plain, of("turn_end", "t1", `{"success":true}`), closing())
	if s := r.fork("s", store.ForkSpec{After: 6, Session: "closed"}); !s.Closed || s.Head != 6 {
		r.Errorf("a fork after session_closed: %s", describe(s))
	}
	if s := r.fork("s", store.ForkSpec{After: 5, Session: "open"}); s.Closed || s.Head != 5 {
		r.Errorf("a fork before it: %s", describe(s))
	}
}

// testForkWhileAppending forks a session that is being appended to: it has
// what was there, and no more.
func testForkWhileAppending(r *rig) {
	l := r.forker()
	const n = 1200 // more than one chunk of any engine
	var drafts []store.Draft
	for i := range n {
		drafts = append(drafts, secretive(i))
	}
	r.append("s", plain, drafts...)
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if _, err := r.Append(ctx, "s", plain, text("more")); err != nil {
				failed <- err
				return
			}
		}
	}()
	for i := range 5 {
		id := fmt.Sprint("f", i)
		if s, err := l.Fork(ctx, "s", store.ForkSpec{After: n - int64(i), Session: id}); err != nil || s.Head != n-int64(i) {
			r.Errorf("fork %d: head %d, %v", i, s.Head, err)
		}
	}
	close(stop)
	if err := <-failed; err != nil {
		r.Fatal(err)
	}
	source := r.events("s")
	for i := range 5 {
		if inherited(r.events(fmt.Sprint("f", i)), n) != inherited(source, n-int64(i)) {
			r.Errorf("fork %d is not what its source was", i)
		}
	}
}
