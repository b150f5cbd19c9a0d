package stream

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// Bounds of one poll.
const (
	pollEventsDefault = 1000
	pollScanPagesMax  = 128                // pieces that a filter may skip before the answer is given empty
	pollWriteMin      = 32 << 10           // what is written before the end; a smaller answer goes out at once, with its length
	pollMaxAge        = 7 * 24 * time.Hour // of a page that cannot change
)

// poll is one long-poll request.
type poll struct {
	srv    *Server
	seat   *seat
	wake   chan struct{}
	limit  store.Limit // of a page
	piece  store.Limit // of what is read and written of it at a time
	pages  []page
	waited bool // somebody came while it waited
	found  int  // the page whose first piece is held: those before it have nothing, those after it were not looked at
}

// ServePoll answers with a page of events: at once when there are any, else
// when the wait is over. It returns an error only while nothing has been
// written.
func (s *Server) ServePoll(w http.ResponseWriter, r *http.Request, req Request) error {
	if err := checkPoll(&req); err != nil {
		return err
	}
	st, ctx, err := s.enter(r.Context(), Poll, req.Wait > 0)
	if err != nil {
		return err
	}
	defer s.leave(st)
	if req.Limit <= 0 {
		req.Limit = pollEventsDefault
	}
	p := &poll{
		srv: s, seat: st, wake: make(chan struct{}, 1),
		limit: store.Limit{Events: req.Limit, Bytes: PollBytesMax},
		piece: store.Limit{Events: s.cfg.PageEvents, Bytes: s.cfg.PageBytes},
	}
	defer p.close()
	if req.Backward {
		err = p.backward(ctx, req)
	} else {
		err = p.forward(ctx, &req)
	}
	if err != nil {
		return err
	}
	return p.answer(ctx, w, r, req.Session != "")
}

func (p *poll) close() {
	for i := range p.pages {
		if t := p.pages[i].tail; t != nil {
			t.Close()
			p.srv.cfg.Observer.Subscribed(Poll, -1)
		}
	}
}

func checkPoll(req *Request) error {
	switch {
	case req.Session == "" && len(req.Cursors) == 0:
		return store.Errorf(store.CodeInvalidQuery, "cursor is missing: name the sessions, as in cursor=s1:0,s2:40")
	case req.Speed > 0:
		return store.Errorf(store.CodeInvalidQuery, "speed is for WebSocket and SSE: a poll answers at once")
	case req.Backward && (req.FromEnd || req.After > 0 || req.Session == ""):
		return store.Errorf(store.CodeInvalidQuery, "before goes with one session, and not with after or tail")
	}
	return nil
}

// forward reads until something is there for one of the sessions, or the wait
// is over.
func (p *poll) forward(ctx context.Context, req *Request) error {
	for _, one := range req.each() {
		if len(p.pages) >= p.srv.cfg.SubscriptionsMax {
			return store.Errorf(CodeTooManySubscriptions, "%d sessions are more than one poll may follow", len(req.Cursors))
		}
		if err := p.srv.cfg.Access.Permit(ctx, one.Session); err != nil {
			return fmt.Errorf("session %s: %w", one.Session, err)
		}
		one.show = p.srv.cfg.Access.Show(ctx, one.Session)
		t := newTail(p.srv.log, p.srv.hub, p.wake, one, store.Limit{})
		p.pages = append(p.pages, newPage(one, t))
		p.srv.cfg.Observer.Subscribed(Poll, 1)
		err := t.seek(ctx, p.srv.log)
		if err == nil && (req.Session == "" || req.Wait > 0) { // of several the first piece is read when there is room for it
			var session store.Session
			session, err = p.srv.log.Session(ctx, one.Session)
			if err == nil && req.Wait > 0 {
				err = p.srv.follow(&session)
			}
		}
		if err != nil {
			return fmt.Errorf("session %s: %w", one.Session, err)
		}
	}
	return p.wait(ctx, min(req.Wait, p.srv.cfg.PollWaitMax))
}

