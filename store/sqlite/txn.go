package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// txn is one transaction over all sessions that its requests change. Nothing
// of it is visible in memory before it is durable.
type txn struct {
	w       *writer
	conn    *sqlite3.Conn
	now     time.Time // UTC, whole milliseconds
	changes []*change
	loaded  map[string]*change // those that are not in memory yet
	rows    []eventRow         // not inserted yet
	bytes   int64              // of the events in this transaction
	written bool               // something was changed, so a COMMIT is due
	purge   bool               // content was redacted, which the write-ahead log must not keep
	account account            // of what is used
	synced  time.Duration      // what COMMIT took
}

// change is what a transaction does to one session.
type change struct {
	no     int64
	state  store.Session
	exists bool          // false: absent, or a tombstone whose head is in state
	events []store.Event // appended, in order
	turns  turnFolds
	was    store.Session // before the transaction

	touched bool // head, floor, size, times or turn changed
	respec  bool // the row has to be written whole
	renewed bool // created or deleted: what is in memory of it no longer counts

	redacted []idRange // whose content was dropped
	counted  counted   // as what t.account has it

	live *liveSession // or nil when it is not in memory yet
}

// changed reports whether readers have to learn of c.
func (c *change) changed() bool { return c.touched || c.respec }

// applyAll runs the requests in the order in which they came. A refusal is the
// affair of its own caller; any other error is the affair of all.
func (t *txn) applyAll(batch []*op) error {
	for _, o := range batch {
		err := o.apply(t)
		if _, refused := err.(*store.Error); err != nil && !refused {
			return err
		}
		o.err = err
		t.account.settle()
	}
	return t.flush()
}

// session returns the change of a session, from this transaction, from memory
// or from the database.
func (t *txn) session(id string) (*change, error) {
	l := t.w.log.live.get(id)
	if l != nil && l.change != nil {
		t.account.touch(l.change)
		return l.change, nil
	}
	if l != nil {
		c := &change{no: l.no, state: l.state, was: l.state, turns: l.turns, exists: true, live: l}
		l.change = c
		t.account.touch(c)
		t.changes = append(t.changes, c)
		return c, nil
	}
	if c := t.loaded[id]; c != nil {
		t.account.touch(c)
		return c, nil
	}
	c, err := t.load(id)
	if err != nil {
		return nil, err
	}
	if t.loaded == nil {
		t.loaded = map[string]*change{}
	}
	t.loaded[id] = c
	t.account.touch(c)
	t.changes = append(t.changes, c)
	return c, nil
}

const sessionColumns = `no, id, epoch, head, floor, bytes, created_at, updated_at, deleted_at, closed, title, scope, tags, meta, turn, turn_at, turn_seen, turn_lease, notable, waiting, open, redacted, forked_from, forked_after, retention`

const sessionWidth = 25

func (t *txn) load(id string) (*change, error) {
	c := &change{state: store.Session{ID: id}}
	err := t.conn.Query(func(row sqlite3.Row) error {
		c.no, c.state = row.Int(0), scanSession(row)
		c.was, c.exists = c.state, row.Null(8)
		return sqlite3.ErrStop
	}, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("load session %s: %w", id, err)
	}
	return c, nil
}

// scanSession reads a row of sessionColumns.
func scanSession(row sqlite3.Row) store.Session {
	s := store.Session{
		ID: row.Text(1), Epoch: row.Text(2), Head: row.Int(3), Floor: row.Int(4), Bytes: row.Int(5),
		CreatedAt: millis(row.Int(6)), UpdatedAt: millis(row.Int(7)), Closed: row.Int(9) != 0,
		Title: row.Text(10), Scope: row.Text(11), Turn: row.Text(14), Notable: row.Int(18), Redacted: row.Int(21),
	}
	if tags := row.Text(12); tags != "[]" {
		_ = json.Unmarshal([]byte(tags), &s.Tags) // written by save; verify checks it
	}
	if meta := row.Text(13); meta != "" {
		s.Meta = json.RawMessage(meta)
	}
	if s.Turn != "" {
		s.TurnSince, s.TurnSeen = millis(row.Int(15)), millis(row.Int(16))
		s.TurnLease = time.Duration(row.Int(17)) * time.Millisecond
	}
	if open := row.Bytes(20); len(open) > 0 {
		s.Open = &store.Open{}
		_ = json.Unmarshal(open, s.Open) // likewise
	}
	if !row.Null(22) {
		s.ForkedFrom = &store.Origin{Session: row.Text(22), After: row.Int(23)}
	}
	s.Retention = scanKeep(row.Bytes(24))
	return s
}

