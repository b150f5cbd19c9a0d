package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/konlog/konlog/stream"
)

// carrier counts for one transport.
type carrier struct {
	open, subscriptions            prometheus.Gauge
	opened, writes, sent, sentSize prometheus.Counter
	lag, behind                    prometheus.Observer
	cuts                           map[string]prometheus.Counter
}

var _ stream.Observer = (*metrics)(nil)

// Of readers that had caught up: from a wake-up on the same machine to one who
// is about to be cut, and from none to a session that runs away.
var (
	lagBuckets    = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	behindBuckets = []float64{0, 1, 10, 100, 1000, 10_000, 100_000}
)

func (m *metrics) registerCarriers() {
	gauges := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricNamespace, Name: name, Help: help}, []string{"transport"})
		m.registry.MustRegister(v)
		return v
	}
	histograms := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: metricNamespace, Name: name, Help: help, Buckets: buckets}, []string{"transport"})
		m.registry.MustRegister(v)
		return v
	}
	open := gauges("connections", "Open readers.")
	subscriptions := gauges("subscriptions", "Sessions that open readers follow.")
	opened := m.counters("connections_opened_total", "Readers that came.", "transport")
	writes := m.counters("writes_total", "Batches sent to readers.", "transport")
	sent := m.counters("delivered_events_total", "Events sent to readers.", "transport")
	size := m.counters("delivered_bytes_total", "Bytes sent to readers.", "transport")
	cuts := m.counters("readers_cut_total", "Readers that were sent away: slow ones took nothing of a batch in time, silent ones gave no sign.", "transport", "reason")
	lag := histograms("reader_lag_seconds", "Age of the oldest event of a batch when a reader that had caught up took it.", lagBuckets)
	behind := histograms("reader_lag_events", "Events that such a reader had still to get after the batch.", behindBuckets)
	m.carriers = map[string]*carrier{}
	for _, t := range []string{stream.WebSocket, stream.SSE, stream.Poll} {
		c := &carrier{
			open: open.WithLabelValues(t), subscriptions: subscriptions.WithLabelValues(t), opened: opened.WithLabelValues(t), writes: writes.WithLabelValues(t),
			sent: sent.WithLabelValues(t), sentSize: size.WithLabelValues(t), lag: lag.WithLabelValues(t), behind: behind.WithLabelValues(t),
			cuts: map[string]prometheus.Counter{},
		}
		for _, why := range stream.Cuts {
			c.cuts[why] = cuts.WithLabelValues(t, why)
		}
		m.carriers[t] = c
	}
}

// Opened counts a reader in.
func (m *metrics) Opened(transport string) {
	if c := m.carriers[transport]; c != nil {
		c.open.Inc()
		c.opened.Inc()
	}
}

// Closed counts a reader out.
func (m *metrics) Closed(transport string) {
	if c := m.carriers[transport]; c != nil {
		c.open.Dec()
	}
}

// Subscribed counts the sessions that are followed.
func (m *metrics) Subscribed(transport string, change int) {
	if c := m.carriers[transport]; c != nil {
		c.subscriptions.Add(float64(change))
	}
}

// Delivered counts a batch.
func (m *metrics) Delivered(transport string, events, bytes int) {
	if c := m.carriers[transport]; c != nil {
		c.writes.Inc()
		c.sent.Add(float64(events))
		c.sentSize.Add(float64(bytes))
	}
}

// Lagged counts how late a batch was.
func (m *metrics) Lagged(transport string, behind int64, age time.Duration) {
	if c := m.carriers[transport]; c != nil {
		c.lag.Observe(max(age, 0).Seconds()) // a clock that was set back makes no negative one
		c.behind.Observe(float64(behind))
	}
}

// Cut counts a reader that was sent away.
func (m *metrics) Cut(transport, why string) {
	if c := m.carriers[transport]; c != nil && c.cuts[why] != nil {
		c.cuts[why].Inc()
	}
}
