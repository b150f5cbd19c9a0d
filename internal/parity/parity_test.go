package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/faultproxy"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// The size of the schedule.
const (
	sessions       = 3
	producersOf    = 2 // each session
	requestsOf     = 110
	batchMax       = 8
	phaseMax       = 400 * time.Millisecond // of one mix of faults
	phasesMin      = 12
	phasesMax      = 28              // then the network is good, however slow the machine is
	connectionsMin = 100             // through the proxy; there are some twenty readers
	settleMax      = 3 * time.Minute // of everything; it takes a tenth of that, or less
	shortHeartbeat = 250 * time.Millisecond
)

// quick is a server that notices soon what a network has done to it, with
// pages so small that most reads end at a border.
func quick() api.Config {
	return api.Config{
		Limits: api.Limits{
			PollWait: 400 * time.Millisecond, PageEvents: 16, PageBytes: 48 << 10,
			BodyTimeout: 2 * time.Second,
		},
		Stream: stream.Config{Heartbeat: shortHeartbeat, SilenceMax: 4 * shortHeartbeat, WriteTimeout: time.Second},
	}
}

// TestP3_P4_I9_Parity lets producers and readers of every kind work through a
// bad network, and holds what each reader got against the log, byte by byte.
func TestP3_P4_I9_Parity(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed := seedFromEnv(t)
	r := newRig(t, sqlite.Options{CacheBytes: 1 << 20}, quick())
	proxy, err := faultproxy.New(r.addr, int64(seed), faultproxy.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), settleMax)
	defer cancel()
	names := make([]string, sessions)
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i)
		if _, _, err := r.direct.CreateSession(ctx, names[i], store.SessionSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	var reading, producing sync.WaitGroup
	tailers, followers := startReaders(ctx, t, &reading, proxy, names, seed)
	var writers []*writer
	for i := range sessions * producersOf {
		w := &writer{session: names[i%sessions], name: fmt.Sprintf("p%d", i), random: rand.New(rand.NewPCG(seed, uint64(100+i))), c: newClient(t, proxy.URL(), nil)}
		writers = append(writers, w)
		producing.Go(func() {
			if err := w.run(ctx); err != nil {
				t.Errorf("producer %s: %v", w.name, err)
			}
		})
	}
	produced := make(chan struct{})
	go func() { producing.Wait(); close(produced) }()
	spoil(ctx, proxy, rand.New(rand.NewPCG(seed, 1)), produced)
	producing.Wait()
	for _, name := range names {
		if _, err := r.direct.CloseSession(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	reading.Wait()
	events := 0
	logs, raws := map[string][][]byte{}, map[string][][]byte{}
	for _, name := range names {
		logs[name], _ = r.readLog(t, name, false)
		raws[name], _ = r.readLog(t, name, true)
		events += len(logs[name])
	}
	checkWriters(t, writers, raws)
	switches := 0
	for _, x := range tailers {
		log := logs[x.session]
		if x.raw {
			log = raws[x.session]
		}
		same(t, x.name(), x.got, log)
		switches += x.switches
	}
	for _, x := range followers {
		for _, p := range x.at {
			same(t, x.name()+" "+p.session, x.got[p.session], logs[p.session])
		}
	}
	s := proxy.Stats()
	t.Logf("%d events, %d changes of transport, faults %+v", events, switches, s)
	if !harsh(s) || switches == 0 {
		t.Error("the network was too good: this proves nothing")
	}
}

// startReaders starts readers of every kind.
func startReaders(ctx context.Context, t *testing.T, group *sync.WaitGroup, proxy *faultproxy.Proxy, names []string, seed uint64) (tailers []*tailer, followers []*follower) {
	plain := newClient(t, proxy.URL(), nil)
	clients := map[string]*client.Client{"ws": plain, "sse": plain, "poll": newClient(t, proxy.URL(), impatient(t, watchdog))}
	all := []string{"ws", "sse", "poll"}
	for i, name := range names {
		for j, transport := range all {
			tailers = append(tailers, &tailer{session: name, transports: []string{transport}, raw: i == j})
		}
		tailers = append(tailers, &tailer{session: name, transports: all, raw: i == 0, random: rand.New(rand.NewPCG(seed, uint64(200+i)))})
	}
	// No pool: what one follower broke must not be another's connection.
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	pooled := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(pooled.CloseIdleConnections)
	followers = []*follower{
		newFollower(h, "ws", names[0]), newFollower(h, "ws-lines", names[1]), newFollower(h, "sse", names[2]),
		newFollower(h, "sse-resume", names[0]), newFollower(pooled, "poll", names[1]),
		newFollower(h, "many-ws", names...), newFollower(h, "many-sse", names...), newFollower(pooled, "many-poll", names...),
	}
	for _, x := range tailers {
		group.Go(func() {
			if err := x.run(ctx, clients); err != nil {
				t.Errorf("%s: %v", x.name(), err)
			}
		})
	}
	for _, x := range followers {
		group.Go(func() {
			if err := x.run(ctx, proxy.URL()); err != nil {
				t.Errorf("%s: %v", x.name(), err)
			}
		})
	}
	return tailers, followers
}

// spoil changes the network's faults until the producers are done and every
// fault was seen, and makes it a good one at the end.
func spoil(ctx context.Context, proxy *faultproxy.Proxy, random *rand.Rand, produced <-chan struct{}) {
	for phase, done := 0, false; ctx.Err() == nil && phase < phasesMax && (!done || phase < phasesMin); phase++ {
		proxy.SetFaults(faultproxy.Faults{
			Reset: 0.25 * random.Float64(), Close: 0.1 + 0.25*random.Float64(), HalfOpen: 0.1 + 0.2*random.Float64(), Stall: 0.5 * random.Float64(),
			StallFor: time.Duration(random.IntN(300)) * time.Millisecond, Within: 512 << random.IntN(9),
			SplitMax: 512 << random.IntN(7), DelayMax: time.Duration(random.IntN(2000)) * time.Microsecond,
		})
		if random.IntN(3) == 0 {
			proxy.CutAll()
		}
		pause(ctx, phaseMax/4+time.Duration(random.Int64N(int64(phaseMax*3/4))))
		select {
		case <-produced:
			done = harsh(proxy.Stats())
		default:
		}
	}
	proxy.SetFaults(faultproxy.Faults{})
	proxy.CutAll()
}

// harsh reports whether everything that a network can do was done.
func harsh(s faultproxy.Stats) bool {
	return s.Resets > 0 && s.Closes > 2 && s.HalfOpens > 2 && s.Stalls > 2 && s.Connections > connectionsMin
}

// writer is a producer that notes what it was told.
type writer struct {
	session, name string
	random        *rand.Rand
	c             *client.Client
	sent          []store.Draft
	ids           []int64 // of sent, as acknowledged
}

// run appends in bursts with pauses between; one producer in two uses numbered
// requests, the others keys.
func (w *writer) run(ctx context.Context) error {
	var p *client.Producer
	if w.random.IntN(2) == 0 {
		p = w.c.Producer(w.session, w.name, 1)
	}
	for range requestsOf {
		drafts := make([]store.Draft, 1)
		if w.random.IntN(10) < 3 {
			drafts = make([]store.Draft, 1+w.random.IntN(batchMax))
		}
		for i := range drafts {
			drafts[i] = w.draft(len(w.sent) + i)
		}
		var a store.Appended
		var err error
		if p != nil {
			a, err = p.Append(ctx, drafts...)
		} else {
			a, err = w.c.Append(ctx, w.session, client.AppendOptions{}, drafts...)
		}
		if err != nil {
			return err
		}
		if n := a.Last - a.First + 1; n != int64(len(drafts)) {
			return fmt.Errorf("%d events were acknowledged as %d to %d", len(drafts), a.First, a.Last)
		}
		for i := range drafts {
			w.sent, w.ids = append(w.sent, drafts[i]), append(w.ids, a.First+int64(i))
		}
		if w.random.IntN(5) == 0 {
			pause(ctx, time.Duration(w.random.IntN(40))*time.Millisecond)
		}
	}
	return nil
}

// draft is an event whose bytes do not survive being encoded anew: spaces,
// numbers and escapes that an encoder would write in another way.
func (w *writer) draft(n int) store.Draft {
	size := 10 + w.random.IntN(350)
	switch x := w.random.IntN(100); {
	case x < 10:
		size = 8<<10 + w.random.IntN(92<<10)
	case x < 40:
		size = 400 + w.random.IntN(8<<10)
	}
	d := store.Draft{
		Type: "text_delta", Turn: []string{"", "t-1", "t<é"}[w.random.IntN(3)], Parent: []string{"", "p"}[w.random.IntN(2)],
		Data: fmt.Appendf(nil, `{"n" : %d, "b":1.50e0,"a":[ ],"e":"\u003c\u00e9é\/","fill":"%s"}`, n, strings.Repeat("x", size)),
	}
	switch w.random.IntN(4) {
	case 0:
		d.Raw = fmt.Appendf(nil, `{"line": %d.0}`, n)
	case 1:
		d.Raw = fmt.Appendf(nil, `plain "text" <%d>`, n)
	}
	return d
}

// checkWriters holds what was acknowledged against the logs: every event once,
// at its id, its data and raw line byte for byte, and nothing else.
func checkWriters(t *testing.T, writers []*writer, logs map[string][][]byte) {
	t.Helper()
	total := map[string]int{}
	for _, w := range writers {
		log := logs[w.session]
		total[w.session] += len(w.sent)
		for i, id := range w.ids {
			if id < 1 || id > int64(len(log)) || i > 0 && id <= w.ids[i-1] {
				t.Errorf("producer %s: event %d was acknowledged with id %d of %d", w.name, i, id, len(log))
				break
			}
			var e struct{ Data, Raw json.RawMessage }
			if err := json.Unmarshal(log[id-1], &e); err != nil {
				t.Fatal(err)
			}
			var raw []byte
			if e.Raw != nil {
				var err error
				if raw, err = store.ParseRaw(e.Raw); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(e.Data, w.sent[i].Data) || !bytes.Equal(raw, w.sent[i].Raw) {
				t.Errorf("producer %s: event %d is stored as %.300s", w.name, id, log[id-1])
				break
			}
		}
	}
	for name, n := range total {
		if len(logs[name]) != n+1 {
			t.Errorf("%s has %d events, %d were sent and one closed it", name, len(logs[name]), n)
		}
	}
}
