package access

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
)

// Verifier knows credentials.
type Verifier interface {
	// Verify returns what the token allows, or ErrUnauthorized: it says
	// nothing of why to the client. It may be called for every request by any
	// number of goroutines, so it must be quick.
	Verify(ctx context.Context, token string) (Grant, error)
	// Holds reports whether a grant that Verify gave is still in force: its
	// key was not revoked since. Expiry is the Pass's own business.
	Holds(g *Grant) bool
}

// ErrUnauthorized is the one answer to a credential that is missing, unknown,
// revoked or expired.
var ErrUnauthorized = store.Errorf(CodeUnauthorized, "this needs a credential that is in force: send Authorization: Bearer, or sign in")

// ErrForbidden is the answer to a credential that does not reach.
var ErrForbidden = store.Errorf(CodeForbidden, "this credential does not allow that")

// Stable codes of refusals.
const (
	CodeUnauthorized store.Code = "unauthorized" // 401
	CodeForbidden    store.Code = "forbidden"    // 403

	CodeTicketsFull store.Code = "too_many_tickets" // 429: so many are unused
)

// Pass is what one request or one connection holds. A connection outlives its
// token: it can be renewed, and its grant may change.
type Pass struct {
	verifier Verifier // nil: the grant is for ever
	grant    atomic.Pointer[Grant]
}

// NewPass makes a pass of a grant that v gave; v is nil for Local.
func NewPass(g Grant, v Verifier) *Pass {
	p := &Pass{verifier: v}
	p.grant.Store(&g)
	return p
}

// Grant is what the pass allows now. It must not be changed.
func (p *Pass) Grant() *Grant { return p.grant.Load() }

// Renew puts the grant of another token of the same subject in the place of
// the one held; ErrUnauthorized, or ErrForbidden for another subject's.
func (p *Pass) Renew(ctx context.Context, token string) error {
	if p.verifier == nil {
		return nil
	}
	g, err := p.verifier.Verify(ctx, token)
	if err != nil {
		return err
	}
	if g.Subject != p.Grant().Subject {
		return store.Because(CodeForbidden, ErrForbidden, "this token is another subject's; open a connection with it")
	}
	p.grant.Store(&g)
	return nil
}

// InForce reports whether the pass still allows anything: it has not expired,
// and its key was not revoked.
func (p *Pass) InForce(now time.Time) bool {
	g := p.Grant()
	return !g.Expired(now) && (p.verifier == nil || p.verifier.Holds(g))
}

type contextKey struct{}

// With returns a context that carries the pass.
func With(ctx context.Context, p *Pass) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// Of returns the pass of the context; Local's when it has none, which is how
// the server's own goroutines and tests without credentials work.
func Of(ctx context.Context) *Pass {
	if p, ok := ctx.Value(contextKey{}).(*Pass); ok {
		return p
	}
	return localPass
}

var localPass = NewPass(Local, nil)
