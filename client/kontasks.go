package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

// kontaskWire is what the server says of a kontask beside what was said of it.
type kontaskWire struct {
	ID        string          `json:"id"`
	Session   string          `json:"session"`
	CreatedAt time.Time       `json:"createdAt"`
	UpdatedAt time.Time       `json:"updatedAt"`
	Chosen    json.RawMessage `json:"chosen"`
	Events    struct {
		Created int64 `json:"created"`
		Ready   int64 `json:"ready"`
		Chosen  int64 `json:"chosen"`
		Last    int64 `json:"last"`
	} `json:"events"`
}

// decodeKontask decodes a kontask. Its Record is the whole object, so that
// what the server adds is in it too.
func decodeKontask(b json.RawMessage) (store.Kontask, error) {
	var w kontaskWire
	if err := json.Unmarshal(b, &w); err != nil {
		return store.Kontask{}, fmt.Errorf("decode kontask: %w: %w", ErrUnreadable, err)
	}
	return store.Kontask{
		ID: w.ID, Session: w.Session, Created: w.Events.Created, Ready: w.Events.Ready, Last: w.Events.Last,
		Chosen: w.Events.Chosen, Choice: w.Chosen, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, Record: b,
	}, nil
}

// Kontask returns one, or store.ErrNoKontask. Its Record is the object as it
// stands on the wire.
func (c *Client) Kontask(ctx context.Context, id string) (store.Kontask, error) {
	r := &call{op: "kontask " + id, method: http.MethodGet, url: c.url(nil, "v1", "kontasks", id)}
	return c.callKontask(ctx, r)
}

// PutKontask makes a kontask, or changes the members that record names, and
// returns what it is then. A new one must name its session. record is a JSON
// object, which is stored as it is; to put the same again changes nothing.
func (c *Client) PutKontask(ctx context.Context, id string, record json.RawMessage) (store.Kontask, error) {
	r := &call{
		op: "put kontask " + id, method: http.MethodPut, url: c.url(nil, "v1", "kontasks", id),
		header: http.Header{"Content-Type": {"application/json"}}, body: record,
	}
	return c.callKontask(ctx, r)
}

func (c *Client) callKontask(ctx context.Context, r *call) (store.Kontask, error) {
	var b json.RawMessage
	if _, err := c.do(ctx, r, &b); err != nil {
		return store.Kontask{}, err
	}
	k, err := decodeKontask(b)
	if err != nil {
		return k, r.wrap(err)
	}
	return k, nil
}

// Kontasks returns a page of kontasks, the one that changed last first. Their
// Records are the objects as they stand on the wire.
func (c *Client) Kontasks(ctx context.Context, f store.KontaskFilter) (store.KontaskPage, error) {
	q := url.Values{}
	for _, m := range [...]struct{ name, value string }{
		{"session", f.Session}, {"status", f.Status}, {"scope", f.Scope}, {"tag", f.Tag},
		{"targetUser", f.TargetUser}, {"requestId", f.RequestID}, {"cursor", f.Cursor},
	} {
		if m.value != "" {
			q.Set(m.name, m.value)
		}
	}
	if f.Open {
		q.Set("open", "1")
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var out struct {
		Kontasks []json.RawMessage `json:"kontasks"`
		Next     string            `json:"next"`
	}
	r := &call{op: "list kontasks", method: http.MethodGet, url: c.url(q, "v1", "kontasks")}
	if _, err := c.do(ctx, r, &out); err != nil {
		return store.KontaskPage{}, err
	}
	page := store.KontaskPage{Next: out.Next}
	for _, b := range out.Kontasks {
		k, err := decodeKontask(b)
		if err != nil {
			return store.KontaskPage{}, r.wrap(err)
		}
		page.Kontasks = append(page.Kontasks, k)
	}
	return page, nil
}

// InboxPage is a page of the inbox. Next is "" on the last one.
type InboxPage struct {
	Items []store.InboxObject `json:"items"`
	Next  string              `json:"next"`
}

// Inbox returns a page of the sessions that wait for whoever this client is,
// newest activity first. cursor is InboxPage.Next of the page before; a limit of
// 0 leaves it to the server.
func (c *Client) Inbox(ctx context.Context, cursor string, limit int) (InboxPage, error) {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var page InboxPage
	r := &call{op: "inbox", method: http.MethodGet, url: c.url(q, "v1", "inbox")}
	_, err := c.do(ctx, r, &page)
	return page, err
}
