package client_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// What a turn says on the wire is read back, of the list and of one.
func TestTurnsAreRead(t *testing.T) {
	server := exampleServer()
	defer server.Close()
	c, err := client.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := "a turn/ü"
	for _, d := range []store.Draft{
		{Type: "prompt", Turn: id, Data: []byte(`{"text":"Look"}`)},
		{Type: "turn_start", Turn: id, Data: []byte(`{"agent":"claude"}`)},
		{Type: "tool_start", Turn: id, Data: []byte(`{"id":"toolu_1","name":"Read","input":{}}`)},
		{Type: "tool_result", Turn: id, Data: []byte(`{"id":"toolu_1","isError":true}`)},
		{Type: "text", Turn: id, Data: []byte(`{"text":"Done <b>."}`)},
		{Type: "turn_end", Turn: id, Data: []byte(`{"success":true,"usage":{"in":1},"costUsd":0.10}`)},
		{Type: "prompt", Turn: "two", Data: []byte(`{"text":"Again"}`)},
	} {
		if _, err := c.Append(t.Context(), "s1", client.AppendOptions{}, d); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Turn(t.Context(), "s1", id)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != store.TurnEnded || got.Success == nil || !*got.Success || got.Text != "Done <b>." || got.Prompt != "Look" || got.Agent != "claude" || got.CostUSD != json.Number("0.10") ||
		string(got.Usage) != `{"in":1}` || got.ToolCalls != 1 || len(got.Tools) != 1 || got.Tools[0].Name != "Read" || !got.Tools[0].IsError || got.First != 1 || got.Last != 6 || got.EndedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	var seen []string
	f := store.TurnFilter{Session: "s1", Limit: 1, Since: got.QueuedAt.Time, Until: time.Now().Add(time.Minute)}
	for range 3 {
		page, err := c.Turns(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, turn := range page.Turns {
			seen = append(seen, turn.Turn)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if len(seen) != 2 || seen[0] != "two" || seen[1] != id {
		t.Errorf("listed %q", seen)
	}
	page, err := c.Turns(t.Context(), store.TurnFilter{State: store.TurnQueued})
	if err != nil || len(page.Turns) != 1 || page.Turns[0].Turn != "two" || page.Turns[0].Success != nil {
		t.Errorf("queued turns of all sessions: got %+v, %v", page, err)
	}
	if page, err := c.Turns(t.Context(), store.TurnFilter{Session: "s1", Tool: "Bash"}); err != nil || len(page.Turns) != 0 {
		t.Errorf("turns with a tool that none has called: got %+v, %v", page, err)
	}
	if _, err := c.Turn(t.Context(), "s1", "none"); !errors.Is(err, store.ErrTurnNotFound) {
		t.Errorf("a turn that is not there: got %v", err)
	}
	if _, err := c.Turn(t.Context(), "none", "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a session that is not there: got %v", err)
	}
}
