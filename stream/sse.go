package stream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
)

// ServeSSE carries the request as an event stream until the reader leaves. It
// returns an error only while nothing has been written.
func (s *Server) ServeSSE(w http.ResponseWriter, r *http.Request, req Request) error {
	if req.Session == "" && len(req.Cursors) == 0 {
		return store.Errorf(store.CodeInvalidQuery, "cursor is missing: name the sessions, as in cursor=s1:0,s2:40")
	}
	st, ctx, err := s.enter(r.Context(), SSE)
	if err != nil {
		return err
	}
	defer s.leave(st)
	c := s.newConn(st, req.Session)
	defer c.close()
	if err := c.attachAll(ctx, req); err != nil {
		return err
	}
	h := w.Header()
	h.Set(TransportHeader, SSE)
	h.Set("Cache-Control", "no-store, no-transform")
	if req.Resumed && c.nothingLeft() {
		w.WriteHeader(http.StatusNoContent) // the one answer after which a browser does not come back
		return nil
	}
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	out := &sseCarrier{w: w, control: http.NewResponseController(w), conn: c, named: req.Named}
	c.out = out
	out.open()
	out.buf = sse.AppendRetry(out.buf, s.cfg.Retry)
	end := c.pump(ctx)
	if !end.gone {
		if end.bye != nil {
			out.frame("bye", end.bye)
		}
		_ = c.flush() // the last words; a reader that is gone misses nothing that it could not ask for
	}
	out.clear()
	_ = out.control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	return nil
}

// nothingLeft reports whether every subscription has already ended.
func (c *conn) nothingLeft() bool {
	for _, s := range c.subs {
		b := s.first
		if !b.Done || len(b.Events) > 0 || b.Gap != nil || b.Reset != nil {
			return false
		}
	}
	return true
}

// sseCarrier is the wire of one event stream.
type sseCarrier struct {
	outbox
	w       http.ResponseWriter
	control *http.ResponseController
	conn    *conn
	named   bool
}

func (o *sseCarrier) event(s *subscription, e *store.Event) {
	o.open()
	o.events++
	o.buf = o.appendID(o.buf, s)
	if o.named {
		o.buf = sse.AppendName(o.buf, e.Type)
	}
	if !s.req.Raw {
		o.buf = sse.AppendData(o.buf, e.JSON())
		return
	}
	o.buf = append(o.buf, "data: "...)
	o.buf = e.AppendJSON(o.buf, true)
	o.buf = append(o.buf, '\n', '\n')
}

// appendID appends the line that moves the reader's cursor: the id of the
// event, or on several sessions the whole cursor.
func (o *sseCarrier) appendID(dst []byte, s *subscription) []byte {
	dst = append(dst, "id: "...)
	if o.conn.home != "" {
		dst = strconv.AppendInt(dst, s.sent, 10)
	} else {
		for i, other := range o.conn.subs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, other.req.Session...)
			dst = append(dst, ':')
			dst = strconv.AppendInt(dst, other.sent, 10)
		}
	}
	return append(dst, '\n')
}

// frame appends a control frame. It has no id line and so cannot move the
// cursor, but for reset, which must: else a browser would come back with the
// cursor that was refused.
func (o *sseCarrier) frame(name string, frame any) {
	o.open()
	o.buf = sse.AppendName(o.buf, name)
	if reset, ok := frame.(*Reset); ok {
		for _, s := range o.conn.subs {
			if s.req.Session == reset.Session {
				o.buf = o.appendID(o.buf, s)
			}
		}
	}
	o.buf = sse.AppendData(o.buf, encode(frame))
}

func (o *sseCarrier) flush() error {
	size := len(o.buf)
	if err := o.write(); err != nil {
		o.clear()
		return err
	}
	o.conn.srv.cfg.Observer.Delivered(SSE, o.clear(), size)
	return nil
}

func (o *sseCarrier) write() error {
	deadline := time.Now().Add(o.conn.srv.cfg.WriteTimeout)
	if err := o.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := o.w.Write(o.buf); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := o.control.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}

// beat appends a comment: some proxies count only bytes that they have seen.
func (o *sseCarrier) beat() {
	o.open()
	o.buf = sse.AppendComment(o.buf, "beat")
}

func (o *sseCarrier) silent(time.Time) bool { return false }
