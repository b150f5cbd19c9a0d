package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// Each device tries everything on every turn, so that all the races that there
// are happen around the kills.
const (
	devices    = 3
	turnRounds = 4
)

// device is one of several that act on the same turns at once: it asks, begins,
// speaks, asks permission, answers, ends, delivers and chooses, and repeats
// what it does not know the outcome of.
type device struct {
	url     string
	id      int
	session string
	random  *rand.Rand
	done    *atomic.Int64
}

// TestP7_I10_KillNineInEveryState kills the real binary again and again while
// devices race through turns: whatever state a turn, an answer or a choice was
// in, there is one end, one answer and one prompt in the end, and the tables
// say what the log says (I8).
func TestP7_I10_KillNineInEveryState(t *testing.T) {
	t.Parallel()
	rounds, seed := fromEnv(t, "KONLOG_CRASH_ROUNDS", quick(turnRounds)), fromEnv(t, "KONLOG_CRASH_SEED", time.Now().UnixNano())
	t.Logf("KONLOG_CRASH_SEED=%d KONLOG_CRASH_ROUNDS=%d", seed, rounds)
	random := rand.New(rand.NewPCG(uint64(seed), 2))
	s := newServer(t)
	s.start(t)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var done atomic.Int64
	for i := range devices {
		for n := range sessions {
			d := &device{url: s.url, id: i, session: sessionName(n), done: &done, random: rand.New(rand.NewPCG(uint64(seed), uint64(10*i+n)))}
			group.Go(func() { d.run(ctx) })
		}
	}
	var starts []time.Duration
	for range rounds {
		before := done.Load()
		for begin := time.Now(); done.Load() < before+10 && time.Since(begin) < 10*strikeMax; {
			time.Sleep(time.Millisecond) // other processes: there is nothing else to wait on
		}
		time.Sleep(time.Duration(random.Int64N(int64(lifeMax)))) // the moment of the kill is the random choice under test
		s.kill(t)
		starts = append(starts, s.start(t))
	}
	stop()
	group.Wait()
	c, err := client.New(s.url)
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for name, log := range readAll(t, c) {
		checkOnce(t, name, log, counted)
	}
	t.Logf("%d steps, events by type: %v", done.Load(), counted)
	for _, typ := range []string{store.TypeTurnEnd, store.TypePermissionResponse, store.TypeKontaskChosen, store.TypePrompt} {
		if counted[typ] == 0 {
			t.Errorf("no %s in any log: the test does not do what it says", typ)
		}
	}
	s.terminate(t)
	quickStarts(t, starts)
	checkRebuilt(t, s.data)
}

// run goes through turns until ctx ends. The turns are numbered, so all
// devices of a session meet at the same ones.
func (d *device) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		turn := fmt.Sprintf("turn-%d", n)
		q, k := fmt.Sprintf("q-%s-%d", d.session, n), fmt.Sprintf("k-%s-%d", d.session, n)
		steps := []func() (path, method, body string){
			func() (string, string, string) {
				return "/v1/sessions/" + d.session + "/prompts", "POST", fmt.Sprintf(`{"text":"go","requestId":%q,"key":"prompt-%s"}`, turn, turn)
			},
			func() (string, string, string) {
				return d.events(fmt.Sprintf(`{"type":"turn_start","turn":%q,"key":"start-%s","data":{"leaseMs":60000}}`, turn, turn))
			},
			func() (string, string, string) {
				return d.events(fmt.Sprintf(`[{"type":"text_delta","turn":%q,"data":{"text":"x"}},{"type":"permission_request","turn":%q,"key":"ask-%s","data":{"requestId":%q}}]`, turn, turn, turn, q))
			},
			func() (string, string, string) {
				return "/v1/sessions/" + d.session + "/answers", "POST", fmt.Sprintf(`{"requestId":%q,"allow":true,"by":"device %d"}`, q, d.id)
			},
			func() (string, string, string) {
				return "/v1/kontasks/" + k, "PUT", fmt.Sprintf(`{"session":%q,"title":"t","context":{"choices":[{"label":"a","value":"b"},{"label":"c","value":"d"}]}}`, d.session)
			},
			func() (string, string, string) {
				return "/v1/kontasks/" + k + "/choose", "POST", fmt.Sprintf(`{"choice":%d}`, d.random.IntN(2))
			},
			func() (string, string, string) {
				return d.events(fmt.Sprintf(`{"type":"turn_end","turn":%q,"data":{"success":true,"reason":"done","by":%d}}`, turn, d.id))
			},
		}
		for _, step := range steps {
			path, method, body := step()
			d.insist(ctx, path, method, body)
		}
	}
}

func (d *device) events(body string) (path, method, sent string) {
	return "/v1/sessions/" + d.session + "/events", "POST", body
}

// insist sends until the server has an answer other than "try again". What it
// answers is not judged here: others may have been first.
func (d *device) insist(ctx context.Context, path, method, body string) {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewReader([]byte(body)))
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode < 500 { // 429 too: nobody works off the prompts of the choices
				d.done.Add(1)
				return
			}
		}
		time.Sleep(5 * time.Millisecond) // another process: there is nothing to wait on but its port
	}
}

// checkOnce counts what may be there once only.
func checkOnce(t *testing.T, session string, log [][]byte, counted map[string]int) {
	t.Helper()
	once := map[string]int64{}
	only := func(what string, e *logged) {
		if first := once[what]; first != 0 {
			t.Errorf("%s: %s in event %d and again in event %d", session, what, first, e.ID)
		}
		once[what] = e.ID
	}
	open := ""
	for _, line := range log {
		var e logged
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		counted[e.Type]++
		switch e.Type {
		case store.TypePrompt:
			only("prompt of turn "+e.Turn, &e)
			if e.Data.KontaskID != "" {
				only("prompt of kontask "+e.Data.KontaskID, &e)
			}
		case store.TypeTurnStart:
			only("begin of turn "+e.Turn, &e)
			if open != "" {
				t.Errorf("%s: event %d begins turn %s while %s is open", session, e.ID, e.Turn, open)
			}
			open = e.Turn
		case store.TypeTurnEnd:
			only("end of turn "+e.Turn, &e)
			if e.Turn == open {
				open = ""
			}
		case store.TypePermissionResponse:
			only("answer to "+e.Data.RequestID, &e)
		case store.TypeKontaskChosen:
			only("choice from "+e.Data.KontaskID, &e)
		}
	}
}

// logged is what of an event is counted.
type logged struct {
	ID   int64
	Type string
	Turn string
	Data struct{ RequestID, KontaskID string }
}

// checkRebuilt folds every log anew and wants to find what the tables say.
func checkRebuilt(t *testing.T, dir string) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{LeasesByHand: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for n := range sessions {
		differences, err := l.Rebuild(t.Context(), sessionName(n))
		if err != nil || len(differences) > 0 {
			t.Errorf("%s: the log says otherwise than the tables: %v %q", sessionName(n), err, differences)
		}
	}
}
