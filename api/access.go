package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// need is what a route asks of whoever sends a request. Each route says what it
// needs where it is declared; the zero need lets nobody through.
//
// A route about one session, which its path names, is decided here. What other
// routes show and take is decided where they know the sessions, by readable and
// changeable, and in lists by visible.
type need struct {
	kind   needKind
	stream bool // a browser can send no header with it: a ticket opens it
}

type needKind int

const (
	needUndeclared needKind = iota
	needNothing             // anybody, who is not looked at
	needAsked               // anybody; the handler tells more to who has a credential
	needAny                 // a credential
	needRead                // one that may read the session of the path
	needWrite               // one that may change the session of the path
	needWriteAny            // one that may write something; the handler knows what
	needAdmin
	needMetrics
	needShell
)

var (
	public   = need{kind: needNothing}
	asked    = need{kind: needAsked}
	signedIn = need{kind: needAny}
	reads    = need{kind: needRead}
	writes   = need{kind: needWrite}
	writer   = need{kind: needWriteAny}
	admins   = need{kind: needAdmin}
	scrapers = need{kind: needMetrics}
)

// streams is the need of a stream: WebSocket or SSE.
func (n need) streams() need {
	n.stream = true
	return n
}

// met reports why the grant does not meet the need for the session of the
// path, or nil.
func (n need) met(g *access.Grant, session string) error {
	ok := false
	switch n.kind {
	case needNothing, needAsked, needAny:
		ok = true
	case needRead:
		return readable(g, session)
	case needWrite:
		return changeable(g, session)
	case needWriteAny:
		ok = len(g.Write) > 0
	case needAdmin:
		ok = g.Admin
	case needMetrics:
		ok = g.Metrics || g.Admin
	case needShell:
		ok = g.Shell
	}
	if !ok {
		return store.Because(access.CodeForbidden, access.ErrForbidden, "this credential does not allow that: it needs "+rights[n.kind])
	}
	return nil
}

// rights are what a grant may lack for a need, in words.
var rights = map[needKind]string{
	needWriteAny: "a session that it may write", needAdmin: "the right admin", needMetrics: "the right metrics", needShell: "the right shell, which admin does not include",
}

// noCredentials asks for none.
func noCredentials() *access.Access {
	a, err := access.New(access.Config{})
	if err != nil {
		panic("api: " + err.Error()) // without files nothing can fail
	}
	return a
}

// readable refuses a session that the grant does not reach as one that is
// absent.
func readable(g *access.Grant, session string) error {
	if g.MayRead(session) {
		return nil
	}
	if err := store.ValidSessionID(session); err != nil {
		return err
	}
	return at("session", session, store.ErrNotFound)
}

// changeable refuses a session that the grant may not change; one that it may
// not read either as one that is absent.
func changeable(g *access.Grant, session string) error {
	if g.MayWrite(session) {
		return nil
	}
	if err := writable(session); err != nil {
		return err
	}
	if g.MayRead(session) {
		return store.Because(access.CodeForbidden, access.ErrForbidden, "this credential may read session "+session+", and not change it")
	}
	return at("session", session, store.ErrNotFound)
}

// nobody may do nothing.
var nobody = access.NewPass(access.Grant{}, nil)

// grantOf is what whoever sent the request may do now.
func grantOf(ctx context.Context) *access.Grant { return access.Of(ctx).Grant() }

// mayRead is readable for the request's or the connection's credential.
func (s *Server) mayRead(ctx context.Context, session string) error {
	return readable(grantOf(ctx), session)
}

// mayChange is changeable for the request's or the connection's credential,
// which must be in force: whoever sends for hours is asked again.
func (s *Server) mayChange(ctx context.Context, session string) error {
	pass := access.Of(ctx)
	if !pass.InForce(time.Now()) {
		return access.ErrUnauthorized
	}
	return changeable(pass.Grant(), session)
}

// visible is the filter of lists for whoever asks: nil where all is to be seen,
// and not nil where nothing is.
func visible(ctx context.Context) store.Patterns {
	g := grantOf(ctx)
	if g.Read.All() {
		return nil
	}
	return append(store.Patterns{}, g.Read...)
}

// admitted stands before a route's handler: the one place where credentials
// are looked for.
func (s *Server) admitted(n need, h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if n.kind == needNothing {
			return h(c)
		}
		r := c.Request()
		if n.stream {
			r = withoutParameter(r, ticketParameter)
		}
		if s.cfg.Access.QueryToken {
			r = withoutParameter(r, tokenParameter)
		}
		if s.cfg.Access.Required() {
			pass, err := s.pass(c, n)
			switch {
			case err == nil:
			case n.kind == needAsked:
				pass = nobody
			default:
				return err
			}
			r = r.WithContext(access.With(r.Context(), pass))
		}
		c.SetRequest(r)
		// What is refused counts, too: names are not to be guessed without end.
		if err := s.rates.ofCredential(r.Context()); err != nil {
			return err
		}
		if err := meant(r, grantOf(r.Context())); err != nil {
			return err
		}
		if err := n.met(grantOf(r.Context()), sessionID(c)); err != nil {
			return err
		}
		return h(c)
	}
}

