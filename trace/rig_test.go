package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

var errAway = errors.New("the collector is away")

// collector takes spans, or does not.
type collector struct {
	mu     sync.Mutex // guards what follows
	spans  []span
	tries  int
	refuse int           // so many attempts; -1 is all
	hang   chan struct{} // or nil; an attempt then waits for it, or for its context
}

func (c *collector) export(ctx context.Context, spans []span) error {
	c.mu.Lock()
	c.tries++
	refused, hang := c.refuse != 0, c.hang
	if c.refuse > 0 {
		c.refuse--
	}
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if refused {
		return errAway
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, slices.Clone(spans)...)
	return nil
}

func (c *collector) close(context.Context) error { return nil }

func (c *collector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func (c *collector) attempts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries
}

// named are the spans whose name begins so.
func (c *collector) named(prefix string) (found []span) {
	for _, s := range c.all() {
		if strings.HasPrefix(s.name, prefix) {
			found = append(found, s)
		}
	}
	return found
}

// of returns an attribute as text, "" without it.
func (s *span) of(key string) string {
	for _, a := range s.attrs {
		if a.key == key {
			return fmt.Sprint(a.value)
		}
	}
	return ""
}

// text is all that a span says.
func (s *span) text() string { return fmt.Sprint(s.name, s.attrs, s.reason) }

// rig is a log in memory with a hub.
type rig struct {
	*testing.T
	log *memory.Log
	hub *stream.Hub
}

func newRig(t *testing.T) *rig {
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	t.Cleanup(func() { _ = log.Close() })
	return &rig{t, log, hub}
}

func (r *rig) append(session string, drafts ...store.Draft) store.Appended {
	r.Helper()
	a, err := r.log.Append(ctx, session, store.AppendOptions{}, drafts...)
	if err != nil {
		r.Fatal(err)
	}
	return a
}

func draft(typ, turn, data string) store.Draft {
	return store.Draft{Type: typ, Turn: turn, Data: []byte(data)}
}

// aTurn is one turn with two tools, the second below the first.
func aTurn(turn string) []store.Draft {
	below := draft("tool_start", turn, `{"id":"c2","name":"Read","input":{"file":"INNER"}}`)
	below.Parent = "c1"
	belowEnd := draft("tool_result", turn, `{"id":"c2","output":"INNER RESULT","isError":true}`)
	belowEnd.Parent = "c1"
	return []store.Draft{
		draft("prompt", turn, `{"text":"PROMPT","source":"console"}`),
		draft("turn_start", turn, `{"agent":"claude"}`),
		draft("session_init", turn, `{"sessionId":"own-1","model":"claude-opus-5"}`),
		draft("text", turn, `{"text":"SAID"}`),
		draft("tool_start", turn, `{"id":"c1","name":"Task","input":"ARGUMENT"}`),
		below, belowEnd,
		draft("tool_result", turn, `{"id":"c1","output":"RESULT"}`),
		draft("usage", turn, `{"model":"claude-opus-5","durationMs":20,"input_tokens":7}`),
		draft("turn_end", turn, `{"success":true,"costUsd":0.25,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":3}}`),
	}
}

func (r *rig) start(c *collector, dir string, change func(*Config)) *Tracer {
	r.Helper()
	cfg := Config{Endpoint: "http://127.0.0.1:4318", GenAI: true, Dir: dir, Log: r.log, Hub: r.hub, Turns: r.log}
	if change != nil {
		change(&cfg)
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	tr, err := start(ctx, cfg, c)
	if err != nil {
		r.Fatal(err)
	}
	return tr
}
