package sqlite

import "testing"

// A request that is queued when the engine closes shares one wake-up with the
// close: the writer must come again to learn that there is nothing more.
func TestCloseWithARequestQueued(t *testing.T) {
	t.Parallel()
	var q queue
	q.init(10, 1<<20)
	if err := q.put(&op{done: make(chan struct{}, 1)}); err != nil {
		t.Fatal(err)
	}
	q.close()
	for open, n := true, 0; open; n++ {
		select {
		case <-q.wake:
			_, open = q.take(nil)
		default:
			t.Fatalf("no wake-up after %d takes", n)
		}
	}
}
