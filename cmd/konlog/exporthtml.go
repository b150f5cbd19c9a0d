package main

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/web"
)

// pageBytesMax bounds the events of a page: a browser reads that much within a
// few seconds, and a person never. An event counts as its data and what is
// around it.
const (
	pageBytesMax  = 128 << 20
	eventOverhead = 128
)

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
	kept.Raw = nil // data says the same
	p.events = append(p.events, kept)
	if p.bytes += len(kept.Data) + eventOverhead; p.bytes > pageBytesMax {
		return failf("the session holds more than the %s that a page can show", roughBytes(pageBytesMax)).because("use --format jsonl or sqlite")
	}
	return nil
}

func (p *pageSink) end(ctx context.Context, missing []string) ([]string, error) {
	images, err := pictures(ctx, p.client, p.events)
	if err != nil {
		return nil, err
	}
	r := replay{Konlog: "replay/2", Session: replaySessionOf(&p.session), Missing: missing, Images: images, Events: p.replayEvents()}
	b, err := json.Marshal(r)
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
	Konlog  string            `json:"konlog"`
	Session replaySession     `json:"session"`
	Missing []string          `json:"missing,omitempty"` // what could not be read
	Events  []json.RawMessage `json:"events"`

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

// replayEvents are the events of the page, each as the server sends it. One
// whose content was redacted only keeps its place.
func (p *pageSink) replayEvents() []json.RawMessage {
	out := make([]json.RawMessage, 0, len(p.events))
	for i := range p.events {
		e := &p.events[i]
		if e.Redacted() {
			out = append(out, json.RawMessage(`{"id":`+strconv.FormatInt(e.ID, 10)+`,"redacted":true}`))
			continue
		}
		out = append(out, e.AppendJSON(nil, false))
	}
	return out
}
