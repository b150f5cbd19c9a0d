package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

// obj is a JSON object of a recording.
type obj map[string]any

func (o obj) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func (o obj) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o obj) list(path ...string) (all []obj) {
	list, _ := o.at(path...).([]any)
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// recorded maps what an agent printed to events, as far as text, thinking and
// tools go. Everything else stays the agent's own.
type recorded struct {
	log     []store.Event
	turn    int
	message string            // of Claude Code: the one that streams
	blocks  map[string]any    // of Claude Code: the block that streams, by type
	kinds   map[string]string // of opencode: what a part is
}

func (r *recorded) emit(typ, parent string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // decoded JSON encodes
	}
	r.log = append(r.log, store.Event{Type: typ, Turn: fmt.Sprintf("5f0c7f0a-7a3e-7d5e-9d53-%012d", r.turn), Parent: parent, Data: b})
}

func (r *recorded) line(line []byte) {
	var o obj
	if json.Unmarshal(line, &o) != nil {
		r.emit("agent", "", string(line))
		return
	}
	if inner, ok := o["msg"].(map[string]any); ok {
		o = inner
	}
	before := len(r.log)
	r.claude(o)
	r.gemini(o)
	r.acp(o)
	r.opencode(o)
	r.codex(o)
	r.responses(o)
	if len(r.log) == before {
		r.emit("agent", "", o)
	}
}

func (r *recorded) claude(o obj) {
	if typ := o.text("type"); strings.HasPrefix(typ, "content_block_") || typ == "message_start" { // the model's own stream
		o = obj{"type": "stream_event", "event": map[string]any(o)}
	}
	parent := o.text("parent_tool_use_id")
	switch o.text("type") {
	case "stream_event":
		e := obj(o.at("event").(map[string]any))
		block := fmt.Sprint(r.message, ":", e.at("index"))
		switch e.text("type") {
		case "message_start":
			r.message = e.text("message", "id")
		case "content_block_start":
			r.blocks[e.text("content_block", "type")] = block
			if e.text("content_block", "type") == "tool_use" {
				r.blocks[block] = e.text("content_block", "id")
				r.emit("tool_start", parent, obj{"id": e.text("content_block", "id"), "name": e.text("content_block", "name"), "input": obj{}})
			}
		case "content_block_delta":
			switch e.text("delta", "type") {
			case "text_delta":
				r.emit("text_delta", parent, obj{"text": e.text("delta", "text"), "block": block})
			case "thinking_delta":
				r.emit("thinking_delta", parent, obj{"text": e.text("delta", "thinking"), "block": block})
			case "input_json_delta":
				r.emit("tool_delta", parent, obj{"id": r.blocks[block], "text": e.text("delta", "partial_json")})
			}
		}
	case "assistant", "user":
		for _, c := range o.list("message", "content") {
			switch c.text("type") {
			case "text":
				if o.text("type") == "user" {
					r.emit("prompt", parent, obj{"text": c.text("text")})
					continue
				}
				r.emit("text", parent, obj{"text": c.text("text"), "block": r.blocks["text"]})
			case "thinking":
				r.emit("thinking", parent, obj{"text": c.text("thinking"), "block": r.blocks["thinking"]})
			case "tool_use":
				r.emit("tool_start", parent, obj{"id": c["id"], "name": c["name"], "input": c["input"]})
			case "tool_result":
				r.emit("tool_result", parent, obj{"id": c["tool_use_id"], "output": c["content"]})
			}
		}
	case "result":
		if o["duration_api_ms"] != nil {
			r.emit("turn_end", "", obj{"success": true})
			r.turn++
		}
	}
}

func (r *recorded) gemini(o obj) {
	switch o.text("type") {
	case "message":
		if o["delta"] == true {
			r.emit("text_delta", "", obj{"text": o["content"]})
		} else if o.text("role") == "user" {
			r.emit("prompt", "", obj{"text": o["content"]})
		}
	case "tool_use":
		r.emit("tool_start", "", obj{"id": o["tool_id"], "name": o["tool_name"], "input": o["parameters"]})
	case "tool_result":
		r.emit("tool_result", "", obj{"id": o["tool_id"], "output": o["output"]})
	}
}

