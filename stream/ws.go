package stream

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// subprotocol is accepted when a client names it, and not required.
const subprotocol = "konlog.v1"

// The first byte of a WebSocket frame that is a message of its own.
const (
	opText = 0x81
	opPing = 0x89
)

// frameHeaderMax is the longest header of a frame that a server sends.
const frameHeaderMax = 10

// scratchKeepMax is how much of a buffer an idle connection may keep.
const scratchKeepMax = 4 << 10

// ServeWebSocket upgrades the request and carries it until either side ends
// it. It returns an error only while nothing has been written.
func (s *Server) ServeWebSocket(w http.ResponseWriter, r *http.Request, req Request) error {
	done := make(chan struct{})
	if err := s.StartWebSocket(w, r, req, func() { close(done) }); err != nil {
		return err
	}
	<-done
	return nil
}

// StartWebSocket is ServeWebSocket for a caller that does not wait: it returns
// once the request is upgraded, and calls ended when the connection is over
// and its goroutines have done their work. Returning lets the HTTP server
// free its own buffers, request and stack, about half of what an idle reader
// costs. With an error ended is not called.
func (s *Server) StartWebSocket(w http.ResponseWriter, r *http.Request, req Request, ended func()) error {
	if err := s.upgradable(r); err != nil {
		return err
	}
	// The request's context ends when the handler returns, the connection
	// when its peer leaves or its seat is taken away.
	st, ctx, err := s.enter(context.WithoutCancel(r.Context()), WebSocket, true)
	if err != nil {
		return err
	}
	c := s.newConn(st, req.Session)
	leave := func() {
		c.close()
		s.leave(st)
	}
	if err := c.attachAll(ctx, req); err != nil {
		leave()
		return err
	}
	out := &wsCarrier{conn: c, lines: req.Batch, limits: s.cfg.ClientLimits(ctx)}
	if !out.accept(w, r) { // the library has answered
		leave()
		ended()
		return nil
	}
	c.out = out
	s.onCut(st, func() { _ = out.wire.Close() })
	out.pace(ctx)
	go func() {
		defer ended()
		defer leave()
		out.run(ctx)
	}()
	return nil
}

// run carries the connection: this goroutine is its pump, a second one reads.
func (o *wsCarrier) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.conn.over <- o.readAll(ctx)
	}()
	o.finish(o.conn.pump(ctx))
	<-done
}

// upgradable refuses what cannot become a WebSocket while an HTTP error can
// still be given.
func (s *Server) upgradable(r *http.Request) error {
	if r.Method != http.MethodGet || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		return store.Errorf(CodeUpgradeRequired, "this address speaks WebSocket: send an upgrade request")
	}
	if r.Header.Get("Sec-Websocket-Version") != "13" || r.Header.Get("Sec-Websocket-Key") == "" {
		return store.Errorf(CodeUpgradeRequired, "the upgrade request needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key")
	}
	if !s.cfg.CheckOrigin(r) {
		return store.Errorf(CodeOriginNotAllowed, "pages of %.200q may not connect here", r.Header.Get("Origin"))
	}
	return nil
}

func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// sameOrigin lets in what is no browser, and pages of this host.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// wsCarrier is the wire of one WebSocket. Event frames are built here and not
// by the library: a server's frame is a header of a few bytes before the
// payload, and a batch of them must leave in one write.
type wsCarrier struct {
	outbox
	conn    *conn
	ws      *websocket.Conn
	wire    *wireConn
	lines   bool         // a message may hold several, one per line
	limits  ClientLimits // or nil
	scratch []byte

	heard atomic.Int64 // when the client was last heard of, Unix nanoseconds
	busy  atomic.Int32 // commands of the client that are being carried out
	level atomic.Int64 // how far the first subscription is, for pongs
}

