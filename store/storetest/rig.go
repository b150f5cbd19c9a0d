package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// ctx is never cancelled: a call that hangs is found by the test's own limit.
var ctx = context.Background()

// begin is where every test's clock starts.
var begin = time.Date(2026, 11, 20, 17, 24, 1, 123_000_000, time.UTC)

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// news is one announcement.
type news struct {
	session string
	head    int64
}

// rig is an engine under test with its clock and what it announced.
type rig struct {
	*testing.T
	store.Log
	clock  clock
	engine Engine
	o      Options

	mu   sync.Mutex // guards said
	said []news
}

// start opens an empty engine.
func start(t *testing.T, e Engine) *rig {
	r := &rig{T: t, engine: e}
	r.clock.at = begin
	r.o = Options{Dir: t.TempDir(), Now: r.clock.now, Committed: r.committed}
	r.open()
	t.Cleanup(func() {
		if err := r.Log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func (r *rig) open() { r.Log = r.engine.Open(r.T, r.o) }

func (r *rig) reopen() {
	r.Helper()
	if err := r.Log.Close(); err != nil {
		r.Fatalf("close: %v", err)
	}
	r.open()
}

func (r *rig) committed(session string, head int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if session == store.FeedSession { // what it tells of is announced as well
		return
	}
	r.said = append(r.said, news{session, head})
}

// heard returns what was announced since it was last asked.
func (r *rig) heard() []news {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said = nil
	return said
}

// append appends and must succeed.
func (r *rig) append(session string, o store.AppendOptions, drafts ...store.Draft) store.Appended {
	r.Helper()
	a, err := r.Append(ctx, session, o, drafts...)
	if err != nil {
		r.Fatalf("append %d to %s: %v", len(drafts), session, err)
	}
	return a
}

// fill appends n events one by one.
func (r *rig) fill(session string, n int) {
	r.Helper()
	for range n {
		r.append(session, plain, text("x"))
	}
}

// refused appends, must be refused with the code, and must find that nothing
// of the engine's state has changed by it.
func (r *rig) refused(want store.Code, session string, o store.AppendOptions, drafts ...store.Draft) *store.Error {
	r.Helper()
	before := r.state()
	r.heard()
	a, err := r.Append(ctx, session, o, drafts...)
	if err == nil {
		r.Fatalf("append to %s: got %+v, want refusal %s", session, a, want)
	}
	e := refusal(err)
	if e.Code != want {
		r.Errorf("append to %s: got %v, want code %s", session, err, want)
	}
	if said := r.heard(); len(said) > 0 {
		r.Errorf("refused append announced %v", said)
	}
	if after := r.state(); after != before {
		r.Errorf("a refused append changed something\nbefore: %s\nafter:  %s", before, after)
	}
	return e
}

// state describes everything that can be seen from outside.
func (r *rig) state() string {
	r.Helper()
	var b strings.Builder
	for _, s := range r.list(store.SessionFilter{}) {
		fmt.Fprintf(&b, "%s %s", s.Epoch, describe(s))
		for _, e := range r.events(s.ID) {
			fmt.Fprintf(&b, "\n  %s", e.AppendJSON(nil, true))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// describe is all of a session but its epoch, which no two engines share.
func describe(s store.Session) string {
	return fmt.Sprintf("%s head %d floor %d bytes %d created %s updated %s closed %t title %q scope %q tags %q meta %s turn %q since %s seen %s lease %s notable %d open %s keep %s",
		s.ID, s.Head, s.Floor, s.Bytes, stamp(s.CreatedAt), stamp(s.UpdatedAt), s.Closed, s.Title, s.Scope, s.Tags, s.Meta,
		s.Turn, stamp(s.TurnSince), stamp(s.TurnSeen), s.TurnLease, s.Notable, asJSON(s.Open), asJSON(s.Retention))
}

// asJSON shows a value with all that it holds.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return string(store.AppendTime(nil, t))
}

// list walks all pages.
func (r *rig) list(f store.SessionFilter) []store.Session {
	r.Helper()
	var all []store.Session
	for range listPagesMax {
		page, err := r.ListSessions(ctx, f)
		if err != nil {
			r.Fatalf("list %+v: %v", f, err)
		}
		all = append(all, page.Sessions...)
		if f.Cursor = page.Next; f.Cursor == "" {
			return all
		}
	}
	r.Fatalf("list %+v: no end after %d pages", f, listPagesMax)
	return nil
}

// listPagesMax is more pages than any test's sessions need: a cursor that does
// not move must fail the test, not hang it.
const listPagesMax = 100

// read reads a page and must succeed.
func (r *rig) read(session string, q store.Query) store.Page {
	r.Helper()
	p, err := r.Read(ctx, session, q)
	if err != nil {
		r.Fatalf("read %s %+v: %v", session, q, err)
	}
	return p
}

// events reads everything that can be read, page by page, and checks that it
// runs from the floor to the head without a hole.
func (r *rig) events(session string) []store.Event {
	r.Helper()
	var all []store.Event
	after := int64(0)
	for {
		p := r.read(session, store.Query{After: after, Raw: true})
		if err := whole(p, after); err != nil {
			r.Fatalf("%s: %v", session, err)
		}
		all = append(all, p.Events...)
		if len(p.Events) == 0 {
			return all
		}
		after = p.Events[len(p.Events)-1].ID
	}
}

// whole reports how a forward page breaks the contract of store.Page, or nil.
func whole(p store.Page, after int64) error {
	next := max(after+1, p.Session.Floor)
	for _, e := range p.Events {
		if e.ID != next {
			return fmt.Errorf("after %d: got id %d, want %d (floor %d, head %d)", after, e.ID, next, p.Session.Floor, p.Session.Head)
		}
		next++
	}
	if next > p.Session.Head+1 && len(p.Events) > 0 {
		return fmt.Errorf("after %d: event %d is above the head %d", after, next-1, p.Session.Head)
	}
	if len(p.Events) == 0 && next <= p.Session.Head {
		return fmt.Errorf("after %d: the page is empty below the head %d", after, p.Session.Head)
	}
	return nil
}

// session gets a session that must exist.
func (r *rig) session(id string) store.Session {
	r.Helper()
	s, err := r.Session(ctx, id)
	if err != nil {
		r.Fatalf("session %s: %v", id, err)
	}
	return s
}

func (r *rig) delete(id string) {
	r.Helper()
	if err := r.DeleteSession(ctx, id); err != nil {
		r.Fatalf("delete %s: %v", id, err)
	}
}

func (r *rig) retain(k store.Retention) int64 {
	r.Helper()
	keeper, ok := r.Log.(store.Retainer)
	if !ok {
		r.Skip("the engine does not forget")
	}
	before, _ := r.Session(ctx, store.FeedSession) // absent as long as nothing happened
	n, err := keeper.Retain(ctx, k)
	if err != nil {
		r.Fatalf("retain %+v: %v", k, err)
	}
	after, _ := r.Session(ctx, store.FeedSession)
	return n - (after.Floor - before.Floor)
}

// wantIDs checks the ids of a page.
func (r *rig) wantIDs(what string, events []store.Event, want ...int64) {
	r.Helper()
	if got := ids(events); !slices.Equal(got, want) {
		r.Errorf("%s: got ids %v, want %v", what, got, want)
	}
}

// wantAppended checks an answer.
func (r *rig) wantAppended(what string, got, want store.Appended) {
	r.Helper()
	if got.First != want.First || got.Last != want.Last || got.Duplicate != want.Duplicate || !slices.Equal(got.IDs, want.IDs) {
		r.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func ids(events []store.Event) []int64 {
	var all []int64
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

// refusal returns err as a refusal; one of no code when it is none.
func refusal(err error) *store.Error {
	var e *store.Error
	if !errors.As(err, &e) {
		return &store.Error{Detail: err.Error()}
	}
	return e
}

var plain store.AppendOptions

func text(s string) store.Draft {
	return store.Draft{Type: "text", Data: []byte(`{"text":"` + s + `"}`)}
}

func keyed(key, s string) store.Draft {
	d := text(s)
	d.Key = key
	return d
}

func closing() store.Draft { return store.Draft{Type: store.TypeSessionClosed, Data: []byte("{}")} }

// restored is a draft with its own id, a second apart from its neighbours.
func restored(id int64) store.Draft {
	d := text(fmt.Sprint(id))
	d.ID, d.Time = id, begin.Add(-time.Hour+time.Duration(id)*time.Second)
	return d
}

func expect(head int64) store.AppendOptions { return store.AppendOptions{ExpectHead: &head} }

func producer(id string, epoch, seq int64) store.AppendOptions {
	return store.AppendOptions{Producer: &store.Producer{ID: id, Epoch: epoch, Seq: seq}}
}
