// Package memory is the reference engine: the whole contract of package store
// in plain maps and slices, meant to be read and believed. It is the fake for
// the layers above and the oracle that storetest.Model compares an engine with.
// Nothing in it survives Close, and nothing in it is fast on purpose.
package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// Options configure a Log. The zero value works.
type Options struct {
	Committed     store.Committed  // or nil
	Now           func() time.Time // nil means time.Now
	EventBytesMax int              // 0 means store.EventBytesDefault
	Quotas        store.Quotas
}

// Log is an engine that keeps everything in memory.
type Log struct {
	o Options

	// writer makes one change with its announcement at a time. It is apart
	// from mu so that Committed may read what it is told of.
	writer sync.Mutex

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions map[string]*session
	tombs    map[string]int64 // heads of deleted sessions
	created  int64            // sessions ever created; gives session.order
	marks    map[mark]int64
	arrivals int64 // of turns and kontasks; gives session.arrived
	fed      int64 // the feed's head, until it is announced; 0 when it did not change
	webhooks webhooks
	index    index // of Search
	blobs    map[string]*blob
}

// session is one log. Events run from Floor to Head without a hole.
type session struct {
	store.Session
	order     int64 // of creation, from 1; 0 until it is kept
	events    []store.Event
	keys      map[string]keyed
	producers map[string]produced
	derived   *store.Derived
	log       *Log
	arrived   map[string]int64 // the place of "turn id" and "kontask id" among those of all sessions
}

type keyed struct {
	id   int64
	hash [16]byte
}

// produced is a producer's last request.
type produced struct{ epoch, seq, first, last int64 }

var (
	_ store.Log            = (*Log)(nil)
	_ store.Submitter      = (*Log)(nil)
	_ store.Retainer       = (*Log)(nil)
	_ store.HealthReporter = (*Log)(nil)
)

// New returns an empty log.
func New(o Options) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{o: o, sessions: map[string]*session{}, tombs: map[string]int64{}, marks: map[mark]int64{}}
	l.keep(l.fresh(store.FeedSession)) // who follows the feed comes before there is news
	return l
}

// Close makes every later call fail with store.ErrShutdown.
func (l *Log) Close() error {
	l.writer.Lock() // lets a change and its announcement finish
	defer l.writer.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// Health reports writable until Close.
func (l *Log) Health() store.Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return store.Health{Writable: !l.closed}
}

// unchanged is what a change returns for the head when there is nothing to
// announce.
const unchanged = -1

// change runs f alone. f returns the session's head when it changed something.
// The announcement comes after the state is unlocked: it can be read by then.
func (l *Log) change(ctx context.Context, id string, f func() (head int64, err error)) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	head := int64(unchanged)
	err := l.look(ctx, func() (err error) {
		head, err = f()
		return err
	})
	if err == nil && l.o.Committed != nil {
		if head != unchanged {
			l.o.Committed(id, head)
		}
		if l.fed != 0 {
			l.o.Committed(store.FeedSession, l.fed)
		}
	}
	l.fed = 0
	return err
}

// look runs f with the state locked.
func (l *Log) look(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return store.ErrShutdown
	}
	return f()
}

func (l *Log) now() time.Time { return l.o.Now().UTC().Truncate(time.Millisecond) }

// fresh returns a new session that is not kept yet. Its ids go on where those
// of a deleted one of the same name ended.
func (l *Log) fresh(id string) *session {
	now, head := l.now(), l.tombs[id]
	return &session{
		Session: store.Session{
			ID: id, Epoch: uuid.NewString(), Head: head, Floor: head + 1, CreatedAt: now, UpdatedAt: now,
		},
		keys: map[string]keyed{}, producers: map[string]produced{}, derived: store.NewDerived(),
		log: l, arrived: map[string]int64{},
	}
}

// keep makes a session from fresh visible.
func (l *Log) keep(s *session) {
	if s.order > 0 {
		return
	}
	l.created++
	s.order = l.created
	l.sessions[s.ID] = s
	delete(l.tombs, s.ID)
	l.feedSession(store.TypeSessionCreated, s)
}

// Submit implements store.Submitter: with nothing to wait for, it is done at
// once.
func (l *Log) Submit(ctx context.Context, id string, o store.AppendOptions, drafts ...store.Draft) (func() (store.Appended, error), error) {
	a, err := l.Append(ctx, id, o, drafts...)
	return func() (store.Appended, error) { return a, err }, nil
}

