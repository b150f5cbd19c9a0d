package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

const (
	roundsDefault = 5
	producers     = 8
	sessions      = 3
	startMax      = 2 * time.Second // from exec to ready, after most kills
	lifeMax       = 500 * time.Millisecond
	strikeMax     = time.Second // for something to happen that a kill can follow
	batchMax      = 5
	settleMax     = 30 * time.Second // for readers to reach the end when all is over
)

// TestI1_KillNine proves I1 (acknowledged events survive), I2 (ids dense,
// none reused), I4 (what a reader saw stays) and P14 (a retried request is
// stored once) on the real binary.
func TestI1_KillNine(t *testing.T) {
	t.Parallel() // it waits most of the time
	rounds, seed := fromEnv(t, "KONLOG_CRASH_ROUNDS", quick(roundsDefault)), fromEnv(t, "KONLOG_CRASH_SEED", time.Now().UnixNano())
	t.Logf("KONLOG_CRASH_SEED=%d KONLOG_CRASH_ROUNDS=%d", seed, rounds)
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	s := newServer(t)
	s.start(t)
	c, err := client.New(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sessions {
		if _, _, err := c.CreateSession(t.Context(), sessionName(i), store.SessionSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	w := startWorld(t, s.url)
	var starts []time.Duration
	for round := range rounds {
		time.Sleep(time.Duration(random.Int64N(int64(lifeMax)))) // the moment of the kill is the random choice under test
		w.strike(round)
		s.kill(t)
		starts = append(starts, s.start(t))
	}
	w.stopProducers()
	logs := readAll(t, c)
	w.stopReaders(logs)
	w.check(t, logs)
	s.terminate(t)
	quickStarts(t, starts)
}

// quickStarts wants that the server was soon ready after most kills: a stall of
// the machine may hold up some.
func quickStarts(t *testing.T, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	if n := len(took); n > 0 && took[n/2] > startMax {
		t.Errorf("half of %d starts took %v and more, want at most %v", n, took[n/2], startMax)
	}
}

// quick is how many rounds there are of a few, where tests are not to take long.
func quick(rounds int64) int64 {
	if long.Wanted() {
		return rounds
	}
	return rounds / 2
}

func fromEnv(t *testing.T, name string, fallback int64) int64 {
	v := os.Getenv(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, v)
	}
	return n
}

func sessionName(i int) string { return fmt.Sprintf("crash-%d", i) }

// server is the real binary on one data directory and one address.
type server struct {
	binary, data, addr, url string
	args, env               []string // beside the usual ones
	cmd                     *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "konlog")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/konlog/konlog/cmd/konlog").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	s := &server{binary: binary, data: filepath.Join(dir, "data"), addr: addr, url: "http://" + addr}
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	return s
}

// start runs the server and waits until it is ready.
func (s *server) start(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	var output bytes.Buffer
	s.cmd = exec.Command(s.binary, append([]string{"serve", "--addr", s.addr, "--data", s.data}, s.args...)...)
	s.cmd.Env = append(s.cmd.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = &output, &output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began)
			}
		}
		if time.Since(began) > 15*startMax {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
			s.cmd = nil
			t.Fatalf("the server is not ready after %v: %v\n%s", time.Since(began), err, output.String())
		}
		time.Sleep(5 * time.Millisecond) // another process: there is nothing to wait on but its port
	}
}

// kill ends the server without warning.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}

func (s *server) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("graceful stop: %v", err)
	}
	s.cmd = nil
}

// world is all that happens while the server dies: producers that note what
// was acknowledged, and readers that note what they saw.
type world struct {
	cancelProducers, cancelReaders context.CancelFunc
	producing, reading             sync.WaitGroup
	producers                      []*producer
	readers                        []*reader
	acked, shown                   chan struct{} // unbuffered: only for one who waits
}

