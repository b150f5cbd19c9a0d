package sqlite

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// janitorRetry is how long the janitor rests after a transaction of its own
// failed, such as on a full disk.
const janitorRetry = 10 * time.Second

// janitor removes the rows of deleted sessions, and what is left of redacted
// content, in the background.
type janitor struct {
	cancel context.CancelFunc
	asked  chan struct{} // capacity 1: there is garbage
	ended  chan struct{}
}

func (j *janitor) start(l *Log) {
	var ctx context.Context
	ctx, j.cancel = context.WithCancel(context.Background())
	j.asked, j.ended = make(chan struct{}, 1), make(chan struct{})
	j.wake() // what an earlier process left behind
	go func() {
		defer close(j.ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-j.asked:
			}
			err := l.sweep(ctx)
			if err == nil {
				err = l.scrub(ctx)
			}
			if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrShutdown) {
				continue
			}
			l.options.Logger.Warn("removing what was deleted or redacted failed", "err", err)
			j.wake()
			select {
			case <-ctx.Done():
			case <-time.After(janitorRetry):
			}
		}
	}()
}

func (j *janitor) wake() {
	select {
	case j.asked <- struct{}{}:
	default:
	}
}

func (j *janitor) stop() {
	j.cancel()
	<-j.ended
}

// sweep removes all garbage, a chunk per transaction.
func (l *Log) sweep(ctx context.Context) error {
	swept, err := l.sweepUploads(ctx)
	if err != nil {
		return err
	}
	for {
		more := false
		err := l.queue.do(ctx, 0, 0, func(t *txn) error {
			var no int64
			err := t.conn.Query(func(row sqlite3.Row) error {
				if l.copies.held(row.Int(0)) {
					return nil
				}
				no = row.Int(0)
				return sqlite3.ErrStop
			}, `SELECT session_no FROM garbage ORDER BY session_no`)
			if err != nil || no == 0 {
				return err
			}
			more, t.written = true, true
			return t.sweep(no)
		})
		if err != nil {
			return err
		}
		if !more {
			break
		}
		swept = true
	}
	if !swept {
		return nil
	}
	return l.vacuum(ctx)
}

// sweep removes a chunk of the rows of a session number, and the number itself
// when nothing hangs on it any more.
func (t *txn) sweep(no int64) error {
	if err := t.flush(); err != nil {
		return err
	}
	if n, err := t.dropDocs(no, math.MaxInt64); err != nil || n > 0 {
		return err
	}
	for _, remove := range []string{
		`DELETE FROM events WHERE pos IN (SELECT pos FROM events WHERE session_no = ? ORDER BY id LIMIT ?)`,
		`DELETE FROM event_keys WHERE session_no = ?1 AND key IN (SELECT key FROM event_keys WHERE session_no = ?1 ORDER BY key LIMIT ?2)`,
		`DELETE FROM producers WHERE session_no = ?1 AND producer IN (SELECT producer FROM producers WHERE session_no = ?1 ORDER BY producer LIMIT ?2)`,
		`DELETE FROM blob_refs WHERE session_no = ?1 AND (id, sha256) IN (SELECT id, sha256 FROM blob_refs WHERE session_no = ?1 ORDER BY id, sha256 LIMIT ?2)`,
		`DELETE FROM derived WHERE session_no = ? AND ? > 0`,
		`DELETE FROM unfolded WHERE session_no = ? AND ? > 0`,
		`DELETE FROM turns WHERE no IN (SELECT no FROM turns WHERE session_no = ? LIMIT max(? / 32, 1))`, // they have the text
		`DELETE FROM turn_tools WHERE session_no = ?1 AND (turn, name) IN (SELECT turn, name FROM turn_tools WHERE session_no = ?1 LIMIT ?2)`,
		`DELETE FROM questions WHERE session_no = ?1 AND request_id IN (SELECT request_id FROM questions WHERE session_no = ?1 LIMIT ?2)`,
		`DELETE FROM marks WHERE (subject, session_no) IN (SELECT subject, session_no FROM marks WHERE session_no = ? LIMIT ?)`,
		`DELETE FROM seals WHERE session_no = ?1 AND last IN (SELECT last FROM seals WHERE session_no = ?1 ORDER BY last LIMIT ?2)`,
		`DELETE FROM folds WHERE session_no = ?1 AND first IN (SELECT first FROM folds WHERE session_no = ?1 ORDER BY first LIMIT max(?2 / 32, 1))`, // they are large
		`DELETE FROM redactions WHERE session_no = ?1 AND id IN (SELECT id FROM redactions WHERE session_no = ?1 ORDER BY id LIMIT ?2)`,
	} {
		n, err := t.conn.Exec(remove, no, int64(retainChunk))
		t.bytes += n * pageBytes / 8 // a guess, for the checkpoint
		if err != nil || n > 0 {
			return err
		}
	}
	_, err := t.conn.Exec(`DELETE FROM garbage WHERE session_no = ?`, no)
	return err
}
