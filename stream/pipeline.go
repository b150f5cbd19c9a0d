package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/konlog/konlog/store"
)

// Limits of the commands that one client may have under way: a producer that
// does not wait for each ack shares commits with itself, but what it can make
// the server hold is bounded.
const (
	pipelineMax        = 64
	pipelineFrameBytes = 64 << 10 // a larger frame is answered before the next is read
)

// pipeline carries out the commands of one connection. The reading goroutine
// begins them in the order in which they came; a second one, which lives from
// the first command to the end of the connection, waits for their outcomes and
// answers in the same order.
type pipeline struct {
	carrier *wsCarrier
	begun   chan begun // capacity pipelineMax; nil before the first command
	pending sync.WaitGroup
	ended   chan struct{}
}

// begun is a command under way.
type begun struct {
	frame clientFrame
	body  *bytes.Buffer // what the command reads until it has ended
	end   func() (any, error)
}

// add begins a command. It owns body from here.
func (p *pipeline) add(ctx context.Context, f clientFrame, body *bytes.Buffer) {
	if p.begun == nil {
		p.begun, p.ended = make(chan begun, pipelineMax), make(chan struct{})
		go p.answer(ctx)
	}
	large := body.Len() > pipelineFrameBytes
	p.pending.Add(1)
	p.carrier.busy.Add(1)
	p.begun <- begun{f, body, p.carrier.conn.srv.cfg.Commander.Begin(ctx, p.carrier.conn.home, f.Type, body.Bytes())}
	if large {
		p.pending.Wait()
	}
}

// close waits until every command has ended. The reading goroutine calls it.
func (p *pipeline) close() {
	if p.begun != nil {
		close(p.begun)
		<-p.ended
	}
}

// answer waits for the commands one after the other. A broken connection does
// not end it: what was begun has to end.
func (p *pipeline) answer(ctx context.Context) {
	defer close(p.ended)
	for b := range p.begun {
		result, err := b.end()
		var body []byte
		if err == nil {
			body, err = appendAck(b.frame.Ref, result)
		}
		if err != nil {
			p.carrier.note(ctx, b.frame.Type, err)
			body = p.carrier.conn.encode(newFailure(err, "", b.frame.Ref))
		}
		_ = p.carrier.reply(body) // a broken connection ends the next read
		free(b.body)
		p.carrier.hear()
		p.carrier.busy.Add(-1)
		p.pending.Done()
	}
}

// note logs what a client must not be told.
func (o *wsCarrier) note(ctx context.Context, typ string, err error) {
	if store.CodeOf(err) == "" && ctx.Err() == nil {
		o.conn.srv.cfg.Logger.ErrorContext(ctx, "command failed", "type", typ, "err", err)
	}
}

// appendAck lays the fields of a command's result into its ack frame.
func appendAck(ref json.RawMessage, result any) ([]byte, error) {
	ack := append(make([]byte, 0, 160), `{"type":"ack"`...)
	if ref != nil {
		ack = append(append(ack, `,"ref":`...), ref...)
	}
	fields, ready := result.(json.RawMessage)
	if result != nil && !ready {
		var err error
		if fields, err = json.Marshal(result); err != nil {
			return nil, fmt.Errorf("encode the result of a command (%T): %w", result, err)
		}
	}
	switch {
	case len(fields) == 0:
	case len(fields) < 2 || fields[0] != '{':
		return nil, fmt.Errorf("encode the result of a command (%T): not an object", result)
	case len(fields) > 2:
		return append(append(ack, ','), fields[1:]...), nil
	}
	return append(ack, '}'), nil
}
