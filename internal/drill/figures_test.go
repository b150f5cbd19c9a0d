package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	figureLanes = 16
	figureBatch = 20
	figureTime  = 8 * time.Second // per figure
	figureGrow  = 100_000         // events before anything is measured
)

// load appends arrays of events of about 300 bytes from several producers, and
// notes when which event was acknowledged.
type load struct {
	url    string
	rate   time.Duration // between two requests of a producer; 0 is flat out
	events atomic.Int64

	mu    sync.Mutex // guards what follows
	times []time.Duration
}

func (l *load) run(t *testing.T, span time.Duration) {
	l.times = nil
	body := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"type":"text_delta","data":{"text":"`+strings.Repeat("x", 200)+`"}},`, figureBatch), ",") + "]")
	var lanes sync.WaitGroup
	for i := range figureLanes {
		lanes.Go(func() {
			for end := time.Now().Add(span); time.Now().Before(end); {
				began := time.Now()
				resp, err := http.Post(fmt.Sprintf("%s/v1/sessions/load-%d/events", l.url, i), "application/json", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode >= 300 {
					t.Errorf("status %d", resp.StatusCode)
					return
				}
				took := time.Since(began)
				l.events.Add(figureBatch)
				l.mu.Lock()
				l.times = append(l.times, took)
				l.mu.Unlock()
				if l.rate > took {
					<-time.After(l.rate - took)
				}
			}
		})
	}
	lanes.Wait()
}

func (l *load) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.times)
	return l.times[len(l.times)*99/100]
}

// walSize notes the largest write-ahead log of a directory until it is told to
// stop.
func walSize(dir string) (stop func() int64) {
	done, largest := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for {
			if info, err := os.Stat(filepath.Join(dir, "konlog.db-wal")); err == nil {
				most = max(most, info.Size())
			}
			select {
			case <-done:
				largest <- most
				return
			case <-time.After(lookAgain):
			}
		}
	}()
	return func() int64 { close(done); return <-largest }
}

// TestFigures measures for docs/BENCHMARKS.md: appends with and without a
// standby, how far a standby is behind, what backups cost.
func TestFigures(t *testing.T) {
	if os.Getenv("KONLOG_DRILL_FIGURES") == "" {
		t.Skip("KONLOG_DRILL_FIGURES=1 measures")
	}
	dir := t.TempDir()
	data, standby := filepath.Join(dir, "data"), filepath.Join(dir, "standby")
	s := newServer(t)
	s.start(t, data)
	l := &load{url: s.url}
	for l.events.Load() < figureGrow {
		l.run(t, time.Second)
	}
	info, err := os.Stat(filepath.Join(data, "konlog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the database has %d MiB, %d events", info.Size()>>20, l.events.Load())
	for _, rate := range []time.Duration{100 * time.Millisecond, 0} {
		l.rate = rate
		name := "3,200 events/s asked for"
		if rate == 0 {
			name = "flat out"
		}
		measure := func(what string, beside func()) {
			before, began, stop := l.events.Load(), time.Now(), walSize(data)
			var besides sync.WaitGroup
			if beside != nil {
				besides.Go(beside)
			}
			l.run(t, figureTime)
			rate := float64(l.events.Load()-before) / time.Since(began).Seconds()
			besides.Wait()
			t.Logf("%s, %s: %.0f events/s, p99 %v, write-ahead log at most %d MiB", name, what, rate, l.p99().Round(time.Millisecond), stop()>>20)
		}
		measure("alone", nil)
		for _, from := range [][]string{{"--data", data}, {"--server", s.url}} {
			measure("backup "+from[0], func() {
				began := time.Now()
				file := filepath.Join(t.TempDir(), "b.db")
				must(t, append([]string{"backup", "-q", "--to", file}, from...)...)
				info, err := os.Stat(file)
				if err != nil {
					t.Error(err)
					return
				}
				t.Logf("a backup of %d MiB took %v", info.Size()>>20, time.Since(began).Round(10*time.Millisecond))
			})
		}
		for _, every := range []string{"2s", "500ms"} {
			cmd := konlog(t, "follow", "-q", "--server", s.url, "--to", standby, "--every", every)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			level(t, standby)
			measure("standby every "+every, func() { t.Logf("behind: %s", behind(standby, figureTime)) })
			_ = cmd.Process.Kill() // it is running
			_ = cmd.Wait()
		}
	}
	s.kill()
}

// behind looks now and then how old the copy is: what would be lost if the
// server were lost at that moment.
func behind(standby string, span time.Duration) string {
	var ages []time.Duration
	for end := time.Now().Add(span); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(standby, "follow.json"))
		var state struct{ At time.Time }
		if err == nil && json.Unmarshal(text, &state) == nil {
			ages = append(ages, time.Since(state.At))
		}
	}
	if len(ages) == 0 {
		return "there is no copy yet"
	}
	slices.Sort(ages)
	return fmt.Sprintf("p50 %v, at most %v", ages[len(ages)/2].Round(time.Millisecond), ages[len(ages)-1].Round(time.Millisecond))
}
