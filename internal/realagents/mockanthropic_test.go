package realagents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// newAnthropic is a model behind the Messages API.
func newAnthropic(t *testing.T) *model {
	m := &model{tools: map[string]string{"BASH": "Bash"}}
	var calls atomic.Int64
	return newModel(t, m, func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Stream   bool
			Model    string
			Tools    []json.RawMessage
			Messages []struct {
				Role    string
				Content json.RawMessage
			}
		}
		body, err := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/messages" || err != nil || json.Unmarshal(body, &q) != nil {
			http.Error(w, `{"type":"error","error":{"type":"not_found_error","message":"not in this script"}}`, http.StatusNotFound)
			return
		}
		var conversation []said
		for _, message := range q.Messages {
			conversation = append(conversation, readAnthropic(message.Role, message.Content))
		}
		a := answer{text: "a title"}
		if len(q.Tools) > 0 { // what has none is beside the conversation
			a = m.answer(conversation)
		}
		id := fmt.Sprintf("%d", calls.Add(1))
		if !q.Stream {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"id":"msg_%s","type":"message","role":"assistant","model":%s,"content":[{"type":"text","text":%s}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`, id, quoted(q.Model), quoted(a.text))
			return
		}
		m.streamAnthropic(w, r, id, q.Model, a)
	})
}

func readAnthropic(role string, content json.RawMessage) said {
	s := said{role: role}
	if json.Unmarshal(content, &s.text) == nil {
		return s
	}
	var blocks []struct {
		Type, Text string
		Content    json.RawMessage
	}
	_ = json.Unmarshal(content, &blocks) // else it has none
	for _, b := range blocks {
		switch {
		case b.Type == "text" && !strings.HasPrefix(b.Text, "<system-reminder>"):
			s.text += b.Text
		case b.Type == "image":
			s.images++
		case b.Type == "tool_result":
			s.result += string(b.Content)
		}
	}
	return s
}

func (m *model) streamAnthropic(w http.ResponseWriter, r *http.Request, id, name string, a answer) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(event, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q%s}\n\n", event, event, fmt.Sprintf(format, args...))
		w.(http.Flusher).Flush()
	}
	index := 0
	block := func(start, kind, member, text string) {
		send("content_block_start", `,"index":%d,"content_block":%s`, index, start)
		for _, part := range words(text) {
			send("content_block_delta", `,"index":%d,"delta":{"type":%q,%q:%s}`, index, kind, member, quoted(part))
		}
	}
	end := func() {
		send("content_block_stop", `,"index":%d`, index)
		index++
	}
	send("message_start", `,"message":{"id":"msg_%s","type":"message","role":"assistant","model":%s,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}`, id, quoted(name))
	if a.thinking != "" {
		block(`{"type":"thinking","thinking":"","signature":""}`, "thinking_delta", "thinking", a.thinking)
		send("content_block_delta", `,"index":%d,"delta":{"type":"signature_delta","signature":"c2ln"}`, index)
		end()
	}
	block(`{"type":"text","text":""}`, "text_delta", "text", a.text)
	if a.hold {
		m.waits(r)
		return
	}
	end()
	stop := "end_turn"
	if a.tool != "" {
		block(fmt.Sprintf(`{"type":"tool_use","id":"toolu_%s","name":%q,"input":{}}`, id, a.tool), "input_json_delta", "partial_json", a.input)
		end()
		stop = "tool_use"
	}
	send("message_delta", `,"delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":9}`, stop)
	send("message_stop", "")
}
