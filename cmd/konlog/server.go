package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/notify"
	"github.com/konlog/konlog/shell"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
	"github.com/konlog/konlog/trace"
)

// server is a running server: engine, streams, HTTP and the retention loop.
type server struct {
	url      string
	settings config
	logger   *slog.Logger
	log      *sqlite.Log
	notify   *notify.Sender
	api      *api.Server
	http     *http.Server
	edge     *edge
	auth     *auth
	failed   chan error // capacity 1: why HTTP ended by itself
	stopLoop context.CancelFunc
	loops    sync.WaitGroup
	agents   sync.WaitGroup
	shells   *shell.Manager              // nil where they are switched off
	manager  atomic.Pointer[run.Manager] // of the agents; nil before it runs
	tracer   *trace.Tracer               // or nil
}

// startServer listens first, so that a taken port is told before the data
// directory is touched. ctx bounds the start only.
func startServer(ctx context.Context, c config, logger *slog.Logger) (*server, error) {
	agents, err := managedAgents(c, logger)
	if err != nil {
		return nil, err
	}
	edge, err := openEdge(ctx, c, logger)
	if err != nil {
		return nil, err
	}
	s := &server{url: edge.url(), edge: edge, settings: c, logger: logger, failed: make(chan error, 1)}
	hub := stream.NewHub()
	eo, full := engineOptions(c, hub, logger), make(chan struct{}, 1)
	eo.Disk = disk(c, full)
	s.log, err = sqlite.Open(ctx, c.text("data"), eo)
	if err != nil {
		edge.abandon()
		return nil, failf("%w", err).because("%s", openErrorHint(err, c.text("data")))
	}
	if s.auth, err = openAuth(ctx, c, logger); err != nil {
		edge.abandon()
		_ = s.log.Close() // the error that matters is the other
		return nil, err
	}
	s.auth.warnOfPlain(edge, logger)
	if s.shells, err = s.openShells(ctx, hub); err != nil {
		edge.abandon()
		_ = s.log.Close() // likewise
		return nil, err
	}
	s.notify = notify.Start(notify.Options{
		Log: s.log, Webhooks: s.log, Hub: hub, AllowPrivate: c.bool("webhooks.allow-private"), Version: thisBuild().Version, Logger: logger,
	})
	ac := apiConfig(c, logger)
	ac.Notifier, ac.Ingest = s.notify, ingestBody
	ac.Agents = slices.Sorted(maps.Keys(agents))
	ac.Access = s.auth.access
	s.offerShells(&ac)
	s.observe(ctx, hub, &ac)
	edge.configure(c, &ac)
	s.api = api.New(s.log, hub, ac)
	edge.limit(s.api)
	s.http = &http.Server{Handler: s.api.Handler()}
	s.api.ConfigureHTTP(s.http)

	loopCtx, stopLoop := context.WithCancel(context.WithoutCancel(ctx))
	s.stopLoop = stopLoop
	s.loops.Go(func() { s.retain(loopCtx, full) })
	s.loops.Go(func() { s.tellSupervisor(loopCtx) })
	if len(agents) > 0 {
		s.agents.Go(func() { s.runAgents(loopCtx, hub, agents) })
	}
	s.loops.Go(func() {
		if err := edge.serve(loopCtx, s.http, s.failed); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	})
	return s, nil
}

// listen takes the address, which must be on loopback unless whoever comes is
// asked for a credential. An address without a host, such as :9000, means
// loopback.
func listen(ctx context.Context, addr string, guarded bool) (net.Listener, error) {
	host, port, err := hostAndPort(addr, guarded)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failf("address %s is in use by another program", addr).because("is konlog running already? --addr 127.0.0.1:0 picks a free port")
	}
	if err != nil {
		return nil, failf("%w", err).because("write the address like %s", addrDefault)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !guarded && (!ok || !tcp.IP.IsLoopback()) {
		_ = l.Close() // localhost led elsewhere
		return nil, notLoopback(addr)
	}
	return l, nil
}

// hostAndPort takes an address apart, and refuses one that listen would refuse
// whatever the network says.
func hostAndPort(addr string, guarded bool) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", usagef("address %q: %w", addr, err).because("write it like %s", addrDefault)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); !guarded && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", "", notLoopback(addr)
	}
	return host, port, nil
}

func notLoopback(addr string) error {
	return usagef("address %s can be reached from other machines, and nobody would be asked for a credential", addr).
		because("make a key with konlog token create --admin, and add --auth-keys (or --auth-jwks, --auth-jwt-secret-file); or listen on %s and come through an SSH tunnel", addrDefault)
}

func engineOptions(c config, hub *stream.Hub, logger *slog.Logger) sqlite.Options {
	return sqlite.Options{
		Committed:     hub.Committed,
		Logger:        logger,
		EventBytesMax: int(c.bytes("limits.event-bytes")),
		QueueRequests: c.int("engine.queue-requests"),
		QueueBytes:    c.bytes("engine.queue-bytes"),
		CacheBytes:    c.bytes("engine.cache-bytes"),
		Readers:       c.int("engine.readers"),
		Quotas:        quotas(c),
	}
}

func retention(c config) store.Retention {
	return store.Retention{Age: c.duration("retention.age"), Events: int64(c.int("retention.events")), Bytes: c.bytes("retention.bytes")}
}

