package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/konlog/konlog/store"
)

// Redact drops the content of the events from r.From to r.To for good, at most
// store.RedactEventsMax of them. Sent again after a lost answer it finds nothing
// left to do, and says so.
func (c *Client) Redact(ctx context.Context, session string, r store.RedactSpec) (store.Redacted, error) {
	op := "redact " + session
	b, err := json.Marshal(struct {
		From   int64  `json:"from"`
		To     int64  `json:"to"`
		Reason string `json:"reason,omitempty"`
	}{r.From, r.To, r.Reason})
	if err != nil {
		return store.Redacted{}, fmt.Errorf("%s: %w", op, err)
	}
	var out struct {
		ID      int64    `json:"id"`
		Events  int64    `json:"events"`
		Pending bool     `json:"pending"`
		Forks   []string `json:"forks"`
	}
	request := &call{op: op, method: http.MethodPost, url: c.url(nil, "v1", "sessions", session, "redact"), body: b, header: http.Header{"Content-Type": {"application/json"}}}
	if _, err := c.do(ctx, request, &out); err != nil {
		return store.Redacted{}, err
	}
	return store.Redacted{ID: out.ID, Events: out.Events, Pending: out.Pending, Forks: out.Forks}, nil
}
