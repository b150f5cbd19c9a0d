package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

const hookURL = "https://example.org/hook"

// hooks returns the engine's webhooks.
func (r *rig) hooks() store.Webhooks {
	r.Helper()
	h, ok := r.Log.(store.Webhooks)
	if !ok {
		r.Skip("the engine keeps no webhooks")
	}
	return h
}

func (r *rig) createHook(spec store.WebhookSpec) store.Webhook {
	r.Helper()
	w, err := r.hooks().CreateWebhook(ctx, spec)
	if err != nil {
		r.Fatalf("create webhook: %v", err)
	}
	return w
}

func (r *rig) hook(id string) store.Webhook {
	r.Helper()
	w, err := r.hooks().Webhook(ctx, id)
	if err != nil {
		r.Fatalf("webhook %s: %v", id, err)
	}
	return w
}

// wantHook compares every member.
func (r *rig) wantHook(what string, got, want store.Webhook) {
	r.Helper()
	if g, w := allOf(got), allOf(want); g != w {
		r.Errorf("%s\ngot  %s\nwant %s", what, g, w)
	}
}

// allOf shows a webhook with what its String hides.
func allOf(w store.Webhook) string {
	return fmt.Sprintf("%s %s %q %q %s %t %s %s %+v", w.ID, w.URL, w.Types, w.Sessions, w.Secret, w.Paused, w.CreatedAt, w.UpdatedAt, w.WebhookState)
}

// testWebhooks walks through a webhook's life.
func testWebhooks(r *rig) {
	r.fill(store.FeedSession, 3)
	r.heard()
	w := r.createHook(store.WebhookSpec{URL: hookURL})
	want := store.Webhook{ID: w.ID, CreatedAt: begin, UpdatedAt: begin, WebhookState: store.WebhookState{Cursor: 3}, WebhookSpec: store.WebhookSpec{
		URL: hookURL, Types: []string{"turn_end", "permission_request", "kontask_ready"}, Sessions: []string{"*"}, Secret: w.Secret}}
	r.wantHook("created", w, want)
	if key := w.Key(); len(key) != 32 || !strings.HasPrefix(w.Secret, "whsec_") {
		r.Errorf("the key has %d bytes, want 32", len(key))
	}
	r.wantHook("read", r.hook(w.ID), want)
	r.clock.move(time.Second)

	second := r.createHook(store.WebhookSpec{URL: hookURL + "2", Types: []string{"*"}, Sessions: []string{"a*", "b"}, Paused: true})
	if second.Secret == w.Secret || second.ID == w.ID {
		r.Error("two webhooks share a secret or an id")
	}
	url, types := hookURL+"/moved", []string{"seen"}
	w, err := r.hooks().UpdateWebhook(ctx, w.ID, store.WebhookPatch{URL: &url, Types: &types})
	if err != nil {
		r.Fatal(err)
	}
	want.URL, want.Types, want.UpdatedAt = url, types, begin.Add(time.Second)
	r.wantHook("updated", w, want)
	types[0] = "scribbled"
	if r.engine.Reopen {
		r.reopen()
	}
	all, err := r.hooks().ListWebhooks(ctx)
	if err != nil || len(all) != 2 {
		r.Fatalf("list: %v, %v", all, err)
	}
	want.Types = []string{"seen"}
	r.wantHook("first of the list", all[0], want)
	r.wantHook("second of the list", all[1], second)

	if err := r.hooks().DeleteWebhook(ctx, w.ID); err != nil {
		r.Fatal(err)
	}
	for name, err := range map[string]error{
		"read": second1(r.hooks().Webhook(ctx, w.ID)), "delete": r.hooks().DeleteWebhook(ctx, w.ID),
		"update":  second1(r.hooks().UpdateWebhook(ctx, w.ID, store.WebhookPatch{})),
		"advance": second1(r.hooks().AdvanceWebhook(ctx, w.ID, 1, store.WebhookOutcome{})),
	} {
		if !errors.Is(err, store.ErrNoWebhook) {
			r.Errorf("%s after delete: got %v, want ErrNoWebhook", name, err)
		}
	}
	if said := r.heard(); len(said) > 0 {
		r.Errorf("webhooks were announced: %v", said)
	}
}

// second1 is the error of a call that returns a webhook too.
func second1(_ store.Webhook, err error) error { return err }

