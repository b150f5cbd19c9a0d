package sqlite

import (
	"context"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// MarkSeen implements store.Marks.
func (l *Log) MarkSeen(ctx context.Context, subject, session string, id int64) (mark int64, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(session)
		if err != nil {
			return err
		}
		if !c.exists {
			return store.ErrNotFound
		}
		before, err := t.conn.Int(selectMark, subject, c.no)
		if err != nil {
			return err
		}
		if mark = min(id, c.state.Head); mark <= before {
			mark = before
			return nil
		}
		t.written = true
		if _, err := t.conn.Exec(`INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET id = excluded.id, at = excluded.at`,
			subject, c.no, mark, t.now.UnixMilli()); err != nil {
			return err
		}
		if store.OwnSession(session) {
			return nil
		}
		return t.feed(store.FeedSeenDraft(subject, session, mark))
	})
	return mark, err
}

const selectMark = `SELECT ifnull((SELECT id FROM marks WHERE subject = ? AND session_no = ?), 0)`

// Seen implements store.Marks.
func (l *Log) Seen(ctx context.Context, subject, session string) (mark int64, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		_, no, err := readSession(c, session)
		if err == nil {
			mark, err = c.Int(selectMark, subject, no)
		}
		return err
	})
	return mark, err
}

// Inbox implements store.Marks. It looks at the rows of all sessions.
func (l *Log) Inbox(ctx context.Context, f store.InboxFilter) (page store.InboxPage, err error) {
	w := where{args: []any{f.Subject}}
	w.add(`deleted_at IS NULL AND s.id NOT GLOB '_*' AND (closed = 0 AND waiting > 0 OR notable > ifnull(m.id, 0))`)
	w.visible("s.id", f.Visible)
	if err := w.before("updated_at", f.Cursor); err != nil {
		return page, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = store.SessionsPageDefault
	}
	limit = min(limit, store.SessionsPageMax)
	var updated, last int64
	err = l.lister(f.Visible != nil)(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			if len(page.Items) == limit {
				page.Next = fmt.Sprintf("%d.%d", updated, last)
				return sqlite3.ErrStop
			}
			last, updated = row.Int(0), row.Int(7)
			page.Items = append(page.Items, store.InboxItem{Session: scanSession(row), Seen: row.Int(sessionWidth)})
			return nil
		}, `SELECT `+qualified("s", sessionColumns)+`, ifnull(m.id, 0) FROM sessions AS s LEFT JOIN marks AS m ON m.subject = ? AND m.session_no = s.no
			WHERE `+w.text()+` ORDER BY updated_at DESC, no DESC LIMIT ?`, append(w.args, int64(limit)+1)...)
	})
	return page, err
}
