package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// expireChunk is how many turns one transaction ends.
const expireChunk = 256

// leaseRetry is how long the keeper of leases rests after a transaction of its
// own failed, such as on a full disk.
const leaseRetry = 5 * time.Second

// leases ends the turns whose producer fell silent. One goroutine waits for
// the next deadline; a renewed lease only lets it wake for nothing.
type leases struct {
	cancel context.CancelFunc
	asked  chan struct{} // capacity 1: a lease has begun; made before the writer, which sends
	ended  chan struct{}
}

func (k *leases) start(l *Log, next time.Time) {
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	k.ended = make(chan struct{})
	go func() {
		defer close(k.ended)
		if l.options.LeasesByHand {
			<-ctx.Done()
			return
		}
		for {
			var due <-chan time.Time // nil, and so silent, without a lease
			if !next.IsZero() {
				due = time.After(next.Sub(l.options.Now()))
			}
			select {
			case <-ctx.Done():
				return
			case <-k.asked:
			case <-due:
			}
			_, at, err := l.ExpireTurns(ctx)
			if next = at; err != nil {
				if ctx.Err() == nil && !errors.Is(err, store.ErrShutdown) {
					l.options.Logger.Warn("ending silent turns failed", "err", err)
				}
				next = l.options.Now().Add(leaseRetry)
			}
		}
	}()
}

func (k *leases) wake() {
	select {
	case k.asked <- struct{}{}:
	default:
	}
}

func (k *leases) stop() {
	k.cancel()
	<-k.ended
}

// ExpireTurns implements store.Leaser.
func (l *Log) ExpireTurns(ctx context.Context) (ended int, next time.Time, err error) {
	now := l.options.Now()
	var silent []string
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			if deadline := millis(row.Int(1)); deadline.After(now) {
				next = deadline
				return sqlite3.ErrStop
			}
			silent = append(silent, row.Text(0))
			return nil
		}, `SELECT id, turn_seen + turn_lease FROM sessions INDEXED BY sessions_leased WHERE turn_lease > 0 AND deleted_at IS NULL ORDER BY 2, no`)
	})
	for err == nil && len(silent) > 0 {
		n := min(expireChunk, len(silent))
		chunk := silent[:n]
		silent = silent[n:]
		err = l.queue.do(ctx, 0, 0, func(t *txn) error {
			for _, id := range chunk {
				deadline, err := t.expire(id, &ended)
				if err != nil {
					return err
				}
				if !deadline.IsZero() && (next.IsZero() || deadline.Before(next)) {
					next = deadline
				}
			}
			return nil
		})
	}
	return ended, next, err
}

// expire ends the open turn of a session if its lease has passed. It may not
// have, because an append came first: then it returns when it will.
func (t *txn) expire(id string, ended *int) (deadline time.Time, err error) {
	c, err := t.session(id)
	if err != nil || !c.exists {
		return deadline, err
	}
	if deadline := c.state.Deadline(); deadline.IsZero() || deadline.After(t.now) {
		return deadline, nil
	}
	*ended++
	_, err = t.add(c, store.TurnEndDraft(c.state.Turn, store.ReasonAbandoned))
	return time.Time{}, err
}

// TouchTurn implements store.Leaser.
func (l *Log) TouchTurn(ctx context.Context, session, turn string) (deadline time.Time, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session(session)
		switch {
		case err != nil:
			return err
		case !c.exists:
			return store.ErrNotFound
		}
		if c.state.Turn != turn {
			return t.notOpen(c, turn)
		}
		if !t.now.Equal(c.state.TurnSeen) {
			c.state.TurnSeen = t.now
			c.touched, t.written = true, true
		}
		deadline = c.state.Deadline()
		return nil
	})
	return deadline, err
}

// notOpen says why a turn cannot be touched.
func (t *txn) notOpen(c *change, turn string) error {
	_, ended, err := past{t, c}.TurnEnd(turn)
	switch {
	case err != nil:
		return err
	case ended:
		return store.Errorf(store.CodeTurnEnded, "turn %.100q has ended", turn)
	}
	return store.Errorf(store.CodeNoTurn, "turn %.100q is not open in this session", turn)
}
