package realagents

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// interruptMax is how long a turn may go on after somebody has stopped it: less
// than the wait before the agent is sent a signal because a word did not help.
// The agents take some 30 ms.
const interruptMax = 9 * time.Second

// picture is the smallest PNG.
const picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func newClaudeWorld(t *testing.T) (*world, *model, string) {
	t.Helper()
	file := program(t, "claude")
	m := newAnthropic(t)
	w := newWorld(t, "ANTHROPIC_BASE_URL="+m.URL, "ANTHROPIC_API_KEY=dummy", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"DISABLE_TELEMETRY=1", "DISABLE_AUTOUPDATER=1", "DISABLE_ERROR_REPORTING=1")
	return w, m, file
}

// One process keeps the conversation. All that it says is in the log, whole and
// in pieces.
func TestClaude_Conversation(t *testing.T) {
	w, m, claude := newClaudeWorld(t)
	r := w.run("s1", "--", claude)
	first := r.ask("my name is Ann")
	contains(t, "the first answer", field(first, "fullText"), "I heard: my name is Ann")
	second := r.ask("who am I")
	contains(t, "what the model was asked", m.heard(), "my name is Ann", "who am I")
	if got := r.text(second.Turn); got != field(second, "fullText") {
		t.Errorf("the log's text is %q, the turn's %q", got, field(second, "fullText"))
	}
	if pieces := r.events(func(e client.Event) bool { return e.Turn == second.Turn && e.Type == store.TypeTextDelta }); len(pieces) < 5 {
		t.Errorf("the text came in %d pieces", len(pieces))
	}
	if got := r.events(is("process_start")); len(got) != 1 {
		t.Errorf("%d processes were started for one conversation", len(got))
	}
	if got := r.events(is(store.TypeSessionInit)); len(got) == 0 || len(field(got[0], "sessionId")) != 36 {
		t.Errorf("the log does not have the agent's own session: %v", got)
	}
	r.checkTurns(2)
	r.checkUnknown()
	r.end(syscall.SIGTERM)
	if got := r.events(is(store.TypeProcessExit)); len(got) != 1 || field(got[0], "exitCode") != "0" {
		t.Errorf("the agent's end: %v", got)
	}
}

// checkUnknown requires that every line has a meaning that is known.
func (r *runner) checkUnknown() {
	r.t.Helper()
	for _, e := range r.events(is("agent")) {
		var line struct{ Type, Subtype string }
		if json.Unmarshal(e.Data, &line) != nil || line.Type == "" {
			r.t.Errorf("a line is no line of the agent's language: %.200s", e.Data)
		}
	}
}

func TestClaude_Permission(t *testing.T) {
	w, m, claude := newClaudeWorld(t)
	r := w.run("s1", "--", claude)
	answer := func(prompt string, a client.AnswerSpec) client.Event {
		turn := r.prompt(client.PromptSpec{Text: prompt})
		question := r.await("the question", is(store.TypePermissionRequest))
		if got := field(question, "tool"); got != "Bash" || question.Turn != turn {
			t.Errorf("the question is about %s in %s", got, question.Turn)
		}
		a.RequestID = field(question, "requestId")
		if _, err := r.client.Answer(t.Context(), r.session, a); err != nil {
			t.Fatal(err)
		}
		return r.await("the end of the turn", ends(turn))
	}
	made := filepath.Join(w.folder, "made.txt")
	answer(`BASH {"command":"echo this > made.txt","description":"make it"}`, client.AnswerSpec{Allow: true})
	if content, err := os.ReadFile(made); err != nil || string(content) != "this\n" {
		t.Errorf("what was allowed was not done: %q, %v", content, err)
	}
	answer(`BASH {"command":"rm -f made.txt","description":"remove it"}`, client.AnswerSpec{Message: "keep that file"})
	if _, err := os.Stat(made); err != nil {
		t.Errorf("what was refused was done: %v", err)
	}
	contains(t, "what the model was told", m.last()[len(m.last())-1].result+m.results(), "keep that file")
	answer(`BASH {"command":"rm -f made.txt","description":"remove it"}`, client.AnswerSpec{Allow: true, UpdatedInput: json.RawMessage(`{"command":"echo other > made.txt"}`)})
	if content, _ := os.ReadFile(made); string(content) != "other\n" {
		t.Errorf("the command that was given instead was not run: the file is %q", content)
	}
	r.checkTurns(3)
}

// results is what tools gave in the last request.
func (m *model) results() (all string) {
	for _, s := range m.last() {
		all += s.result
	}
	return all
}

