package stream

import (
	"context"
	"runtime"
	"time"

	"github.com/konlog/konlog/store"
)

// Log is what the package reads from.
type Log interface {
	store.Reader
	// Session returns one session, or store.ErrNotFound.
	Session(ctx context.Context, id string) (store.Session, error)
}

// Batch is what a tail learnt by one read.
type Batch struct {
	Session store.Session // as of the read
	Events  []store.Event // those that pass the filter; not to be changed
	Next    int64         // the cursor after the batch
	Gap     *Gap          // events that will not come, before Events; or nil
	Reset   *Reset        // the cursor was of another history; or nil
	Level   bool          // Next is the session's head: nothing is left to read
	Done    bool          // the bound of the request is reached: nothing will come
	Turned  bool          // a turn began or ended, or the session closed, in the batch
	Cut     bool          // the next batch begins with a gap, however much room this one had
}

// news reports whether the batch holds something a reader must get.
func (b *Batch) news() bool {
	return len(b.Events) > 0 || b.Gap != nil || b.Reset != nil || b.Done
}

// Tail is a cursor into one session's log. It is not safe for concurrent use.
type Tail struct {
	log   store.Reader
	watch *Watch
	wake  chan struct{}
	req   Request
	limit store.Limit

	after   int64  // id of the last event read
	through int64  // of a reader that folds: up to here events come folded; -1 is up to the head at the next read
	epoch   string // of the history that after belongs to, or ""
	more    bool   // the log is known to hold more, or was never read
	leave   func() // gives back its place in its client's limits; or nil
}

// NewTail returns a tail that stands after the given id. It watches the
// session before its first read, so that nothing can be committed unseen
// between the two. Close must be called.
func NewTail(log store.Reader, hub *Hub, session string, after int64) *Tail {
	return newTail(log, hub, make(chan struct{}, 1), Request{Session: session, After: after}, store.Limit{})
}

func newTail(log store.Reader, hub *Hub, wake chan struct{}, req Request, limit store.Limit) *Tail {
	req.Fold = req.Fold && req.View == nil // a view shows events as they are
	return &Tail{
		log: log, watch: hub.Watch(req.Session, wake), wake: wake, req: req, limit: limit,
		after: req.After, through: -1, epoch: req.Epoch, more: true,
	}
}

// seek resolves tail=N, which needs the head. With until=id the tail is
// counted from there.
func (t *Tail) seek(ctx context.Context, log Log) error {
	if !t.req.FromEnd {
		return nil
	}
	s, err := log.Session(ctx, t.req.Session)
	if err != nil {
		return err
	}
	end := s.Head
	if id := t.req.Until.ID; id > 0 {
		end = min(end, id)
	}
	t.after = max(end-t.req.Tail, s.Floor-1, 0)
	t.epoch = "" // a reader that starts from the end holds nothing of an old history
	return nil
}

// Close ends the watch.
func (t *Tail) Close() {
	t.watch.Close()
	if t.leave != nil {
		t.leave()
		t.leave = nil
	}
}

// After returns the cursor: the id of the last event read.
func (t *Tail) After() int64 { return t.after }

// Next returns what comes after the cursor, and moves it. When there is
// nothing it waits; a batch without events and no error means that nothing
// came within wait, which is the moment for a heartbeat. With wait 0 it never
// waits.
func (t *Tail) Next(ctx context.Context, wait time.Duration) (Batch, error) {
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	for {
		b, err := t.read(ctx)
		if err != nil || b.news() {
			return b, err
		}
		if t.more { // the filter let nothing pass
			runtime.Gosched()
			continue
		}
		if wait <= 0 {
			return b, nil
		}
		for !t.ready() {
			select {
			case <-t.wake:
			case <-timeout:
				return b, nil
			case <-ctx.Done():
				return b, ctx.Err()
			}
		}
	}
}

// ready reports whether a read may find something.
func (t *Tail) ready() bool { return t.more || t.watch.Dirty() }

// read takes one page after the cursor and moves the cursor behind it.
func (t *Tail) read(ctx context.Context) (Batch, error) {
	t.watch.Clear()
	q, folds := t.query()
	page, err := t.log.Read(ctx, t.req.Session, q)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Session: page.Session}
	s := &b.Session
	if reason := t.foreign(s); reason != "" {
		t.after, t.through, t.epoch, t.more = 0, -1, s.Epoch, true
		b.Reset = newReset(s, reason)
		return b, nil
	}
	t.epoch = s.Epoch
	if t.through < 0 {
		t.through = s.Head
	}
	if s.Floor > t.after+1 {
		b.Gap = newGap(s.ID, t.after+1, s.Floor-1)
		t.after = s.Floor - 1
	}
	events, past := t.req.Until.cut(page.Events)
	if err := t.follows(events, q.Fold); err != nil {
		return Batch{}, err
	}
	shown, left := b.pass(events)
	events = events[:len(events)-len(left)]
	if n := len(events); n > 0 {
		t.after = events[n-1].ID
	}
	b.Next, b.Cut = t.after, len(left) > 0
	b.Level = t.after >= s.Head
	b.Done = past && !b.Cut || t.req.Until.reached(t.after, b.Level)
	b.Turned = turned(events)
	if folds && !q.Fold {
		shown = store.Fold(shown)
	}
	b.Events = t.req.filter(shown)
	t.more = !b.Level && !b.Done
	return b, nil
}

// foreign says why the cursor does not belong to the session's history, or "".
func (t *Tail) foreign(s *store.Session) string {
	switch {
	case t.epoch != "" && t.epoch != s.Epoch:
		return reasonEpochChanged
	case t.after > s.Head:
		return reasonBeyondHead
	}
	return ""
}

// query asks for the page after the cursor. folds says that its events are to
// be folded: by the engine, but for a bound in time, where what is past it must
// be cut off before, else it would decide over what is left out.
func (t *Tail) query() (q store.Query, folds bool) {
	q = store.Query{After: t.after, Until: t.req.Until.ID, Raw: t.req.Raw, Limit: t.limit}
	folds = t.req.Fold && (t.through < 0 || t.after < t.through)
	if !folds {
		return q, false
	}
	if t.through >= 0 && (q.Until == 0 || q.Until > t.through) {
		q.Until = t.through
	}
	q.Fold = t.req.Until.Time.IsZero()
	return q, q.Fold || !q.Raw
}

// follows checks that the events are cursor+1, cursor+2 … (I3): an engine that
// breaks its contract must be found out here and not by a reader. Folded ones
// leave out ids, but they stand in order and for no id twice.
func (t *Tail) follows(events []store.Event, folded bool) error {
	last := t.after
	for i := range events {
		first := firstID(&events[i])
		if first != last+1 && !folded || first <= last || events[i].ID < first {
			return store.Errorf(store.CodeCorrupt, "session %s: read event %d where %d must follow", t.req.Session, first, last+1)
		}
		last = events[i].ID
	}
	return nil
}

// firstID is the id of the first event that e stands for.
func firstID(e *store.Event) int64 {
	if e.From != 0 {
		return e.From
	}
	return e.ID
}

// turned reports whether the events change what a status frame says.
func turned(events []store.Event) bool {
	for i := range events {
		switch events[i].Type {
		case "turn_start", "turn_end", store.TypeSessionClosed:
			return true
		}
	}
	return false
}
