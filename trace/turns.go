package trace

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// turnReader follows the feed and exports each turn that ends.
type turnReader struct {
	c      *Config
	sink   sink
	counts *counters
	logger *slog.Logger
	at     cursor
	stop   context.CancelFunc
	ended  chan struct{}
}

// startTurns begins where an earlier process ended, or at the feed's head: what
// was before it was switched on stays where it is.
func startTurns(ctx context.Context, c *Config, s sink, n *counters) (*turnReader, error) {
	at, known, err := loadCursor(c.Dir)
	if err != nil {
		return nil, err
	}
	feed, err := c.Log.Session(ctx, store.FeedSession)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	switch {
	case !known:
		at = cursor{feed.Epoch, feed.Head}
	case at.Epoch != feed.Epoch: // a backup was put back: its end may be before ours
		at = cursor{feed.Epoch, min(at.After, feed.Head)}
	}
	if err := at.save(c.Dir); err != nil { // what ends from now on is exported, after a crash too
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &turnReader{c: c, sink: s, counts: n, logger: c.Logger, at: at, stop: stop, ended: make(chan struct{})}
	go r.run(run)
	return r, nil
}

func (r *turnReader) close() {
	r.stop()
	<-r.ended
}

func (r *turnReader) run(ctx context.Context) {
	defer close(r.ended)
	tail := stream.NewTail(r.c.Log, r.c.Hub, store.FeedSession, r.at.After)
	defer func() { tail.Close() }()
	for wait := retryMin; ctx.Err() == nil; {
		b, err := tail.Next(ctx, time.Hour)
		if err == nil {
			err = r.take(ctx, &b)
		}
		if err == nil || ctx.Err() != nil {
			wait = retryMin // not before: to have read the feed is not to have exported
			continue
		}
		r.logger.Warn("turns are not exported for now", "err", err)
		pause(ctx, wait)
		wait = min(2*wait, retryMax)
		tail.Close() // it may have read what was not exported
		tail = stream.NewTail(r.c.Log, r.c.Hub, store.FeedSession, r.at.After)
	}
}

// take exports the turns of a batch of the feed, and keeps the place.
func (r *turnReader) take(ctx context.Context, b *stream.Batch) error {
	if b.Gap != nil {
		r.logger.Warn("retention took events of the feed before their turns were exported", "from", b.Gap.From, "to", b.Gap.To)
	}
	r.at.Epoch = b.Session.Epoch
	for i := range b.Events {
		e := &b.Events[i]
		r.counts.behind.Store(b.Session.Head - e.ID + 1)
		if e.Type == store.TypeTurnEnd && e.Turn != "" {
			if err := r.turn(ctx, e); err != nil {
				return err
			}
			r.at.After = e.ID
			if err := r.at.save(r.c.Dir); err != nil {
				return err
			}
		}
	}
	r.counts.behind.Store(b.Session.Head - b.Next)
	if r.at.After == b.Next {
		return nil
	}
	r.at.After = b.Next
	if len(b.Events) == 0 { // only the place is new; the next turn keeps it
		return nil
	}
	return r.at.save(r.c.Dir)
}

// turn exports one turn, and tries until the collector takes it. What is not
// there any more has nothing to tell.
func (r *turnReader) turn(ctx context.Context, e *store.Event) error {
	l, err := r.read(ctx, e.Text("session"), e.Turn)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrTurnNotFound), errors.Is(err, store.ErrCorrupt):
		return nil
	case err != nil:
		return err
	case l.parent.trace != traceID{} && !l.parent.sampled:
		return nil // whoever asked for it decided so
	}
	spans, told := spansOf(l), false
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		err := r.export(ctx, spans)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.counts.failed.Add(1)
		if !told {
			r.logger.Warn("the collector did not take a turn; it is tried again", "session", l.turn.Session, "turn", l.turn.ID, "err", err)
		}
		told = true
		pause(ctx, wait)
	}
	if told {
		r.logger.Info("the collector takes turns again")
	}
	r.counts.turns.Add(1)
	r.counts.exported.Add(int64(len(spans)))
	return nil
}

