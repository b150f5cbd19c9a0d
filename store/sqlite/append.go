package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Append implements store.Appender.
func (l *Log) Append(ctx context.Context, session string, o store.AppendOptions, drafts ...store.Draft) (store.Appended, error) {
	wait, err := l.Submit(ctx, session, o, drafts...)
	if err != nil {
		return store.Appended{}, err
	}
	return wait()
}

// Submit implements store.Submitter.
func (l *Log) Submit(ctx context.Context, session string, o store.AppendOptions, drafts ...store.Draft) (wait func() (store.Appended, error), err error) {
	size, err := checkAppend(session, o, drafts, l.options.EventBytesMax)
	if err != nil {
		return nil, err
	}
	a := &appending{session: session, options: o, drafts: drafts}
	queued, err := l.queue.submit(ctx, len(drafts), size, o.Stages, a.apply)
	if err != nil {
		return nil, err
	}
	return func() (store.Appended, error) {
		err := queued.wait()
		return a.result, err
	}, nil
}

// checkAppend refuses what no state of the log would make right, and returns
// the size of the events.
func checkAppend(session string, o store.AppendOptions, drafts []store.Draft, eventMax int) (size int64, err error) {
	if err := store.ValidSessionID(session); err != nil {
		return 0, err
	}
	if len(drafts) == 0 {
		return 0, store.Errorf(store.CodeInvalidEvent, "nothing to append: send at least one event")
	}
	if o.Producer != nil {
		if err := o.Producer.Check(); err != nil {
			return 0, err
		}
	}
	for i := range drafts {
		if err := drafts[i].Check(eventMax); err != nil {
			return 0, store.AtEvent(err, i, len(drafts))
		}
		if drafts[i].NeedsTurn() && !o.Restore {
			drafts[i].AssignTurn(newTurn())
		}
		if drafts[i].Type == store.TypeSessionClosed && i < len(drafts)-1 {
			return 0, store.Errorf(store.CodeInvalidEvent, "event %d: %s must be the last event of its request", i, store.TypeSessionClosed)
		}
		size += int64(drafts[i].Size())
	}
	return size, nil
}

// appending is one Append on its way through the writer.
type appending struct {
	session string
	options store.AppendOptions
	drafts  []store.Draft
	result  store.Appended
}

// apply decides everything before it changes anything, so that a refusal
// leaves the transaction as it was. What was acknowledged before is answered
// first: a retry must get its ids even when the session has moved on or closed.
func (a *appending) apply(t *txn) error {
	c, err := t.session(a.session)
	if err != nil {
		return err
	}
	if !c.exists && a.options.NoCreate {
		return store.ErrNotFound
	}
	if a.options.Producer != nil {
		if done, err := a.producerSeen(t, c); done || err != nil {
			return err
		}
	}
	known, err := a.keysSeen(t, c)
	if err != nil {
		return err
	}
	refused, err := a.admit(t, c, &known)
	if err != nil {
		return err
	}
	if known.all(len(a.drafts)) {
		a.result = store.Located(known.ids)
		a.result.Duplicate = true
		return a.saveProducer(t, c)
	}
	if err := a.check(c, known); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	if err := t.room(c, a.drafts, known); err != nil {
		return err
	}
	if !c.exists {
		if err := t.create(c, store.SessionSpec{}); err != nil {
			return err
		}
	}
	if err := a.write(t, c, known); err != nil {
		return err
	}
	return a.saveProducer(t, c)
}

// check holds the session's state against the conditions of the request.
// admit finds the drafts that would decide again what is decided, and says why
// the others are refused by what the log means; nil when they are not.
func (a *appending) admit(t *txn, c *change, known *knownKeys) (refused, err error) {
	if a.options.Restore {
		return nil, nil
	}
	has := func(i int) bool { return known.has(a.drafts[i].Key, i) }
	decided, err := c.state.Admit(a.drafts, has, past{t, c})
	if _, refusal := err.(*store.Error); err != nil && !refusal {
		return nil, err
	}
	known.decide(decided, len(a.drafts), a.options.Together)
	return err, nil
}

