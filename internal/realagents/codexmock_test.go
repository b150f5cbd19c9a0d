package realagents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// codexModel is a model for Codex that says what a script has: the Responses
// API, as far as Codex asks for it.
type codexModel struct {
	url    string
	slow   chan struct{} // a slow answer has begun
	broken chan struct{} // and its reader has left

	mu   sync.Mutex
	asks []codexAsk
}

// codexAsk is what Codex sent.
type codexAsk struct {
	Auth  string
	Input []codexItem `json:"input"`
}

// codexItem is an item of the conversation.
type codexItem struct {
	Type    string `json:"type"`
	Role    string `json:"role"`
	CallID  string `json:"call_id"`
	Content []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		ImageURL string `json:"image_url"`
	} `json:"content"`
	Output json.RawMessage `json:"output"`
}

// text is all that an item says.
func (i *codexItem) text() string {
	var b strings.Builder
	for _, c := range i.Content {
		b.WriteString(c.Text)
	}
	return b.String()
}

// shows reports whether a picture is in it whose URL begins so.
func (i *codexItem) shows(begin string) bool {
	for _, c := range i.Content {
		if strings.HasPrefix(c.ImageURL, begin) {
			return true
		}
	}
	return false
}

// history is all that was said.
func (a *codexAsk) history() string {
	var b strings.Builder
	for i := range a.Input {
		b.WriteString(a.Input[i].text() + "\n")
	}
	return b.String()
}

func newCodexModel(t *testing.T) *codexModel {
	m := &codexModel{slow: make(chan struct{}), broken: make(chan struct{})}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

// home writes the settings that make Codex use the model.
func (m *codexModel) home(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	settings := fmt.Sprintf(`model = "scripted"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "%s/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 0
stream_max_retries = 0
`, m.url)
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// asked is what Codex sent so far.
func (m *codexModel) asked() []codexAsk {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]codexAsk{}, m.asks...)
}

func (m *codexModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/responses" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	ask := codexAsk{Auth: r.Header.Get("Authorization")}
	if err := json.Unmarshal(body, &ask); err != nil || len(ask.Input) == 0 {
		http.Error(w, "no input", http.StatusUnprocessableEntity)
		return
	}
	m.mu.Lock()
	m.asks = append(m.asks, ask)
	n := len(m.asks)
	m.mu.Unlock()
	last := &ask.Input[len(ask.Input)-1]
	said := last.text()
	if strings.Contains(said, "refuse this") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"the script refuses","type":"invalid_request_error"}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	a := codexAnswer{w: w, id: fmt.Sprintf("resp_%d", n)}
	a.event("response.created", map[string]any{"response": map[string]any{"id": a.id}})
	switch {
	case last.Type == "function_call_output":
		a.say("both commands have run")
	case strings.Contains(said, "two commands"):
		a.call("call_one", "sleep 0.2; echo one")
		a.call("call_two", "echo two; exit 3")
	case strings.Contains(said, "be slow"):
		a.event("response.output_item.added", map[string]any{"item": map[string]any{"type": "message", "role": "assistant", "id": "msg_slow", "content": []any{}}})
		a.event("response.output_text.delta", map[string]any{"item_id": "msg_slow", "delta": "I begin"})
		close(m.slow)
		<-r.Context().Done()
		close(m.broken)
		return
	default:
		a.say("I heard: " + said)
	}
	a.complete()
}

// codexAnswer is one answer of the model.
type codexAnswer struct {
	w  http.ResponseWriter
	id string
}

func (a *codexAnswer) event(name string, data map[string]any) {
	data["type"] = name
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // maps of strings encode
	}
	_, _ = fmt.Fprintf(a.w, "event: %s\ndata: %s\n\n", name, b)
	a.w.(http.Flusher).Flush()
}

func (a *codexAnswer) say(text string) {
	a.event("response.output_item.done", map[string]any{"item": map[string]any{
		"type": "message", "role": "assistant", "id": "msg_" + a.id, "content": []any{map[string]any{"type": "output_text", "text": text}},
	}})
}

func (a *codexAnswer) call(id, command string) {
	arguments, err := json.Marshal(map[string]string{"cmd": command})
	if err != nil {
		panic(err)
	}
	a.event("response.output_item.done", map[string]any{"item": map[string]any{
		"type": "function_call", "call_id": id, "name": "exec_command", "arguments": string(arguments),
	}})
}

func (a *codexAnswer) complete() {
	a.event("response.completed", map[string]any{"response": map[string]any{"id": a.id, "usage": map[string]any{
		"input_tokens": 100, "input_tokens_details": map[string]any{"cached_tokens": 20},
		"output_tokens": 10, "output_tokens_details": map[string]any{"reasoning_tokens": 4}, "total_tokens": 110,
	}}})
}
