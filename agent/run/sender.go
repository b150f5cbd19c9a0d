package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// Bounds of one append: many events share one fsync, and a batch whose Raw
// doubles as JSON stays well below the 16 MiB that a request may have.
const (
	sendEventsMax = 1000
	sendBytesMax  = 4 << 20
)

// Bounds of the pause before something that failed for now is tried again.
const (
	sendWaitMin = 100 * time.Millisecond
	sendWaitMax = 5 * time.Second
)

// SenderConfig says what is sent where.
type SenderConfig struct {
	Log      Log
	Session  string
	Producer string // its id
	Epoch    int64  // of the producer; a Sender must not have that of another one
	Spool    *Spool
	// EventBytes is the log's limit of an event; 0 is store.EventBytesDefault.
	EventBytes int
	Logger     *slog.Logger // or nil
	// Moved is told that a turn goes on in the log under another id, because
	// the server had given it up; or nil. It is called on a goroutine of its
	// own, one call at a time, so it may wait for anything.
	Moved func(from, to string)
}

// Sender appends what is in a spool to a session: in order, each event once,
// with one Producer. It tries for ever what may succeed later, and finds a form
// for what the log refuses for good, so that no line is lost or holds up those
// behind it.
//
// A draft keeps its key in whatever form it is appended. So it is in the log
// once, whatever was decided before a crash and is decided again after it: a
// conflict of keys says that it is there in another form, and the forms are few
// enough to find out in which.
type Sender struct {
	c       SenderConfig
	log     *slog.Logger
	running chan struct{} // capacity 1: held by Run; guards what follows
	line    delivery
	in      spoolReader
	pending []*item // read, and not in the log
	suspect int     // the log refuses one of the first so many of them; 0 is none
	turns   turns
	broken  bool // the spool's own notes could not be written

	asked chan struct{} // capacity 1: asks came since it was last received
	dead  chan struct{} // closed when err is set

	mu    sync.Mutex // guards what follows
	asks  []*asking
	err   error // why it ended for good, or nil
	moves []move
	tells bool // a goroutine tells of the moves
}

// asking is an Ask on its way.
type asking struct {
	drafts []store.Draft
	made   bool        // all keys were made here
	at     int64       // drafts of the spool below this index go first
	answer chan answer // capacity 1
}

type answer struct {
	appended store.Appended
	err      error
}

// move is what Moved is told.
type move struct{ from, to string }

// NewSender returns a Sender of the spool. It does nothing before Run.
func NewSender(c SenderConfig) *Sender {
	if c.EventBytes <= 0 {
		c.EventBytes = store.EventBytesDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{
		c: c, log: c.Logger.With("session", c.Session), running: make(chan struct{}, 1), in: spoolReader{s: c.Spool},
		asked: make(chan struct{}, 1), dead: make(chan struct{}),
	}
	s.line.c, s.line.log, s.line.epoch, s.line.refresh = &s.c, s.log, c.Epoch, s.refresh
	s.turns.read(c.Spool.keptTurns())
	c.Spool.mu.Lock()
	c.Spool.full = s.full
	c.Spool.mu.Unlock()
	return s
}

// full says that the agent is held up, and that it no longer is.
func (s *Sender) full(held bool) {
	n, bytes := s.c.Spool.Len()
	if held {
		s.log.Warn("the spool is at its limit: the agent is held up until the log takes some of it", "events", n, "bytes", bytes)
		return
	}
	s.log.Info("the spool has room again", "events", n, "bytes", bytes)
}

// Run appends until ctx ends, and then returns nil; it may be called again. It
// returns ErrFenced when a newer runner has taken over, and an error when the
// session is closed or gone, or the spool cannot be read. What was not sent
// stays in the spool.
func (s *Sender) Run(ctx context.Context) error {
	select {
	case s.running <- struct{}{}:
	default:
		return fmt.Errorf("send to %s: the sender is running already", s.c.Session)
	}
	defer func() { <-s.running }()
	defer s.in.close()
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	for err == nil {
		err = s.step(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return s.fail(fmt.Errorf("send to %s: %w", s.c.Session, err))
}

// fail ends the Sender for good; the first error counts.
func (s *Sender) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.dead)
	}
	return s.err
}

