package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// TestExportGoesOnAfterRedactedEvents guards that an export names every event,
// those whose content is gone as such, wherever they stand.
func TestExportGoesOnAfterRedactedEvents(t *testing.T) {
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	srv := api.New(log, hub, api.Config{})
	ts := httptest.NewServer(srv.Handler())
	c, err := client.New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Close()
		srv.Drain(ctx, 0)
		ts.Close()
		log.Close()
	})
	const events = 40
	for i := range events {
		if _, err := c.Append(t.Context(), "s", client.AppendOptions{}, store.Draft{Type: "note", Data: fmt.Appendf(nil, "%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var want []int64
	for _, gone := range [][2]int64{{1, 2}, {5, 5}, {17, 30}, {40, 40}} {
		if _, err := log.Redact(t.Context(), "s", store.RedactSpec{From: gone[0], To: gone[1]}); err != nil {
			t.Fatal(err)
		}
		for id := gone[0]; id <= gone[1]; id++ {
			want = append(want, id)
		}
	}
	for _, after := range []int64{0, 1, 20} {
		next, redacted := after+1, []int64(nil)
		for e, err := range c.Export(t.Context(), "s", after) {
			if err != nil {
				t.Fatalf("after %d: %v", after, err)
			}
			if e.ID != next || len(e.JSON) == 0 {
				t.Fatalf("after %d: got event %d %q, want %d", after, e.ID, e.JSON, next)
			}
			next++
			if e.Redacted() {
				redacted = append(redacted, e.ID)
			}
		}
		if next != events+4+1 { // and an event per redaction
			t.Errorf("after %d: the export ends at %d", after, next-1)
		}
		if left := slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id <= after }); !slices.Equal(redacted, left) {
			t.Errorf("after %d: redacted are %v, want %v", after, redacted, left)
		}
	}
}

// TestRestoreHead guards that ids of a log of which nothing is left go on where
// they ended, on another server too.
func TestRestoreHead(t *testing.T) {
	c := serve(t)
	if err := c.RestoreHead(t.Context(), "s", 41); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no session: got %v, want %v", err, store.ErrNotFound)
	}
	if _, _, err := c.CreateSession(t.Context(), "s", store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.RestoreHead(t.Context(), "s", 41); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.RestoreHead(t.Context(), "s", 40); !errors.Is(err, store.ErrRestoreGap) {
		t.Errorf("a lower one: got %v, want %v", err, store.ErrRestoreGap)
	}
	if a, err := c.Append(t.Context(), "s", client.AppendOptions{}, store.Draft{Type: "note"}); err != nil || a.First != 42 {
		t.Errorf("got %+v, %v, want id 42", a, err)
	}
	if err := c.RestoreHead(t.Context(), "s", 50); !errors.Is(err, store.ErrRestoreGap) {
		t.Errorf("with an event: got %v, want %v", err, store.ErrRestoreGap)
	}
	if err := c.RestoreHead(t.Context(), "_feed", 5); err == nil {
		t.Error("the feed was given a head")
	}
	if err := c.RestoreHead(t.Context(), "s", 0); store.CodeOf(err) != store.CodeInvalidQuery {
		t.Errorf("zero: got %v, want %s", err, store.CodeInvalidQuery)
	}
}
