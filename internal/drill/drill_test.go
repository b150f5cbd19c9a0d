package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// How many requests a sender has acknowledged before the copy, between the copy
// and the loss, and after the loss.
const (
	sentBefore = 60
	sentLost   = 40
	sentAfter  = 20
	turnLease  = 5 * time.Second
)

// loss is one drill.
type loss struct {
	t        *testing.T
	server   *server
	client   *client.Client
	dir      string // of all that the drill writes
	data     string
	senders  []*sender
	watchers []*watcher
	behind   *watcher // that was away while all this happened
	posted   chan string
	sending  sync.WaitGroup
	stop     context.CancelFunc // of the senders
	watching context.Context
	readers  sync.WaitGroup
}

func newLoss(t *testing.T) *loss {
	dir := t.TempDir()
	d := &loss{t: t, server: newServer(t), dir: dir, data: filepath.Join(dir, "data"), posted: make(chan string, 1000)}
	d.server.start(t, d.data)
	var err error
	if d.client, err = client.New(d.server.url); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case d.posted <- string(body):
		default:
		}
	}))
	t.Cleanup(hook.Close)
	if _, err := d.client.CreateWebhook(t.Context(), store.WebhookSpec{URL: hook.URL, Types: []string{store.WebhookAny}}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		s := &sender{session: fmt.Sprint("drill-", i), keyed: i%2 == 0, client: d.client, url: d.server.url}
		if _, _, err := d.client.CreateSession(t.Context(), s.session, store.SessionSpec{}); err != nil {
			t.Fatal(err)
		}
		d.senders = append(d.senders, s)
		for _, transport := range []string{"ws", "sse", "poll"} {
			d.watchers = append(d.watchers, &watcher{session: s.session, transport: transport})
		}
	}
	var stop context.CancelFunc
	d.watching, stop = context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); d.readers.Wait() })
	for _, w := range d.watchers {
		d.watch(w)
	}
	return d
}

func (d *loss) watch(w *watcher) { d.readers.Go(func() { w.run(d.watching, d.client) }) }

// send lets all senders send, each from where from says.
func (d *loss) send(from func(*sender) int64) {
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	d.t.Cleanup(func() { d.stop(); d.sending.Wait() })
	for _, s := range d.senders {
		d.sending.Go(func() {
			if err := s.run(ctx, from(s)); err != nil {
				d.t.Error(err)
			}
		})
	}
}

func (d *loss) acked() (all []int64) {
	for _, s := range d.senders {
		all = append(all, s.acked.Load())
	}
	return all
}

// await waits until every sender has got so far.
func (d *loss) await(what string, want []int64) {
	d.t.Helper()
	if !until(settleMax, func() bool {
		for i, s := range d.senders {
			if s.acked.Load() < want[i] {
				return d.t.Failed()
			}
		}
		return true
	}) || d.t.Failed() {
		d.t.Fatalf("%s: acknowledged are %v, want %v; the server said:\n%s", what, d.acked(), want, d.server.said)
	}
}

func plus(all []int64, n int64) []int64 {
	sum := slices.Clone(all)
	for i := range sum {
		sum[i] += n
	}
	return sum
}

// prepare brings about all that a log can hold open.
func (d *loss) prepare() {
	d.t.Helper()
	ctx := d.t.Context()
	_, err := d.client.Append(ctx, "turns", client.AppendOptions{}, store.Draft{Type: store.TypeTurnStart, Turn: "open", Data: fmt.Appendf(nil, `{"leaseMs":%d}`, turnLease.Milliseconds())})
	if err == nil {
		_, err = d.client.PutKontask(ctx, "drill", json.RawMessage(`{"session":"turns","title":"choose"}`))
	}
	if err == nil {
		_, err = d.client.Prompt(ctx, "waits", client.PromptSpec{Text: "wait for me"})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// TestRestoreDrill loses a server's data under load and gets it back.
func TestRestoreDrill(t *testing.T) {
	for _, how := range []struct {
		name string
		take func(*loss) (comeBack func())
	}{
		{"backup of the directory", func(d *loss) func() { return d.backup("--data", d.data) }},
		{"backup over HTTP", func(d *loss) func() { return d.backup("--server", d.server.url) }},
		{"standby", (*loss).follow},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			d := newLoss(t)
			d.send(func(*sender) int64 { return 0 })
			d.behind = &watcher{session: d.senders[0].session, transport: "ws"}
			d.await("before the copy", plus(make([]int64, len(d.senders)), sentBefore))
			d.readSome(d.behind)
			d.prepare()
			before := d.acked()
			comeBack := how.take(d)
			d.await("after the copy", plus(d.acked(), sentLost))
			d.lose()
			lost := d.acked()
			comeBack()
			d.compare(before, lost)
			heads := d.heads()
			d.send(func(s *sender) int64 {
				if s.keyed {
					return 0 // what it has sent comes back as known
				}
				return s.acked.Load() // the server says from where it wants it
			})
			d.watch(d.behind)
			d.await("after the loss", plus(lost, sentAfter))
			d.stop()
			d.sending.Wait()
			d.checkLogs(heads)
			d.checkRest()
		})
	}
}

