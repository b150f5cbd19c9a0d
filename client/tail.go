package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
)

// TailOptions say what to tail and how. The zero value reads from the first
// event on and follows: it goes on with new events as they come.
type TailOptions struct {
	After     int64    // begin after this id
	Tail      int      // or this many events before the head, when > 0
	Epoch     string   // of the history that After belongs to, when known
	Transport string   // "auto" (or ""), "ws", "sse" or "poll"
	Types     []string // only these types
	Turn      string   // only this turn
	Raw       bool     // with the agents' own lines
	Fold      bool     // what is there already comes with each run of deltas as one event, which has From; so does all that a poll brings
	Until     string   // an event id or RFC 3339 time: end there
	Speed     float64  // replay at the recorded pace times this; not with poll
	NoFollow  bool     // end when all there is was read, instead of going on with new events

	// OnState is told what happens beside the events, on the goroutine of the
	// loop, between two events. It may be nil.
	OnState func(State)
}

// StateKind says what a State tells.
type StateKind string

// The kinds of State.
const (
	StateConnected    StateKind = "connected"    // a transport works: Transport, Head, Status
	StateDisconnected StateKind = "disconnected" // it broke: Err, and Wait until the next attempt
	StateDowngrade    StateKind = "downgrade"    // Transport is tried from now on, because of Err
	StateCaughtUp     StateKind = "caught_up"    // the replay is over, events are live
	StateStatus       StateKind = "status"       // the session's Status changed
	StateGap          StateKind = "gap"          // the events From to To will not come, for Reason
	StateReset        StateKind = "reset"        // drop what came before: the history begins anew, for Reason
)

// String returns the kind's name.
func (k StateKind) String() string { return string(k) }

// State is something that a tail tells beside the events.
type State struct {
	Kind      StateKind
	Transport string // "ws", "sse" or "poll"
	Session   string
	Epoch     string
	After     int64 // the cursor: id of the last event before this
	Head      int64
	From, To  int64
	Reason    string
	Status    *Status // or nil
	Err       error   // or nil
	Wait      time.Duration
}

// The transports, best first.
var transports = []string{"ws", "sse", "poll"}

// timing holds the times of a tail; tests shorten them.
type timing struct {
	hello      time.Duration // from dialling to the first frame
	heartbeat  time.Duration // when the server does not name its own
	backoffMin time.Duration
	backoffLow time.Duration // the longest pause while the trouble is young
	backoffMax time.Duration
	young      time.Duration
	stepUp     time.Duration // after a step down, the better transport is tried again
	pollWait   time.Duration
	plainPause time.Duration // between reads where waiting is switched off
	pollStay   time.Duration // a poll that works is left this often to step up
}

var defaultTiming = timing{
	hello: 4 * time.Second, heartbeat: 10 * time.Second,
	backoffMin: 250 * time.Millisecond, backoffLow: 2 * time.Second, backoffMax: 20 * time.Second, young: time.Minute,
	stepUp: time.Minute, pollWait: 20 * time.Second, plainPause: 5 * time.Second, pollStay: 5 * time.Minute,
}

const (
	silentBeats  = 3               // heartbeats that may be missing
	silenceMax   = 5 * time.Minute // whatever heartbeat a server names
	failuresMax  = 2               // in a row before the hello, then step down
	reconnectMax = 5 * time.Minute // what bye.reconnectMs may ask
)

// Tail yields the session's events, each once and in order, and resumes by
// itself. The error is the last thing it yields: the session does not exist or
// was deleted, access was refused, the query is not valid, the server says that
// trying again is of no use (such as store.ErrCorrupt), its answer cannot be
// read (ErrUnreadable), no transport gets through at all, or ctx is done. With
// NoFollow it ends when it has caught up; with Until, there. Each use of the
// iterator begins anew.
//
// A server that is down says nothing about the transport: the tail then tries
// again about once a second, after a minute less often.
func (c *Client) Tail(ctx context.Context, session string, o TailOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		t := &tail{c: c, ctx: ctx, session: session, o: o, carry: transports, yield: yield}
		t.filtered = len(o.Types) > 0 || o.Turn != "" || store.OwnSession(session)
		t.cur = cursor{after: o.After, epoch: o.Epoch, sparse: t.filtered || o.Fold}
		if o.Transport != "" && o.Transport != "auto" {
			t.carry = []string{o.Transport}
		}
		if !slices.Contains(transports, t.carry[0]) {
			yield(Event{}, fmt.Errorf("tail %s: %w", session, store.Errorf(store.CodeInvalidQuery, "transport %q: want auto, ws, sse or poll", o.Transport)))
			return
		}
		if err := t.run(); err != nil && !errors.Is(err, errEnd) {
			yield(Event{}, fmt.Errorf("tail %s: %w", session, err))
		}
	}
}

