package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// sweepMax is how many of the held keys a newcomer may cost looks at when the
// table is full.
const sweepMax = 32

// perSecond is a rate and how much of it may come at once. The zero perSecond
// bounds nothing.
type perSecond struct {
	rate  float64
	burst int
}

func (p perSecond) limiter() *rate.Limiter {
	if p.rate <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(p.rate), max(p.burst, 1))
}

// buckets are what is counted of one address or one credential. A nil limiter
// bounds nothing.
type buckets []*rate.Limiter

// idle reports whether all are full again: then to forget them changes nothing.
func (b buckets) idle(now time.Time) bool {
	for _, l := range b {
		if l != nil && l.TokensAt(now) < float64(l.Burst()) {
			return false
		}
	}
	return true
}

// table holds the buckets of a bounded number of keys. One that is being
// limited is never forgotten for a newcomer, or a flood of addresses would wash
// its own past away: only buckets that are full again make room. When there are
// none, the newcomers share one place until there are.
type table[K comparable] struct {
	rates []perSecond
	max   int

	mu    sync.Mutex // guards the fields below
	held  map[K]buckets
	keys  []K // of held, in the order of the clock's hand
	hand  int
	crowd buckets // of those that found no place of their own
}

func newTable[K comparable](max int, rates ...perSecond) *table[K] {
	t := &table[K]{rates: rates, max: max, held: map[K]buckets{}}
	t.crowd = t.fresh()
	return t
}

func (t *table[K]) fresh() buckets {
	b := make(buckets, len(t.rates))
	for i, r := range t.rates {
		b[i] = r.limiter()
	}
	return b
}

// of returns the buckets of the key.
func (t *table[K]) of(key K) buckets {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.held[key]; ok {
		return b
	}
	if len(t.keys) >= t.max && !t.makeRoom(time.Now()) {
		return t.crowd
	}
	b := t.fresh()
	t.held[key] = b
	t.keys = append(t.keys, key)
	return b
}

// makeRoom forgets one key that is not being limited, if the next few have one.
func (t *table[K]) makeRoom(now time.Time) bool {
	for range min(sweepMax, len(t.keys)) {
		t.hand = (t.hand + 1) % len(t.keys)
		key := t.keys[t.hand]
		if !t.held[key].idle(now) {
			continue
		}
		delete(t.held, key)
		last := len(t.keys) - 1
		t.keys[t.hand] = t.keys[last]
		t.keys = t.keys[:last]
		return true
	}
	return false
}

// size is how many keys are held.
func (t *table[K]) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys)
}

// take takes n tokens at once, or none, and says when they would be there.
func take(l *rate.Limiter, n int) (after time.Duration) {
	if l == nil {
		return 0
	}
	now := time.Now()
	r := l.ReserveN(now, min(n, l.Burst()))
	if after = r.DelayFrom(now); after > 0 {
		r.CancelAt(now)
	}
	return after
}

// owe takes n tokens whether they are there or not, and says how long whoever
// took them has to wait. More than the burst is taken in parts.
func owe(l *rate.Limiter, n int) (after time.Duration) {
	if l == nil {
		return 0
	}
	now := time.Now()
	for n > 0 {
		part := min(n, l.Burst())
		after = l.ReserveN(now, part).DelayFrom(now)
		n -= part
	}
	return after
}

// counts counts what is held by key.
type counts[K comparable] struct {
	max int // of one key; 0 bounds nothing

	mu   sync.Mutex // guards the map
	held map[K]int
}

func newCounts[K comparable](max int) *counts[K] {
	return &counts[K]{max: max, held: map[K]int{}}
}

// enter takes a place of the key, unless all are taken.
func (c *counts[K]) enter(key K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.max > 0 && c.held[key] >= c.max {
		return false
	}
	c.held[key]++
	return true
}

func (c *counts[K]) leave(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[key]--; c.held[key] <= 0 {
		delete(c.held, key)
	}
}

// remembered is a bounded set of which the oldest are forgotten: two halves, of
// which the older goes when the newer is full. What is asked for stays.
type remembered[K comparable] struct {
	max int

	mu         sync.Mutex // guards the two halves
	newer, old map[K]struct{}
}

func newRemembered[K comparable](max int) *remembered[K] {
	return &remembered[K]{max: max, newer: map[K]struct{}{}}
}

func (m *remembered[K]) add(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key)
}

func (m *remembered[K]) put(key K) {
	if _, ok := m.newer[key]; ok {
		return
	}
	if len(m.newer) >= max(m.max/2, 1) {
		m.old, m.newer = m.newer, map[K]struct{}{}
	}
	m.newer[key] = struct{}{}
}

func (m *remembered[K]) has(key K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.newer[key]; ok {
		return true
	}
	_, ok := m.old[key]
	if ok {
		m.put(key)
	}
	return ok
}

func (m *remembered[K]) remove(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.newer, key)
	delete(m.old, key)
}
