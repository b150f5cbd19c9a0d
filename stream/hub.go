package stream

import (
	"sync"
	"sync/atomic"
)

// Hub passes on the news that a session has changed. Its Committed is handed
// to an engine.
type Hub struct {
	mu      sync.RWMutex // guards watches and the index of every Watch
	watches map[string][]*Watch

	count atomic.Int64 // of them all
}

// NewHub returns a hub without watchers.
func NewHub() *Hub { return &Hub{watches: make(map[string][]*Watch)} }

// Committed marks every watch of the session and wakes its owner. It never
// blocks. The head is not passed on: an owner reads the log to learn what is
// new, so that news may merge, come late or come twice without harm.
func (h *Hub) Committed(session string, _ int64) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, w := range h.watches[session] {
		w.mark()
	}
}

// Watch registers for news of the session. The owner gets a token in wake, a
// channel of capacity 1 that several watches may share, and finds the watches
// concerned by Dirty. Close must be called.
func (h *Hub) Watch(session string, wake chan struct{}) *Watch {
	w := &Watch{hub: h, session: session, wake: wake}
	h.mu.Lock()
	defer h.mu.Unlock()
	w.index = len(h.watches[session])
	h.watches[session] = append(h.watches[session], w)
	h.count.Add(1)
	return w
}

// Watch is one registration with a Hub.
type Watch struct {
	hub     *Hub
	session string
	index   int // in hub.watches[session]; -1 once closed
	dirty   atomic.Bool
	wake    chan<- struct{}
}

// mark makes the watch dirty. Whoever finds it dirty already need not wake:
// the token of the one who made it so is still to be taken, or its owner is
// awake and looks at every watch before it waits.
func (w *Watch) mark() {
	if w.dirty.Swap(true) {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default: // a token waits already
	}
}

// Dirty reports whether there was news since the last Clear.
func (w *Watch) Dirty() bool { return w.dirty.Load() }

// Clear must be called before the read that looks for the news: what is
// committed after the read then makes the watch dirty again.
func (w *Watch) Clear() {
	if w.dirty.Load() { // a load is cheaper than a store to a shared line
		w.dirty.Store(false)
	}
}

// Close ends the registration. It may be called more than once.
func (w *Watch) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.index < 0 {
		return
	}
	list := w.hub.watches[w.session]
	last := len(list) - 1
	list[w.index] = list[last]
	list[w.index].index = w.index
	list[last] = nil
	w.index = -1
	w.hub.count.Add(-1)
	if last == 0 {
		delete(w.hub.watches, w.session)
		return
	}
	w.hub.watches[w.session] = list[:last]
}
