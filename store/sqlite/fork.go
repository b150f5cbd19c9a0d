package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Forker = (*Log)(nil)

// Bounds of what one transaction copies, so that appends wait for a few
// milliseconds at most.
const (
	forkChunk = 500
	forkBytes = 1 << 20
	forkSeals = 2000 // rows of 60 bytes
)

// copies are the session numbers under which a fork is being made. They stand
// in the table garbage, so that a crash leaves nothing behind; the janitor
// passes over them while they are here.
type copies struct {
	mu  sync.Mutex // guards nos
	nos map[int64]bool
}

func (k *copies) hold(no int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nos == nil {
		k.nos = map[int64]bool{}
	}
	k.nos[no] = true
}

func (k *copies) release(no int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.nos, no)
}

func (k *copies) held(no int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nos[no]
}

// forking is one Fork on its way.
type forking struct {
	l        *Log
	source   string
	sourceNo int64
	spec     store.ForkSpec
	no       int64         // of the session to be
	next     int64         // the highest id that is still to be copied
	seals    int64         // the seals above it are copied
	state    store.Session // folded from the copy
	whole    bool          // the copy has what the source has
}

// Fork implements store.Forker. Rows are copied under a number that no session
// has; the last transaction makes it the fork's.
func (l *Log) Fork(ctx context.Context, source string, f store.ForkSpec) (s store.Session, err error) {
	if err := store.ValidSessionID(source); err != nil {
		return s, err
	}
	if err := f.Check(); err != nil {
		return s, err
	}
	k := &forking{l: l, source: source, spec: f}
	err = l.queue.do(ctx, 0, 0, k.begin)
	defer func() {
		l.copies.release(k.no)
		l.janitor.wake() // for what is left of a fork that failed, or was redacted in the middle
	}()
	for more := true; more && err == nil; {
		err = l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
			more, err = k.copy(t)
			return err
		})
	}
	for err == nil && !k.whole { // again when something was redacted meanwhile
		if err = k.fold(ctx); err == nil {
			err = l.queue.do(ctx, 0, 0, k.finish)
		}
	}
	if err != nil {
		return store.Session{}, forkFailed(source, f.Session, err)
	}
	// The fork is there, whoever waits for it. What follows from its log is
	// made again at the next start if it cannot be now.
	if _, err := l.Rebuild(context.WithoutCancel(ctx), f.Session); err != nil {
		l.options.Logger.Warn("folding the turns of a fork failed; run konlog verify --rebuild", "session", f.Session, "err", err)
	}
	return k.state, nil
}

