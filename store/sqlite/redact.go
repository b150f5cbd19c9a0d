package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Redactor = (*Log)(nil)

// idRange is a range of ids whose content was dropped.
type idRange struct{ from, to int64 }

// Redact implements store.Redactor. What a request overwrites beyond
// store.RedactBytesMax goes in further transactions, each whole in itself.
func (l *Log) Redact(ctx context.Context, session string, r store.RedactSpec) (done store.Redacted, err error) {
	if err := store.ValidSessionID(session); err != nil {
		return done, err
	}
	if err := r.Check(); err != nil {
		return done, err
	}
	for part := r; part.From <= r.To && err == nil; {
		err = l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
			part.From, err = t.redact(session, part, &done)
			return err
		})
	}
	if done.Events > 0 { // what is begun is brought to its end, whoever waits for it
		if e := l.redacted(context.WithoutCancel(ctx), session, &done); err == nil {
			err = e
		}
	}
	if err == nil {
		done.Forks, err = l.forksOf(ctx, session, r.From)
	}
	return done, err
}

// redacted does what a redaction leaves to be done outside its transactions:
// it makes again what was derived from the content, takes its words out of the
// search index, and clears what was left of it in pages and in the write-ahead
// log.
func (l *Log) redacted(ctx context.Context, session string, done *store.Redacted) error {
	if _, err := l.Rebuild(ctx, session); err != nil {
		return fmt.Errorf("rebuild %s after a redaction: %w", session, err)
	}
	if err := l.unindex(ctx); err != nil {
		return err
	}
	var pages int64
	err := l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
		pages, err = t.conn.Int(`PRAGMA page_count`)
		return err
	})
	switch {
	case err != nil:
		return err
	case pages > scrubInline:
		done.Pending = true
		l.janitor.wake()
		return nil
	}
	if err := l.scrub(ctx); err != nil {
		return err
	}
	// This runs after the writer has tried to empty the log of what it holds.
	return l.queue.do(ctx, 0, 0, func(t *txn) error {
		done.Pending = t.w.purging
		return nil
	})
}

// redact drops the content of a range, or of as much of it as one transaction
// takes, and returns the id after that.
func (t *txn) redact(session string, r store.RedactSpec, done *store.Redacted) (next int64, err error) {
	c, err := t.session(session)
	if err != nil {
		return 0, err
	}
	if !c.exists {
		return 0, store.ErrNotFound
	}
	from, to, ok, err := r.Within(&c.state)
	if err != nil || !ok {
		return r.To + 1, err
	}
	if c.state.Head > store.IDMax-2 {
		return 0, store.Errorf(store.CodeInvalidEvent, "the session has used up its ids: there is none left to say what was redacted")
	}
	dropped, to, err := t.drop(c, from, to, r.Reason)
	if err != nil || len(dropped) == 0 {
		return to + 1, err
	}
	if _, err := t.conn.Exec(`INSERT OR IGNORE INTO unfolded VALUES (?)`, c.no); err != nil { // if we die before the rebuild
		return 0, err
	}
	if err := t.redactFeed(c, dropped, r.Reason); err != nil {
		return 0, err
	}
	e, err := t.add(c, r.Draft(from, to))
	done.ID, done.Events = e.ID, done.Events+int64(len(dropped))
	return to + 1, err
}

