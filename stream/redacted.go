package stream

import (
	"slices"

	"github.com/konlog/konlog/store"
)

// A redacted event is never sent: a run of them becomes a gap in its place. A
// batch, like a page on the wire, has one gap and then events, so it ends
// before a run and the next one begins with it.

func newRedactedGap(session string, run []store.Event) *Gap {
	return &Gap{Type: "gap", Session: session, From: run[0].ID, To: run[len(run)-1].ID, Reason: reasonRedacted}
}

func isRedacted(e store.Event) bool    { return e.Redacted() }
func isNotRedacted(e store.Event) bool { return !e.Redacted() }

// upTo returns the index of the first event of which f is true, or their number.
func upTo(events []store.Event, f func(store.Event) bool) int {
	if i := slices.IndexFunc(events, f); i >= 0 {
		return i
	}
	return len(events)
}

// pass takes from a run of events those that belong to the batch: what it
// begins with if that is redacted, which becomes the gap, and what follows up
// to the next that is. It returns those to send and those that are left.
func (b *Batch) pass(events []store.Event) (shown, left []store.Event) {
	if n := upTo(events, isNotRedacted); n > 0 && b.Gap == nil {
		b.Gap = newRedactedGap(b.Session.ID, events[:n])
		events = events[n:]
	}
	n := upTo(events, isRedacted)
	return events[:n], events[n:]
}

// passBackward is pass for a page that is read from its end: the gap stands
// after the events that are shown, and both after what is left.
func (b *Batch) passBackward(events []store.Event) (shown []store.Event) {
	n := len(events)
	for n > 0 && events[n-1].Redacted() {
		n--
	}
	if n < len(events) {
		b.Gap = newRedactedGap(b.Session.ID, events[n:])
		events = events[:n]
	}
	for n > 0 && !events[n-1].Redacted() {
		n--
	}
	return events[n:]
}
