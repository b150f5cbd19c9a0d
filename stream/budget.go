package stream

import (
	"io"
	"sync/atomic"
)

// budgetFree is how much memory one client's unfinished frame or body has before
// it counts: most are smaller, and the number of connections bounds how much that is.
const budgetFree = 64 << 10

// Budget bounds the memory that all clients together can have taken by what
// they have not sent to its end: bodies, lines and frames that are still
// growing. A nil Budget bounds nothing.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget returns a budget of that many bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used is how much is taken.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Hold is what one client has of a Budget. Its zero value holds nothing and is
// of no Budget; one goroutine at a time uses it.
type Hold struct {
	budget *Budget
	held   int64
}

// Hold returns a hold of nothing.
func (b *Budget) Hold() Hold { return Hold{budget: b} }

// Grow makes the hold that of n bytes, if it is not one of more already. False
// says that the budget is used up; then nothing has changed.
func (h *Hold) Grow(n int) bool {
	if h.budget == nil || n <= budgetFree || int64(n) <= h.held {
		return true
	}
	more := int64(n) - h.held
	if h.budget.used.Add(more) > h.budget.max {
		h.budget.used.Add(-more)
		return false
	}
	h.held = int64(n)
	return true
}

// Release gives all of it back.
func (h *Hold) Release() {
	if h.held > 0 {
		h.budget.used.Add(-h.held)
		h.held = 0
	}
}

// heldReader reads a frame under a Hold.
type heldReader struct {
	r    io.Reader
	hold *Hold
	n    int
	full bool // the budget was used up
}

func (r *heldReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += n
	if !r.hold.Grow(2 * r.n) { // memory that grows does so by doubling
		r.full = true
		return n, io.ErrShortBuffer
	}
	return n, err
}
