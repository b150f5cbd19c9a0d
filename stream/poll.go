package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	pollScanPagesMax  = 64                 // pages that a filter may skip before the answer is given empty
	pollMaxAge        = 7 * 24 * time.Hour // of a page that cannot change
)

// page is the answer to a poll of one session.
type page struct {
	Batch
	req  Request
	from int64 // the cursor that the page was asked for
}

// poll is one long-poll request.
type poll struct {
	srv   *Server
	seat  *seat
	wake  chan struct{}
	limit store.Limit
	tails []*Tail
	pages []page
}

// ServePoll answers with a page of events: at once when there are any, else
// when the wait is over. It returns an error only while nothing has been
// written.
func (s *Server) ServePoll(w http.ResponseWriter, r *http.Request, req Request) error {
	if err := checkPoll(&req); err != nil {
		return err
	}
	st, ctx, err := s.enter(r.Context(), Poll)
	if err != nil {
		return err
	}
	defer s.leave(st)
	p := &poll{srv: s, seat: st, wake: make(chan struct{}, 1), limit: store.Limit{Events: req.Limit, Bytes: PollBytesMax}}
	if p.limit.Events <= 0 {
		p.limit.Events = pollEventsDefault
	}
	if req.Backward {
		one, err := p.backward(ctx, req)
		if err != nil {
			return err
		}
		p.pages = []page{one}
	} else if err := p.forward(ctx, &req); err != nil {
		return err
	}
	p.answer(w, r, req.Session != "")
	return nil
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
	defer func() {
		for _, t := range p.tails {
			t.Close()
		}
	}()
	for _, one := range req.each() {
		if len(p.tails) >= p.srv.cfg.SubscriptionsMax {
			return store.Errorf(CodeTooManySubscriptions, "%d sessions are more than one poll may follow", len(req.Cursors))
		}
		t := newTail(p.srv.log, p.srv.hub, p.wake, one, p.limit)
		p.tails = append(p.tails, t)
		if err := t.seek(ctx, p.srv.log); err != nil {
			return fmt.Errorf("session %s: %w", one.Session, err)
		}
		p.pages = append(p.pages, page{req: one, from: t.after})
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
		case <-timeout:
			return nil
		case <-p.seat.stop: // a server that stops answers with what there is
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readAll reads a page of every session that may have one.
func (p *poll) readAll(ctx context.Context) (found, more bool, err error) {
	for i, t := range p.tails {
		if t.ready() {
			b, err := t.read(ctx)
			if err != nil {
				return false, false, fmt.Errorf("session %s: %w", t.req.Session, err)
			}
			p.pages[i].Batch = b
		}
		found = found || p.pages[i].news()
		more = more || t.more
	}
	return found, more, nil
}

// backward reads the newest page below Before. Its cursor leads on backwards.
func (p *poll) backward(ctx context.Context, req Request) (page, error) {
	one := page{req: req, from: req.Before}
	before := req.Before
	for range pollScanPagesMax {
		read, err := p.srv.log.Read(ctx, req.Session, store.Query{Backward: true, Before: before, Limit: p.limit})
		if err != nil {
			return one, err
		}
		if n := len(read.Events); n > 0 {
			before = read.Events[0].ID
			one.from = read.Events[n-1].ID
		}
		one.Session, one.Next = read.Session, before
		one.Level = len(read.Events) == 0 || before <= read.Session.Floor
		events, _ := req.Until.cut(read.Events)
		if one.Events = req.filter(events); len(one.Events) > 0 || one.Level {
			break
		}
		runtime.Gosched()
	}
	return one, nil
}

// answer writes the page, or the pages of several sessions.
func (p *poll) answer(w http.ResponseWriter, r *http.Request, single bool) {
	h := w.Header()
	h.Set(TransportHeader, Poll)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if single && p.pages[0].immutable() {
		tag := p.pages[0].tag()
		h.Set("ETag", tag)
		h.Set("Cache-Control", fmt.Sprintf("private, immutable, max-age=%d", int(pollMaxAge.Seconds())))
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	var out outbox
	out.open()
	if single {
		out.buf = p.pages[0].appendJSON(out.buf)
	} else {
		out.buf = p.appendAll(out.buf)
	}
	h.Set("Content-Length", strconv.Itoa(len(out.buf)))
	for i := range p.pages {
		out.events += len(p.pages[i].Events)
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(p.srv.cfg.WriteTimeout)) // a writer without deadlines has the server's own
	size, _ := w.Write(out.buf)                                          // a client that left asks again
	_ = control.SetWriteDeadline(time.Time{})
	p.srv.cfg.Observer.Delivered(Poll, out.clear(), size)
}

func (p *poll) appendAll(dst []byte) []byte {
	dst = append(dst, `{"sessions":[`...)
	for i := range p.pages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.pages[i].appendJSON(dst)
	}
	dst = append(dst, `],"cursor":"`...)
	for i := range p.pages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, p.pages[i].req.Session...)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, p.pages[i].Next, 10)
	}
	return append(dst, `"}`...)
}

// appendJSON appends the page object. Its key order is part of the protocol,
// and the events are their own bytes.
func (p *page) appendJSON(dst []byte) []byte {
	s := &p.Session
	dst = append(dst, `{"session":"`...)
	dst = append(dst, s.ID...) // a session's id needs no escape, nor does an epoch
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, s.Epoch...)
	dst = append(dst, `","floor":`...)
	dst = strconv.AppendInt(dst, s.Floor, 10)
	dst = append(dst, `,"head":`...)
	dst = strconv.AppendInt(dst, s.Head, 10)
	dst = append(dst, `,"next":`...)
	dst = strconv.AppendInt(dst, p.Next, 10)
	dst = append(dst, `,"caughtUp":`...)
	dst = strconv.AppendBool(dst, p.Level || p.Done)
	dst = append(dst, `,"status":`...)
	dst = append(dst, encode(newStatus(s, time.Now()))...)
	dst = append(dst, `,"events":[`...)
	for i := range p.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		if p.req.Raw {
			dst = p.Events[i].AppendJSON(dst, true)
		} else {
			dst = append(dst, p.Events[i].JSON()...)
		}
	}
	dst = append(dst, ']')
	if p.Gap != nil {
		dst = append(append(dst, `,"gap":`...), encode(p.Gap)...)
	}
	if p.Reset != nil {
		dst = append(append(dst, `,"reset":`...), encode(p.Reset)...)
	}
	return append(dst, '}')
}

// immutable reports whether the same request will always get the same events.
func (p *page) immutable() bool {
	if p.Gap != nil || p.Reset != nil || len(p.Events) == 0 || p.req.FromEnd {
		return false
	}
	if p.req.Backward {
		return p.from < p.Session.Head && p.req.Before > 0
	}
	return p.Next < p.Session.Head && !p.Done
}

// tag names the events of an immutable page, whatever head or status go with
// them.
func (p *page) tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d %d %v %q %q", p.Session.Epoch, p.Session.ID, p.from, p.Next,
		p.Events[0].ID, p.req.Raw, strings.Join(p.req.Types, ","), p.req.Turn))
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}

// matches reports whether an If-None-Match header names the tag.
func matches(header, tag string) bool {
	return slices.ContainsFunc(strings.Split(header, ","), func(part string) bool {
		part = strings.TrimSpace(part)
		return part == tag || part == "*"
	})
}
