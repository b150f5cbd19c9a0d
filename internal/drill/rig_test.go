package drill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

const (
	readyMax  = 20 * time.Second // from exec to ready
	settleMax = 60 * time.Second // for whatever has to come to an end, on a slow machine
	lookAgain = 20 * time.Millisecond
)

// program is the real binary, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "konlog-drill-*")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "konlog")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/konlog/konlog/cmd/konlog").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, err
})

func TestMain(m *testing.M) {
	code := long.Main(m)
	if long.Wanted() {
		if binary, err := program(); err == nil {
			_ = os.RemoveAll(filepath.Dir(binary)) // in the directory for what may be left behind
		}
	}
	os.Exit(code)
}

func konlog(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(binary, args...)
}

// must runs a command to its end and returns what it said.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := konlog(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("konlog %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// server is the real binary on one address, on whatever data directory.
type server struct {
	addr, url string
	cmd       *exec.Cmd // or nil
	said      *bytes.Buffer
}

func blobName(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), url: "http://" + l.Addr().String()}
	_ = l.Close()
	t.Cleanup(func() { s.kill() })
	return s
}

// start serves the directory and returns when it is ready.
func (s *server) start(t *testing.T, data string) {
	t.Helper()
	s.said = &bytes.Buffer{}
	s.cmd = konlog(t, "serve", "--addr", s.addr, "--data", data, "--webhooks-allow-private")
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !until(readyMax, func() bool {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}) {
		s.kill()
		t.Fatalf("the server is not ready:\n%s", s.said)
	}
}

// kill ends the server without warning.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // it was killed
	s.cmd = nil
}

// until looks again and again whether something has come true. What is waited
// for happens in other processes: there is nothing to wait on.
func until(patience time.Duration, come func() bool) bool {
	for deadline := time.Now().Add(patience); ; {
		if come() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(lookAgain)
	}
}

// request is what a sender appends at once. The same number is always the same.
type request struct {
	drafts []store.Draft
	blob   string // what the event refers to, or ""
}

// sender appends numbered requests, and remembers them: what a restored server
// does not have, it sends again.
type sender struct {
	session string
	keyed   bool // with keys; else as a producer with sequence numbers
	client  *client.Client
	url     string
	acked   atomic.Int64
	again   int64 // how many requests a server took that it had acknowledged before
}

func (s *sender) request(n int64) request {
	text := fmt.Sprintf("%s request %d", s.session, n)
	r := request{drafts: []store.Draft{{Type: "note", Data: fmt.Appendf(nil, `{"n":%d,"fill":%q}`, n, strings.Repeat(text, 20))}}}
	if n%20 == 7 {
		r.blob = text
		r.drafts = append(r.drafts, store.Draft{Type: "picture", Data: fmt.Appendf(nil, `{"sha256":%q}`, blobName(text))})
	}
	for i := range r.drafts {
		if s.keyed {
			r.drafts[i].Key = fmt.Sprintf("%s-%d-%d", s.session, n, i)
		}
	}
	return r
}

// run sends from the first request that the server does not have, until ctx
// ends, to a server that may be away at any time.
func (s *sender) run(ctx context.Context, from int64) error {
	for n := from; ctx.Err() == nil; n++ {
		next, err := s.send(ctx, n)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s request %d: %w", s.session, n, err)
		}
		if next != n { // the server knows less than it had acknowledged
			n = next - 1
			continue
		}
		if n < s.acked.Load() {
			s.again++
			continue
		}
		s.acked.Store(n + 1)
	}
	return nil
}

// send repeats one request until the server has it, or says which one it wants.
func (s *sender) send(ctx context.Context, n int64) (want int64, err error) {
	r := s.request(n)
	for ctx.Err() == nil {
		if r.blob != "" {
			if _, _, err = s.client.PutBlob(ctx, "text/plain", strings.NewReader(r.blob)); err != nil {
				if away(err) {
					continue
				}
				return n, err
			}
		}
		if s.keyed {
			_, err = s.client.Append(ctx, s.session, client.AppendOptions{}, r.drafts...)
		} else {
			want, err = s.sendNumbered(ctx, n, r.drafts)
		}
		if err == nil && !s.keyed {
			return want, nil
		}
		if !away(err) {
			return n, err
		}
	}
	return n, ctx.Err()
}

// away reports whether an error may pass: the server is down.
func away(err error) bool {
	var status *client.StatusError
	return err != nil && (!errors.As(err, &status) || status.Status >= 500)
}

// sendNumbered is an append with a sequence number. A server that went back in
// history says which number it expects.
func (s *sender) sendNumbered(ctx context.Context, n int64, drafts []store.Draft) (want int64, err error) {
	events := make([]json.RawMessage, len(drafts))
	for i, d := range drafts {
		events[i] = fmt.Appendf(nil, `{"type":%q,"data":%s}`, d.Type, d.Data)
	}
	body, err := json.Marshal(events)
	if err != nil {
		return n, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/sessions/"+s.session+"/events", bytes.NewReader(body))
	if err != nil {
		return n, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Producer-Id", "p-"+s.session)
	req.Header.Set("Producer-Epoch", "1")
	req.Header.Set("Producer-Seq", fmt.Sprint(n))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		<-time.After(lookAgain) // the server is down
		return n, err
	}
	defer resp.Body.Close()
	var answer struct {
		Code     string
		Expected int64
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return n, err
	}
	switch {
	case resp.StatusCode < 300:
		return n, nil
	case answer.Code == string(store.CodeProducerGap):
		return answer.Expected, nil
	}
	return n, fmt.Errorf("status %d %s", resp.StatusCode, answer.Code)
}

// watcher is a reader that keeps what it was shown, and drops it when told to.
type watcher struct {
	session, transport string

	mu     sync.Mutex // guards what follows
	events []string   // as received
	after  int64
	epoch  string
	resets int
	shown  int64 // the highest id ever
	failed error
}

func (w *watcher) run(ctx context.Context, c *client.Client) {
	w.mu.Lock()
	o := client.TailOptions{Transport: w.transport, After: w.after, Epoch: w.epoch, OnState: func(s client.State) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.Epoch != "" {
			w.epoch = s.Epoch
		}
		if s.Kind == client.StateReset {
			w.events, w.after = nil, 0
			w.resets++
		}
	}}
	w.mu.Unlock()
	for ctx.Err() == nil {
		for e, err := range c.Tail(ctx, w.session, o) {
			w.mu.Lock()
			if err == nil {
				if e.ID != w.after+1 {
					w.failed = fmt.Errorf("%s: event %d after %d", w.transport, e.ID, w.after)
				}
				w.events, w.after, w.shown = append(w.events, string(e.JSON)), e.ID, max(w.shown, e.ID)
			} else if ctx.Err() == nil {
				w.failed = err
			}
			failed := w.failed
			w.mu.Unlock()
			if failed != nil {
				return
			}
		}
	}
}

func (w *watcher) state() (events []string, shown int64, resets int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.events...), w.shown, w.resets, w.failed
}