// backup takes one and returns how to come back from it.
func (d *loss) backup(from ...string) func() {
	file := filepath.Join(d.dir, "backup.db")
	must(d.t, append([]string{"backup", "--to", file}, from...)...)
	return func() {
		said := must(d.t, "restore", file, "--data", d.data)
		if !strings.Contains(said, "the newest of ") {
			d.t.Errorf("restore does not say what it brought: %s", said)
		}
		must(d.t, "verify", "--data", d.data)
		d.server.start(d.t, d.data)
	}
}

// follow runs a standby, kills it in the middle, runs it again, and returns how
// to take over from it.
func (d *loss) follow() func() {
	standby := filepath.Join(d.dir, "standby")
	run := func() *exec.Cmd {
		cmd := konlog(d.t, "follow", "--server", d.server.url, "--to", standby, "--every", "50ms")
		if err := cmd.Start(); err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
		return cmd
	}
	cmd := run()
	level(d.t, standby)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	d.await("while the standby is away", plus(d.acked(), 10))
	cmd = run()
	level(d.t, standby)
	// The standby stands still from here on, so that something is lost.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		must(d.t, "verify", "--data", standby)
		d.data = standby
		d.server.start(d.t, standby)
	}
}

// level waits until all that was acknowledged by now is in the standby.
func level(t *testing.T, standby string) {
	t.Helper()
	since := time.Now()
	var state struct{ At time.Time }
	if !until(settleMax, func() bool {
		text, err := os.ReadFile(filepath.Join(standby, "follow.json"))
		return err == nil && json.Unmarshal(text, &state) == nil && state.At.After(since)
	}) {
		t.Fatalf("the standby is of %s, want it after %s", state.At, since)
	}
}

// readSome reads a few events and goes away.
func (d *loss) readSome(w *watcher) {
	ctx, leave := context.WithCancel(d.watching)
	defer leave()
	var reading sync.WaitGroup
	reading.Go(func() { w.run(ctx, d.client) })
	until(settleMax, func() bool { _, shown, _, _ := w.state(); return shown > 0 })
	leave()
	reading.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil || w.epoch == "" {
		d.t.Fatalf("a reader got to %d of epoch %q: %v", w.after, w.epoch, w.failed)
	}
}

// lose waits until readers have seen what will be lost, kills the server and
// destroys its data.
func (d *loss) lose() {
	d.t.Helper()
	heads := d.heads()
	if !until(settleMax, func() bool {
		return !slices.ContainsFunc(d.watchers, func(w *watcher) bool { _, shown, _, _ := w.state(); return shown < heads[w.session] })
	}) {
		d.t.Fatal("readers do not get to the end")
	}
	d.server.kill()
	d.stop()
	d.sending.Wait()
	if err := os.RemoveAll(d.data); err != nil {
		d.t.Fatal(err)
	}
}

func (d *loss) heads() map[string]int64 {
	d.t.Helper()
	heads := map[string]int64{}
	for _, s := range d.senders {
		o, err := d.client.Session(d.t.Context(), s.session)
		if err != nil {
			d.t.Fatalf("%v; the server said:\n%s", err, d.server.said)
		}
		heads[s.session] = o.Head
	}
	return heads
}

