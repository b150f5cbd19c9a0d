package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// A browser signs in with a token and gets a cookie, which scripts cannot
// read. What a cookie can do wrong is that the browser sends it along whoever
// had the idea: so it counts only where no other page could have had it.

// hostPrefix in a cookie's name makes browsers refuse it from anybody but this
// host over TLS.
const hostPrefix = "__Host-"

// loginBodyBytes bounds what is read of somebody who has no credential yet: the
// longest token, with escapes.
const loginBodyBytes = 4 * access.TokenBytesMax

// cookieName is what the cookie is called towards this client.
func cookieName(r *http.Request) string {
	if secure(r) {
		return hostPrefix + access.CookieName
	}
	return access.CookieName
}

func secure(r *http.Request) bool { return ClientScheme(r) == "https" }

// sessionCookie is the value of the cookie, or "".
func sessionCookie(r *http.Request) string {
	if r.Header["Cookie"] == nil {
		return ""
	}
	if cookie, err := r.Cookie(cookieName(r)); err == nil {
		return cookie.Value
	}
	return ""
}

// setCookie sets the cookie, or with "" removes it.
func (s *Server) setCookie(c echo.Context, value string) {
	cookie := &http.Cookie{
		Name: cookieName(c.Request()), Value: value, Path: "/", HttpOnly: true,
		Secure: secure(c.Request()), SameSite: http.SameSiteStrictMode, MaxAge: int(s.cfg.Access.CookieAge().Seconds()),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.Response(), cookie)
}

// sameOrigin is net/http's check of Sec-Fetch-Site and Origin.
var sameOrigin = http.NewCrossOriginProtection()

// ownPage reports whether the request is from a page of this very host, or from
// no page. It asks that of any method: a WebSocket begins with GET, and
// SameSite alone takes every port of a host for one.
func ownPage(r *http.Request) bool {
	unsafe := &http.Request{Method: http.MethodPost, URL: r.URL, Host: clientOf(r).host, Header: r.Header}
	return sameOrigin.Check(unsafe) == nil
}

// cookiePass is the pass of a browser session.
func (s *Server) cookiePass(c echo.Context, cookie string) (*access.Pass, error) {
	r := c.Request()
	if !ownPage(r) {
		return nil, store.Errorf(codeOriginNotAllowed, "a sign-in counts for the pages of this server only; send a token from other pages")
	}
	pass, err := s.tried(r, cookie, func() (*access.Pass, error) { return s.cfg.Access.FromCookie(r.Context(), cookie) })
	if err != nil {
		return nil, err
	}
	if fresh, ok := s.cfg.Access.RefreshCookie(cookie); ok && r.Header["Upgrade"] == nil {
		s.setCookie(c, fresh)
	}
	return pass, nil
}

// login begins a browser session: a token for a cookie.
func (s *Server) login(c echo.Context) error {
	r := c.Request()
	if !ownPage(r) { // else another page could sign somebody in as somebody else
		return store.Errorf(codeOriginNotAllowed, "sign in on a page of this server")
	}
	body, err := s.objectBodyOf(c, loginBodyBytes)
	if err != nil {
		return err
	}
	defer body.free()
	var token string
	err = eachMember(body.b, func(name string, value []byte) (err error) {
		if name != "token" {
			return store.Errorf(store.CodeInvalidQuery, "to sign in takes a token and nothing else") // the name may be one
		}
		token, err = secretValue(value)
		return err
	})
	if err != nil {
		return err
	}
	if !s.cfg.Access.Required() {
		return writeJSON(c, http.StatusOK, newMe(&access.Local))
	}
	var cookie string
	var g access.Grant
	if _, err = s.tried(r, token, func() (_ *access.Pass, err error) {
		cookie, g, err = s.cfg.Access.Login(r.Context(), token)
		return nil, err
	}); err != nil {
		return err
	}
	s.setCookie(c, cookie)
	return writeJSON(c, http.StatusOK, newMe(&g))
}

// secretValue is stringValue, without a part of the value in what it says.
func secretValue(value []byte) (string, error) {
	text, err := stringValue("token", value)
	if err != nil {
		return "", store.Errorf(store.CodeInvalidQuery, "the token must be a string")
	}
	return text, nil
}

// logout ends the browser session, also where the cookie is no longer good.
func (s *Server) logout(c echo.Context) error {
	r := c.Request()
	if !ownPage(r) {
		return store.Errorf(codeOriginNotAllowed, "sign out on a page of this server")
	}
	if cookie := sessionCookie(r); cookie != "" {
		if err := s.cfg.Access.Logout(cookie); err != nil {
			return err
		}
		s.setCookie(c, "")
	}
	return c.NoContent(http.StatusNoContent)
}

// me says who asks, and what that one may do.
type me struct {
	Subject string         `json:"subject"`
	Read    store.Patterns `json:"read"`
	Write   store.Patterns `json:"write"`
	Admin   bool           `json:"admin"`
	Metrics bool           `json:"metrics"`
	Shell   bool           `json:"shell"`
	Expires *store.Stamp   `json:"expiresAt,omitempty"` // or nil: never
}

func newMe(g *access.Grant) me {
	m := me{
		Subject: g.Subject, Admin: g.Admin, Metrics: g.Metrics, Shell: g.Shell,
		Read: append(store.Patterns{}, g.Read...), Write: append(store.Patterns{}, g.Write...),
	}
	if !g.Expires.IsZero() {
		m.Expires = &store.Stamp{Time: g.Expires}
	}
	return m
}

func (s *Server) getMe(c echo.Context) error {
	if _, err := queryOf(c.Request()); err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, newMe(grantOf(c.Request().Context())))
}
