package stream

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// The reasons of gap, reset and bye frames.
const (
	reasonRetention    = "retention"
	reasonRedacted     = "redacted"
	reasonEpochChanged = "epoch_changed"
	reasonBeyondHead   = "cursor_beyond_head"
	reasonUntil        = "until"
	reasonDeleted      = "deleted"
	reasonFailed       = "error"
	reasonUnauthorized = "unauthorized"
)

// Close codes of a WebSocket, beside those of the protocol itself.
const (
	CloseBadFrame      websocket.StatusCode = 4400
	CloseUnauthorized  websocket.StatusCode = 4401
	CloseDeleted       websocket.StatusCode = 4404
	CloseSilent        websocket.StatusCode = 4408
	CloseFrameTooLarge websocket.StatusCode = 4413
)

// Refusals of this package beside those of store.
const (
	CodeInvalidFrame         store.Code = "invalid_frame"
	CodeTooManySubscriptions store.Code = "too_many_subscriptions"
	CodeUpgradeRequired      store.Code = "upgrade_required"
	CodeOriginNotAllowed     store.Code = "origin_not_allowed"
	CodeUnauthorized         store.Code = "unauthorized"
	CodeInternal             store.Code = "internal"
	CodeTooManySessions      store.Code = "too_many_sessions" // of the hour: later there may be more
)

// Hello is the first frame of a subscription: where the session stands, and
// what it waits for, as of Through. Kontasks are those that the reader's
// subject has not seen.
type Hello struct {
	Type        string           `json:"type"`
	Session     string           `json:"session"`
	Epoch       string           `json:"epoch"`
	Floor       int64            `json:"floor"`
	Head        int64            `json:"head"`
	After       int64            `json:"after"`
	Through     int64            `json:"through"`
	Transport   string           `json:"transport"`
	HeartbeatMs int64            `json:"heartbeatMs"`
	ServerTime  string           `json:"serverTime"`
	Status      Status           `json:"status"`
	Questions   []store.Question `json:"questions"`
	Tasks       []store.Task     `json:"tasks"`
	Kontasks    []store.Card     `json:"kontasks"`
}

// Status says what a session is doing.
type Status struct {
	Type       string `json:"type"`
	Session    string `json:"session"`
	State      string `json:"state"`
	TurnActive bool   `json:"turnActive"`
	Turn       string `json:"turn,omitempty"`
	Elapsed    int64  `json:"elapsed"` // milliseconds since the turn began
	Queued     int    `json:"queued"`
	Head       int64  `json:"head"`
	ServerTime string `json:"serverTime"`
}

// CaughtUp says that the replay is over; from here events are live.
type CaughtUp struct {
	Type    string `json:"type"`
	Session string `json:"session"`
	ID      int64  `json:"id"`
}

// Ping is the heartbeat of a connection. Session and ID are those of its only
// session; of several, Cursor names those that moved while their filter let
// nothing pass.
type Ping struct {
	Type       string `json:"type"`
	Session    string `json:"session,omitempty"`
	ID         int64  `json:"id"`
	Cursor     string `json:"cursor,omitempty"`
	ServerTime string `json:"serverTime"`
}

// Pong answers a client's ping.
type Pong struct {
	Type       string          `json:"type"`
	Ref        json.RawMessage `json:"ref,omitempty"`
	ID         int64           `json:"id"`
	ServerTime string          `json:"serverTime"`
}

// Gap names events that will not come.
type Gap struct {
	Type    string `json:"type"`
	Session string `json:"session"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
	Reason  string `json:"reason"`
}

// Reset tells a reader to drop its state: replay starts again.
type Reset struct {
	Type    string `json:"type"`
	Session string `json:"session"`
	Epoch   string `json:"epoch"`
	Head    int64  `json:"head"`
	Reason  string `json:"reason"`
}

// Bye is the last frame of a connection, or of one of its subscriptions.
type Bye struct {
	Type        string `json:"type"`
	Session     string `json:"session,omitempty"`
	Reason      string `json:"reason"`
	ReconnectMs int64  `json:"reconnectMs"`
}

// Ack answers a frame that asked for one with a ref.
type Ack struct {
	Type    string          `json:"type"`
	Ref     json.RawMessage `json:"ref,omitempty"`
	Session string          `json:"session,omitempty"`
}

// Failure is an error frame.
type Failure struct {
	Type      string          `json:"type"`
	Ref       json.RawMessage `json:"ref,omitempty"`
	Session   string          `json:"session,omitempty"`
	Code      store.Code      `json:"code"`
	Detail    string          `json:"detail"`
	Retryable bool            `json:"retryable"`
	Want      int64           `json:"want,omitempty"`
}

func stamp(t time.Time) string { return t.UTC().Format(store.TimeLayout) }

func newStatus(s *store.Session, now time.Time) Status {
	st := Status{
		Type: "status", Session: s.ID, State: s.State(), TurnActive: s.Turn != "", Turn: s.Turn,
		Queued: len(s.Queue()), Head: s.Head, ServerTime: stamp(now),
	}
	if st.TurnActive {
		st.Elapsed = max(0, now.Sub(s.TurnSince).Milliseconds())
	}
	return st
}

func newHello(s *store.Session, after int64, transport string, heartbeat time.Duration, seen int64, now time.Time) Hello {
	h := Hello{
		Type: "hello", Session: s.ID, Epoch: s.Epoch, Floor: s.Floor, Head: s.Head, After: after, Through: s.Head,
		Transport: transport, HeartbeatMs: heartbeat.Milliseconds(), ServerTime: stamp(now),
		Status: newStatus(s, now), Questions: []store.Question{}, Tasks: []store.Task{}, Kontasks: []store.Card{},
	}
	if s.Open == nil {
		return h
	}
	h.Questions, h.Tasks = append(h.Questions, s.Open.Questions...), append(h.Tasks, s.Open.Tasks...)
	for _, card := range s.Open.Kontasks {
		if card.Ready > seen {
			h.Kontasks = append(h.Kontasks, card)
		}
	}
	return h
}

func newGap(session string, from, to int64) *Gap {
	return &Gap{Type: "gap", Session: session, From: from, To: to, Reason: reasonRetention}
}

func newReset(s *store.Session, reason string) *Reset {
	return &Reset{Type: "reset", Session: s.ID, Epoch: s.Epoch, Head: s.Head, Reason: reason}
}

// newFailure makes an error frame. Only refusals show their detail: internal
// text never reaches a client.
func newFailure(err error, session string, ref json.RawMessage) Failure {
	f := Failure{Type: "error", Ref: ref, Session: session, Code: CodeInternal, Detail: "the server failed; try again", Retryable: true}
	var refusal *store.Error
	if errors.As(err, &refusal) {
		f.Code, f.Detail, f.Want = refusal.Code, refusal.Detail, refusal.Want
		f.Retryable = retryable(refusal.Code)
	}
	return f
}

// retryable reports whether the same request may succeed later.
func retryable(c store.Code) bool {
	switch c {
	case store.CodeQueueFull, store.CodeStorageFull, store.CodeStorageFailed, store.CodeShutdown, CodeInternal, CodeTooManySessions:
		return true
	}
	return false
}

// encode makes the bytes of a control frame, which always encodes: its fields
// are strings, numbers and checked JSON.
func encode(frame any) []byte {
	b, err := json.Marshal(frame)
	if err != nil {
		panic("stream: a frame did not encode: " + err.Error())
	}
	return b
}
