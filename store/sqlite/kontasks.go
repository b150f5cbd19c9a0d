package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

const kontaskColumns = `no, id, session_no, session, created, ready, last, chosen, choice, created_at, updated_at, status, scope, target_user, request_id, tags, record`

const kontaskWidth = 17

// scanKontask reads a row of kontaskColumns.
func scanKontask(row sqlite3.Row) store.Kontask {
	k := store.Kontask{
		ID: row.Text(1), Session: row.Text(3), Created: row.Int(4), Ready: row.Int(5), Last: row.Int(6), Chosen: row.Int(7),
		CreatedAt: millis(row.Int(9)), UpdatedAt: millis(row.Int(10)), Record: json.RawMessage(row.Text(16)),
	}
	if choice := row.Text(8); choice != "" {
		k.Choice = json.RawMessage(choice)
	}
	if len(k.Record) == 0 {
		k.Record = nil
	}
	return k
}

// foldKontask brings a kontask's row up to e. An event about a kontask of
// another session is a copy, as an imported session may hold: the original
// stays what it is.
func (t *txn) foldKontask(c *change, e *store.Event) error {
	id := e.KontaskID()
	if id == "" {
		return nil
	}
	var k store.Kontask
	var no, sessionNo int64
	err := t.conn.Query(func(row sqlite3.Row) error {
		no, sessionNo, k = row.Int(0), row.Int(2), scanKontask(row)
		return sqlite3.ErrStop
	}, `SELECT `+kontaskColumns+` FROM kontasks WHERE id = ?`, id)
	if err != nil || no != 0 && sessionNo != c.no {
		return err
	}
	k.Apply(e)
	return t.saveKontask(c.no, no, &k)
}

// saveKontask writes a kontask's row, a new one when no is 0.
func (t *txn) saveKontask(sessionNo, no int64, k *store.Kontask) error {
	tags, err := json.Marshal(k.Tags())
	if err != nil {
		return err
	}
	var row, choice any
	if no != 0 {
		row = no
	}
	if k.Choice != nil {
		choice = string(k.Choice)
	}
	t.bytes += int64(len(k.Record))
	_, err = t.conn.Exec(`INSERT OR REPLACE INTO kontasks (`+kontaskColumns+`) VALUES `+placeholders(1, kontaskWidth),
		row, k.ID, sessionNo, k.Session, k.Created, k.Ready, k.Last, k.Chosen, choice, k.CreatedAt.UnixMilli(), k.UpdatedAt.UnixMilli(),
		k.Text("status"), k.Text("scope"), k.Text("targetUser"), k.Text("requestId"), string(tags), string(k.Record))
	return err
}

// Kontask implements store.Kontasks.
func (l *Log) Kontask(ctx context.Context, id string) (k store.Kontask, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			k = scanKontask(row)
			return sqlite3.ErrStop
		}, `SELECT `+kontaskColumns+` FROM kontasks WHERE id = ?`, id)
	})
	if err == nil && k.ID == "" {
		err = store.ErrNoKontask
	}
	return k, err
}

// ListKontasks implements store.Kontasks.
func (l *Log) ListKontasks(ctx context.Context, f store.KontaskFilter) (page store.KontaskPage, err error) {
	w := where{}
	w.equal("session", f.Session)
	w.visible("session", f.Visible)
	w.equal("status", f.Status)
	w.equal("scope", f.Scope)
	w.equal("target_user", f.TargetUser)
	w.equal("request_id", f.RequestID)
	if f.Tag != "" {
		w.add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", f.Tag)
	}
	if f.Open {
		w.add("ready > 0 AND chosen = 0")
	}
	if err := w.before("updated_at", f.Cursor); err != nil {
		return page, err
	}
	limit := pageLimit(f.Limit)
	var updated, last int64
	err = l.lister(f.Visible != nil)(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			if len(page.Kontasks) == limit {
				page.Next = fmt.Sprintf("%d.%d", updated, last)
				return sqlite3.ErrStop
			}
			last, updated = row.Int(0), row.Int(10)
			page.Kontasks = append(page.Kontasks, scanKontask(row))
			return nil
		}, `SELECT `+kontaskColumns+` FROM kontasks WHERE `+w.text()+` ORDER BY updated_at DESC, no DESC LIMIT ?`, append(w.args, int64(limit)+1)...)
	})
	return page, err
}

// pageLimit is how many turns or kontasks a page may hold.
func pageLimit(asked int) int {
	if asked <= 0 {
		return store.TurnsPageDefault
	}
	return min(asked, store.TurnsPageMax)
}

// where collects the conditions of a list.
type where struct {
	clauses []string
	args    []any
}

func (w *where) add(clause string, args ...any) {
	w.clauses, w.args = append(w.clauses, clause), append(w.args, args...)
}

// equal wants a column to have the value, unless that is empty.
func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// before takes the list up where a page ended, which is ordered by column and
// no, both falling.
func (w *where) before(column, cursor string) error {
	if cursor == "" {
		return nil
	}
	var at, no int64
	if n, err := fmt.Sscanf(cursor, "%d.%d", &at, &no); n != 2 || err != nil || fmt.Sprintf("%d.%d", at, no) != cursor {
		return store.Errorf(store.CodeInvalidQuery, "cursor %.40q is not one that a page of this list gave", cursor)
	}
	w.add("("+column+", no) < (?, ?)", at, no)
	return nil
}

func (w *where) text() string {
	if len(w.clauses) == 0 {
		return "1"
	}
	return strings.Join(w.clauses, " AND ")
}

// qualified puts the name of a table before each of a list of columns.
func qualified(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}
