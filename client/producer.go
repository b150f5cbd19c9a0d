package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/konlog/konlog/store"
)

// ErrUnsettled is matched by the error of Producer.Append while the outcome of
// an earlier request is unknown and the drafts are not the same.
var ErrUnsettled = errors.New("an earlier append is not settled")

// Producer appends to one session with numbered requests: the server keeps one
// row per producer instead of a key per event. Requests are sent one at a time.
//
// An id and epoch must not be used by two producers at once, nor again after a
// restart from sequence number 0: start with a higher epoch, or Resume at the
// number that follows the last acknowledged one. A higher epoch fences off the
// lower ones, whose appends then fail with store.ErrProducerFenced; the epoch is
// never raised behind the caller's back.
//
// When the outcome of a request is unknown (ErrOutcomeUnknown), the producer
// keeps its number and body. Appending the same drafts again, or Settle, sends
// it again under the same number; other drafts are refused with ErrUnsettled,
// because under that number the server would take them for the old ones.
type Producer struct {
	// NoCreate refuses to make the session: with store.ErrNotFound. It is set
	// before the first append.
	NoCreate bool

	c       *Client
	session string
	id      string
	epoch   int64

	lock chan struct{} // capacity 1: held while a request is on its way; guards the fields below
	seq  int64         // of the next request
	held []byte        // the body under seq whose outcome is unknown, or nil
}

// Producer returns a producer of the session whose requests begin at number 0.
func (c *Client) Producer(session, id string, epoch int64) *Producer {
	return &Producer{c: c, session: session, id: id, epoch: epoch, lock: make(chan struct{}, 1)}
}

// Append appends the drafts as one request, all or none, exactly once.
func (p *Producer) Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	body, _, err := encodeDrafts(drafts, false)
	if err != nil {
		return store.Appended{}, fmt.Errorf("append %s: %w", p.session, err)
	}
	if err := p.acquire(ctx); err != nil {
		return store.Appended{}, err
	}
	defer p.release()
	if p.held != nil && !bytes.Equal(p.held, body) {
		return store.Appended{}, fmt.Errorf("append %s: %w: append the drafts of seq %d again, or Settle", p.session, ErrUnsettled, p.seq)
	}
	return p.send(ctx, body)
}

// Settle sends a request whose outcome is unknown again. It does nothing when
// there is none.
func (p *Producer) Settle(ctx context.Context) (store.Appended, error) {
	if err := p.acquire(ctx); err != nil {
		return store.Appended{}, err
	}
	defer p.release()
	if p.held == nil {
		return store.Appended{}, nil
	}
	return p.send(ctx, p.held)
}

// Seq returns the number of the next request, waiting for one on its way.
func (p *Producer) Seq(ctx context.Context) (int64, error) {
	if err := p.acquire(ctx); err != nil {
		return 0, err
	}
	defer p.release()
	return p.seq, nil
}

// Resume goes on at seq and forgets a request whose outcome is unknown. Use it
// after store.ErrProducerGap, with the Want of that error, or to continue an
// epoch after a restart.
func (p *Producer) Resume(ctx context.Context, seq int64) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	p.seq, p.held = seq, nil
	return nil
}

func (p *Producer) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append %s: %w", p.session, err)
	}
	select {
	case p.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("append %s: %w", p.session, ctx.Err())
	}
}

func (p *Producer) release() { <-p.lock }

// send sends body under the current number. The lock is held.
func (p *Producer) send(ctx context.Context, body []byte) (store.Appended, error) {
	state := store.Producer{ID: p.id, Epoch: p.epoch, Seq: p.seq}
	if err := state.Check(); err != nil {
		return store.Appended{}, fmt.Errorf("append %s: %w", p.session, err)
	}
	r := p.c.appendCall(p.session, AppendOptions{NoCreate: p.NoCreate}, body)
	r.header.Set("Producer-Id", p.id)
	r.header.Set("Producer-Epoch", strconv.FormatInt(p.epoch, 10))
	r.header.Set("Producer-Seq", strconv.FormatInt(p.seq, 10))
	r.unsure = p.held != nil
	a, err := p.c.sendAppend(ctx, r)
	if err == nil {
		p.seq++
		p.held = nil
		return a, nil
	}
	if r.unsure {
		p.held = body
	}
	var refusal *store.Error
	if errors.As(err, &refusal) && refusal.Code == store.CodeProducerGap {
		return store.Appended{}, fmt.Errorf("producer %s epoch %d is at seq %d, the server expects %d (Resume there to go on): %w", p.id, p.epoch, p.seq, refusal.Want, err)
	}
	return store.Appended{}, err
}
