package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Config is what a Server can be told. The zero value works.
type Config struct {
	Version string // shown in /health/realtime; "" means "dev"
	Limits  Limits
	Rates   Rates

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

	// TrustedProxies are whose word about the client of a request is believed,
	// and ProxyHeader is in which words: HeaderXForwardedFor (also when empty)
	// or HeaderForwarded. The proxies must set or remove the others' themselves.
	TrustedProxies []netip.Prefix
	ProxyHeader    string
	// HSTS is for how long browsers that came over TLS refuse to come without;
	// 0 leaves it to them.
	HSTS time.Duration
	// Certificate says when the certificate that the server shows ends; nil
	// without one.
	Certificate func() (end time.Time, ok bool)

	Retention store.Retention // shown in /health/realtime
	// RetentionScopes and Quotas are those of the engine: what clients may ask
	// of it is held against them, and shown.
	RetentionScopes []store.ScopeRetention
	Quotas          store.Quotas

	Agents []string // that run for sessions that ask for them; shown there too

	// Stream holds the timers of the carriers. Its limits come from Limits;
	// Commander, Observer and the checks are the server's own.
	Stream stream.Config

	Access *access.Access // nil: no credentials are asked for

	Notifier Notifier // nil: no webhooks
	Shells   Shells   // nil: no terminals are opened
	Ingest   Ingester // nil: agents' formats are not read

	// For /metrics: what the settings allow, by their names; how many sessions
	// have a running agent and how many wait for one; and what else is counted.
	// Each may be nil.
	LimitValues map[string]float64
	AgentCounts func() (running, waiting int)
	MoreMetrics func() []Metric

	Tracer Tracer // or nil: nothing is traced

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
	copies  *copies
	conns   *connections
	intake  *intake
	rates   *rates
	handler http.Handler
	routes  []*echo.Route
	needs   map[string]need // of each route, by its method and path
	stopped chan struct{}   // closed when draining begins
	drains  atomic.Bool
	hsts    []string // the value of the header, or nil
}

// New makes a server over the log. The hub must be the one whose Committed the
// log was given.
func New(log store.Log, hub *stream.Hub, cfg Config) *Server {
	cfg.Version = cmp.Or(cfg.Version, "dev")
	cfg.Limits = cfg.Limits.orDefault()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Access == nil {
		cfg.Access = noCredentials()
	}
	s := &Server{
		log: log, cfg: cfg, limits: cfg.Limits, logger: cfg.Logger,
		conns:   newConnections(cfg.Limits.Connections, cfg.Limits.ConnectionsPerAddress),
		intake:  newIntake(cfg.Limits.LineTimeout),
		stopped: make(chan struct{}),
		hsts:    hstsValue(cfg.HSTS),
	}
	s.metrics = newMetrics(log, hub, s.conns, &s.cfg)
	if cfg.Certificate != nil {
		s.metrics.registerCertificate(cfg.Certificate)
	}
	s.rates = newRates(cfg.Rates, cfg.Limits.BodyBytes, log, s.metrics.limitCounter(), s.stopped)
	s.conns.rates = s.rates
	if cfg.Notifier != nil {
		s.metrics.registerWebhooks(cfg.Notifier)
	}
	s.metrics.registerQuotas(&s.cfg.Quotas)
	s.copies = newCopies(s.metrics)
	sc := &s.cfg.Stream
	sc.Heartbeat = cmp.Or(sc.Heartbeat, HeartbeatDefault)
	sc.PollWaitMax, sc.PageEvents, sc.PageBytes = s.limits.PollWait, s.limits.PageEvents, s.limits.PageBytes
	sc.SubscriptionsMax, sc.FrameBytesMax = s.limits.Subscriptions, s.limits.FrameBytes
	sc.Commander, sc.Observer, sc.Logger = commands{s}, s.metrics, s.logger
	sc.ClientLimits, sc.Intake = s.rates.ofClient, s.rates.intake
	sc.CheckOrigin, sc.CheckFollow = s.originAllowed, s.follow
	sc.Access = stream.Access{
		Permit: s.permit, Show: s.show, Standing: s.standing, Renew: s.renew, Subject: s.subject, Grace: cfg.Access.Grace,
	}
	sc.Marks, _ = log.(store.Marks)
	s.streams = stream.New(log, hub, *sc)
	s.handler = s.withParent(s.guard(s.router()))
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
	h.DisableGeneralOptionsHandler = true // OPTIONS * goes through guard as all else
	h.HTTP2 = s.http2()
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
