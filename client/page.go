package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/konlog/konlog/store"
)

// PageQuery asks for a page: forwards from After, the newest Tail events, or
// backwards from Before.
type PageQuery struct {
	After  int64
	Tail   int      // the newest events, when > 0
	Before int64    // the newest events below it, when > 0
	Limit  int      // at most so many events; 0 leaves it to the server
	Types  []string // only these
	Turn   string   // only this turn
	Until  string   // an event id or an RFC 3339 time
	Raw    bool     // with the agents' own lines
	Fold   bool     // each run of deltas as one event, which has From; not with Before
}

// Page is a run of events and the session they were read from.
type Page struct {
	Session  string
	Epoch    string
	Floor    int64 // id of the first event that can still be read
	Head     int64
	Next     int64 // the cursor of the page after this one
	CaughtUp bool  // there was nothing more when the page was read
	Status   *Status
	Events   []Event
	Gap      *Gap   // events that are gone, or nil
	Reset    string // why the cursor was of no use, or ""
}

// Gap names events that will not come.
type Gap struct {
	From, To int64 // inclusive
	Reason   string
}

type pageWire struct {
	Session  string            `json:"session"`
	Epoch    string            `json:"epoch"`
	Floor    int64             `json:"floor"`
	Head     int64             `json:"head"`
	Next     int64             `json:"next"`
	CaughtUp bool              `json:"caughtUp"`
	Status   *Status           `json:"status"`
	Events   []json.RawMessage `json:"events"`
	Gap      *struct {
		From   int64  `json:"from"`
		To     int64  `json:"to"`
		Reason string `json:"reason"`
	} `json:"gap"`
	Reset *struct {
		Reason string `json:"reason"`
	} `json:"reset"`
}

func (w *pageWire) page() (Page, error) {
	p := Page{
		Session: w.Session, Epoch: w.Epoch, Floor: w.Floor, Head: w.Head, Next: w.Next,
		CaughtUp: w.CaughtUp, Status: w.Status, Events: make([]Event, 0, len(w.Events)),
	}
	if w.Gap != nil {
		p.Gap = &Gap{From: w.Gap.From, To: w.Gap.To, Reason: w.Gap.Reason}
	}
	if w.Reset != nil {
		p.Reset = w.Reset.Reason
		if p.Reset == "" {
			p.Reset = "unknown"
		}
	}
	for _, b := range w.Events {
		e, err := decodeEvent(b)
		if err != nil {
			return Page{}, err
		}
		p.Events = append(p.Events, e)
	}
	return p, nil
}

func (q *PageQuery) values() url.Values {
	v := url.Values{}
	if q.Tail > 0 {
		v.Set("tail", strconv.Itoa(q.Tail))
	} else if q.Before == 0 {
		v.Set("after", strconv.FormatInt(q.After, 10))
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	setFilters(v, q.Types, q.Turn, q.Until, q.Raw, q.Fold)
	return v
}

func setFilters(v url.Values, types []string, turn, until string, raw, fold bool) {
	if len(types) > 0 {
		v.Set("types", strings.Join(types, ","))
	}
	if turn != "" {
		v.Set("turn", turn)
	}
	if until != "" {
		v.Set("until", until)
	}
	if raw {
		v.Set("raw", "1")
	}
	if fold {
		v.Set("fold", "1")
	}
}

// Read returns a page at once, empty when there is nothing to read.
func (c *Client) Read(ctx context.Context, session string, q PageQuery) (Page, error) {
	var w pageWire
	r := &call{op: "read " + session, method: http.MethodGet, url: c.url(q.values(), "v1", "sessions", session, "events")}
	if _, err := c.do(ctx, r, &w); err != nil {
		return Page{}, err
	}
	p, err := w.page()
	if err != nil {
		return Page{}, fmt.Errorf("read %s: %w", session, err)
	}
	return p, nil
}

// Export asks for exportPageMin events at first, and for more while they are
// small. The lines of an event may be 6 MiB as JSON, so the answer to the least
// number stays below answerBytesMax whatever the server counts.
const (
	exportPageMin   = 8
	exportPageMax   = 512
	exportPageBytes = 1 << 20 // a page below it is small
)

// Export yields the events after the cursor up to the head as it stood at the
// start, with the agents' own lines; Event.JSON is the line that Import takes.
// When events are gone it begins at the first that is left; it ends with an
// error when the history is replaced or trimmed while it runs. Damaged data
// (store.ErrCorrupt, ErrUnreadable) ends it just before the event that cannot
// be read; Export after that one goes on. An event whose content was redacted
// has no Data; where the server tells no more of it than that, it has no Type
// and Time either.
func (c *Client) Export(ctx context.Context, session string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		first := Page{}
		limit := exportPageMin
		for next := after; first.Epoch == "" || next < first.Head; {
			p, err := c.exportPage(ctx, session, PageQuery{After: next, Limit: limit, Raw: true})
			if err != nil && limit > 1 && ctx.Err() == nil {
				limit = 1 // up to what cannot be read, or is too much at a time
				continue
			}
			if err == nil && first.Epoch == "" {
				first = p
				next = max(next, p.Floor-1)
			}
			if err == nil {
				err = exportable(&p, &first, next)
			}
			if err != nil {
				yield(Event{}, fmt.Errorf("export %s: %w", session, err))
				return
			}
			size := 0
			if g := p.Gap; redactedGap(&p, next) {
				for ; next < min(g.To, first.Head); next++ {
					if !yield(redactedEvent(session, next+1), nil) {
						return
					}
				}
			}
			for _, e := range p.Events {
				if e.ID > first.Head || !yield(e, nil) {
					return
				}
				next, size = e.ID, size+len(e.JSON)
			}
			if size < exportPageBytes {
				limit = min(2*limit, exportPageMax)
			} else {
				limit = max(limit/2, 1)
			}
		}
	}
}

// exportPage reads a page. Several events are asked for once: what cuts the
// answer may be one of them, and trying again would not change that.
func (c *Client) exportPage(ctx context.Context, session string, q PageQuery) (Page, error) {
	if q.Limit == 1 {
		return c.Read(ctx, session, q)
	}
	once := *c
	once.retry.Attempts = 1
	return once.Read(ctx, session, q)
}

// gapRedacted is the reason of a gap whose events were redacted.
const gapRedacted = "redacted"

// redactedGap reports whether the page begins, after the cursor, with events
// whose content was redacted.
func redactedGap(p *Page, after int64) bool {
	return p.Gap != nil && p.Gap.Reason == gapRedacted && p.Gap.From <= after+1 && p.Gap.To > after
}

// redactedEvent stands for an event of which nothing is known but that its
// content was redacted.
func redactedEvent(session string, id int64) Event {
	line := `{"id":` + strconv.FormatInt(id, 10) + `,"session":"` + session + `","redacted":true}`
	return Event{Event: store.Event{ID: id, Session: session}, JSON: []byte(line)}
}

// exportable reports what is wrong with a page that should follow after.
func exportable(p, first *Page, after int64) error {
	gap := redactedGap(p, after)
	if gap {
		after = p.Gap.To
	}
	switch {
	case p.Epoch != first.Epoch || p.Reset != "":
		return fmt.Errorf("after %d: the history was replaced meanwhile", after)
	case len(p.Events) == 0 && after < first.Head && !gap:
		return fmt.Errorf("after %d: events are missing below the head %d", after, first.Head)
	}
	for i := range p.Events {
		if p.Events[i].ID != after+1+int64(i) {
			return fmt.Errorf("after %d: event %d came instead: %w", after, p.Events[i].ID, errHole)
		}
	}
	return nil
}
