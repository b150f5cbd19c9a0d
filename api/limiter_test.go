package api

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func addrOf(n int) netip.Prefix {
	return AddressKey(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
}

// A flood of addresses must not wash away what is known of those that are being
// limited, nor make the table grow.
func TestTableKeepsTheLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 8
		tb := newTable[netip.Prefix](places, perSecond{1, 5})
		limited := addrOf(1)
		for range 5 {
			if take(tb.of(limited)[0], 1) != 0 {
				t.Fatal("the burst was not given")
			}
		}
		for n := 2; n < 10_000; n++ { // each of them is idle again at once: it takes nothing
			tb.of(addrOf(n))
		}
		if take(tb.of(limited)[0], 1) == 0 {
			t.Error("a flood of others made the table forget one that was limited")
		}
		if got := tb.size(); got > places {
			t.Errorf("%d keys are held, more than %d", got, places)
		}
		time.Sleep(10 * time.Second)
		if take(tb.of(limited)[0], 5) != 0 {
			t.Error("the burst did not come back")
		}
	})
}

// When all places are those of limited keys, newcomers share one bucket: they
// are bounded together and take no place.
func TestTableCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, burst = 4, 3
		tb := newTable[netip.Prefix](places, perSecond{1, burst})
		given := 0
		for n := range 1000 {
			for range burst {
				if take(tb.of(addrOf(n))[0], 1) == 0 {
					given++
				}
			}
		}
		if want := (places + 1) * burst; given != want {
			t.Errorf("1000 addresses got %d requests, want %d: those of the places and of one crowd", given, want)
		}
		time.Sleep(burst * time.Second)
		if take(tb.of(addrOf(5000))[0], 1) != 0 || tb.size() != places {
			t.Errorf("the places did not become free again; %d held", tb.size())
		}
	})
}

func TestTakeAndOwe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := perSecond{10, 20}.limiter()
		if take(l, 20) != 0 {
			t.Fatal("the burst was not given")
		}
		if after := take(l, 1); after != 100*time.Millisecond {
			t.Errorf("the next one after %v, want 100ms", after)
		}
		if after := take(l, 1); after != 100*time.Millisecond {
			t.Errorf("a refusal took something: the next one after %v", after)
		}
		if after := owe(l, 50); after != 5*time.Second {
			t.Errorf("50 more than are there are owed for %v, want 5s", after)
		}
		time.Sleep(5 * time.Second)
		if take(l, 1) == 0 {
			t.Error("what was owed was given twice")
		}
		if take(nil, 1<<40) != 0 || owe(nil, 1<<40) != 0 {
			t.Error("no limiter bounds something")
		}
	})
}

func TestRememberedIsBounded(t *testing.T) {
	m := newRemembered[int](100)
	m.add(-1)
	for n := range 10_000 {
		m.add(n)
		if n%20 == 0 && !m.has(-1) {
			t.Fatalf("what is asked for was forgotten after %d others", n)
		}
	}
	if got := len(m.newer) + len(m.old); got > 100 {
		t.Errorf("%d are remembered, more than 100", got)
	}
	if !m.has(9999) || m.has(5) {
		t.Error("the oldest stayed, or the newest went")
	}
	m.remove(9999)
	if m.has(9999) {
		t.Error("what was removed is remembered")
	}
}

func TestCountsGiveBack(t *testing.T) {
	c := newCounts[string](2)
	for i, want := range []bool{true, true, false} {
		if c.enter("a") != want {
			t.Errorf("place %d of a: want %v", i+1, want)
		}
	}
	if !c.enter("b") {
		t.Error("a takes the places of b")
	}
	c.leave("a")
	if !c.enter("a") {
		t.Error("a place that was left is not free")
	}
	for _, k := range []string{"a", "a", "b"} {
		c.leave(k)
	}
	if len(c.held) != 0 {
		t.Errorf("%v is kept of what was left", c.held)
	}
}