func (o *wsCarrier) accept(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set(TransportHeader, WebSocket)
	hijack := &hijackWriter{ResponseWriter: w, timeout: o.conn.srv.cfg.WriteTimeout}
	o.hear()
	ws, err := websocket.Accept(hijack, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // upgradable has checked the origin
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { o.hear(); return true },
		OnPongReceived:     func(context.Context, []byte) { o.hear() },
	})
	if err != nil {
		return false
	}
	ws.SetReadLimit(-1) // readAll keeps the limit: the library would close with another code
	o.ws, o.wire = ws, hijack.conn
	return true
}

// finish ends the connection and makes the reading goroutine end.
func (o *wsCarrier) finish(end *ending) {
	defer o.clear()
	if end.gone {
		o.conn.seat.cancel()
		_ = o.ws.CloseNow()
		return
	}
	if end.bye != nil {
		o.frame("bye", end.bye)
	}
	err := o.conn.flush()
	o.conn.seat.cancel() // the reading goroutine carries out no more frames
	if err != nil {
		_ = o.ws.CloseNow()
		return
	}
	_ = o.ws.Close(end.code, end.reason) // a peer that does not answer is cut by the library's own timeout
}

func (o *wsCarrier) event(s *subscription, e *store.Event) {
	if s.lens != nil {
		var typ string
		if o.scratch, typ = s.lens.AppendEvent(o.scratch[:0], e); typ != "" {
			o.events++
			o.message(o.scratch)
		}
		return
	}
	o.events++
	if !s.req.Raw {
		o.message(e.JSON())
		return
	}
	o.scratch = e.AppendJSON(o.scratch[:0], true)
	o.message(o.scratch)
}

func (o *wsCarrier) place(*subscription) {} // its client has the cursor from caught_up

func (o *wsCarrier) frame(_ string, frame any) {
	if body := o.conn.encode(frame); body != nil {
		o.message(body)
	}
}

// message appends one text message, or with lines one line of it.
func (o *wsCarrier) message(body []byte) {
	o.open()
	switch {
	case !o.lines:
		o.buf = appendFrameHeader(o.buf, opText, len(body))
	case len(o.buf) == 0:
		o.buf = append(o.buf, make([]byte, frameHeaderMax)...) // room for the header, whose length is not known yet
	default:
		o.buf = append(o.buf, '\n')
	}
	o.buf = append(o.buf, body...)
}

func appendFrameHeader(dst []byte, op byte, size int) []byte {
	switch {
	case size < 126:
		return append(dst, op, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, op, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, op, 127), uint64(size))
}

func (o *wsCarrier) flush() error {
	batch := o.buf
	if o.lines {
		var head [frameHeaderMax]byte
		h := appendFrameHeader(head[:0], opText, len(batch)-frameHeaderMax)
		batch = batch[frameHeaderMax-len(h):]
		copy(batch, h)
	}
	if len(o.conn.subs) > 0 {
		o.level.Store(o.conn.subs[0].sent)
	}
	begin := time.Now()
	_, err := o.wire.Write(batch)
	if err == nil && time.Since(begin) >= o.conn.srv.cfg.Heartbeat {
		o.hear() // it had no ping to answer meanwhile, but it took what it was sent
	}
	size := len(batch)
	events := o.clear()
	if cap(o.scratch) > scratchKeepMax {
		o.scratch = nil
	}
	if err != nil {
		return err
	}
	o.conn.srv.cfg.Observer.Delivered(WebSocket, events, size)
	return nil
}

// beat sends a ping of the protocol, which every client answers by itself. It
// does not wait for the pong: hear notes it.
func (o *wsCarrier) beat() {
	_, _ = o.wire.Write([]byte{opPing, 0}) // a failed write shows at the next flush
}

func (o *wsCarrier) hear() { o.heard.Store(time.Now().UnixNano()) }

// silent reports whether nothing came from the client for too long. While a
// command is being carried out nobody listens, so its silence means nothing.
func (o *wsCarrier) silent(now time.Time) bool {
	if o.busy.Load() > 0 {
		return false
	}
	return now.Sub(time.Unix(0, o.heard.Load())) >= o.conn.srv.cfg.SilenceMax
}
