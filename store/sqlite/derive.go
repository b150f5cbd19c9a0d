package sqlite

// The derive loop makes of the log what need not be there when an append
// returns: the documents of the full-text search, and what the steps below
// make of each turn that has ended.
//
// One goroutine goes through the events of every session that changed, reading
// them like any other reader, as a rule from memory. Appends do nothing for it
// but note which session changed, in a set that holds each session once; when
// that is full, the loop looks for sessions with more events than it has gone
// through, as it does at the start, and so takes up what an earlier process
// has left. The log is its queue: it may fall behind, but needs no more memory
// for it.
//
// What it makes is written together with its place in the log (table derived),
// by small operations in the writer's queue, so that every event counts exactly
// once whatever breaks. While others append, it leaves most of the writer's
// time to them.

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// Bounds of the loop.
const (
	derivePause      = 100 * time.Millisecond // between two rounds: what comes meanwhile costs one visit
	deriveRetry      = 10 * time.Second       // rest after a failure, such as a full disk
	derivePageEvents = 1000                   // of one session in a round, so that none holds up the others
	derivePageBytes  = 1 << 20
	deriveDirtyMax   = 16 << 10 // sessions that are noted; beyond, the loop looks into all
	deriveKnownMax   = 16 << 10 // sessions whose place is kept in memory; others are loaded again
	deriveHeldMax    = 32 << 20 // bytes of text in blocks that have not ended, over all sessions
	deriveSaveEvents = 4096     // events without a document after which the place is written all the same
	deriveScanPage   = 64       // sessions of one look for those that are behind
	deriveBehindMax  = 256      // sessions with more than a page to go before more are looked for
	deriveOpDocs     = 128      // documents of one operation, which takes a few milliseconds
	deriveOpBytes    = 16 << 10 // likewise, of their text; one document is always taken
	deriveYield      = 3        // times as long as its last operation took the loop rests while others append
)

// deriveStep is something that is made of the events of a turn when the loop
// passes its turn_end. It gets the range from the event after the turn_end
// before to this one. It is called once at least, by one goroutine, in the
// order of the log, and must come to the same when it is called again. An error
// that time may mend is tried again; any other one is logged and passed over.
type deriveStep struct {
	name string
	run  func(ctx context.Context, session string, from, to int64) error
}

// deriveSteps lists them in the order in which they are called.
func (l *Log) deriveSteps() []deriveStep {
	return []deriveStep{
		{"seal", func(ctx context.Context, session string, _, to int64) error { return l.seal(ctx, session, to) }},
		{"fold", l.storeFold},
	}
}

// deriver is the loop.
type deriver struct {
	l      *Log
	steps  []deriveStep
	cancel context.CancelFunc
	asked  chan struct{} // capacity 1: a session changed
	hurry  chan struct{} // capacity 1: somebody waits
	ended  chan struct{}

	mu     sync.Mutex // guards what follows
	dirty  map[string]struct{}
	search bool          // sessions may be behind that are not noted
	wanted int64         // calls of settle so far
	level  int64         // those whose time has come
	moved  chan struct{} // closed and replaced when level rises
	behind bool          // the search for sessions that are behind is not over
	left   int           // sessions of the round before that are not at their head

	// The loop's own.
	known   map[string]*derivation
	held    int   // bytes of text in their extractors
	scanned int64 // the last session number that was looked at, or -1
	rest    []string
	batch   deriveBatch
}

// derivation is how far the loop has come in one session.
type derivation struct {
	session    string
	no         int64
	epoch      string
	generation int64
	extractor  *store.Extractor
	done       int64 // the last event that was gone through
	saved      int64 // likewise, as it is stored
	ended      int64 // the last turn_end of those
	floor      int64 // documents below it have been removed

	docs    []indexDoc // that are not written yet
	batched bool       // it is in the batch
	void    bool       // the session was redacted, or is another now
}

// init makes ready for note, before the writer starts.
func (d *deriver) init() {
	d.asked, d.hurry, d.ended = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	d.dirty, d.known, d.moved = map[string]struct{}{}, map[string]*derivation{}, make(chan struct{})
	d.search, d.scanned = true, -1
}

