package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

// TurnPage is a page of turns. Next is "" on the last one. Turns in a page have
// no text; an open one is as it was when it began.
type TurnPage struct {
	Turns []store.TurnObject `json:"turns"`
	Next  string             `json:"next"`
}

// Turns returns a page of turns, newest first: of one session, or of all when
// the filter names none.
func (c *Client) Turns(ctx context.Context, f store.TurnFilter) (TurnPage, error) {
	op, path := "list turns", []string{"v1", "turns"}
	if f.Session != "" {
		op, path = "list turns of "+f.Session, []string{"v1", "sessions", f.Session, "turns"}
	}
	var page TurnPage
	r := &call{op: op, method: http.MethodGet, url: c.url(turnValues(&f), path...)}
	if _, err := c.do(ctx, r, &page); err != nil {
		return TurnPage{}, err
	}
	return page, nil
}

func turnValues(f *store.TurnFilter) url.Values {
	q := url.Values{}
	for _, m := range [...]struct{ name, value string }{
		{"state", string(f.State)}, {"tool", f.Tool}, {"q", f.Query}, {"cursor", f.Cursor},
	} {
		if m.value != "" {
			q.Set(m.name, m.value)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Turn returns one turn with its text, an open one with what came of it so
// far. It is store.ErrNotFound without the session, store.ErrTurnNotFound
// without the turn.
func (c *Client) Turn(ctx context.Context, session, turn string) (store.TurnObject, error) {
	var t store.TurnObject
	r := &call{op: "turn " + turn + " of " + session, method: http.MethodGet, url: c.url(nil, "v1", "sessions", session, "turns", turn)}
	if _, err := c.do(ctx, r, &t); err != nil {
		return store.TurnObject{}, err
	}
	return t, nil
}
