package sqlite

import (
	"context"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var (
	_ store.Turns     = (*Log)(nil)
	_ store.Kontasks  = (*Log)(nil)
	_ store.Questions = (*Log)(nil)
	_ store.Marks     = (*Log)(nil)
	_ store.Leaser    = (*Log)(nil)
	_ store.Rebuilder = (*Log)(nil)
)

// Turn implements store.Turns.
func (l *Log) Turn(ctx context.Context, session, turn string) (found *store.Turn, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		_, no, err := readSession(c, session)
		if err != nil {
			return err
		}
		found, err = readTurn(c, session, no, turn)
		return err
	})
	if err == nil && found == nil {
		err = store.ErrTurnNotFound
	}
	return found, err
}

// turnsPageBytes bounds what is read for a page of turns: a fold has all tools.
const turnsPageBytes = 8 << 20

// ListTurns implements store.Turns.
func (l *Log) ListTurns(ctx context.Context, f store.TurnFilter) (page store.TurnPage, err error) {
	w := where{}
	w.add("s.deleted_at IS NULL")
	w.equal("s.id", f.Session)
	w.visible("s.id", f.Visible)
	w.equal("t.state", string(f.State))
	if f.Tool != "" {
		w.add("EXISTS (SELECT 1 FROM turn_tools AS u WHERE u.session_no = t.session_no AND u.turn = t.turn AND u.name = ?)", f.Tool)
	}
	if !f.Since.IsZero() {
		w.add("t.at >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		w.add("t.at < ?", f.Until.UnixMilli())
	}
	if err := w.after(f.Cursor); err != nil {
		return page, err
	}
	limit := pageLimit(f.Limit)
	var last int64
	size := 0
	err = l.lister(f.Query != "" || f.Visible != nil)(ctx, func(c *sqlite3.Conn) error {
		var no int64
		if f.Session != "" {
			if !store.Shows(f.Visible, f.Session) {
				return store.ErrNotFound
			}
			if _, no, err = readSession(c, f.Session); err != nil {
				return err
			}
		}
		if f.Query != "" {
			condition, args, err := matchingTurns(f.Query, no, f.Visible)
			if err != nil {
				return err
			}
			w.add(condition, args...)
		}
		return c.Query(func(row sqlite3.Row) error {
			if len(page.Turns) == limit || size > turnsPageBytes {
				page.Next = fmt.Sprint(last)
				return sqlite3.ErrStop
			}
			turn, err := scanTurn(row)
			if err != nil {
				return err
			}
			turn.Brief()
			size += len(row.Bytes(1))
			last, page.Turns = row.Int(0), append(page.Turns, turn)
			return nil
		}, `SELECT t.no, t.fold, t.last FROM turns AS t JOIN sessions AS s ON s.no = t.session_no WHERE `+w.text()+` ORDER BY t.no DESC LIMIT ?`,
			append(w.args, int64(limit)+1)...)
	})
	return page, err
}

// after takes the list of turns up where a page ended.
func (w *where) after(cursor string) error {
	if cursor == "" {
		return nil
	}
	var no int64
	if n, err := fmt.Sscanf(cursor, "%d", &no); n != 1 || err != nil || fmt.Sprint(no) != cursor {
		return store.Errorf(store.CodeInvalidQuery, "cursor %.40q is not one that a page of turns gave", cursor)
	}
	w.add("t.no < ?", no)
	return nil
}

// Answer implements store.Questions.
func (l *Log) Answer(ctx context.Context, session, requestID string) (asked, answered int64, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		_, no, err := readSession(c, session)
		if err != nil {
			return err
		}
		return c.Query(func(row sqlite3.Row) error {
			asked, answered = row.Int(0), row.Int(1)
			return sqlite3.ErrStop
		}, `SELECT asked, answered FROM questions WHERE session_no = ? AND request_id = ?`, no, requestID)
	})
	return asked, answered, err
}
