package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/konlog/konlog/store"
)

// View shows the log in the shapes of another protocol than this one. What
// changes is how an event or a control frame looks, never which ones there
// are, their order or their ids: a view's reader has the same cursor. A View
// is shared by all its connections.
type View interface {
	// Lens returns what shows the events of one subscription.
	Lens() Lens
	// Recall is how many of the events before its cursor a lens is told of, so
	// that a reader which comes back sees what it would have seen had it stayed.
	Recall() int
	// Control returns what is sent in place of a control frame, one of this
	// package's frame types or a pointer to one; nil sends nothing.
	Control(frame any) any
	// Inbound translates a client's WebSocket frame into one of this protocol.
	// ok is false for a frame that stays as it is, also when it is malformed:
	// all frames are judged afterwards, in the same place.
	Inbound(frame []byte) (translated []byte, ok bool)
}

// Lens shows the events of one session, in their order. It is used by one
// goroutine.
type Lens interface {
	// Recall is called before the first event of a subscription that does not
	// begin at the beginning. before are the last events up to the cursor.
	Recall(s *store.Session, before []store.Event)
	// AppendEvent appends the frame of an event, one line, and returns the
	// frame's type: "" when nothing is shown.
	AppendEvent(dst []byte, e *store.Event) (frame []byte, typ string)
}

// lens returns the lens of a subscription that begins after the given id, or
// nil when the request has no view.
func (s *Server) lens(ctx context.Context, req *Request, after int64) (Lens, error) {
	if req.View == nil {
		return nil, nil
	}
	l := req.View.Lens()
	n := req.View.Recall()
	if n <= 0 || after <= 0 {
		return l, nil
	}
	limit := store.Limit{Events: n, Bytes: s.cfg.PageBytes}
	page, err := s.log.Read(ctx, req.Session, store.Query{Backward: true, Before: min(after, math.MaxInt64-1) + 1, Limit: limit})
	if err != nil {
		return nil, err
	}
	l.Recall(&page.Session, req.filter(page.Events))
	return l, nil
}

// errNotFollowed marks what Config.CheckFollow refused.
var errNotFollowed = errors.New("not followed")

// follow reports why the session may not be followed, or nil.
func (s *Server) follow(session *store.Session) error {
	if err := s.cfg.CheckFollow(session); err != nil {
		return fmt.Errorf("%w: %w", errNotFollowed, err)
	}
	return nil
}

// encode makes the bytes of a control frame for the connection's reader. They
// are nil when its view does not show the frame.
func (c *conn) encode(frame any) []byte { return encodeFor(c.view, frame) }

func encodeFor(v View, frame any) []byte {
	if v != nil {
		if frame = v.Control(frame); frame == nil {
			return nil
		}
	}
	return encode(frame)
}

// writeView writes the answer of a view: the frames of all its sessions in one
// list, and the cursor to come back with.
func (p *poll) writeView(ctx context.Context, out *pollWriter, single bool) error {
	view := p.pages[0].req.View
	frames := frameList{out: out, view: view}
	out.buf = append(out.buf, `{"events":[`...)
	level := true
	first, err := p.eachPage(ctx, out, func(_ int, g *page) error {
		if err := p.writeFrames(ctx, &frames, g); err != nil {
			return err
		}
		level = level && (g.Level || g.Done)
		return nil
	})
	if err != nil {
		return err
	}
	out.buf = append(out.buf, `],"cursor":"`...)
	if single {
		out.buf = strconv.AppendInt(out.buf, p.pages[0].Next, 10)
	} else {
		out.buf = p.appendCursor(out.buf, first)
	}
	out.buf = append(out.buf, `","caughtUp":`...)
	out.buf = strconv.AppendBool(out.buf, level)
	out.buf = append(out.buf, '}')
	return nil
}

// writeFrames writes the frames of a page, piece by piece. What the page says
// beside its events comes as the control frames that a stream would have.
func (p *poll) writeFrames(ctx context.Context, frames *frameList, g *page) error {
	if g.Reset != nil {
		frames.control(g.Reset)
	}
	if g.Gap != nil {
		frames.control(g.Gap)
	}
	from := g.from
	if g.req.Backward && len(g.Events) > 0 {
		from = g.Events[0].ID - 1
	}
	lens, err := p.srv.lens(ctx, &g.req, from)
	if err != nil {
		return err
	}
	for {
		for i := range g.Events {
			frames.event(lens, &g.Events[i])
		}
		g.Events = nil // written, and no longer to be held in memory
		if g.whole() {
			break
		}
		if err := frames.out.spill(); err != nil {
			return err
		}
		if err := g.proceed(ctx, p.piece); err != nil {
			return err
		}
	}
	return nil
}

// frameList writes frames with commas between them.
type frameList struct {
	out  *pollWriter
	view View
	n    int
}

func (l *frameList) control(frame any) {
	body := encodeFor(l.view, frame)
	if body == nil {
		return
	}
	l.comma()
	l.out.buf = append(l.out.buf, body...)
}

func (l *frameList) event(lens Lens, e *store.Event) {
	size := len(l.out.buf)
	n := l.n
	l.comma()
	frame, typ := lens.AppendEvent(l.out.buf, e)
	if typ == "" {
		l.out.buf, l.n = l.out.buf[:size], n
		return
	}
	l.out.buf = frame
	l.out.events++
}

func (l *frameList) comma() {
	if l.n > 0 {
		l.out.buf = append(l.out.buf, ',')
	}
	l.n++
}
