package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// metrics counts. Nothing is labelled by session, address or anything else
// that clients choose, so that its size is fixed.
type metrics struct {
	registry *prometheus.Registry
	http     http.Handler

	appends, duplicates, events, bytes prometheus.Counter
	commit                             prometheus.Histogram
	refused, requests                  *prometheus.CounterVec
	carriers                           map[string]*carrier
}

// carrier counts for one transport.
type carrier struct {
	open                           prometheus.Gauge
	opened, writes, sent, sentSize prometheus.Counter
}

var _ stream.Observer = (*metrics)(nil)

func newMetrics(log store.Log) *metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "konlog", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "konlog", Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &metrics{
		registry:   reg,
		http:       promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
		appends:    counter("appends_total", "Appends that were acknowledged."),
		duplicates: counter("append_duplicates_total", "Appends that the log held already."),
		events:     counter("events_total", "Events appended."),
		bytes:      counter("event_bytes_total", "Bytes of events in acknowledged appends."),
		refused:    vec("refused_total", "Refusals by code.", "code"),
		requests:   vec("http_requests_total", "Answers by route and status.", "method", "route", "status"),
	}
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "konlog", Name: "append_seconds", Help: "Time from handing an append to the log until it was durable.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
	})
	reg.MustRegister(m.commit)
	m.registerCarriers(reg)
	if h, ok := log.(store.HealthReporter); ok {
		gauge := func(name, help string, f func(store.Health) float64) {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "konlog", Name: name, Help: help},
				func() float64 { return f(h.Health()) }))
		}
		gauge("queue_requests", "Appends that wait for the writer.", func(h store.Health) float64 { return float64(h.QueueDepth) })
		gauge("queue_bytes", "Bytes of the appends that wait for the writer.", func(h store.Health) float64 { return float64(h.QueueBytes) })
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "konlog", Name: "commits_total",
			Help: "Transactions of the log; appends_total over this says how many appends share a commit."},
			func() float64 { return float64(h.Health().Commits) }))
		gauge("writable", "1 when appends are taken.", func(h store.Health) float64 {
			if h.Writable {
				return 1
			}
			return 0
		})
	}
	return m
}

func (m *metrics) registerCarriers(reg *prometheus.Registry) {
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "konlog", Name: "connections", Help: "Open readers."}, []string{"transport"})
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "konlog", Name: name, Help: help}, []string{"transport"})
	}
	opened := vec("connections_opened_total", "Readers that came.")
	writes := vec("writes_total", "Batches sent to readers.")
	sent := vec("delivered_events_total", "Events sent to readers.")
	size := vec("delivered_bytes_total", "Bytes sent to readers.")
	reg.MustRegister(open, opened, writes, sent, size)
	m.carriers = map[string]*carrier{}
	for _, t := range []string{stream.WebSocket, stream.SSE, stream.Poll} {
		m.carriers[t] = &carrier{
			open: open.WithLabelValues(t), opened: opened.WithLabelValues(t), writes: writes.WithLabelValues(t),
			sent: sent.WithLabelValues(t), sentSize: size.WithLabelValues(t),
		}
	}
}

// appended counts an acknowledged append.
func (m *metrics) appended(a store.Appended, size int, took time.Duration) {
	m.appends.Inc()
	m.commit.Observe(took.Seconds())
	if a.Duplicate {
		m.duplicates.Inc()
		return
	}
	m.events.Add(float64(a.Last - a.First + 1))
	m.bytes.Add(float64(size))
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

// Delivered counts a batch.
func (m *metrics) Delivered(transport string, events, bytes int) {
	if c := m.carriers[transport]; c != nil {
		c.writes.Inc()
		c.sent.Add(float64(events))
		c.sentSize.Add(float64(bytes))
	}
}

func (m *metrics) serve(c echo.Context) error {
	m.http.ServeHTTP(c.Response(), c.Request())
	return nil
}