func startWorld(t *testing.T, url string) *world {
	w := &world{acked: make(chan struct{}), shown: make(chan struct{})}
	var producing, reading context.Context
	producing, w.cancelProducers = context.WithCancel(context.Background())
	reading, w.cancelReaders = context.WithCancel(context.Background())
	t.Cleanup(func() { w.cancelProducers(); w.cancelReaders(); w.producing.Wait(); w.reading.Wait() })
	for i := range producers {
		p := &producer{session: sessionName(i % sessions), id: fmt.Sprintf("p%d", i), url: url, moment: w.acked}
		w.producers = append(w.producers, p)
		w.producing.Go(func() { p.run(producing, t) })
	}
	for i, transport := range []string{"ws", "sse", "poll"} {
		for j := range 2 {
			r := &reader{session: sessionName((i + j) % sessions), transport: transport, moment: w.shown}
			w.readers = append(w.readers, r)
			w.reading.Go(func() { r.run(reading, t, url) })
		}
	}
	return w
}

// strike waits, in two rounds of three, for the worst moment to be killed: when
// an append was just acknowledged, or an event just shown to a reader.
func (w *world) strike(round int64) {
	var moment <-chan struct{}
	switch round % 3 {
	case 0:
		return
	case 1:
		moment = w.acked
	case 2:
		moment = w.shown
	}
	select {
	case <-moment:
	case <-time.After(strikeMax): // nothing happens, which the producers will tell
	}
}

// note tells whoever waits in strike.
func note(moment chan<- struct{}) {
	select {
	case moment <- struct{}{}:
	default:
	}
}

func (w *world) stopProducers() {
	w.cancelProducers()
	w.producing.Wait()
}

// stopReaders waits until every reader stands at the end of its log.
func (w *world) stopReaders(logs map[string][][]byte) {
	deadline := time.Now().Add(settleMax)
	for _, r := range w.readers {
		for r.last.Load() < int64(len(logs[r.session])) && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond) // the reader's own connection decides when
		}
	}
	w.cancelReaders()
	w.reading.Wait()
}

// producer appends numbered batches with Producer-Id, -Epoch and -Seq over
// plain HTTP: what it retries, and when, is part of what is tested.
type producer struct {
	session, id, url string
	moment           chan<- struct{} // of an acknowledgement
	acked            []ack           // by seq
	pending          int             // events of the request whose outcome is unknown when it was stopped
}

type ack struct {
	first, last int64
	events      int
}

type appendAnswer struct {
	First, Last int64
	Duplicate   bool
}

func (p *producer) run(ctx context.Context, t *testing.T) {
	random := rand.New(rand.NewPCG(1, uint64(p.id[1])))
	for ctx.Err() == nil {
		seq, n := len(p.acked), 1+random.IntN(batchMax)
		body := p.body(seq, n)
		p.pending = n
		a, ok := p.send(ctx, t, seq, body)
		if !ok {
			return
		}
		note(p.moment)
		if a.Last-a.First+1 != int64(n) {
			t.Errorf("%s seq %d: %d events were acknowledged as %d to %d", p.id, seq, n, a.First, a.Last)
			return
		}
		p.acked, p.pending = append(p.acked, ack{a.First, a.Last, n}), 0
	}
}

