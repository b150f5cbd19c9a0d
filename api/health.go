package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// healthz says that the process answers; nothing else decides it, so that a
// full disk does not make a supervisor restart the server for ever.
func (s *Server) healthz(c echo.Context) error {
	return writeJSON(c, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string `json:"status"`           // "ready" or "not_ready"
	Reason string `json:"reason,omitempty"` // "shutting_down" or "storage_not_writable"
}

// readyz says whether appends would be taken.
func (s *Server) readyz(c echo.Context) error {
	reason := ""
	switch {
	case s.draining():
		reason = "shutting_down"
	case !s.writable():
		reason = "storage_not_writable"
	}
	if reason == "" {
		return writeJSON(c, http.StatusOK, readiness{Status: "ready"})
	}
	return writeJSON(c, http.StatusServiceUnavailable, readiness{Status: "not_ready", Reason: reason})
}

// writable asks the engine, when it can tell.
func (s *Server) writable() bool {
	h, ok := s.log.(store.HealthReporter)
	return !ok || h.Health().Writable
}

// realtime is the answer of /health/realtime.
type realtime struct {
	Version     string           `json:"version"`
	Protocol    int              `json:"protocol"`
	ServerTime  string           `json:"serverTime"`
	Draining    bool             `json:"draining"`
	Writable    bool             `json:"writable"`
	Credentials bool             `json:"credentials"` // are asked for
	Transports  map[string]bool  `json:"transports"`
	Channels    map[string]bool  `json:"channels"` // which kinds of sessions can be followed as they grow
	Connections map[string]int   `json:"connections"`
	HeartbeatMs int64            `json:"heartbeatMs"`
	Limits      map[string]int64 `json:"limits"`
	Retention   map[string]int64 `json:"retention"` // 0 is no bound
	Agents      []string         `json:"agents"`    // that run for sessions whose meta asks for them
	Quota       *realtimeUse     `json:"quota,omitempty"`
	Disk        *realtimeDisk    `json:"disk,omitempty"`
}

// stranger is what /health/realtime answers to who has no credential, where one
// is asked for: what a client needs before it signs in, and nothing by which
// to choose an attack.
type stranger struct {
	Protocol    int             `json:"protocol"`
	Credentials bool            `json:"credentials"`
	Transports  map[string]bool `json:"transports"`
}

func (s *Server) healthRealtime(c echo.Context) error {
	l, r := s.limits, s.cfg.Retention
	use, disk := s.room(c.Request().Context())
	transports := map[string]bool{
		stream.WebSocket: !s.cfg.DisableWebSocket, stream.SSE: !s.cfg.DisableSSE, stream.Poll: !s.cfg.DisablePolling,
	}
	if access.Of(c.Request().Context()) == nobody { // what one needs to know before one signs in
		return writeJSON(c, http.StatusOK, stranger{Protocol: 1, Credentials: true, Transports: transports})
	}
	return writeJSON(c, http.StatusOK, realtime{
		Version: s.cfg.Version, Protocol: 1, ServerTime: time.Now().UTC().Format(store.TimeLayout),
		Draining: s.draining(), Writable: s.writable(),
		Credentials: s.cfg.Access.Required(), Transports: transports,
		Channels:    map[string]bool{"shell": !s.cfg.DisableShellRealtime, "taskmaster": !s.cfg.DisableFeedPush},
		Connections: s.streams.Connections(),
		HeartbeatMs: s.cfg.Stream.Heartbeat.Milliseconds(),
		Limits: map[string]int64{
			"bodyBytes": int64(l.BodyBytes), "blobBytes": l.BlobBytes, "eventBytes": int64(l.EventBytes), "batchEvents": int64(l.BatchEvents),
			"lineBytes": int64(l.LineBytes), "urlBytes": int64(l.URLBytes), "frameBytes": int64(l.FrameBytes),
			"connections": int64(l.Connections), "connectionsPerAddress": int64(l.ConnectionsPerAddress),
			"subscriptions": int64(l.Subscriptions), "pageEvents": stream.PollEventsMax, "pageBytes": stream.PollBytesMax,
			"pollWaitMs": l.PollWait.Milliseconds(), "lineTimeoutMs": l.LineTimeout.Milliseconds(),
		},
		Retention: map[string]int64{"ageMs": r.Age.Milliseconds(), "events": r.Events, "bytes": r.Bytes},
		Agents:    append([]string{}, s.cfg.Agents...),
		Quota:     use, Disk: disk,
	})
}
