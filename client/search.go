package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

// Search finds texts in the sessions' logs by their words: a page of hits,
// those that became searchable last first. It is store.ErrNotFound when the
// filter names a session that does not exist.
func (c *Client) Search(ctx context.Context, f store.SearchFilter) (page store.SearchPage, err error) {
	q := url.Values{"q": {f.Query}}
	for _, m := range [...]struct{ name, value string }{{"session", f.Session}, {"kind", f.Kind}, {"cursor", f.Cursor}} {
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
	r := &call{op: "search", method: http.MethodGet, url: c.url(q, "v1", "search")}
	_, err = c.do(ctx, r, &page)
	return page, err
}
