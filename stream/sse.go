package stream

import (
	"context"
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
	st, ctx, err := s.enter(r.Context(), SSE, true)
	if err != nil {
		return err
	}
	defer s.leave(st)
	c := s.newConn(st, req.Session)
	defer c.close()
	if err := c.attachAll(ctx, req); err != nil {
		return err
	}
	ended := false
	if req.Resumed && req.Until.bounded() {
		if ended, err = c.nothingLeft(ctx); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set(TransportHeader, SSE)
	h.Set("Cache-Control", "no-store, no-transform")
	if ended {
		w.WriteHeader(http.StatusNoContent) // the one answer after which a browser does not come back
		return nil
	}
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	out := &sseCarrier{wire: newResponseWire(w, s.cfg.WriteTimeout), conn: c, named: req.Named, http2: r.ProtoMajor >= 2}
	s.onCut(st, out.wire.cut)
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
	out.wire.release()
	return nil
}

// nothingLeft reports whether every subscription has already ended. It reads
// up to the first that has not.
func (c *conn) nothingLeft(ctx context.Context) (bool, error) {
	for _, s := range c.subs {
		if err := s.readFirst(ctx); err != nil {
			return false, err
		}
		b := s.first
		if !b.Done || len(b.Events) > 0 || b.Gap != nil || b.Reset != nil {
			return false, nil
		}
	}
	return true, nil
}

// sseCarrier is the wire of one event stream.
type sseCarrier struct {
	outbox
	wire  *responseWire
	conn  *conn
	named bool
	http2 bool // a deadline that passes between two writes ends the stream

	scratch []byte // a frame of a view
}

func (o *sseCarrier) event(s *subscription, e *store.Event) {
	o.open()
	if s.lens != nil {
		o.viewed(s, e)
		return
	}
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

// viewed appends an event as the view of its subscription shows it, named by
// the type that it has there. One that is not shown moves the cursor all the same.
func (o *sseCarrier) viewed(s *subscription, e *store.Event) {
	frame, typ := s.lens.AppendEvent(o.scratch[:0], e)
	o.scratch = frame
	if typ == "" {
		o.place(s)
		return
	}
	o.events++
	o.buf = o.appendID(o.buf, s)
	if o.named {
		o.buf = sse.AppendName(o.buf, typ)
	}
	o.buf = sse.AppendData(o.buf, frame)
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
	body := o.conn.encode(frame)
	if body == nil {
		return
	}
	o.open()
	o.buf = sse.AppendName(o.buf, name)
	if reset, ok := frame.(*Reset); ok {
		for _, s := range o.conn.subs {
			if s.req.Session == reset.Session {
				o.buf = o.appendID(o.buf, s)
			}
		}
	}
	o.buf = sse.AppendData(o.buf, body)
}

// place sends an id without an event. Where a filter let the last events not
// pass, a browser would else come back for them for ever.
func (o *sseCarrier) place(s *subscription) {
	o.open()
	o.buf = append(o.appendID(o.buf, s), '\n')
}

func (o *sseCarrier) flush() error {
	size := len(o.buf)
	_, err := o.wire.Write(o.buf)
	if cap(o.scratch) > scratchKeepMax {
		o.scratch = nil
	}
	if err == nil {
		err = o.wire.control.Flush()
	}
	if o.http2 {
		o.wire.release()
	}
	if err != nil {
		o.clear()
		return fmt.Errorf("write events: %w", err)
	}
	o.conn.srv.cfg.Observer.Delivered(SSE, o.clear(), size)
	return nil
}

// beat appends a comment: some proxies count only bytes that they have seen.
func (o *sseCarrier) beat() {
	o.open()
	o.buf = sse.AppendComment(o.buf, "beat")
}

func (o *sseCarrier) silent(time.Time) bool { return false }