// testWebhookOutcomes settles outcomes: the cursor never falls, failures add
// up, success and a new URL end them.
func testWebhookOutcomes(r *rig) {
	w := r.createHook(store.WebhookSpec{URL: hookURL})
	at, next := begin.Add(1500*time.Microsecond), begin.Add(time.Minute)
	advance := func(cursor int64, o store.WebhookOutcome) store.Webhook {
		r.Helper()
		got, err := r.hooks().AdvanceWebhook(ctx, w.ID, cursor, o)
		if err != nil {
			r.Fatal(err)
		}
		r.wantHook("advanced and read", r.hook(w.ID), got)
		return got
	}
	failed := store.WebhookOutcome{URL: hookURL, At: at, Status: 503, Error: "status 503 \xff" + strings.Repeat("é", 400), NextAt: next}
	want := w
	long := advance(5, failed)
	if got := long.LastError; len(got) > store.WebhookErrorBytesMax || !strings.HasPrefix(got, "status 503 ?é") {
		r.Errorf("error of %d bytes kept: %q", len(got), got)
	}
	want.WebhookState = store.WebhookState{Cursor: 5, Failures: 1, FailingSince: begin.Add(time.Millisecond), NextAt: next,
		LastAt: begin.Add(time.Millisecond), LastStatus: 503, LastError: long.LastError}
	r.wantHook("failed once", long, want)

	failed.At, failed.Error, failed.Status, failed.Dropped = begin.Add(time.Hour), "no route", 0, 1
	want.Failures, want.LastAt, want.LastError, want.LastStatus, want.Dropped = 2, failed.At, "no route", 0, 1
	r.wantHook("failed twice, cursor behind", advance(4, failed), want)
	want.Cursor = 7
	r.wantHook("only the cursor", advance(7, store.WebhookOutcome{}), want)
	r.wantHook("another URL", advance(7, store.WebhookOutcome{URL: "https://old.example", At: begin, Error: "gone", Gone: true}), want)

	failed.Gone, failed.Dropped, failed.Status = true, 0, 410
	if got := advance(7, failed); !got.Paused || got.Failures != 3 {
		r.Errorf("after gone: paused %t, failures %d", got.Paused, got.Failures)
	}
	resume := false
	got, err := r.hooks().UpdateWebhook(ctx, w.ID, store.WebhookPatch{Paused: &resume})
	if err != nil || got.Paused || got.Failures != 0 || !got.NextAt.IsZero() || !got.FailingSince.IsZero() || got.Cursor != 7 {
		r.Errorf("resumed: %s, %v", allOf(got), err)
	}
	advance(7, failed)
	if r.engine.Reopen {
		before := r.hook(w.ID)
		r.reopen()
		r.wantHook("reopened", r.hook(w.ID), before)
	}
	done := advance(8, store.WebhookOutcome{URL: hookURL, At: at, Status: 204})
	if done.Failures != 0 || done.LastError != "" || !done.NextAt.IsZero() || done.LastStatus != 204 || done.Cursor != 8 || !done.Paused {
		r.Errorf("delivered: %s", allOf(done))
	}
}

// testWebhookRefusals wants every bad spec refused with the right code, and
// nothing kept of it.
func testWebhookRefusals(r *rig) {
	kept := r.createHook(store.WebhookSpec{URL: hookURL})
	many := slices.Repeat([]string{"*"}, 33)
	for _, c := range []struct {
		name string
		spec store.WebhookSpec
		want store.Code
	}{
		{"no url", store.WebhookSpec{}, store.CodeInvalidWebhook},
		{"relative", store.WebhookSpec{URL: "/hook"}, store.CodeInvalidWebhook},
		{"no host", store.WebhookSpec{URL: "http://:80/"}, store.CodeInvalidWebhook},
		{"broken", store.WebhookSpec{URL: "http://a b/"}, store.CodeInvalidWebhook},
		{"long", store.WebhookSpec{URL: hookURL + strings.Repeat("x", 2048)}, store.CodeInvalidWebhook},
		{"not UTF-8", store.WebhookSpec{URL: hookURL + "/\xff"}, store.CodeInvalidWebhook},
		{"scheme", store.WebhookSpec{URL: "file://host/etc"}, store.CodeWebhookURL},
		{"user", store.WebhookSpec{URL: "https://u:p@example.org/"}, store.CodeWebhookURL},
		{"type", store.WebhookSpec{URL: hookURL, Types: []string{"turn_ends"}}, store.CodeInvalidWebhook},
		{"types", store.WebhookSpec{URL: hookURL, Types: many}, store.CodeInvalidWebhook},
		{"sessions", store.WebhookSpec{URL: hookURL, Sessions: many}, store.CodeInvalidWebhook},
		{"pattern", store.WebhookSpec{URL: hookURL, Sessions: []string{"a["}}, store.CodeInvalidWebhook},
		{"empty pattern", store.WebhookSpec{URL: hookURL, Sessions: []string{""}}, store.CodeInvalidWebhook},
		{"secret without prefix", store.WebhookSpec{URL: hookURL, Secret: strings.Repeat("A", 44)}, store.CodeInvalidWebhook},
		{"short secret", store.WebhookSpec{URL: hookURL, Secret: "whsec_AAAA"}, store.CodeInvalidWebhook},
		{"long secret", store.WebhookSpec{URL: hookURL, Secret: "whsec_" + strings.Repeat("A", 88)}, store.CodeInvalidWebhook},
	} {
		if _, err := r.hooks().CreateWebhook(ctx, c.spec); store.CodeOf(err) != c.want {
			r.Errorf("%s: got %v, want %s", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "u:p@") {
			r.Errorf("%s: the refusal repeats a password: %v", c.name, err)
		}
		patch := store.WebhookPatch{URL: &c.spec.URL, Types: &c.spec.Types, Sessions: &c.spec.Sessions, Secret: &c.spec.Secret}
		if _, err := r.hooks().UpdateWebhook(ctx, kept.ID, patch); store.CodeOf(err) != c.want {
			r.Errorf("patch %s: got %v, want %s", c.name, err, c.want)
		}
	}
	r.wantHook("after refused patches", r.hook(kept.ID), kept)
	if s := fmt.Sprintf("%v %+v %v", kept, kept, kept.WebhookSpec); strings.Contains(s, kept.Secret) || strings.Contains(s, "example") {
		r.Errorf("a webhook prints itself as %s", s)
	}
	for range store.WebhooksMax - 1 {
		r.createHook(store.WebhookSpec{URL: hookURL})
	}
	if _, err := r.hooks().CreateWebhook(ctx, store.WebhookSpec{URL: hookURL}); store.CodeOf(err) != store.CodeWebhooksFull {
		r.Errorf("one too many: got %v", err)
	}
	if all, err := r.hooks().ListWebhooks(ctx); err != nil || len(all) != store.WebhooksMax {
		r.Errorf("list has %d, %v", len(all), err)
	}
}
