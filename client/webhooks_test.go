package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// notifier sends nothing.
type notifier struct{}

func (notifier) CheckURL(string) error { return nil }
func (notifier) Changed()              {}
func (notifier) Test(context.Context, store.Webhook) (store.WebhookOutcome, error) {
	return store.WebhookOutcome{Status: 503, Error: "status 503"}, nil
}
func (notifier) Counts() (delivered, failed, dropped int64) { return 0, 0, 0 }

func TestWebhooks(t *testing.T) {
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	var posts, breaks atomic.Int64
	handler := api.New(log, hub, api.Config{Notifier: notifier{}}).Handler()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		if breaks.Load() > 0 { // the answer is lost
			breaks.Add(-1)
			handler.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	defer ts.Close()
	c, err := client.New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	w, err := c.CreateWebhook(ctx, store.WebhookSpec{URL: "https://example.org/hook", Sessions: []string{"build-*"}})
	if err != nil || !strings.HasPrefix(w.Secret, "whsec_") || len(w.Types) != 3 || w.Sessions[0] != "build-*" || w.CreatedAt.IsZero() {
		t.Fatalf("created %+v %q, %v", w.WebhookState, w.Secret, err)
	}
	if _, err := log.AdvanceWebhook(ctx, w.ID, 7, store.WebhookOutcome{URL: w.URL, At: w.CreatedAt, Status: 503, Error: "status 503", NextAt: w.CreatedAt}); err != nil {
		t.Fatal(err)
	}
	kept, err := log.Webhook(ctx, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Webhook(ctx, w.ID)
	if err != nil || got.WebhookState != kept.WebhookState || got.Secret != "" {
		t.Errorf("got %+v, want %+v, %v", got.WebhookState, kept.WebhookState, err)
	}
	fresh, paused := "", true
	if got, err = c.UpdateWebhook(ctx, w.ID, store.WebhookPatch{Secret: &fresh, Paused: &paused}); err != nil || !got.Paused || got.Secret == "" || got.Secret == w.Secret {
		t.Errorf("updated: %v, %v", got, err)
	}
	if all, err := c.Webhooks(ctx); err != nil || len(all) != 1 || all[0].ID != w.ID {
		t.Errorf("list %v, %v", all, err)
	}
	if tested, err := c.TestWebhook(ctx, w.ID); err != nil || tested != (client.TestedWebhook{Status: 503, Error: "status 503"}) {
		t.Errorf("tested %+v, %v", tested, err)
	}
	breaks.Store(1)
	if err := c.DeleteWebhook(ctx, w.ID); err != nil {
		t.Errorf("delete whose answer was lost: %v", err)
	}
	if _, err := c.Webhook(ctx, w.ID); !errors.Is(err, store.ErrNoWebhook) {
		t.Errorf("deleted: %v", err)
	}
	breaks.Store(1)
	before := posts.Load()
	if _, err := c.CreateWebhook(ctx, store.WebhookSpec{URL: "https://example.org"}); !errors.Is(err, client.ErrOutcomeUnknown) || posts.Load() != before+1 {
		t.Errorf("create whose answer was lost: %v after %d requests", err, posts.Load()-before)
	}
	if _, err := c.CreateWebhook(ctx, store.WebhookSpec{URL: "ftp://x"}); store.CodeOf(err) != store.CodeWebhookURL || errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("refused: %v", err)
	}
}
