package stream

import (
	"errors"
	"os"
	"time"

	"github.com/konlog/konlog/store"
)

// Observer counts. Its methods must not block.
type Observer interface {
	Opened(transport string)
	Closed(transport string)
	Subscribed(transport string, change int) // sessions that are followed more, or fewer
	Delivered(transport string, events, bytes int)
	// Lagged is told of a batch that a reader who had caught up has taken: how
	// many events of the session it had still to get, and how old the oldest of
	// the batch was. What is sent of history before caught_up is no lag.
	Lagged(transport string, behind int64, age time.Duration)
	// Cut is told that a reader was sent away because it took nothing (CutSlow)
	// or gave no sign (CutSilent).
	Cut(transport, why string)
}

// Why a reader was cut.
const (
	CutSlow   = "slow"   // it took nothing of a batch within the write timeout
	CutSilent = "silent" // a WebSocket client that was not heard of
)

// Cuts lists them.
var Cuts = []string{CutSlow, CutSilent}

// Trail is told which events have left on which connection, for tracing. It
// must not block.
type Trail interface {
	// Sent is called when a reader has taken the events from the first to the
	// last id. woke is when the server began to read them for it.
	Sent(transport, session string, first, last int64, woke time.Time)
}

type noObserver struct{}

func (noObserver) Opened(string)                       {}
func (noObserver) Closed(string)                       {}
func (noObserver) Subscribed(string, int)              {}
func (noObserver) Delivered(string, int, int)          {}
func (noObserver) Lagged(string, int64, time.Duration) {}
func (noObserver) Cut(string, string)                  {}

// wake is what a connection knows of the batch that it is about to send: how
// late it is for readers that had caught up, and what is in it.
type wake struct {
	live   bool
	behind int64
	oldest time.Time
	trail  []sentRun
}

// sentRun are events of one session in a batch.
type sentRun struct {
	session     string
	first, last int64
	woke        time.Time
}

// sending notes a page that goes into the batch. live says that the reader had
// caught up before.
func (c *conn) sending(session string, events []store.Event, behind int64, live bool, now time.Time) {
	if len(events) == 0 {
		return
	}
	if live {
		if !c.late.live || events[0].Time.Before(c.late.oldest) {
			c.late.oldest = events[0].Time
		}
		c.late.live, c.late.behind = true, max(c.late.behind, behind)
	}
	if c.srv.cfg.Trail != nil {
		c.late.trail = append(c.late.trail, sentRun{session, firstID(&events[0]), events[len(events)-1].ID, now})
	}
}

// sent tells of a batch that was taken.
func (c *conn) sentBatch(now time.Time) {
	if c.late.live {
		c.srv.cfg.Observer.Lagged(c.seat.transport, c.late.behind, now.Sub(c.late.oldest))
	}
	for _, r := range c.late.trail {
		c.srv.cfg.Trail.Sent(c.seat.transport, r.session, r.first, r.last, r.woke)
	}
	c.late = wake{trail: c.late.trail[:0]}
}

// cutSlow tells of a write that failed because nobody took it. A server that
// drains cuts on purpose.
func (s *Server) cutSlow(st *seat, err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	select {
	case <-st.stop:
	default:
		s.cfg.Observer.Cut(st.transport, CutSlow)
	}
}

// Watches is how many registrations with the hub there are.
func (h *Hub) Watches() int64 { return h.count.Load() }

// lateness is what an answer to a poll that had to wait brings. One that finds
// events at once belongs to a reader that was elsewhere meanwhile.
func (p *poll) lateness() *wake {
	if !p.waited || p.found >= len(p.pages) {
		return nil
	}
	g := &p.pages[p.found]
	n := len(g.Events)
	if n == 0 {
		return nil
	}
	return &wake{
		behind: g.Session.Head - g.Next, oldest: g.Events[0].Time,
		trail: []sentRun{{g.Session.ID, firstID(&g.Events[0]), g.Events[n-1].ID, time.Now()}},
	}
}

// sent tells of an answer that was written.
func (p *poll) sent(late *wake) {
	if late == nil {
		return
	}
	p.srv.cfg.Observer.Lagged(Poll, late.behind, time.Since(late.oldest))
	if trail := p.srv.cfg.Trail; trail != nil {
		r := late.trail[0]
		trail.Sent(Poll, r.session, r.first, r.last, r.woke)
	}
}
