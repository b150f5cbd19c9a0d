package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Webhooks = (*Log)(nil)

const (
	webhookColumns = `id, url, types, sessions, secret, paused, created_at, updated_at, cursor, failures, failing_at, next_at, last_at, last_status, last_error, dropped`
	webhookWidth   = 16
)

// scanWebhook reads a row of webhookColumns.
func scanWebhook(row sqlite3.Row) (store.Webhook, error) {
	w := store.Webhook{
		ID:          row.Text(0),
		WebhookSpec: store.WebhookSpec{URL: row.Text(1), Secret: row.Text(4), Paused: row.Int(5) != 0},
		WebhookState: store.WebhookState{
			Cursor: row.Int(8), Failures: row.Int(9), FailingSince: someTime(row.Int(10)), NextAt: someTime(row.Int(11)),
			LastAt: someTime(row.Int(12)), LastStatus: int(row.Int(13)), LastError: row.Text(14), Dropped: row.Int(15),
		},
		CreatedAt: millis(row.Int(6)), UpdatedAt: millis(row.Int(7)),
	}
	err := json.Unmarshal(row.Bytes(2), &w.Types)
	if err == nil {
		err = json.Unmarshal(row.Bytes(3), &w.Sessions)
	}
	if err != nil {
		return w, store.Because(store.CodeCorrupt, fmt.Errorf("webhook %s: %w", w.ID, err), store.ErrCorrupt.Detail)
	}
	return w, nil
}

// someTime reads a time of which 0 means that there is none.
func someTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return millis(ms)
}

// someMillis is the inverse of someTime.
func someMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func readWebhook(c *sqlite3.Conn, id string) (w store.Webhook, err error) {
	err = c.Query(func(row sqlite3.Row) (err error) {
		if w, err = scanWebhook(row); err != nil {
			return err
		}
		return sqlite3.ErrStop
	}, `SELECT `+webhookColumns+` FROM webhooks WHERE id = ?`, id)
	if err == nil && w.ID == "" {
		err = store.ErrNoWebhook
	}
	return w, err
}

// CreateWebhook implements store.Webhooks.
func (l *Log) CreateWebhook(ctx context.Context, spec store.WebhookSpec) (w store.Webhook, err error) {
	if spec, err = spec.Complete(); err != nil {
		return w, err
	}
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		n, err := t.conn.Int(`SELECT count(*) FROM webhooks`)
		if err != nil {
			return err
		}
		if n >= store.WebhooksMax {
			return store.Errorf(store.CodeWebhooksFull, "there are %d webhooks already, which is the limit; remove one", store.WebhooksMax)
		}
		feed, err := t.session(store.FeedSession)
		if err != nil {
			return err
		}
		w = store.Webhook{ID: uuid.NewString(), WebhookSpec: spec, CreatedAt: t.now, UpdatedAt: t.now}
		w.Cursor = feed.state.Head // 0 of one that does not exist yet
		return t.insertWebhook(&w)
	})
	return w, err
}

func (t *txn) insertWebhook(w *store.Webhook) error {
	types, sessions, err := webhookLists(w)
	if err != nil {
		return err
	}
	t.written = true
	_, err = t.conn.Exec(`INSERT INTO webhooks (`+webhookColumns+`) VALUES `+placeholders(1, webhookWidth),
		w.ID, w.URL, types, sessions, w.Secret, boolean(w.Paused), w.CreatedAt.UnixMilli(), w.UpdatedAt.UnixMilli(),
		w.Cursor, w.Failures, someMillis(w.FailingSince), someMillis(w.NextAt), someMillis(w.LastAt), int64(w.LastStatus), w.LastError, w.Dropped)
	return err
}

// saveWebhook writes all that can change.
func (t *txn) saveWebhook(w *store.Webhook) error {
	types, sessions, err := webhookLists(w)
	if err != nil {
		return err
	}
	t.written = true
	_, err = t.conn.Exec(`UPDATE webhooks SET url = ?, types = ?, sessions = ?, secret = ?, paused = ?, updated_at = ?, cursor = ?, failures = ?,
		failing_at = ?, next_at = ?, last_at = ?, last_status = ?, last_error = ?, dropped = ? WHERE id = ?`,
		w.URL, types, sessions, w.Secret, boolean(w.Paused), w.UpdatedAt.UnixMilli(), w.Cursor, w.Failures,
		someMillis(w.FailingSince), someMillis(w.NextAt), someMillis(w.LastAt), int64(w.LastStatus), w.LastError, w.Dropped, w.ID)
	return err
}

func webhookLists(w *store.Webhook) (types, sessions string, err error) {
	t, err := json.Marshal(w.Types)
	if err != nil {
		return "", "", err
	}
	s, err := json.Marshal(w.Sessions)
	return string(t), string(s), err
}

// Webhook implements store.Webhooks.
func (l *Log) Webhook(ctx context.Context, id string) (w store.Webhook, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) (err error) {
		w, err = readWebhook(c, id)
		return err
	})
	return w, err
}

// ListWebhooks implements store.Webhooks.
func (l *Log) ListWebhooks(ctx context.Context) (all []store.Webhook, err error) {
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			w, err := scanWebhook(row)
			all = append(all, w)
			return err
		}, `SELECT `+webhookColumns+` FROM webhooks ORDER BY no LIMIT ?`, int64(store.WebhooksMax))
	})
	return all, err
}

// UpdateWebhook implements store.Webhooks.
func (l *Log) UpdateWebhook(ctx context.Context, id string, patch store.WebhookPatch) (w store.Webhook, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		old, err := readWebhook(t.conn, id)
		if err != nil {
			return err
		}
		if w, err = patch.Apply(old); err != nil {
			return err
		}
		w.UpdatedAt = t.now
		return t.saveWebhook(&w)
	})
	return w, err
}

// DeleteWebhook implements store.Webhooks.
func (l *Log) DeleteWebhook(ctx context.Context, id string) error {
	return l.queue.do(ctx, 0, 0, func(t *txn) error {
		n, err := t.conn.Exec(`DELETE FROM webhooks WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrNoWebhook
		}
		t.written = true
		return nil
	})
}

// AdvanceWebhook implements store.Webhooks.
func (l *Log) AdvanceWebhook(ctx context.Context, id string, cursor int64, o store.WebhookOutcome) (w store.Webhook, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		if w, err = readWebhook(t.conn, id); err != nil {
			return err
		}
		w.Settle(cursor, o)
		return t.saveWebhook(&w)
	})
	return w, err
}