// step sends what is next, and waits for it.
func (s *Sender) step(ctx context.Context) error {
	if a := s.due(); a != nil {
		appended, err := s.line.deliver(ctx, a.drafts)
		if err != nil && !refuses(err) {
			a.answer <- answer{err: s.endless(ctx, err)}
			return err
		}
		if err == nil {
			s.saw(a.drafts)
			appended.Duplicate = appended.Duplicate && !a.made // keys that nobody else can know: it was our own attempt
		}
		a.answer <- answer{appended, err}
		return nil
	}
	items, err := s.batch(ctx)
	if err != nil {
		return err
	}
	if len(items) > 0 {
		return s.send(ctx, items)
	}
	select {
	case <-s.c.Spool.arrived:
	case <-s.asked:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// endless makes of the end of Run's context what an asker can tell from its own.
func (s *Sender) endless(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("send to %s: %w; the events may still be appended", s.c.Session, errStopped)
}

// errStopped ends what waits for a Sender that was stopped.
var errStopped = errors.New("the sender was stopped")

// due takes the next ask, if all that was spooled before it is in the log.
func (s *Sender) due() *asking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asks) == 0 {
		return nil
	}
	if done, _, _ := s.c.Spool.drained(s.asks[0].at); !done {
		return nil
	}
	a := s.asks[0]
	s.asks = s.asks[1:]
	return a
}

// barrier is the index before which the spool's drafts go before the next ask.
func (s *Sender) barrier() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asks) == 0 {
		return math.MaxInt64
	}
	return s.asks[0].at
}

// Ask appends the drafts as one request after all that was spooled before, and
// before what is spooled later. It returns the log's own refusal: they are not
// given another form. What may succeed later is tried until then. When ctx ends
// first and the append has begun, it goes on, and the drafts may get into the
// log; asked again under the same keys they are there once.
func (s *Sender) Ask(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	a := &asking{drafts: append([]store.Draft(nil), drafts...), made: true, answer: make(chan answer, 1)}
	for i := range a.drafts {
		if a.drafts[i].Key != "" {
			a.made = false
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return store.Appended{}, fmt.Errorf("make key: %w", err)
		}
		a.drafts[i].Key = id.String()
	}
	s.mu.Lock()
	a.at = s.c.Spool.end()
	s.asks = append(s.asks, a)
	s.mu.Unlock()
	select {
	case s.asked <- struct{}{}:
	default:
	}
	select {
	case r := <-a.answer:
		return r.appended, r.err
	case <-ctx.Done():
		s.forget(a)
		return store.Appended{}, fmt.Errorf("append to %s: %w", s.c.Session, ctx.Err())
	case <-s.dead:
		select {
		case r := <-a.answer:
			return r.appended, r.err
		default:
		}
		return store.Appended{}, s.ended()
	}
}

// forget takes back an ask that has not begun.
func (s *Sender) forget(a *asking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.asks {
		if s.asks[i] == a {
			s.asks = append(s.asks[:i:i], s.asks[i+1:]...)
			return
		}
	}
}

// ended is why the Sender has ended for good, or nil.
func (s *Sender) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Drain returns when the log has everything that is in the spool now.
func (s *Sender) Drain(ctx context.Context) error {
	end := s.c.Spool.end()
	for {
		done, changed, err := s.c.Spool.drained(end)
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.dead:
			return s.ended()
		case <-ctx.Done():
			return fmt.Errorf("drain to %s: %w", s.c.Session, ctx.Err())
		}
	}
}

// Lag is how many drafts the log does not have, and for how long the first of
// them has waited.
func (s *Sender) Lag() (drafts int, oldest time.Duration) {
	drafts, _ = s.c.Spool.Len()
	if at := s.c.Spool.oldest(); !at.IsZero() {
		oldest = max(time.Since(at), 0)
	}
	return drafts, oldest
}

// Beyond reports whether the log takes nothing because a quota is used up:
// waiting does not help then.
func (s *Sender) Beyond() bool { return s.line.beyond.Load() }

// moved tells of a turn that goes on under another id. The Sender must not wait
// for whoever is told: they may wait for room in the spool.
func (s *Sender) moved(from, to string) {
	if s.c.Moved == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves = append(s.moves, move{from, to})
	if !s.tells {
		s.tells = true
		go s.tell()
	}
}

// tell tells of the moves until there are no more.
func (s *Sender) tell() {
	for {
		s.mu.Lock()
		if len(s.moves) == 0 {
			s.tells = false
			s.mu.Unlock()
			return
		}
		m := s.moves[0]
		s.moves = s.moves[1:]
		s.mu.Unlock()
		s.c.Moved(m.from, m.to)
	}
}
