package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// carrier is the wire of one connection. What it is given it collects; flush
// writes it at once, within the write timeout.
type carrier interface {
	event(s *subscription, e *store.Event)
	frame(name string, frame any)
	place(s *subscription) // tells how far the reader is, where an event would have
	size() int
	flush() error
	beat() // what keeps the wire alive below the ping frame
	silent(now time.Time) bool
}

// ending says how a connection ends.
type ending struct {
	code   websocket.StatusCode
	reason string
	bye    *Bye // sent as the last frame; or nil
	gone   bool // the peer does not listen any more
}

var peerGone = &ending{gone: true}

// op is a change of the subscriptions, asked for by a WebSocket client.
type op struct {
	req     Request
	cancel  string // the session to unsubscribe from; "" for a subscription
	renewed bool   // neither: the credential is another one
	ref     []byte
}

// conn is one connection: its subscriptions and its wire. One goroutine, the
// pump, owns all of it.
type conn struct {
	srv  *Server
	seat *seat
	out  carrier
	home string // the session of the path; its end is the connection's end
	view View   // of all its subscriptions; or nil
	wake chan struct{}
	ops  chan op      // unbuffered: a client cannot queue changes
	over chan *ending // the reading goroutine's verdict

	absent   []absence // sessions asked for that cannot be followed, until the reader is told
	subs     []*subscription
	turn     int // whose turn comes first in the next round
	lastSent time.Time
	beatAt   time.Time
	judged   time.Time // when the credential is to be looked at, besides heartbeats; zero is never
	warned   bool      // that it has expired
	late     wake
}

// absence is a session that cannot be followed, and why.
type absence struct {
	session string
	err     error
}

func (s *Server) newConn(st *seat, home string) *conn {
	return &conn{
		srv: s, seat: st, home: home, wake: make(chan struct{}, 1),
		ops: make(chan op), over: make(chan *ending, 1),
	}
}

// close ends the watches.
func (c *conn) close() {
	for _, s := range c.subs {
		s.tail.Close()
	}
	c.srv.cfg.Observer.Subscribed(c.seat.transport, -len(c.subs))
	c.subs = nil
}

// attach adds a subscription. With first it takes its first page, so that
// every refusal is known.
func (c *conn) attach(ctx context.Context, req Request, first bool) error {
	if len(c.subs) >= c.srv.cfg.SubscriptionsMax {
		return store.Errorf(CodeTooManySubscriptions, "this connection follows %d sessions already, the most it may", len(c.subs))
	}
	if err := c.srv.cfg.Access.Permit(ctx, req.Session); err != nil {
		return err
	}
	req.show = c.srv.cfg.Access.Show(ctx, req.Session)
	limit := store.Limit{Events: c.srv.cfg.PageEvents, Bytes: c.srv.cfg.PageBytes}
	var leave func()
	if l := c.srv.cfg.ClientLimits(ctx); l != nil {
		var err error
		if leave, err = l.Subscribed(); err != nil {
			return err
		}
	}
	t := newTail(c.srv.log, c.srv.hub, c.wake, req, limit)
	t.leave = leave
	s := &subscription{req: req, tail: t}
	if err := s.begin(ctx, c.srv, first); err != nil {
		t.Close()
		return err
	}
	c.subs = append(c.subs, s)
	c.srv.cfg.Observer.Subscribed(c.seat.transport, 1)
	return nil
}

// attachAll adds what was asked for. The page of an only session is read here,
// so that every refusal is known before anything is written. Of several each
// is read when it is to be sent: a connection holds one page. Those that do
// not exist are told of on the wire, unless there is no other.
func (c *conn) attachAll(ctx context.Context, req Request) error {
	c.view = req.View
	for _, one := range req.each() {
		err := c.attach(ctx, one, req.Session != "")
		if err == nil {
			continue
		}
		err = fmt.Errorf("session %s: %w", one.Session, err)
		if req.Session != "" || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errNotFollowed) {
			return err
		}
		c.absent = append(c.absent, absence{one.Session, err})
	}
	if len(c.absent) > 0 && len(c.subs) == 0 {
		return c.absent[0].err
	}
	return nil
}

