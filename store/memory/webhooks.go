package memory

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

var _ store.Webhooks = (*Log)(nil)

// webhooks are kept in the order of their creation.
type webhooks []store.Webhook

// one returns the webhook to be changed in place.
func (w webhooks) one(id string) (*store.Webhook, error) {
	i := slices.IndexFunc(w, func(h store.Webhook) bool { return h.ID == id })
	if i < 0 {
		return nil, store.ErrNoWebhook
	}
	return &w[i], nil
}

// share returns a copy of which the caller may change everything.
func share(w store.Webhook) store.Webhook {
	w.Types, w.Sessions = slices.Clone(w.Types), slices.Clone(w.Sessions)
	return w
}

// keepWebhooks runs f alone. Webhooks are not announced: there is nothing to read.
func (l *Log) keepWebhooks(ctx context.Context, f func() error) error {
	return l.change(ctx, "", func() (int64, error) { return unchanged, f() })
}

// CreateWebhook implements store.Webhooks.
func (l *Log) CreateWebhook(ctx context.Context, spec store.WebhookSpec) (w store.Webhook, err error) {
	if spec, err = spec.Complete(); err != nil {
		return w, err
	}
	err = l.keepWebhooks(ctx, func() error {
		if len(l.webhooks) >= store.WebhooksMax {
			return store.Errorf(store.CodeWebhooksFull, "there are %d webhooks already, which is the limit; remove one", store.WebhooksMax)
		}
		now := l.now()
		w = store.Webhook{ID: uuid.NewString(), WebhookSpec: spec, CreatedAt: now, UpdatedAt: now}
		if feed := l.sessions[store.FeedSession]; feed != nil {
			w.Cursor = feed.Head
		}
		l.webhooks = append(l.webhooks, share(w))
		return nil
	})
	return w, err
}

// Webhook implements store.Webhooks.
func (l *Log) Webhook(ctx context.Context, id string) (w store.Webhook, err error) {
	err = l.look(ctx, func() error {
		kept, err := l.webhooks.one(id)
		if err == nil {
			w = share(*kept)
		}
		return err
	})
	return w, err
}

// ListWebhooks implements store.Webhooks.
func (l *Log) ListWebhooks(ctx context.Context) (all []store.Webhook, err error) {
	err = l.look(ctx, func() error {
		for _, w := range l.webhooks {
			all = append(all, share(w))
		}
		return nil
	})
	return all, err
}

// UpdateWebhook implements store.Webhooks.
func (l *Log) UpdateWebhook(ctx context.Context, id string, patch store.WebhookPatch) (w store.Webhook, err error) {
	err = l.keepWebhooks(ctx, func() error {
		kept, err := l.webhooks.one(id)
		if err != nil {
			return err
		}
		changed, err := patch.Apply(*kept)
		if err != nil {
			return err
		}
		changed.UpdatedAt = l.now()
		*kept = changed
		w = share(changed)
		return nil
	})
	return w, err
}

// DeleteWebhook implements store.Webhooks.
func (l *Log) DeleteWebhook(ctx context.Context, id string) error {
	return l.keepWebhooks(ctx, func() error {
		if _, err := l.webhooks.one(id); err != nil {
			return err
		}
		l.webhooks = slices.DeleteFunc(l.webhooks, func(w store.Webhook) bool { return w.ID == id })
		return nil
	})
}

// AdvanceWebhook implements store.Webhooks.
func (l *Log) AdvanceWebhook(ctx context.Context, id string, cursor int64, o store.WebhookOutcome) (w store.Webhook, err error) {
	err = l.keepWebhooks(ctx, func() error {
		kept, err := l.webhooks.one(id)
		if err != nil {
			return err
		}
		kept.Settle(cursor, o)
		w = share(*kept)
		return nil
	})
	return w, err
}
