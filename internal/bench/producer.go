package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// producer appends to one session, over HTTP or WebSocket, and holds every
// acknowledgement against the one before.
type producer struct {
	session string
	request *request
	events  int64 // per request
	wire    *wire
	shared  bool // others append to the session too, so that its ids jump
	sink    bool // the answer has no ids: the reference server stores nothing

	acked int64 // id of the last event acknowledged
	acks  int64 // acknowledgements
}

// httpProducer prepares a producer of one request that is sent again and again.
func httpProducer(ctx context.Context, addr, session, contentType string, body []byte, events int) (*producer, error) {
	w, err := dial(ctx, addr, wireBytesSmall)
	if err != nil {
		return nil, err
	}
	post := postRequest(addr, "/v1/sessions/"+session+"/events", contentType, body)
	return &producer{session: session, request: &request{bytes: post}, events: int64(events), wire: w}, nil
}

// wsProducer prepares a producer on a WebSocket of its own, which reads no
// session.
func wsProducer(ctx context.Context, addr, session string, events int) (*producer, error) {
	w, err := dial(ctx, addr, wireBytesSmall)
	if err != nil {
		return nil, err
	}
	status, body, err := w.exchange(upgradeRequest(addr, "/v1/ws"))
	if err != nil || status != 101 {
		w.close()
		return nil, fmt.Errorf("upgrade: status %d: %s: %w", status, body, err)
	}
	return &producer{session: session, request: appendFrame(session, events), events: int64(events), wire: w}, nil
}

// takeAck reads one acknowledgement. used 0 means that more bytes are needed;
// ack is false for what else the server may send.
func (p *producer) takeAck(b []byte) (used int, ack bool, err error) {
	if !p.request.masked {
		a, used, err := parseAnswer(b)
		if used == 0 || err != nil {
			return 0, false, err
		}
		if a.status != 201 {
			return used, false, fmt.Errorf("append to %s: status %d: %s", p.session, a.status, a.body)
		}
		return used, true, p.check(a.body)
	}
	f, used, err := parseFrame(b)
	switch {
	case used == 0 || err != nil:
		return 0, false, err
	case f.op == opPing:
		pong, _ := appendClientFrame(nil, opPong, f.payload)
		return used, false, p.wire.write(pong)
	case f.op == opText && bytes.HasPrefix(f.payload, []byte(`{"type":"ping"`)):
		return used, false, nil
	case f.op != opText || !bytes.HasPrefix(f.payload, []byte(`{"type":"ack"`)):
		return used, false, fmt.Errorf("append to %s: the server sent %.200q", p.session, f.payload)
	}
	return used, true, p.check(f.payload)
}

func (p *producer) check(ack []byte) error {
	p.acks++
	if p.sink {
		return nil
	}
	first, last := member(ack, `"first":`), member(ack, `"last":`)
	wrong := last-first+1 != p.events || first <= p.acked
	if !p.shared {
		wrong = wrong || first != p.acked+1
	}
	if wrong {
		return fmt.Errorf("append to %s: %d events after event %d were acknowledged as %d to %d", p.session, p.events, p.acked, first, last)
	}
	p.acked = last
	return nil
}

// window is the time in which acknowledgements count.
type window struct{ from, to int64 }

// tally is what came of a measurement.
type tally struct {
	events atomic.Int64 // acknowledged within the window
	delays histogram    // of requests within the window
}

// flood sends the next request as soon as the one before is acknowledged, until
// the window closes.
func (p *producer) flood(w window, t *tally) error {
	sent := now()
	p.request.stamp(sent)
	if err := p.wire.write(p.request.bytes); err != nil {
		return err
	}
	return p.wire.run(func(b []byte, at int64) (int, error) {
		used, ack, err := p.takeAck(b)
		if !ack || err != nil {
			return used, err
		}
		if at >= w.from && at < w.to {
			t.events.Add(p.events)
			t.delays.record(at - sent)
		}
		if at >= w.to {
			return used, errDone
		}
		sent = at
		p.request.stamp(sent)
		return used, p.wire.write(p.request.bytes)
	})
}

// collect reads acknowledgements until want have come in all.
func (p *producer) collect(want int64) error {
	if p.acks == want {
		return nil
	}
	return p.wire.run(func(b []byte, _ int64) (used int, err error) {
		for {
			n, ack, err := p.takeAck(b[used:])
			used += n
			if n == 0 || err != nil {
				return used, err
			}
			if ack && p.acks == want {
				return used, errDone
			}
		}
	})
}

// floodAll runs producers side by side and counts what is acknowledged in the
// window that opens after a warm-up. It stops all when one fails.
func floodAll(producers []*producer, w window) (*tally, error) {
	t := &tally{}
	errs := make([]error, len(producers))
	var wait sync.WaitGroup
	for i, p := range producers {
		wait.Go(func() {
			if errs[i] = p.flood(w, t); errs[i] != nil {
				for _, other := range producers {
					other.wire.close()
				}
			}
		})
	}
	wait.Wait()
	return t, firstOf(errs)
}

// firstOf returns one error of several that mostly have the same cause: one of
// a connection that was closed because of another only if there is no other.
func firstOf(errs []error) (first error) {
	for _, err := range errs {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// closeAll closes the producers' connections.
func closeAll(producers []*producer) {
	for _, p := range producers {
		if p != nil {
			p.wire.close()
		}
	}
}

// checkHeads holds what was acknowledged against what the server has: the head
// of every session must be the last id acknowledged by any of its producers.
func checkHeads(ctx context.Context, addr string, producers []*producer) error {
	acked := map[string]int64{}
	for _, p := range producers {
		acked[p.session] = max(acked[p.session], p.acked)
	}
	w, err := dial(ctx, addr, wireBytesSmall)
	if err != nil {
		return err
	}
	defer w.close()
	for session, want := range acked {
		head, err := headOf(w, addr, session)
		if err != nil {
			return err
		}
		if head != want {
			return fmt.Errorf("session %s: event %d was acknowledged last, but the head is %d", session, want, head)
		}
	}
	return nil
}

func headOf(w *wire, addr, session string) (int64, error) {
	status, body, err := w.exchange(getRequest(addr, "/v1/sessions/"+session))
	if err != nil {
		return 0, fmt.Errorf("session %s: %w", session, err)
	}
	if status != 200 {
		return 0, fmt.Errorf("session %s: status %d: %s", session, status, body)
	}
	return member(body, `"head":`), nil
}
