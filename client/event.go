package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/konlog/konlog/store"
)

// Event is an event as the server gave it.
type Event struct {
	store.Event
	// JSON is the event object as it was received: the same bytes on every
	// transport, with the agent's own line when Raw was asked for.
	JSON []byte
}

// Status says what a session is doing.
type Status struct {
	State      string `json:"state"` // "idle", "working", "waiting" or "closed"
	TurnActive bool   `json:"turnActive"`
	Turn       string `json:"turn"`
	ElapsedMs  int64  `json:"elapsed"` // since the turn began
	Queued     int    `json:"queued"`
	Head       int64  `json:"head"`
	ServerTime string `json:"serverTime"`
}

// same reports whether two statuses differ in the clock at most.
func (s *Status) same(o *Status) bool {
	return o != nil && s.State == o.State && s.Turn == o.Turn && s.Queued == o.Queued
}

// The kinds of frames that the client acts on.
const (
	frameEvent    = "event" // not a name on the wire: a frame that has data
	frameHello    = "hello"
	frameCaughtUp = "caught_up"
	frameStatus   = "status"
	framePing     = "ping"
	frameGap      = "gap"
	frameReset    = "reset"
	frameBye      = "bye"
	frameError    = "error"

	frameAuthExpiring = "auth_expiring"
	frameAck          = "ack"
)

// frame is one decoded message of the server.
type frame struct {
	kind  string
	event Event // of frameEvent
	control
	status *Status // of frameHello and frameStatus
}

// control holds the fields of all control frames.
type control struct {
	Ref         string     `json:"ref"`
	Session     string     `json:"session"`
	Epoch       string     `json:"epoch"`
	ID          int64      `json:"id"`
	Floor       int64      `json:"floor"`
	Head        int64      `json:"head"`
	After       int64      `json:"after"`
	HeartbeatMs int64      `json:"heartbeatMs"`
	From        int64      `json:"from"`
	To          int64      `json:"to"`
	Reason      string     `json:"reason"`
	ReconnectMs int64      `json:"reconnectMs"`
	Code        store.Code `json:"code"`
	Detail      string     `json:"detail"`
	Retryable   bool       `json:"retryable"`
}

type eventWire struct {
	ID      int64           `json:"id"`
	From    int64           `json:"from"`
	Session string          `json:"session"`
	Type    string          `json:"type"`
	Turn    string          `json:"turn"`
	Parent  string          `json:"parent"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`
	Raw     json.RawMessage `json:"raw"`

	Redacted json.RawMessage `json:"redacted"` // of an exported event whose content is gone, in the place of data
}

// decodeFrame decodes a WebSocket message: what has data is an event. Frames of
// a kind that is not known come as they are; the caller passes over them.
func decodeFrame(b []byte) (frame, error) {
	var w eventWire
	err := json.Unmarshal(b, &w)
	if err == nil && w.Data != nil {
		e, err := w.event(b)
		return frame{kind: frameEvent, event: e}, err
	}
	var probe struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(b, &probe) != nil || probe.Data != nil || probe.Type == "" {
		return frame{}, fmt.Errorf("frame %.80q: neither an event nor a control frame: %w", b, errFrame)
	}
	return decodeControl(probe.Type, b)
}

// decodeEvent decodes an event object.
func decodeEvent(b []byte) (Event, error) {
	var w eventWire
	if err := json.Unmarshal(b, &w); err != nil || w.Data == nil && w.Redacted == nil {
		return Event{}, fmt.Errorf("event %.80q: %w", b, errFrame)
	}
	return w.event(b)
}

func (w *eventWire) event(b []byte) (Event, error) {
	if w.ID <= 0 || w.Type == "" {
		return Event{}, fmt.Errorf("event %.80q: no id or type: %w", b, errFrame)
	}
	var raw []byte
	if w.Raw != nil {
		var err error
		if raw, err = store.ParseRaw(w.Raw); err != nil {
			return Event{}, fmt.Errorf("event %d raw: %w: %w", w.ID, errFrame, err)
		}
	}
	return Event{
		Event: store.Event{ID: w.ID, From: w.From, Session: w.Session, Type: w.Type, Turn: w.Turn, Parent: w.Parent, Time: w.Time, Data: w.Data, Raw: raw},
		JSON:  append([]byte(nil), b...), // b is the carrier's buffer
	}, nil
}

// decodeControl decodes the control frame called name.
func decodeControl(name string, b []byte) (frame, error) {
	f := frame{kind: name}
	switch name {
	case frameHello:
		var w struct {
			control
			Status *Status `json:"status"`
		}
		if err := json.Unmarshal(b, &w); err != nil {
			return frame{}, fmt.Errorf("%s frame %.80q: %w", name, b, errFrame)
		}
		f.control, f.status = w.control, w.Status
	case frameStatus:
		f.status = &Status{}
		if err := json.Unmarshal(b, f.status); err != nil {
			return frame{}, fmt.Errorf("%s frame %.80q: %w", name, b, errFrame)
		}
	case frameCaughtUp, framePing, frameGap, frameReset, frameBye, frameError:
		if err := json.Unmarshal(b, &f.control); err != nil {
			return frame{}, fmt.Errorf("%s frame %.80q: %w", name, b, errFrame)
		}
	}
	return f, nil
}
