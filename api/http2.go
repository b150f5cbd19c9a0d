package api

import (
	"cmp"
	"net/http"
	"time"

	"github.com/konlog/konlog/stream"
)

// http2 bounds what one HTTP/2 connection can ask for. Requests on it have
// their own deadlines, and those that stay open their places among the
// connections, as on HTTP/1.1. Clients that reset streams as fast as they open
// them are net/http's to bound: it runs no more handlers than streams are
// allowed, and ends a connection on which four times as many wait.
func (s *Server) http2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: s.limits.StreamsPerConnection,
		// A stream has no pings of its own, so a peer that is gone without a
		// word would be found only by writing, and a waiting upload never.
		SendPingTimeout:  cmp.Or(s.cfg.Stream.SilenceMax, stream.SilenceMaxDefault),
		WriteByteTimeout: s.limits.WriteTimeout,
	}
}

// awaitBody gives an answer its time after the body. net/http counts from the
// header on, and with HTTP/2 ends the stream without a word when the time is
// over, so that a body which did not come in time would never be told so.
func (s *Server) awaitBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor >= 2 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.BodyTimeout + s.limits.WriteTimeout))
	}
}
