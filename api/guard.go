package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/konlog/konlog/store"
)

// Header values of answers to pages of other origins, shared like the others.
var (
	varyOrigin     = []string{"Origin"}
	varyCredential = []string{"Origin, Authorization, Cookie"}
	exposedHeaders = []string{"ETag, Retry-After, X-Realtime-Transport"}
	allowedMethods = []string{"GET, HEAD, POST, PUT, PATCH, DELETE"}
	allowedHeaders = []string{"Content-Type, Last-Event-ID, Producer-Id, Producer-Epoch, Producer-Seq, Expect-Head, Content-Digest, Authorization, Konlog-Subject, Traceparent"}
	preflightAge   = []string{"600"} // seconds
)

// guard stands before the router: it refuses what must not reach a handler and
// sets the headers of all answers.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = s.withClient(r)
		h := w.Header()
		s.baseHeaders(h, r)
		s.awaitBody(w, r)
		if len(r.TransferEncoding) > 0 {
			closeAfter(w, r) // a length beside it, which net/http drops, may have told a proxy of another end
		}
		shared := s.share(h, r)
		if err := s.admit(r); err != nil {
			s.writeProblem(w, r, err)
			return
		}
		if shared && r.Method == http.MethodOptions && r.Header["Access-Control-Request-Method"] != nil {
			h["Access-Control-Allow-Methods"] = allowedMethods
			h["Access-Control-Allow-Headers"] = allowedHeaders
			h["Access-Control-Max-Age"] = preflightAge
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// share lets pages of loopback and listed origins read the answer, whatever it
// is. It names the one origin and allows no cookies: those are for this host's
// own pages.
func (s *Server) share(h http.Header, r *http.Request) bool {
	h["Vary"] = varyOrigin // also without an origin: a cache may keep a page
	if s.cfg.Access.Required() {
		h["Vary"] = varyCredential // and must not show what it kept to whoever comes next
	}
	values := r.Header["Origin"]
	if len(values) != 1 || values[0] == "null" || !s.originListed(values[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = values
	h["Access-Control-Expose-Headers"] = exposedHeaders
	return true
}

func (s *Server) admit(r *http.Request) error {
	if n := len(r.RequestURI); n > s.limits.URLBytes {
		return store.Errorf(codeURLTooLong, "path and query of %d bytes are over the limit of %d", n, s.limits.URLBytes)
	}
	if err := s.rates.ofAddress(r); err != nil {
		return err
	}
	if !s.hostAllowed(r) {
		return store.Errorf(codeHostNotAllowed, "host %.80q is not one of this server's names; allow it in the settings if it is", clientOf(r).host)
	}
	if guarded(r) && !s.originAllowed(r) {
		return store.Errorf(codeOriginNotAllowed, "origin %.80q may not do this; allow it in the settings if it should", r.Header.Get("Origin"))
	}
	return nil
}

// guarded reports whether the request could do something in a browser user's
// name: change the log, or open a WebSocket, which no same-origin rule covers.
func guarded(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header["Upgrade"] != nil
	}
	return true
}

// originAllowed reports whether the request is no browser's, or one's from the
// same host, from loopback or from a listed origin.
func (s *Server) originAllowed(r *http.Request) bool {
	values := r.Header["Origin"]
	if len(values) != 1 {
		return len(values) == 0 // of two the wrong one could be read
	}
	u, err := url.Parse(values[0])
	return s.originListed(values[0]) || err == nil && u.Host != "" && strings.EqualFold(u.Host, clientOf(r).host)
}

// originListed reports whether the origin is on the list or on loopback.
func (s *Server) originListed(origin string) bool {
	if slices.Contains(s.cfg.AllowedOrigins, origin) || slices.Contains(s.cfg.AllowedOrigins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && loopbackName(u.Hostname()) // "null" has no host: it is what a sandboxed page has
}

// hostAllowed keeps a page elsewhere from reaching a loopback server under its
// own name (DNS rebinding). A connection that did not arrive on loopback is
// not its concern: there the names are the operator's.
func (s *Server) hostAllowed(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if tcp, ok := local.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			return true
		}
	}
	// What a proxy says of the host does not make up for the one that a browser
	// asked for: a page elsewhere can send such a header too.
	return s.hostListed(hostname(r.Host)) && s.hostListed(hostname(clientOf(r).host))
}

func (s *Server) hostListed(host string) bool {
	return loopbackName(host) || slices.ContainsFunc(s.cfg.AllowedHosts, func(h string) bool { return h == "*" || strings.EqualFold(h, host) })
}

// hostname is the host without its port and brackets.
func hostname(hostport string) string {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func loopbackName(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
