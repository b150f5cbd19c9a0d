package sqlite

import (
	"container/list"
	"sync"

	"github.com/konlog/konlog/store"
)

// liveSessionsMax bounds the sessions that are kept in memory; beyond it those
// that were appended to longest ago are read from the database again.
const liveSessionsMax = 32 << 10

// A single session may hold at most this share of the cache.
const cacheShare = 4

// foldBytesMax bounds the text in the folds of open turns. Beyond it those of
// sessions that were appended to longest ago are read from the log again.
const foldBytesMax = 64 << 20

// foldToolBytes is about what a tool call of a fold occupies.
const foldToolBytes = 256

// live is what the writer knows of sessions: their committed state, and the
// newest events of those that were appended to of late. Readers look in, only
// the writer changes it, and only after COMMIT.
type live struct {
	bytesMax int64

	mu       sync.RWMutex // guards sessions
	sessions map[string]*liveSession

	// The writer's own.
	order  *list.List // of *liveSession, the one appended to last at the back
	cached *list.List // those of them that have events here, likewise
	bytes  int64      // of cached events
	folds  int64      // bytes of text in open turns
}

// liveSession is one session in memory.
type liveSession struct {
	mu     sync.RWMutex // guards what follows
	no     int64
	state  store.Session
	events []store.Event // the newest, without a hole up to state.Head; handed out, so only ever appended to

	// The writer's own.
	turns  turnFolds
	change *change       // of the transaction that runs, or nil
	place  *list.Element // nil once dropped
	cached *list.Element // nil without events
	bytes  int64         // of events
	folded int64         // bytes of text in turns
}

// eventOverhead is what an event occupies beside its encoding.
const eventOverhead = 256

func (l *live) init(bytesMax int64) {
	l.bytesMax = bytesMax
	l.reset()
}

// reset forgets everything.
func (l *live) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions, l.order, l.cached, l.bytes, l.folds = map[string]*liveSession{}, list.New(), list.New(), 0, 0
}

// get returns the session if it is in memory.
func (l *live) get(id string) *liveSession {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.sessions[id]
}

// publish shows a committed change to readers. Writer only.
func (l *live) publish(c *change) {
	s := c.live
	if s != nil && (!c.exists || c.renewed) {
		l.drop(s)
	}
	if !c.exists {
		return
	}
	if s == nil || s.place == nil { // new here, or dropped a moment ago to make room
		s = &liveSession{no: c.no, state: c.state}
		l.add(s)
	}
	l.keepFolds(s, c.turns)
	s.mu.Lock()
	s.state = c.state
	if keep := c.state.Floor - 1; len(s.events) > 0 && s.events[0].ID <= keep {
		l.trim(s, func(e *store.Event) bool { return e.ID <= keep })
	}
	l.redact(s, c.redacted)
	for i := range c.events {
		n := int64(len(c.events[i].JSON()) + len(c.events[i].Raw) + eventOverhead)
		s.bytes += n
		l.bytes += n
	}
	s.events = append(s.events, c.events...)
	s.mu.Unlock()
	l.order.MoveToBack(s.place)
	if s.cached == nil {
		s.cached = l.cached.PushBack(s)
	}
	l.cached.MoveToBack(s.cached)
	l.bound(s)
}

// keepFolds takes over the turns of a change, and makes room for them.
func (l *live) keepFolds(s *liveSession, turns turnFolds) {
	s.turns = turns
	l.folds -= s.folded
	if s.folded = 0; turns.open != nil {
		s.folded = int64(len(turns.open.Text) + len(turns.open.Tools)*foldToolBytes)
	}
	if l.folds += s.folded; l.folds <= foldBytesMax {
		return
	}
	for e := l.order.Front(); e != nil && l.folds > foldBytesMax/2; e = e.Next() { // to the half, so that it is seldom
		if other := e.Value.(*liveSession); other != s {
			l.folds -= other.folded
			other.turns, other.folded = turnFolds{}, 0
		}
	}
}