// Append implements store.Appender.
func (l *Log) Append(ctx context.Context, id string, o store.AppendOptions, drafts ...store.Draft) (store.Appended, error) {
	if err := l.check(id, o, drafts); err != nil {
		return store.Appended{}, err
	}
	var a store.Appended
	err := l.change(ctx, id, func() (head int64, err error) {
		a, head, err = l.append(id, o, drafts)
		return head, err
	})
	return a, err
}

// check refuses what is wrong whatever the state of the session.
func (l *Log) check(id string, o store.AppendOptions, drafts []store.Draft) error {
	if err := store.ValidSessionID(id); err != nil {
		return err
	}
	if o.Producer != nil {
		if err := o.Producer.Check(); err != nil {
			return err
		}
	}
	if len(drafts) == 0 {
		return store.Errorf(store.CodeInvalidEvent, "no events: append at least one")
	}
	for i := range drafts {
		if err := drafts[i].Check(l.o.EventBytesMax); err != nil {
			return err
		}
		if drafts[i].NeedsTurn() && !o.Restore {
			drafts[i].AssignTurn(uuid.Must(uuid.NewV7()).String())
		}
		if i < len(drafts)-1 && drafts[i].Type == store.TypeSessionClosed {
			return store.Errorf(store.CodeInvalidEvent, "no event can follow %s", store.TypeSessionClosed)
		}
	}
	return nil
}

// append decides in an order that is part of the contract: what was
// acknowledged before gets its answer again whatever happened since, and only
// then the session's state may refuse.
func (l *Log) append(id string, o store.AppendOptions, drafts []store.Draft) (a store.Appended, head int64, err error) {
	s := l.sessions[id]
	if s == nil {
		if o.NoCreate {
			return a, unchanged, store.ErrNotFound
		}
		s = l.fresh(id)
	}
	if o.Producer != nil {
		if a, err = s.request(o.Producer); a.Duplicate || err != nil {
			return a, unchanged, err
		}
	}
	ids, news, conflict := s.number(drafts, o.Restore, nil)
	var refused error
	if !o.Restore && conflict == nil {
		known := func(i int) bool { return !slices.Contains(news, i) }
		var decided map[int]int64
		if decided, refused = s.Admit(drafts, known, past{l, s}); len(decided) > 0 {
			ids, news, conflict = s.number(drafts, o.Restore, together(decided, len(drafts), o.Together))
		}
	}
	switch {
	case len(news) == 0 && conflict == nil:
		a = store.Located(ids)
		a.Duplicate = true
		s.produce(o.Producer, a)
		return a, unchanged, nil
	case s.Closed:
		return a, unchanged, store.ErrSessionClosed
	case o.ExpectHead != nil && *o.ExpectHead != s.Head:
		return a, unchanged, &store.Error{Code: store.CodeHeadMoved, Detail: store.ErrHeadMoved.Detail, Want: s.Head}
	case o.Waiting != "" && !s.Waits(o.Waiting):
		return a, unchanged, store.ErrNoTurn
	case s.Head > store.IDMax-int64(len(drafts)):
		return a, unchanged, store.Errorf(store.CodeInvalidEvent, "the ids are used up")
	case conflict != nil:
		return a, unchanged, conflict
	case slices.Max(ids) > store.IDMax:
		return a, unchanged, store.Errorf(store.CodeInvalidEvent, "an id is over the highest")
	case !s.follows(ids, news):
		return a, unchanged, &store.Error{Code: store.CodeRestoreGap, Detail: store.ErrRestoreGap.Detail, Want: s.Head}
	}
	if refused != nil {
		return a, unchanged, refused
	}
	if err := l.room(s, drafts, news); err != nil {
		return a, unchanged, err
	}
	a = store.Appended{First: ids[news[0]], Last: ids[news[len(news)-1]]}
	if len(news) < len(drafts) {
		a.IDs = ids
	}
	l.addAll(s, drafts, ids, news, o.Restore)
	s.produce(o.Producer, a)
	return a, s.Head, nil
}

// together makes one decided draft stand for all when they belong together.
func together(decided map[int]int64, n int, all bool) map[int]int64 {
	if !all {
		return decided
	}
	first := slices.Min(slices.Collect(maps.Keys(decided)))
	whole := map[int]int64{}
	for i := range n {
		whole[i] = decided[first]
	}
	return whole
}

