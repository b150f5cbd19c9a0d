// Package faultproxy is a TCP proxy that breaks connections in the ways that
// networks do, on a schedule that its seed decides. It is for tests only.
//
// Every connection draws its own schedule from the seed and its number, so
// that the same seed gives the same faults for the same sequence of
// connections; what the bytes of the moment are still depends on timing. Bytes
// are never changed, added, left out of the middle or reordered: whatever
// arrives is a prefix of what was sent.
package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the proxy.
const (
	ConnectionsMax = 4096            // open at the same time; more are closed at once
	chunkBytes     = 32 << 10        // read at a time
	dialTimeout    = 5 * time.Second // of the target
	acceptPause    = 10 * time.Millisecond
	writeTimeout   = 30 * time.Second // for a peer that does not read
)

// Faults says what happens to connections. Chances are from 0 to 1 and hold
// for one connection; the place where the fault strikes is drawn from the
// bytes of one direction, between 1 and Within. A connection meets at most one
// of reset, close and half-open; the zero value passes everything on.
type Faults struct {
	Reset    float64 // cut with RST: what was in flight is lost
	Close    float64 // cut with FIN, in mid-message
	HalfOpen float64 // the direction falls silent for good, without FIN or RST
	Stall    float64 // the direction pauses for StallFor, once

	StallFor time.Duration
	Within   int           // bytes; 0 means WithinDefault
	SplitMax int           // pass on in pieces of 1 to SplitMax bytes; 0 means whole
	DelayMax time.Duration // before each piece, 0 to DelayMax
}

// WithinDefault is a few events' worth of bytes.
const WithinDefault = 16 << 10

// Stats counts what the proxy did.
type Stats struct {
	Connections, Resets, Closes, HalfOpens, Stalls, Refused int64
}

// Proxy is a listening proxy. Its methods may be called by any number of
// goroutines.
type Proxy struct {
	listener net.Listener
	target   string
	seed     int64
	done     chan struct{} // closed by Close
	group    sync.WaitGroup

	connections, resets, closes, halfOpens, stalls, refused atomic.Int64

	mu     sync.Mutex // guards what follows
	faults Faults
	pairs  map[*pair]bool
	closed bool
}

// pair is one connection and its continuation to the target.
type pair struct {
	client, server *net.TCPConn
	gone           chan struct{} // closed with the pair
	once           sync.Once
	silent         atomic.Bool // one direction carries nothing any more
}

// cut ends both sides; with reset, by RST.
func (c *pair) cut(reset bool) {
	c.once.Do(func() {
		close(c.gone)
		for _, conn := range []*net.TCPConn{c.client, c.server} {
			if reset {
				_ = conn.SetLinger(0) // makes Close send RST
			}
			_ = conn.Close()
		}
	})
}

// New listens on a free port of the loopback interface and forwards to target,
// a host:port.
func New(target string, seed int64, f Faults) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &Proxy{listener: l, target: target, seed: seed, faults: f, done: make(chan struct{}), pairs: map[*pair]bool{}}
	p.group.Go(p.accept)
	return p, nil
}

// Addr is the host:port that the proxy listens on.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is the http URL of the proxy, without a trailing slash.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// SetFaults changes what happens to connections that begin from now on.
func (p *Proxy) SetFaults(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// CutAll resets every open connection.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	pairs := p.pairs
	p.pairs = map[*pair]bool{}
	p.mu.Unlock()
	for c := range pairs {
		p.resets.Add(1)
		c.cut(true)
	}
}

// Stats returns the counts so far.
func (p *Proxy) Stats() Stats {
	return Stats{p.connections.Load(), p.resets.Load(), p.closes.Load(), p.halfOpens.Load(), p.stalls.Load(), p.refused.Load()}
}

// Close ends the listener and every connection, and returns when the last
// goroutine has.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	pairs := p.pairs
	p.pairs = map[*pair]bool{}
	p.mu.Unlock()
	err := p.listener.Close()
	for c := range pairs {
		c.cut(true)
	}
	p.group.Wait()
	return err
}

func (p *Proxy) accept() {
	for n := int64(1); ; n++ {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: some will come back
			select {
			case <-time.After(acceptPause):
				continue
			case <-p.done:
				return
			}
		}
		p.group.Go(func() { p.serve(conn.(*net.TCPConn), n) })
	}
}

