package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// hook is what the loop knows of a webhook.
type hook struct {
	store.Webhook
	after   int64     // nothing up to here is left to be sent
	pending bool      // something above after may be
	busy    bool      // a delivery is under way
	waiting bool      // it stands in the queue for one
	keepAt  time.Time // when a cursor that fell behind after is kept; zero when it did not
	retryAt time.Time // after the store could not be read; or zero
	stale   bool      // a client has changed something while it was busy
}

// due returns when there is something to do for the webhook; ok is false when
// only news, a report or a client can bring it.
func (h *hook) due() (at time.Time, ok bool) {
	switch {
	case h.busy || h.waiting:
		return at, false
	case h.pending && !h.Paused:
		if h.NextAt.After(h.retryAt) {
			return h.NextAt, true
		}
		return h.retryAt, true
	}
	return h.keepAt, !h.keepAt.IsZero() && !h.pending
}

// loop is the state of the one goroutine that decides.
type loop struct {
	s     *Sender
	hooks []*hook   // in the order of their creation
	queue []*hook   // due, the longest first
	busy  int       // deliveries under way
	at    int64     // the feed was held against the webhooks up to here
	stale bool      // the list of webhooks has to be read
	retry time.Time // the store could not be read, and is not before then; or zero
}

// run is the loop. Everything that it waits for wakes it, and then it does all
// that there is to do.
func (s *Sender) run(ctx context.Context) {
	defer close(s.ended)
	l := &loop{s: s, stale: true}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.drain(l.busy)
			return
		case <-s.news:
		case <-s.changed:
			l.stale, l.retry = true, time.Time{}
		case r := <-s.reports:
			l.report(r)
		case <-timer.C:
		}
		now := time.Now()
		if err := l.look(ctx, now); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("webhooks wait: the store could not be read", "err", err)
			l.retry = now.Add(storeRetry)
		}
		l.enqueue(now)
		l.start(ctx)
		timer.Stop()
		if next, ok := l.next(); ok {
			timer.Reset(time.Until(next))
		}
	}
}

// drain takes the reports of the deliveries that end with the sender.
func (s *Sender) drain(busy int) {
	for range busy {
		<-s.reports
	}
}

// look reads what is new: the list of webhooks, and the feed.
func (l *loop) look(ctx context.Context, now time.Time) error {
	if l.retry.After(now) {
		return nil
	}
	l.retry = time.Time{}
	if l.stale {
		if err := l.list(ctx); err != nil {
			return err
		}
		l.stale = false
	}
	return l.follow(ctx, now)
}

// list brings the webhooks in line with the store. One that is busy keeps what
// it has until its delivery ends: its row may hold that delivery's outcome
// already.
func (l *loop) list(ctx context.Context) error {
	all, err := l.s.options.Webhooks.ListWebhooks(ctx)
	if err != nil {
		return err
	}
	if len(l.hooks) == 0 && len(all) > 0 { // nobody followed the feed so far
		if err := l.seek(ctx); err != nil {
			return err
		}
	}
	hooks := make([]*hook, 0, len(all))
	for _, w := range all {
		h := l.find(w.ID)
		switch {
		case h == nil:
			h = &hook{Webhook: w, after: w.Cursor, pending: true}
		case h.busy:
			h.stale = true
		default:
			h.replace(w)
		}
		hooks = append(hooks, h)
	}
	l.hooks = hooks
	l.queue = slices.DeleteFunc(l.queue, func(h *hook) bool { return l.find(h.ID) == nil })
	return nil
}

// replace takes over what a client has changed. Another choice of events is
// for what comes: what was passed over stays so, which the kept cursor must
// soon say too.
func (h *hook) replace(w store.Webhook) {
	chosen := slices.Equal(h.Types, w.Types) && slices.Equal(h.Sessions, w.Sessions)
	h.Webhook, h.after = w, max(h.after, w.Cursor)
	if !chosen && h.after > w.Cursor {
		h.keepAt = time.Now()
	}
}

func (l *loop) find(id string) *hook {
	i := slices.IndexFunc(l.hooks, func(h *hook) bool { return h.ID == id })
	if i < 0 {
		return nil
	}
	return l.hooks[i]
}

// seek moves to the feed's head. Webhooks that are new to the loop look for
// themselves at what is below.
func (l *loop) seek(ctx context.Context) error {
	feed, err := l.s.options.Log.Session(ctx, store.FeedSession)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	l.at = feed.Head
	return nil
}

// follow reads the feed from where it stands and marks the webhooks that want
// something of it.
func (l *loop) follow(ctx context.Context, now time.Time) error {
	l.s.watch.Clear() // before the read: what comes after it wakes us again
	for len(l.hooks) > 0 {
		page, err := l.s.options.Log.Read(ctx, store.FeedSession, store.Query{After: l.at})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(page.Events) == 0 {
			return nil
		}
		for i := range page.Events {
			l.offer(&page.Events[i])
		}
		l.at = page.Events[len(page.Events)-1].ID
		l.pass(now)
		if l.at >= page.Session.Head {
			return nil
		}
	}
	return nil
}

func (l *loop) offer(e *store.Event) {
	p, ok := placeOf(e)
	for _, h := range l.hooks {
		h.pending = h.pending || ok && e.ID > h.after && h.Wants(e.Type, p.Session)
	}
}

// pass moves the webhooks that want nothing of what was read. Their cursors
// are kept now and then: a write for each event of the feed would cost more
// than reading it again after a restart.
func (l *loop) pass(now time.Time) {
	for _, h := range l.hooks {
		if h.pending || h.busy || h.after >= l.at {
			continue
		}
		h.after = l.at
		if h.keepAt.IsZero() {
			h.keepAt = now.Add(cursorEvery)
		}
	}
}

// report takes over what a delivery has come to.
func (l *loop) report(r report) {
	l.busy--
	h := l.find(r.hook.ID)
	if h == nil {
		return // deleted meanwhile
	}
	h.busy = false
	h.Webhook, h.after = r.hook, max(h.after, r.after)
	h.pending = h.pending || !r.level
	h.retryAt = time.Time{}
	if h.after <= h.Cursor {
		h.keepAt = time.Time{}
	} else if h.keepAt.IsZero() {
		h.keepAt = time.Now().Add(cursorEvery)
	}
	if r.err != nil {
		h.pending, h.retryAt = true, time.Now().Add(storeRetry)
	}
	l.stale = l.stale || r.deleted || h.stale
	h.stale = false
}

// enqueue puts the webhooks that are due behind those that wait.
func (l *loop) enqueue(now time.Time) {
	for _, h := range l.hooks {
		if at, ok := h.due(); ok && !at.After(now) {
			h.waiting = true
			l.queue = append(l.queue, h)
		}
	}
}

// start begins deliveries as long as there is room. One that a client paused
// while it waited has nothing to do any more.
func (l *loop) start(ctx context.Context) {
	for l.busy < deliveriesMax && len(l.queue) > 0 {
		h := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		h.waiting = false
		if h.Paused && h.pending {
			continue
		}
		keep := !h.keepAt.IsZero()
		h.busy, h.pending, h.keepAt = true, false, time.Time{}
		l.busy++
		w, after := h.Webhook, h.after
		l.s.deliveries.Go(func() { l.s.reports <- l.s.step(ctx, w, after, keep) })
	}
}

// next returns when there is something to do though nobody wakes the loop.
func (l *loop) next() (at time.Time, ok bool) {
	if !l.retry.IsZero() {
		at, ok = l.retry, true
	}
	for _, h := range l.hooks {
		if due, waits := h.due(); waits && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}
