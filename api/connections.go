package api

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// connections counts the open streams, in all and by address.
type connections struct {
	max, perAddress int
	rates           *rates // counts by credential too; nil in tests of this alone

	mu     sync.Mutex // guards the two below
	open   int
	byAddr map[netip.Prefix]int
}

func newConnections(max, perAddress int) *connections {
	return &connections{max: max, perAddress: perAddress, byAddr: map[netip.Prefix]int{}}
}

// enter takes a place for the request. The caller leaves with the returned
// function when err is nil.
func (c *connections) enter(r *http.Request) (leave func(), err error) {
	addr := AddressKey(ClientAddr(r))
	leaveHolder, err := c.rates.connect(r.Context())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			leaveHolder()
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.max {
		return nil, c.rates.refuse(limitConnections, 0, codeTooManyConnections, "all %d connections of the server are in use", c.max)
	}
	if c.byAddr[addr] >= c.perAddress {
		return nil, c.rates.refuse(limitPerAddress, 0, codeTooManyConnections, "all %d connections of this address are in use", c.perAddress)
	}
	c.open++
	c.byAddr[addr]++
	return func() {
		leaveHolder()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
		if c.byAddr[addr]--; c.byAddr[addr] == 0 {
			delete(c.byAddr, addr)
		}
	}, nil
}

// intake is the set of streamed bodies that are being read. Closing it ends
// their waiting, which could otherwise outlast every shutdown.
type intake struct {
	silence time.Duration // the longest that a body may be silent

	mu     sync.Mutex // guards the two below, and that no deadline is set after close
	closed bool
	bodies map[*http.ResponseController]struct{}
}

func newIntake(silence time.Duration) *intake {
	return &intake{silence: silence, bodies: map[*http.ResponseController]struct{}{}}
}

// extend gives the body another while to send something.
func (in *intake) extend(rc *http.ResponseController) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return store.ErrShutdown
	}
	in.bodies[rc] = struct{}{}
	_ = rc.SetReadDeadline(time.Now().Add(in.silence)) // a connection without deadlines has no silence to bound
	return nil
}

func (in *intake) remove(rc *http.ResponseController) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.bodies, rc)
}

func (in *intake) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for rc := range in.bodies {
		_ = rc.SetReadDeadline(time.Now())
	}
}

// liftDeadlines frees a long answer from the server's deadlines for whole
// requests; it has its own, per batch.
func liftDeadlines(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // a connection without deadlines has none to lift
	_ = rc.SetWriteDeadline(time.Time{})
}