// The parameters of a query that are credentials. They are taken out of it
// before anything else sees them.
const (
	ticketParameter = "ticket"
	tokenParameter  = "access_token"
)

// errNoCredential says what a credential is, to whoever has sent none.
var errNoCredential = store.Because(access.CodeUnauthorized, access.ErrUnauthorized,
	"this server asks for a credential: send Authorization: Bearer with a token, or sign in")

// pass is that of the credential of the request. The first that is there
// counts, and none makes up for it: a token that has expired is not to be
// mistaken for no token.
func (s *Server) pass(c echo.Context, n need) (*access.Pass, error) {
	r := c.Request()
	if headers := r.Header["Authorization"]; headers != nil {
		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		return s.bearer(r, strings.TrimSpace(token))
	}
	if n.stream {
		if ticket, ok := parameter(r, ticketParameter); ok {
			return s.tried(r, ticket, func() (*access.Pass, error) { return s.cfg.Access.UseTicket(ticket) })
		}
	}
	if s.cfg.Access.QueryToken && r.Method == http.MethodGet {
		if token, ok := parameter(r, tokenParameter); ok {
			return s.bearer(r, token)
		}
	}
	if cookie := sessionCookie(r); cookie != "" {
		return s.cookiePass(c, cookie)
	}
	return nil, errNoCredential
}

func (s *Server) bearer(r *http.Request, token string) (*access.Pass, error) {
	return s.tried(r, token, func() (*access.Pass, error) { return s.cfg.Access.Authenticate(r.Context(), token) })
}

// tried looks at a credential, unless its sender has tried too many.
func (s *Server) tried(r *http.Request, secret string, look func() (*access.Pass, error)) (*access.Pass, error) {
	if err := s.rates.mayTry(r, secret); err != nil {
		return nil, err
	}
	pass, err := look()
	if err == nil || store.CodeOf(err) == access.CodeUnauthorized {
		s.rates.tried(r, secret, err == nil)
	}
	return pass, err
}

// parameter is the value of a parameter of the query; the first, if there are
// several. Unlike url.ParseQuery it finds it beside whatever else is malformed.
func parameter(r *http.Request, name string) (value string, ok bool) {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if value, ok = strings.CutPrefix(pair, name+"="); ok {
			value, err := url.QueryUnescape(value)
			return value, err == nil
		}
	}
	return "", false
}

// withoutParameter is the request without the parameter, and the same where it
// had none: a credential must not be found in a log or an answer.
func withoutParameter(r *http.Request, name string) *http.Request {
	if !strings.Contains(r.URL.RawQuery, name+"=") {
		return r
	}
	var rest []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if !strings.HasPrefix(pair, name+"=") {
			rest = append(rest, pair)
		}
	}
	target := *r.URL
	target.RawQuery = strings.Join(rest, "&")
	r = r.WithContext(r.Context())
	r.URL = &target
	r.RequestURI = target.RequestURI()
	return r
}

// permit is mayRead for a reader that stays: who has no credential in force may
// begin nothing.
func (s *Server) permit(ctx context.Context, session string) error {
	if !access.Of(ctx).InForce(time.Now()) {
		return access.ErrUnauthorized
	}
	return s.mayRead(ctx, session)
}

// show is what a reader's credential lets through of a session's events. Of the
// feed, which is about all sessions, those about the ones that it may read; and
// of read marks its own subject's, which are nobody else's business.
func (s *Server) show(ctx context.Context, session string) func(*store.Event) bool {
	if session != store.FeedSession || !s.cfg.Access.Required() {
		return nil
	}
	pass := access.Of(ctx)
	return func(e *store.Event) bool {
		g := pass.Grant()
		if e.Type == store.TypeSeen && e.Text("subject") != g.Subject {
			return false
		}
		return g.InFeed(e.Text("session"))
	}
}

// standing tells a connection whether its credential holds, and until when.
func (s *Server) standing(ctx context.Context) (holds bool, expires time.Time) {
	pass := access.Of(ctx)
	return pass.InForce(time.Time{}), pass.Grant().Expires // at the beginning of time nothing has expired: it is asked for the rest
}

// renew puts another token in the place of a connection's own.
func (s *Server) renew(ctx context.Context, token string) error {
	r := new(http.Request).WithContext(ctx) // which knows whom the connection is from
	_, err := s.tried(r, token, func() (*access.Pass, error) { return nil, access.Of(ctx).Renew(ctx, token) })
	return err
}
