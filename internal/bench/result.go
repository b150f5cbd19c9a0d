package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Result is one figure.
type Result struct {
	Scenario string  `json:"scenario"`
	Did      string  `json:"did"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`

	P50 float64 `json:"p50Ms,omitempty"` // of latency, in milliseconds
	P99 float64 `json:"p99Ms,omitempty"`

	Note   string  `json:"note,omitempty"` // a second figure in words
	Target *Target `json:"target,omitempty"`

	ServerCPU float64 `json:"serverCpu,omitempty"`    // share of a core that the server used meanwhile
	LoadCPU   float64 `json:"loadCpu,omitempty"`      // likewise the load generator: near 1 it is the limit, not the server
	Micros    float64 `json:"serverMicros,omitempty"` // CPU time of the server per event: it says more than the rate on a machine that does other work too
}

// Target is what a figure should reach. The value that it is about is the
// result's, or its 99th percentile.
type Target struct {
	AtLeast float64 `json:"atLeast,omitempty"`
	AtMost  float64 `json:"atMost,omitempty"`
	OfP99   bool    `json:"ofP99,omitempty"`
	Met     bool    `json:"met"`
}

func atLeast(v float64) *Target { return &Target{AtLeast: v} }
func atMost(v float64) *Target  { return &Target{AtMost: v} }
func p99AtMost(ms float64) *Target {
	return &Target{AtMost: ms, OfP99: true}
}

// latency fills in the percentiles.
func (r *Result) latency(h *histogram) {
	if h.count() > 0 {
		r.P50, r.P99 = milliseconds(h.quantile(0.50)), milliseconds(h.quantile(0.99))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// judge compares the result with its target.
func (r *Result) judge() {
	if r.Target == nil {
		return
	}
	v := r.Value
	if r.Target.OfP99 {
		v = r.P99
	}
	r.Target.Met = r.Target.AtLeast > 0 && v >= r.Target.AtLeast || r.Target.AtMost > 0 && v <= r.Target.AtMost
}

// printer writes results as they come.
type printer struct {
	out  io.Writer
	json bool
}

func (p *printer) print(r Result) error {
	r.judge()
	if strings.HasSuffix(r.Unit, "/s") && r.Value > 0 {
		r.Micros = 1e6 * r.ServerCPU / r.Value
	}
	if !p.json {
		_, err := fmt.Fprintln(p.out, r.line())
		return err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a result: %w", err)
	}
	_, err = fmt.Fprintf(p.out, "%s\n", line)
	return err
}

// line is the result for people.
func (r *Result) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %-58s %12s %-12s", r.Scenario, r.Did, number(r.Value), r.Unit)
	if r.P99 > 0 {
		fmt.Fprintf(&b, "  p50 %s ms, p99 %s ms", number(r.P50), number(r.P99))
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "  %s", r.Note)
	}
	if r.ServerCPU > 0 || r.LoadCPU > 0 {
		fmt.Fprintf(&b, "  cpu server %.0f%% load %.0f%%", 100*r.ServerCPU, 100*r.LoadCPU)
	}
	if r.Micros > 0 {
		fmt.Fprintf(&b, ", %s µs each", number(r.Micros))
	}
	if t := r.Target; t != nil {
		relation, bound, about, verdict := "≥", t.AtLeast, "", "missed"
		if t.AtMost > 0 {
			relation, bound = "≤", t.AtMost
		}
		if t.OfP99 {
			about = "p99 "
		}
		if t.Met {
			verdict = "met"
		}
		fmt.Fprintf(&b, "  target %s%s %s: %s", about, relation, number(bound), verdict)
	}
	return b.String()
}

// number writes three digits at least, and groups of three.
func number(v float64) string {
	switch {
	case math.Abs(v) < 10:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case math.Abs(v) < 1000:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
