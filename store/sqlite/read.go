package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Read implements store.Reader. A page comes from memory when all of it is
// there, else from the database in one short transaction.
func (l *Log) Read(ctx context.Context, session string, q store.Query) (store.Page, error) {
	q.Limit, q.Fold = q.Limit.OrDefault(), q.Fold && !q.Backward
	var shown *store.Session // what readers know of the session, or nil
	if s := l.live.get(session); s != nil {
		p, ok := s.page(q)
		if ok && q.Fold {
			p.Events = store.FoldPage(p.Events, q)
		}
		if ok {
			return p, nil
		}
		shown = &p.Session
	}
	var p store.Page
	err := l.withReader(ctx, func(r *sqlite3.Conn) (err error) {
		p, err = l.readPage(r, session, q, shown)
		return err
	})
	return p, err
}

// withReader lends f a connection, inside a transaction, so that all that f
// reads is of one moment.
func (l *Log) withReader(ctx context.Context, f func(*sqlite3.Conn) error) error {
	var c *sqlite3.Conn
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return store.ErrShutdown
	case c = <-l.readers:
	}
	defer func() { l.readers <- c }()
	if _, err := c.Exec("BEGIN"); err != nil {
		return readFailed(err)
	}
	defer func() { _, _ = c.Exec("ROLLBACK") }() // nothing was written
	return readFailed(f(c))
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
func readSession(c *sqlite3.Conn, id string) (s store.Session, no int64, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		no, s = row.Int(0), scanSession(row)
		return sqlite3.ErrStop
	}, `SELECT `+sessionColumns+` FROM sessions WHERE id = ? AND deleted_at IS NULL`, id)
	if err == nil && no == 0 {
		err = store.ErrNotFound
	}
	return s, no, err
}

// pageRoom is the room for events that a page is made with; a longer one grows.
const pageRoom = 1000

const (
	pageForward  = `SELECT id, time, type, turn, parent, data, iif(?, raw, NULL) FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?`
	pageBackward = `SELECT id, time, type, turn, parent, data, iif(?, raw, NULL) FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?`
)

// readPage reads a page from the database. Between COMMIT and publish the
// database is ahead of what is shown from memory; a reader that saw the one and
// then the other would think that history went back. So what is shown bounds
// the page.
func (l *Log) readPage(c *sqlite3.Conn, session string, q store.Query, shown *store.Session) (store.Page, error) {
	s, no, err := readSession(c, session)
	if err != nil {
		return store.Page{}, err
	}
	if shown == nil {
		shown = l.shownBehind(&s)
	}
	if shown != nil && shown.Epoch == s.Epoch {
		floor := max(s.Floor, shown.Floor) // removed rows are gone for everybody
		s = *shown
		s.Floor = min(floor, s.Head+1)
	}
	if q.Fold {
		return foldedPage(c, no, &s, q)
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
	p.Events = make([]store.Event, 0, min(int64(q.Limit.Events), to-from+1, pageRoom))
	bytes := 0
	err = c.Query(func(row sqlite3.Row) error {
		e := scanEvent(session, row)
		if bytes += e.WireSize(q.Raw); bytes > q.Limit.Bytes && len(p.Events) > 0 {
			return sqlite3.ErrStop
		}
		p.Events = append(p.Events, e)
		return nil
	}, query, boolean(q.Raw), no, from, to, int64(q.Limit.Events))
	if err != nil {
		return p, err
	}
	if q.Backward {
		slices.Reverse(p.Events)
	}
	return p, dense(&p, q, from, to)
}

// shownBehind returns what is shown of a session that was not in memory when
// its reader looked there, if that is less than the database had when the
// reader began to read it: somebody else, or the same one a moment later, is
// shown no more. What is shown later is not less than the database had.
func (l *Log) shownBehind(s *store.Session) *store.Session {
	live := l.live.get(s.ID)
	if live == nil {
		return nil
	}
	live.mu.RLock()
	defer live.mu.RUnlock()
	if live.state.Head >= s.Head {
		return nil
	}
	shown := live.state
	return &shown
}

// scanEvent reads a row of pageForward.
func scanEvent(session string, row sqlite3.Row) store.Event {
	e := scanHead(session, row)
	e.Data = row.Bytes(5)
	e.Seal() // takes Data out of SQLite's memory
	return e
}

// scanUnsealed reads a row of pageForward for a fold, which encodes only what
// is left.
func scanUnsealed(session string, row sqlite3.Row) store.Event {
	e := scanHead(session, row)
	e.Data = append([]byte{}, row.Bytes(5)...)
	return e
}

// scanHead reads all but the data.
func scanHead(session string, row sqlite3.Row) store.Event {
	e := store.Event{ID: row.Int(0), Session: session, Time: millis(row.Int(1)), Type: row.Text(2), Turn: row.Text(3), Parent: row.Text(4)}
	if !row.Null(6) {
		e.Raw = append([]byte{}, row.Bytes(6)...)
	}
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
	err := l.withReader(ctx, func(c *sqlite3.Conn) (err error) {
		s, _, err = readSession(c, id)
		if shown := l.shownBehind(&s); err == nil && shown != nil && shown.Epoch == s.Epoch {
			s = *shown
		}
		return err
	})
	return s, err
}
