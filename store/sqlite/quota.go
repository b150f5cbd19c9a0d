package sqlite

import (
	"context"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.UsageReporter = (*Log)(nil)

// account is what a transaction adds to what is used. Operations change
// sessions in many places; here all of them are looked at when an operation is
// done, so that none can be forgotten.
type account struct {
	open   []*change              // that the operation may have changed
	scopes map[string]*scopeUsage // that were asked for or changed
	all    store.Usage            // added
	blobs  counts                 // added
	base   *store.Used            // to which it is added; nil stands for what was committed last
}

// counts are a number of things and their bytes.
type counts struct{ n, bytes int64 }

// scopeUsage is what is used of one scope.
type scopeUsage struct {
	added  store.Usage // by this transaction
	stored store.Usage // in the table, if known
	known  bool
}

// counted is a session as the account has it.
type counted struct {
	done   bool // it was looked at
	exists bool
	scope  string
	bytes  int64
}

func countedOf(c *change) counted {
	return counted{done: true, exists: c.exists && !store.OwnSession(c.state.ID), scope: c.state.Scope, bytes: c.state.Bytes}
}

// touch notes a session that an operation may change. It must be called before
// it does.
func (a *account) touch(c *change) {
	if !c.counted.done {
		c.counted = countedOf(c)
	}
	a.open = append(a.open, c)
}

// settle counts what the operation has changed.
func (a *account) settle() {
	for _, c := range a.open {
		was, now := c.counted, countedOf(c)
		if was == now {
			continue
		}
		if was.exists {
			a.add(was.scope, store.Usage{Sessions: -1, Bytes: -was.bytes})
		}
		if now.exists {
			a.add(now.scope, store.Usage{Sessions: 1, Bytes: now.bytes})
		}
		c.counted = now
	}
	a.open = a.open[:0]
}

func (a *account) add(scope string, more store.Usage) {
	s := a.scope(scope)
	s.added.Sessions += more.Sessions
	s.added.Bytes += more.Bytes
	a.all.Sessions += more.Sessions
	a.all.Bytes += more.Bytes
}

func (a *account) scope(scope string) *scopeUsage {
	s := a.scopes[scope]
	if s == nil {
		if a.scopes == nil {
			a.scopes = map[string]*scopeUsage{}
		}
		s = &scopeUsage{}
		a.scopes[scope] = s
	}
	return s
}

// totals are what all sessions and blobs use as of the operation before.
func (t *txn) totals() store.Used {
	a := &t.account
	if a.base == nil {
		a.base = t.w.log.health.used.Load()
	}
	used := *a.base
	used.All.Sessions += a.all.Sessions
	used.All.Bytes += a.all.Bytes
	used.BlobBytes += a.blobs.bytes
	return used
}

// used is what is used as of the operation before.
func (t *txn) used(scope string) (used store.Used, err error) {
	used = t.totals()
	s := t.account.scope(scope)
	if !s.known {
		if s.stored, err = readUsage(t.conn, scope); err != nil {
			return used, err
		}
		s.known = true
	}
	used.Scope = store.Usage{Sessions: s.stored.Sessions + s.added.Sessions, Bytes: s.stored.Bytes + s.added.Bytes}
	return used, nil
}

func readUsage(c *sqlite3.Conn, scope string) (u store.Usage, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		u = store.Usage{Sessions: row.Int(0), Bytes: row.Int(1)}
		return sqlite3.ErrStop
	}, `SELECT n, bytes FROM usage WHERE what = 'scope' AND name = ?`, scope)
	if err != nil {
		return u, fmt.Errorf("read usage: %w", err)
	}
	return u, nil
}

