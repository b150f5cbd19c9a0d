package main

import (
	"context"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/stream"
)

// observe begins to trace, and fills in what /metrics shows and only the server
// as a whole knows.
func (s *server) observe(ctx context.Context, hub *stream.Hub, ac *api.Config) {
	s.trace(ctx, hub, ac)
	ac.MoreMetrics = s.traceMetrics
	ac.LimitValues = limitValues(s.settings)
	ac.AgentCounts = func() (running, waiting int) {
		if m := s.manager.Load(); m != nil {
			return m.Counts()
		}
		return 0, 0
	}
}

// limitValues are the settings that are numbers: what an alert compares a
// metric with. Times are in seconds.
func limitValues(c config) map[string]float64 {
	values := map[string]float64{}
	for _, s := range settings {
		if !serverSetting(s.key) {
			continue
		}
		switch s.kind {
		case kindInt:
			values[s.key] = float64(c.int(s.key))
		case kindBytes:
			values[s.key] = float64(c.bytes(s.key))
		case kindDuration:
			values[s.key] = c.duration(s.key).Seconds()
		}
	}
	return values
}
