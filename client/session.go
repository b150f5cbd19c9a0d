package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// SessionPage is a page of sessions. Next is "" on the last one.
type SessionPage struct {
	Sessions []store.SessionObject `json:"sessions"`
	Next     string                `json:"next"`
}

// Sessions returns a page of sessions, newest activity first.
func (c *Client) Sessions(ctx context.Context, f store.SessionFilter) (SessionPage, error) {
	q := url.Values{}
	for _, m := range [...]struct{ name, value string }{
		{"scope", f.Scope}, {"tag", f.Tag}, {"state", f.State}, {"q", f.Search}, {"cursor", f.Cursor},
	} {
		if m.value != "" {
			q.Set(m.name, m.value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var page SessionPage
	r := &call{op: "list sessions", method: http.MethodGet, url: c.url(q, "v1", "sessions")}
	_, err := c.do(ctx, r, &page)
	return page, err
}

// Session returns one session, or store.ErrNotFound.
func (c *Client) Session(ctx context.Context, id string) (store.SessionObject, error) {
	s, _, err := c.callSession(ctx, "session "+id, http.MethodGet, id, nil)
	return s, err
}

// CreateSession makes an empty session; an empty id stands for a new UUIDv7.
// When it exists already it is returned as it is, with created false. After a
// lost answer created may be false although this call made it.
func (c *Client) CreateSession(ctx context.Context, id string, spec store.SessionSpec) (s store.SessionObject, created bool, err error) {
	if id == "" {
		made, err := uuid.NewV7()
		if err != nil {
			return store.SessionObject{}, false, fmt.Errorf("create session: %w", err)
		}
		id = made.String()
	}
	body := struct {
		Title string          `json:"title,omitempty"`
		Scope string          `json:"scope,omitempty"`
		Tags  []string        `json:"tags,omitempty"`
		Meta  json.RawMessage `json:"meta,omitempty"`

		Retention *store.Keep `json:"retention,omitempty"`
	}{spec.Title, spec.Scope, spec.Tags, spec.Meta, spec.Retention}
	s, status, err := c.callSession(ctx, "create session "+id, http.MethodPut, id, body)
	return s, status == http.StatusCreated, err
}

// UpdateSession changes what the patch names.
func (c *Client) UpdateSession(ctx context.Context, id string, patch store.SessionPatch) (store.SessionObject, error) {
	body := struct {
		Title *string          `json:"title,omitempty"`
		Scope *string          `json:"scope,omitempty"`
		Tags  *[]string        `json:"tags,omitempty"`
		Meta  *json.RawMessage `json:"meta,omitempty"`

		Retention *store.Keep `json:"retention,omitempty"`
	}{patch.Title, patch.Scope, patch.Tags, patch.Meta, patch.Retention}
	s, _, err := c.callSession(ctx, "update session "+id, http.MethodPatch, id, body)
	return s, err
}

func (c *Client) callSession(ctx context.Context, op, method, id string, body any) (store.SessionObject, int, error) {
	r := &call{op: op, method: method, url: c.url(nil, "v1", "sessions", id)}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return store.SessionObject{}, 0, fmt.Errorf("%s: %w", op, err)
		}
		r.body, r.header = b, http.Header{"Content-Type": {"application/json"}}
	}
	var s store.SessionObject
	status, err := c.do(ctx, r, &s)
	return s, status, err
}

// DeleteSession removes the session and its events.
func (c *Client) DeleteSession(ctx context.Context, id string) error {
	r := &call{op: "delete session " + id, method: http.MethodDelete, url: c.url(nil, "v1", "sessions", id)}
	_, err := c.do(ctx, r, nil)
	if r.unsure && errors.Is(err, store.ErrNotFound) {
		return nil // the attempt whose answer was lost did it
	}
	return err
}

// CloseSession appends the session's last event: it takes no more.
func (c *Client) CloseSession(ctx context.Context, id string) (store.Appended, error) {
	r := &call{op: "close session " + id, method: http.MethodPost, url: c.url(nil, "v1", "sessions", id, "close")}
	a, err := c.sendAppend(ctx, r)
	if r.unsure && errors.Is(err, store.ErrSessionClosed) {
		// The attempt whose answer was lost did it; its event is the head.
		s, err := c.Session(ctx, id)
		return store.Appended{First: s.Head, Last: s.Head}, err
	}
	return a, err
}

// Imported says what an import stored.
type Imported struct {
	Session     string `json:"session"`
	First, Last int64
	Count       int64 `json:"count"`
}

// Import appends events with the ids and times they bring: lines are event
// objects as Export gives them, one per line, read as they are sent. It is not
// retried; after an error Session tells the head, and the lines after it can be
// sent again.
func (c *Client) Import(ctx context.Context, session string, lines io.Reader) (Imported, error) {
	u := c.url(nil, "v1", "sessions", session, "import")
	resp, err := c.send(ctx, http.MethodPost, u, http.Header{"Content-Type": {"application/x-ndjson"}}, io.NopCloser(lines))
	if err != nil {
		return Imported{}, fmt.Errorf("import %s: %w: %w", session, ErrOutcomeUnknown, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return Imported{}, fmt.Errorf("import %s: %w", session, statusError(resp, http.MethodPost, u))
	}
	var out Imported
	if err := decodeBody(resp.Body, &out); err != nil {
		return Imported{}, fmt.Errorf("import %s: %w: %w", session, ErrOutcomeUnknown, err)
	}
	return out, nil
}

// RestoreHead gives a session that has no events the head that its log had
// where it comes from: its ids go on after it. The head that it has already is
// no change.
func (c *Client) RestoreHead(ctx context.Context, session string, head int64) error {
	q := url.Values{"head": {strconv.FormatInt(head, 10)}}
	r := &call{op: "restore head of " + session, method: http.MethodPost, url: c.url(q, "v1", "sessions", session, "import")}
	r.body, r.header = []byte{}, http.Header{"Content-Type": {"application/x-ndjson"}}
	_, err := c.do(ctx, r, nil)
	return err
}