// scanKeep reads the column retention; nil when it is NULL.
func scanKeep(text []byte) *store.Keep {
	if len(text) == 0 {
		return nil
	}
	keep := &store.Keep{}
	_ = json.Unmarshal(text, keep) // written by saveWhole
	return keep
}

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// create makes the session of c, which is absent or a tombstone. Ids go on
// where a tombstone ended.
func (t *txn) create(c *change, spec store.SessionSpec) error {
	head := c.state.Head
	c.state = store.Session{ID: c.state.ID, Epoch: uuid.NewString(), Head: head, Floor: head + 1, CreatedAt: t.now, UpdatedAt: t.now}
	c.state.SetSpec(spec)
	c.exists, c.respec, c.renewed = true, true, true
	c.no, c.turns = t.nextNo(), turnFolds{}
	t.written = true
	return t.feedSession(store.TypeSessionCreated, &c.state)
}

func (t *txn) nextNo() int64 {
	no := t.w.next
	t.w.next++
	return no
}

// insertRows is how many events one INSERT takes: the cost of a statement is
// shared, and the text stays short.
const insertRows = 16

const eventWidth = 8

var (
	insertOne  = `INSERT INTO events (session_no, id, time, type, turn, parent, data, raw) VALUES ` + placeholders(1, eventWidth)
	insertMany = `INSERT INTO events (session_no, id, time, type, turn, parent, data, raw) VALUES ` + placeholders(insertRows, eventWidth)
)

// eventRow is an event on its way into the table.
type eventRow struct {
	no    int64
	event store.Event
}

// append numbers nothing: it queues the event's row and folds it into c and
// what is derived from the log.
func (t *txn) append(c *change, e store.Event, size int) error {
	e.Seal()
	if err := t.fold(c, &e); err != nil {
		return err
	}
	if err := t.referBlobs(c, &e); err != nil {
		return err
	}
	c.events = append(c.events, e)
	c.state.Fold(&e, size)
	c.touched, t.written = true, true
	t.bytes += int64(size)
	t.rows = append(t.rows, eventRow{c.no, e})
	if len(t.rows) < insertRows {
		return nil
	}
	err := t.insert(insertMany, t.rows)
	t.rows = t.rows[:0]
	return err
}

// flush inserts the rows that are left.
func (t *txn) flush() error {
	for i := range t.rows {
		if err := t.insert(insertOne, t.rows[i:i+1]); err != nil {
			return err
		}
	}
	t.rows = t.rows[:0]
	return nil
}

func (t *txn) insert(text string, rows []eventRow) error {
	s, err := t.conn.Prepare(text)
	if err != nil {
		return err
	}
	for i := range rows {
		e, at := &rows[i].event, i*eventWidth
		s.BindInt(at+1, rows[i].no)
		s.BindInt(at+2, e.ID)
		s.BindInt(at+3, e.Time.UnixMilli())
		s.BindText(at+4, e.Type)
		bindOptional(s, at+5, e.Turn)
		bindOptional(s, at+6, e.Parent)
		s.BindBlob(at+7, e.Data)
		if e.Raw == nil {
			s.BindNull(at + 8)
		} else {
			s.BindBlob(at+8, e.Raw)
		}
	}
	return s.Run()
}

// bindOptional stores "" as NULL, which takes no room.
func bindOptional(s *sqlite3.Stmt, position int, v string) {
	if v == "" {
		s.BindNull(position)
		return
	}
	s.BindText(position, v)
}

