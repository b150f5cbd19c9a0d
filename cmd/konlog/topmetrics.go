package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape is what a server counted at one moment.
type scrape map[string]*dto.MetricFamily

func parseScrape(text []byte) (scrape, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the server's metrics cannot be read: %w", err)
	}
	return families, nil
}

// labelled says whether a metric has all these labels, given as name, value.
func labelled(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

// sum adds up the values of a metric with these labels. ok is false when the
// server does not have it.
func (s scrape) sum(name string, labels ...string) (total float64, ok bool) {
	f := s[name]
	for _, m := range f.GetMetric() {
		if labelled(m, labels) {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			ok = true
		}
	}
	return total, ok
}

// value is sum for what is 0 when it is not there.
func (s scrape) value(name string, labels ...string) float64 {
	v, _ := s.sum(name, labels...)
	return v
}

// label is the value of a label of the first metric of that name.
func (s scrape) label(name, label string) string {
	for _, m := range s[name].GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == label {
				return l.GetValue()
			}
		}
	}
	return ""
}

// limit is what a setting of the server allows; 0 when it does not say.
func (s scrape) limit(name string) float64 { return s.value("konlog_limit", "name", name) }

// period is the time between two scrapes of one run of a server.
type period struct {
	before, after scrape
	seconds       float64
}

// between returns nil when before is of another run: its numbers began anew.
func between(before, after scrape, seconds float64) *period {
	start := func(s scrape) float64 { return s.value("process_start_time_seconds") }
	if before == nil || after == nil || seconds <= 0 || start(before) != start(after) || after.value("konlog_commits_total") < before.value("konlog_commits_total") {
		return nil
	}
	return &period{before, after, seconds}
}

// rate is what a counter grew by per second; nil when that is not known.
func (p *period) rate(name string, labels ...string) *float64 {
	if p == nil {
		return nil
	}
	after, ok := p.after.sum(name, labels...)
	if !ok {
		return nil
	}
	r := max(after-p.before.value(name, labels...), 0) / p.seconds
	return &r
}

// quantile is that of what a histogram counted in the period, over all its
// labels; nil when it counted nothing. Within a bucket values count as spread
// evenly, as in PromQL, and above the last bound as that bound.
func (p *period) quantile(q float64, name string) *float64 {
	if p == nil {
		return nil
	}
	counts := p.after.buckets(name)
	for bound, n := range p.before.buckets(name) {
		counts[bound] -= n
	}
	bounds := make([]float64, 0, len(counts))
	for bound := range counts {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	if len(bounds) == 0 || counts[bounds[len(bounds)-1]] <= 0 {
		return nil
	}
	want, below, low := q*counts[bounds[len(bounds)-1]], 0.0, 0.0
	for _, bound := range bounds {
		n := counts[bound]
		if n >= want && n > below {
			v := low
			if !math.IsInf(bound, 1) {
				v = low + (bound-low)*(want-below)/(n-below)
			}
			return &v
		}
		if below = n; !math.IsInf(bound, 1) {
			low = bound
		}
	}
	return &low
}

// buckets are the cumulative counts of a histogram by upper bound.
func (s scrape) buckets(name string) map[float64]float64 {
	counts := map[float64]float64{}
	for _, m := range s[name].GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			counts[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
		if !slices.ContainsFunc(m.GetHistogram().GetBucket(), func(b *dto.Bucket) bool { return math.IsInf(b.GetUpperBound(), 1) }) {
			counts[math.Inf(1)] += float64(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}
