package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// What is counted as used is held against the log by verify, and counted anew
// by Recount.
func TestUsage_RecountMends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openFixture(t, dir)
	_, _, err := l.CreateSession(t.Context(), "s", store.SessionSpec{Scope: "a"})
	if err == nil {
		_, err = l.Append(t.Context(), "s", store.AppendOptions{}, keyed("k"))
	}
	if err == nil {
		_, _, err = l.PutBlob(t.Context(), "", strings.NewReader("content"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := l.Used(t.Context(), "a")
	if err = errors.Join(err, l.Close(), verify(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		"UPDATE usage SET n = n + 1 WHERE what = 'all'", "UPDATE usage SET bytes = bytes - 1 WHERE what = 'scope'", "DELETE FROM usage WHERE what = 'blobs'",
		"INSERT INTO usage VALUES ('scope', 'ghost', 1, 1)", "DELETE FROM usage",
	} {
		c := connect(t, dir)
		if err := errors.Join(c.Script(damage), c.Close()); err != nil {
			t.Fatal(err)
		}
		if err := verify(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "usage of ") {
			t.Errorf("%s: verify says %v", damage, err)
		}
		l := openFixture(t, dir)
		differences, err := l.Recount(t.Context())
		if err != nil || len(differences) == 0 {
			t.Errorf("%s: %q, %v", damage, differences, err)
		}
		if again, err := l.Recount(t.Context()); err != nil || len(again) > 0 {
			t.Errorf("%s: the second time %q, %v", damage, again, err)
		}
		if got, err := l.Used(t.Context(), "a"); err != nil || got != want {
			t.Errorf("%s: used %+v, want %+v, %v", damage, got, want, err)
		}
		if got := l.Health().Used; got.All != want.All || got.BlobBytes != want.BlobBytes {
			t.Errorf("%s: health says %+v", damage, got)
		}
		if err := errors.Join(l.Close(), verify(t.Context(), dir)); err != nil {
			t.Errorf("%s: %v", damage, err)
		}
	}
}

// A quota is one that many appends at once cannot go beyond, not even those of
// one transaction, and counting begins where the disk is after it failed.
func TestUsage_AtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faultvfs.Fault{
		"fsync fails": {Ops: faultvfs.OpSync, Code: faultvfs.SyncError, File: "-wal", After: 5, Times: 2},
		"full":        {Ops: faultvfs.OpWrite, Code: faultvfs.Full, File: "-wal", After: 60, Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			usageAtTheSameTime(t, fault)
		})
	}
}

func usageAtTheSameTime(t *testing.T, fault faultvfs.Fault) {
	const most, writers = 50, 8
	v, dir := newVFS(t), t.TempDir()
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{VFS: v.Name(), Quotas: store.Quotas{Sessions: 3, Scopes: []store.ScopeQuota{{Pattern: "*", SessionEvents: most}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	v.Inject(fault)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for n := 0; ; n++ {
				d := store.Draft{Key: fmt.Sprint(i, ".", n), Type: "text", Data: []byte("1")}
				_, err := l.Append(context.Background(), fmt.Sprint("s", i%4), store.AppendOptions{}, d)
				if code := store.CodeOf(err); code == store.CodeStorageFailed || code == store.CodeStorageFull {
					awaitWritable(t, l)
					n--
					continue
				} else if err != nil {
					if code != store.CodeQuota {
						t.Errorf("append: %v", err)
					}
					return
				}
			}
		})
	}
	group.Wait()
	page, err := l.ListSessions(t.Context(), store.SessionFilter{})
	if err != nil || len(page.Sessions) != 3 {
		t.Fatalf("%d sessions, %v", len(page.Sessions), err)
	}
	for _, s := range page.Sessions {
		if s.Head != most {
			t.Errorf("session %s has %d events, want %d", s.ID, s.Head, most)
		}
	}
	if v.Stats().Failed == 0 {
		t.Error("the disk never failed")
	}
	empty := slices.ContainsFunc(page.Sessions, func(s store.Session) bool { return s.Bytes == 0 })
	if used, err := l.Used(t.Context(), ""); err != nil || used.All.Sessions != 3 || used.Scope != used.All || empty || l.Health().Used.All != used.All {
		t.Errorf("used %+v, %v", used, err)
	}
	if err := errors.Join(l.Close(), verify(t.Context(), dir)); err != nil {
		t.Error(err)
	}
}
