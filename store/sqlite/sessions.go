package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// CreateSession implements store.Sessions.
func (l *Log) CreateSession(ctx context.Context, id string, spec store.SessionSpec) (s store.Session, created bool, err error) {
	if err := store.ValidSessionID(id); err != nil {
		return s, false, err
	}
	if err := spec.Check(); err != nil {
		return s, false, err
	}
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(id)
		if err != nil {
			return err
		}
		if !c.exists {
			err := t.roomFor(id, spec.Scope, func(used store.Used) error { return l.options.Quotas.Create(spec.Scope, used) })
			if err != nil {
				return err
			}
		}
		if created = !c.exists; created {
			if err := t.create(c, spec); err != nil {
				return err
			}
		}
		s = c.state
		return nil
	})
	return s, created, err
}

// UpdateSession implements store.Sessions.
func (l *Log) UpdateSession(ctx context.Context, id string, patch store.SessionPatch) (s store.Session, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(id)
		if err != nil {
			return err
		}
		if !c.exists {
			return store.ErrNotFound
		}
		spec, err := patch.Apply(c.state.Spec())
		if err != nil {
			return err
		}
		if err := t.roomForPatch(&c.state, patch, spec.Scope); err != nil {
			return err
		}
		c.state.SetSpec(spec)
		if t.now.After(c.state.UpdatedAt) {
			c.state.UpdatedAt = t.now
		}
		c.respec, t.written = true, true
		s = c.state
		return t.feedSession(store.TypeSessionUpdated, &s)
	})
	return s, err
}

// DeleteSession implements store.Sessions. The session is gone at once; its
// rows are removed piece by piece afterwards.
func (l *Log) DeleteSession(ctx context.Context, id string) error {
	err := l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(id)
		if err != nil {
			return err
		}
		if !c.exists {
			return store.ErrNotFound
		}
		if err := t.flush(); err != nil {
			return err
		}
		if _, err := t.conn.Exec(`INSERT INTO garbage VALUES (?)`, c.no); err != nil {
			return err
		}
		// A kontask is asked for by its own id, so it goes at once.
		if _, err := t.conn.Exec(`DELETE FROM kontasks WHERE session_no = ?`, c.no); err != nil {
			return err
		}
		if err := t.feedSession(store.TypeSessionDeleted, &c.state); err != nil {
			return err
		}
		head := c.state.Head
		c.state = store.Session{ID: id, Epoch: c.state.Epoch, Head: head, Floor: head + 1, CreatedAt: c.state.CreatedAt, UpdatedAt: t.now}
		c.no = t.nextNo()
		c.exists, c.respec, c.renewed, c.events = false, true, true, nil
		t.written = true
		// The row takes the tombstone's number before anything else in this
		// transaction asks the tables by the old one.
		return t.saveWhole(c)
	})
	if err == nil {
		l.janitor.wake()
	}
	return err
}

// ListSessions implements store.Sessions. It reads the rows of all sessions
// that match, so its cost grows with their number, not with their events.
func (l *Log) ListSessions(ctx context.Context, f store.SessionFilter) (page store.SessionPage, err error) {
	where, args, err := sessionWhere(f)
	if err != nil {
		return page, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = store.SessionsPageDefault
	}
	limit = min(limit, store.SessionsPageMax)
	var last, updated int64
	err = l.lister(f.Visible != nil || f.Search != "")(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			if len(page.Sessions) == limit {
				page.Next = fmt.Sprintf("%d.%d", updated, last)
				return sqlite3.ErrStop
			}
			last, updated = row.Int(0), row.Int(7)
			page.Sessions = append(page.Sessions, l.shown(scanSession(row)))
			return nil
		}, `SELECT `+sessionColumns+` FROM sessions WHERE `+where+` ORDER BY updated_at DESC, no DESC LIMIT ?`, append(args, int64(limit)+1)...)
	})
	return page, err
}

// shown returns what readers know of a session that was read from the
// database, which is ahead of them between COMMIT and publish.
func (l *Log) shown(s store.Session) store.Session {
	live := l.live.get(s.ID)
	if live == nil {
		return s
	}
	live.mu.RLock()
	defer live.mu.RUnlock()
	return live.state
}

func sessionWhere(f store.SessionFilter) (string, []any, error) {
	where := []string{"deleted_at IS NULL", `id NOT GLOB '_*'`} // the server's own are no work of anybody
	var args []any
	add := func(clause string, values ...any) {
		where, args = append(where, clause), append(args, values...)
	}
	if f.Scope != "" {
		add("scope = ?", f.Scope)
	}
	if f.Tag != "" {
		add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", f.Tag)
	}
	if f.Search != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Search) + "%"
		add(`(id LIKE ? ESCAPE '\' OR title LIKE ? ESCAPE '\')`, like, like)
	}
	switch f.State {
	case "":
	case store.StateClosed:
		add("closed = 1")
	case store.StateWaiting:
		add("closed = 0 AND waiting > 0")
	case store.StateWorking:
		add("closed = 0 AND waiting = 0 AND turn <> ''")
	case store.StateIdle:
		add("closed = 0 AND waiting = 0 AND turn = ''")
	default:
		return "", nil, store.Errorf(store.CodeInvalidQuery, "state %.40q: use idle, working, waiting or closed", f.State)
	}
	if clause, values := visibleClause("id", f.Visible); clause != "" {
		add(clause, values...)
	}
	if f.Cursor != "" {
		var at, no int64
		if n, err := fmt.Sscanf(f.Cursor, "%d.%d", &at, &no); n != 2 || err != nil || fmt.Sprintf("%d.%d", at, no) != f.Cursor {
			return "", nil, store.Errorf(store.CodeInvalidQuery, "cursor %.40q is not one that a page of sessions gave", f.Cursor)
		}
		add("(updated_at, no) < (?, ?)", at, no)
	}
	return strings.Join(where, " AND "), args, nil
}
