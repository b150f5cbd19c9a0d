package realagents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// newGemini is a model behind the Gemini API.
func newGemini(t *testing.T) *model {
	m := &model{tools: map[string]string{"BASH": "run_shell_command"}}
	return newModel(t, m, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case strings.HasSuffix(r.URL.Path, ":streamGenerateContent"):
			m.streamGemini(w, r, m.answer(readGemini(body)))
		case strings.HasSuffix(r.URL.Path, ":countTokens"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"totalTokens":10}`)
		default:
			http.Error(w, `{"error":{"code":404,"message":"not in this script"}}`, http.StatusNotFound)
		}
	})
}

func readGemini(body []byte) (conversation []said) {
	var q struct {
		Contents []struct {
			Role  string
			Parts []struct {
				Text             string
				InlineData       json.RawMessage
				FunctionResponse struct{ Response json.RawMessage }
			}
		}
	}
	_ = json.Unmarshal(body, &q) // else it is empty
	for _, c := range q.Contents {
		s := said{role: c.Role}
		for _, p := range c.Parts {
			if !strings.HasPrefix(p.Text, "<session_context>") {
				s.text += p.Text
			}
			if p.InlineData != nil {
				s.images++
			}
			s.result += string(p.FunctionResponse.Response)
		}
		conversation = append(conversation, s)
	}
	return conversation
}

func (m *model) streamGemini(w http.ResponseWriter, r *http.Request, a answer) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(part, finish string) {
		_, _ = fmt.Fprintf(w, "data: {\"candidates\":[{\"index\":0,\"content\":{\"role\":\"model\",\"parts\":[%s]}%s}],\"usageMetadata\":{\"promptTokenCount\":12,\"candidatesTokenCount\":9,\"totalTokenCount\":21}}\n\n", part, finish)
		w.(http.Flusher).Flush()
	}
	if a.thinking != "" {
		send(`{"thought":true,"text":`+quoted("**Thought** "+a.thinking)+`}`, "")
	}
	for _, part := range words(a.text) {
		send(`{"text":`+quoted(part)+`}`, "")
	}
	if a.hold {
		m.waits(r)
		return
	}
	last := `{"text":""}`
	if a.tool != "" {
		last = `{"functionCall":{"name":` + quoted(a.tool) + `,"args":` + a.input + `}}`
	}
	send(last, `,"finishReason":"STOP"`)
}
