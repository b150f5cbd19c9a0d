package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// The headers of which one is believed when it comes from a trusted proxy.
const (
	HeaderXForwardedFor = "X-Forwarded-For" // with X-Forwarded-Proto and X-Forwarded-Host
	HeaderForwarded     = "Forwarded"       // RFC 7239: all three in one
)

// hopsMax bounds how many proxies a request is followed back through.
const hopsMax = 32

// client is whom a request comes from, as far as it can be believed.
type client struct {
	addr   netip.Addr
	scheme string // what the client spoke: "http" or "https"
	host   string // the name it asked for, with its port if it gave one
}

type clientKey struct{}

// ClientAddr is the address of the client: that of the connection, or what a
// trusted proxy says of it. A connection over a Unix socket is from 127.0.0.1.
// It is the one place where limits, logs and cookies get an address from.
func ClientAddr(r *http.Request) netip.Addr { return clientOf(r).addr }

// ClientScheme is "https" when the client came over TLS, to this server or to a
// trusted proxy that says so; else "http".
func ClientScheme(r *http.Request) string { return clientOf(r).scheme }

// AddressKey is what limits count an address by. Whoever has one IPv6 address
// has its whole /64.
func AddressKey(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	key, _ := addr.Prefix(bits) // an invalid address has an invalid key, shared by all such
	return key
}

// clientOf is what guard found out; without it, as in tests of a part, the peer.
func clientOf(r *http.Request) client {
	if c, ok := r.Context().Value(clientKey{}).(client); ok {
		return c
	}
	return peer(r)
}

// withClient finds out whom the request comes from, once.
func (s *Server) withClient(r *http.Request) *http.Request {
	c := peer(r)
	if s.trusted(c.addr) {
		c = s.forwarded(r, c)
	}
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, c))
}

// peer is who is at the other end of the connection.
func peer(r *http.Request) client {
	c := client{addr: localhost, scheme: "http", host: r.Host}
	if r.TLS != nil {
		c.scheme = "https"
	}
	if r.RemoteAddr != "" && r.RemoteAddr != "@" { // which a Unix socket has: the file's mode says who may
		c.addr = parseAddr(r.RemoteAddr)
	}
	return c
}

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// parseAddr reads an address with or without a port; the zero Addr if it is none.
func parseAddr(text string) netip.Addr {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone("")
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwarded is what the trusted peer says of the request. Of the addresses in
// the header each hop has added its peer's on the right, and what stands to the
// left of the first that is not trusted is that one's own invention.
func (s *Server) forwarded(r *http.Request, c client) client {
	if s.cfg.ProxyHeader == HeaderForwarded {
		return s.fromForwarded(r.Header[HeaderForwarded], c)
	}
	rest := strings.Join(r.Header[HeaderXForwardedFor], ",")
	for range hopsMax {
		if !s.hopped(&c, lastOf(&rest)) {
			break
		}
	}
	// The peer's own word: the last one, should it have added to a client's.
	proto, host := strings.Join(r.Header["X-Forwarded-Proto"], ","), strings.Join(r.Header["X-Forwarded-Host"], ",")
	c.setScheme(lastOf(&proto))
	c.setHost(lastOf(&host))
	return c
}

// hopped takes the client one hop further back, and reports whether there may be
// another. Behind another machine nobody comes from this one's loopback, which
// has no limits.
func (s *Server) hopped(c *client, by string) bool {
	addr := parseAddr(by)
	if !addr.IsValid() || addr.IsLoopback() && !c.addr.IsLoopback() {
		return false
	}
	c.addr = addr
	return s.trusted(addr)
}

// lastOf cuts the last member off the list and returns it.
func lastOf(list *string) string {
	i := strings.LastIndexByte(*list, ',')
	last := strings.TrimSpace((*list)[i+1:])
	*list = (*list)[:max(i, 0)]
	return last
}

func (c *client) setScheme(text string) {
	if text = strings.ToLower(text); text == "http" || text == "https" {
		c.scheme = text
	}
}

func (c *client) setHost(text string) {
	if text != "" {
		c.host = text
	}
}
