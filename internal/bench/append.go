package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	sessionsManual = 128 // producers with one append in flight
	producersBulk  = 16
	batchEvents    = 100
	fsyncBytes     = 4 << 10
	fsyncCountMax  = 2000
)

const (
	typeJSON  = "application/json"
	typeLines = "application/x-ndjson"
)

func runFsync(t *trial) error {
	h, err := t.measureFsync(t.duration / 2)
	if err != nil {
		return err
	}
	r := Result{Did: "4 KiB appended and fdatasync, one at a time", Value: milliseconds(h.quantile(0.5)), Unit: "ms"}
	r.latency(h)
	if t.fsync < 20*time.Microsecond {
		r.Note = "this is memory, not a disk: choose another --dir"
	}
	return t.report(r)
}

// measureFsync appends and syncs for some time, and keeps the median.
func (t *trial) measureFsync(d time.Duration) (h *histogram, err error) {
	f, err := os.CreateTemp(t.dirOf(), "fsync-")
	if err != nil {
		return nil, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	h = &histogram{}
	block := make([]byte, fsyncBytes)
	for end, i := now()+int64(d), 0; now() < end && i < fsyncCountMax; i++ {
		begin := now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
		if err := fdatasync(f); err != nil {
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
		h.record(now() - begin)
	}
	t.fsync = h.quantile(0.5)
	return h, nil
}

func (t *trial) dirOf() string { return t.bench.dir }

// post makes producers over HTTP, each with a session of its own.
func (t *trial) post(n, events int, contentType string) ([]*producer, error) {
	return makeProducers(n, func(i int) (*producer, error) {
		session := t.session(i)
		body := drafts(session, events, "\n")
		switch {
		case contentType == typeLines:
			body = append(body, '\n')
		case events > 1:
			body = fmt.Appendf(nil, "[%s]", drafts(session, events, ","))
		}
		return httpProducer(t.ctx, t.addr, session, contentType, body, events)
	})
}

// frames makes producers over WebSocket, each with a session of its own.
func (t *trial) frames(n int) ([]*producer, error) {
	return makeProducers(n, func(i int) (*producer, error) { return wsProducer(t.ctx, t.addr, t.session(i), 1) })
}

func makeProducers(n int, one func(i int) (*producer, error)) ([]*producer, error) {
	all := make([]*producer, n)
	for i := range all {
		p, err := one(i)
		if err != nil {
			closeAll(all[:i])
			return nil, err
		}
		all[i] = p
	}
	return all, nil
}

// flood lets the producers send as fast as they are answered and reports the
// rate.
func (t *trial) flood(producers []*producer, r Result) error {
	defer closeAll(producers)
	defer context.AfterFunc(t.ctx, func() { closeAll(producers) })()
	w := t.window()
	u := t.usage()
	sum, err := floodAll(producers, w)
	if err != nil {
		return err
	}
	u.into(&r)
	if !producers[0].sink {
		if err := checkHeads(t.ctx, t.addr, producers); err != nil {
			return err
		}
	}
	if r.Value == 0 {
		r.Value = float64(sum.events.Load()) / t.duration.Seconds()
	}
	r.latency(&sum.delays)
	return t.report(r)
}

func runNull(t *trial) error {
	if t.bench.addr != "" {
		return errors.New("the reference server is a child; leave out --server")
	}
	if err := t.start([]string{"bench", nullName}); err != nil {
		return err
	}
	n := t.size(16, sessionsManual)
	producers, err := t.post(n, 1, typeJSON)
	if err != nil {
		return err
	}
	for _, p := range producers {
		p.sink = true
	}
	return t.flood(producers, Result{Did: fmt.Sprintf("%d connections, one request in flight each", n), Unit: "requests/s"})
}

func runAppendHTTP(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	n := t.size(16, sessionsManual)
	producers, err := t.post(n, 1, typeJSON)
	if err != nil {
		return err
	}
	return t.flood(producers, Result{Did: fmt.Sprintf("%d sessions, one append in flight each", n), Unit: "events/s", Target: atLeast(25_000)})
}

func runAppendWS(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	n := t.size(16, sessionsManual)
	producers, err := t.frames(n)
	if err != nil {
		return err
	}
	return t.flood(producers, Result{Did: fmt.Sprintf("%d sessions, one append in flight each", n), Unit: "events/s", Target: atLeast(40_000)})
}

func runAppendArray(t *trial) error { return t.bulk(typeJSON, "arrays of") }
func runAppendLines(t *trial) error { return t.bulk(typeLines, "lines of NDJSON,") }

func (t *trial) bulk(contentType, words string) error {
	if err := t.serve(); err != nil {
		return err
	}
	n := t.size(4, producersBulk)
	producers, err := t.post(n, batchEvents, contentType)
	if err != nil {
		return err
	}
	did := fmt.Sprintf("%s %d from %d producers", words, batchEvents, n)
	if contentType == typeLines {
		did = fmt.Sprintf("%d %s from %d producers", batchEvents, words, n)
	}
	return t.flood(producers, Result{Did: did, Unit: "events/s", Target: atLeast(80_000)})
}

// aloneAboveMax is how far above the disk's own sync a lone append may be.
const aloneAboveMax = 0.2

func runAlone(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	kinds := []struct {
		name string
		one  func() ([]*producer, error)
	}{
		{"HTTP", func() ([]*producer, error) { return t.post(1, 1, typeJSON) }},
		{"WebSocket", func() ([]*producer, error) {
			p, err := wsProducer(t.ctx, t.addr, t.session(1), 1)
			return []*producer{p}, err
		}},
	}
	for _, k := range kinds {
		// Each time anew: a disk that others use changes its pace.
		if _, err := t.measureFsync(t.duration / 5); err != nil {
			return err
		}
		producers, err := k.one()
		if err != nil {
			return err
		}
		if err := t.alone(producers, k.name); err != nil {
			return err
		}
	}
	return nil
}

// alone reports how far the median append is above the disk's own sync.
func (t *trial) alone(producers []*producer, name string) error {
	defer closeAll(producers)
	defer context.AfterFunc(t.ctx, func() { closeAll(producers) })()
	u := t.usage()
	sum, err := floodAll(producers, t.window())
	if err != nil {
		return err
	}
	r := Result{Did: "one in flight over " + name + ": p50 above the disk's own sync", Unit: "ms", Target: atMost(aloneAboveMax)}
	u.into(&r)
	if err := checkHeads(t.ctx, t.addr, producers); err != nil {
		return err
	}
	r.latency(&sum.delays)
	r.Value = r.P50 - milliseconds(t.fsync)
	r.Note = fmt.Sprintf("disk %s ms", number(milliseconds(t.fsync)))
	return t.report(r)
}
