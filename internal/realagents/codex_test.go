package realagents

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// codexKey is what Codex says to its model, and to nobody else.
const codexKey = "scripted-key-123"

// startCodex runs Codex behind a session, with a scripted model behind it. The
// folder is no repository and the script's commands are harmless, so that the
// user, here, says that both may be; not every machine has a sandbox.
func startCodex(t *testing.T) (*runner, *codexModel, string) {
	t.Helper()
	codex := program(t, "codex")
	m, temp := newCodexModel(t), t.TempDir()
	w := newWorld(t, "CODEX_HOME="+m.home(t), "SCRIPTED_KEY="+codexKey, "TMPDIR="+temp)
	return w.run("s1", "--", codex, "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access"), m, temp
}

// turn asks for a turn and returns its events, up to the end of the process.
func (r *runner) turn(p client.PromptSpec) []client.Event {
	r.t.Helper()
	return r.ended(r.prompt(p))
}

// ended waits for the end of a turn and of its process.
func (r *runner) ended(turn string) []client.Event {
	r.t.Helper()
	over, gone := false, false
	r.await("the end of the turn and of the process", func(e client.Event) bool {
		over = over || ends(turn)(e)
		gone = gone || e.Type == store.TypeProcessExit
		return over && gone
	})
	all := r.events(func(e client.Event) bool { return e.Turn == turn || e.Type == store.TypeProcessExit })
	begin := slices.IndexFunc(all, func(e client.Event) bool { return e.Turn == turn })
	return all[begin:]
}

func of(events []client.Event, typ string) (some []client.Event) {
	for _, e := range events {
		if e.Type == typ {
			some = append(some, e)
		}
	}
	return some
}

// one is the only event of a type.
func one(t *testing.T, events []client.Event, typ string) client.Event {
	t.Helper()
	some := of(events, typ)
	if len(some) != 1 {
		var types []string
		for _, e := range events {
			types = append(types, e.Type)
		}
		t.Fatalf("%d events of the type %s in %s", len(some), typ, types)
	}
	return some[0]
}

// wantEnd requires how a turn ended, and that it did once.
func wantEnd(t *testing.T, events []client.Event, success, reason string) client.Event {
	t.Helper()
	e := one(t, events, store.TypeTurnEnd)
	if field(e, "success") != success || field(e, "reason") != reason {
		t.Errorf("the turn ends with %s, want success %s and reason %s", e.Data, success, reason)
	}
	return e
}

func TestCodex_GoesOnWithItsThread(t *testing.T) {
	r, m, _ := startCodex(t)
	words := []string{"remember the <word> plum", "--which word?"}
	thread := ""
	for i, said := range words {
		events := r.turn(client.PromptSpec{Text: said})
		if got := field(one(t, events, store.TypeText), "text"); got != "I heard: "+said {
			t.Errorf("turn %d says %q", i, got)
		}
		end := wantEnd(t, events, "true", "done")
		// Codex sums up over the thread what the model says of each answer.
		contains(t, "its usage", field(end, "usage"), fmt.Sprintf(`"input_tokens":%d`, 100*(i+1)), fmt.Sprintf(`"cached_input_tokens":%d`, 20*(i+1)))
		if exit := one(t, events, store.TypeProcessExit); field(exit, "exitCode") != "0" {
			t.Errorf("turn %d: %s", i, exit.Data)
		}
		if i == 0 {
			thread = field(one(t, events, store.TypeSessionInit), "sessionId")
		}
	}
	s, err := r.client.Session(t.Context(), r.session)
	if err != nil || s.AgentID != thread || thread == "" {
		t.Errorf("the session has the agent's id %q, want %q (%v)", s.AgentID, thread, err)
	}
	asks := m.asked()
	if len(asks) != 2 {
		t.Fatalf("the model was asked %d times", len(asks))
	}
	contains(t, "what the model knows", asks[1].history(), words[0]+"\n", "I heard: "+words[0]+"\n", words[1]+"\n")
	if asks[0].Auth != "Bearer "+codexKey {
		t.Errorf("the model was asked with %q", asks[0].Auth)
	}
	for _, e := range r.events(func(client.Event) bool { return true }) {
		if strings.Contains(string(e.JSON), codexKey) {
			t.Errorf("the key is in the log: %s", e.JSON)
		}
	}
	r.checkTurns(2)
}