func (d *deriver) start(l *Log) {
	d.l, d.steps = l, l.deriveSteps()
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	poke(d.asked) // what an earlier process left behind
	go d.run(ctx)
}

func (d *deriver) stop() {
	d.cancel()
	<-d.ended
}

// poke wakes who listens, or leaves word.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// note says that a session changed. It is called by the writer after COMMIT.
func (d *deriver) note(session string) {
	if store.OwnSession(session) { // it tells of other sessions and has nothing to be found
		return
	}
	d.mu.Lock()
	if _, noted := d.dirty[session]; !noted && len(d.dirty) >= deriveDirtyMax {
		d.search = true
	} else {
		d.dirty[session] = struct{}{}
	}
	d.mu.Unlock()
	poke(d.asked)
}

// settle returns when all that was appended before the call has been gone
// through and what came of it is stored.
func (l *Log) settle(ctx context.Context) error {
	d := &l.derive
	d.mu.Lock()
	d.wanted++
	want := d.wanted
	d.mu.Unlock()
	poke(d.asked)
	poke(d.hurry)
	for {
		d.mu.Lock()
		level, moved := d.level, d.moved
		d.mu.Unlock()
		if level >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.ended:
			return store.ErrShutdown
		case <-moved:
		}
	}
}

// catchingUp reports whether the loop still looks for sessions that are behind.
func (d *deriver) catchingUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.behind || d.search
}

func (d *deriver) run(ctx context.Context) {
	defer close(d.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.asked:
		}
		more, err := d.round(ctx)
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, store.ErrShutdown)):
			return
		case errors.Is(err, store.ErrQueueFull): // appends come first
			d.wait(ctx, derivePause)
		case err != nil:
			d.l.options.Logger.Warn("deriving from the log failed", "err", err)
			d.wait(ctx, deriveRetry)
		case more:
		default:
			d.wait(ctx, derivePause)
		}
		if more || err != nil {
			poke(d.asked)
		}
	}
}

// wait rests, unless somebody is in a hurry.
func (d *deriver) wait(ctx context.Context, rest time.Duration) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.hurry:
	case <-timer.C:
	}
}

// round visits every session that was noted or is behind, a page each, and
// reports whether there is more to do at once.
func (d *deriver) round(ctx context.Context) (more bool, err error) {
	todo, wanted := d.take()
	defer func() {
		if err != nil {
			d.again(todo)
		}
	}()
	if err := d.l.unindex(ctx); err != nil {
		return false, err
	}
	if d.scanned >= 0 && len(d.rest) < deriveBehindMax {
		found, err := d.scan(ctx)
		if err != nil {
			return false, err
		}
		todo = append(todo, found...)
	}
	todo = append(todo, d.rest...)
	d.rest = d.rest[:0]
	slices.Sort(todo) // a session of the rest may have been noted as well
	todo = slices.Compact(todo)
	for _, session := range todo {
		again, err := d.visit(ctx, session)
		if err != nil {
			return false, err
		}
		if again {
			d.rest = append(d.rest, session)
		}
	}
	if err := d.flush(ctx); err != nil {
		return false, err
	}
	d.bound()
	more = len(d.rest) > 0 || d.scanned >= 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.behind, d.left = more, len(d.rest); !more && d.level < wanted {
		d.level = wanted
		close(d.moved)
		d.moved = make(chan struct{})
	}
	return more, nil
}

// take empties the set of noted sessions.
func (d *deriver) take() (todo []string, wanted int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	todo = slices.Collect(maps.Keys(d.dirty))
	clear(d.dirty)
	if d.search {
		d.search, d.behind, d.scanned = false, true, 0
	}
	return todo, d.wanted
}

// again notes sessions that could not be visited. What else was under way is
// behind now, and found by a search.
func (d *deriver) again(todo []string) {
	d.batch.drop(d)
	d.mu.Lock()
	d.search = true
	d.mu.Unlock()
	for _, session := range todo {
		d.note(session)
	}
}

