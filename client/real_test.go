package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// serve starts a real server over the memory engine and returns its client.
func serve(t testing.TB) *client.Client {
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
	return c
}

func TestI9_RealServerGivesTheSameBytesOnEveryTransport(t *testing.T) {
	c := serve(t)
	const events = 300
	go func() {
		p := c.Producer("s1", "p", 1)
		for i := range events {
			d := store.Draft{Type: "text_delta", Data: fmt.Appendf(nil, `{"n" : %d.0}`, i), Raw: []byte(`{"line":1}`)}
			if _, err := p.Append(t.Context(), d); err != nil {
				t.Error(err)
				return
			}
		}
		if _, err := c.CloseSession(t.Context(), "s1"); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, _, err := c.CreateSession(ctx, "s1", store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	var first []string
	for _, transport := range []string{"auto", "ws", "sse", "poll"} {
		var got []string
		for e, err := range c.Tail(ctx, "s1", client.TailOptions{Transport: transport, Raw: true}) {
			if err != nil {
				t.Fatalf("%s: %v", transport, err)
			}
			got = append(got, string(e.JSON))
			if e.Type == store.TypeSessionClosed {
				break
			}
		}
		if first == nil {
			first = got
		}
		if len(got) != events+1 || fmt.Sprint(got) != fmt.Sprint(first) {
			t.Fatalf("%s: %d events, not the same as before", transport, len(got))
		}
	}
	n := 0
	for e, err := range c.Export(ctx, "s1", 0) {
		if err != nil || string(e.JSON) != first[n] {
			t.Fatalf("export %d: %s, %v", n, e.JSON, err)
		}
		n++
	}
	if n != events+1 {
		t.Fatalf("exported %d", n)
	}
}

func TestRealServerEndsAndRefusals(t *testing.T) {
	c := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 20 {
		if _, err := c.Append(ctx, "s1", client.AppendOptions{}, store.Draft{Type: []string{"a", "b"}[i%2]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, transport := range []string{"ws", "sse", "poll"} {
		for name, tc := range map[string]struct {
			o    client.TailOptions
			want int
		}{
			"until":    {client.TailOptions{Until: "8"}, 8},
			"tail":     {client.TailOptions{Tail: 3, NoFollow: true}, 3},
			"types":    {client.TailOptions{Types: []string{"b"}, NoFollow: true}, 10},
			"beyond":   {client.TailOptions{After: 99, NoFollow: true}, 20},
			"caughtup": {client.TailOptions{After: 15, NoFollow: true}, 5},
		} {
			tc.o.Transport = transport
			n := 0
			for _, err := range c.Tail(ctx, "s1", tc.o) {
				if err != nil {
					t.Fatalf("%s %s: %v", transport, name, err)
				}
				n++
			}
			if n != tc.want {
				t.Errorf("%s %s: %d events, want %d", transport, name, n, tc.want)
			}
		}
		for _, err := range c.Tail(ctx, "nobody", client.TailOptions{Transport: transport}) {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: got %v, want not found", transport, err)
			}
		}
		for _, err := range c.Tail(ctx, "s1", client.TailOptions{Transport: transport, Until: "x", NoFollow: true}) {
			if store.CodeOf(err) != store.CodeInvalidQuery {
				t.Errorf("%s: got %v, want invalid query", transport, err)
			}
		}
	}
	head := int64(3)
	_, err := c.Append(ctx, "s1", client.AppendOptions{ExpectHead: &head}, store.Draft{Type: "a"})
	var refusal *store.Error
	if !errors.Is(err, store.ErrHeadMoved) || !errors.As(err, &refusal) || refusal.Want != 20 {
		t.Errorf("got %v, want head moved to 20", err)
	}
	if h, err := c.Health(ctx); err != nil || !h.Transports["websocket"] {
		t.Errorf("health %+v, %v", h, err)
	}
	if page, err := c.Sessions(ctx, store.SessionFilter{}); err != nil || len(page.Sessions) != 1 || page.Sessions[0].Head != 20 {
		t.Errorf("sessions %+v, %v", page, err)
	}
}

func TestRealServerDeleteEndsTheTail(t *testing.T) {
	for _, transport := range []string{"ws", "sse", "poll"} {
		c := serve(t)
		if _, err := c.Append(t.Context(), "s1", client.AppendOptions{}, store.Draft{Type: "a"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, err := range c.Tail(ctx, "s1", client.TailOptions{Transport: transport}) {
			if err != nil {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s: got %v, want not found", transport, err)
				}
				break
			}
			if err := c.DeleteSession(ctx, "s1"); err != nil {
				t.Error(err)
			}
		}
	}
}