func TestCodex_RunsCommandsAtOnce(t *testing.T) {
	r, _, _ := startCodex(t)
	seen := map[string]bool{}
	for range 2 { // Codex counts its items anew in every process
		events := r.turn(client.PromptSpec{Text: "run two commands"})
		starts, results := of(events, store.TypeToolStart), of(events, store.TypeToolResult)
		if len(starts) != 2 || len(results) != 2 {
			t.Fatalf("%d commands begin and %d end", len(starts), len(results))
		}
		failed := 0
		for _, e := range results {
			id := field(e, "id")
			if !slices.ContainsFunc(starts, func(s client.Event) bool { return field(s, "id") == id }) || seen[id] {
				t.Errorf("a result of %q, which was not begun, or is another turn's", id)
			}
			seen[id] = true
			if field(e, "isError") == "true" {
				failed++
				contains(t, "what failed", string(e.Data), "two")
			}
		}
		if failed != 1 {
			t.Errorf("%d commands failed, want 1", failed)
		}
		wantEnd(t, events, "true", "done")
	}
}

func TestCodex_FailsOnce(t *testing.T) {
	r, _, _ := startCodex(t)
	events := r.turn(client.PromptSpec{Text: "refuse this"})
	contains(t, "the error", field(wantEnd(t, events, "false", "error"), "error"), "the script refuses")
	if exit := one(t, events, store.TypeProcessExit); field(exit, "exitCode") != "1" {
		t.Errorf("the process ended with %s", exit.Data)
	}
	wantEnd(t, r.turn(client.PromptSpec{Text: "go on"}), "true", "done")
}

// Codex refuses a folder that nobody told it to trust, and the log says why.
func TestCodex_SaysWhyItDoesNotStart(t *testing.T) {
	codex := program(t, "codex")
	m := newCodexModel(t)
	w := newWorld(t, "CODEX_HOME="+m.home(t), "SCRIPTED_KEY="+codexKey)
	r := w.run("s1", "--", codex)
	events := r.turn(client.PromptSpec{Text: "hello"})
	wantEnd(t, events, "false", "exit")
	contains(t, "the end of the process", string(one(t, events, store.TypeProcessExit).Data), "--skip-git-repo-check")
	if n := len(m.asked()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

func TestCodex_IsInterrupted(t *testing.T) {
	const stopMax = 4 * time.Second // less than until the signal after SIGINT
	r, m, _ := startCodex(t)
	turn := r.prompt(client.PromptSpec{Text: "be slow"})
	within(t, m.slow, "the model is asked")
	began := time.Now()
	if _, err := r.client.Stop(t.Context(), r.session, client.StopSpec{Turn: turn}); err != nil {
		t.Fatal(err)
	}
	within(t, m.broken, "Codex leaves the model")
	events := r.ended(turn)
	if took := time.Since(began); took > stopMax {
		t.Errorf("the stop took %v", took)
	}
	wantEnd(t, events, "false", "stopped")
	if exit := one(t, events, store.TypeProcessExit); field(exit, "exitCode") != "1" || field(exit, "reason") != "stopped" {
		t.Errorf("the process ended with %s", exit.Data)
	}
	wantEnd(t, r.turn(client.PromptSpec{Text: "and now?"}), "true", "done")
	asks := m.asked()
	contains(t, "what the model knows", asks[len(asks)-1].history(), "be slow", "and now?")
	r.checkTurns(2)
}

func within(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(eventMax):
		t.Fatalf("waited in vain until %s", what)
	}
}

// pixel is a PNG of one pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"

func TestCodex_SeesPictures(t *testing.T) {
	r, m, temp := startCodex(t)
	png, err := base64.StdEncoding.DecodeString(pixel)
	if err != nil {
		t.Fatal(err)
	}
	blob, _, err := r.client.PutBlob(t.Context(), "image/png", strings.NewReader(string(png)))
	if err != nil {
		t.Fatal(err)
	}
	image := json.RawMessage(fmt.Sprintf(`{"sha256":%q,"contentType":%q,"bytes":%d}`, blob.SHA256, blob.ContentType, blob.Bytes))
	for range 2 { // in a new thread, and in one that is gone on with
		wantEnd(t, r.turn(client.PromptSpec{Text: "look at it", Images: []json.RawMessage{image}}), "true", "done")
		asks := m.asked()
		input := asks[len(asks)-1].Input
		last := &input[len(input)-1]
		if !last.shows("data:image/png;base64,") || !strings.HasSuffix(last.text(), "look at it") {
			t.Errorf("the model was shown %+v", last)
		}
	}
	var left []string
	for _, pattern := range []string{"*images*", "*/*images*", "*/*/*images*"} {
		some, err := filepath.Glob(filepath.Join(temp, pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, some...)
	}
	if len(left) > 0 {
		t.Errorf("pictures are left: %q", left)
	}
}
