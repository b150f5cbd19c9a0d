package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// Fork makes a session that begins with the source's history up to f.After; an
// empty f.Session stands for a new UUIDv7. store.ErrExists when the id is taken.
func (c *Client) Fork(ctx context.Context, source string, f store.ForkSpec) (store.SessionObject, error) {
	op := "fork " + source
	if f.Session == "" {
		made, err := uuid.NewV7()
		if err != nil {
			return store.SessionObject{}, fmt.Errorf("%s: %w", op, err)
		}
		f.Session = made.String()
	}
	b, err := json.Marshal(struct {
		After   int64   `json:"after"`
		Session string  `json:"session"`
		Title   *string `json:"title,omitempty"`
	}{f.After, f.Session, f.Title})
	if err != nil {
		return store.SessionObject{}, fmt.Errorf("%s: %w", op, err)
	}
	r := &call{op: op, method: http.MethodPost, url: c.url(nil, "v1", "sessions", source, "fork"), body: b, header: http.Header{"Content-Type": {"application/json"}}}
	var made store.SessionObject
	_, err = c.do(ctx, r, &made)
	if r.unsure && errors.Is(err, store.ErrExists) {
		// The attempt whose answer was lost may have made it.
		there, lookErr := c.Session(ctx, f.Session)
		if lookErr == nil && there.ForkedFrom != nil && *there.ForkedFrom == (store.Origin{Session: source, After: f.After}) {
			return there, nil
		}
	}
	return made, err
}

// SealPage is a page of seals, oldest first. Next is the cursor of the page
// after it, 0 on the last one.
type SealPage struct {
	Epoch string
	Head  int64
	Seals []store.Seal
	Next  int64
}

// Seals returns a page of the seals of the session's hash chain whose Last is
// above after. limit 0 leaves it to the server.
func (c *Client) Seals(ctx context.Context, session string, after int64, limit int) (SealPage, error) {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var out struct {
		Epoch string `json:"epoch"`
		Head  int64  `json:"head"`
		Next  int64  `json:"next"`
		Seals []struct {
			First    int64     `json:"first"`
			Last     int64     `json:"last"`
			Hash     string    `json:"hash"`
			SealedAt time.Time `json:"sealedAt"`
		} `json:"seals"`
	}
	r := &call{op: "seals of " + session, method: http.MethodGet, url: c.url(q, "v1", "sessions", session, "seals")}
	if _, err := c.do(ctx, r, &out); err != nil {
		return SealPage{}, err
	}
	page := SealPage{Epoch: out.Epoch, Head: out.Head, Next: out.Next}
	for _, w := range out.Seals {
		seal := store.Seal{First: w.First, Last: w.Last, SealedAt: w.SealedAt}
		if n, err := hex.Decode(seal.Hash[:], []byte(w.Hash)); err != nil || n != len(seal.Hash) || len(w.Hash) != hex.EncodedLen(len(seal.Hash)) {
			return SealPage{}, fmt.Errorf("%s: hash %.80q: %w", r.op, w.Hash, ErrUnreadable)
		}
		page.Seals = append(page.Seals, seal)
	}
	return page, nil
}
