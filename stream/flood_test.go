package stream

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// clientFrameOf makes a frame as clients send them, with a mask.
func clientFrameOf(op byte, size int) []byte {
	b := []byte{op}
	switch {
	case size < 126:
		b = append(b, 0x80|byte(size))
	case size <= 0xffff:
		b = append(b, 0x80|126, byte(size>>8), byte(size))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
	return append(append(b, 1, 2, 3, 4), bytes.Repeat([]byte{0x89}, size)...)
}

// Frames of every kind and length are counted, however the bytes are cut.
func TestFrameCounter(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var wire []byte
		want := 0
		for range 1 + rng.IntN(30) {
			size := []int{0, 1, 125, 126, 127, 300, 0xffff, 0x10000}[rng.IntN(8)]
			wire = append(wire, clientFrameOf([]byte{0x81, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x82}[rng.IntN(7)], size)...)
			want++
		}
		wire = append(wire, 0x81) // one of which only the first byte is there
		want++
		var c frameCounter
		got := 0
		for rest := wire; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 1+rng.IntN(2000)))
			got += c.count(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Fatalf("seed %d: counted %d frames, want %d", seed, got, want)
		}
	}
	var plain frameCounter // without a mask, which the library then refuses
	if got := plain.count([]byte{0x81, 2, '{', '}', 0x89, 0}); got != 2 {
		t.Errorf("counted %d frames without masks, want 2", got)
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(1 << 20)
	one, two := b.Hold(), b.Hold()
	if !one.Grow(budgetFree) || b.Used() != 0 {
		t.Errorf("what is free counts: %d", b.Used())
	}
	if !one.Grow(700<<10) || !one.Grow(600<<10) || b.Used() != 700<<10 {
		t.Errorf("used %d, want the most that was asked for", b.Used())
	}
	if two.Grow(400<<10) || b.Used() != 700<<10 {
		t.Errorf("more than there is was given, or kept: %d", b.Used())
	}
	one.Release()
	one.Release()
	if b.Used() != 0 || !two.Grow(400<<10) {
		t.Errorf("used %d after the release", b.Used())
	}
	two.Release()
	var none *Budget
	h := none.Hold()
	if !h.Grow(1<<40) || none.Used() != 0 {
		t.Error("no budget bounds something")
	}
	h.Release()

	hold := b.Hold()
	r := &heldReader{r: strings.NewReader(strings.Repeat("x", 2<<20)), hold: &hold}
	if n, err := io.Copy(io.Discard, r); err == nil || !r.full || n > 600<<10 {
		t.Errorf("a frame of 2 MiB was read to %d bytes under a budget of 1 MiB: %v", n, err)
	}
}
