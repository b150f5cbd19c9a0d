package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Config is what a Server can be told. The zero value works.
type Config struct {
	Version string // shown in /health/realtime; "" means "dev"
	Limits  Limits

	// The switches of PROTOCOL.md section 11, so that zero means on.
	DisableWebSocket bool
	DisableSSE       bool
	DisablePolling   bool
	// Of these two only plain reads are left: sessions with the tag shell, and
	// the feed.
	DisableShellRealtime bool
	DisableFeedPush      bool

	// AllowedOrigins are origins such as "https://example.org" beside the same
	// host and loopback from which browsers may upgrade and change things;
	// "*" allows all.
	AllowedOrigins []string
	// AllowedHosts are host names without port beside the loopback ones that a
	// request which arrived on a loopback address may carry; "*" allows all.
	AllowedHosts []string

	Retention store.Retention // shown in /health/realtime
	Agents    []string        // that run for sessions that ask for them; shown there too

	// Stream holds the timers of the carriers. Its limits come from Limits;
	// Commander, Observer and the checks are the server's own.
	Stream stream.Config

	Notifier Notifier // nil: no webhooks
	Ingest   Ingester // nil: agents' formats are not read

	Logger *slog.Logger // nil discards
}

// Server answers HTTP for one log. It is safe for concurrent use.
type Server struct {
	log     store.Log
	streams *stream.Server
	cfg     Config
	limits  Limits
	logger  *slog.Logger
	metrics *metrics
	conns   *connections
	intake  *intake
	handler http.Handler
	routes  []*echo.Route
	stopped chan struct{} // closed when draining begins
	drains  atomic.Bool
}

// New makes a server over the log. The hub must be the one whose Committed the
// log was given.
func New(log store.Log, hub *stream.Hub, cfg Config) *Server {
	cfg.Version = cmp.Or(cfg.Version, "dev")
	cfg.Limits = cfg.Limits.orDefault()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		log: log, cfg: cfg, limits: cfg.Limits, logger: cfg.Logger,
		metrics: newMetrics(log),
		conns:   newConnections(cfg.Limits.Connections, cfg.Limits.ConnectionsPerAddress),
		intake:  newIntake(cfg.Limits.LineTimeout),
		stopped: make(chan struct{}),
	}
	if cfg.Notifier != nil {
		s.metrics.registerWebhooks(cfg.Notifier)
	}
	sc := &s.cfg.Stream
	sc.Heartbeat = cmp.Or(sc.Heartbeat, HeartbeatDefault)
	sc.PollWaitMax, sc.PageEvents, sc.PageBytes = s.limits.PollWait, s.limits.PageEvents, s.limits.PageBytes
	sc.SubscriptionsMax, sc.FrameBytesMax = s.limits.Subscriptions, s.limits.FrameBytes
	sc.Commander, sc.Observer, sc.Logger = commands{s}, s.metrics, s.logger
	sc.CheckOrigin, sc.CheckFollow = s.originAllowed, s.follow
	sc.Marks, _ = log.(store.Marks)
	s.streams = stream.New(log, hub, *sc)
	s.handler = s.guard(s.router())
	return s
}

// Handler serves all routes.
func (s *Server) Handler() http.Handler { return s.handler }

// ConfigureHTTP sets the limits that belong to the HTTP server itself. Streams
// lift its two deadlines for themselves.
func (s *Server) ConfigureHTTP(h *http.Server) {
	h.MaxHeaderBytes = s.limits.HeaderBytes
	h.ReadHeaderTimeout = s.limits.HeaderTimeout
	h.ReadTimeout = s.limits.BodyTimeout
	h.WriteTimeout = s.limits.WriteTimeout
	h.IdleTimeout = s.limits.IdleTimeout
	h.ErrorLog = slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)
}

// Drain tells every reader to come back later, spread over the given time, ends
// streamed bodies after the lines that have arrived, and makes /readyz say no.
// It returns when the readers are gone or ctx ends. Single appends and reads go
// on until the HTTP server is shut down, so that nobody is refused needlessly.
func (s *Server) Drain(ctx context.Context, spread time.Duration) {
	if s.drains.CompareAndSwap(false, true) {
		close(s.stopped)
	}
	s.intake.close()
	s.streams.Drain(ctx, "shutting_down", spread)
}

// draining reports whether Drain was called.
func (s *Server) draining() bool { return s.drains.Load() }