func (p *producer) body(seq, n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"text_delta","data":{"p":%q,"seq":%d,"i":%d,"fill":"%x"}}`, p.id, seq, i, sha256.Sum256([]byte(fmt.Sprint(p.id, seq, i))))
	}
	b.WriteByte(']')
	return b.Bytes()
}

// send repeats one request until it is acknowledged.
func (p *producer) send(ctx context.Context, t *testing.T, seq int, body []byte) (a appendAnswer, ok bool) {
	for began := time.Now(); ctx.Err() == nil; {
		if time.Since(began) > settleMax {
			t.Errorf("%s seq %d: not acknowledged within %v, over however many restarts", p.id, seq, settleMax)
			return a, false
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/sessions/"+p.session+"/events", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return a, false
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Producer-Id", p.id)
		req.Header.Set("Producer-Epoch", "1")
		req.Header.Set("Producer-Seq", strconv.Itoa(seq))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			time.Sleep(5 * time.Millisecond) // the server is down: only it can say when it is back
			continue
		}
		err = json.NewDecoder(resp.Body).Decode(&a)
		_ = resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK:
			if err == nil {
				return a, true
			}
		case resp.StatusCode == http.StatusServiceUnavailable:
		default:
			t.Errorf("%s seq %d: status %d", p.id, seq, resp.StatusCode)
			return a, false
		}
	}
	return a, false
}

// reader follows one session over one transport across all deaths.
type reader struct {
	session, transport string
	moment             chan<- struct{} // of a sighting
	seen               [][]byte        // by id-1
	last               atomic.Int64
}

func (r *reader) run(ctx context.Context, t *testing.T, url string) {
	c, err := client.New(url)
	if err != nil {
		t.Error(err)
		return
	}
	for e, err := range c.Tail(ctx, r.session, client.TailOptions{Transport: r.transport}) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("reader of %s over %s: %v", r.session, r.transport, err)
			return
		}
		if e.ID != int64(len(r.seen))+1 {
			t.Errorf("reader of %s over %s got event %d after %d", r.session, r.transport, e.ID, len(r.seen))
			return
		}
		r.seen = append(r.seen, bytes.Clone(e.JSON))
		r.last.Store(e.ID)
		note(r.moment)
	}
}

// readAll reads every log from the beginning, as bytes by id-1.
func readAll(t *testing.T, c *client.Client) map[string][][]byte {
	t.Helper()
	logs := map[string][][]byte{}
	for i := range sessions {
		name := sessionName(i)
		for e, err := range c.Tail(t.Context(), name, client.TailOptions{Transport: "poll", NoFollow: true}) {
			if err != nil {
				t.Fatalf("read %s: %v", name, err)
			}
			if e.ID != int64(len(logs[name]))+1 {
				t.Fatalf("%s: event %d follows %d: ids are not dense", name, e.ID, len(logs[name]))
			}
			logs[name] = append(logs[name], bytes.Clone(e.JSON))
		}
	}
	return logs
}

// check holds what was acknowledged and seen against the logs.
func (w *world) check(t *testing.T, logs map[string][][]byte) {
	t.Helper()
	found := map[string]map[string]int64{} // producer -> "seq/i" -> id
	events := 0
	for name, log := range logs {
		for i, raw := range log {
			var e struct {
				Data struct {
					P      string
					Seq, I int
				}
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatalf("%s event %d: %v", name, i+1, err)
			}
			key := fmt.Sprintf("%d/%d", e.Data.Seq, e.Data.I)
			if found[e.Data.P] == nil {
				found[e.Data.P] = map[string]int64{}
			}
			if first := found[e.Data.P][key]; first != 0 {
				t.Errorf("%s: %s of %s is stored twice, as %d and %d", name, key, e.Data.P, first, i+1)
			}
			found[e.Data.P][key] = int64(i + 1)
			events++
		}
	}
	acked := 0
	for _, p := range w.producers {
		for seq, a := range p.acked {
			for i := range a.events {
				acked++
				if got, want := found[p.id][fmt.Sprintf("%d/%d", seq, i)], a.first+int64(i); got != want {
					t.Errorf("%s seq %d event %d was acknowledged with id %d, the log has it as %d", p.id, seq, i, want, got)
				}
			}
		}
		if extra := len(found[p.id]) - ackedEvents(p); extra != 0 && extra != p.pending {
			t.Errorf("%s: the log has %d events that were never acknowledged, the request in flight had %d", p.id, extra, p.pending)
		}
	}
	seen := 0
	for _, r := range w.readers {
		seen += len(r.seen)
		log := logs[r.session]
		if len(r.seen) != len(log) {
			t.Errorf("reader of %s over %s saw %d of %d events", r.session, r.transport, len(r.seen), len(log))
		}
		for i := range min(len(r.seen), len(log)) {
			if !bytes.Equal(r.seen[i], log[i]) {
				t.Errorf("reader of %s over %s saw event %d as %.200s, the log has %.200s", r.session, r.transport, i+1, r.seen[i], log[i])
				break
			}
		}
	}
	t.Logf("%d events stored, %d acknowledged, %d seen by readers", events, acked, seen)
	if acked == 0 || seen == 0 {
		t.Error("nothing happened: the test proves nothing")
	}
}

func ackedEvents(p *producer) (n int) {
	for _, a := range p.acked {
		n += a.events
	}
	return n
}
