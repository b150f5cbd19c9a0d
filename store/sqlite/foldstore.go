package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Bounds of a stored fold. It must fit into a page of a stream, which takes it
// whole or not at all, and pay for the room that it takes.
const (
	foldRowEvents = 256
	foldRowBytes  = 128 << 10
	foldRowSaves  = 64 // events of the log that it stands for, beyond its own
	foldTries     = 3  // when folds are dropped meanwhile
)

// storeFold folds the events from from to to and stores that for the readers
// to come. It is meant for turns that have ended and runs beside appends and
// reads; what it does not store is folded whenever it is read.
func (l *Log) storeFold(ctx context.Context, session string, from, to int64) error {
	if to-from < foldRowSaves {
		return nil
	}
	var err error
	for range foldTries {
		if from, err = l.storeFolds(ctx, session, from, to); !errors.Is(err, errFoldStale) {
			break
		}
	}
	if errors.Is(err, errFoldStale) || errors.Is(err, store.ErrNotFound) {
		return nil // a fold that is not stored costs a reader a moment
	}
	if err != nil {
		return fmt.Errorf("store the fold of %s from event %d: %w", session, from, err)
	}
	return nil
}

// errFoldStale means that folds were dropped while one was made, which may be
// of events whose content is gone by now.
var errFoldStale = errors.New("the log changed while it was folded")

// storeFolds stores fold after fold and returns the first id that is left.
func (l *Log) storeFolds(ctx context.Context, session string, from, to int64) (left int64, err error) {
	var made foldRow
	err = l.queue.do(ctx, 0, 0, func(t *txn) error { // whatever was dropped before is out of the log when this returns
		c, err := t.session(session)
		if err != nil {
			return err
		}
		if !c.exists {
			return store.ErrNotFound
		}
		made.no, made.drops = c.no, t.w.foldDrops
		from, to = max(from, c.state.Floor), min(to, c.state.Head)
		return nil
	})
	for err == nil && from <= to {
		if err = l.makeFold(ctx, session, &made, from, to); err != nil {
			break
		}
		if made.saves >= foldRowSaves {
			stale := false
			err = l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
				stale, err = t.addFold(session, &made)
				return err
			})
			if stale {
				err = errFoldStale
			}
		}
		if err == nil {
			from = made.last + 1
		}
	}
	return from, err
}

// foldRow is a row of folds, and what has to be so still when it is stored.
type foldRow struct {
	no, drops, first, last, saves int64
	events, bytes                 int64
	data                          []byte
}

// makeFold folds as much from from on as one row takes.
func (l *Log) makeFold(ctx context.Context, session string, row *foldRow, from, to int64) error {
	f := store.NewFolder(store.Query{Limit: store.Limit{Events: foldRowEvents, Bytes: foldRowBytes}})
	err := l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(r sqlite3.Row) error {
			if !f.Add(scanUnsealed(session, r)) {
				return sqlite3.ErrStop
			}
			return nil
		}, pageForward, int64(0), row.no, from, to, int64(store.FoldEventsMax))
	})
	if err != nil {
		return err
	}
	if f.Len() == 0 {
		return errFoldStale
	}
	folded := f.Events()
	row.first, row.last = from, folded[len(folded)-1].ID
	if row.last-row.first+1 != int64(f.Len()) {
		return errFoldStale // the floor rose over its first events
	}
	row.events, row.bytes, row.saves = int64(len(folded)), 0, int64(f.Len()-len(folded))
	for i := range folded {
		row.bytes += int64(folded[i].WireSize(false))
	}
	row.data = encodeFold(folded, from)
	return nil
}

// addFold stores a fold, unless something was dropped since it was begun.
func (t *txn) addFold(session string, row *foldRow) (stale bool, err error) {
	c, err := t.session(session)
	if err != nil {
		return false, err
	}
	if !c.exists || c.no != row.no || t.w.foldDrops != row.drops || row.first < c.state.Floor {
		return true, nil
	}
	if _, err := t.conn.Exec(deleteFolds, c.no, row.first, row.last); err != nil {
		return false, err
	}
	t.written = true
	t.bytes += int64(len(row.data))
	_, err = t.conn.Exec(`INSERT INTO folds VALUES `+placeholders(1, 6), c.no, row.first, row.last, row.events, row.bytes, row.data)
	return false, err
}

const deleteFolds = `DELETE FROM folds WHERE session_no = ?1 AND first <= ?3 AND last >= ?2`

// dropFolds drops the stored folds that hold anything of the events from from
// to to, in the transaction in which those go or change.
func dropFolds(t *txn, no, from, to int64) error {
	t.w.foldDrops++
	n, err := t.conn.Exec(deleteFolds, no, from, to)
	if n > 0 {
		t.written = true
		t.bytes += n * pageBytes
	}
	return err
}

// foldFormat is the first byte of a stored fold. A fold in a form that is not
// known is made anew from the log.
const foldFormat = 1

// encodeFold packs events whose first is not below first. The session is that
// of the row.
func encodeFold(events []store.Event, first int64) []byte {
	b, id, ms := []byte{foldFormat}, first, int64(0)
	for i := range events {
		e := &events[i]
		from := e.ID
		if e.From != 0 {
			from = e.From
		}
		b = binary.AppendUvarint(b, uint64(from-id))
		b = binary.AppendUvarint(b, uint64(e.ID-from))
		b = binary.AppendVarint(b, e.Time.UnixMilli()-ms)
		b = appendBytes(b, e.Type)
		b = appendBytes(b, e.Turn)
		b = appendBytes(b, e.Parent)
		b = appendBytes(b, string(e.Data))
		id, ms = e.ID, e.Time.UnixMilli()
	}
	return b
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errFoldDamaged = errors.New("a stored fold is damaged")

// decodeFold is the inverse of encodeFold for the row from first to last. It
// takes any bytes.
func decodeFold(b []byte, session string, first, last int64) (events []store.Event, err error) {
	if len(b) == 0 || b[0] != foldFormat {
		return nil, errFoldDamaged
	}
	d := foldDecoder{b: b[1:]}
	id, ms := first, int64(0)
	for len(d.b) > 0 && !d.bad {
		from := id + d.step(last)
		e := store.Event{Session: session, ID: from + d.step(last)}
		if e.ID != from {
			e.From = from
		}
		ms += d.varint()
		e.Time, e.Type, e.Turn, e.Parent, e.Data = millis(ms), d.text(), d.text(), d.text(), d.bytes()
		if e.ID > last || len(events) > 0 && from <= id {
			return nil, errFoldDamaged
		}
		id = e.ID
		e.Seal() // takes Data out of SQLite's memory
		events = append(events, e)
	}
	if d.bad || len(events) == 0 || id != last {
		return nil, errFoldDamaged
	}
	return events, nil
}

type foldDecoder struct {
	b   []byte
	bad bool
}

// step reads a distance between ids, which cannot be more than max.
func (d *foldDecoder) step(max int64) int64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64(max) {
		d.bad, n, v = true, 0, 0
	}
	d.b = d.b[n:]
	return int64(v)
}

func (d *foldDecoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, n = true, 0
	}
	d.b = d.b[n:]
	return v
}

func (d *foldDecoder) bytes() []byte {
	size, n := binary.Uvarint(d.b)
	if n <= 0 || size > uint64(len(d.b)-n) {
		d.bad = true
		return nil
	}
	v := d.b[n : n+int(size)]
	d.b = d.b[n+int(size):]
	return v
}

func (d *foldDecoder) text() string { return string(d.bytes()) }
