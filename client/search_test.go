package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func TestSearch(t *testing.T) {
	c := serve(t)
	for _, data := range []string{`{"text":"a login page"}`, `{"text":"the Login form"}`} {
		if _, err := c.Append(t.Context(), "s1", client.AppendOptions{}, store.Draft{Type: "text", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	f := store.SearchFilter{Query: "login", Session: "s1", Kind: store.DocText, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), Limit: 1}
	var ids []int64
	for {
		page, err := c.Search(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page.Hits {
			ids = append(ids, h.ID)
			if h.Session != "s1" || len(h.Snippet) != 3 || !h.Snippet[1].Hit || time.Since(h.Time) > time.Minute {
				t.Errorf("got %+v", h)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if len(ids) != 2 || ids[0] != 2 {
		t.Errorf("found %v, want 2 and 1", ids)
	}
	if _, err := c.Search(t.Context(), store.SearchFilter{Query: "a", Session: "absent"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want %v", err, store.ErrNotFound)
	}
}