// drop takes the content of a range out of the log, with every copy that hangs
// on it, and returns what went. It stops where one transaction has enough; to
// is then lower than asked for.
func (t *txn) drop(c *change, from, to int64, reason string) (dropped []droppedEvent, last int64, err error) {
	if err := t.flush(); err != nil {
		return nil, to, err
	}
	size := 0
	err = eachDroppable(t.conn, c, from, to, func(d droppedEvent, content int) error {
		if size += content; size > store.RedactBytesMax && len(dropped) > 0 {
			to = d.id - 1
			size -= content
			return sqlite3.ErrStop
		}
		dropped = append(dropped, d)
		return nil
	})
	if err != nil || len(dropped) == 0 {
		return nil, to, err
	}
	for _, d := range dropped {
		var raw any
		if d.content.Raw != nil {
			raw = d.content.Raw[:]
		}
		_, err := t.conn.Exec(`INSERT INTO redactions VALUES (?, ?, ?, ?, ?, ?)`, c.no, d.id, d.content.Data[:], raw, t.now.UnixMilli(), reason)
		if err != nil {
			return nil, to, err
		}
	}
	_, err = t.conn.Exec(`UPDATE events SET data = x'', raw = NULL WHERE session_no = ? AND id BETWEEN ? AND ? AND type <> ?`, c.no, from, to, store.TypeRedacted)
	if err != nil {
		return nil, to, err
	}
	c.state.Bytes -= int64(size)
	c.touched, t.written = true, true
	t.bytes += int64(size) + int64(len(dropped))*pageBytes/8
	c.redacted = append(c.redacted, idRange{from, to})
	redactEvents(c.events, c.redacted)
	c.state.Redact(from, to)
	c.turns = turnFolds{} // they hold the text
	if err := t.dropped(); err != nil {
		return nil, to, err
	}
	return dropped, to, t.forget(c, from, to)
}

// dropped notes that the write-ahead log and unused parts of pages may hold
// what was dropped.
func (t *txn) dropped() error {
	t.purge = true
	t.w.drops++
	_, err := t.conn.Exec(`INSERT OR IGNORE INTO unscrubbed VALUES (1)`)
	return err
}

// forget drops what other tables have taken from the content of a range.
func (t *txn) forget(c *change, from, to int64) error {
	if err := dropFolds(t, c.no, from, to); err != nil {
		return err
	}
	if err := t.unreferBlobs(c.no, from, to); err != nil {
		return err
	}
	if store.OwnSession(c.state.ID) { // of which nothing else is kept
		return nil
	}
	if err := t.forgetDocs(c.no, from, to); err != nil {
		return err
	}
	_, err := t.conn.Exec(`DELETE FROM turn_tools WHERE session_no = ?1 AND turn IN
		(SELECT turn FROM events WHERE session_no = ?1 AND id BETWEEN ?2 AND ?3 AND type = ?4)`, c.no, from, to, store.TypeToolStart)
	if err != nil {
		return err
	}
	if err := t.redactTurns(c, from, to); err != nil {
		return err
	}
	return t.redactKontasks(c, from)
}

// redactTurns empties the turns that have an event in a range and began below
// the floor. The rebuild makes the others again from what is left of the log.
func (t *txn) redactTurns(c *change, from, to int64) error {
	var ids []string
	err := t.conn.Query(func(row sqlite3.Row) error {
		ids = append(ids, row.Text(0))
		return nil
	}, `SELECT turn FROM turns WHERE session_no = ? AND first < ? AND turn IN
		(SELECT turn FROM events WHERE session_no = turns.session_no AND id BETWEEN ? AND ?) ORDER BY no`, c.no, c.state.Floor, from, to)
	for _, id := range ids {
		var turn *store.Turn
		if err == nil {
			turn, err = readTurn(t.conn, c.state.ID, c.no, id)
		}
		if err == nil && turn != nil {
			err = t.saveTurn(c, turn.Redact())
		}
	}
	return err
}

// redactKontasks does the same for kontasks of which an event from "from" on
// has said something: which one said what is not known.
func (t *txn) redactKontasks(c *change, from int64) error {
	var all []store.Kontask
	var numbers []int64
	err := t.conn.Query(func(row sqlite3.Row) error {
		all, numbers = append(all, scanKontask(row)), append(numbers, row.Int(0))
		return nil
	}, `SELECT `+kontaskColumns+` FROM kontasks WHERE session_no = ? AND created < ? AND last >= ? ORDER BY no`, c.no, c.state.Floor, from)
	for i := range all {
		if err == nil {
			all[i].Redact()
			err = t.saveKontask(c.no, numbers[i], &all[i])
		}
	}
	return err
}

// droppedEvent is an event whose content went.
type droppedEvent struct {
	id, pos int64
	content store.Content
	feed    []byte // how the data of the feed's event about it begins; nil when it has none
}