// addAll puts the new drafts at the end, and tells the feed of them.
func (l *Log) addAll(s *session, drafts []store.Draft, ids []int64, news []int, restore bool) {
	l.keep(s)
	now := l.now()
	if now.Before(s.UpdatedAt) {
		now = s.UpdatedAt
	}
	for _, i := range news {
		e := s.add(&drafts[i], ids[i], now, restore)
		if !restore { // what was long ago is no news
			l.feedEvent(e)
		}
	}
	if !restore && s.TurnSeen.After(l.now()) { // a clock that was ahead must not lengthen a lease
		s.TurnSeen = l.now()
	}
	if restore && s.Turn != "" { // a restored time is no sign of silence
		s.TurnSeen = now
	}
	if s.UpdatedAt.After(now) { // a restored time is no clock
		s.UpdatedAt = now
	}
}

// request says whether the producer's request was seen before, or why it
// cannot be taken.
func (s *session) request(p *store.Producer) (store.Appended, error) {
	last, known := s.producers[p.ID]
	expected := last.seq + 1
	if !known || p.Epoch > last.epoch {
		expected = 0
	}
	switch {
	case known && p.Epoch < last.epoch:
		return store.Appended{}, &store.Error{Code: store.CodeProducerFenced, Detail: store.ErrProducerFenced.Detail, Want: last.epoch}
	case p.Seq > expected:
		return store.Appended{}, &store.Error{Code: store.CodeProducerGap, Detail: store.ErrProducerGap.Detail, Want: expected}
	case p.Seq == expected:
		return store.Appended{}, nil
	case p.Seq == last.seq:
		return store.Appended{First: last.first, Last: last.last, Duplicate: true}, nil
	}
	return store.Appended{Duplicate: true}, nil // only the last request's ids are kept
}

// produce notes an accepted request. p is nil when it has no producer.
func (s *session) produce(p *store.Producer, a store.Appended) {
	if p != nil {
		s.producers[p.ID] = produced{p.Epoch, p.Seq, a.First, a.Last}
	}
}

// number gives every draft its id, that of the old event when its key is
// known, and returns the indexes of those that are new.
func (s *session) number(drafts []store.Draft, restore bool, decided map[int]int64) (ids []int64, news []int, conflict error) {
	next, here := s.Head, map[string]keyed{}
	for i := range drafts {
		d := &drafts[i]
		old, known := s.keys[d.Key]
		if !known {
			old, known = here[d.Key]
		}
		if known && old.hash != d.BodyHash() {
			return nil, nil, store.Errorf(store.CodeKeyConflict, "the key %q was used with another body", d.Key)
		}
		id := old.id
		if first := decided[i]; first != 0 && !known {
			id, known = first, true
		}
		if !known {
			next++
			id = next
			if restore {
				id = d.ID
			}
			news = append(news, i)
		}
		if !known && d.Key != "" {
			here[d.Key] = keyed{id, d.BodyHash()}
		}
		ids = append(ids, id)
	}
	return ids, news, nil
}

// follows reports whether the new ids are dense and follow the head. Only
// restored ones can fail. Where nothing can be read there is nothing to follow.
func (s *session) follows(ids []int64, news []int) bool {
	next := s.Head + 1
	if first := ids[news[0]]; len(s.events) == 0 && first > next {
		next = first
	}
	for _, i := range news {
		if ids[i] != next {
			return false
		}
		next++
	}
	return true
}

// add puts a checked draft at the end.
func (s *session) add(d *store.Draft, id int64, now time.Time, restore bool) *store.Event {
	if restore && !d.Time.IsZero() {
		now = d.Time.UTC().Truncate(time.Millisecond)
	}
	e := store.Event{
		ID: id, Session: s.ID, Type: d.Type, Turn: d.Turn, Parent: d.Parent,
		Time: now, Data: d.Data, Raw: bytes.Clone(d.Raw),
	}
	e.Seal()
	if len(s.events) == 0 {
		s.Floor = id
	}
	s.events = append(s.events, e)
	s.Fold(&e, d.Size())
	s.derived.Apply(&e)
	s.arrive("turn "+e.Turn, s.derived.Turns[e.Turn] != nil)
	s.arrive("kontask "+e.KontaskID(), s.derived.Kontasks[e.KontaskID()] != nil)
	if d.Key != "" {
		s.keys[d.Key] = keyed{id, d.BodyHash()}
	}
	return &e
}