func (a *appending) check(c *change, known knownKeys) error {
	s := &c.state
	if c.exists && s.Closed {
		return store.ErrSessionClosed
	}
	if want := a.options.ExpectHead; want != nil && *want != s.Head {
		err := store.Errorf(store.CodeHeadMoved, "the head is %d, not %d: read what came since and decide again", s.Head, *want)
		err.Want = s.Head
		return err
	}
	if turn := a.options.Waiting; turn != "" && !s.Waits(turn) {
		return store.ErrNoTurn
	}
	if s.Head > store.IDMax-int64(len(a.drafts)) {
		return store.Errorf(store.CodeInvalidEvent, "the session has used up its ids; go on in another")
	}
	if known.conflict != "" {
		return store.Errorf(store.CodeKeyConflict, "key %q was used in this session with another body; use a new key", known.conflict)
	}
	if a.options.Restore {
		return a.checkRestore(c, known)
	}
	return nil
}

// checkRestore holds the ids that the new drafts bring against the head.
func (a *appending) checkRestore(c *change, known knownKeys) error {
	next, fresh := c.state.Head+1, !c.exists || c.state.Floor > c.state.Head
	for i := range a.drafts {
		if known.ids != nil && known.ids[i] != 0 {
			continue
		}
		if a.drafts[i].ID > store.IDMax {
			return store.Errorf(store.CodeInvalidEvent, "event %d has id %d; the highest is %d", i, a.drafts[i].ID, int64(store.IDMax))
		}
		if fresh { // nothing to read: a restored log may begin anywhere above
			next, fresh = max(a.drafts[i].ID, next), false
		}
		if a.drafts[i].ID != next {
			err := store.Errorf(store.CodeRestoreGap, "event %d has id %d; the next id of this session is %d", i, a.drafts[i].ID, next)
			err.Want = c.state.Head
			return err
		}
		next++
	}
	return nil
}

// producerSeen answers a request that this producer has made before.
func (a *appending) producerSeen(t *txn, c *change) (done bool, err error) {
	p := a.options.Producer
	known, epoch, seq := false, int64(-1), int64(-1)
	var first, last int64
	if c.exists {
		err = t.conn.Query(func(row sqlite3.Row) error {
			known, epoch, seq, first, last = true, row.Int(0), row.Int(1), row.Int(2), row.Int(3)
			return sqlite3.ErrStop
		}, `SELECT epoch, seq, first, last FROM producers WHERE session_no = ? AND producer = ?`, c.no, p.ID)
		if err != nil {
			return false, fmt.Errorf("read producer %s: %w", p.ID, err)
		}
	}
	switch {
	case known && p.Epoch < epoch:
		err := store.Errorf(store.CodeProducerFenced, "producer %q has epoch %d now; epoch %d may not append any more", p.ID, epoch, p.Epoch)
		err.Want = epoch
		return false, err
	case !known || p.Epoch > epoch:
		seq = -1
	case p.Seq == seq:
		a.result = store.Appended{First: first, Last: last, Duplicate: true}
		return true, nil
	case p.Seq < seq:
		a.result = store.Appended{Duplicate: true}
		return true, nil
	}
	if p.Seq != seq+1 {
		err := store.Errorf(store.CodeProducerGap, "producer %q sent seq %d, the next one is %d", p.ID, p.Seq, seq+1)
		err.Want = seq + 1
		return false, err
	}
	return false, nil
}

// saveProducer notes the request, in the transaction of its events (P14).
func (a *appending) saveProducer(t *txn, c *change) error {
	p := a.options.Producer
	if p == nil {
		return nil
	}
	t.written = true
	_, err := t.conn.Exec(`INSERT INTO producers VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, first = excluded.first, last = excluded.last`,
		c.no, p.ID, p.Epoch, p.Seq, a.result.First, a.result.Last)
	return err
}

// knownKeys are the ids of drafts whose keys the session has; 0 where it has
// not.
type knownKeys struct {
	ids      []int64 // per draft, or nil when no draft has a key
	count    int
	same     map[string]int // the first draft with the key, within this request
	conflict string         // a key that stands for another body, or ""
}

// has reports whether the log has draft i already, or will by an earlier draft
// of the request.
func (k knownKeys) has(key string, i int) bool {
	if k.ids == nil {
		return false
	}
	first, keyed := k.same[key]
	return k.ids[i] != 0 || keyed && first != i
}