// eachDroppable calls f for the events of a range that still have content, in
// order, with the size of that.
func eachDroppable(conn *sqlite3.Conn, c *change, from, to int64, f func(d droppedEvent, size int) error) error {
	return conn.Query(func(row sqlite3.Row) error {
		e := store.Event{Session: c.state.ID, ID: row.Int(0), Type: row.Text(2), Data: row.Bytes(3)}
		if !row.Null(4) {
			e.Raw = append([]byte{}, row.Bytes(4)...)
		}
		if !e.Redactable() {
			return nil
		}
		d := droppedEvent{id: e.ID, pos: row.Int(1), content: store.ContentOf(&e)}
		if _, told := store.FeedDraft(&e); told {
			d.feed = fmt.Appendf(nil, `{"session":"%s","id":%d`, e.Session, e.ID)
		}
		return f(d, len(e.Data)+len(e.Raw))
	}, `SELECT id, pos, type, data, raw FROM events WHERE session_no = ? AND id BETWEEN ? AND ? ORDER BY id`, c.no, from, to)
}

// feedReach is how many rows after an event the feed's event about it stands
// at most. They are stored together.
const feedReach = 4

// redactFeed drops what the feed has copied from dropped events.
func (t *txn) redactFeed(c *change, dropped []droppedEvent, reason string) error {
	if !slices.ContainsFunc(dropped, func(d droppedEvent) bool { return d.feed != nil }) {
		return nil
	}
	feed, err := t.session(store.FeedSession)
	if err != nil || !feed.exists || feed == c {
		return err
	}
	var told []idRange // runs of the feed's ids
	for _, d := range dropped {
		if d.feed == nil {
			continue
		}
		// The plus keeps SQLite from searching the whole feed for it.
		id, err := t.conn.Int(`SELECT id FROM events WHERE pos > ?1 AND pos <= ?1 + ?2 AND +session_no = ?3 AND substr(data, 1, ?4) = ?5 ORDER BY pos LIMIT 1`,
			d.pos, int64(feedReach), feed.no, int64(len(d.feed)), d.feed)
		if err != nil {
			return err
		}
		if id == 0 {
			continue
		}
		if _, _, err := t.drop(feed, id, id, reason); err != nil {
			return err
		}
		if n := len(told); n > 0 && told[n-1].to == id-1 {
			told[n-1].to = id
		} else {
			told = append(told, idRange{id, id})
		}
	}
	for _, s := range told {
		r := store.RedactSpec{Reason: reason}
		if _, err := t.add(feed, r.Draft(s.from, s.to)); err != nil {
			return err
		}
	}
	return nil
}

// forksOf lists the sessions that have inherited an event of this one.
func (l *Log) forksOf(ctx context.Context, session string, id int64) (forks []string, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			forks = append(forks, row.Text(0))
			return nil
		}, `SELECT id FROM sessions WHERE forked_from = ? AND forked_after >= ? AND deleted_at IS NULL ORDER BY id LIMIT ?`, session, id, int64(store.RedactForksMax))
	})
	return forks, err
}

// redactEvents replaces the events of the spans by what is left of them.
func redactEvents(events []store.Event, spans []idRange) {
	for i := range events {
		for _, s := range spans {
			if e := &events[i]; e.ID >= s.from && e.ID <= s.to && e.Redactable() {
				events[i] = e.Redact()
			}
		}
	}
}

// redact drops content from the cache. Readers may hold the array, so the
// events move to a new one. The caller holds s.mu.
func (l *live) redact(s *liveSession, spans []idRange) {
	if len(spans) == 0 || len(s.events) == 0 {
		return
	}
	s.events = slices.Clone(s.events)
	redactEvents(s.events, spans)
	size := int64(0)
	for i := range s.events {
		size += int64(len(s.events[i].JSON()) + len(s.events[i].Raw) + eventOverhead)
	}
	l.bytes += size - s.bytes
	s.bytes = size
}

// purgeEvery is how often the writer tries again to empty the write-ahead log
// of redacted content while somebody reads in it.
const purgeEvery = time.Second

// purge empties the write-ahead log, which still has the pages as they were
// before a redaction. A reader in another process, such as a backup, keeps it
// from happening until it has ended.
func (w *writer) purge() {
	if !w.purging || w.conn == nil || time.Since(w.purgeTried) < purgeEvery {
		return
	}
	w.purgeTried = time.Now()
	if w.restartWAL("TRUNCATE") {
		w.purging = false
		w.purgeTried = time.Time{}
		w.wal = wal{}
	}
}