// serve runs the n-th connection.
func (p *Proxy) serve(client *net.TCPConn, n int64) {
	p.connections.Add(1)
	conn, err := net.DialTimeout("tcp", p.target, dialTimeout)
	if err != nil { // the target is down: so are we
		p.refused.Add(1)
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	c := &pair{client: client, server: conn.(*net.TCPConn), gone: make(chan struct{})}
	defer c.cut(false)
	p.mu.Lock()
	if p.closed || len(p.pairs) >= ConnectionsMax {
		p.mu.Unlock()
		p.refused.Add(1)
		return
	}
	p.pairs[c] = true
	f := p.faults
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	rng := rand.New(rand.NewPCG(uint64(p.seed), uint64(n)))
	up, down := plan(f, rng)
	var group sync.WaitGroup
	group.Go(func() { p.carry(c, c.client, c.server, up) })
	group.Go(func() { p.carry(c, c.server, c.client, down) })
	group.Wait()
}

type ending uint8

const (
	none ending = iota
	reset
	closing
	silence
)

// course is what one direction of one connection will meet.
type course struct {
	faults  Faults
	rng     *rand.Rand
	end     ending
	endAt   int // bytes passed on
	stallAt int // bytes, or -1
}

// plan draws the schedule of a connection: the ending strikes one direction.
func plan(f Faults, rng *rand.Rand) (up, down *course) {
	if f.Within <= 0 {
		f.Within = WithinDefault
	}
	draw := func() *course {
		c := &course{faults: f, rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())), stallAt: -1}
		if rng.Float64() < f.Stall {
			c.stallAt = rng.IntN(f.Within)
		}
		return c
	}
	up, down = draw(), draw()
	hit := down
	if rng.IntN(2) == 0 {
		hit = up
	}
	switch x := rng.Float64(); {
	case x < f.Reset:
		hit.end = reset
	case x < f.Reset+f.Close:
		hit.end = closing
	case x < f.Reset+f.Close+f.HalfOpen:
		hit.end = silence
	}
	hit.endAt = 1 + rng.IntN(f.Within)
	return up, down
}

// carry copies one direction until it ends or its course says so.
func (p *Proxy) carry(c *pair, from, to *net.TCPConn, way *course) {
	buf := make([]byte, chunkBytes)
	passed := 0
	for {
		n, err := from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			piece := way.piece(rest, passed)
			if way.stallAt >= 0 && passed >= way.stallAt {
				way.stallAt = -1
				p.stalls.Add(1)
				c.pause(way.faults.StallFor)
			}
			if way.faults.DelayMax > 0 {
				c.pause(time.Duration(way.rng.Int64N(int64(way.faults.DelayMax) + 1)))
			}
			_ = to.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, werr := to.Write(piece); werr != nil {
				c.cut(true)
				return
			}
			passed += len(piece)
			rest = rest[len(piece):]
			if way.end != none && passed >= way.endAt {
				p.strike(c, from, way.end)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()  // the other direction may go on
			if c.silent.Load() { // or would wait for nobody
				c.cut(false)
			}
			return
		case err != nil:
			c.cut(true)
			return
		}
	}
}

// piece is the part of b that goes out in one write: it ends where a fault
// strikes.
func (way *course) piece(b []byte, passed int) []byte {
	n := len(b)
	if way.faults.SplitMax > 0 {
		n = min(n, 1+way.rng.IntN(way.faults.SplitMax))
	}
	if way.stallAt > passed {
		n = min(n, way.stallAt-passed)
	}
	if way.end != none {
		n = min(n, way.endAt-passed)
	}
	return b[:n]
}

// strike ends a direction as planned.
func (p *Proxy) strike(c *pair, from *net.TCPConn, end ending) {
	switch end {
	case reset:
		p.resets.Add(1)
		c.cut(true)
	case closing:
		p.closes.Add(1)
		c.cut(false)
	case silence:
		// The sender's bytes are taken in and vanish, and its end is not
		// passed on: the receiver hears nothing until it gives up itself.
		p.halfOpens.Add(1)
		c.silent.Store(true)
		_, _ = io.Copy(io.Discard, from)
	}
}

// pause waits for d, or until the connection is cut.
func (c *pair) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.gone:
	}
}