// readTotals reads what all sessions and blobs use.
func readTotals(c *sqlite3.Conn) (used store.Used, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		if row.Text(0) == "blobs" {
			used.BlobBytes = row.Int(2)
		} else {
			used.All = store.Usage{Sessions: row.Int(1), Bytes: row.Int(2)}
		}
		return nil
	}, `SELECT what, n, bytes FROM usage WHERE what IN ('all', 'blobs') AND name = '' ORDER BY what`)
	if err != nil {
		return used, fmt.Errorf("read usage: %w", err)
	}
	return used, nil
}

// saveUsage writes what the transaction adds to what is used.
func (t *txn) saveUsage() error {
	a := &t.account
	a.settle()
	for scope, s := range a.scopes {
		if err := t.addUsage("scope", scope, s.added.Sessions, s.added.Bytes); err != nil {
			return err
		}
	}
	err := t.addUsage("all", "", a.all.Sessions, a.all.Bytes)
	if err == nil {
		err = t.addUsage("blobs", "", a.blobs.n, a.blobs.bytes)
	}
	return err
}

func (t *txn) addUsage(what, name string, n, bytes int64) error {
	if n == 0 && bytes == 0 {
		return nil
	}
	t.written = true
	_, err := t.conn.Exec(`INSERT INTO usage VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n, bytes = bytes + excluded.bytes`, what, name, n, bytes)
	if err == nil && n < 0 && what == "scope" {
		_, err = t.conn.Exec(`DELETE FROM usage WHERE what = ? AND name = ? AND n = 0`, what, name)
	}
	if err != nil {
		return fmt.Errorf("save usage: %w", err)
	}
	return nil
}

// publishUsage shows what is used now, after COMMIT.
func (t *txn) publishUsage() {
	used := t.totals()
	t.w.log.health.used.Store(&used)
}

// Used implements store.UsageReporter.
func (l *Log) Used(ctx context.Context, scope string) (used store.Used, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		if used, err = readTotals(c); err == nil {
			used.Scope, err = readUsage(c, scope)
		}
		return err
	})
	return used, err
}

// room holds what an append would add against the quotas and the disk.
func (t *txn) room(c *change, drafts []store.Draft, known knownKeys) error {
	q := &t.w.log.options.Quotas
	low := t.w.disk.low
	if !low && !q.Set() {
		return nil
	}
	fresh := drafts
	if known.ids != nil {
		fresh = make([]store.Draft, 0, len(drafts))
		for i := range drafts {
			if known.repeat(drafts[i].Key, i) == 0 && !known.has(drafts[i].Key, i) {
				fresh = append(fresh, drafts[i])
			}
		}
	}
	if ends, _ := store.Endings(fresh); low && !ends {
		return t.w.disk.refusal()
	}
	if !q.Set() {
		return nil
	}
	used, err := t.used(c.state.Scope)
	if err != nil {
		return err
	}
	return q.Append(&c.state, !c.exists, used, fresh)
}

// roomFor asks check, with what is used of a scope, unless the disk has no room
// or the session is the server's own.
func (t *txn) roomFor(session, scope string, check func(store.Used) error) error {
	if store.OwnSession(session) {
		return nil
	}
	if t.w.disk.low {
		return t.w.disk.refusal()
	}
	used, err := t.used(scope)
	if err != nil {
		return err
	}
	return check(used)
}

// roomForPatch holds what is said of a session against the quotas and the disk.
// What it is to keep is no part of that: to keep less makes room.
func (t *txn) roomForPatch(s *store.Session, patch store.SessionPatch, scope string) error {
	if patch.Title == nil && patch.Scope == nil && patch.Tags == nil && patch.Meta == nil {
		return nil
	}
	return t.roomFor(s.ID, scope, func(used store.Used) error {
		if scope == s.Scope {
			return nil
		}
		return t.w.log.options.Quotas.Move(s, scope, used)
	})
}

// roomForBlob holds an upload that has come so far against the quota and the disk.
func (t *txn) roomForBlob(bytes int64) error {
	return t.roomFor("", "", func(used store.Used) error { return t.w.log.options.Quotas.Blob(used.BlobBytes, bytes) })
}
