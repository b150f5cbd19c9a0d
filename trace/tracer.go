package trace

import (
	"context"
	"log/slog"
)

// Tracer is what was started. Its methods may be called by any number of
// goroutines.
type Tracer struct {
	*appends
	counts counters
	queue  *queue
	turns  *turnReader // or nil
	sink   sink
}

// Start begins to export. ctx bounds the start only. The collector need not be
// there.
func Start(ctx context.Context, c Config) (*Tracer, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	s, err := newSink(ctx, &c)
	if err != nil {
		return nil, err
	}
	return start(ctx, c, s)
}

func start(ctx context.Context, c Config, s sink) (*Tracer, error) {
	t := &Tracer{sink: s}
	t.queue = startQueue(s, &t.counts, c.Logger)
	t.appends = newAppends(c.Sample, t.queue.put)
	if !c.GenAI {
		return t, nil
	}
	var err error
	if t.turns, err = startTurns(ctx, &c, s, &t.counts); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Counts says what became of the spans so far.
func (t *Tracer) Counts() Counts { return t.counts.counts() }

// Close ends all that was started. Spans that wait are exported if the
// collector takes them soon; a turn that it did not take is exported after the
// next start.
func (t *Tracer) Close() {
	if t.turns != nil {
		t.turns.close()
	}
	t.appends.close()
	t.queue.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = t.sink.close(ctx) // nothing is left to be sent
}