// save writes the sessions that changed.
func (t *txn) save() error {
	for _, c := range t.changes {
		s := &c.state
		var err error
		switch {
		case c.respec:
			err = t.saveWhole(c)
		case c.touched && c.turned():
			_, err = t.conn.Exec(`UPDATE sessions SET head = ?, floor = ?, bytes = ?, updated_at = ?, closed = ?, turn = ?, turn_at = ?,
				turn_seen = ?, turn_lease = ?, notable = ?, waiting = ?, open = ?, redacted = ? WHERE no = ?`,
				s.Head, s.Floor, s.Bytes, s.UpdatedAt.UnixMilli(), boolean(s.Closed), s.Turn, since(s, s.TurnSince),
				since(s, s.TurnSeen), s.TurnLease.Milliseconds(), s.Notable, int64(len(s.Questions())), openJSON(s), s.Redacted, c.no)
		case c.touched:
			_, err = t.conn.Exec(`UPDATE sessions SET head = ?, floor = ?, bytes = ?, updated_at = ?, turn_seen = ? WHERE no = ?`,
				s.Head, s.Floor, s.Bytes, s.UpdatedAt.UnixMilli(), since(s, s.TurnSeen), c.no)
		}
		if err != nil {
			return fmt.Errorf("save session %s: %w", s.ID, err)
		}
	}
	return t.saveUsage()
}

func (t *txn) saveWhole(c *change) error {
	s := &c.state
	tags, err := json.Marshal(s.Tags)
	if err != nil {
		return err
	}
	if s.Tags == nil {
		tags = []byte("[]")
	}
	var deleted, meta, forkedFrom, keep any
	var forkedAfter int64
	if !c.exists {
		deleted = t.now.UnixMilli()
	}
	if s.Meta != nil {
		meta = string(s.Meta)
	}
	if s.ForkedFrom != nil {
		forkedFrom, forkedAfter = s.ForkedFrom.Session, s.ForkedFrom.After
	}
	if s.Retention != nil {
		text, err := json.Marshal(s.Retention)
		if err != nil {
			return err
		}
		keep = string(text)
	}
	_, err = t.conn.Exec(`INSERT INTO sessions (`+sessionColumns+`) VALUES `+placeholders(1, sessionWidth)+`
		ON CONFLICT (id) DO UPDATE SET no = excluded.no, epoch = excluded.epoch, head = excluded.head, floor = excluded.floor, bytes = excluded.bytes,
		created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at, closed = excluded.closed,
		title = excluded.title, scope = excluded.scope, tags = excluded.tags, meta = excluded.meta, turn = excluded.turn, turn_at = excluded.turn_at,
		turn_seen = excluded.turn_seen, turn_lease = excluded.turn_lease, notable = excluded.notable, waiting = excluded.waiting, open = excluded.open,
		redacted = excluded.redacted, forked_from = excluded.forked_from, forked_after = excluded.forked_after, retention = excluded.retention`,
		c.no, s.ID, s.Epoch, s.Head, s.Floor, s.Bytes, s.CreatedAt.UnixMilli(), s.UpdatedAt.UnixMilli(), deleted, boolean(s.Closed),
		s.Title, s.Scope, string(tags), meta, s.Turn, since(s, s.TurnSince),
		since(s, s.TurnSeen), s.TurnLease.Milliseconds(), s.Notable, int64(len(s.Questions())), openJSON(s), s.Redacted, forkedFrom, forkedAfter, keep)
	return err
}

// turned reports whether more of the session changed than how far it is, which
// is all that most appends change.
func (c *change) turned() bool {
	s, was := &c.state, &c.was
	return s.Turn != was.Turn || s.TurnSince != was.TurnSince || s.TurnLease != was.TurnLease || s.Closed != was.Closed ||
		s.Notable != was.Notable || s.Open != was.Open || s.Redacted != was.Redacted
}

// since is a moment of the open turn as it is stored, 0 without one.
func since(s *store.Session, at time.Time) int64 {
	if s.Turn == "" {
		return 0
	}
	return at.UnixMilli()
}

// openJSON is what the session waits for as it is stored: nil when nothing.
func openJSON(s *store.Session) any {
	if s.Open.Empty() {
		return nil
	}
	text, err := json.Marshal(s.Open)
	if err != nil {
		panic("sqlite: what is open did not encode: " + err.Error()) // strings, times and checked JSON always do
	}
	return string(text)
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