func apiConfig(c config, logger *slog.Logger) api.Config {
	return api.Config{
		Version:          thisBuild().Version,
		Limits:           apiLimits(c),
		Rates:            apiRates(c),
		DisableWebSocket: !c.bool("websocket.enabled"),
		DisableSSE:       !c.bool("sse.enabled"),
		DisablePolling:   !c.bool("polling.enabled"),

		DisableShellRealtime: !c.bool("shell.realtime"),
		DisableFeedPush:      !c.bool("taskmaster.push"),

		AllowedOrigins:  c.list("http.origins"),
		AllowedHosts:    c.list("http.hosts"),
		Retention:       retention(c),
		RetentionScopes: retentionScopes(c),
		Quotas:          quotas(c),
		Stream: stream.Config{
			Heartbeat:    c.duration("stream.heartbeat"),
			SilenceMax:   c.duration("stream.silence"),
			WriteTimeout: c.duration("stream.write-timeout"),
			Retry:        c.duration("stream.retry"),
		},
		Logger: logger,
	}
}

func apiLimits(c config) api.Limits {
	return api.Limits{
		BodyBytes:             int(c.bytes("limits.body-bytes")),
		EventBytes:            int(c.bytes("limits.event-bytes")),
		BatchEvents:           c.int("limits.batch-events"),
		LineBytes:             int(c.bytes("limits.line-bytes")),
		ImportLineBytes:       int(c.bytes("limits.import-line-bytes")),
		StreamBatchEvents:     c.int("limits.stream-batch-events"),
		SessionBodyBytes:      int(c.bytes("limits.session-body-bytes")),
		BlobBytes:             c.bytes("limits.blob-bytes"),
		HeaderBytes:           int(c.bytes("limits.header-bytes")),
		URLBytes:              int(c.bytes("limits.url-bytes")),
		HeaderTimeout:         c.duration("timeouts.header"),
		BodyTimeout:           c.duration("timeouts.body"),
		WriteTimeout:          c.duration("timeouts.write"),
		IdleTimeout:           c.duration("timeouts.idle"),
		LineTimeout:           c.duration("timeouts.line"),
		Connections:           c.int("limits.connections"),
		ConnectionsPerAddress: c.int("limits.connections-per-address"),
		StreamsPerConnection:  c.int("limits.streams-per-connection"),
		Subscriptions:         c.int("limits.subscriptions"),
		FrameBytes:            int(c.bytes("limits.frame-bytes")),
		PageEvents:            c.int("limits.page-events"),
		PageBytes:             int(c.bytes("limits.page-bytes")),
		PollWait:              c.duration("stream.poll-wait"),
	}
}

// retain applies the retention at the start, then now and again, and when the
// disk is filling up.
func (s *server) retain(ctx context.Context, full <-chan struct{}) {
	r, scopes, grace := retention(s.settings), retentionScopes(s.settings), s.settings.duration("retention.blob-grace")
	tick := time.NewTicker(s.settings.duration("retention.interval"))
	defer tick.Stop()
	for {
		removed, err := s.log.Retain(ctx, r, scopes...)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.logger.Error("retention was not applied", "err", err)
		case removed > 0:
			s.logger.Info("retention applied", "events", removed)
		}
		s.sweepBlobs(ctx, grace)
		select {
		case <-tick.C:
		case <-full:
		case <-ctx.Done():
			return
		}
	}
}

// sweepBlobs removes the blobs to which no event refers any more, unless the
// grace is 0, which keeps them.
func (s *server) sweepBlobs(ctx context.Context, grace time.Duration) {
	if grace == 0 {
		return
	}
	removed, err := s.log.SweepBlobs(ctx, grace)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.logger.Error("blobs were not swept", "err", err)
	case removed > 0:
		s.logger.Info("unused blobs removed", "blobs", removed)
	}
}

// stop tells the readers to come back, ends the requests in flight and closes
// the data. It takes no longer than the drain timeout, the engine's close and
// what is left of traces.
func (s *server) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.duration("drain.timeout"))
	defer cancel()
	s.stopLoop()
	s.loops.Go(s.notify.Close)
	s.loops.Go(func() { s.closeShells(ctx) })
	// The port closes before the readers are sent away: who is refused a
	// connection comes again, who is answered 503 may not. A browser's
	// EventSource gives up for good at any answer but 200.
	ended := make(chan error, 1)
	go func() { ended <- s.http.Shutdown(ctx) }()
	s.api.Drain(ctx, s.settings.duration("drain.spread"))
	s.waitForAgents(ctx)
	if err := <-ended; err != nil {
		s.logger.Warn("requests were cut off at the drain timeout", "err", err)
		_ = s.http.Close() // nothing is left to be told
	}
	s.edge.close()
	s.auth.close()
	s.loops.Wait()
	s.stopTrace()
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("close the data: %w", err)
	}
	return nil
}

// waitForAgents lets the agents' turns be stopped and said so in the log. What
// is left of them ends with this process.
func (s *server) waitForAgents(ctx context.Context) {
	gone := make(chan struct{})
	go func() { s.agents.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		s.logger.Warn("agents were cut off at the drain timeout")
	}
}
