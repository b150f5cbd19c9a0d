package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// How a connection ends, beside the errors of the network.
var (
	errEnd     = errors.New("the end is reached")
	errStepUp  = errors.New("time to try a better transport")
	errNoHello = errors.New("no hello came in time")
	errSilent  = errors.New("the server has been silent for three heartbeats")
)

// byeError is a connection that the server ended.
type byeError struct {
	reason string
	wait   time.Duration
}

func (e *byeError) Error() string { return "the server said bye: " + e.reason }

// refusedError says that something other than the server answered: the
// transport does not get through.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "the transport does not get through: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// finalError is a refusal of a stream that trying again would not change.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// carrier is one connection. next waits for a frame; close releases all.
type carrier interface {
	next() (frame, error)
	close()
}

// connection carries one connection until it ends, and says how it did.
func (t *tail) connection() error {
	t.connected, t.renewed, t.level0 = false, false, false
	t.reached.Store(false)
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	// The time to the hello is counted from before dialling: a proxy that
	// swallows the upgrade looks the same as one that swallows the frames.
	watch := time.AfterFunc(t.c.times.hello, func() { cancel(errNoHello) })
	defer func() { watch.Stop() }()
	car, err := t.open(httptrace.WithClientTrace(ctx, t.trace()))
	if err != nil {
		return because(ctx, err)
	}
	defer car.close()
	for {
		f, err := car.next()
		if err != nil {
			return because(ctx, err)
		}
		watch.Stop() // the loop's own time is not the server's silence
		if err := t.apply(&f); err != nil {
			return err
		}
		if t.connected {
			if f.kind == frameHello {
				watch = time.AfterFunc(t.silence, func() { cancel(errSilent) })
			} else {
				watch.Reset(t.silence)
			}
		} else {
			watch.Reset(t.c.times.hello)
		}
	}
}

// trace notes that a connection was made. It runs on the goroutine of the
// transport, so the tail reads what it noted after the request only.
func (t *tail) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { t.reached.Store(true) }}
}

// answered reports whether err is what somebody at the address answered.
func answered(err error) bool {
	var other *refusedError
	var se *StatusError
	return errors.As(err, &other) || errors.As(err, &se)
}

// because prefers the reason for which we cancelled to what came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (t *tail) open(ctx context.Context) (carrier, error) {
	switch t.transport() {
	case "ws":
		return t.openWebSocket(ctx)
	case "sse":
		return t.openSSE(ctx)
	}
	return t.openPoll(ctx), nil
}

// apply acts on a frame.
func (t *tail) apply(f *frame) error {
	if !t.connected && f.kind != frameHello && f.kind != frameBye && f.kind != frameError {
		return fmt.Errorf("%s before the hello", f.kind)
	}
	switch f.kind {
	case frameEvent:
		return t.deliver(&f.event)
	case frameHello:
		t.hello(f)
	case frameCaughtUp:
		return t.caughtUp(f.ID)
	case framePing:
		if t.cur.sparse { // how far the reader is, which it cannot see
			t.cur.after = max(t.cur.after, f.ID)
		}
	case frameStatus:
		t.setStatus(f.status)
	case frameGap:
		if err := t.cur.skip(f.From, f.To); err != nil {
			return err
		}
		t.tell(State{Kind: StateGap, From: f.From, To: f.To, Reason: f.Reason})
	case frameReset:
		t.reset(f.Epoch, f.Reason, f.Head)
	case frameBye:
		if f.Reason == "until" {
			return errEnd
		}
		wait := min(max(time.Duration(f.ReconnectMs)*time.Millisecond, 0), reconnectMax)
		return &byeError{reason: f.Reason, wait: wait}
	case frameError:
		refusal := &store.Error{Code: f.Code, Detail: f.Detail}
		if !f.Retryable {
			return &finalError{refusal}
		}
		return refusal
	}
	return nil
}

