package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	foldSessions = 1000
	foldEvents   = 20 // of a request: what an agent says in a second
	foldRounds   = 5  // of each kind, in turn, so that both see the same machine
	foldRatioMin = 0.85
)

// runFolds appends what agents say to open turns, and the same under types
// that mean nothing to the server, and compares the rates.
func runFolds(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	n := t.size(50, foldSessions)
	plain, err := t.talkers(n, 0, "x_", "")
	defer func() { closeAll(plain) }()
	if err != nil {
		return err
	}
	folded, err := t.talkers(n, n, "", "t")
	defer func() { closeAll(folded) }()
	if err != nil {
		return err
	}
	defer context.AfterFunc(t.ctx, func() { closeAll(plain); closeAll(folded) })()
	var rates [2][]float64
	u := t.usage()
	for range foldRounds {
		for i, producers := range [][]*producer{plain, folded} {
			from := now() + int64(t.warmUp()/foldRounds)
			w := window{from: from, to: from + int64(t.duration/foldRounds)}
			sum, err := floodAll(producers, w)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], float64(sum.events.Load())/time.Duration(w.to-w.from).Seconds())
		}
	}
	slices.Sort(rates[0])
	slices.Sort(rates[1])
	without, with := rates[0][foldRounds/2], rates[1][foldRounds/2]
	r := Result{
		Did: fmt.Sprintf("%d sessions, arrays of %d: with folds as a part of without", n, foldEvents), Unit: "of 1", Value: with / without,
		Note: fmt.Sprintf("%s and %s events/s, medians of %d", number(with), number(without), foldRounds), Target: atLeast(foldRatioMin),
	}
	u.into(&r)
	if err := checkHeads(t.ctx, t.addr, append(plain, folded...)); err != nil {
		return err
	}
	return t.report(r)
}

// talkers makes producers, each with a session of its own. With a turn it is
// open when they begin.
func (t *trial) talkers(n, from int, prefix, turn string) ([]*producer, error) {
	return makeProducers(n, func(i int) (*producer, error) {
		session := t.session(from + i)
		if turn == "" {
			return httpProducer(t.ctx, t.addr, session, typeJSON, talk(prefix, turn), foldEvents)
		}
		start := fmt.Appendf(nil, `{"type":"turn_start","turn":%q,"data":{"agent":"bench","leaseMs":600000}}`, turn)
		p, err := httpProducer(t.ctx, t.addr, session, typeJSON, start, 1)
		if err != nil {
			return nil, err
		}
		if status, body, err := p.wire.exchange(p.request.bytes); err != nil || status != 201 {
			p.wire.close()
			return nil, fmt.Errorf("begin a turn in %s: status %d: %s: %w", session, status, body, err)
		}
		p.request.bytes = postRequest(t.addr, "/v1/sessions/"+session+"/events", typeJSON, talk(prefix, turn))
		p.events, p.acked = foldEvents, 1
		return p, nil
	})
}

// talk is what an agent says in a second: text in pieces and then whole, and a
// tool.
func talk(prefix, turn string) []byte {
	var events [][]byte
	add := func(typ, data string) {
		if turn != "" {
			events = append(events, fmt.Appendf(nil, `{"type":"%s%s","turn":%q,"data":%s}`, prefix, typ, turn, data))
			return
		}
		events = append(events, fmt.Appendf(nil, `{"type":"%s%s","data":%s}`, prefix, typ, data))
	}
	const deltas = foldEvents - 5
	for range deltas {
		add("text_delta", `{"text":"konlog keeps it. ","block":"msg_1"}`)
	}
	add("text", `{"text":"`+strings.Repeat("konlog keeps it. ", deltas)+`","block":"msg_1"}`)
	add("tool_start", `{"id":"toolu_1","name":"Read","input":{"file_path":"/repo/store/store.go"}}`)
	add("tool_delta", `{"id":"toolu_1","text":"{\"file_path\":"}`)
	add("tool_result", `{"id":"toolu_1","output":"`+strings.Repeat("package store ", 20)+`"}`)
	add("thinking_delta", `{"text":"and so on","block":"msg_2"}`)
	return fmt.Appendf(nil, "[%s]", bytes.Join(events, []byte(",")))
}
