package access

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// GraceDefault is how long a stream goes on after its token expired, unless
// it was renewed: long enough to fetch a new token, short enough that nobody
// works with a dead one.
const GraceDefault = 30 * time.Second

// Config is what an Access is made of. The zero Config asks for no
// credentials.
type Config struct {
	Verifier    Verifier      // nil: everybody has Local
	LoginFile   string        // keeps the secret of browser sessions over a restart; "": they end with the process
	QueryToken  bool          // ?access_token= is taken, where a client can send no header
	Grace       time.Duration // 0: GraceDefault
	LoginIdle   time.Duration // 0: LoginIdleDefault
	LoginMax    time.Duration // 0: LoginMaxDefault
	TicketsMax  int           // 0: TicketsMaxDefault
	TicketsEach int           // of one subject; 0: TicketsEachDefault

	Logger *slog.Logger // nil discards
}

// Access is the one place that knows which credentials are in force. It is a
// Verifier, and it is safe for concurrent use.
type Access struct {
	QueryToken bool          // ?access_token= is taken
	Grace      time.Duration // of a stream whose token expired; a revocation has none

	verifier Verifier // nil: no credentials are asked for
	tickets  tickets
	logins   *logins
}

var _ Verifier = (*Access)(nil)

// New makes an Access.
func New(c Config) (*Access, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := openLogins(c)
	if err != nil {
		return nil, err
	}
	a := &Access{QueryToken: c.QueryToken, Grace: cmp.Or(c.Grace, GraceDefault), verifier: c.Verifier, logins: l}
	a.tickets.init(cmp.Or(c.TicketsMax, TicketsMaxDefault), cmp.Or(c.TicketsEach, TicketsEachDefault))
	return a, nil
}

// Required reports whether a credential is asked for. Where none is, every
// request has the pass of LocalPass; that goes for a nil Access too.
func (a *Access) Required() bool { return a != nil && a.verifier != nil }

// LocalPass is the pass of everybody where no credentials are asked for.
func LocalPass() *Pass { return localPass }

// Verify returns what the token allows, or ErrUnauthorized.
func (a *Access) Verify(ctx context.Context, token string) (Grant, error) {
	if !a.Required() {
		return Local, nil
	}
	if token == "" || len(token) > TokenBytesMax {
		return Grant{}, ErrUnauthorized
	}
	g, err := a.verifier.Verify(ctx, token)
	if err == nil && g.Expired(time.Now()) {
		return Grant{}, ErrUnauthorized
	}
	return g, err
}

// Holds reports whether what the grant came from is still in force: its key
// was not revoked or rotated away, and its browser session was not signed out.
func (a *Access) Holds(g *Grant) bool {
	return !a.Required() || !a.logins.out.has(g.login) && a.verifier.Holds(g)
}

// Revoked reports whether what the grant came from was taken back: its key was
// revoked, has expired or was rotated away. Whoever signs a browser out takes
// nothing back, and neither does a JSON Web Token that expires: its bearer gets
// the next one.
func (a *Access) Revoked(g *Grant) bool {
	return a.Required() && (!a.verifier.Holds(g) || !g.ends.IsZero() && !time.Now().Before(g.ends))
}

// Authenticate makes the pass that a token gives, or returns ErrUnauthorized.
func (a *Access) Authenticate(ctx context.Context, token string) (*Pass, error) {
	g, err := a.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return a.pass(g), nil
}

func (a *Access) pass(g Grant) *Pass {
	if !a.Required() {
		return NewPass(g, nil)
	}
	return NewPass(g, a)
}

// Ticket makes a single-use credential for an address that takes no header,
// which allows at most what the pass does. Sessions, when there are any,
// narrow it to these; store.FeedSession among them stands for the feed of all
// that the pass may read, and not for these sessions themselves. A session that
// the pass may not read is answered as one that is absent.
func (a *Access) Ticket(_ context.Context, p *Pass, sessions []string) (Ticket, error) {
	if !p.InForce(time.Now()) {
		return Ticket{}, ErrUnauthorized
	}
	g, err := narrowed(p.Grant(), sessions)
	if err != nil {
		return Ticket{}, err
	}
	return a.tickets.issue(g, time.Now())
}

// UseTicket makes the pass of a ticket, which is good once.
func (a *Access) UseTicket(value string) (*Pass, error) {
	g, ok := a.tickets.take(value, time.Now())
	if !ok {
		return nil, ErrUnauthorized
	}
	p := a.pass(g)
	if !p.InForce(time.Now()) { // its parent was revoked or has expired since
		return nil, ErrUnauthorized
	}
	return p, nil
}

// Login begins a browser session with a token: the value for the cookie named
// CookieName, good for CookieAge. It ends with the token.
func (a *Access) Login(ctx context.Context, token string) (cookie string, g Grant, err error) {
	g, err = a.Verify(ctx, token)
	if err != nil {
		return "", Grant{}, err
	}
	cookie, err = a.logins.begin(token, g.ID, time.Now())
	return cookie, g, err
}

// FromCookie makes the pass of a browser session.
func (a *Access) FromCookie(ctx context.Context, cookie string) (*Pass, error) {
	l, ok := a.logins.open(cookie, time.Now())
	if !ok {
		return nil, ErrUnauthorized
	}
	g, err := a.Verify(ctx, l.Token)
	if err != nil {
		return nil, err
	}
	g.login = l.signIn
	if end := l.Begun.Add(a.logins.max); g.Expires.IsZero() || end.Before(g.Expires) {
		g.Expires = end
	}
	return a.pass(g), nil
}

// RefreshCookie returns the value to set in the place of a cookie that is in
// use, so that it does not end as an idle one; false as long as it is fresh,
// or when it is no longer any good.
func (a *Access) RefreshCookie(cookie string) (string, bool) {
	return a.logins.refresh(cookie, time.Now())
}

// CookieAge is for how long a browser is to keep the cookie.
func (a *Access) CookieAge() time.Duration { return a.logins.idle }

// Logout ends the browser session of the cookie for good, and the streams that
// it opened: a copy of the cookie is worth nothing from then on. That no
// restart undoes it holds when the error is nil.
func (a *Access) Logout(cookie string) error {
	return a.logins.end(cookie, time.Now())
}

// narrowed is the grant cut down to the sessions. Nothing beyond sessions is
// left in it, shells neither: an address with a ticket may end up in somebody's
// log, and what clients type goes by REST with a credential of its own.
func narrowed(g *Grant, sessions []string) (Grant, error) {
	n := *g
	n.Admin, n.Metrics, n.Shell = false, false, false
	if len(sessions) == 0 {
		return n, nil
	}
	if len(sessions) > store.PatternsMax {
		return Grant{}, store.Errorf(store.CodeInvalidQuery, "a ticket for %d sessions is for more than %d; leave sessions out for all", len(sessions), store.PatternsMax)
	}
	n.Read, n.Write, n.feed = nil, nil, nil
	for _, id := range sessions {
		if err := store.ValidSessionID(id); err != nil {
			return Grant{}, err
		}
		if !g.MayRead(id) {
			return Grant{}, store.Errorf(store.CodeNotFound, "there is no session %s", id)
		}
		if id == store.FeedSession {
			n.feed = slices.Concat(g.Read, g.feed)
			continue
		}
		n.Read = append(n.Read, id)
		if g.MayWrite(id) {
			n.Write = append(n.Write, id)
		}
	}
	return n, nil
}
