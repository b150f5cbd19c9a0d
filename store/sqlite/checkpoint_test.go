package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// Readers that come one after the other, without a gap, must not keep the
// write-ahead log from being cut back.
func TestWriteAheadLogIsBoundedUnderReaders(t *testing.T) {
	t.Parallel()
	const limit, appended = 4 << 20, 32 << 20
	dir := t.TempDir()
	// On a busy machine a page may take longer than the pause that serve
	// grants; the test is of the bound, not of the machine.
	l, err := Open(t.Context(), dir, Options{CacheBytes: -1, NoSync: true, walBytes: limit, walPause: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	draft := store.Draft{Type: "t", Data: append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 60_000)...), '"')}
	if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, draft); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Read(ctx, "s", store.Query{}); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	largest := int64(0)
	for done := 0; done < appended; done += len(draft.Data) {
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, draft); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, databaseFile+"-wal")); err == nil {
			largest = max(largest, info.Size())
		}
	}
	cancel()
	readers.Wait()
	t.Logf("the log grew to %d KiB", largest>>10)
	if want := int64(limit + 2*checkpointBytes); largest > want {
		t.Errorf("the log grew to %d bytes, want at most %d", largest, want)
	}
}
