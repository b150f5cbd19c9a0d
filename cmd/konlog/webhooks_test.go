package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// TestServerSendsWebhooks goes the whole way: a turn ends in a session, the
// receiver refuses it, the server restarts, and the receiver gets it again
// under the same id.
func TestServerSendsWebhooks(t *testing.T) {
	type message struct{ id, body string }
	var up atomic.Bool
	seen := make(chan message, 64) // more than attempts in the second that the restart takes
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		seen <- message{r.Header.Get("Webhook-Id"), string(body)}
	}))
	defer receiver.Close()
	env := map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_WEBHOOKS_ALLOW_PRIVATE": "true", "KONLOG_DRAIN_SPREAD": "0s"}
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(env), "")
	if err != nil {
		t.Fatal(err)
	}
	start := func() (*server, *client.Client) {
		s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		cl, err := client.New(s.url)
		if err != nil {
			t.Fatal(err)
		}
		return s, cl
	}
	s, cl := start()
	if _, err := cl.CreateWebhook(t.Context(), store.WebhookSpec{URL: receiver.URL}); err != nil {
		t.Fatal(err)
	}
	_, err = cl.Append(t.Context(), "s1", client.AppendOptions{}, store.Draft{Type: "turn_start", Turn: "r-7"}, store.Draft{Type: "turn_end", Turn: "r-7", Data: []byte(`{"success":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	first := <-seen
	if !strings.Contains(first.body, `"session":"s1","id":2,"turn":"r-7"`) || !strings.Contains(first.body, `"event":{"id":2,`) {
		t.Errorf("posted %s", first.body)
	}
	cl.Close()
	if err := s.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	up.Store(true)
	s, cl = start()
	defer cl.Close()
	again := <-seen
	if again != first {
		t.Errorf("then %+v, want the same again: %+v", again, first)
	}
	if err := s.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
