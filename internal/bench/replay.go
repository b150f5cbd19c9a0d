package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	replayEvents  = 100_000
	pageEvents    = 10_000 // of a REST page
	fillEvents    = 1000   // of one request that stores events before a measurement
	replaysMax    = 50
	firstEventMax = 5 * time.Millisecond
)

func runReplay(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	session, n := t.session(0), t.size(10_000, replayEvents)
	if err := t.fill(session, n); err != nil {
		return err
	}
	words := "memory warm"
	if t.server != nil { // what was just appended is in memory until then
		t.stop()
		if err := t.serve(); err != nil {
			return err
		}
		words = "memory cold"
	}
	for _, c := range []carrier{carrierSSE, carrierWS, carrierBatch} {
		did := fmt.Sprintf("%d events over %s, %s", n, c, words)
		if err := t.replays(did, 300_000, n, func() (replayed, error) { return t.replayStream(session, c, n) }); err != nil {
			return err
		}
	}
	did := fmt.Sprintf("%d events in REST pages of %d, %s", n, pageEvents, words)
	return t.replays(did, 500_000, n, func() (replayed, error) { return t.replayPages(session, n) })
}

// fill stores n events in a session.
func (t *trial) fill(session string, n int) error {
	w, err := dial(t.ctx, t.addr, wireBytesSmall)
	if err != nil {
		return err
	}
	defer w.close()
	for done := 0; done < n; {
		size := min(fillEvents, n-done)
		body := fmt.Appendf(nil, "[%s]", drafts(session, size, ","))
		status, answer, err := w.exchange(postRequest(t.addr, "/v1/sessions/"+session+"/events", typeJSON, body))
		if err != nil {
			return fmt.Errorf("fill %s: %w", session, err)
		}
		done += size
		if last := member(answer, `"last":`); status != 201 || last != int64(done) {
			return fmt.Errorf("fill %s: status %d: %s", session, status, answer)
		}
	}
	return nil
}

// replayed is one replay: the time to the first event and to the last.
type replayed struct{ first, all time.Duration }

// replays repeats a replay for as long as --duration says and reports the mean
// rate and the median time to the first event.
func (t *trial) replays(did string, target float64, n int, once func() (replayed, error)) error {
	first := &histogram{}
	var all time.Duration
	u, count := t.usage(), 0
	for end := now() + int64(t.duration); count == 0 || now() < end && count < replaysMax; count++ {
		r, err := once()
		if err != nil {
			return err
		}
		first.record(int64(r.first))
		all += r.all
	}
	r := Result{Did: did, Value: float64(n) * float64(count) / all.Seconds(), Unit: "events/s", Target: atLeast(target)}
	u.into(&r)
	if err := t.report(r); err != nil {
		return err
	}
	r = Result{Did: did + ": first event", Unit: "ms", Value: milliseconds(first.quantile(0.5)), Target: atMost(milliseconds(firstEventMax))}
	r.latency(first)
	return t.report(r)
}

func (t *trial) replayStream(session string, c carrier, n int) (replayed, error) {
	r := &reader{session: session, carrier: c, stopAt: int64(n)}
	err := r.connect(t.ctx, t.addr, wireBytesBulk)
	if r.wire != nil {
		defer r.wire.close()
		defer context.AfterFunc(t.ctx, r.wire.close)()
	}
	if err == nil {
		err = r.run()
	}
	if err != nil {
		return replayed{}, fmt.Errorf("replay %s over %s at event %d: %w", session, c, r.last.Load(), err)
	}
	return replayed{first: time.Duration(r.first.Load() - r.asked), all: time.Duration(r.lastAt.Load() - r.asked)}, nil
}

// replayPages reads the session page by page, as a client would: the next one
// is asked for when this one is complete.
func (t *trial) replayPages(session string, n int) (replayed, error) {
	w, err := dial(t.ctx, t.addr, wireBytesBulk)
	if err != nil {
		return replayed{}, err
	}
	defer w.close()
	defer context.AfterFunc(t.ctx, w.close)()
	var out replayed
	begin := now()
	for last := int64(0); last < int64(n); {
		target := fmt.Sprintf("/v1/sessions/%s/events?after=%d&limit=%d", session, last, pageEvents)
		if err := w.write(getRequest(t.addr, target)); err != nil {
			return out, err
		}
		err := w.run(func(b []byte, at int64) (int, error) {
			if out.first == 0 && bytes.Contains(b[:min(len(b), 4096)], sentAt) {
				out.first = time.Duration(at - begin)
			}
			a, used, err := parseAnswer(b)
			if used == 0 || err != nil {
				return 0, err
			}
			if a.status != 200 {
				return used, fmt.Errorf("%s: status %d: %.200s", target, a.status, a.body)
			}
			before := last
			if last, err = checkPage(a.body, last); err == nil && last == before {
				err = errors.New("an empty page")
			}
			if err != nil {
				return used, fmt.Errorf("%s: %w", target, err)
			}
			return used, errDone
		})
		if err != nil {
			return out, err
		}
	}
	out.all = time.Duration(now() - begin)
	return out, nil
}

// checkPage requires that the page's events follow the cursor without a hole
// and returns the new cursor.
func checkPage(page []byte, after int64) (int64, error) {
	start := []byte(`{"id":`)
	for {
		i := bytes.Index(page, start)
		if i < 0 {
			return after, nil
		}
		page = page[i:]
		id, _, ok := parseEvent(page)
		if !ok || id != after+1 {
			return after, fmt.Errorf("event %d came after event %d", id, after)
		}
		after = id
		page = page[min(len(page), eventBytes/2):] // the next event is not nearer
	}
}
