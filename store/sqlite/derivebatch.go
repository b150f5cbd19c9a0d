package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// deriveBatch is what the next operation of the derive loop writes.
type deriveBatch struct {
	places []*derivation
	docs   int
	bytes  int
}

func (b *deriveBatch) add(p *derivation) {
	if !p.batched {
		p.batched = true
		b.places = append(b.places, p)
	}
}

func (b *deriveBatch) remove(p *derivation) {
	if !p.batched {
		return
	}
	b.places = slices.DeleteFunc(b.places, func(q *derivation) bool { return q == p })
	for i := range p.docs {
		b.docs--
		b.bytes -= len(p.docs[i].Text)
	}
	p.batched, p.docs = false, nil
}

// drop forgets every session of the batch.
func (b *deriveBatch) drop(d *deriver) {
	for len(b.places) > 0 {
		d.forget(b.places[0])
	}
}

// flush writes the batch. A session whose documents are void by now is left
// to the next round, which begins anew where the table says.
func (d *deriver) flush(ctx context.Context) error {
	if len(d.batch.places) == 0 {
		return nil
	}
	var took time.Duration
	commits := d.l.health.commits.Load()
	err := d.l.queue.do(ctx, 0, 0, func(t *txn) error {
		began := time.Now()
		err := t.apart(func() error { return t.saveDerived(d.batch.places) })
		took = time.Since(began)
		return err
	})
	if err != nil {
		return err
	}
	batch := d.batch.places
	d.batch = deriveBatch{}
	for _, p := range batch {
		p.batched, p.docs, p.saved = false, nil, p.done
		if p.void {
			d.forget(p)
			d.rest = append(d.rest, p.session)
		}
	}
	if waiting, _ := d.l.queue.depth(); waiting > 0 || d.l.health.commits.Load()-commits > 1 {
		d.wait(ctx, deriveYield*took)
	}
	return nil
}

// apart runs f so that damage of the search index stays its own affair: what f
// did is taken back, and the rest of the transaction is as it was.
func (t *txn) apart(f func() error) error {
	if _, err := t.conn.Exec("SAVEPOINT derived"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = t.flushIndex()
	}
	if corrupt(err) {
		if _, undo := t.conn.Exec("ROLLBACK TO derived"); undo != nil {
			return undo
		}
		err = store.Because(store.CodeCorrupt, err, "the search index is damaged; run konlog verify")
	}
	if _, release := t.conn.Exec("RELEASE derived"); release != nil {
		return release
	}
	return err
}

// flushIndex makes FTS5 write what it has gathered, which it does when a
// savepoint begins.
func (t *txn) flushIndex() error {
	if _, err := t.conn.Exec("SAVEPOINT gathered"); err != nil {
		return err
	}
	_, err := t.conn.Exec("RELEASE gathered")
	return err
}

// saveDerived writes documents and places.
func (t *txn) saveDerived(places []*derivation) error {
	for _, p := range places {
		no, floor, err := t.numbered(p.session)
		if err != nil {
			return err
		}
		generation, err := t.conn.Int(`SELECT generation FROM derived WHERE session_no = ?`, p.no)
		if err != nil {
			return err
		}
		if p.void = no != p.no || generation != p.generation; p.void {
			continue
		}
		for i := range p.docs {
			if d := &p.docs[i]; d.ID >= floor {
				if err := t.insertDoc(no, d); err != nil {
					return err
				}
			}
		}
		var state any
		if s := p.extractor.State(); s != nil {
			state = s
			t.bytes += int64(len(s))
		}
		t.written = true
		t.bytes += pageBytes
		_, err = t.conn.Exec(`INSERT INTO derived VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
			id = excluded.id, ended = excluded.ended, state = excluded.state`, no, p.done, p.ended, p.generation, state)
		if err != nil {
			return err
		}
	}
	return nil
}

// numbered returns a session's number and floor as they are in this
// transaction, without keeping the session in memory; 0 when there is none.
func (t *txn) numbered(session string) (no, floor int64, err error) {
	l := t.w.log.live.get(session)
	c := t.loaded[session]
	if l != nil && l.change != nil {
		c = l.change
	}
	switch {
	case c != nil && !c.exists:
		return 0, 0, nil
	case c != nil:
		return c.no, c.state.Floor, nil
	case l != nil:
		return l.no, l.state.Floor, nil
	}
	err = t.conn.Query(func(row sqlite3.Row) error {
		no, floor = row.Int(0), row.Int(1)
		return sqlite3.ErrStop
	}, `SELECT no, floor FROM sessions WHERE id = ? AND deleted_at IS NULL`, session)
	return no, floor, err
}

// place returns how far the loop has come in a session; nil when there is no
// such session.
func (d *deriver) place(ctx context.Context, session string) (*derivation, error) {
	if p := d.known[session]; p != nil {
		return p, nil
	}
	p := &derivation{session: session}
	err := d.l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) (err error) {
			p.no, p.epoch, p.done, p.ended, p.generation = row.Int(0), row.Text(1), row.Int(2), row.Int(3), row.Int(4)
			if row.Int(6) == 0 {
				p.floor = row.Int(7)
			}
			p.extractor, err = store.NewExtractor(row.Bytes(5))
			return err
		}, `SELECT s.no, s.epoch, ifnull(d.id, s.floor - 1), ifnull(d.ended, s.floor - 1), ifnull(d.generation, 0), d.state,
			EXISTS (SELECT 1 FROM docs WHERE session_no = s.no AND docs.id < s.floor), s.floor
			FROM sessions AS s LEFT JOIN derived AS d ON d.session_no = s.no WHERE s.id = ? AND s.deleted_at IS NULL`, session)
	})
	if err != nil || p.no == 0 {
		return nil, err
	}
	p.saved = p.done
	d.known[session] = p
	d.held += p.extractor.Size()
	return p, nil
}

// scan finds the next sessions with events that were not gone through, or with
// documents below the floor. At the end scanned is -1.
func (d *deriver) scan(ctx context.Context) (found []string, err error) {
	last := int64(-1)
	err = d.l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			if last = row.Int(0); row.Int(2) != 0 {
				found = append(found, row.Text(1))
			}
			return nil
		}, `SELECT s.no, s.id, substr(s.id, 1, 1) <> '_' AND (s.head > max(ifnull(d.id, 0), s.floor - 1)
				OR EXISTS (SELECT 1 FROM docs WHERE session_no = s.no AND docs.id < s.floor))
			FROM sessions AS s LEFT JOIN derived AS d ON d.session_no = s.no
			WHERE s.no > ? AND s.deleted_at IS NULL ORDER BY s.no LIMIT ?`, d.scanned, int64(deriveScanPage))
	})
	if err == nil {
		d.scanned = last
	}
	return found, err
}

// trim removes the documents of events that retention has taken.
func (d *deriver) trim(ctx context.Context, p *derivation, floor int64) error {
	for {
		removed := 0
		err := d.l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
			removed, err = t.dropDocs(p.no, floor)
			return err
		})
		if err != nil {
			return err
		}
		if removed == 0 {
			p.floor = floor
			return nil
		}
	}
}
