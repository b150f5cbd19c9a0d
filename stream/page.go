package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// page is the answer to a poll of one session. It is read in pieces, so that
// its memory is that of one piece; the Batch is the piece at hand, but for
// Session, Gap and Reset, which are those of the first.
type page struct {
	Batch
	req  Request
	from int64       // the cursor before the page
	tail *Tail       // reads all that the log has; nil backwards
	left store.Limit // what the page still has room for; used up when it is whole
}

// newPage returns a page that t reads. The tail passes everything: the filter
// comes after the page is bounded, so that the same page has the same end
// however it was read.
func newPage(req Request, t *Tail) page {
	t.req.Types, t.req.Turn, t.req.show = nil, "", nil
	return page{req: req, from: t.after, tail: t}
}

// begin reads the first piece. A page begins anew where it found nothing. free
// is 1 when an event must be given whatever its size, else 0.
func (g *page) begin(ctx context.Context, limit, piece store.Limit, free int) error {
	g.from, g.left = g.tail.after, limit
	g.tail.through = -1 // all of a page is folded
	g.tail.limit = store.Limit{Events: min(limit.Events, piece.Events), Bytes: min(limit.Bytes, piece.Bytes)}
	b, err := g.tail.read(ctx)
	if err != nil {
		return err
	}
	g.Batch = b
	g.take(b.Events, free)
	if g.req.Fold {
		return g.fill(ctx, piece)
	}
	return nil
}

// fill reads on until the first piece of a folded page is worth a write: a
// folded read gives less than its limit, and clients may keep only a page whose
// end is known when it begins.
func (g *page) fill(ctx context.Context, piece store.Limit) error {
	events, size := g.Events, 0
	for n := 0; len(events) > 0 && !g.whole(); {
		for ; n < len(events); n++ {
			size += len(events[n].JSON())
		}
		if n >= piece.Events || size >= piece.Bytes {
			break
		}
		if err := g.proceed(ctx, piece); err != nil {
			return err
		}
		events = append(slices.Clip(events), g.Events...)
	}
	g.Events = events
	return nil
}

// proceed reads the next piece. The page stays within the head that it told,
// and what would change it now is an error: it is already on its way.
func (g *page) proceed(ctx context.Context, piece store.Limit) error {
	room := min(int64(min(g.left.Events, piece.Events)), g.Session.Head-g.Next)
	g.tail.limit = store.Limit{Events: int(room), Bytes: min(g.left.Bytes, piece.Bytes)}
	b, err := g.tail.read(ctx)
	if err != nil {
		return err
	}
	if b.Gap != nil && b.Gap.Reason == reasonRedacted { // it is for the next page
		g.Cut, g.Events = true, nil
		return nil
	}
	if b.Reset != nil || b.Gap != nil || len(b.Events) == 0 && !b.Done {
		return fmt.Errorf("the log changed behind event %d", g.Next)
	}
	g.Next, g.Done, g.Cut = b.Next, b.Done, b.Cut
	g.Level = g.Next >= g.Session.Head
	g.take(b.Events, 0)
	return nil
}

// take keeps the events that the page has room for, and of those the ones that
// pass the filter. The first ones, as many as free says, have room in any case.
func (g *page) take(events []store.Event, free int) {
	for i := range events {
		size := len(events[i].JSON())
		if g.req.Raw {
			size += len(events[i].Raw)
		}
		if size > g.left.Bytes && i >= free {
			g.Next = firstID(&events[i]) - 1
			g.Level, g.Done = false, false
			g.left.Bytes = 0
			events = events[:i]
			break
		}
		g.left.Bytes -= size
	}
	g.left.Events -= len(events)
	g.Events = g.req.filter(events)
}

// skip leaves the page at its cursor, with the session's state.
func (g *page) skip(ctx context.Context, log Log) error {
	s, err := log.Session(ctx, g.req.Session)
	g.Batch = Batch{Session: s, Next: g.tail.after}
	return err
}

// whole reports whether nothing more belongs to the page.
func (g *page) whole() bool {
	return g.tail == nil || g.Level || g.Done || g.Cut || g.Reset != nil || g.left.Events <= 0 || g.left.Bytes <= 0
}

// appendHead appends the page object up to its events. Key order: what is
// known at the end stands at the end.
func (g *page) appendHead(dst []byte) []byte {
	s := &g.Session
	dst = append(dst, `{"session":"`...)
	dst = append(dst, s.ID...) // a session's id needs no escape, nor does an epoch
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, s.Epoch...)
	dst = append(dst, `","floor":`...)
	dst = strconv.AppendInt(dst, s.Floor, 10)
	dst = append(dst, `,"head":`...)
	dst = strconv.AppendInt(dst, s.Head, 10)
	dst = append(dst, `,"status":`...)
	dst = append(dst, encode(newStatus(s, time.Now()))...)
	if g.Gap != nil {
		dst = append(append(dst, `,"gap":`...), encode(g.Gap)...)
	}
	if g.Reset != nil {
		dst = append(append(dst, `,"reset":`...), encode(g.Reset)...)
	}
	return append(dst, `,"events":[`...)
}

// appendEvents appends the events of the piece at hand, which are their own
// bytes. first says that none of the page stand before them.
func (g *page) appendEvents(dst []byte, first bool) []byte {
	for i := range g.Events {
		if i > 0 || !first {
			dst = append(dst, ',')
		}
		if g.req.Raw {
			dst = g.Events[i].AppendJSON(dst, true)
		} else {
			dst = append(dst, g.Events[i].JSON()...)
		}
	}
	return dst
}

func (g *page) appendTail(dst []byte) []byte {
	dst = append(dst, `],"next":`...)
	dst = strconv.AppendInt(dst, g.Next, 10)
	dst = append(dst, `,"caughtUp":`...)
	dst = strconv.AppendBool(dst, g.Level || g.Done)
	return append(dst, '}')
}

// immutable reports, from the first piece, whether the same request will
// always get the same events. Of a page that is not whole yet only its
// furthest end is known, so near the head it counts as one that may change.
func (g *page) immutable() bool {
	if g.Gap != nil || g.Reset != nil || len(g.Events) == 0 || g.req.FromEnd || g.req.show != nil { // what is shown depends on who asks
		return false
	}
	if g.req.Backward {
		return g.from < g.Session.Head && g.req.Before > 0
	}
	if g.whole() {
		return g.Next < g.Session.Head && !g.Done
	}
	if g.req.Fold { // it may end anywhere
		return false
	}
	return !g.req.Until.bounded() && g.from+int64(g.req.Limit) < g.Session.Head
}

// tag names the events of an immutable page, whatever head or status go with
// them. It needs no more than the first piece: the rest follows from it.
func (g *page) tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %d %d %d %v %v %q %q", g.Session.Epoch, g.Session.Redacted, g.Session.ID, g.from, g.req.Limit,
		g.Events[0].ID, g.req.Raw, g.req.Fold, strings.Join(g.req.Types, ","), g.req.Turn))
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}
