package api

import (
	"net/http"
	"runtime"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// metrics counts. Nothing is labelled by session, address or anything else
// that clients choose, so that its size is fixed. What each metric means stands
// in docs/OBSERVABILITY.md, which a test holds against what is served.
type metrics struct {
	registry *prometheus.Registry
	http     http.Handler

	appends, duplicates, events, bytes prometheus.Counter
	commit                             prometheus.Histogram
	refused, requests                  *prometheus.CounterVec
	carriers                           map[string]*carrier
}

// secondsBuckets are for what is over in a moment, as a rule.
var secondsBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}

const metricNamespace = "konlog"

func newMetrics(log store.Log, hub *stream.Hub, conns *connections, cfg *Config) *metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &metrics{registry: reg, http: promhttp.HandlerFor(reg, promhttp.HandlerOpts{})}
	m.appends = m.counter("appends_total", "Appends that were acknowledged.")
	m.duplicates = m.counter("append_duplicates_total", "Appends that the log held already.")
	m.events = m.counter("events_total", "Events appended.")
	m.bytes = m.counter("event_bytes_total", "Bytes of events in acknowledged appends.")
	m.refused = m.counters("refused_total", "Refusals by code.", "code")
	for code := range refusals { // so that the first of each is a rise, and not a beginning
		m.refused.WithLabelValues(string(code))
	}
	m.requests = m.counters("http_requests_total", "Answers by route and status.", "method", "route", "status")
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: metricNamespace, Name: "append_seconds", Help: "Time from handing an append to the log until it was durable.",
		Buckets: secondsBuckets,
	})
	reg.MustRegister(m.commit)
	m.registerCarriers()
	reg.MustRegister(newEngineCollector(log))
	m.gauge("watches", "Registrations for news of a session: readers, webhooks and what else follows the log.", nil, func() float64 { return float64(hub.Watches()) })
	m.gauge("streams_open", "Open streams that count against limits.connections, streamed bodies among them.", nil, func() float64 { return float64(conns.count()) })
	m.gauge("build_info", "Always 1; the labels say what runs.", prometheus.Labels{"version": cfg.Version, "go": runtime.Version()}, func() float64 { return 1 })
	m.registerAgents(cfg)
	for name, value := range cfg.LimitValues {
		m.gauge("limit", "What a setting allows, in bytes, seconds or a number.", prometheus.Labels{"name": name}, func() float64 { return value })
	}
	if cfg.MoreMetrics != nil {
		reg.MustRegister(moreCollector{cfg.MoreMetrics})
	}
	return m
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricNamespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricNamespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// gauge shows what f says.
func (m *metrics) gauge(name, help string, labels prometheus.Labels, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: metricNamespace, Name: name, Help: help, ConstLabels: labels}, f))
}

// count is how many places are taken.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// registerAgents shows how many agents serve runs.
func (m *metrics) registerAgents(cfg *Config) {
	if cfg.AgentCounts == nil {
		return
	}
	m.gauge("agents_running", "Sessions whose agent has a place among agents.max.", nil, func() float64 { r, _ := cfg.AgentCounts(); return float64(r) })
	m.gauge("agents_waiting", "Sessions that wait for a place.", nil, func() float64 { _, w := cfg.AgentCounts(); return float64(w) })
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

func (m *metrics) serve(c echo.Context) error {
	m.http.ServeHTTP(c.Response(), c.Request())
	return nil
}

// Metric is a number that another part of the server counts, for /metrics. Its
// name ends in _total when it only rises.
type Metric struct {
	Name   string // without konlog_
	Help   string
	Label  string // the name of its one label, or ""
	Values map[string]float64
}

// moreCollector shows what other parts count.
type moreCollector struct{ collect func() []Metric }

// Describe implements prometheus.Collector. It says nothing, which makes the
// collector unchecked: what there is to tell is known when it is asked.
func (moreCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c moreCollector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.collect() {
		kind := prometheus.GaugeValue
		if len(m.Name) > 6 && m.Name[len(m.Name)-6:] == "_total" {
			kind = prometheus.CounterValue
		}
		var labels []string
		if m.Label != "" {
			labels = []string{m.Label}
		}
		desc := prometheus.NewDesc(metricNamespace+"_"+m.Name, m.Help, labels, nil)
		for label, v := range m.Values {
			if m.Label == "" {
				ch <- prometheus.MustNewConstMetric(desc, kind, v)
				continue
			}
			ch <- prometheus.MustNewConstMetric(desc, kind, v, label)
		}
	}
}
