package soak

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/faultproxy"
)

const (
	realDefault = 8 * time.Second
	realAgents  = 8
	peakShare   = 0.8             // of what was measured without faults
	peakFor     = 0.1             // of the run
	killsUntil  = 0.5             // of the run: then one server lives to the end
	sampleEvery = time.Second / 4 // of memory and descriptors
	fullFor     = time.Second     // no longer than a client tries
	clockMax    = 48 * time.Hour  // forwards and backwards
)

// What one server may have grown by, over the part of the run in which none is
// killed: caches fill, and the machine is busy. A leak at these rates is far more.
const (
	memoryGrowth = 1.5
	memorySlack  = 64 << 20
	filesSlack   = 32
)

// TestSoak_Real is the load at four fifths of the peak with faults: nothing that
// was acknowledged is lost, no reader misses or repeats anything, and memory and
// descriptors are flat.
func TestSoak_Real(t *testing.T) {
	total := realDefault
	if text := os.Getenv("KONLOG_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("KONLOG_SOAK: %v; write it like 15m", err)
		}
		total = d
	}
	s := newServer(t)
	proxy, err := faultproxy.New(s.addr, 1, faultproxy.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	direct, far := newClient(t, s.url), newClient(t, proxy.URL())
	w := newWorld(t, realAgents, 0, direct, map[string]*client.Client{"ws": far, "sse": far, "poll": far, "auto": direct})

	began := time.Now()
	time.Sleep(time.Duration(peakFor * float64(total))) // load by the clock is what this test is
	peak := float64(w.events.Load()) / time.Since(began).Seconds()
	w.pace.SetBurst(max(batchMax, int(peak/20)))
	w.pace.SetLimit(rate.Limit(peakShare * peak))

	log := &samples{began: began}
	for random := rand.New(rand.NewPCG(3, 4)); time.Since(began) < total && !t.Failed(); {
		kills := time.Since(began) < time.Duration(killsUntil*float64(total))
		what := fault(t, s, proxy, random, kills)
		log.note(what, s, w)
		for until := time.Now().Add(total / 50); time.Now().Before(until); time.Sleep(sampleEvery) {
			log.take(s, w)
		}
	}
	proxy.SetFaults(faultproxy.Faults{})
	s.order("clock", "0s")
	w.settle(t, direct)
	log.check(t, w)
	log.draw(t)
	s.terminate(t)
	t.Logf("%v: peak %.0f events/s, %d acknowledged, %d seen by %d readers, %v", total, peak, w.events.Load(), w.seen.Load(), len(w.readers), log.counts())
	t.Logf("network: %+v", proxy.Stats())
}

func newClient(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// fault does one thing that happens to servers.
func fault(t *testing.T, s *server, proxy *faultproxy.Proxy, random *rand.Rand, kills bool) string {
	kinds := []string{"cut", "network", "calm", "full", "clock"}
	if kills {
		kinds = append(kinds, "kill", "kill")
	}
	what := kinds[random.IntN(len(kinds))]
	switch what {
	case "cut":
		proxy.CutAll()
	case "network":
		proxy.SetFaults(faultproxy.Faults{Reset: 0.3, Close: 0.3, HalfOpen: 0.05, Stall: 0.2, StallFor: time.Second, Within: 1 << 20})
	case "calm":
		proxy.SetFaults(faultproxy.Faults{})
	case "full":
		s.order("full")
		time.Sleep(time.Duration(random.Int64N(int64(fullFor))))
		s.order("room")
	case "clock":
		s.order("clock", time.Duration(random.Int64N(int64(2*clockMax)))-clockMax)
	case "kill":
		s.kill()
		s.start(t)
	}
	return what
}

// samples are what the server took, and what happened to it.
type samples struct {
	began  time.Time
	rows   []sample
	faults []sample // with what
}

type sample struct {
	at     time.Duration
	memory int64
	files  int
	events int64
	what   string
}

func (l *samples) take(s *server, w *world) {
	if memory, files, ok := s.usage(); ok {
		l.rows = append(l.rows, sample{at: time.Since(l.began), memory: memory, files: files, events: w.events.Load()})
	}
}

func (l *samples) note(what string, s *server, w *world) {
	l.faults = append(l.faults, sample{at: time.Since(l.began), what: what})
	if what == "kill" {
		l.rows = append(l.rows, sample{at: time.Since(l.began), what: what, events: w.events.Load()})
	}
}

func (l *samples) counts() map[string]int {
	n := map[string]int{}
	for _, f := range l.faults {
		n[f.what]++
	}
	return n
}

// check compares the last quarter of the last server's life with its second: in
// the first, caches fill.
func (l *samples) check(t *testing.T, w *world) {
	t.Helper()
	life := l.rows
	for i, r := range l.rows {
		if r.what == "kill" {
			life = l.rows[i+1:]
		}
	}
	if len(life) < 8 {
		t.Logf("memory and descriptors: only %d samples", len(life))
		return
	}
	quarter := len(life) / 4
	early, late := life[quarter:2*quarter], life[3*quarter:]
	memory := func(s sample) int64 { return s.memory }
	files := func(s sample) int64 { return int64(s.files) }
	if was, is := median(early, memory), median(late, memory); float64(is) > memoryGrowth*float64(was)+memorySlack {
		t.Errorf("memory grew from %d to %d MiB", was>>20, is>>20)
	} else {
		t.Logf("memory: %d, then %d MiB", was>>20, is>>20)
	}
	if was, is := median(early, files), median(late, files); is > was+filesSlack {
		t.Errorf("open files grew from %d to %d", was, is)
	} else {
		t.Logf("open files: %d, then %d", was, is)
	}
}

func median(rows []sample, of func(sample) int64) int64 {
	values := make([]int64, 0, len(rows))
	for _, r := range rows {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