func forkFailed(source, fork string, err error) error {
	if store.CodeOf(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("fork %s to %s: %w", source, fork, err)
}

// from returns the change of the source, which must still be the same session.
func (k *forking) from(t *txn) (*change, error) {
	c, err := t.session(k.source)
	if err == nil && (!c.exists || k.sourceNo != 0 && c.no != k.sourceNo) {
		err = store.ErrNotFound
	}
	return c, err
}

// free refuses a name that is taken. Ids are never given twice, also not those
// of a session that was deleted.
func (k *forking) free(t *txn, floor int64) (*change, error) {
	c, err := t.session(k.spec.Session)
	switch {
	case err != nil:
		return nil, err
	case c.exists:
		return nil, store.Errorf(store.CodeExists, "session %s exists already; choose another id for the fork", k.spec.Session)
	case c.state.Head >= floor:
		return nil, store.Errorf(store.CodeExists, "session %s was deleted, and its ids up to %d are not given again; choose another id for the fork", k.spec.Session, c.state.Head)
	}
	return c, nil
}

func (k *forking) begin(t *txn) error {
	c, err := k.from(t)
	if err != nil {
		return err
	}
	if err := k.spec.Of(&c.state); err != nil {
		return err
	}
	if _, err := k.free(t, c.state.Floor); err != nil {
		return err
	}
	if err := k.room(t, c, 0); err != nil {
		return err
	}
	k.sourceNo, k.next, k.no = c.no, k.spec.After, t.nextNo()
	k.l.copies.hold(k.no)
	t.written = true
	_, err = t.conn.Exec(`INSERT INTO garbage VALUES (?)`, k.no)
	return err
}

// room holds the fork against the quotas: at the end with its bytes, which are
// known only then.
func (k *forking) room(t *txn, source *change, bytes int64) error {
	scope := source.state.Scope
	return t.roomFor(k.spec.Session, scope, func(used store.Used) error { return k.l.options.Quotas.Fork(scope, bytes, used) })
}

// copy copies a chunk and reports whether there is more. It goes from the last
// event down: when retention is faster, what is copied has no hole.
func (k *forking) copy(t *txn) (more bool, err error) {
	c, err := k.from(t)
	if err != nil {
		return false, err
	}
	if err := t.flush(); err != nil {
		return false, err
	}
	first, size := k.next+1, int64(0)
	err = t.conn.Query(func(row sqlite3.Row) error {
		if first, size = row.Int(0), size+row.Int(1); size >= forkBytes {
			return sqlite3.ErrStop
		}
		return nil
	}, `SELECT id, `+eventSize+` FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?`, k.sourceNo, c.state.Floor, k.next, int64(forkChunk))
	if err != nil {
		return false, err
	}
	t.written = true
	if first > k.next {
		return k.copySeals(t)
	}
	for _, rows := range []string{
		`INSERT INTO events (session_no, id, time, type, turn, parent, data, raw)
			SELECT ?1, id, time, type, turn, parent, data, raw FROM events WHERE session_no = ?2 AND id BETWEEN ?3 AND ?4 ORDER BY id`,
		`INSERT INTO redactions SELECT ?1, id, data_hash, raw_hash, at, reason FROM redactions WHERE session_no = ?2 AND id BETWEEN ?3 AND ?4 ORDER BY id`,
		`INSERT INTO blob_refs SELECT ?1, id, sha256 FROM blob_refs WHERE session_no = ?2 AND id BETWEEN ?3 AND ?4 ORDER BY id, sha256`,
	} {
		n, err := t.conn.Exec(rows, k.no, k.sourceNo, first, k.next)
		if err != nil {
			return false, err
		}
		t.bytes += size + n*eventOverhead
	}
	k.next = first - 1
	return true, nil
}

// copySeals copies a chunk of the seals, also those whose events are gone: the
// chain of the fork is the source's, up to where they part.
func (k *forking) copySeals(t *txn) (more bool, err error) {
	var last, n int64
	err = t.conn.Query(func(row sqlite3.Row) error {
		last = row.Int(0)
		n++
		return nil
	}, `SELECT last FROM seals WHERE session_no = ? AND last > ? AND last <= ? ORDER BY last LIMIT ?`, k.sourceNo, k.seals, k.spec.After, int64(forkSeals))
	if err != nil || n == 0 {
		return false, err
	}
	t.bytes += n * pageBytes / 32
	_, err = t.conn.Exec(`INSERT INTO seals (session_no, `+sealColumns+`) SELECT ?, `+sealColumns+` FROM seals
		WHERE session_no = ? AND last > ? AND last <= ? ORDER BY last`, k.no, k.sourceNo, k.seals, last)
	k.seals = last
	return n == forkSeals, err
}

// fold makes the fork's state from its events, a page at a time.
func (k *forking) fold(ctx context.Context) error {
	k.state = k.spec.Begin(k.next + 1)
	for k.state.Head < k.spec.After {
		err := k.l.withReader(ctx, func(c *sqlite3.Conn) error {
			size, want := 0, k.state.Head+1
			err := c.Query(func(row sqlite3.Row) error {
				e := scanEvent(k.spec.Session, row)
				if e.ID != k.state.Head+1 {
					return sqlite3.ErrStop
				}
				k.state.Fold(&e, e.Size())
				if size += e.Size(); size >= sealPageBytes {
					return sqlite3.ErrStop
				}
				return nil
			}, pageForward, int64(1), k.no, want, k.spec.After, int64(sealPageEvents))
			if err == nil && k.state.Head < want {
				err = store.Because(store.CodeCorrupt, fmt.Errorf("event %d of %s is missing", want, k.source), store.ErrCorrupt.Detail)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish makes the copy a session, in one step for all who look.
func (k *forking) finish(t *txn) error {
	source, err := k.from(t)
	if err != nil {
		return err
	}
	c, err := k.free(t, k.state.Floor)
	if err != nil {
		return err
	}
	if err := k.room(t, source, k.state.Bytes); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.written = true
	if changed, err := k.redact(t); changed || err != nil {
		return err
	}
	for _, row := range []string{`DELETE FROM garbage WHERE session_no = ?`, `INSERT OR IGNORE INTO unfolded VALUES (?)`} {
		if _, err := t.conn.Exec(row, k.no); err != nil {
			return err
		}
	}
	now := t.now
	if now.Before(source.state.UpdatedAt) {
		now = source.state.UpdatedAt
	}
	k.spec.Finish(&k.state, &source.state, uuid.NewString(), now)
	c.no, c.state, c.turns = k.no, k.state, turnFolds{}
	c.exists, c.respec, c.renewed = true, true, true
	if err := t.feedSession(store.TypeSessionCreated, &c.state); err != nil {
		return err
	}
	if d, open := c.state.Abandon(); open {
		if _, err := t.add(c, d); err != nil {
			return err
		}
	}
	k.state, k.whole = c.state, true
	return nil
}

// redact drops from the copy what was redacted in the source since it was
// copied, and reports whether there was any.
func (k *forking) redact(t *txn) (changed bool, err error) {
	n, err := t.conn.Exec(`INSERT OR IGNORE INTO redactions SELECT ?, id, data_hash, raw_hash, at, reason FROM redactions
		WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id`, k.no, k.sourceNo, k.state.Floor, k.spec.After)
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.dropped(); err != nil {
		return true, err
	}
	if _, err := t.conn.Exec(`DELETE FROM blob_refs WHERE session_no = ?1 AND id IN (SELECT id FROM redactions WHERE session_no = ?1)`, k.no); err != nil {
		return true, err
	}
	_, err = t.conn.Exec(`UPDATE events SET data = x'', raw = NULL WHERE session_no = ?1 AND length(data) > 0
		AND id IN (SELECT id FROM redactions WHERE session_no = ?1)`, k.no)
	return true, err
}