// tellAbsent ends the subscriptions that could not begin.
func (c *conn) tellAbsent() {
	for _, a := range c.absent {
		reason := reasonFailed
		if errors.Is(a.err, store.ErrNotFound) {
			reason = reasonDeleted
		}
		c.out.frame("error", newFailure(a.err, a.session, nil))
		c.out.frame("bye", Bye{Type: "bye", Session: a.session, Reason: reason})
	}
	c.absent = nil
}

// always is ready to be received from.
var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// pump carries events until the connection ends, and says how it does.
func (c *conn) pump(ctx context.Context) *ending {
	cfg := &c.srv.cfg
	now := time.Now()
	c.lastSent, c.beatAt = now, now.Add(cfg.Heartbeat)
	armed := c.beatAt
	timer := time.NewTimer(cfg.Heartbeat)
	defer timer.Stop()
	c.tellAbsent()
	if end := c.standing(ctx, now); end != nil {
		return end
	}
	for {
		if end := c.round(ctx); end != nil {
			return end
		}
		var again <-chan struct{}
		if c.ready(time.Now()) {
			again = always // look at everything else, but do not wait
		} else if due := c.due(); due.Before(armed) {
			armed = due
			timer.Reset(time.Until(due))
		}
		select {
		case <-again:
		case <-c.wake:
		case o := <-c.ops:
			if end := c.apply(ctx, o); end != nil {
				return end
			}
		case end := <-c.over:
			return end
		case <-c.seat.stop:
			return &ending{code: websocket.StatusGoingAway, reason: c.seat.bye.Reason, bye: &c.seat.bye}
		case <-ctx.Done():
			return peerGone
		case <-timer.C:
			if end := c.beat(ctx); end != nil {
				return end
			}
			armed = c.due()
			timer.Reset(time.Until(armed))
		}
	}
}

// ready reports whether a round would find something to do.
func (c *conn) ready(now time.Time) bool {
	for _, s := range c.subs {
		if s.ready(now) {
			return true
		}
	}
	return false
}

// due is the moment of the next thing that the clock decides.
func (c *conn) due() time.Time {
	due := c.beatAt
	if !c.judged.IsZero() && c.judged.Before(due) {
		due = c.judged
	}
	for _, s := range c.subs {
		if len(s.held) > 0 && s.due.Before(due) {
			due = s.due
		}
	}
	return due
}

// round lets every subscription that has something send one page, so that a
// busy session cannot starve the others, and writes what came together.
func (c *conn) round(ctx context.Context) *ending {
	now := time.Now()
	n := len(c.subs)
	var ended []*subscription
	for i := range n {
		s := c.subs[(c.turn+i)%n]
		if !s.ready(now) {
			continue
		}
		over, err := c.step(ctx, s, now)
		if errors.Is(err, errWrite) {
			return peerGone
		}
		if err != nil {
			over = true
			if end := c.failed(ctx, s, err); end != nil {
				return end
			}
		}
		if over {
			ended = append(ended, s)
		}
	}
	c.turn++
	for _, s := range ended {
		if end := c.remove(s); end != nil {
			return end
		}
	}
	if c.flush() != nil {
		return peerGone
	}
	return nil
}

// failed handles a read that failed: on the connection's own session it ends
// the connection, on one of several it ends the subscription.
func (c *conn) failed(ctx context.Context, s *subscription, err error) *ending {
	if ctx.Err() != nil {
		return peerGone
	}
	deleted := errors.Is(err, store.ErrNotFound)
	if !deleted {
		c.srv.cfg.Logger.ErrorContext(ctx, "read for a reader failed", "session", s.req.Session, "err", err)
	}
	if s.req.Session == c.home {
		if deleted {
			return &ending{code: CloseDeleted, reason: reasonDeleted, bye: &Bye{Type: "bye", Session: c.home, Reason: reasonDeleted}}
		}
		c.out.frame("error", newFailure(err, c.home, nil))
		return &ending{code: websocket.StatusInternalError, reason: "read failed", bye: &Bye{Type: "bye", Reason: reasonFailed}}
	}
	s.bye = reasonFailed
	if deleted {
		s.bye = reasonDeleted
	}
	c.out.frame("error", newFailure(err, s.req.Session, nil))
	return nil
}