// visit goes through a page of a session's events and reports whether there
// are more.
func (d *deriver) visit(ctx context.Context, session string) (more bool, err error) {
	p, err := d.place(ctx, session)
	if err != nil || p == nil {
		return false, err
	}
	page, err := d.l.Read(ctx, session, store.Query{After: p.done, Limit: store.Limit{Events: derivePageEvents, Bytes: derivePageBytes}})
	switch {
	case errors.Is(err, store.ErrNotFound):
		d.forget(p)
		return false, nil
	case errors.Is(err, store.ErrCorrupt): // it is told where it is read; others go on
		d.l.options.Logger.Warn("deriving from a session failed", "session", session, "err", err)
		return false, nil
	case err != nil:
		return false, err
	case page.Session.Epoch != p.epoch: // deleted and made again
		d.forget(p)
		return true, nil
	}
	if page.Session.Floor > p.floor {
		if err := d.trim(ctx, p, page.Session.Floor); err != nil {
			return false, err
		}
	}
	for i := range page.Events {
		if err := d.pass(ctx, p, &page.Events[i]); err != nil || p.void {
			return p.void, err
		}
	}
	if below := page.Session.Floor - 1; p.done < below { // nothing is left to be read
		p.done = below
	}
	if p.done-p.saved >= deriveSaveEvents || p.done > p.saved && len(page.Events) == 0 {
		d.batch.add(p)
	}
	return p.done < page.Session.Head && len(page.Events) > 0, nil
}

// pass goes through one event.
func (d *deriver) pass(ctx context.Context, p *derivation, e *store.Event) error {
	held := p.extractor.Size()
	docs := p.extractor.Add(e)
	d.held += p.extractor.Size() - held
	p.done = e.ID
	if e.Type == store.TypeTurnEnd {
		if err := d.endTurn(ctx, p, e.ID); err != nil {
			d.forget(p)
			return err
		}
	}
	if err := d.sealLong(ctx, p, e); err != nil {
		d.forget(p)
		return err
	}
	if len(docs) == 0 {
		return nil
	}
	for i := range docs {
		doc := newIndexDoc(&docs[i])
		p.docs = append(p.docs, doc)
		d.batch.docs++
		d.batch.bytes += len(doc.Text)
	}
	d.batch.add(p)
	if d.batch.docs < deriveOpDocs && d.batch.bytes < deriveOpBytes {
		return nil
	}
	return d.flush(ctx)
}

// endTurn calls the steps. They come before the place is written, so that a
// crash in between calls them again.
func (d *deriver) endTurn(ctx context.Context, p *derivation, id int64) error {
	for _, step := range d.steps {
		err := step.run(ctx, p.session, p.ended+1, id)
		switch {
		case err == nil:
		case ctx.Err() != nil || passing(err):
			return err
		default:
			d.l.options.Logger.Warn("a step at the end of a turn failed", "step", step.name, "session", p.session, "id", id, "err", err)
		}
	}
	p.ended = id
	return nil
}

// passing reports whether an error may be gone the next time.
func passing(err error) bool {
	for _, target := range []error{store.ErrQueueFull, store.ErrStorageFull, store.ErrStorageFailed, store.ErrShutdown} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// forget drops what is in memory of a session, with documents that are not
// written: they are made again from where it is stored to be.
func (d *deriver) forget(p *derivation) {
	d.batch.remove(p)
	if d.known[p.session] == p {
		d.held -= p.extractor.Size()
		delete(d.known, p.session)
	}
}

// bound keeps what is in memory within its limits. What is dropped is loaded
// again, and at most deriveSaveEvents events are gone through anew.
func (d *deriver) bound() {
	for _, p := range d.known { // in no order: any will do
		if len(d.known) <= deriveKnownMax && d.held <= deriveHeldMax {
			return
		}
		if len(d.known) > deriveKnownMax || p.extractor.Size() > 0 {
			d.forget(p)
		}
	}
}