func TestClaude_Interrupt(t *testing.T) {
	w, m, claude := newClaudeWorld(t)
	r := w.run("s1", "--", claude)
	turn := r.prompt(client.PromptSpec{Text: "WAIT"})
	r.await("the text", says("four"))
	began := time.Now()
	if _, err := r.client.Stop(t.Context(), r.session, client.StopSpec{Turn: turn}); err != nil {
		t.Fatal(err)
	}
	e := r.await("the end of the turn", ends(turn))
	took := time.Since(began)
	t.Logf("the turn ended %v after the stop", took.Round(time.Millisecond))
	if took > interruptMax || field(e, "reason") != "stopped" || field(e, "success") != "false" {
		t.Errorf("after %v the turn ended with %s", took, e.Data)
	}
	if got := r.text(turn); got != "one two three four " {
		t.Errorf("the text so far is %q", got)
	}
	r.ask("go on")
	if got := r.events(is("process_start")); len(got) != 1 {
		t.Errorf("%d processes: the interrupt ended one", len(got))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut != 1 {
		t.Errorf("the model was cut off %d times", m.cut)
	}
}

// A question that waits is taken back when its turn is stopped.
func TestClaude_InterruptOfAQuestion(t *testing.T) {
	w, _, claude := newClaudeWorld(t)
	r := w.run("s1", "--", claude)
	turn := r.prompt(client.PromptSpec{Text: `BASH {"command":"touch made.txt","description":"make it"}`})
	question := r.await("the question", is(store.TypePermissionRequest))
	if _, err := r.client.Stop(t.Context(), r.session, client.StopSpec{Turn: turn}); err != nil {
		t.Fatal(err)
	}
	back := r.await("the end of the question", is(store.TypePermissionResponse))
	if field(back, "requestId") != field(question, "requestId") || field(back, "by") != "agent" || field(back, "allow") != "false" {
		t.Errorf("the question %s ended with %s", question.Data, back.Data)
	}
	if e := r.await("the end of the turn", ends(turn)); field(e, "reason") != "stopped" {
		t.Errorf("the turn ended with %s", e.Data)
	}
	r.ask("go on")
}

// Words within a turn reach the model within that turn.
func TestClaude_Steer(t *testing.T) {
	w, m, claude := newClaudeWorld(t)
	r := w.run("s1", "--", claude)
	turn := r.prompt(client.PromptSpec{Text: `BASH {"command":"echo > made.txt","description":"make it"}`})
	question := r.await("the question", is(store.TypePermissionRequest))
	r.prompt(client.PromptSpec{Text: "and mind the colour", Turn: turn})
	r.await("the words", func(e client.Event) bool { return e.Type == store.TypePrompt && e.Turn == turn })
	r.await("the agent's receipt", func(e client.Event) bool { return strings.Contains(string(e.Data), `"state":"queued"`) })
	if _, err := r.client.Answer(t.Context(), r.session, client.AnswerSpec{RequestID: field(question, "requestId"), Allow: true}); err != nil {
		t.Fatal(err)
	}
	r.await("the end of the turn", ends(turn))
	contains(t, "what the model was asked", m.heard(), "and mind the colour")
	r.checkTurns(1)
}

// A new process, also of a new runner, knows the conversation.
func TestClaude_Resume(t *testing.T) {
	for name, flags := range map[string][]string{
		"one process for the conversation": nil,
		"one process per prompt":           {"-p"},
		"the last conversation":            {"--continue"},
	} {
		t.Run(name, func(t *testing.T) {
			w, m, claude := newClaudeWorld(t)
			r := w.run("s1", append([]string{"--", claude}, flags...)...)
			r.ask("my name is Ann")
			r.ask("my colour is red")
			contains(t, "what the model was asked", m.heard(), "Ann", "red")
			r.end(syscall.SIGTERM)
			r = w.run("s1", append([]string{"--resume", "--", claude}, flags...)...)
			r.ask("who am I")
			contains(t, "what the model was asked by a new runner", m.heard(), "Ann", "red", "who am I")
			ids := map[string]bool{}
			for _, e := range r.events(is(store.TypeSessionInit)) {
				ids[field(e, "sessionId")] = true
			}
			if len(ids) != 1 {
				t.Errorf("the conversation has the ids %v", ids)
			}
			r.checkTurns(3)
		})
	}
}

func TestClaude_Image(t *testing.T) {
	for name, flags := range map[string][]string{"as a line": nil, "as the only prompt": {"-p"}} {
		t.Run(name, func(t *testing.T) {
			w, m, claude := newClaudeWorld(t)
			r := w.run("s1", append([]string{"--", claude}, flags...)...)
			r.see(m)
		})
	}
}

// see asks about a picture.
func (r *runner) see(m *model) {
	r.t.Helper()
	content, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		r.t.Fatal(err)
	}
	blob, _, err := r.client.PutBlob(r.t.Context(), "image/png", bytes.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	ref, err := json.Marshal(map[string]any{"sha256": blob.SHA256, "contentType": "image/png", "bytes": len(content)})
	if err != nil {
		r.t.Fatal(err)
	}
	turn := r.prompt(client.PromptSpec{Text: "see this", Images: []json.RawMessage{ref}})
	if e := r.await("the end of the turn", ends(turn)); field(e, "success") != "true" {
		r.t.Errorf("the turn ended with %s", e.Data)
	}
	images := 0
	for _, s := range m.last() {
		images += s.images
	}
	if images != 1 {
		r.t.Errorf("the model saw %d pictures", images)
	}
	contains(r.t, "what the model was asked", m.heard(), "see this")
}
