package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/konlog/konlog/store"
)

// benchTurn is a turn as long as an agent's long day.
const benchTurn = "5f0c7f0a-7a3e-7d5e-9d53-000000000001"

// textDeltas is one answer of n deltas of 15 bytes.
func textDeltas(n int) []store.Draft {
	drafts := make([]store.Draft, n)
	for i := range drafts {
		drafts[i] = store.Draft{Type: "text_delta", Turn: benchTurn, Data: []byte(`{"text":"fifteen bytes..","block":"msg_01AbCdEfGhIjKlMnOpQrStUv:0"}`)}
	}
	return drafts
}

// claudeDrafts is the text, thinking and tools of the recording with partial
// messages, over and over.
func claudeDrafts(tb testing.TB, n int) (drafts []store.Draft) {
	tb.Helper()
	body, err := os.ReadFile("../../testdata/recordings/claude-code-duplex-4turns.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	type content struct {
		Type, Text, Thinking, ID, Name, ToolUseID string
		Input, Content                            json.RawMessage
	}
	type message struct {
		Type  string
		Event struct {
			Type  string
			Index int
			Delta struct {
				Type, Text, Thinking string
				Partial              string `json:"partial_json"`
			}
			Block   content `json:"content_block"`
			Message struct{ ID string }
		}
		Message struct{ Content []content }
	}
	for round := 0; len(drafts) < n; round++ {
		msg, block, tool := "", "", ""
		add := func(typ string, data map[string]any) {
			b, err := json.Marshal(data)
			if err != nil {
				tb.Fatal(err)
			}
			drafts = append(drafts, store.Draft{Type: typ, Turn: fmt.Sprintf("5f0c7f0a-7a3e-7d5e-9d53-%012d", round), Data: b})
		}
		for line := range bytes.Lines(body) {
			var l struct{ Msg message }
			if json.Unmarshal(line, &l) != nil {
				continue
			}
			switch e := &l.Msg.Event; e.Type {
			case "message_start":
				msg = fmt.Sprint(e.Message.ID, "_", round)
			case "content_block_start":
				if block, tool = fmt.Sprint(msg, ":", e.Index), fmt.Sprint(e.Block.ID, "_", round); e.Block.Type == "tool_use" {
					add("tool_start", map[string]any{"id": tool, "name": e.Block.Name, "input": e.Block.Input})
				}
			case "content_block_delta":
				switch e.Delta.Type {
				case "text_delta":
					add("text_delta", map[string]any{"text": e.Delta.Text, "block": block})
				case "thinking_delta":
					add("thinking_delta", map[string]any{"text": e.Delta.Thinking, "block": block})
				case "input_json_delta":
					add("tool_delta", map[string]any{"id": tool, "text": e.Delta.Partial})
				}
			}
			if l.Msg.Type != "assistant" {
				continue
			}
			for _, c := range l.Msg.Message.Content {
				switch c.Type {
				case "text":
					add("text", map[string]any{"text": c.Text, "block": block})
				case "thinking":
					add("thinking", map[string]any{"text": c.Thinking, "block": block})
				case "tool_use":
					add("tool_start", map[string]any{"id": fmt.Sprint(c.ID, "_", round), "name": c.Name, "input": c.Input})
				}
			}
		}
	}
	return drafts
}

// BenchmarkFoldedRead measures what a reader of a session of 50,000 deltas
// waits for: its first page as a stream reads it, and the whole session, from
// the database (old), from memory (busy), folded and not, with and without
// stored folds.
func BenchmarkFoldedRead(b *testing.B) {
	const n = 50_000
	for name, drafts := range map[string][]store.Draft{"text": textDeltas(n), "claude": claudeDrafts(b, n)} {
		for _, cache := range []int64{-1, 1 << 30} {
			l, err := Open(context.Background(), b.TempDir(), Options{NoSync: true, CacheBytes: cache})
			if err != nil {
				b.Fatal(err)
			}
			for part := range slices.Chunk(drafts, 2000) {
				if _, err := l.Append(context.Background(), "s", store.AppendOptions{}, part...); err != nil {
					b.Fatal(err)
				}
			}
			from := map[bool]string{true: "old", false: "busy"}[cache < 0]
			benchReads(b, l, name+"/"+from+"/raw", store.Query{})
			benchReads(b, l, name+"/"+from+"/fold", store.Query{Fold: true})
			if cache < 0 {
				if err := l.storeFold(context.Background(), "s", 1, int64(len(drafts))); err != nil {
					b.Fatal(err)
				}
				benchReads(b, l, name+"/"+from+"/stored", store.Query{Fold: true})
			}
			_ = l.Close()
		}
	}
}

func benchReads(b *testing.B, l *Log, name string, q store.Query) {
	q.Limit = store.Limit{Events: 512, Bytes: 256 << 10} // what a stream reads at a time
	b.Run(name+"/first", func(b *testing.B) {
		var p store.Page
		for b.Loop() {
			p, _ = l.Read(context.Background(), "s", q) // the pages are checked below
		}
		size := 0
		for i := range p.Events {
			size += p.Events[i].WireSize(false)
		}
		b.ReportMetric(float64(p.Events[len(p.Events)-1].ID), "ids")
		b.ReportMetric(float64(size), "bytes")
		b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
	})
	b.Run(name+"/all", func(b *testing.B) {
		var all []store.Event
		pages := 0
		for b.Loop() {
			pages, all = readAll(b, l, q)
		}
		size := 0
		for i := range all {
			size += all[i].WireSize(false)
		}
		b.ReportMetric(float64(pages), "pages")
		b.ReportMetric(float64(len(all)), "events")
		b.ReportMetric(float64(size), "bytes")
		b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
	})
}
