package realagents

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const geminiSettings = `{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}`

func newGeminiWorld(t *testing.T) (*world, *model, []string) {
	t.Helper()
	file := program(t, "gemini")
	m := newGemini(t)
	w := newWorld(t, "GOOGLE_GEMINI_BASE_URL="+m.URL, "GEMINI_API_KEY=dummy", "GEMINI_CLI_TRUST_WORKSPACE=true")
	if err := os.Mkdir(filepath.Join(w.home, ".gemini"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.home, ".gemini", "settings.json"), []byte(geminiSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, m, []string{file, "--model", "gemini-2.5-flash"}
}

// Each prompt has a process, and each process goes on with the session of the
// one before, also that of a new runner.
func TestGemini_Conversation(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	r := w.run("s1", append([]string{"--"}, gemini...)...)
	first := r.ask("my name is Ann")
	contains(t, "the first answer", r.text(first.Turn), "I heard: my name is Ann")
	r.ask("my colour is red")
	contains(t, "what the model was asked", m.heard(), "Ann", "red")
	r.end(syscall.SIGTERM)
	r = w.run("s1", append([]string{"--resume", "--"}, gemini...)...)
	r.ask("who am I")
	contains(t, "what the model was asked by a new runner", m.heard(), "Ann", "red", "who am I")
	r.checkTurns(3)
	if got := r.events(is("process_start")); len(got) != 3 {
		t.Errorf("%d processes for 3 prompts", len(got))
	}
}

func TestGemini_Tool(t *testing.T) {
	w, _, gemini := newGeminiWorld(t)
	r := w.run("s1", append(append([]string{"--"}, gemini...), "--approval-mode", "yolo")...)
	turn := r.prompt(client.PromptSpec{Text: `BASH {"command":"echo this > made.txt","description":"make it"}`})
	start := r.await("the tool", is(store.TypeToolStart))
	result := r.await("its result", is(store.TypeToolResult))
	if field(start, "name") != "run_shell_command" || field(start, "id") == "" || field(start, "id") != field(result, "id") {
		t.Errorf("the tool is %s, its result %s", start.Data, result.Data)
	}
	r.await("the end of the turn", ends(turn))
	if content, err := os.ReadFile(filepath.Join(w.folder, "made.txt")); err != nil || string(content) != "this\n" {
		t.Errorf("the tool made %q, %v", content, err)
	}
}

func TestGemini_Interrupt(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	r := w.run("s1", append([]string{"--"}, gemini...)...)
	turn := r.prompt(client.PromptSpec{Text: "WAIT"})
	r.stopped(m, turn)
	r.ask("go on")
	contains(t, "what the model was asked", m.heard(), "WAIT", "go on")
}

// stopped stops a turn in the middle of its text, and requires that the text is
// kept.
func (r *runner) stopped(m *model, turn string) {
	r.t.Helper()
	r.await("the text", says("four"))
	began := time.Now()
	if _, err := r.client.Stop(r.t.Context(), r.session, client.StopSpec{Turn: turn}); err != nil {
		r.t.Fatal(err)
	}
	e := r.await("the end of the turn", ends(turn))
	took := time.Since(began)
	r.t.Logf("the turn ended %v after the stop", took.Round(time.Millisecond))
	if took > interruptMax || field(e, "reason") != "stopped" || field(e, "success") != "false" {
		r.t.Errorf("after %v the turn ended with %s", took, e.Data)
	}
	if got := r.text(turn); got != "one two three four " {
		r.t.Errorf("the text so far is %q", got)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut != 1 {
		r.t.Errorf("the model was cut off %d times", m.cut)
	}
}

func TestGemini_Image(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	w.run("s1", append([]string{"--"}, gemini...)...).see(m)
}

func TestACP_Conversation(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	r := w.run("s1", append(append([]string{"--"}, gemini...), "--acp")...)
	first := r.ask("my name is Ann")
	if got := r.text(first.Turn); got != "I heard: my name is Ann" {
		t.Errorf("the first answer is %q", got)
	}
	r.ask("who am I")
	contains(t, "what the model was asked", m.heard(), "Ann", "who am I")
	r.see(m)
	if got := r.events(is("process_start")); len(got) != 1 {
		t.Errorf("%d processes were started for one conversation", len(got))
	}
	r.checkTurns(3)
}

func TestACP_Permission(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	r := w.run("s1", append(append([]string{"--"}, gemini...), "--acp")...)
	made := filepath.Join(w.folder, "made.txt")
	for _, c := range []struct {
		what    string
		command string
		a       client.AnswerSpec
		left    string
	}{
		{"allowed", "echo this > made.txt", client.AnswerSpec{Allow: true}, "this\n"},
		{"refused", "rm made.txt", client.AnswerSpec{}, "this\n"},
		{"allowed by an option", "echo other > made.txt", client.AnswerSpec{Allow: true, Option: "proceed_once"}, "other\n"},
	} {
		turn := r.prompt(client.PromptSpec{Text: `BASH {"command":` + quoted(c.command) + `,"description":"it"}`})
		question := r.await("the question", is(store.TypePermissionRequest))
		if !strings.Contains(field(question, "options"), "proceed_once") {
			t.Errorf("the question has the options %s", field(question, "options"))
		}
		c.a.RequestID = field(question, "requestId")
		if _, err := r.client.Answer(t.Context(), r.session, c.a); err != nil {
			t.Fatal(err)
		}
		r.await("the end of the turn", ends(turn))
		if content, err := os.ReadFile(made); err != nil || string(content) != c.left {
			t.Errorf("%s: the file is %q, %v, want %q", c.what, content, err, c.left)
		}
	}
	if m.results() == "" {
		t.Error("the model never heard of a tool")
	}
	r.checkTurns(3)
}

func TestACP_Interrupt(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	r := w.run("s1", append(append([]string{"--"}, gemini...), "--acp")...)
	r.stopped(m, r.prompt(client.PromptSpec{Text: "WAIT"}))
	turn := r.prompt(client.PromptSpec{Text: `BASH {"command":"touch made.txt","description":"it"}`})
	r.await("the question", is(store.TypePermissionRequest))
	if _, err := r.client.Stop(t.Context(), r.session, client.StopSpec{Turn: turn}); err != nil {
		t.Fatal(err)
	}
	if e := r.await("the end of the turn", ends(turn)); field(e, "reason") != "stopped" {
		t.Errorf("the turn with a question ended with %s", e.Data)
	}
	r.ask("go on")
	if got := r.events(is("process_start")); len(got) != 1 {
		t.Errorf("%d processes: an interrupt ended one", len(got))
	}
}

// A new process knows the conversation and does not say it again.
func TestACP_Resume(t *testing.T) {
	w, m, gemini := newGeminiWorld(t)
	gemini = append(gemini, "--acp")
	r := w.run("s1", append([]string{"--"}, gemini...)...)
	r.ask("my name is Ann")
	r.end(syscall.SIGTERM)
	w.age(t)
	r = w.run("s1", append([]string{"--resume", "--"}, gemini...)...)
	e := r.ask("who am I")
	contains(t, "what the model was asked by a new runner", m.heard(), "Ann", "who am I")
	if got := r.text(e.Turn); got != "I heard: my name is Ann; who am I" {
		t.Errorf("the text of the turn is %q", got)
	}
	r.checkTurns(2)
}

// age gives Gemini CLI's sessions an older name. It names them by the minute,
// and one that is loaded within the minute in which it began is overwritten
// before it is read (0.61.0).
func (w *world) age(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.home, ".gemini", "tmp", "*", "chats", "session-*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		id := name[strings.LastIndexByte(name, '-'):]
		if err := os.Rename(file, filepath.Join(filepath.Dir(file), "session-2026-01-01T00-00"+id)); err != nil {
			t.Fatal(err)
		}
	}
}
