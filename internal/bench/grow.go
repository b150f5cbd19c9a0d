package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

const (
	growSessions  = 10_000 // that share the log
	growRun       = 10     // events that a session gets in one go
	growRestart   = 1.0    // seconds
	growBig       = 100_000
	growReaders   = 10
	growTailRate  = 100
	growProducers = 128
	preloaders    = 64 // writers that fill the log; the engine commits them together
	bigSession    = "grow-big"
)

// runGrow takes the same measurements on a small log and on large ones.
func runGrow(t *trial) error {
	sizes := []int{10_000, 1_000_000}
	switch {
	case t.count > 0:
		sizes = []int{t.count}
	case t.quick:
		sizes = []int{2_000, 20_000}
	case t.full:
		sizes = append(sizes, 5_000_000)
	}
	base := t.data
	for i, n := range sizes {
		t.data = filepath.Join(base, strconv.Itoa(i))
		if err := t.grown(n); err != nil {
			return fmt.Errorf("%d events: %w", n, err)
		}
		t.stop()
		if err := os.RemoveAll(t.data); err != nil {
			return err
		}
	}
	t.data = base
	return nil
}

// layout is how a log of n events is shared by its sessions: one has big
// events, so that there is something to replay; the others share the rest.
type layout struct{ events, big, sessions int }

func layoutOf(n int) layout {
	return layout{events: n, big: min(n/2, growBig), sessions: max(min(growSessions, n/growRun/4), 1)}
}

func (t *trial) grown(n int) error {
	l := layoutOf(n)
	words := fmt.Sprintf("%s events in %d sessions", number(float64(n)), l.sessions)
	if err := t.preload(l); err != nil {
		return err
	}
	begin := now()
	if err := t.serve(); err != nil {
		return err
	}
	if err := t.ready(); err != nil {
		return err
	}
	took := time.Duration(now() - begin)
	if err := t.report(Result{Did: words + ": from start to ready", Unit: "s", Value: took.Seconds(), Target: atMost(growRestart)}); err != nil {
		return err
	}
	if err := t.growReplay(l, words); err != nil {
		return err
	}
	if err := t.growAppend(l, words); err != nil {
		return err
	}
	return t.growTail(words)
}

// ready asks until the server says that it is.
func (t *trial) ready() error {
	w, err := dial(t.ctx, t.addr, wireBytesSmall)
	if err != nil {
		return err
	}
	defer w.close()
	return until(t.ctx, func() bool {
		var status int
		status, _, err = w.exchange(getRequest(t.addr, "/readyz"))
		return err != nil || status == 200
	})
}

// preload writes the log with the engine itself, in the order in which busy
// sessions would have grown it: their events lie mixed.
func (t *trial) preload(l layout) (err error) {
	log, err := sqlite.Open(t.ctx, t.data, sqlite.Options{NoSync: true, CacheBytes: -1})
	if err != nil {
		return fmt.Errorf("preload: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	runs := make(chan run)
	var wait sync.WaitGroup
	for range preloaders {
		wait.Go(func() {
			for r := range runs {
				if err := put(ctx, log, r); err != nil {
					cancel(err)
				}
			}
		})
	}
	for r := range l.runs() {
		runs <- r
	}
	close(runs)
	wait.Wait()
	return context.Cause(ctx)
}

// run is a few events of one session.
type run struct {
	session string
	events  int
}

// runs are the pieces of the log in the order in which it grew.
func (l layout) runs() iter.Seq[run] {
	rounds := max((l.events-l.big)/(l.sessions*growRun), 1)
	bigRun := max(l.big/(rounds*l.sessions), 1)
	return func(yield func(run) bool) {
		left := l.big
		for range rounds {
			for s := range l.sessions {
				n := min(bigRun, left)
				left -= n
				if !yield(run{growSession(s), growRun}) || n > 0 && !yield(run{bigSession, n}) {
					return
				}
			}
		}
		for left > 0 {
			n := min(fillEvents, left)
			if left -= n; !yield(run{bigSession, n}) {
				return
			}
		}
	}
}

func growSession(i int) string { return fmt.Sprintf("grow-%05d", i) }

func put(ctx context.Context, log store.Appender, r run) error {
	data := eventData(r.session, now())
	all := make([]store.Draft, r.events)
	for i := range all {
		all[i] = store.Draft{Type: eventType, Data: data}
	}
	if _, err := log.Append(ctx, r.session, store.AppendOptions{}, all...); err != nil {
		return fmt.Errorf("preload: %w", err)
	}
	return nil
}

func (t *trial) growReplay(l layout, words string) error {
	var all time.Duration
	count := 0
	for end := now() + int64(t.duration); count == 0 || now() < end && count < replaysMax; count++ {
		r, err := t.replayStream(bigSession, carrierBatch, l.big)
		if err != nil {
			return err
		}
		all += r.all
	}
	return t.report(Result{Did: words + ": replay over ws batch=1", Unit: "events/s", Value: float64(l.big*count) / all.Seconds()})
}

// growAppend appends to sessions that are spread over the whole log.
func (t *trial) growAppend(l layout, words string) error {
	n := min(growProducers, l.sessions)
	producers, err := makeProducers(n, func(i int) (*producer, error) {
		return wsProducer(t.ctx, t.addr, growSession(i*l.sessions/n), 1)
	})
	if err != nil {
		return err
	}
	w, err := dial(t.ctx, t.addr, wireBytesSmall)
	if err != nil {
		closeAll(producers)
		return err
	}
	defer w.close()
	for _, p := range producers {
		if p.acked, err = headOf(w, t.addr, p.session); err != nil {
			closeAll(producers)
			return err
		}
	}
	return t.flood(producers, Result{Did: fmt.Sprintf("%s: %d appends in flight over ws", words, n), Unit: "events/s"})
}

// growTail follows the big session while it goes on.
func (t *trial) growTail(words string) error {
	w, err := dial(t.ctx, t.addr, wireBytesSmall)
	if err != nil {
		return err
	}
	defer w.close()
	head, err := headOf(w, t.addr, bigSession)
	if err != nil {
		return err
	}
	p, err := wsProducer(t.ctx, t.addr, bigSession, 1)
	if err != nil {
		return err
	}
	defer p.wire.close()
	p.acked = head
	delays := &histogram{}
	c, err := gather(t.ctx, t.addr, followers(bigSession, carrierWS, growReaders, head, delays))
	if err != nil {
		return err
	}
	begin, u := now(), t.usage()
	err = p.steady(t.ctx, growTailRate, t.duration)
	r := Result{Did: fmt.Sprintf("%s: %d readers, %d events/s", words, growReaders, growTailRate), Unit: "deliveries/s"}
	if err == nil {
		err = t.settle(c, p.acked, begin, head, u, &r)
	}
	if left := c.leave(); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	r.latency(delays)
	return t.report(r)
}