// decide adds the drafts whose decision the log has. Where they stand together
// one stands for all.
func (k *knownKeys) decide(decided map[int]int64, n int, together bool) {
	if len(decided) == 0 {
		return
	}
	if k.ids == nil {
		k.ids = make([]int64, n)
	}
	for i := range n {
		if id := decided[i]; id != 0 && together {
			for j := range k.ids {
				k.ids[j] = id
			}
			k.count = n
			return
		} else if id != 0 && k.ids[i] == 0 {
			k.ids[i] = id
			k.count++
		}
	}
}

func (k knownKeys) all(n int) bool { return k.count == n && k.conflict == "" }

func (a *appending) keysSeen(t *txn, c *change) (k knownKeys, err error) {
	for i := range a.drafts {
		d := &a.drafts[i]
		if d.Key == "" {
			continue
		}
		if k.ids == nil {
			k.ids, k.same = make([]int64, len(a.drafts)), map[string]int{}
		}
		if j, again := k.same[d.Key]; again {
			if a.drafts[j].BodyHash() != d.BodyHash() {
				k.conflict = d.Key
			}
			if k.ids[i] = k.ids[j]; k.ids[i] != 0 {
				k.count++
			}
			continue
		}
		k.same[d.Key] = i
		if !c.exists {
			continue
		}
		err := t.conn.Query(func(row sqlite3.Row) error {
			hash := d.BodyHash()
			if !bytes.Equal(row.Bytes(1), hash[:]) {
				k.conflict = d.Key
			}
			k.ids[i] = row.Int(0)
			k.count++
			return sqlite3.ErrStop
		}, `SELECT id, hash FROM event_keys WHERE session_no = ? AND key = ?`, c.no, d.Key)
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

// write numbers the drafts that are new and stores them.
func (a *appending) write(t *txn, c *change, known knownKeys) error {
	now := t.now
	if now.Before(c.state.UpdatedAt) { // a clock that was set back must not turn the log's order around
		now = c.state.UpdatedAt
	}
	if a.options.Restore && c.state.Floor > c.state.Head {
		first := slices.IndexFunc(known.ids, func(id int64) bool { return id == 0 })
		c.state.Floor = a.drafts[max(first, 0)].ID
		c.state.Head = c.state.Floor - 1
	}
	for i := range a.drafts {
		d := &a.drafts[i]
		if id := known.repeat(d.Key, i); id != 0 {
			known.ids[i] = id
			continue
		}
		e := store.Event{ID: c.state.Head + 1, Session: a.session, Type: d.Type, Turn: d.Turn, Parent: d.Parent, Time: now, Data: d.Data}
		if a.options.Restore && !d.Time.IsZero() {
			e.Time = d.Time.UTC().Truncate(time.Millisecond)
		}
		if d.Raw != nil {
			e.Raw = bytes.Clone(d.Raw)
		}
		if err := t.append(c, e, d.Size()); err != nil {
			return err
		}
		if !a.options.Restore { // what was long ago is no news
			if err := t.feedEvent(&e); err != nil {
				return err
			}
		}
		if known.ids != nil {
			known.ids[i] = e.ID
		}
		if d.Key != "" {
			hash := d.BodyHash()
			if _, err := t.conn.Exec(`INSERT INTO event_keys VALUES (?, ?, ?, ?)`, c.no, d.Key, e.ID, hash[:]); err != nil {
				return err
			}
		}
		if a.result.First == 0 {
			a.result.First = e.ID
		}
		a.result.Last = e.ID
	}
	if known.count > 0 || int(a.result.Last-a.result.First)+1 < len(a.drafts) {
		a.result.IDs = known.ids
	}
	if a.options.Restore && c.state.Turn != "" { // a restored time is no sign of silence: the turn would end in the middle of its import
		c.state.TurnSeen = now
	}
	if !a.options.Restore && c.state.TurnSeen.After(t.now) { // a clock that was ahead must not lengthen a lease
		c.state.TurnSeen = t.now
	}
	if c.state.UpdatedAt.After(now) { // a restored time is no clock: every later event would bear it
		c.state.UpdatedAt = now
	}
	return nil
}

// repeat returns the id of the event that draft i repeats, or 0.
func (k knownKeys) repeat(key string, i int) int64 {
	if k.ids != nil && k.ids[i] != 0 {
		return k.ids[i]
	}
	if key == "" {
		return 0
	}
	return k.ids[k.same[key]]
}