// remove ends a subscription. The connection ends with its own session's, and
// an event stream, which cannot subscribe again, with its last.
func (c *conn) remove(s *subscription) *ending {
	s.tail.Close()
	c.srv.cfg.Observer.Subscribed(c.seat.transport, -1)
	c.subs = slices.DeleteFunc(c.subs, func(other *subscription) bool { return other == s })
	if s.req.Session == c.home || c.seat.transport == SSE && len(c.subs) == 0 {
		return &ending{code: websocket.StatusNormalClosure, reason: s.bye, bye: &Bye{Type: "bye", Session: c.home, Reason: s.bye}}
	}
	c.out.frame("bye", Bye{Type: "bye", Session: s.req.Session, Reason: s.bye})
	return nil
}

// apply changes the subscriptions as a WebSocket client asked.
func (c *conn) apply(ctx context.Context, o op) *ending {
	if o.renewed {
		return c.renewed(ctx, o.ref)
	}
	c.subscribe(ctx, o)
	return nil
}

func (c *conn) subscribe(ctx context.Context, o op) {
	session := o.cancel
	if session == "" {
		session = o.req.Session
	}
	known := slices.IndexFunc(c.subs, func(s *subscription) bool { return s.req.Session == session })
	if o.cancel != "" && known < 0 {
		c.out.frame("error", newFailure(store.Errorf(CodeInvalidFrame, "not subscribed to %s", session), session, o.ref))
		return
	}
	if known >= 0 { // a second subscription takes the place of the first
		c.subs[known].tail.Close()
		c.subs = slices.Delete(c.subs, known, known+1)
		c.srv.cfg.Observer.Subscribed(c.seat.transport, -1)
	}
	if o.cancel == "" {
		o.req.View = c.view
		if err := c.attach(ctx, o.req, true); err != nil {
			c.out.frame("error", newFailure(err, session, o.ref))
			return
		}
	}
	if o.ref != nil {
		c.out.frame("ack", Ack{Type: "ack", Ref: o.ref, Session: session})
	}
}

// beat is called when the clock says so. It looks at every session whether it
// was woken or not, so that a lost wake-up costs one heartbeat at most.
func (c *conn) beat(ctx context.Context) *ending {
	now := time.Now()
	beats := !now.Before(c.beatAt)
	if beats || !c.judged.IsZero() && !now.Before(c.judged) {
		if end := c.standing(ctx, now); end != nil {
			return end
		}
	}
	if !beats {
		return nil // a paced event is due
	}
	if c.out.silent(now) {
		c.srv.cfg.Observer.Cut(c.seat.transport, CutSilent)
		return &ending{code: CloseSilent, reason: "client silent too long"}
	}
	c.out.beat()
	if now.Sub(c.lastSent) >= c.srv.cfg.Heartbeat {
		c.out.frame("ping", c.ping(now))
	}
	for _, s := range c.subs {
		s.tail.more = true
	}
	if c.flush() != nil {
		return peerGone
	}
	c.beatAt = c.lastSent.Add(c.srv.cfg.Heartbeat)
	return nil
}

// ping tells how far the reader is, which with a filter it cannot see.
func (c *conn) ping(now time.Time) Ping {
	p := Ping{Type: "ping", ServerTime: stamp(now)}
	if len(c.subs) == 1 {
		p.Session, p.ID = c.subs[0].req.Session, c.subs[0].sent
		return p
	}
	var moved []byte
	for _, s := range c.subs {
		if s.sent != s.told && s.level {
			moved = appendCursor(moved, s)
			s.told = s.sent
		}
	}
	p.Cursor = string(moved)
	return p
}

// appendCursor appends a subscription's part of a several-sessions cursor.
func appendCursor(dst []byte, s *subscription) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	dst = append(dst, s.req.Session...)
	dst = append(dst, ':')
	return strconv.AppendInt(dst, s.sent, 10)
}

var errWrite = errors.New("write failed")

// flush writes what has come together.
func (c *conn) flush() error {
	if c.out.size() == 0 {
		return nil
	}
	if err := c.out.flush(); err != nil {
		c.srv.cutSlow(c.seat, err)
		return errWrite
	}
	c.lastSent = time.Now()
	c.sentBatch(c.lastSent)
	return nil
}
