package run

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/internal/sse"
)

// upstreamTurn follows the stream of one turn over as many connections as it
// takes.
type upstreamTurn struct {
	u      *Upstream
	t      UpstreamTurn
	each   func(UpstreamLine) error
	format agent.Format // nil for lines
	at     *url.URL     // where the stream is asked for again
	own    bool         // at is the stream's alone, so that asking begins nothing
	names  names        // of the events that were passed on
	lines  int          // how many those are
	lineAt time.Time    // when the last of them came
	ended  bool         // by what the format says
	failed string       // what an event named error said last, or ""
	retry  time.Duration
	trial  trial
	// cutOff is what was said last without the blank line that ends an event,
	// or nil. It counts if it does not come again.
	cutOff *sse.Event
}

// errBroke is a connection that ended before its stream did.
var (
	errBroke    = errors.New("the stream of the upstream broke off")
	errNoAnswer = errors.New("the upstream does not answer")
	errQuiet    = errors.New("nothing came from the upstream")
	errLinger   = errors.New("the turn is over")
)

// Turn posts the prompt and passes on what the upstream says, in order and
// once, until the turn is over, which is nil. The context ends it at once and
// closes the stream. A stream that breaks off is asked for again after the last
// id that it gave; one that gave none cannot be, and the turn ends with an
// error, as it does when an event named error is the last one. An error of each
// ends it too.
func (u *Upstream) Turn(ctx context.Context, t UpstreamTurn, each func(UpstreamLine) error) error {
	f := &upstreamTurn{u: u, t: t, each: each, format: agent.New(u.format, agent.Options{}), at: u.url, lineAt: time.Now()}
	f.names.last = t.LastEventID
	c, err := f.begin(ctx)
	for err == nil && c != nil {
		end := f.read(c)
		c.close()
		if ctx.Err() != nil {
			break
		}
		c, err = f.after(ctx, c, end)
	}
	if ctx.Err() == nil && err == nil && f.cutOff != nil {
		_, err = f.event(f.cutOff)
	}
	var stop stopError
	if errors.As(err, &stop) {
		err = stop.err
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case f.failed != "" && !f.ended:
		return fmt.Errorf("the upstream ended with an error: %s", f.failed)
	}
	return nil
}

// begin posts the prompt, unless that was done before. Without a connection the
// turn is over.
func (f *upstreamTurn) begin(ctx context.Context) (*connection, error) {
	if f.t.LastEventID != "" {
		return f.again(ctx, false)
	}
	body, err := promptBody(f.t)
	if err != nil {
		return nil, err
	}
	for posts := 1; ; posts++ {
		c, err := f.open(ctx, http.MethodPost, f.u.url, body, "")
		if err == nil {
			return f.begun(ctx, c)
		}
		var status *statusError
		answered := errors.As(err, &status)
		switch {
		case answered && (!status.unrun() || posts >= upstreamPostsMax), errors.Is(err, errOrigin), errors.As(err, new(*tls.CertificateVerificationError)):
			return nil, err
		case !answered && !unsent(err):
			return nil, fmt.Errorf("no answer to the prompt, so that nobody knows whether it is run: %w", err)
		}
		if err := f.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// unsent reports whether an error came before anything was sent.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// begun takes the answer to the prompt: the stream, or where it is.
func (f *upstreamTurn) begun(ctx context.Context, c *connection) (*connection, error) {
	switch answer := c.answer; {
	case answer.StatusCode == http.StatusNoContent:
		c.close()
		return nil, nil
	case isStream(answer):
		if answer.Request.Method == http.MethodGet { // after 303 See Other
			f.at, f.own = answer.Request.URL, true
		} else if answer.Header.Get("Location") != "" {
			at, err := f.u.streamURL(answer)
			if err != nil {
				c.close()
				return nil, err
			}
			f.at, f.own = at, true
		}
		return c, nil
	}
	defer c.close()
	at, err := f.u.streamURL(c.answer)
	if err != nil {
		return nil, err
	}
	f.at, f.own = at, true
	return f.again(ctx, false)
}

// after decides what follows on the end of a connection: another one, the end
// of the turn, or an error.
func (f *upstreamTurn) after(ctx context.Context, c *connection, end error) (*connection, error) {
	var stop stopError
	clean := errors.Is(end, io.EOF)
	switch {
	case errors.As(end, &stop):
		return nil, end
	case end == nil || f.ended:
		return nil, nil
	case clean && (!f.names.resumable() || !c.news && c.age() < f.u.waits.steady):
		return nil, nil // all was said
	case !f.names.resumable() && (f.lines > 0 || !f.own):
		return nil, fmt.Errorf("%w, and has no ids to go on from", end)
	case time.Since(f.lineAt) >= f.u.waits.silence:
		return nil, fmt.Errorf("%w for %s", errQuiet, f.u.waits.silence)
	}
	if c.news || c.age() >= f.u.waits.steady {
		f.trial = trial{}
	}
	if err := f.wait(ctx, end); err != nil {
		return nil, err
	}
	return f.again(ctx, clean)
}

// again asks for the stream after the last id. clean: the connection before
// ended as if all had been said, so that no stream any more is no error.
func (f *upstreamTurn) again(ctx context.Context, clean bool) (*connection, error) {
	for {
		c, err := f.open(ctx, http.MethodGet, f.at, nil, f.names.last)
		if err == nil && c.answer.StatusCode == http.StatusNoContent {
			c.close()
			return nil, nil
		}
		if err == nil && !isStream(c.answer) {
			err = f.u.statusError(c.answer)
			c.close()
		}
		if err == nil {
			f.names.reconnected()
			return c, nil
		}
		var status *statusError
		answered := errors.As(err, &status)
		switch {
		case errors.Is(err, errOrigin):
			return nil, err
		case answered && !status.passing() && clean:
			return nil, nil
		case answered && status.gone():
			return nil, fmt.Errorf("the upstream has the stream no more: %w", err)
		case answered && !status.passing():
			return nil, err
		}
		if err := f.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// trial is a time without success.
type trial struct {
	since time.Time
	pause time.Duration
}

// wait waits before the next try, longer each time. It returns an error when
// that has gone on for too long, which says the last reason.
func (f *upstreamTurn) wait(ctx context.Context, reason error) error {
	w := &f.u.waits
	if f.trial.since.IsZero() {
		f.trial.since, f.trial.pause = time.Now(), max(w.retryMin, min(f.retry, w.retryMax))
	}
	pause := f.trial.pause
	var status *statusError
	if errors.As(reason, &status) {
		pause = max(pause, status.wait)
	}
	f.trial.pause = min(2*f.trial.pause, w.retryMax)
	pause += rand.N(pause/4 + 1) // so that many do not come at once
	if time.Since(f.trial.since)+pause > w.unreachable {
		return fmt.Errorf("the upstream was not to be had for %s: %w", w.unreachable, reason)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
