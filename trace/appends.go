package trace

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
)

// The names of the spans of an append.
const (
	spanAppend  = "konlog.append"
	spanQueue   = "konlog.queue"   // waiting for the writer
	spanCommit  = "konlog.commit"  // the transaction that it shares with others
	spanWake    = "konlog.wake"    // until the server began to read for the first reader
	spanDeliver = "konlog.deliver" // until that one had taken it
)

// sentKept are the batches of a session that are remembered for an append whose
// ids are not known yet: a reader may have them before its producer does.
const sentKept = 16

// appends follows appends from their request to their first reader.
type appends struct {
	put    func(span)
	sample float64
	count  atomic.Int64 // of what is followed: without any, Sent does nothing

	mu       sync.Mutex // guards what follows
	sessions map[string][]*following
	closed   bool
}

// following is one append on its way.
type following struct {
	a       *appends
	session string
	spans   []span // the request's own first
	stages  store.Stages
	begun   time.Time

	// Guarded by appends.mu.
	last  int64 // id of its last event; 0 while that is not known
	sent  []sentBatch
	timer *time.Timer
}

// sentBatch is what a reader has taken.
type sentBatch struct {
	transport   string
	first, last int64
	woke, at    time.Time
}

// holds reports whether an event was among them. A reader that came later did
// not get what was before its first.
func (b *sentBatch) holds(id int64) bool { return b.first <= id && id <= b.last }

func newAppends(sample float64, put func(span)) *appends {
	return &appends{put: put, sample: sample, sessions: map[string][]*following{}}
}

// Appending decides whether an append is followed: as the producer's trace
// says, else by chance. It returns nil and nil when it is not. done is called
// once with what came of it.
func (a *appends) Appending(traceparent, session string, events, bytes int) (stages *store.Stages, done func(store.Appended, error)) {
	p, ok := parseParent(traceparent)
	if !ok {
		if a.sample <= 0 || a.sample < 1 && rand.Float64() >= a.sample {
			return nil, nil
		}
		p = parent{trace: newTrace()}
	} else if !p.sampled {
		return nil, nil
	}
	f := &following{a: a, session: session, begun: time.Now()}
	root := span{trace: p.trace, id: newSpan(), parent: p.span, remote: ok, name: spanAppend, kind: kindServer, start: f.begun}
	root.set("konlog.session", session)
	root.set("konlog.events", events)
	root.set("konlog.bytes", bytes)
	f.spans = []span{root}
	a.follow(f)
	return &f.stages, f.done
}

// follow takes note of f, if there is room: without it its spans end with the
// commit.
func (a *appends) follow(f *following) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.count.Load() >= pendingAppends {
		return
	}
	a.count.Add(1)
	a.sessions[f.session] = append(a.sessions[f.session], f)
}

// done ends what the request itself has seen.
func (f *following) done(r store.Appended, err error) {
	root := &f.spans[0]
	root.end = time.Now()
	if err != nil {
		root.failed, root.reason = true, string(store.CodeOf(err))
		if root.reason == "" {
			root.reason = "_OTHER"
		}
		root.set(errorType, root.reason)
	} else {
		root.set("konlog.first", r.First)
		root.set("konlog.last", r.Last)
		root.set("konlog.duplicate", r.Duplicate)
	}
	st := &f.stages
	if !st.Taken.IsZero() {
		f.child(spanQueue, st.Queued, st.Taken)
	}
	if !st.Durable.IsZero() {
		f.child(spanCommit, st.Taken, st.Durable).set("konlog.commit.requests", st.Appends)
	}
	f.a.settle(f, r, err == nil && !r.Duplicate)
}

// child adds a span below the request's.
func (f *following) child(name string, start, end time.Time) *span {
	root := &f.spans[0]
	f.spans = append(f.spans, span{trace: root.trace, id: newSpan(), parent: root.id, name: name, start: start, end: later(end, start)})
	return &f.spans[len(f.spans)-1]
}

// settle waits for the first reader, unless it was there already or nobody
// will be.
func (a *appends) settle(f *following, r store.Appended, stored bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.followed(f) || !stored {
		a.finish(f, nil)
		return
	}
	f.last = r.Last
	for i := range f.sent {
		if f.sent[i].holds(f.last) {
			a.finish(f, &f.sent[i])
			return
		}
	}
	f.sent = nil
	f.timer = time.AfterFunc(pendingMax, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.followed(f) {
			a.finish(f, nil)
		}
	})
}

// followed reports whether f is still waited for. mu is held.
func (a *appends) followed(f *following) bool {
	for _, other := range a.sessions[f.session] {
		if other == f {
			return true
		}
	}
	return false
}

// finish exports what is known of f. mu is held.
func (a *appends) finish(f *following, b *sentBatch) {
	if b != nil {
		ready := f.stages.Durable
		if ready.IsZero() { // an engine that does not tell
			ready = f.begun
		}
		woke := later(b.woke, ready)
		f.child(spanWake, ready, woke)
		f.child(spanDeliver, woke, b.at).set("konlog.transport", b.transport)
	}
	list := a.sessions[f.session]
	for i, other := range list {
		if other == f {
			list = append(list[:i], list[i+1:]...)
			a.count.Add(-1)
			break
		}
	}
	if a.sessions[f.session] = list; len(list) == 0 {
		delete(a.sessions, f.session)
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	for _, s := range f.spans {
		a.put(s)
	}
}

// Sent implements stream.Trail.
func (a *appends) Sent(transport, session string, first, last int64, woke time.Time) {
	if a.count.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := sentBatch{transport: transport, first: first, last: last, woke: woke, at: time.Now()}
	list := append([]*following(nil), a.sessions[session]...) // finish changes it
	for _, f := range list {
		switch {
		case f.last == 0 && len(f.sent) < sentKept:
			f.sent = append(f.sent, b)
		case f.last != 0 && b.holds(f.last):
			a.finish(f, &b)
		}
	}
}

// close exports what is followed as far as it came.
func (a *appends) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, list := range a.sessions {
		for _, f := range append([]*following(nil), list...) {
			if f.last != 0 { // else its request ends it
				a.finish(f, nil)
			}
		}
	}
}

func newTrace() (id traceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // zero is none
	return id
}

func newSpan() (id spanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}
