package sqlite_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

func openLog(t *testing.T, dir string, o sqlite.Options) *sqlite.Log {
	t.Helper()
	o.NoSync = true
	l, err := sqlite.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a second time does nothing
	return l
}

func blobContent(n int) (content []byte, hash string) {
	content = bytes.Repeat([]byte("konlog and "), n/11+1)[:n]
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:])
}

// probing runs f in the middle of an upload.
type probing func()

func (f probing) Read([]byte) (int, error) { f(); return 0, io.EOF }

// crashCopy copies the files of a data directory as a killed process leaves
// them.
func crashCopy(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"konlog.db", "konlog.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// rows counts rows of a table beside a running engine.
func rows(t *testing.T, dir, table string) int64 {
	t.Helper()
	c, err := sqlite3.Open(filepath.Join(dir, "konlog.db"), "", 5000)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := c.Int("SELECT count(*) FROM " + table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readBlob(t *testing.T, l *sqlite.Log, hash string) []byte {
	t.Helper()
	b, err := l.Blob(t.Context(), hash)
	if err != nil {
		t.Fatalf("blob %s: %v", hash, err)
	}
	p := make([]byte, b.Bytes)
	if n, err := l.ReadBlob(t.Context(), hash, p, 0); n != len(p) || err != nil && err != io.EOF {
		t.Fatalf("read blob %s: %d of %d, %v", hash, n, len(p), err)
	}
	return p
}

// TestBlobCrashInUpload kills the process between two pieces, and between the
// last one and the answer. The next process finds all of the blob or nothing,
// removes what is left over, and takes the content again.
func TestBlobCrashInUpload(t *testing.T) {
	t.Parallel()
	const c = store.BlobChunkBytes
	for _, cut := range []int{0, 1, c, 2*c + 5, 3 * c} {
		content, hash := blobContent(3 * c)
		dir := t.TempDir()
		l := openLog(t, dir, sqlite.Options{})
		before, _ := blobContent(c + 1)
		if _, _, err := l.PutBlob(t.Context(), "", bytes.NewReader(before), 0); err != nil {
			t.Fatal(err)
		}
		var crashed string
		upload := io.MultiReader(bytes.NewReader(content[:cut]), probing(func() { crashed = crashCopy(t, dir) }), bytes.NewReader(content[cut:]))
		if _, _, err := l.PutBlob(t.Context(), "", upload, 0); err != nil {
			t.Fatal(err)
		}
		acknowledged := crashCopy(t, dir)
		if got, want := rows(t, crashed, "blob_chunks"), int64(2+cut/c); got != want {
			t.Errorf("cut at %d: the crash left %d pieces, want %d", cut, got, want)
		}
		again := openLog(t, crashed, sqlite.Options{})
		if b, err := again.Blob(t.Context(), hash); !errors.Is(err, store.ErrBlobNotFound) {
			t.Errorf("cut at %d: got %+v, %v", cut, b, err)
		}
		awaitRows(t, crashed, "blob_chunks", 2)
		awaitRows(t, crashed, "blobs", 1)
		if _, created, err := again.PutBlob(t.Context(), "", bytes.NewReader(content), 0); err != nil || !created || !bytes.Equal(readBlob(t, again, hash), content) {
			t.Errorf("cut at %d: sent again: created %t, %v", cut, created, err)
		}
		if !bytes.Equal(readBlob(t, openLog(t, acknowledged, sqlite.Options{}), hash), content) {
			t.Errorf("cut at %d: what was acknowledged is not there", cut)
		}
		for _, dir := range []string{crashed, acknowledged} {
			if err := verify(t.Context(), dir); err != nil {
				t.Errorf("cut at %d: %v", cut, err)
			}
		}
	}
}

// awaitRows waits for the janitor, which works in the background.
func awaitRows(t *testing.T, dir, table string, want int64) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); rows(t, dir, table) != want; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("table %s has %d rows, want %d", table, rows(t, dir, table), want)
		}
	}
}

// TestBlobRefusedUploadLeavesNothing looks into the tables.
func TestBlobRefusedUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, dir, sqlite.Options{})
	content, _ := blobContent(40 * store.BlobChunkBytes)
	if _, _, err := l.PutBlob(t.Context(), "", bytes.NewReader(content), int64(len(content)-1)); store.CodeOf(err) != store.CodeBlobTooLarge {
		t.Fatalf("got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	if _, _, err := l.PutBlob(gone, "", io.MultiReader(bytes.NewReader(content), probing(cancel)), 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for range 2 { // the second is known, and its pieces go
		if _, _, err := l.PutBlob(t.Context(), "", bytes.NewReader(content), 0); err != nil {
			t.Fatal(err)
		}
	}
	if chunks, blobs := rows(t, dir, "blob_chunks"), rows(t, dir, "blobs"); chunks != 40 || blobs != 1 {
		t.Errorf("%d pieces of %d blobs are there, want 40 of 1", chunks, blobs)
	}
}

