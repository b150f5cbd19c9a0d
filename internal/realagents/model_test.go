package realagents

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// said is one message of a model request.
type said struct {
	role   string
	text   string // all its text
	result string // what tools gave
	images int
}

// answer is what the scripted model says to one request.
type answer struct {
	thinking, text string
	tool, input    string // a tool to call, with its input as JSON; or ""
	hold           bool   // the answer does not go on after the text
}

// model is a scripted model. What it is to say stands in what it is asked.
type model struct {
	*httptest.Server
	tools map[string]string // the names of its tools by the word that calls them

	mu    sync.Mutex // guards what follows
	asked [][]said   // the requests of the conversation, in order
	cut   int        // answers that the agent did not want to the end
}

// newModel starts a model on loopback.
func newModel(t *testing.T, m *model, h http.HandlerFunc) *model {
	m.Server = httptest.NewServer(h)
	t.Cleanup(m.Close)
	return m
}

// answer is the script: the last words of the user decide.
func (m *model) answer(conversation []said) answer {
	m.mu.Lock()
	m.asked = append(m.asked, conversation)
	m.mu.Unlock()
	last := said{}
	var heard []string
	for _, s := range conversation {
		if s.role == "user" {
			last = s
			heard = append(heard, strings.TrimSpace(s.text))
		}
	}
	if last.result != "" {
		return answer{text: "The tool said: " + last.result}
	}
	for word, tool := range m.tools {
		if _, input, found := strings.Cut(last.text, word+" "); found {
			return answer{thinking: "A tool is needed. ", text: "I use it. ", tool: tool, input: strings.TrimSpace(input)}
		}
	}
	lines := strings.Split(strings.TrimSpace(last.text), "\n") // agents put words that were not answered before the next ones
	if lines[len(lines)-1] == "WAIT" {
		return answer{text: "one two three four ", hold: true}
	}
	return answer{text: "I heard: " + strings.Join(heard, "; ")}
}

// waits holds an answer back until the agent goes away.
func (m *model) waits(r *http.Request) {
	<-r.Context().Done()
	m.mu.Lock()
	m.cut++
	m.mu.Unlock()
}

// last is what the model was asked last.
func (m *model) last() (all []said) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked) == 0 {
		return nil
	}
	return m.asked[len(m.asked)-1]
}

// heard is what users said in the last request, as one text.
func (m *model) heard() string {
	var all []string
	for _, s := range m.last() {
		all = append(all, s.text)
	}
	return strings.Join(all, "; ")
}

// words splits a text as it is streamed.
func words(text string) (parts []string) {
	for _, part := range strings.SplitAfter(text, " ") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// quoted is a string as JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // every string encodes
	}
	return string(b)
}
