package stream

import (
	"context"
	"time"

	"github.com/konlog/konlog/store"
)

// paceWaitMax cuts the wait between two events of a paced replay.
const paceWaitMax = 3 * time.Second

// subscription is one session on one connection.
type subscription struct {
	req   Request
	tail  *Tail
	start int64  // the cursor it began with
	first *Batch // read when it was attached, until it is sent; or nil
	lens  Lens   // shows its events; or nil: as they are

	greeted bool // hello was sent

	sent  int64 // how far the reader has been brought
	told  int64 // how far it can know to be
	level bool  // caught_up was sent
	state string
	turn  string // of the last status sent
	queue int    // likewise
	bye   string // why it ended, or ""

	// A paced replay holds one page and sends it event by event.
	held     []store.Event
	rest     *Batch    // the page that held is of; nil without
	due      time.Time // of held[0]
	lastTime time.Time // recorded time of the event sent last
}

// begin finds the place of the subscription, and whether it may begin. With
// first it takes its first page.
func (s *subscription) begin(ctx context.Context, srv *Server, first bool) error {
	err := s.tail.seek(ctx, srv.log)
	s.start, s.sent = s.tail.after, s.tail.after
	if err != nil {
		return err
	}
	var session store.Session
	if first {
		if err = s.readFirst(ctx); err == nil {
			session = s.first.Session
		}
	} else {
		session, err = srv.log.Session(ctx, s.req.Session)
	}
	if err == nil {
		err = srv.follow(&session)
	}
	if err == nil {
		s.lens, err = srv.lens(ctx, &s.req, s.start)
	}
	return err
}

// readFirst takes the first page ahead of its turn.
func (s *subscription) readFirst(ctx context.Context) error {
	if s.first != nil {
		return nil
	}
	b, err := s.tail.read(ctx)
	if err != nil {
		return err
	}
	s.first = &b
	return nil
}

// ready reports whether a step would find something to do.
func (s *subscription) ready(now time.Time) bool {
	if len(s.held) > 0 {
		return !now.Before(s.due)
	}
	return s.first != nil || s.tail.ready()
}

// step sends one page of the subscription, or what of it is due. over means
// that nothing more will come.
func (c *conn) step(ctx context.Context, s *subscription, now time.Time) (over bool, err error) {
	if len(s.held) > 0 {
		return c.stepHeld(s, now)
	}
	b := s.first
	if s.first = nil; b == nil {
		next, err := s.tail.read(ctx)
		if err != nil {
			return true, err
		}
		b = &next
	}
	if !s.greeted {
		s.greeted = true
		c.greet(ctx, s, b, now)
	}
	c.announce(s, b)
	if s.req.Speed > 0 && !s.level && len(b.Events) > 0 {
		s.hold(b, now)
		return false, nil
	}
	c.sending(s.req.Session, b.Events, b.Session.Head-b.Next, s.level, now)
	if err := c.send(s, b.Events); err != nil {
		return true, err
	}
	return c.settle(s, b, now), nil
}

// greet sends what a subscription begins with.
func (c *conn) greet(ctx context.Context, s *subscription, b *Batch, now time.Time) {
	c.out.frame("hello", newHello(&b.Session, s.start, c.seat.transport, c.srv.cfg.Heartbeat, c.srv.seen(ctx, &b.Session), now))
	c.status(s, b, now)
}

// announce sends what must stand before the events of a batch.
func (c *conn) announce(s *subscription, b *Batch) {
	if b.Reset != nil {
		s.sent, s.told, s.level = 0, 0, false
		if s.lens != nil {
			s.lens = c.view.Lens() // what it knew was of another history
		}
		c.out.frame("reset", b.Reset)
	}
	if b.Gap != nil {
		s.sent = b.Gap.To
		c.out.frame("gap", b.Gap)
	}
}

// send puts events on the wire, and writes before the batch grows too large.
func (c *conn) send(s *subscription, events []store.Event) error {
	for i := range events {
		s.sent = events[i].ID
		c.out.event(s, &events[i])
		if c.out.size() >= c.srv.cfg.PageBytes {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	if len(events) > 0 {
		s.told = s.sent
	}
	return nil
}

// settle sends what must stand after the events of a batch.
func (c *conn) settle(s *subscription, b *Batch, now time.Time) (over bool) {
	if b.Reset == nil {
		s.sent = b.Next
	}
	if s.level && b.Turned || s.state != b.Session.State() || s.turn != b.Session.Turn || s.queue != len(b.Session.Queue()) {
		c.status(s, b, now)
	}
	if (b.Level || b.Done) && !s.level {
		s.level = true
		s.told = s.sent
		if s.lens != nil && s.sent > s.start {
			c.status(s, b, now) // a view may show a replayed event as a status, which is the state of then
		}
		c.out.frame("caught_up", CaughtUp{Type: "caught_up", Session: s.req.Session, ID: s.sent})
	}
	if b.Done {
		s.bye = reasonUntil
		c.out.place(s)
	}
	return b.Done
}

func (c *conn) status(s *subscription, b *Batch, now time.Time) {
	s.state, s.turn, s.queue = b.Session.State(), b.Session.Turn, len(b.Session.Queue())
	c.out.frame("status", newStatus(&b.Session, now))
}

// hold keeps a page to be sent at the recorded pace.
func (s *subscription) hold(b *Batch, now time.Time) {
	rest := *b // a copy, so that only a paced batch has to leave the stack
	s.held, s.rest = b.Events, &rest
	if s.lastTime.IsZero() {
		s.due = now
	} else {
		s.due = s.due.Add(s.wait(&b.Events[0]))
	}
}

// wait is the time between the event sent last and the next one.
func (s *subscription) wait(next *store.Event) time.Duration {
	gap := float64(next.Time.Sub(s.lastTime)) / s.req.Speed
	return time.Duration(min(max(gap, 0), float64(paceWaitMax)))
}

// stepHeld sends the held events that are due.
func (c *conn) stepHeld(s *subscription, now time.Time) (over bool, err error) {
	n := 0
	for len(s.held) > n && !now.Before(s.due) {
		s.lastTime = s.held[n].Time
		n++
		if n < len(s.held) {
			s.due = s.due.Add(s.wait(&s.held[n]))
		}
	}
	c.sending(s.req.Session, s.held[:n], 0, false, now) // a replay at the recorded pace is late on purpose
	if err := c.send(s, s.held[:n]); err != nil {
		return true, err
	}
	if s.held = s.held[n:]; len(s.held) > 0 {
		return false, nil
	}
	rest := s.rest
	s.held, s.rest = nil, nil
	return c.settle(s, rest, now), nil
}

// seen is how far the reader's subject has seen the session. It matters only
// where a kontask waits, and a card too many is better than none.
func (s *Server) seen(ctx context.Context, session *store.Session) int64 {
	if s.cfg.Marks == nil || session.Open == nil || len(session.Open.Kontasks) == 0 {
		return 0
	}
	mark, err := s.cfg.Marks.Seen(ctx, s.cfg.Access.Subject(ctx), session.ID)
	if err != nil {
		s.cfg.Logger.Warn("reading how far a session was seen failed", "session", session.ID, "err", err)
	}
	return mark
}
