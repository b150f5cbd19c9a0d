package stream

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// Access is what the credential behind a request allows, by the request's
// context. This package knows no credentials, only what they come to. A nil
// function allows everything, for ever.
type Access struct {
	// Permit refuses to show a session, with the error of one that is absent.
	Permit func(ctx context.Context, session string) error
	// Show returns which events of a session are shown; nil shows all. What it
	// returns is asked for every event, so it may change its mind.
	Show func(ctx context.Context, session string) func(*store.Event) bool
	// Standing reports whether the credential still holds, which it does not
	// when it was revoked, and when it expires; zero is never.
	Standing func(ctx context.Context) (holds bool, expires time.Time)
	// Renew puts another credential in the place of the connection's own.
	Renew func(ctx context.Context, token string) error
	// Subject is whose read marks count.
	Subject func(ctx context.Context) string
	// Grace is how long a WebSocket goes on after its credential expired, for
	// the client to renew it. A revocation has none, nor has an event stream,
	// whose client comes back with another credential.
	Grace time.Duration
}

// GraceDefault is Access.Grace when that is zero.
const GraceDefault = 30 * time.Second

func (a *Access) orDefault() {
	if a.Permit == nil {
		a.Permit = func(context.Context, string) error { return nil }
	}
	if a.Show == nil {
		a.Show = func(context.Context, string) func(*store.Event) bool { return nil }
	}
	if a.Standing == nil {
		a.Standing = func(context.Context) (bool, time.Time) { return true, time.Time{} }
	}
	if a.Renew == nil {
		a.Renew = func(context.Context, string) error { return nil }
	}
	if a.Subject == nil {
		a.Subject = func(context.Context) string { return store.SubjectLocal }
	}
	orDuration(&a.Grace, GraceDefault)
}

// inForce reports whether the request's credential still allows anything.
func (a *Access) inForce(ctx context.Context) bool {
	holds, expires := a.Standing(ctx)
	return holds && (expires.IsZero() || time.Now().Before(expires))
}

// expiry is ready when the request's credential expires; nil is never.
func (a *Access) expiry(ctx context.Context) (expired <-chan time.Time, stop func()) {
	_, expires := a.Standing(ctx)
	if expires.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(expires))
	return timer.C, func() { timer.Stop() }
}

// AuthExpiring tells a WebSocket client that its credential has expired, and
// for how long the connection goes on without another.
type AuthExpiring struct {
	Type    string `json:"type"`
	GraceMs int64  `json:"graceMs"`
}

var endUnauthorized = &ending{code: CloseUnauthorized, reason: reasonUnauthorized, bye: &Bye{Type: "bye", Reason: reasonUnauthorized}}

// standing looks whether the connection's credential is in force. It is called
// when the clock says so: at heartbeats, when it expires, and when the grace
// after that is over.
func (c *conn) standing(ctx context.Context, now time.Time) *ending {
	access := &c.srv.cfg.Access
	holds, expires := access.Standing(ctx)
	switch {
	case !holds:
		return endUnauthorized
	case expires.IsZero() || now.Before(expires):
		c.judged, c.warned = expires, false
		return nil
	}
	end := expires.Add(access.Grace)
	if c.seat.transport != WebSocket || !now.Before(end) {
		return endUnauthorized
	}
	c.judged = end
	if !c.warned {
		c.warned = true
		c.out.frame("auth_expiring", AuthExpiring{Type: "auth_expiring", GraceMs: end.Sub(now).Milliseconds()})
		if c.flush() != nil {
			return peerGone
		}
	}
	return nil
}

// authToken is the token of an auth frame. What is wrong with it is told
// without a part of it.
func authToken(members map[string]json.RawMessage) (string, error) {
	var token string
	if json.Unmarshal(members["token"], &token) != nil || token == "" {
		return "", store.Errorf(CodeInvalidFrame, "an auth frame has the token as a string")
	}
	for name := range members {
		if name != "type" && name != "ref" && name != "token" {
			return "", store.Errorf(CodeInvalidFrame, "an auth frame has token and ref")
		}
	}
	return token, nil
}

// renew carries out an auth frame. The pump then holds the subscriptions
// against what the new credential allows.
func (o *wsCarrier) renew(ctx context.Context, f clientFrame, members map[string]json.RawMessage) error {
	token, err := authToken(members)
	if err != nil {
		return err
	}
	o.busy.Add(1) // whoever knows the token may have to be asked
	err = o.conn.srv.cfg.Access.Renew(ctx, token)
	o.hear()
	o.busy.Add(-1)
	if err != nil {
		return err
	}
	o.change(ctx, op{renewed: true, ref: f.Ref})
	return nil
}

// renewed ends the subscriptions that the connection's new credential does not
// reach, and the connection if that is its own.
func (c *conn) renewed(ctx context.Context, ref json.RawMessage) *ending {
	if ref != nil {
		c.out.frame("ack", Ack{Type: "ack", Ref: ref})
	}
	if end := c.standing(ctx, time.Now()); end != nil {
		return end
	}
	for _, s := range slices.Clone(c.subs) {
		if c.srv.cfg.Access.Permit(ctx, s.req.Session) == nil {
			continue
		}
		if s.req.Session == c.home {
			return endUnauthorized
		}
		s.bye = reasonUnauthorized
		if end := c.remove(s); end != nil {
			return end
		}
	}
	return nil
}
