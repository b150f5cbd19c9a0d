package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

func turnDrafts(turn, text string) []store.Draft {
	return []store.Draft{
		{Type: store.TypeTurnStart, Turn: turn}, {Type: store.TypeText, Turn: turn, Data: []byte(`{"text":"` + text + `"}`)}, {Type: store.TypeTurnEnd, Turn: turn},
	}
}

func TestRedactForkAndSeals(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	for _, turn := range []string{"a", "b"} {
		if _, err := c.Append(ctx, "s", client.AppendOptions{}, turnDrafts(turn, "secret")...); err != nil {
			t.Fatal(err)
		}
	}
	title := "forked"
	made, err := c.Fork(ctx, "s", store.ForkSpec{After: 5, Title: &title})
	if err != nil || made.Head != 6 || made.Title != title || made.ForkedFrom == nil || *made.ForkedFrom != (store.Origin{Session: "s", After: 5}) {
		t.Errorf("fork %+v, %v", made, err)
	}
	if _, err := c.Fork(ctx, "s", store.ForkSpec{After: 5, Session: made.ID}); !errors.Is(err, store.ErrExists) {
		t.Errorf("fork again: %v", err)
	}
	page, err := c.Seals(ctx, "s", 0, 1)
	if err != nil || page.Next != 3 || page.Head != 6 || len(page.Seals) != 1 || page.Seals[0].Last != 3 || page.Seals[0].Hash == (store.Hash{}) || page.Seals[0].SealedAt.IsZero() {
		t.Errorf("seals %+v, %v", page, err)
	}
	done, err := c.Redact(ctx, "s", store.RedactSpec{From: 2, To: 3, Reason: "r"})
	if err != nil || done.ID != 7 || done.Events != 2 || len(done.Forks) != 1 || done.Forks[0] != made.ID {
		t.Errorf("redacted %+v, %v", done, err)
	}
	if _, err := c.Redact(ctx, "s", store.RedactSpec{From: 1, To: 99}); store.CodeOf(err) == "" {
		t.Errorf("beyond the head: %v", err)
	}
}

// On every transport a tail goes on over redacted events, and is told of them.
func TestP6_TailIsToldOfRedactedEvents(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	for _, turn := range []string{"a", "b"} {
		if _, err := c.Append(ctx, "s", client.AppendOptions{}, turnDrafts(turn, "secret")...); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []store.RedactSpec{{From: 1, To: 2}, {From: 4, To: 4}} {
		if _, err := c.Redact(ctx, "s", part); err != nil {
			t.Fatal(err)
		}
	}
	for _, transport := range []string{"ws", "sse", "poll"} {
		for name, types := range map[string][]string{"all": nil, "filtered": {store.TypeTurnEnd, store.TypeRedacted}} {
			var told []string
			o := client.TailOptions{Transport: transport, NoFollow: true, Types: types, OnState: func(s client.State) {
				if s.Kind == client.StateGap {
					told = append(told, "gap", string(rune('0'+s.From)), string(rune('0'+s.To)), s.Reason)
				}
			}}
			for e, err := range c.Tail(ctx, "s", o) {
				if err != nil {
					t.Fatalf("%s %s: %v", transport, name, err)
				}
				told = append(told, string(rune('0'+e.ID)))
			}
			want := "gap 1 2 redacted 3 gap 4 4 redacted 5 6 7 8"
			if types != nil {
				want = "gap 1 2 redacted 3 gap 4 4 redacted 6 7 8"
			}
			if got := strings.Join(told, " "); got != want {
				t.Errorf("%s %s: told %q, want %q", transport, name, got, want)
			}
		}
	}
}

// The answer to a fork may be lost: the next attempt finds what the first made.
func TestForkIsMadeOnceWhenItsAnswerIsLost(t *testing.T) {
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	srv := api.New(log, hub, api.Config{})
	var attempts atomic.Int64
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, _ := url.Parse(r.URL.Path); u != nil && strings.HasSuffix(u.Path, "/fork") && attempts.Add(1) == 1 {
			lost := httptest.NewRecorder()
			srv.Handler().ServeHTTP(lost, r)
			if _, err := io.Copy(io.Discard, lost.Body); err == nil {
				panic(http.ErrAbortHandler)
			}
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	defer ts.Close()
	c, err := client.New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Append(t.Context(), "s", client.AppendOptions{}, turnDrafts("a", "x")...); err != nil {
		t.Fatal(err)
	}
	made, err := c.Fork(t.Context(), "s", store.ForkSpec{After: 3})
	if err != nil || made.Head != 3 || attempts.Load() != 2 {
		t.Errorf("fork %+v after %d attempts, %v", made, attempts.Load(), err)
	}
}
