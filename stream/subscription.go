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

	greeted bool // hello was sent

	sent  int64 // how far the reader has been brought
	told  int64 // how far it can know to be
	level bool  // caught_up was sent
	state string
	turn  string // of the last status sent
	bye   string // why it ended, or ""

	// A paced replay holds one page and sends it event by event.
	held     []store.Event
	rest     *Batch    // the page that held is of; nil without
	due      time.Time // of held[0]
	lastTime time.Time // recorded time of the event sent last
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
		c.greet(s, b, now)
	}
	c.announce(s, b)
	if s.req.Speed > 0 && !s.level && len(b.Events) > 0 {
		s.hold(b, now)
		return false, nil
	}
	if err := c.send(s, b.Events); err != nil {
		return true, err
	}
	return c.settle(s, b, now), nil
}

// greet sends what a subscription begins with.
func (c *conn) greet(s *subscription, b *Batch, now time.Time) {
	c.out.frame("hello", newHello(&b.Session, s.start, c.seat.transport, c.srv.cfg.Heartbeat, now))
	c.status(s, b, now)
}

// announce sends what must stand before the events of a batch.
func (c *conn) announce(s *subscription, b *Batch) {
	if b.Reset != nil {
		s.sent, s.told, s.level = 0, 0, false
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
	if s.level && b.Turned || s.state != b.Session.State() || s.turn != b.Session.Turn {
		c.status(s, b, now)
	}
	if (b.Level || b.Done) && !s.level {
		s.level = true
		s.told = s.sent
		c.out.frame("caught_up", CaughtUp{Type: "caught_up", Session: s.req.Session, ID: s.sent})
	}
	if b.Done {
		s.bye = reasonUntil
		c.out.place(s)
	}
	return b.Done
}

func (c *conn) status(s *subscription, b *Batch, now time.Time) {
	s.state, s.turn = b.Session.State(), b.Session.Turn
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
