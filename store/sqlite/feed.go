package sqlite

import (
	"github.com/konlog/konlog/store"
)

// add numbers a draft of the server's own and stores it at the end of c.
func (t *txn) add(c *change, d store.Draft) (store.Event, error) {
	now := t.now
	if now.Before(c.state.UpdatedAt) { // as in appending.write
		now = c.state.UpdatedAt
	}
	e := store.Event{ID: c.state.Head + 1, Session: c.state.ID, Type: d.Type, Turn: d.Turn, Parent: d.Parent, Time: now, Data: d.Data}
	if err := t.append(c, e, d.Size()); err != nil {
		return e, err
	}
	return e, t.feedEvent(&e)
}

// feedEvent tells the feed of an event, if it is one that lists need.
func (t *txn) feedEvent(e *store.Event) error {
	d, ok := store.FeedDraft(e)
	if !ok {
		return nil
	}
	return t.feed(d)
}

// feedSession tells the feed that a session came, changed or went.
func (t *txn) feedSession(typ string, s *store.Session) error {
	if store.OwnSession(s.ID) {
		return nil
	}
	return t.feed(store.FeedSessionDraft(typ, s))
}

// feed appends to the feed, in the transaction of what it tells.
func (t *txn) feed(d store.Draft) error {
	c, err := t.session(store.FeedSession)
	if err != nil {
		return err
	}
	if !c.exists {
		if err := t.create(c, store.SessionSpec{}); err != nil {
			return err
		}
	}
	_, err = t.add(c, d)
	return err
}