// notes are the numbers of the requests in a log, in its order.
func notes(log []string) (numbers []int64) {
	for _, line := range log {
		var e struct {
			Type string
			Data struct{ N int64 }
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "note" {
			numbers = append(numbers, e.Data.N)
		}
	}
	return numbers
}

func (d *loss) log(session string) (events []string) {
	d.t.Helper()
	for e, err := range d.client.Tail(d.t.Context(), session, client.TailOptions{Transport: "poll", NoFollow: true}) {
		if err != nil {
			d.t.Fatal(err)
		}
		events = append(events, string(e.JSON))
	}
	return events
}

// compare wants the log that came back to have what was acknowledged before the
// copy began, and to have lost something, for else nothing is tested.
func (d *loss) compare(before, lost []int64) {
	d.t.Helper()
	shorter := false
	for i, s := range d.senders {
		have := int64(len(notes(d.log(s.session))))
		if have < before[i] {
			d.t.Errorf("%s: %d requests came back, %d were acknowledged before the copy", s.session, have, before[i])
		}
		shorter = shorter || have < lost[i]
	}
	if !shorter {
		d.t.Error("nothing was lost: the test does not do what it says")
	}
}

// checkLogs wants each request once and in order, and every reader to have come
// to the same log. Who had seen more than came back was told to start over.
func (d *loss) checkLogs(heads map[string]int64) {
	d.t.Helper()
	logs := map[string][]string{}
	for _, s := range d.senders {
		logs[s.session] = d.log(s.session)
		for i, n := range notes(logs[s.session]) {
			if n != int64(i) {
				d.t.Errorf("%s: request %d stands where %d should", s.session, n, i)
				break
			}
		}
		if got := int64(len(notes(logs[s.session]))); got < s.acked.Load() || got > s.acked.Load()+1 {
			d.t.Errorf("%s: the log has %d requests, %d were acknowledged", s.session, got, s.acked.Load())
		}
		if s.again == 0 {
			d.t.Errorf("%s: nothing was sent again: the test does not do what it says", s.session)
		}
	}
	ahead := 0
	for _, w := range append(d.watchers, d.behind) {
		var got []string
		var shown int64
		var resets int
		var err error
		if !until(settleMax, func() bool {
			got, shown, resets, err = w.state()
			return err != nil || len(got) == len(logs[w.session])
		}) || err != nil || !slices.Equal(got, logs[w.session]) {
			d.t.Errorf("%s over %s: has %d events after %d resets, a fresh reader %d; %v", w.session, w.transport, len(got), resets, len(logs[w.session]), err)
		}
		if shown > heads[w.session] {
			ahead++
		}
		if resets != 1 {
			d.t.Errorf("%s over %s: was told to start over %d times, want once", w.session, w.transport, resets)
		}
	}
	if ahead < len(d.watchers) {
		d.t.Errorf("only %d of %d readers had seen what was lost: the test does not do what it says", ahead, len(d.watchers))
	}
}

// checkRest looks at turns, prompts, kontasks, blobs and webhooks.
func (d *loss) checkRest() {
	d.t.Helper()
	ctx := d.t.Context()
	ended := 0
	if !until(settleMax, func() bool {
		turn, err := d.client.Turn(ctx, "turns", "open")
		return err == nil && turn.State != "open" && turn.State != "working"
	}) {
		d.t.Error("the turn that was open is not ended")
	}
	for _, line := range d.log("turns") {
		if strings.Contains(line, `"type":"turn_end"`) {
			ended++
		}
	}
	if ended != 1 {
		d.t.Errorf("the turn that was open has ended %d times, want once", ended)
	}
	if k, err := d.client.Kontask(ctx, "drill"); err != nil || k.Session != "turns" {
		d.t.Errorf("the kontask: %+v, %v", k, err)
	}
	if s, err := d.client.Session(ctx, "waits"); err != nil || s.Head != 1 {
		d.t.Errorf("the session whose prompt waits: %+v, %v", s, err)
	}
	for _, s := range d.senders {
		for n := int64(7); n < s.acked.Load(); n += 20 {
			if _, err := d.client.Blob(ctx, blobName(s.request(n).blob)); err != nil {
				d.t.Errorf("%s: the blob of request %d: %v", s.session, n, err)
			}
		}
	}
	if _, err := d.client.Append(ctx, "later", client.AppendOptions{},
		store.Draft{Type: store.TypeTurnStart, Turn: "one", Data: []byte(`{}`)},
		store.Draft{Type: store.TypeTurnEnd, Turn: "one", Data: []byte(`{"reason":"done"}`)}); err != nil {
		d.t.Fatal(err)
	}
	patience := time.After(settleMax)
	for told := false; !told; {
		select {
		case body := <-d.posted:
			told = strings.Contains(body, `later`)
		case <-patience:
			d.t.Fatal("the webhook is not told of what comes after the restore")
		}
	}
	must(d.t, "verify", "--data", d.data)
}
