package api

import (
	"net"
	"net/netip"
	"sync"
)

// LimitListener bounds the network connections that are open on all listeners
// that it was given: in all, from one address, and new ones per second from one address. What is over is closed
// without a word, before anything of it is read: a descriptor and a goroutine
// are what is to be saved. Trusted proxies are not bounded by address.
func (s *Server) LimitListener(l net.Listener) net.Listener {
	return &socketListener{Listener: l, s: s, open: s.rates.socketsOf, all: s.rates.sockets}
}

type socketListener struct {
	net.Listener
	s    *Server
	open *counts[netip.Prefix]
	all  *counts[struct{}]
}

// Accept returns the next connection that may stay.
func (l *socketListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		limit, leave := l.enter(conn)
		if leave != nil {
			return &socket{Conn: conn, leave: leave}, nil
		}
		l.s.rates.limited(limit)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // nothing of it stays behind in the kernel either
		}
		_ = conn.Close() // it is gone either way
	}
}

// enter takes the connection's places. Without leave there is none; limit says
// of what.
func (l *socketListener) enter(conn net.Conn) (limit string, leave func()) {
	if !l.all.enter(struct{}{}) {
		return limitSockets, nil
	}
	leaveAll := func() { l.all.leave(struct{}{}) }
	addr := parseAddr(conn.RemoteAddr().String())
	if !addr.IsValid() || !l.s.rates.bound(addr) || l.s.trusted(addr) {
		return "", leaveAll
	}
	key := AddressKey(addr)
	if l.s.rates.r.NewSockets > 0 && take(l.s.rates.address.of(key)[addressSockets], 1) > 0 {
		leaveAll()
		return limitNewSockets, nil
	}
	if !l.open.enter(key) {
		leaveAll()
		return limitSocketsPerAddress, nil
	}
	return "", func() {
		leaveAll()
		l.open.leave(key)
	}
}

// socket gives its places back when it is closed.
type socket struct {
	net.Conn
	leave func()
	once  sync.Once
}

// CloseWrite lets net/http end an answer without a reset, which could overtake
// it when the client still sends.
func (c *socket) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *socket) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
