package realagents

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const (
	programsEnv = "KONLOG_AGENTS"
	startMax    = 10 * time.Second // of the server
	eventMax    = 60 * time.Second // for what an agent does: node starts slowly on a busy machine
	endMax      = 20 * time.Second // for a runner to end, with its agent
)

// program is an agent's file; without it the test is skipped.
func program(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv(programsEnv)
	if folder == "" {
		t.Skipf("%s is not set: `npm ci` in internal/realagents, then %s=$PWD/node_modules/.bin", programsEnv, programsEnv)
	}
	file := filepath.Join(folder, name)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%s has no %s: %v", programsEnv, name, err)
	}
	return file
}

// world is a server and a place for agents that knows nothing of the machine's
// own ones.
type world struct {
	t            *testing.T
	konlog, url  string
	home, folder string
	env          []string // of the runners
	client       *client.Client
}

// konlog is the program, built once.
var konlog = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "konlog-realagents-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "konlog")
	if out, err := exec.Command("go", "build", "-o", file, "github.com/konlog/konlog/cmd/konlog").CombinedOutput(); err != nil {
		return file, fmt.Errorf("build: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(programsEnv) != "" {
		if file, _ := konlog(); file != "" {
			_ = os.RemoveAll(filepath.Dir(file))
		}
	}
	os.Exit(code)
}

// newWorld starts a server. env is what the agent needs to find its model.
func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	file, err := konlog()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := &world{t: t, konlog: file, home: filepath.Join(dir, "home"), folder: filepath.Join(dir, "work")}
	for _, folder := range []string{w.home, w.folder} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "XDG_STATE_HOME=" + filepath.Join(dir, "state"), "TMPDIR=" + os.TempDir(), "NO_COLOR=1", "TERM=dumb",
	}, env...)
	w.serve(filepath.Join(dir, "data"))
	if w.client, err = client.New(w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.Close() })
	return w
}

// serve runs the server until the test ends.
func (w *world) serve(data string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var output bytes.Buffer
	cmd := exec.Command(w.konlog, "serve", "--addr", addr, "--data", data)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.url = "http://" + addr
	for began := time.Now(); ; {
		resp, err := http.Get(w.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Since(began) > startMax {
			w.t.Fatalf("the server is not ready: %v", err)
		}
		<-time.After(10 * time.Millisecond) // another process: there is nothing to wait on but its port
	}
}

// runner is a `konlog run`.
type runner struct {
	*world
	session string
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	over    chan struct{} // closed when it has ended
	after   int64         // the last event that was looked at
}

// run starts an agent behind a session. Flags of konlog run may come before --.
func (w *world) run(session string, args ...string) *runner {
	w.t.Helper()
	r := &runner{world: w, session: session, over: make(chan struct{})}
	r.cmd = exec.Command(w.konlog, append([]string{"run", "--server", w.url, "--session", session, "--dir", w.folder}, args...)...)
	r.cmd.Env, r.cmd.Stderr, r.cmd.Dir = w.env, &r.stderr, w.folder
	if err := r.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.over)
	}()
	w.t.Cleanup(func() {
		r.end(syscall.SIGKILL)
		if w.t.Failed() {
			w.t.Logf("konlog run said:\n%s", r.stderr.String())
			r.dump()
		}
	})
	r.await("the runner", is("runner_start"))
	return r
}

// end ends the runner and waits for that.
func (r *runner) end(s os.Signal) {
	r.t.Helper()
	_ = r.cmd.Process.Signal(s) // it may have ended
	select {
	case <-r.over:
	case <-time.After(endMax):
		_ = r.cmd.Process.Kill()
		r.t.Errorf("konlog run did not end within %v of %v", endMax, s)
		<-r.over
	}
}

// dump logs what the session holds.
func (r *runner) dump() {
	for e, err := range r.client.Tail(context.Background(), r.session, client.TailOptions{NoFollow: true}) {
		if err != nil {
			r.t.Log(err)
			return
		}
		r.t.Logf("%.400s", e.JSON)
	}
}

// prompt asks for a turn.
func (r *runner) prompt(p client.PromptSpec) string {
	r.t.Helper()
	c, err := r.client.Prompt(r.t.Context(), r.session, p)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Turn
}

// ask asks for a turn and waits for its end, which must be a success.
func (r *runner) ask(text string) client.Event {
	r.t.Helper()
	turn := r.prompt(client.PromptSpec{Text: text})
	e := r.await("the end of the turn", ends(turn))
	if field(e, "success") != "true" {
		r.t.Fatalf("the turn %q ended with %s", text, e.Data)
	}
	return e
}

// await waits for an event, and passes over those before it.
func (r *runner) await(what string, want func(client.Event) bool) client.Event {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), eventMax)
	defer cancel()
	for {
		for e, err := range r.client.Tail(ctx, r.session, client.TailOptions{After: r.after}) {
			if store.CodeOf(err) == store.CodeNotFound && ctx.Err() == nil {
				break // the runner makes the session
			}
			if err != nil {
				r.t.Fatalf("waiting for %s: %v", what, err)
			}
			r.after = e.ID
			if want(e) {
				return e
			}
		}
		select {
		case <-r.over:
			r.t.Fatalf("waiting for %s: konlog run has ended", what)
		case <-time.After(20 * time.Millisecond): // for the session to be made
		}
	}
}

// events are those of the session so far.
func (r *runner) events(want func(client.Event) bool) (all []client.Event) {
	r.t.Helper()
	for e, err := range r.client.Tail(r.t.Context(), r.session, client.TailOptions{NoFollow: true, Raw: true}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if want(e) {
			all = append(all, e)
		}
	}
	return all
}

// text is what the turn said: of each block its deltas, or its whole.
func (r *runner) text(turn string) string {
	r.t.Helper()
	blocks, order := map[string]string{}, []string{}
	for _, e := range r.events(func(e client.Event) bool {
		return e.Turn == turn && (e.Type == store.TypeText || e.Type == store.TypeTextDelta)
	}) {
		block := field(e, "block")
		if _, there := blocks[block]; !there {
			order = append(order, block)
		}
		if e.Type == store.TypeText {
			blocks[block] = field(e, "text")
		} else {
			blocks[block] += field(e, "text")
		}
	}
	var all strings.Builder
	for _, block := range order {
		all.WriteString(blocks[block])
	}
	return all.String()
}

// checkTurns requires that each of the turns began once and ended once.
func (r *runner) checkTurns(turns int) {
	r.t.Helper()
	for _, typ := range []string{store.TypeTurnStart, store.TypeTurnEnd} {
		if got := r.events(is(typ)); len(got) != turns {
			r.t.Errorf("%d events of the type %s, want %d", len(got), typ, turns)
		}
	}
}

func is(typ string) func(client.Event) bool {
	return func(e client.Event) bool { return e.Type == typ }
}

func ends(turn string) func(client.Event) bool {
	return func(e client.Event) bool { return e.Type == store.TypeTurnEnd && e.Turn == turn }
}

// says is a piece of text that holds these words.
func says(words string) func(client.Event) bool {
	return func(e client.Event) bool {
		return e.Type == store.TypeTextDelta && strings.Contains(field(e, "text"), words)
	}
}

// field is a member of the data as text.
func field(e client.Event, name string) string {
	var data map[string]json.RawMessage
	if json.Unmarshal(e.Data, &data) != nil {
		return ""
	}
	var s string
	if json.Unmarshal(data[name], &s) == nil {
		return s
	}
	return string(data[name])
}

// contains requires that a text has all the words.
func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s is %q, want %q in it", what, text, word)
		}
	}
}