// TestBlobSweepShrinksTheFile gives the space of swept blobs back to the disk.
func TestBlobSweepShrinksTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var age atomic.Int64 // the engine's own goroutines look at the clock, too
	l := openLog(t, dir, sqlite.Options{Now: func() time.Time { return time.UnixMilli(1e12 + age.Load()) }})
	content, hash := blobContent(20 << 20)
	if _, _, err := l.PutBlob(t.Context(), "", bytes.NewReader(content), 0); err != nil {
		t.Fatal(err)
	}
	age.Store(time.Hour.Milliseconds())
	if n, err := l.SweepBlobs(t.Context(), time.Minute); n != 1 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	if _, err := l.Blob(t.Context(), hash); !errors.Is(err, store.ErrBlobNotFound) {
		t.Errorf("after the sweep: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "konlog.db")); err != nil || info.Size() > 1<<20 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// TestBlobReferencesOfDeletedSessionsGo looks into the table of references.
func TestBlobReferencesOfDeletedSessionsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, dir, sqlite.Options{})
	var refs []string
	for i := range 200 {
		refs = append(refs, fmt.Sprintf(`{"sha256":"%064x"}`, i))
	}
	d := store.Draft{Type: "note", Data: []byte("[" + strings.Join(refs, ",") + "]")}
	for range 4 {
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := rows(t, dir, "blob_refs"); got != 800 {
		t.Fatalf("%d references, want 800", got)
	}
	if err := l.DeleteSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	awaitRows(t, dir, "garbage", 0)
	if got := rows(t, dir, "blob_refs"); got != 0 {
		t.Errorf("%d references are left", got)
	}
}

func TestBackupHoldsBlobs(t *testing.T) {
	t.Parallel()
	dir, restored := t.TempDir(), t.TempDir()
	l := openLog(t, dir, sqlite.Options{})
	content, hash := blobContent(2*store.BlobChunkBytes + 3)
	if _, _, err := l.PutBlob(t.Context(), "image/png", bytes.NewReader(content), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "note", Data: []byte(`{"sha256":"` + hash + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(t.Context(), dir, filepath.Join(restored, "konlog.db"), sqlite.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), restored); err != nil {
		t.Error(err)
	}
	again := openLog(t, restored, sqlite.Options{})
	if b, err := again.Blob(t.Context(), hash); err != nil || b.ContentType != "image/png" || b.Refs != 1 {
		t.Errorf("got %+v, %v", b, err)
	}
	if !bytes.Equal(readBlob(t, again, hash), content) {
		t.Error("the content is not the same")
	}
}

func TestVerifyFindsDamagedBlobs(t *testing.T) {
	t.Parallel()
	for damage, want := range map[string]string{
		`UPDATE blob_chunks SET data = CAST(replace(CAST(data AS TEXT), 'konlog', 'golnok') AS BLOB) WHERE seq = 1`: "the content has the hash",
		`DELETE FROM blob_chunks WHERE seq = 0`:                       "pieces 0 to 0 are missing",
		`UPDATE blob_chunks SET data = substr(data, 2) WHERE seq = 1`: "piece 1 has 262143 bytes",
		`UPDATE blobs SET bytes = bytes + 1`:                          "its row says",
		`UPDATE blobs SET sha256 = zeroblob(32)`:                      "blob 0000",
		`INSERT INTO blob_chunks VALUES (99, 0, x'00')`:               "blob number 99",
		`UPDATE blob_refs SET id = 9`:                                 "is no event",
		`UPDATE blob_refs SET session_no = 99`:                        "session number 99",
		`UPDATE blobs SET sha256 = NULL; DELETE FROM blob_refs; UPDATE blobs SET bytes = 1; DELETE FROM usage WHERE what = 'blobs'`: "", // an upload that runs
	} {
		dir := t.TempDir()
		l := openLog(t, dir, sqlite.Options{})
		content, hash := blobContent(2*store.BlobChunkBytes + 3)
		if _, _, err := l.PutBlob(t.Context(), "", bytes.NewReader(content), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "note", Data: []byte(`{"sha256":"` + hash + `"}`)}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := sqlite3.Open(filepath.Join(dir, "konlog.db"), "", 5000)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Script(damage); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		var found []string
		report, err := sqlite.Verify(t.Context(), dir, func(p sqlite.Problem) { found = append(found, p.String()) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(found, "\n")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: found %q, want %q", damage, got, want)
		}
		if want != "" && report.Blobs != 1 {
			t.Errorf("%s: %d blobs, want 1", damage, report.Blobs)
		}
	}
}