// tail is one run of a Tail iterator. Only the loop's goroutine uses it.
type tail struct {
	c       *Client
	ctx     context.Context // as given to Tail
	session string
	o       TailOptions
	yield   func(Event, error) bool
	cur     cursor

	filtered bool // some events will not be sent

	carry   []string // the transports to choose from, best first
	level   int      // index of the one in use
	refused int      // bit per transport: it was refused since the last hello
	down    time.Time
	fails   int         // attempts in a row that ended before the hello
	attempt int         // pauses in a row without progress
	broken  time.Time   // the first of them
	reached atomic.Bool // on this attempt: somebody took the connection

	begun     bool // a hello came: o.Tail is done with
	connected bool // on this connection: a hello came
	renewed   bool // a reset was told of
	plain     bool // a poll may not wait: the server has switched that off
	level0    bool // caught_up was told of
	silence   time.Duration
	status    *Status // as last told, or nil
}

func (t *tail) transport() string { return t.carry[t.level] }

// run connects, until an error is final or the end is reached.
func (t *tail) run() error {
	for {
		if t.level > 0 && time.Since(t.down) >= t.c.times.stepUp {
			t.level, t.fails, t.refused = 0, 0, 0
			t.down = time.Now()
		}
		err := t.connection()
		if t.ctx.Err() != nil && !errors.Is(err, errEnd) {
			return t.ctx.Err()
		}
		if errors.Is(err, errStepUp) {
			t.down = time.Time{}
			continue
		}
		if final(err) && !t.renewable(err) || errors.Is(err, ErrToken) && !t.begun {
			return err
		}
		wait, err := t.failed(err)
		if err != nil {
			return err
		}
		if err := sleep(t.ctx, wait); err != nil {
			return err
		}
	}
}

// failed decides what comes after a connection that broke: how long to wait,
// and on which transport to go on. The error is for when nothing is left.
func (t *tail) failed(err error) (time.Duration, error) {
	times := &t.c.times
	if t.attempt == 0 {
		t.broken = time.Now()
	}
	longest := times.backoffMax
	if time.Since(t.broken) < times.young {
		longest = min(longest, times.backoffLow)
	}
	wait := jitter(t.attempt, times.backoffMin, longest)
	t.attempt++
	var bye *byeError
	var se *StatusError
	switch {
	case errors.As(err, &bye):
		wait = max(wait, bye.wait)
	case errors.As(err, &se):
		wait = max(wait, se.RetryAfter)
	}
	switch {
	case t.connected:
	case !t.reached.Load() && !answered(err):
		// Nobody is there, which says nothing about the transport. Who comes back
		// is asked for the best one again.
		t.level, t.fails, t.refused = 0, 0, 0
	default:
		t.fails++
		definite := refusal(err)
		if definite {
			t.refused |= 1 << t.level
			if t.refused == 1<<len(t.carry)-1 {
				return 0, err
			}
		}
		if definite || errors.Is(err, errNoHello) || t.fails >= failuresMax {
			if t.stepDown(definite, err) && t.fails == 0 && (definite || errors.Is(err, errNoHello)) {
				return 0, nil // the next transport has not failed yet
			}
		}
	}
	t.c.log.Debug("tail disconnected", "session", t.session, "transport", t.transport(), "after", t.cur.after, "wait", wait, "err", err)
	t.tell(State{Kind: StateDisconnected, Err: err, Wait: wait})
	return wait, nil
}

// stepDown goes on to the next transport, or from a refused last one to the
// first that was not refused. It reports whether the level was lowered.
func (t *tail) stepDown(definite bool, err error) bool {
	next := t.level + 1
	if next == len(t.carry) {
		next = 0
	}
	if next == t.level {
		return false // the only one
	}
	for t.refused&(1<<next) != 0 && next < len(t.carry)-1 {
		next++
	}
	lower := next > t.level
	t.level, t.fails, t.down = next, 0, time.Now()
	t.tell(State{Kind: StateDowngrade, Err: err})
	return lower
}

func (t *tail) tell(s State) {
	if t.o.OnState == nil {
		return
	}
	s.Transport, s.Session, s.Epoch, s.After = t.transport(), t.session, t.cur.epoch, t.cur.after
	t.o.OnState(s)
}

// query makes the parameters of the next connection.
func (t *tail) query() url.Values {
	q := url.Values{}
	if t.o.Tail > 0 && !t.begun {
		q.Set("tail", strconv.Itoa(t.o.Tail))
	} else {
		q.Set("after", strconv.FormatInt(t.cur.after, 10))
		if t.cur.epoch != "" {
			q.Set("epoch", t.cur.epoch)
		}
	}
	setFilters(q, t.o.Types, t.o.Turn, t.o.Until, t.o.Raw, t.o.Fold)
	// Chosen by itself, a poll gives up the pace rather than the events.
	if t.o.Speed > 0 && (t.transport() != "poll" || len(t.carry) == 1) {
		q.Set("speed", strconv.FormatFloat(t.o.Speed, 'g', -1, 64))
	}
	return q
}
