package main

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// heard is a stream that tells what is written to it.
type heard struct {
	all  bytes.Buffer
	said chan string // one element per write
}

func newHeard() *heard { return &heard{said: make(chan string, 100)} } // more than a test writes

func (h *heard) Write(p []byte) (int, error) {
	h.said <- string(p)
	return h.all.Write(p)
}

// next waits until something with the text was written.
func (h *heard) next(t *testing.T, text string) {
	t.Helper()
	for {
		select {
		case said := <-h.said:
			if strings.Contains(said, text) {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("never wrote %q", text)
		case <-time.After(20 * time.Second):
			t.Fatalf("never wrote %q", text)
		}
	}
}

// prompting is a server, and a command that follows a turn there.
type prompting struct {
	t              *testing.T
	client         *client.Client
	stdout, stderr *heard
	code           chan int
	cancel         context.CancelFunc
}

func newPrompting(t *testing.T, begin func(p *prompting), args ...string) *prompting {
	hub := stream.NewHub()
	srv := httptest.NewServer(api.New(memory.New(memory.Options{Committed: hub.Committed}), hub, api.Config{}).Handler())
	t.Cleanup(srv.Close)
	cl, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	p := &prompting{t: t, client: cl, stdout: newHeard(), stderr: newHeard(), code: make(chan int, 1), cancel: cancel}
	begin(p)
	a := &app{stdin: strings.NewReader(""), stdout: p.stdout, stderr: p.stderr, env: lookup(nil)}
	go func() {
		p.code <- a.run(ctx, append([]string{"prompt", "s1", "Go on", "--wait", "--turn", "t1", "--server", srv.URL}, args...))
	}()
	return p
}

func (p *prompting) append(typ, turn, data string) {
	p.t.Helper()
	if _, err := p.client.Append(p.t.Context(), "s1", client.AppendOptions{}, store.Draft{Type: typ, Turn: turn, Data: []byte(data)}); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the exit code and returns all of stderr.
func (p *prompting) ends(want int) string {
	p.t.Helper()
	select {
	case code := <-p.code:
		if code != want {
			p.t.Errorf("exit code %d, want %d: %s", code, want, &p.stderr.all)
		}
	case <-time.After(20 * time.Second):
		p.t.Fatal("the command does not end")
	}
	return p.stderr.all.String()
}

// The patience is spent only while nothing runs; text comes as it streams.
func TestPromptWaitsBehindAnotherTurnAndStreams(t *testing.T) {
	t.Parallel()
	p := newPrompting(t, func(p *prompting) { p.append(store.TypeTurnStart, "t0", `{}`) }, "--patience", "10s")
	p.stderr.next(t, "it waits for turn t0 to end")
	p.append(store.TypeTextDelta, "t0", `{"text":"of another turn"}`)
	p.append(store.TypeTurnEnd, "t0", `{"success":true}`)
	p.append(store.TypeTurnStart, "t1", `{}`)
	p.append(store.TypeTextDelta, "t1", `{"text":"One, "}`)
	p.stdout.next(t, "One, ")
	p.append(store.TypeTextDelta, "t1", `{"text":"two."}`)
	p.stdout.next(t, "two.")
	p.append(store.TypePermissionRequest, "t1", `{"requestId":"q1","tool":"Bash"}`)
	p.stderr.next(t, "konlog answer s1 q1 allow|deny")
	p.append(store.TypeTurnEnd, "t1", `{"success":true,"reason":"done"}`)
	p.ends(exitOK)
	if got := p.stdout.all.String(); got != "One, two.\n" {
		t.Errorf("stdout %q", got)
	}
}

// The turn before ends and nobody goes on: the patience begins then.
func TestPromptGivesUpAfterTheTurnBefore(t *testing.T) {
	t.Parallel()
	p := newPrompting(t, func(p *prompting) { p.append(store.TypeTurnStart, "t0", `{}`) }, "--patience", "3s")
	p.stderr.next(t, "it waits for turn t0 to end")
	p.append(store.TypeTurnEnd, "t0", `{"success":true}`)
	if said := p.ends(exitFailure); !strings.Contains(said, "nobody has begun the turn within 3s") {
		t.Errorf("stderr %q", said)
	}
}

// While another turn runs the patience stands still.
func TestPatienceStandsStillBehindAnotherTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := &turnWatch{app: &app{quiet: true}, session: "s1", turn: "t1", patience: time.Second, cancel: cancel}
		w.timer = time.AfterFunc(w.patience, func() { cancel(errNobodyBegan) })
		w.judge(&client.Status{State: store.StateWorking, Turn: "t0"})
		time.Sleep(time.Hour) // of the bubble's clock
		if ctx.Err() != nil {
			t.Fatal("gave up while another turn ran")
		}
		w.judge(&client.Status{State: store.StateIdle})
		time.Sleep(w.patience - time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("gave up before the patience was over")
		}
		time.Sleep(time.Second)
		if context.Cause(ctx) != errNobodyBegan {
			t.Error("did not give up when nobody began")
		}
	})
}

func TestPromptEndsWithItsSession(t *testing.T) {
	t.Parallel()
	p := newPrompting(t, func(*prompting) {}, "--patience", "0")
	p.stderr.next(t, "asks for turn t1")
	p.append(store.TypeTurnStart, "t1", `{}`)
	if _, err := p.client.CloseSession(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if said := p.ends(exitFailure); !strings.Contains(said, "turn t1 was stopped") {
		t.Errorf("stderr %q", said)
	}
}

func TestPromptIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newPrompting(t, func(*prompting) {})
	p.stderr.next(t, "asks for turn t1")
	p.append(store.TypeTurnStart, "t1", `{}`)
	p.append(store.TypeTextDelta, "t1", `{"text":"One"}`)
	p.stdout.next(t, "One")
	p.cancel()
	if said := p.ends(exitFailure); !strings.Contains(said, "konlog stop s1 t1 stops it") {
		t.Errorf("stderr %q", said)
	}
	if got := p.stdout.all.String(); got != "One\n" {
		t.Errorf("stdout %q", got)
	}
}

func TestPromptTextBounds(t *testing.T) {
	a := &app{stdin: io.LimitReader(strings.NewReader(strings.Repeat("x", promptBytesMax+1)), promptBytesMax+1), stdout: io.Discard, stderr: io.Discard, env: lookup(nil)}
	if code := a.run(t.Context(), []string{"prompt", "s1", "-"}); code != exitUsage {
		t.Errorf("a prompt over the limit: exit code %d", code)
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"req-7": "req-7", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm x)": "'$(rm x)'", "-x": "-- '-x'", "a\nb": "'a b'", "a\x1b": "'a\uFFFD'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