func (t *tail) hello(f *frame) {
	t.connected, t.fails, t.refused = true, 0, 0
	t.cur.sparse = t.filtered || t.o.Fold
	t.silence = silentBeats * t.c.times.heartbeat
	if f.HeartbeatMs > 0 {
		t.silence = min(silentBeats*time.Duration(f.HeartbeatMs)*time.Millisecond, silenceMax)
	}
	if !t.begun && t.o.Tail > 0 {
		t.cur.after = f.After
	}
	t.begun = true
	t.cur.floor = f.Floor
	if t.cur.epoch != "" && f.Epoch != t.cur.epoch {
		t.reset(f.Epoch, "epoch_changed", f.Head)
	}
	t.cur.epoch = f.Epoch
	t.tell(State{Kind: StateConnected, Head: f.Head, Status: f.status})
	t.setStatus(f.status)
}

// reset begins another history. The reset frame that follows a hello with
// another epoch says the same thing once more.
func (t *tail) reset(epoch, reason string, head int64) {
	if t.renewed && t.cur.after == 0 && t.cur.epoch == epoch {
		return
	}
	t.renewed, t.level0 = true, false
	t.cur.restart(epoch)
	t.tell(State{Kind: StateReset, Reason: reason, Head: head})
}

func (t *tail) setStatus(s *Status) {
	if s == nil || s.same(t.status) {
		return
	}
	t.status = s
	t.tell(State{Kind: StateStatus, Status: s, Head: s.Head})
}

func (t *tail) caughtUp(id int64) error {
	if err := t.pass(id); err != nil {
		return err
	}
	t.attempt = 0
	t.cur.sparse = t.filtered || t.o.Fold && t.transport() == "poll" // live events of a stream come as they are
	if !t.level0 {
		t.level0 = true
		t.tell(State{Kind: StateCaughtUp})
	}
	if t.o.NoFollow {
		return errEnd
	}
	return nil
}

// pass moves the cursor to id, up to which the server has sent everything.
func (t *tail) pass(id int64) error {
	gap, err := t.cur.reach(id)
	if err != nil {
		return fmt.Errorf("caught up at %d after %d: %w", id, t.cur.after, err)
	}
	t.tellGap(gap)
	return nil
}

func (t *tail) tellGap(g *Gap) {
	if g != nil {
		t.tell(State{Kind: StateGap, From: g.From, To: g.To, Reason: g.Reason})
	}
}

func (t *tail) deliver(e *Event) error {
	pass, gap, err := t.cur.admit(e.ID)
	if err != nil || !pass {
		return err
	}
	t.tellGap(gap)
	t.attempt = 0
	if !t.yield(*e, nil) || t.ended() {
		return errEnd
	}
	return nil
}

// ended reports whether the cursor has reached an until that is an id. The bye
// that says so may be lost with its connection.
func (t *tail) ended() bool {
	id, err := strconv.ParseInt(t.o.Until, 10, 64)
	return err == nil && t.cur.after >= id
}

// final reports whether going on makes no sense.
func final(err error) bool {
	var stop *finalError
	if errors.Is(err, errEnd) || errors.Is(err, ErrUnreadable) || errors.As(err, &stop) {
		return true
	}
	switch websocket.CloseStatus(err) {
	case closeUnauthorized, 4403, 4404:
		return true
	}
	switch store.CodeOf(err) {
	case store.CodeNotFound, store.CodeInvalidQuery, store.CodeInvalidSession, "unauthorized":
		return true
	}
	var se *StatusError
	if !errors.As(err, &se) || refusal(err) {
		return false
	}
	switch se.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return se.Status >= 400 && se.Status < 500 || se.hopeless
}

// refusal reports whether the transport as such was refused, so that another
// one may get through.
func refusal(err error) bool {
	var other *refusedError
	if errors.As(err, &other) {
		return true
	}
	var se *StatusError
	if !errors.As(err, &se) {
		return false
	}
	switch se.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUpgradeRequired, http.StatusNotImplemented:
		return true
	}
	return se.Status < 400
}
