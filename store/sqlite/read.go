package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/konlog/konlog/store"
)

// Read implements store.Reader. A page comes from memory when all of it is
// there, else from the database in one short transaction.
func (l *Log) Read(ctx context.Context, session string, q store.Query) (store.Page, error) {
	q.Limit = q.Limit.OrDefault()
	if s := l.live.get(session); s != nil {
		if p, ok := s.page(q); ok {
			return p, nil
		}
	}
	var p store.Page
	err := l.withReader(ctx, func(r *conn) (err error) {
		p, err = readPage(r, session, q)
		return err
	})
	return p, err
}

// withReader lends f a connection, inside a transaction, so that all that f
// reads is of one moment.
func (l *Log) withReader(ctx context.Context, f func(*conn) error) error {
	var c *conn
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return store.ErrShutdown
	case c = <-l.readers:
	}
	defer func() { l.readers <- c }()
	if _, err := c.exec("BEGIN"); err != nil {
		return readFailed(err)
	}
	err := f(c)
	if _, e := c.exec("COMMIT"); err == nil {
		err = e
	}
	return readFailed(err)
}

// readFailed keeps refusals and gives other errors a code.
func readFailed(err error) error {
	switch {
	case err == nil || store.CodeOf(err) != "":
		return err
	case corrupt(err):
		return store.Because(store.CodeCorrupt, err, store.ErrCorrupt.Detail)
	}
	return fmt.Errorf("read: %w", err)
}

// readSession reads the row of a session that exists.
func readSession(c *conn, id string) (s store.Session, no int64, err error) {
	err = c.rows(func(row []driver.Value) error {
		no, s = integer(row[0]), scanSession(row)
		return errStop
	}, `SELECT `+sessionColumns+` FROM sessions WHERE id = ? AND deleted_at IS NULL`, id)
	if err == nil && no == 0 {
		err = store.ErrNotFound
	}
	return s, no, err
}

const (
	pageForward  = `SELECT id, time, type, turn, parent, data, raw FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?`
	pageBackward = `SELECT id, time, type, turn, parent, data, raw FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?`
)

func readPage(c *conn, session string, q store.Query) (store.Page, error) {
	s, no, err := readSession(c, session)
	if err != nil {
		return store.Page{}, err
	}
	p := store.Page{Session: s}
	from, to, ok := span(q, &s)
	if !ok {
		return p, nil
	}
	query := pageForward
	if q.Backward {
		query = pageBackward
	}
	bytes := 0
	err = c.rows(func(row []driver.Value) error {
		e := scanEvent(session, row)
		if bytes += len(e.JSON()); bytes > q.Limit.Bytes && len(p.Events) > 0 {
			return errStop
		}
		p.Events = append(p.Events, e)
		return nil
	}, query, no, from, to, int64(q.Limit.Events))
	if err != nil {
		return p, err
	}
	if q.Backward {
		slices.Reverse(p.Events)
	}
	return p, dense(&p, q, from, to)
}

func scanEvent(session string, row []driver.Value) store.Event {
	e := store.Event{ID: integer(row[0]), Session: session, Time: millis(row[1]), Type: text(row[2]),
		Turn: text(row[3]), Parent: text(row[4]), Data: blob(row[5])}
	if row[6] != nil {
		e.Raw = blob(row[6])
	}
	e.Seal()
	return e
}

// dense refuses a page with a hole: rather an error than a reader that never
// learns what it missed (I2, P6).
func dense(p *store.Page, q store.Query, from, to int64) error {
	n := int64(len(p.Events))
	if n > 0 {
		first, last := p.Events[0].ID, p.Events[n-1].ID
		if last-first+1 == n && (q.Backward && last == to || !q.Backward && first == from) {
			return nil
		}
	}
	return store.Because(store.CodeCorrupt, fmt.Errorf("session %s: events %d to %d are not all there", p.Session.ID, from, to), store.ErrCorrupt.Detail)
}

// Session implements store.Sessions.
func (l *Log) Session(ctx context.Context, id string) (store.Session, error) {
	if s := l.live.get(id); s != nil {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.state, nil
	}
	var s store.Session
	err := l.withReader(ctx, func(c *conn) (err error) {
		s, _, err = readSession(c, id)
		return err
	})
	return s, err
}