func (r *recorded) acp(o obj) {
	u, ok := o.at("params", "update").(map[string]any)
	if !ok {
		return
	}
	switch u := obj(u); u.text("sessionUpdate") {
	case "agent_message_chunk":
		r.emit("text_delta", "", obj{"text": u.text("content", "text")})
	case "agent_thought_chunk":
		r.emit("thinking_delta", "", obj{"text": u.text("content", "text")})
	case "tool_call":
		r.emit("tool_start", "", obj{"id": u["toolCallId"], "name": u["title"]})
	case "tool_call_update":
		r.emit("tool_result", "", obj{"id": u["toolCallId"], "output": u["content"]})
	}
}

func (r *recorded) opencode(o obj) {
	switch o.text("type") {
	case "message.part.delta":
		part := o.text("properties", "partID")
		r.emit(r.kinds[part]+"_delta", "", obj{"text": o.text("properties", "delta"), "block": part})
	case "message.part.updated":
		part, kind := o.text("properties", "part", "id"), map[string]string{"text": "text", "reasoning": "thinking"}[o.text("properties", "part", "type")]
		if r.kinds[part] = kind; kind != "" {
			r.emit(kind, "", obj{"text": o.text("properties", "part", "text"), "block": part})
		}
	}
}

func (r *recorded) codex(o obj) {
	if o.text("type") != "item.completed" {
		return
	}
	switch o.text("item", "type") {
	case "agent_message":
		r.emit("text", "", obj{"text": o.text("item", "text")})
	case "reasoning":
		r.emit("thinking", "", obj{"text": o.text("item", "text")})
	case "command_execution":
		r.emit("tool_result", "", obj{"id": o.text("item", "id"), "output": o.text("item", "aggregated_output")})
	}
}

// responses reads the stream of the OpenAI Responses API.
func (r *recorded) responses(o obj) {
	block := fmt.Sprint(o["item_id"], ":", o["content_index"])
	switch o.text("type") {
	case "response.output_text.delta":
		r.emit("text_delta", "", obj{"text": o["delta"], "block": block})
	case "response.output_text.done":
		r.emit("text", "", obj{"text": o["text"], "block": block})
	case "response.function_call_arguments.delta":
		r.emit("tool_delta", "", obj{"id": o["item_id"], "text": o["delta"]})
	}
}

func readRecording(tb testing.TB, file string) []store.Event {
	tb.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	r := recorded{blocks: map[string]any{}, kinds: map[string]string{}}
	for line := range bytes.Lines(body) {
		r.line(bytes.TrimSpace(line))
	}
	return number(r.log)
}

const claudeRecording = "../testdata/recordings/claude-code-duplex-4turns.jsonl"

// What agents really print renders the same folded, at every split.
func TestP12_Recordings(t *testing.T) {
	files, _ := filepath.Glob("../testdata/recordings/*") // the pattern is right
	if more := os.Getenv("KONLOG_RECORDINGS"); more != "" {
		others, _ := filepath.Glob(filepath.Join(more, "*.jsonl"))
		files = append(files, others...)
	}
	if len(files) == 0 {
		t.Fatal("no recordings")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			log := readRecording(t, file)
			if len(log) == 0 {
				t.Fatal("the recording gave no events")
			}
			checkP12(t, log, rand.New(rand.NewPCG(7, 12)))
			folded := store.Fold(log)
			t.Logf("%d events, %d bytes; folded %d events, %d bytes", len(log), len(lines(log)), len(folded), len(lines(folded)))
		})
	}
}

// BenchmarkFold folds pages of FoldEventsMax deltas of 15 bytes, and the
// recording of Claude Code with its partial messages.
func BenchmarkFold(b *testing.B) {
	deltas := make([]store.Event, store.FoldEventsMax)
	for i := range deltas {
		deltas[i] = within(ev("text_delta", `{"text":"fifteen bytes..","block":"msg_01AbCdEfGhIjKlMnOpQrStUv:0"}`), "5f0c7f0a-7a3e-7d5e-9d53-000000000001", "")
	}
	for name, log := range map[string][]store.Event{"deltas": number(deltas), "claude": readRecording(b, claudeRecording)} {
		for i := range log {
			log[i].Seal()
		}
		b.Run(name, func(b *testing.B) {
			var folded []store.Event
			for b.Loop() {
				folded = store.Fold(log)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(log)), "ns/event")
			b.ReportMetric(float64(len(log))/float64(len(folded)), "×events")
			b.ReportMetric(float64(len(lines(log)))/float64(len(lines(folded))), "×bytes")
		})
	}
}
