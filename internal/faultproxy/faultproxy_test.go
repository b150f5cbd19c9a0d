package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a wait that should not be one.
const patience = 10 * time.Second

// serve runs f for every connection to a loopback listener.
func serve(t *testing.T, f func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c.(*net.TCPConn))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

func start(t *testing.T, target string, f Faults) *Proxy {
	t.Helper()
	p, err := New(target, 1, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

var payload = noise(200 << 10)

// send gives every connection the payload and then its end.
func send(c *net.TCPConn) { _, _ = c.Write(payload) }

func TestPassesOnBothDirectionsAndTheEnd(t *testing.T) {
	p := start(t, serve(t, func(c *net.TCPConn) {
		all, _ := io.ReadAll(c) // until the client's half close
		_, _ = c.Write(all)
	}), Faults{SplitMax: 900, DelayMax: time.Microsecond, Stall: 1, StallFor: time.Millisecond})
	c := dial(t, p)
	if _, err := c.Write(payload); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(payload), err)
	}
	if s := p.Stats(); s.Stalls != 2 || s.Connections != 1 {
		t.Errorf("stats %+v, want 2 stalls of 1 connection", s)
	}
}

// ends reads connections until one of them met its end on the way down.
func ends(t *testing.T, p *Proxy) ([]byte, error) {
	t.Helper()
	for range 50 {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil { // a reset can come before connect has returned
			continue
		}
		got, err := io.ReadAll(c)
		c.Close()
		if len(got) < len(payload) {
			return got, err
		}
	}
	t.Fatal("no connection of 50 was cut")
	return nil, nil
}

func TestReset(t *testing.T) {
	p := start(t, serve(t, send), Faults{Reset: 1})
	got, err := ends(t, p)
	if !errors.Is(err, syscall.ECONNRESET) || !bytes.HasPrefix(payload, got) {
		t.Errorf("got %d bytes and %v, want a prefix and a reset", len(got), err)
	}
	if p.Stats().Resets == 0 {
		t.Error("no reset counted")
	}
}

func TestClose(t *testing.T) {
	p := start(t, serve(t, send), Faults{Close: 1, SplitMax: 100})
	got, err := ends(t, p)
	if err != nil || !bytes.HasPrefix(payload, got) || len(got) > WithinDefault {
		t.Errorf("got %d bytes and %v, want a prefix and a plain end", len(got), err)
	}
	if p.Stats().Closes == 0 {
		t.Error("no close counted")
	}
}

func TestHalfOpen(t *testing.T) {
	p := start(t, serve(t, send), Faults{HalfOpen: 1, Within: 1000})
	for range 50 {
		c := dial(t, p)
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if !bytes.HasPrefix(payload, got) {
			t.Fatal("not a prefix")
		}
		c.Close()
		if len(got) < len(payload) { // the sender has ended, yet nobody hears of it
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want silence", err)
			}
			return
		}
	}
	t.Error("no connection of 50 fell silent")
}

// A sender that goes on in spite of the silence is let go when the receiver is.
func TestHalfOpenEndsWithItsReceiver(t *testing.T) {
	ended := make(chan struct{}, 64)
	p := start(t, serve(t, func(c *net.TCPConn) {
		for {
			if _, err := c.Write(payload); err != nil {
				ended <- struct{}{}
				return
			}
		}
	}), Faults{HalfOpen: 1, Within: 1000})
	for range 50 {
		c := dial(t, p)
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, _ := io.CopyN(io.Discard, c, 1000)
		c.Close()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the sender still sends to nobody")
		}
		if n < 1000 {
			return
		}
	}
	t.Error("no connection of 50 fell silent")
}

func TestStallThenClose(t *testing.T) {
	p := start(t, serve(t, send), Faults{Stall: 1, StallFor: time.Hour, Within: 1000})
	c := dial(t, p)
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if !errors.Is(err, os.ErrDeadlineExceeded) || len(got) >= 1000 {
		t.Errorf("got %d bytes and %v, want a pause within 1000", len(got), err)
	}
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("close waits for the pause")
	}
}

func TestCutAll(t *testing.T) {
	p := start(t, serve(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }), Faults{})
	c := dial(t, p)
	one := make([]byte, 1)
	for range 2 { // the second time on a new connection
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatal(err)
		}
		p.CutAll()
		if _, err := c.Read(one); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
		c = dial(t, p)
	}
	if s := p.Stats(); s.Resets != 2 {
		t.Errorf("stats %+v, want 2 resets", s)
	}
}

func TestTargetDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := start(t, l.Addr().String(), Faults{})
	c, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset can come before connect has returned
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if err == nil {
		t.Error("read succeeded with nobody behind the proxy")
	}
	if s := p.Stats(); s.Refused != 1 {
		t.Errorf("stats %+v, want 1 refused", s)
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	f := Faults{Reset: 0.2, Close: 0.2, HalfOpen: 0.2, Stall: 0.5, SplitMax: 10}
	seen := map[ending]int{}
	for n := range uint64(500) {
		up, down := plan(f, rand.New(rand.NewPCG(9, n)))
		up2, down2 := plan(f, rand.New(rand.NewPCG(9, n)))
		for _, c := range [][2]*course{{up, up2}, {down, down2}} {
			if c[0].end != c[1].end || c[0].endAt != c[1].endAt || c[0].stallAt != c[1].stallAt || c[0].rng.Uint64() != c[1].rng.Uint64() {
				t.Fatalf("connection %d: two plans of one seed differ", n)
			}
		}
		if up.end != none && down.end != none {
			t.Fatalf("connection %d ends in both directions", n)
		}
		seen[max(up.end, down.end)]++
	}
	for _, e := range []ending{none, reset, closing, silence} {
		if seen[e] < 50 {
			t.Errorf("ending %d came %d times in 500", e, seen[e])
		}
	}
}
