package sqlite

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestBlobsStayWhileAForkIsMade: the references that a fork has copied so far
// hang on a number that looks deleted, and its source may lose its own.
func TestBlobsStayWhileAForkIsMade(t *testing.T) {
	t.Parallel()
	var age atomic.Int64 // the engine's own goroutines look at the clock, too
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, Now: func() time.Time { return time.UnixMilli(1e12 + age.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, _, err := l.PutBlob(t.Context(), "", strings.NewReader("x"), 0); err != nil {
		t.Fatal(err)
	}
	age.Store(1000)
	l.copies.hold(99)
	if n, err := l.SweepBlobs(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("removed %d, %v while a fork is being made", n, err)
	}
	l.copies.release(99)
	if n, err := l.SweepBlobs(t.Context(), 0); n != 1 || err != nil {
		t.Errorf("removed %d, %v afterwards, want 1", n, err)
	}
}

// TestUploadNumbersAreNotGivenTwice: a transaction that failed takes the row
// of an upload with it while the upload still runs.
func TestUploadNumbersAreNotGivenTwice(t *testing.T) {
	t.Parallel()
	var u uploads
	first := u.begin(4)
	if second := u.begin(4); first != 5 || second != 6 || !u.has(5) || !u.has(6) {
		t.Errorf("got %d and %d, want 5 and 6", first, second)
	}
	u.end(6)
	if third := u.begin(4); third != 7 || u.has(6) {
		t.Errorf("got %d, want 7", third)
	}
}
