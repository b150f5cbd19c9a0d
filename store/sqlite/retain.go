package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// retainChunk is how many events one transaction of the retention removes, so
// that appends wait for a few milliseconds at most.
const retainChunk = 500

// vacuumPages is how many free pages one transaction gives back to the disk.
const vacuumPages = 256

// Retain implements store.Retainer.
func (l *Log) Retain(ctx context.Context, r store.Retention, scopes ...store.ScopeRetention) (removed int64, err error) {
	ids, err := l.retainable(ctx, r, scopes)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		for {
			n, err := l.retainSome(ctx, id, r, scopes)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("retain %s: %w", id, err)
			}
			l.measures.retained.Add(n)
			if n < retainChunk {
				break
			}
		}
	}
	if removed == 0 {
		return 0, nil
	}
	return removed, l.vacuum(ctx)
}

// retainable lists the sessions that may hold something to remove.
func (l *Log) retainable(ctx context.Context, r store.Retention, scopes []store.ScopeRetention) (ids []string, err error) {
	now := l.options.Now()
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			s := store.Session{ID: row.Text(0), Scope: row.Text(1), Head: row.Int(2), Floor: row.Int(3), Bytes: row.Int(4), Retention: scanKeep(row.Bytes(5))}
			own := r.For(&s, scopes)
			over := own.Events > 0 && s.Head-s.Floor+1 > own.Events || own.Bytes > 0 && s.Bytes > own.Bytes
			if over || own.Age > 0 && !row.Null(6) && millis(row.Int(6)).Before(now.Add(-own.Age)) {
				ids = append(ids, s.ID)
			}
			return nil
		}, `SELECT id, scope, head, floor, bytes, retention, (SELECT time FROM events WHERE session_no = s.no AND events.id = s.floor)
			FROM sessions AS s WHERE deleted_at IS NULL AND floor <= head ORDER BY no`)
	})
	return ids, err
}

// retainSome raises the floor of one session over at most retainChunk events.
func (l *Log) retainSome(ctx context.Context, id string, all store.Retention, scopes []store.ScopeRetention) (removed int64, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(id)
		if err != nil || !c.exists {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		r, cutoff := all.For(&c.state, scopes), time.Time{}
		if r.Age > 0 {
			cutoff = t.now.Add(-r.Age)
		}
		s := &c.state
		floor := s.Floor
		err = t.conn.Query(func(row sqlite3.Row) error {
			over := r.Events > 0 && s.Head-s.Floor+1 > r.Events || r.Bytes > 0 && s.Bytes > r.Bytes || millis(row.Int(2)).Before(cutoff)
			if !over {
				return sqlite3.ErrStop
			}
			s.Floor++
			s.Bytes -= row.Int(1)
			t.bytes += row.Int(1)
			return nil
		}, `SELECT id, `+eventSize+`, time FROM events WHERE session_no = ? AND id >= ? ORDER BY id LIMIT ?`, c.no, floor, int64(retainChunk))
		if err != nil || s.Floor == floor {
			return err
		}
		c.touched, t.written = true, true
		if err := t.keepTurns(c, s.Floor-1); err != nil {
			return err
		}
		if err := dropFolds(t, c.no, 0, s.Floor-1); err != nil {
			return err
		}
		if err := t.unreferBlobs(c.no, floor, s.Floor-1); err != nil {
			return err
		}
		removed, err = t.conn.Exec(`DELETE FROM events WHERE session_no = ? AND id BETWEEN ? AND ?`, c.no, floor, s.Floor-1)
		return err
	})
	return removed, err
}

// eventSize is Draft.Size in SQL.
const eventSize = `octet_length(type) + ifnull(octet_length(turn), 0) + ifnull(octet_length(parent), 0) + length(data) + ifnull(length(raw), 0)`

// vacuum gives free pages back to the disk, a few per transaction, until none
// is left or SQLite can give back no more.
func (l *Log) vacuum(ctx context.Context) error {
	select {
	case l.pages <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.pages }()
	for before := int64(math.MaxInt64); ; {
		var left int64
		err := l.queue.do(ctx, 0, 0, func(t *txn) error {
			if _, err := t.conn.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)); err != nil {
				return err
			}
			t.written = true
			t.bytes += vacuumPages * pageBytes
			var err error
			left, err = t.conn.Int("PRAGMA freelist_count")
			return err
		})
		if err != nil || left == 0 || left >= before {
			return err
		}
		before = left
	}
}
