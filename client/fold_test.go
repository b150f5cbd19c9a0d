package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// A folded replay leaves out ids and is no broken history; what comes live
// after it comes as it is.
func TestP12_TailFolds(t *testing.T) {
	c := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	add := func(session, typ, data string, n int) {
		t.Helper()
		for range n {
			if _, err := c.Append(ctx, session, client.AppendOptions{}, store.Draft{Type: typ, Turn: "t", Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for transport, want := range map[string]string{"ws": "4 5-9 10 11 12", "sse": "4 5-9 10 11 12", "poll": "4 5-9"} {
		add(transport, "text_delta", `{"text":"x","block":1}`, 3)
		add(transport, "text", `{"text":"xxx","block":1}`, 1)
		add(transport, "text_delta", `{"text":"y","block":2}`, 5)
		o := client.TailOptions{Transport: transport, Fold: true, NoFollow: transport == "poll", Until: "12"}
		o.OnState = func(s client.State) {
			switch s.Kind {
			case client.StateCaughtUp:
				if !o.NoFollow {
					add(transport, "text_delta", `{"text":"y","block":2}`, 3)
				}
			case client.StateGap, client.StateReset, client.StateDisconnected:
				t.Errorf("%s: %+v", transport, s)
			}
		}
		var got []string
		for e, err := range c.Tail(ctx, transport, o) {
			if err != nil {
				t.Fatalf("%s: %v", transport, err)
			}
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%d-%d", e.From, e.ID), "0-"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s, want %s", transport, got, want)
		}
	}
	p, err := c.Read(ctx, "sse", client.PageQuery{Fold: true})
	if err != nil || len(p.Events) != 2 || p.Events[1].From != 5 || p.Next != 12 {
		t.Errorf("got a page of %d events up to %d, %v", len(p.Events), p.Next, err)
	}
	p, err = c.Read(ctx, "sse", client.PageQuery{Fold: true, After: 5, Limit: 1})
	if err != nil || len(p.Events) != 1 || p.Events[0].From != 6 {
		t.Errorf("from the middle of a run: got %+v, %v", p.Events, err)
	}
	if _, err := c.Read(ctx, "sse", client.PageQuery{Fold: true, Before: 5}); store.CodeOf(err) != store.CodeInvalidQuery {
		t.Errorf("backwards: got %v, want %s", err, store.CodeInvalidQuery)
	}
}