func (r *turnReader) export(ctx context.Context, spans []span) error {
	for len(spans) > 0 {
		n := min(len(spans), batchSpans)
		one, cancel := context.WithTimeout(ctx, exportTimeout)
		err := r.sink.export(one, spans[:n])
		cancel()
		if err != nil {
			return err
		}
		spans = spans[n:]
	}
	return nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// read gathers what is told of a turn.
func (r *turnReader) read(ctx context.Context, session, turn string) (*turnLog, error) {
	s, err := r.c.Log.Session(ctx, session)
	if err != nil {
		return nil, err
	}
	t, err := r.c.Turns.Turn(ctx, session, turn)
	if err != nil {
		return nil, err
	}
	l := &turnLog{turn: t, session: s}
	if r.c.Content {
		l.content = content{}
	}
	size := 0
	scanned := int64(0)
	for after := max(t.First-1, s.Floor-1, 0); after < t.EndID && scanned < scanEvents; {
		page, err := r.c.Log.Read(ctx, session, store.Query{After: after, Until: t.EndID})
		if err != nil {
			return nil, err
		}
		if len(page.Events) == 0 {
			break
		}
		for i := range page.Events {
			size = l.add(&page.Events[i], size)
		}
		scanned += int64(len(page.Events))
		after = page.Events[len(page.Events)-1].ID
	}
	if l.model != "" {
		return l, nil
	}
	return l, r.modelBefore(ctx, l)
}

// modelBefore looks for what the agent said when it began, in the page before
// the turn.
func (r *turnReader) modelBefore(ctx context.Context, l *turnLog) error {
	page, err := r.c.Log.Read(ctx, l.turn.Session, store.Query{Backward: true, Before: l.turn.First})
	if err != nil {
		return err
	}
	for i := len(page.Events) - 1; i >= 0 && l.model == ""; i-- {
		if e := &page.Events[i]; e.Type == store.TypeSessionInit {
			l.model = e.Text("model")
		}
	}
	return nil
}

// add takes what an event tells of the turn. size is what the content holds so
// far, in bytes; it returns what it holds then.
func (l *turnLog) add(e *store.Event, size int) int {
	if e.Type == store.TypeSessionInit && (e.Turn == "" || e.Turn == l.turn.ID) {
		if model := e.Text("model"); model != "" {
			l.model = model
		}
	}
	if e.Turn != l.turn.ID {
		return size
	}
	switch e.Type {
	case store.TypePrompt, store.TypeTurnStart:
		if p, ok := parseParent(e.Text("traceparent")); ok && l.parent.trace == (traceID{}) {
			l.parent = p
		}
	case store.TypeUsage:
		l.chat(e)
	case store.TypeToolStart:
		return l.keep(e, "input", size)
	case store.TypeToolResult:
		return l.keep(e, "output", size)
	}
	return size
}

// chat takes a usage that says which request it is of.
func (l *turnLog) chat(e *store.Event) {
	model := e.Text("model")
	var ms float64
	if json.Unmarshal(e.Field("durationMs"), &ms) != nil || model == "" || ms < 0 || ms > float64(24*time.Hour/time.Millisecond) || len(l.chats) >= toolSpansMax {
		return
	}
	l.chats = append(l.chats, chat{id: e.ID, model: model, start: e.Time.Add(-time.Duration(ms * float64(time.Millisecond))), end: e.Time, usage: e.Data})
}

// keep holds a tool's argument or result, when content is wanted.
func (l *turnLog) keep(e *store.Event, member string, size int) int {
	value := e.Field(member)
	if l.content == nil || len(value) == 0 || size >= turnBytes {
		return size
	}
	text := string(value)
	if value[0] == '"' {
		text = e.Text(member)
	}
	text = cut(text)
	l.content[e.ID] = text
	return size + len(text)
}
