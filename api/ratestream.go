package api

import (
	"bytes"
	"context"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/stream"
)

// clientLimits are the rates as the WebSockets and event streams of one request
// meet them. The pass is asked for its grant anew each time: it may be renewed.
type clientLimits struct {
	rt   *rates
	pass *access.Pass
}

var _ stream.ClientLimits = clientLimits{}

// ofClient returns the limits of the client whose context this is, or nil.
func (rt *rates) ofClient(ctx context.Context) stream.ClientLimits {
	if _, bound := rt.holder(ctx); !bound {
		return nil
	}
	return clientLimits{rt, access.Of(ctx)}
}

// Received implements stream.ClientLimits.
func (c clientLimits) Received(ctx context.Context, frames, bytes int) {
	b := c.rt.credential.of(c.pass.Grant().ID)
	byFrames, byBytes := owe(b[ofFrames], frames), owe(b[ofBytes], bytes)
	if byFrames >= byBytes {
		c.rt.wait(ctx, limitFrames, byFrames)
		return
	}
	c.rt.wait(ctx, limitBytes, byBytes)
}

// Asked implements stream.ClientLimits.
func (c clientLimits) Asked(ctx context.Context) {
	c.rt.wait(ctx, limitRequests, owe(c.rt.credential.of(c.pass.Grant().ID)[ofRequests], 1))
}

// Subscribed implements stream.ClientLimits.
func (c clientLimits) Subscribed() (leave func(), err error) {
	id := c.pass.Grant().ID
	if !c.rt.follows.enter(id) {
		return nil, c.rt.refuse(limitSubscriptions, 0, stream.CodeTooManySubscriptions, "this credential follows %d sessions already over all its connections, the most it may", c.rt.follows.max)
	}
	return func() { c.rt.follows.leave(id) }, nil
}

// paceBytes is how much of a body is read before it may have to wait, so that
// nobody owes for more.
const paceBytes = 64 << 10

// bodyAsks is how often the credential of a body that is still read is looked at.
const bodyAsks = time.Second

// heldBody is a body that is read as it arrives: whoever sends too much is
// slowed down, and a line that has not ended counts against what all may hold.
type heldBody struct {
	read  func([]byte) (int, error)
	holds func() error // the credential is in force
	asked time.Time    // when it was, last
	pace  func(n int)
	full  func() error
	hold  stream.Hold
	lines bool // whoever reads collects lines
	line  int  // bytes since the last line end
}

// body wraps the reads of a streamed body. The caller releases it.
func (rt *rates) body(ctx context.Context, read func([]byte) (int, error), lines bool) *heldBody {
	pace := func(n int) { rt.pace(ctx, n) }
	holds := func() error {
		if !access.Of(ctx).InForce(time.Now()) {
			return access.ErrUnauthorized
		}
		return nil
	}
	return &heldBody{read: read, holds: holds, asked: time.Now(), pace: pace, full: rt.full, hold: rt.intake.Hold(), lines: lines}
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.read(p[:min(len(p), paceBytes)])
	if now := time.Now(); now.Sub(b.asked) >= bodyAsks {
		b.asked = now
		if err := b.holds(); err != nil {
			return 0, err
		}
	}
	if b.lines {
		if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
			b.line = n - i - 1
		} else {
			b.line += n
		}
		// Whoever collects a line lets its memory grow by doubling.
		if !b.hold.Grow(2 * b.line) {
			return 0, b.full()
		}
	}
	b.pace(n)
	return n, err
}

// full is the refusal when all clients together hold too much.
func (rt *rates) full() error {
	return rt.refuse(limitIntake, 0, codeRateLimited, "clients hold %d bytes of unfinished bodies, the most that this server lets them; send smaller ones, or wait", rt.r.IntakeBytes)
}