func (l *live) add(s *liveSession) {
	s.place = l.order.PushBack(s)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s.state.ID] = s
}

func (l *live) drop(s *liveSession) {
	if s.place == nil {
		return
	}
	l.order.Remove(s.place)
	s.place = nil
	if s.cached != nil {
		l.cached.Remove(s.cached)
		s.cached = nil
	}
	l.bytes -= s.bytes
	l.folds -= s.folded
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, s.state.ID)
}

// bound keeps the cache within its bytes and number of sessions: first those
// events go that were appended to longest ago, and what is known of a session
// only when there are too many. The session that was just appended to gives way
// only to its own newer events.
func (l *live) bound(s *liveSession) {
	if share := l.bytesMax / cacheShare; s.bytes > share {
		s.mu.Lock()
		l.trim(s, func(*store.Event) bool { return s.bytes > share/2 })
		s.mu.Unlock()
	}
	for l.bytes > l.bytesMax {
		oldest := l.cached.Front().Value.(*liveSession)
		if oldest == s {
			break
		}
		l.cached.Remove(oldest.cached)
		oldest.cached = nil
		l.bytes -= oldest.bytes
		oldest.mu.Lock()
		oldest.events, oldest.bytes = nil, 0
		oldest.mu.Unlock()
	}
	most := liveSessionsMax
	if l.bytesMax < 0 { // no cache at all: everything is read from the database each time
		most = 1
	}
	for l.order.Len() > most {
		l.drop(l.order.Front().Value.(*liveSession))
	}
}

// trim removes events from the front while gone says so. Readers may hold the
// array, so the rest moves to a new one. The caller holds s.mu.
func (l *live) trim(s *liveSession, gone func(*store.Event) bool) {
	n := 0
	for ; n < len(s.events) && gone(&s.events[n]); n++ {
		size := int64(len(s.events[n].JSON()) + len(s.events[n].Raw) + eventOverhead)
		s.bytes -= size
		l.bytes -= size
	}
	rest := s.events[n:]
	s.events = append(make([]store.Event, 0, 2*len(rest)), rest...) // with room to grow, for it will
}

// page answers a query from memory. ok is false when the events asked for are
// not all there; the state is right in any case.
func (s *liveSession) page(q store.Query) (_ store.Page, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := store.Page{Session: s.state}
	first := s.state.Head + 1 - int64(len(s.events)) // id of the oldest in memory
	from, to, ok := span(q, &s.state)
	if !ok {
		return p, true
	}
	if q.Backward {
		from = max(from, to-int64(q.Limit.Events)+1)
	}
	if from < first {
		return p, false
	}
	events := s.events[from-first : to-first+1]
	if q.Fold { // which the caller does: it takes its time, and appends wait for the lock
		p.Events = events[:len(events):len(events)]
		return p, true
	}
	p.Events = within(events, q)
	return p, true
}

// span returns the ids that a query asks for, inclusive, within what the
// session has; ok is false when there are none.
func span(q store.Query, s *store.Session) (from, to int64, ok bool) {
	from, to = s.Floor, s.Head
	if q.Until > 0 {
		to = min(to, q.Until)
	}
	switch {
	case q.Backward && q.Before > 0:
		to = min(to, q.Before-1)
	case q.Backward:
	case q.After >= to: // also keeps After+1 from running over
		return 0, 0, false
	default:
		from = max(from, q.After+1)
	}
	return from, to, from <= to
}

// within cuts a run of events to the limit of the query, from its far end.
func within(events []store.Event, q store.Query) []store.Event {
	n, bytes := 0, 0
	for n < len(events) && n < q.Limit.Events {
		i := n
		if q.Backward {
			i = len(events) - 1 - n
		}
		bytes += events[i].WireSize(q.Raw)
		if n > 0 && bytes > q.Limit.Bytes {
			break
		}
		n++
	}
	if q.Backward {
		return events[len(events)-n : len(events) : len(events)]
	}
	return events[:n:n]
}
