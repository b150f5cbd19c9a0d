package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Sealer = (*Log)(nil)

// Bounds of what is hashed in one read transaction: a long one would keep the
// write-ahead log from beginning anew.
const (
	sealPageEvents = 1000
	sealPageBytes  = 4 << 20
)

// seal brings the hash chain of a session up to an event, in seals of at most
// store.SealEventsMax. It is called off the path of appends, by one goroutine
// as a rule; if two do it for one session, the second one's seal is dropped.
func (l *Log) seal(ctx context.Context, session string, to int64) error {
	for tried := int64(0); ; {
		s, err := l.hash(ctx, session, to)
		if errors.Is(err, errTaken) && s.First != tried { // retention was faster: begin at what is left
			tried = s.First
			continue
		}
		if errors.Is(err, store.ErrNotFound) || err == nil && s.Last == 0 {
			return nil
		}
		if err == nil {
			err = l.queue.do(ctx, 0, 0, func(t *txn) error { return t.seal(s) })
		}
		if err != nil {
			return fmt.Errorf("seal %s: %w", session, err)
		}
	}
}

// numberedSeal is a seal of the session that has a number.
type numberedSeal struct {
	store.Seal
	no int64
}

// errTaken means that events are not there which the floor says are: retention
// took them a moment ago, or the log has a hole.
var errTaken = errors.New("events to seal are not there")

// hash computes the next seal; its Last is 0 when there is none to make.
func (l *Log) hash(ctx context.Context, session string, to int64) (s numberedSeal, err error) {
	var chain store.Chain
	next, end := int64(0), int64(-1)
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		known, no, err := readSession(c, session)
		if err != nil {
			return err
		}
		last, err := lastSeal(c, no)
		chain.Hash = last.Hash
		next = max(last.Last+1, known.Floor)
		end = min(to, known.Head, next+store.SealEventsMax-1)
		s.no, s.First = no, next
		return err
	})
	for err == nil && next <= end {
		err = l.withReader(ctx, func(c *sqlite3.Conn) error {
			next, err = hashPage(c, s.no, next, end, &chain)
			return err
		})
	}
	if s.First <= end {
		s.Last, s.Hash = end, chain.Hash
	}
	return s, err
}

// lastSeal returns the newest seal of a session, the zero value without one.
func lastSeal(c *sqlite3.Conn, no int64) (s store.Seal, err error) {
	err = c.Query(func(row sqlite3.Row) error {
		s = scanSeal(row)
		return sqlite3.ErrStop
	}, `SELECT `+sealColumns+` FROM seals WHERE session_no = ? ORDER BY last DESC LIMIT 1`, no)
	return s, err
}

const sealColumns = `first, last, hash, sealed_at`

// scanSeal reads a row of sealColumns.
func scanSeal(row sqlite3.Row) store.Seal {
	s := store.Seal{First: row.Int(0), Last: row.Int(1), SealedAt: millis(row.Int(3))}
	copy(s.Hash[:], row.Bytes(2))
	return s
}

// hashPage adds a page of the events from next to end to the chain and returns
// the one after it.
func hashPage(c *sqlite3.Conn, no, next, end int64, chain *store.Chain) (int64, error) {
	bytes := 0
	err := eachLeaf(c, no, next, min(end, next+sealPageEvents-1), func(l *leaf) error {
		if l.event.ID != next {
			return errTaken
		}
		chain.Add(l.hash())
		next++
		if bytes += l.event.Size(); bytes >= sealPageBytes {
			return sqlite3.ErrStop
		}
		return nil
	})
	if err == nil && bytes == 0 {
		err = errTaken // not one row of a page that was there
	}
	return next, err
}

// leaf is an event as the chain needs it. What it holds is valid only inside
// the function that it was given to.
type leaf struct {
	event    store.Event
	redacted bool
	content  store.Content // of a redacted event
}

func (l *leaf) hash() store.Hash {
	if l.redacted {
		return l.content.Leaf(&l.event)
	}
	return l.event.Leaf()
}

// eachLeaf calls f for the events of a range, in order.
func eachLeaf(c *sqlite3.Conn, no, from, to int64, f func(*leaf) error) error {
	return c.Query(func(row sqlite3.Row) error {
		l := leaf{event: store.Event{ID: row.Int(0), Time: millis(row.Int(1)), Type: row.Text(2), Turn: row.Text(3), Parent: row.Text(4), Data: row.Bytes(5)}}
		if !row.Null(6) {
			l.event.Raw = row.Bytes(6)
			if l.event.Raw == nil { // SQLite has no address for an empty one
				l.event.Raw = []byte{}
			}
		}
		if l.redacted = !row.Null(7); l.redacted {
			copy(l.content.Data[:], row.Bytes(7))
			if !row.Null(8) {
				l.content.Raw = new(store.Hash)
				copy(l.content.Raw[:], row.Bytes(8))
			}
		}
		return f(&l)
	}, `SELECT e.id, e.time, e.type, e.turn, e.parent, e.data, e.raw, r.data_hash, r.raw_hash
		FROM events AS e LEFT JOIN redactions AS r ON r.session_no = e.session_no AND r.id = e.id
		WHERE e.session_no = ? AND e.id BETWEEN ? AND ? ORDER BY e.id`, no, from, to)
}

// seal keeps a seal, unless the session is gone or somebody else was faster.
func (t *txn) seal(s numberedSeal) error {
	t.written = true
	t.bytes += pageBytes
	_, err := t.conn.Exec(`INSERT INTO seals (session_no, `+sealColumns+`) SELECT ?1, ?2, ?3, ?4, ?5
		WHERE EXISTS (SELECT 1 FROM sessions WHERE no = ?1 AND deleted_at IS NULL)
		AND NOT EXISTS (SELECT 1 FROM seals WHERE session_no = ?1 AND last >= ?2)`,
		s.no, s.First, s.Last, s.Hash[:], t.now.UnixMilli())
	return err
}

// Seals implements store.Sealer.
func (l *Log) Seals(ctx context.Context, session string, after int64, limit int) (page store.SealPage, err error) {
	if limit <= 0 {
		limit = store.SealsPageDefault
	}
	limit = min(limit, store.SealsPageMax)
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		s, no, err := readSession(c, session)
		if err != nil {
			return err
		}
		page.Session = l.shown(s)
		return c.Query(func(row sqlite3.Row) error {
			if len(page.Seals) == limit {
				page.Next = page.Seals[limit-1].Last
				return sqlite3.ErrStop
			}
			page.Seals = append(page.Seals, scanSeal(row))
			return nil
		}, `SELECT `+sealColumns+` FROM seals WHERE session_no = ? AND last > ? ORDER BY last LIMIT ?`, no, after, int64(limit)+1)
	})
	return page, err
}

// sealLong seals what no turn's end does: a session that is closed, and long
// stretches.
func (d *deriver) sealLong(ctx context.Context, p *derivation, e *store.Event) error {
	if e.Type != store.TypeSessionClosed && e.ID%store.SealEventsMax != 0 {
		return nil
	}
	err := d.l.seal(ctx, p.session, e.ID)
	if err == nil || ctx.Err() != nil || passing(err) {
		return err
	}
	d.l.options.Logger.Warn("sealing failed", "session", p.session, "id", e.ID, "err", err)
	return nil
}
