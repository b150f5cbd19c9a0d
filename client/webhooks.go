package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/konlog/konlog/store"
)

// webhookWire is a webhook as it stands on the wire.
type webhookWire struct {
	ID           string    `json:"id"`
	URL          string    `json:"url"`
	Types        []string  `json:"types"`
	Sessions     []string  `json:"sessions"`
	Secret       string    `json:"secret"`
	Paused       bool      `json:"paused"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
	Cursor       int64     `json:"cursor"`
	Failures     int64     `json:"failures"`
	FailingSince time.Time `json:"failingSince"`
	NextAt       time.Time `json:"nextAt"`
	LastAt       time.Time `json:"lastAt"`
	LastStatus   int       `json:"lastStatus"`
	LastError    string    `json:"lastError"`
	Dropped      int64     `json:"dropped"`
}

func (w *webhookWire) webhook() store.Webhook {
	return store.Webhook{
		ID:          w.ID,
		WebhookSpec: store.WebhookSpec{URL: w.URL, Types: w.Types, Sessions: w.Sessions, Secret: w.Secret, Paused: w.Paused},
		WebhookState: store.WebhookState{
			Cursor: w.Cursor, Failures: w.Failures, FailingSince: w.FailingSince, NextAt: w.NextAt,
			LastAt: w.LastAt, LastStatus: w.LastStatus, LastError: w.LastError, Dropped: w.Dropped,
		},
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
}

// webhookBody is what a request says of a webhook.
type webhookBody struct {
	URL      *string   `json:"url,omitempty"`
	Types    *[]string `json:"types,omitempty"`
	Sessions *[]string `json:"sessions,omitempty"`
	Secret   *string   `json:"secret,omitempty"`
	Paused   *bool     `json:"paused,omitempty"`
}

// webhookCall makes the request that body goes with; nil for none.
func (c *Client) webhookCall(op, method string, body *webhookBody, segments ...string) (*call, error) {
	r := &call{op: op, method: method, url: c.url(nil, append([]string{"v1", "webhooks"}, segments...)...)}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		r.body, r.header = b, http.Header{"Content-Type": {"application/json"}}
	}
	return r, nil
}

// Webhooks returns all webhooks, the oldest first, without their secrets.
func (c *Client) Webhooks(ctx context.Context) ([]store.Webhook, error) {
	var out struct {
		Webhooks []webhookWire `json:"webhooks"`
	}
	r, err := c.webhookCall("list webhooks", http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	if _, err := c.do(ctx, r, &out); err != nil {
		return nil, err
	}
	all := make([]store.Webhook, 0, len(out.Webhooks))
	for i := range out.Webhooks {
		all = append(all, out.Webhooks[i].webhook())
	}
	return all, nil
}

// Webhook returns one without its secret, or store.ErrNoWebhook.
func (c *Client) Webhook(ctx context.Context, id string) (store.Webhook, error) {
	r, err := c.webhookCall("webhook "+id, http.MethodGet, nil, id)
	if err != nil {
		return store.Webhook{}, err
	}
	var w webhookWire
	_, err = c.do(ctx, r, &w)
	return w.webhook(), err
}

// CreateWebhook makes a webhook and returns it with its secret, which the
// server never shows again. It is not retried: after ErrOutcomeUnknown there
// may be one, which Webhooks shows.
func (c *Client) CreateWebhook(ctx context.Context, spec store.WebhookSpec) (store.Webhook, error) {
	body := webhookBody{URL: &spec.URL, Paused: &spec.Paused}
	if spec.Types != nil {
		body.Types = &spec.Types
	}
	if spec.Sessions != nil {
		body.Sessions = &spec.Sessions
	}
	if spec.Secret != "" {
		body.Secret = &spec.Secret
	}
	r, err := c.webhookCall("create webhook", http.MethodPost, &body)
	if err != nil {
		return store.Webhook{}, err
	}
	var w webhookWire
	if _, err := c.attempt(ctx, r, &w); err != nil {
		var answered *StatusError
		if errors.As(err, &answered) {
			r.unsure = unsettled(answered.Status, store.CodeOf(err))
		} else {
			r.unsure = mayHaveArrived(err)
		}
		return store.Webhook{}, r.wrap(err)
	}
	return w.webhook(), nil
}

// UpdateWebhook changes what the patch names. An empty secret makes a new one;
// the answer holds the secret when the patch does.
func (c *Client) UpdateWebhook(ctx context.Context, id string, patch store.WebhookPatch) (store.Webhook, error) {
	body := webhookBody{URL: patch.URL, Types: patch.Types, Sessions: patch.Sessions, Secret: patch.Secret, Paused: patch.Paused}
	r, err := c.webhookCall("update webhook "+id, http.MethodPatch, &body, id)
	if err != nil {
		return store.Webhook{}, err
	}
	var w webhookWire
	_, err = c.do(ctx, r, &w)
	return w.webhook(), err
}

// DeleteWebhook removes the webhook.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	r, err := c.webhookCall("delete webhook "+id, http.MethodDelete, nil, id)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, r, nil)
	if r.unsure && errors.Is(err, store.ErrNoWebhook) {
		return nil // the attempt whose answer was lost did it
	}
	return err
}

// TestedWebhook is what came of a test.
type TestedWebhook struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status"` // the receiver's; 0 when it did not answer
	Error     string `json:"error"`
}

// TestWebhook has the server send a message of type test now.
func (c *Client) TestWebhook(ctx context.Context, id string) (t TestedWebhook, err error) {
	r, err := c.webhookCall("test webhook "+id, http.MethodPost, nil, id, "test")
	if err != nil {
		return t, err
	}
	_, err = c.do(ctx, r, &t)
	return t, err
}
