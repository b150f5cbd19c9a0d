package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/internal/long"
)

func TestBucketsHoldTheirValues(t *testing.T) {
	last := -1
	for _, v := range []int64{0, 1, 31, 32, 63, 64, 65, 127, 128, 1000, 1e6, 1e9, 1e12, 1 << 62} {
		i := bucketOf(v)
		if i < last {
			t.Errorf("bucketOf(%d) = %d is below the bucket of a smaller value", v, i)
		}
		last = i
		if top := bucketTop(i); top < v || float64(top-v) > 0.04*float64(v) {
			t.Errorf("bucket %d of %d ends at %d", i, v, top)
		}
		if i > 0 && bucketTop(i-1) >= v {
			t.Errorf("%d fits into bucket %d as well", v, i-1)
		}
	}
	if bucketOf(-5) != 0 {
		t.Error("a negative duration has no bucket of its own")
	}
}

func TestQuantiles(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	h := &histogram{}
	if got := h.quantile(0.99); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
	all := make([]int64, 10_000)
	for i := range all {
		all[i] = int64(r.ExpFloat64() * 1e6)
		h.record(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		want := float64(all[min(int(q*float64(len(all))), len(all)-1)])
		if got := float64(h.quantile(q)); got < want || got > 1.04*want+1 {
			t.Errorf("quantile(%v) = %v, want about %v", q, got, want)
		}
	}
}

// A stall must be charged to every event that it held up: the schedule stands.
func TestScheduleChargesAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delays []time.Duration
		err := schedule(t.Context(), 10*time.Millisecond, 10, func(i int, due int64) error {
			if i == 2 {
				<-time.After(45 * time.Millisecond)
			}
			delays = append(delays, time.Duration(now()-due).Round(time.Millisecond))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 0, 45 * ms, 35 * ms, 25 * ms, 15 * ms, 5 * ms, 0, 0, 0}; !slices.Equal(delays, want) {
			t.Errorf("delays = %v, want %v", delays, want)
		}
	})
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := schedule(ctx, time.Hour, 2, func(int, int64) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("schedule = %v", err)
	}
}

// A benchmark loads what it is pointed at, so it must not be pointed elsewhere.
func TestOnlyLoopbackIsLoaded(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:8787": "127.0.0.1:8787", "http://localhost:80": "127.0.0.1:80", "http://[::1]:9/": "[::1]:9",
		"http://192.0.2.1:80": "", "http://example.org:80": "", "https://127.0.0.1:1": "", "http://127.0.0.1": "", "127.0.0.1:80": "", "": "",
		"http://0.0.0.0:80": "", "http://127.0.0.1.example.org:80": "",
	} {
		got, err := loopbackAddress(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("loopbackAddress(%q) = %q, %v", text, got, err)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"nothing-like-it"}, {"--duration", "0s", "fsync"}, {"-n", "-1", "fsync"}, {"--server", "http://192.0.2.1:80", "append-ws"},
		{"--procs", "-1", "fsync"},
	} {
		if out, err := runCommand(t, args...); err == nil {
			t.Errorf("bench %v gave no error: %s", args, out)
		}
	}
}

func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestResultLine(t *testing.T) {
	r := Result{Scenario: "x", Did: "did", Value: 24_512.4, Unit: "events/s", P50: 5.1, P99: 9.25, Target: atLeast(25_000)}
	r.judge()
	line := r.line()
	for _, want := range []string{"24,512 events/s", "p50 5.100 ms, p99 9.250 ms", "target ≥ 25,000: missed"} {
		if !strings.Contains(line, want) {
			t.Errorf("line %q lacks %q", line, want)
		}
	}
	r.Target = p99AtMost(10)
	if r.judge(); !r.Target.Met {
		t.Error("a 99th percentile of 9.25 ms misses a target of 10")
	}
}

func TestLayoutHasAllEvents(t *testing.T) {
	for _, n := range []int{1, 40, 2000, 10_000, 1_000_000} {
		l := layoutOf(n)
		all, big := 0, 0
		for r := range l.runs() {
			all += r.events
			if r.session == bigSession {
				big += r.events
			}
		}
		if big != l.big || all < n*9/10 || all > n+l.sessions*growRun {
			t.Errorf("a layout of %d events has %d, %d of them in the big session of %d", n, all, big, l.big)
		}
	}
}

// The whole path against the real program: every scenario runs, gives figures
// and leaves nothing behind.
func TestQuickRunEndToEnd(t *testing.T) {
	long.Only(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "konlog")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/konlog").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := runCommand(t, "--quick", "--json", "--duration", "50ms", "--binary", program, "--dir", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "{") {
			continue // that it could not be pinned
		}
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[r.Scenario] = true
	}
	for _, s := range scenarios {
		if !seen[s.name] {
			t.Errorf("%s gave no figure", s.name)
		}
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}
