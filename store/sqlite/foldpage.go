package sqlite

import (
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// foldedPage reads a folded page (P12): folds that are stored where they begin
// at the cursor, and between them the log, folded here. Each of these parts is
// a fold of its own, so the page is right whatever is stored.
func foldedPage(c *sqlite3.Conn, no int64, s *store.Session, q store.Query) (store.Page, error) {
	r := foldReader{c: c, no: no, q: q, page: store.Page{Session: *s}, left: store.FoldEventsMax}
	from, to, ok := span(q, s)
	for ok && from <= to && r.q.Limit.Events > 0 && r.q.Limit.Bytes > 0 {
		next, err := r.stored(&from, to)
		if err != nil {
			return r.page, err
		}
		if next == from && len(r.page.Events) > 0 {
			break // there is no room for it
		}
		if from > to {
			break
		}
		end := to
		if next > from {
			end = next - 1
		}
		if whole, err := r.log(&from, end); err != nil || !whole {
			return r.page, err
		}
	}
	return r.page, nil
}

// foldReader reads one folded page.
type foldReader struct {
	c    *sqlite3.Conn
	no   int64
	q    store.Query // its limit is what the page has room for
	page store.Page
	left int // events of the log that may still be read
}

// take adds events to the page.
func (r *foldReader) take(events []store.Event) {
	for i := range events {
		r.q.Limit.Bytes -= events[i].WireSize(r.q.Raw)
	}
	r.q.Limit.Events -= len(events)
	r.page.Events = append(r.page.Events, events...)
}

// stored takes the stored folds that begin at *from, as long as there is room,
// and moves *from behind them. It returns the first id of the next one up to
// to, 0 when there is none. A fold has no lines of the agents' own.
func (r *foldReader) stored(from *int64, to int64) (next int64, err error) {
	if r.q.Raw {
		return 0, nil
	}
	err = r.c.Query(func(row sqlite3.Row) error {
		next = row.Int(0)
		last, events, bytes := row.Int(1), row.Int(2), row.Int(3)
		if next != *from || last > to || events > int64(r.q.Limit.Events) || bytes > int64(r.q.Limit.Bytes) {
			return sqlite3.ErrStop
		}
		folded, err := decodeFold(row.Bytes(4), r.page.Session.ID, next, last)
		if err != nil {
			return sqlite3.ErrStop // damaged; the log says it all
		}
		r.take(folded)
		*from, next = last+1, 0
		return nil
	}, `SELECT first, last, events, bytes, data FROM folds WHERE session_no = ? AND first BETWEEN ? AND ? ORDER BY first`, r.no, *from, to)
	return next, err
}

// log folds the events of the log from *from to end and moves *from behind
// what it took. whole is false when the page has no room for all of them.
func (r *foldReader) log(from *int64, end int64) (whole bool, err error) {
	if r.left == 0 {
		return false, nil
	}
	session, f := r.page.Session.ID, store.NewFolder(r.q)
	want := *from
	err = r.c.Query(func(row sqlite3.Row) error {
		if row.Int(0) != want {
			return sqlite3.ErrStop
		}
		if !f.Add(scanUnsealed(session, row)) {
			return sqlite3.ErrStop
		}
		want++
		return nil
	}, pageForward, boolean(r.q.Raw), r.no, want, end, int64(r.left))
	n := int64(f.Len())
	if err == nil && (n == 0 || want != *from+n) {
		err = store.Because(store.CodeCorrupt, fmt.Errorf("session %s: event %d is not there", session, want), store.ErrCorrupt.Detail)
	}
	if err != nil || f.Over() && len(r.page.Events) > 0 {
		return false, err
	}
	r.take(f.Events())
	*from = want
	r.left -= f.Len()
	return want > end, nil
}
