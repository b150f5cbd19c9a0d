package stream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// The transports as they are named on the wire and in Connections.
const (
	WebSocket = "websocket"
	SSE       = "sse"
	Poll      = "poll"
)

// TransportHeader tells a client, and whoever looks at its network log, which
// transport answered.
const TransportHeader = "X-Realtime-Transport"

// Defaults of Config.
const (
	HeartbeatDefault        = 10 * time.Second
	SilenceMaxDefault       = 30 * time.Second // three heartbeats that nobody answered
	WriteTimeoutDefault     = 10 * time.Second
	PollWaitMaxDefault      = 30 * time.Second
	RetryDefault            = 2 * time.Second
	PageEventsDefault       = 512
	PageBytesDefault        = 256 << 10 // what one slow reader can hold of memory, besides the socket's own buffers
	SubscriptionsMaxDefault = 1024
	FrameBytesMaxDefault    = 16 << 20 // as much as a request body may hold
)

// cutWaitMax is how long Drain waits for connections that it has cut.
const cutWaitMax = time.Second

// Commander carries out the frames that are not about reading, such as
// append. Begin is called by the connection's reading goroutine, one frame at
// a time, and decides the order; end, which another goroutine calls once,
// waits for the outcome. home is the session of the connection's path, or "",
// which a frame need not name. frame is valid until end returns. The result becomes
// the fields of the ack frame, so it must encode as a JSON object or be nil. A
// *store.Error becomes an error frame.
type Commander interface {
	Begin(ctx context.Context, home, typ string, frame []byte) (end func() (any, error))
}

// Config holds the settings of a Server. A zero field means its default.
type Config struct {
	Heartbeat        time.Duration // silence after which a ping is sent
	SilenceMax       time.Duration // after which a silent WebSocket client is closed
	WriteTimeout     time.Duration // of one batch
	PollWaitMax      time.Duration // cuts wait=
	Retry            time.Duration // SSE: when to come back
	PageEvents       int           // events of one read
	PageBytes        int           // bytes of one read, and of one write
	SubscriptionsMax int           // sessions per connection
	FrameBytesMax    int           // of one frame from a WebSocket client

	Commander   Commander                // or nil: only reading
	Observer    Observer                 // or nil
	Trail       Trail                    // or nil
	CheckOrigin func(*http.Request) bool // or nil: a browser must come from the same host
	// CheckFollow refuses to show a session as it grows, with a *store.Error:
	// on an event stream, a WebSocket, or a poll that waits. Nil allows all.
	CheckFollow func(*store.Session) error
	// ClientLimits returns what bounds the client of a request beside the
	// limits above, or nil for one that nothing more bounds. Nil: nobody.
	ClientLimits func(context.Context) ClientLimits
	Intake       *Budget // of frames that have not arrived to their end; or nil
	// Access says what the credentials of readers allow.
	Access Access
	// Marks tell which kontasks a subject has seen. Nil: none.
	Marks  store.Marks
	Logger *slog.Logger // or nil: silent
}

func (c Config) orDefault() Config {
	orDuration(&c.Heartbeat, HeartbeatDefault)
	orDuration(&c.SilenceMax, SilenceMaxDefault)
	orDuration(&c.WriteTimeout, WriteTimeoutDefault)
	orDuration(&c.PollWaitMax, PollWaitMaxDefault)
	orDuration(&c.Retry, RetryDefault)
	orInt(&c.PageEvents, PageEventsDefault)
	orInt(&c.PageBytes, PageBytesDefault)
	orInt(&c.SubscriptionsMax, SubscriptionsMaxDefault)
	orInt(&c.FrameBytesMax, FrameBytesMaxDefault)
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.CheckOrigin == nil {
		c.CheckOrigin = sameOrigin
	}
	if c.ClientLimits == nil {
		c.ClientLimits = func(context.Context) ClientLimits { return nil }
	}
	c.Access.orDefault()
	if c.CheckFollow == nil {
		c.CheckFollow = func(*store.Session) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

func orInt(n *int, def int) {
	if *n <= 0 {
		*n = def
	}
}

// Server carries one log to any number of readers.
type Server struct {
	log Log
	hub *Hub
	cfg Config

	mu       sync.Mutex // guards the fields below
	seats    map[*seat]struct{}
	draining bool
	severed  bool          // those that were left have been cut
	gone     chan struct{} // closed when the last seat is left while draining; nil before
}

// New returns a server that reads from log and is woken by hub.
func New(log Log, hub *Hub, cfg Config) *Server {
	return &Server{log: log, hub: hub, cfg: cfg.orDefault(), seats: make(map[*seat]struct{})}
}

// seat is the place of one connection in the server.
type seat struct {
	transport string
	cancel    context.CancelFunc
	stop      chan struct{} // closed to make the connection say bye
	bye       Bye           // set before stop is closed
	cut       func()        // ends a write that nobody takes; or nil. Guarded by Server.mu
}

// enter gives a new connection its seat, and a context that ends with it. What
// does not stay is served while the server drains, and does not hold it up.
func (s *Server) enter(ctx context.Context, transport string, stays bool) (*seat, context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining && stays {
		return nil, nil, store.ErrShutdown
	}
	ctx, cancel := context.WithCancel(ctx)
	st := &seat{transport: transport, cancel: cancel, stop: make(chan struct{})}
	if !s.draining {
		s.seats[st] = struct{}{}
	}
	s.cfg.Observer.Opened(transport)
	return st, ctx, nil
}

func (s *Server) leave(st *seat) {
	st.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Observer.Closed(st.transport)
	if _, ok := s.seats[st]; !ok {
		return // it came while the server drained
	}
	delete(s.seats, st)
	if s.draining && len(s.seats) == 0 {
		close(s.gone)
	}
}

// onCut says how the connection is cut off when its peer takes nothing.
func (s *Server) onCut(st *seat, cut func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.cut = cut
	if _, ok := s.seats[st]; ok && s.severed {
		cut()
	}
}

// Connections counts the connections by transport.
func (s *Server) Connections() map[string]int {
	n := map[string]int{WebSocket: 0, SSE: 0, Poll: 0}
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.seats {
		n[st.transport]++
	}
	return n
}

// Drain refuses new readers with store.ErrShutdown and sends the others away,
// each with a moment within spread to come back, so that a restart is no
// storm. It returns when all are gone; when ctx ends first it cuts those that
// are left, also in mid-write.
func (s *Server) Drain(ctx context.Context, reason string, spread time.Duration) {
	s.sendAway(reason, spread)
	select {
	case <-s.gone:
		return
	case <-ctx.Done():
	}
	s.sever()
	timer := time.NewTimer(cutWaitMax)
	defer timer.Stop()
	select {
	case <-s.gone:
	case <-timer.C: // a command is still being carried out; nobody waits for its answer
	}
}

func (s *Server) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.severed = true
	for st := range s.seats {
		st.cancel()
		if st.cut != nil {
			st.cut()
		}
	}
}

func (s *Server) sendAway(reason string, spread time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return
	}
	s.draining = true
	s.gone = make(chan struct{})
	if len(s.seats) == 0 {
		close(s.gone)
	}
	for st := range s.seats {
		st.bye = Bye{Type: "bye", Reason: reason, ReconnectMs: rand.Int64N(max(spread.Milliseconds(), 0) + 1)}
		close(st.stop)
	}
}
