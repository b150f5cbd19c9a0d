package main

import (
	"context"
	"strconv"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/stream"
	"github.com/konlog/konlog/trace"
)

// traceSampleDefault exports the appends that a producer's own trace asks for.
const traceSampleDefault = "0"

// traceConfig is what the settings say of tracing. on is false without an
// endpoint.
func traceConfig(c config) (t trace.Config, on bool, err error) {
	t = trace.Config{
		Endpoint: c.text("trace.endpoint"), HeadersFile: c.text("trace.headers-file"), GenAI: c.bool("trace.genai"), Content: c.bool("trace.content"),
		Dir: c.text("data"), Version: thisBuild().Version,
	}
	sample, err := strconv.ParseFloat(c.text("trace.sample"), 64)
	switch {
	case err != nil || !(sample >= 0 && sample <= 1):
		return t, false, usagef("setting trace.sample: %q is no number from 0 to 1", c.text("trace.sample")).because("0.01 exports one append of a hundred")
	case t.Endpoint == "":
		return t, false, nil
	case !trace.Built:
		return t, false, usagef("setting trace.endpoint: %w", trace.ErrNotBuilt).because("use a release, or build it with: go build -tags otel ./cmd/konlog")
	}
	t.Sample = sample
	if err := t.Check(); err != nil {
		return t, false, usagef("setting %w", err)
	}
	return t, true, nil
}

// trace begins to export, if the settings say so, and lets the API tell of
// appends and readers. serve has checked the settings; what goes wrong beyond
// them is no reason to keep a log from running.
func (s *server) trace(ctx context.Context, hub *stream.Hub, ac *api.Config) {
	c, on, err := traceConfig(s.settings)
	if err == nil && on {
		c.Log, c.Hub, c.Turns, c.Logger = s.log, hub, s.log, s.logger
		s.tracer, err = trace.Start(ctx, c)
	}
	if err != nil {
		s.logger.Error("nothing is traced", "err", err)
	}
	if err != nil || !on {
		return
	}
	ac.Tracer, ac.Stream.Trail = s.tracer, s.tracer
	s.logger.Info("traces are exported", "genai", c.GenAI, "content", c.Content, "sample", c.Sample)
}

// stopTrace exports what is left, if the collector takes it soon.
func (s *server) stopTrace() {
	if s.tracer != nil {
		s.tracer.Close()
	}
}

// traceMetrics shows what became of the spans. Without tracing all is 0.
func (s *server) traceMetrics() []api.Metric {
	var n trace.Counts
	if s.tracer != nil {
		n = s.tracer.Counts()
	}
	one := func(name, help string, v int64) api.Metric {
		return api.Metric{Name: name, Help: help, Values: map[string]float64{"": float64(v)}}
	}
	return []api.Metric{
		one("trace_spans_total", "Spans that the collector took.", n.Exported),
		one("trace_dropped_spans_total", "Spans of appends that it did not take, or for which there was no room.", n.Dropped),
		one("trace_export_failures_total", "Requests that it did not take.", n.Failed),
		one("trace_turns_total", "Turns that were exported.", n.Turns),
		one("trace_feed_lag_events", "Events of the feed that were not looked through for turns yet.", n.Behind),
	}
}