func (p *poll) wait(ctx context.Context, wait time.Duration) error {
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	expired, stop := p.srv.cfg.Access.expiry(ctx)
	defer stop()
	for scanned := 0; ; scanned++ {
		found, more, err := p.readAll(ctx)
		if err != nil || found || more && scanned >= pollScanPagesMax {
			return err
		}
		if more {
			runtime.Gosched()
			continue
		}
		if wait <= 0 {
			return nil
		}
		select {
		case <-p.wake:
			if !p.srv.cfg.Access.inForce(ctx) {
				return nil // the next poll is told why
			}
			p.waited = true
		case <-timeout:
			return nil
		case <-expired:
			return nil
		case <-p.seat.stop: // a server that stops answers with what there is
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readAll reads the first pieces of the pages up to the first that has news:
// what the poll holds in memory is one piece, however many sessions it follows.
func (p *poll) readAll(ctx context.Context) (found, more bool, err error) {
	for i := range p.pages {
		g := &p.pages[i]
		if g.tail.ready() {
			if err := g.begin(ctx, p.limit, p.piece, 1); err != nil {
				return false, false, fmt.Errorf("session %s: %w", g.req.Session, err)
			}
		}
		if g.news() {
			p.found = i
			return true, false, nil
		}
		more = more || g.tail.more
	}
	p.found = len(p.pages)
	return false, more, nil
}

// backward reads the newest page below Before, as a whole. Its cursor leads on backwards.
func (p *poll) backward(ctx context.Context, req Request) error {
	if err := p.srv.cfg.Access.Permit(ctx, req.Session); err != nil {
		return fmt.Errorf("session %s: %w", req.Session, err)
	}
	req.show = p.srv.cfg.Access.Show(ctx, req.Session)
	before := req.Before
	if id := req.Until.ID; id > 0 && (before == 0 || before > id) {
		before = min(id, math.MaxInt64-1) + 1
	}
	one := page{req: req, from: before}
	for range pollScanPagesMax {
		read, err := p.srv.log.Read(ctx, req.Session, store.Query{Backward: true, Before: before, Raw: req.Raw, Limit: p.limit})
		if err != nil {
			return err
		}
		if req.Epoch != "" && req.Epoch != read.Session.Epoch {
			one.Session, one.Reset = read.Session, newReset(&read.Session, reasonEpochChanged)
			break
		}
		one.Session = read.Session
		events, _ := req.Until.cut(read.Events)
		events = one.passBackward(events)
		if n := len(read.Events); n > 0 {
			before = read.Events[0].ID
			one.from = read.Events[n-1].ID
		}
		if len(events) > 0 {
			before = events[0].ID
		} else if one.Gap != nil {
			before = one.Gap.From
		}
		one.Next = before
		one.Level = len(read.Events) == 0 || before <= read.Session.Floor
		if one.Events = req.filter(events); len(one.Events) > 0 || one.Level || one.Gap != nil {
			break
		}
		runtime.Gosched()
	}
	p.pages = []page{one}
	return nil
}

// answer writes the page, or the pages of several sessions. What the client
// must know before the events is known by the first piece.
func (p *poll) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, single bool) error {
	h := w.Header()
	h.Set(TransportHeader, Poll)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	view := p.pages[0].req.View != nil
	if single && !view && p.pages[0].immutable() {
		tag := p.pages[0].tag()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache") // made again, the session has other events under these ids
		if p.pages[0].req.Epoch != "" {
			h.Set("Cache-Control", fmt.Sprintf("private, immutable, max-age=%d", int(pollMaxAge.Seconds())))
		}
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	late := p.lateness()
	out := &pollWriter{wire: newResponseWire(w, p.srv.cfg.WriteTimeout), srv: p.srv, seat: p.seat}
	p.srv.onCut(p.seat, out.wire.cut)
	out.open()
	defer out.clear()
	var err error
	switch {
	case view:
		err = p.writeView(ctx, out, single)
	case single:
		err = p.write(ctx, out, &p.pages[0])
	default:
		err = p.writeAll(ctx, out)
	}
	if err == nil {
		out.end()
		p.sent(late)
		return nil
	}
	if !out.begun {
		for _, name := range []string{TransportHeader, "Content-Type", "Cache-Control", "ETag"} {
			h.Del(name)
		}
		return err
	}
	p.srv.cfg.Logger.WarnContext(ctx, "a page was cut off", "err", err)
	panic(http.ErrAbortHandler) // else the client would take half a page for a whole one
}

// write writes a page, piece by piece.
func (p *poll) write(ctx context.Context, out *pollWriter, g *page) error {
	out.buf = g.appendHead(out.buf)
	for first := true; ; {
		out.buf = g.appendEvents(out.buf, first)
		out.events += len(g.Events)
		first = first && len(g.Events) == 0
		g.Events = nil // written, and no longer to be held in memory
		if g.whole() {
			break
		}
		if err := out.spill(); err != nil {
			return err
		}
		if err := g.proceed(ctx, p.piece); err != nil {
			return fmt.Errorf("session %s: %w", g.req.Session, err)
		}
	}
	out.buf = g.appendTail(out.buf)
	return nil
}

func (p *poll) writeAll(ctx context.Context, out *pollWriter) error {
	out.buf = append(out.buf, `{"sessions":[`...)
	first, err := p.eachPage(ctx, out, func(i int, g *page) error {
		if i > 0 {
			out.buf = append(out.buf, ',')
		}
		return p.write(ctx, out, g)
	})
	if err != nil {
		return err
	}
	out.buf = append(out.buf, `],"cursor":"`...)
	out.buf = append(p.appendCursor(out.buf, first), `"}`...)
	return nil
}

// eachPage lets write have every page in its share of the answer's bounds. It
// returns the page that the next cursor begins with.
func (p *poll) eachPage(ctx context.Context, out *pollWriter, write func(i int, g *page) error) (first int, err error) {
	left := p.limit
	for i := range p.pages {
		g := &p.pages[i]
		if err := p.share(ctx, g, i, left); err != nil {
			return 0, fmt.Errorf("session %s: %w", g.req.Session, err)
		}
		if err := write(i, g); err != nil {
			return 0, err
		}
		if i >= p.found {
			left = g.left
		}
		if i > p.found && first == 0 && !g.Level && !g.Done {
			first = i
		}
		if err := out.spill(); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// appendCursor appends the cursor of several sessions. One that had no room
// comes first the next time, lest a busy session starves it.
func (p *poll) appendCursor(dst []byte, first int) []byte {
	for i := range p.pages {
		g := &p.pages[(first+i)%len(p.pages)]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, g.req.Session...)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, g.Next, 10)
	}
	return dst
}

// share begins the i-th of several pages in what the ones before it have left
// of the answer's bounds.
func (p *poll) share(ctx context.Context, g *page, i int, left store.Limit) error {
	switch {
	case i < p.found: // it has nothing; looking further is for the next poll
		g.left = store.Limit{}
		return nil
	case i == p.found:
		return nil
	case left.Events <= 0 || left.Bytes <= 0:
		g.left = left
		return g.skip(ctx, p.srv.log)
	}
	return g.begin(ctx, left, p.piece, 0)
}

// pollWriter writes an answer in pieces, or at once when it is small.
type pollWriter struct {
	outbox
	wire  *responseWire
	srv   *Server
	seat  *seat
	begun bool // something has been written
}

// spill writes what there is, if it is worth a write: more will follow.
func (o *pollWriter) spill() error {
	if o.size() < pollWriteMin {
		return nil
	}
	err := o.write()
	o.open()
	return err
}

// end writes the rest.
func (o *pollWriter) end() {
	if !o.begun {
		o.wire.w.Header().Set("Content-Length", strconv.Itoa(o.size()))
	}
	_ = o.write() // a client that left asks again
	o.wire.release()
}

func (o *pollWriter) write() error {
	o.begun = true
	size, err := o.wire.Write(o.buf)
	o.srv.cfg.Observer.Delivered(Poll, o.clear(), size)
	o.srv.cutSlow(o.seat, err)
	return err
}

// matches reports whether an If-None-Match header names the tag.
func matches(header, tag string) bool {
	return slices.ContainsFunc(strings.Split(header, ","), func(part string) bool {
		part = strings.TrimSpace(part)
		return part == tag || part == "*"
	})
}
