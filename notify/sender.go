package notify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Options configure a Sender.
type Options struct {
	Log      stream.Log     // the feed, and the events that it speaks of
	Webhooks store.Webhooks // in the same store
	Hub      *stream.Hub    // the one whose Committed the log was given

	AllowPrivate bool              // receivers on this machine and its network
	Version      string            // shown to receivers; "" means "dev"
	Logger       *slog.Logger      // nil discards
	Resolver     *net.Resolver     // nil is the system's
	Transport    http.RoundTripper // nil makes one with the guard; another one has to guard itself
}

// Sender sends the webhooks of one store. Its methods may be called by any
// number of goroutines.
type Sender struct {
	options Options
	client  *http.Client
	own     *http.Transport // made by Start, or nil
	tests   chan struct{}   // capacity = how many tests may be under way

	watch   *stream.Watch
	news    chan struct{} // capacity 1, of watch
	changed chan struct{} // capacity 1: the webhooks are to be listed again
	reports chan report

	stop       context.CancelFunc
	stopped    <-chan struct{} // closed by stop
	ended      chan struct{}   // closed when the loop has ended
	deliveries sync.WaitGroup

	delivered, failed, dropped atomic.Int64
}

// Start starts a sender. What was due when an earlier one was closed is sent
// now. Close must be called.
func Start(o Options) *Sender {
	o.Version = cmp.Or(o.Version, "dev")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{
		options: o, tests: make(chan struct{}, testsMax), news: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		reports: make(chan report), ended: make(chan struct{}),
	}
	if o.Transport == nil {
		s.own = newTransport(o)
		o.Transport = s.own
	}
	s.client = &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.stopped = stop, ctx.Done()
	s.watch = o.Hub.Watch(store.FeedSession, s.news) // before the first read, so that nothing falls between
	go s.run(ctx)
	return s
}

// Changed tells the sender that a webhook was made, changed or deleted. It
// never blocks.
func (s *Sender) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Counts returns how many attempts were answered with 2xx, how many failed, and
// how many events were given up, since the start.
func (s *Sender) Counts() (delivered, failed, dropped int64) {
	return s.delivered.Load(), s.failed.Load(), s.dropped.Load()
}

// Close ends the deliveries under way and waits for them. What they did not
// finish is sent by the next sender of the store.
func (s *Sender) Close() {
	s.stop()
	<-s.ended
	s.deliveries.Wait()
	s.watch.Close()
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}

// report is what a delivery tells the loop when it ends.
type report struct {
	hook    store.Webhook // as it is kept now
	after   int64         // nothing up to here is left to be sent
	level   bool          // nor anything up to the feed's head
	deleted bool
	err     error // the store could not be read, or the sender stops
}

// step looks for the next event that the webhook wants, sends it and settles
// it. With keep the cursor is kept also when nothing was found.
func (s *Sender) step(ctx context.Context, w store.Webhook, after int64, keep bool) report {
	r := report{hook: w, after: after}
	if w.Paused { // it came here for its cursor
		r.level = true
		s.keep(ctx, &r, keep)
		return r
	}
	limit := store.Limit{Events: feedPageEvents, Bytes: feedPageBytes}
	for range scanPagesMax {
		page, err := s.options.Log.Read(ctx, store.FeedSession, store.Query{After: r.after, Limit: limit})
		if errors.Is(err, store.ErrNotFound) { // nothing was ever written
			r.level = true
			return r
		}
		if err != nil {
			r.err = err
			return r
		}
		if floor := page.Session.Floor; floor > r.after+1 {
			s.options.Logger.Warn("retention took events of the feed before a webhook came to them", "webhook", w.ID, "from", r.after+1, "to", floor-1)
			r.after = floor - 1
		}
		for i := range page.Events {
			if e := &page.Events[i]; wants(&w, e) {
				s.deliver(ctx, &r, e, page.Session.Epoch)
				r.level = r.after >= page.Session.Head
				return r
			}
		}
		if n := len(page.Events); n > 0 {
			r.after = page.Events[n-1].ID
		}
		if r.level = r.after >= page.Session.Head; r.level {
			break
		}
	}
	s.keep(ctx, &r, keep)
	return r
}

// keep keeps a cursor that has moved without a delivery, if it is asked to.
func (s *Sender) keep(ctx context.Context, r *report, asked bool) {
	if asked && r.after > r.hook.Cursor {
		s.settle(ctx, r, r.after, store.WebhookOutcome{})
	}
}

// wants reports whether the webhook is to be told of the event of the feed.
func wants(w *store.Webhook, e *store.Event) bool {
	p, ok := placeOf(e)
	return ok && w.Wants(e.Type, p.Session)
}
