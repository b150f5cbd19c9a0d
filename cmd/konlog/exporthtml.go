package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/web"
)

// pageBytesMax bounds the events of a page: a browser reads that much within a
// few seconds, and a person never.
const pageBytesMax = 128 << 20

// paceMin is how close two deltas may be and still be shown as two: less than
// a frame of a screen.
const paceMin = 16 * time.Millisecond

// pageSink gathers one session for a page that replays it.
type pageSink struct {
	client  *client.Client
	w       io.Writer
	session store.SessionObject
	events  []store.Event
	bytes   int
}

func (p *pageSink) begin(_ context.Context, s *store.SessionObject) error {
	p.session = *s
	return nil
}

func (p *pageSink) event(_ context.Context, e *client.Event) error {
	kept := e.Event
	kept.Raw = nil                                       // data says the same
	if n := len(p.events); kept.Time.IsZero() && n > 0 { // redacted, and no more is known of it
		kept.Time = p.events[n-1].Time
	}
	p.events = append(p.events, kept)
	if p.bytes += len(kept.Data); p.bytes > pageBytesMax {
		return failf("the session holds more than the %s that a page can show", roughBytes(pageBytesMax)).because("use --format jsonl or sqlite")
	}
	return nil
}

func (p *pageSink) end(ctx context.Context, missing []string) ([]string, error) {
	images, err := pictures(ctx, p.client, p.events)
	if err != nil {
		return nil, err
	}
	r := replay{Konlog: "replay/1", Session: replaySessionOf(&p.session), Missing: missing, Images: images, Events: p.replayEvents()}
	b, err := json.Marshal(r) // escapes <, > and &, so that no text can end the element that it stands in
	if err != nil {
		return nil, failf("%w", err)
	}
	title := p.session.Title
	if title == "" {
		title = p.session.ID
	}
	if err := web.Replay(p.w, title, b); err != nil {
		return nil, failf("%w", err)
	}
	return nil, nil
}

// replay is what a page has of its session.
type replay struct {
	Konlog  string        `json:"konlog"`
	Session replaySession `json:"session"`
	Missing []string      `json:"missing,omitempty"` // what could not be read
	Events  []replayEvent `json:"events"`

	Images map[string]string `json:"images,omitempty"` // data URLs by SHA-256
}

type replaySession struct {
	exportHeader
	State     string    `json:"state"`
	CreatedAt time.Time `json:"createdAt"`
}

func replaySessionOf(s *store.SessionObject) replaySession {
	return replaySession{exportHeader: headerOf(s), State: s.State, CreatedAt: s.CreatedAt.Time}
}

// replayEvent is an event of a page. Its times are Unix milliseconds.
type replayEvent struct {
	ID       int64           `json:"id"`
	From     int64           `json:"from,omitempty"` // see store.Event
	Type     string          `json:"type"`
	Turn     string          `json:"turn,omitempty"`
	Parent   string          `json:"parent,omitempty"`
	Time     int64           `json:"time"`
	Data     json.RawMessage `json:"data,omitempty"`
	Redacted bool            `json:"redacted,omitempty"`
	// Pace says how the text came: pairs of milliseconds since the pair before
	// and UTF-16 units. The first pair counts from Start.
	Start int64   `json:"start,omitempty"`
	Pace  []int64 `json:"pace,omitempty"`
}

// replayEvents folds the events and keeps the pace of what is folded.
func (p *pageSink) replayEvents() []replayEvent {
	paces := pacesOfWholes(p.events)
	out := []replayEvent{}
	for _, part := range dense(p.events) {
		for _, e := range store.Fold(part) {
			r := replayEvent{ID: e.ID, From: e.From, Type: e.Type, Turn: e.Turn, Parent: e.Parent, Time: e.Time.UnixMilli(), Data: e.Data, Redacted: e.Redacted()}
			pace := paces[e.ID]
			if e.From != 0 && e.Type != store.TypeToolStart {
				pace = paceOfRun(part[e.From-part[0].ID : e.ID-part[0].ID+1])
			}
			if pace != nil {
				r.Start, r.Pace = pace.start.UnixMilli(), pace.pairs
			}
			out = append(out, r)
		}
	}
	return out
}

// dense cuts events where ids are missing: what is folded must have no hole.
func dense(events []store.Event) (parts [][]store.Event) {
	if len(events) == 0 {
		return nil
	}
	begin := 0
	for i := range events {
		if i > 0 && events[i].ID != events[i-1].ID+1 {
			parts, begin = append(parts, events[begin:i]), i
		}
	}
	return append(parts, events[begin:])
}
