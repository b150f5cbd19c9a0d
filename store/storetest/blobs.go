package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// blobTests are for engines that implement store.Blobs.
var blobTests = []contractTest{
	{"BlobContent", testBlobContent},
	{"BlobIsStoredOnce", testBlobOnce},
	{"BlobRefusals", testBlobRefusals},
	{"BlobUploadsAtTheSameTime", testBlobConcurrent},
	{"BlobUploadLetsAppendsPass", testBlobInterleaved},
	{"BlobReferences", testBlobRefs},
	{"BlobReferencesGoWithTheirEvents", testBlobRefsGo},
	{"BlobReferencesAreRedacted", testBlobRefsRedacted},
	{"BlobReferencesAreInherited", testBlobRefsForked},
	{"BlobGrace", testBlobGrace},
	{"BlobSweepTakesMany", testBlobSweepMany},
	{"BlobsOfAClosedEngine", testBlobShutdown},
	{"BlobShown", testBlobShown},
}

func (r *rig) blobs() store.Blobs {
	r.Helper()
	b, ok := r.Log.(store.Blobs)
	if !ok {
		r.Skip("the engine keeps no blobs")
	}
	return b
}

// put stores a blob and must succeed.
func (r *rig) put(contentType string, content []byte) (store.Blob, bool) {
	r.Helper()
	b, created, err := r.blobs().PutBlob(ctx, contentType, bytes.NewReader(content), 0)
	if err != nil {
		r.Fatalf("put %d bytes: %v", len(content), err)
	}
	if want := hashOf(content); b.SHA256 != want || b.Bytes != int64(len(content)) {
		r.Fatalf("put %d bytes: got %+v, want hash %s", len(content), b, want)
	}
	return b, created
}

// blob describes a blob that must be there.
func (r *rig) blob(sha256 string) store.Blob {
	r.Helper()
	b, err := r.blobs().Blob(ctx, sha256)
	if err != nil {
		r.Fatalf("blob %s: %v", sha256, err)
	}
	return b
}

// noBlob wants that nothing of the blob can be seen.
func (r *rig) noBlob(sha256 string) {
	r.Helper()
	if b, err := r.blobs().Blob(ctx, sha256); !errors.Is(err, store.ErrBlobNotFound) {
		r.Errorf("blob %q: got %+v, %v", sha256, b, err)
	}
	if n, err := r.blobs().ReadBlob(ctx, sha256, make([]byte, 10), 0); n != 0 || !errors.Is(err, store.ErrBlobNotFound) {
		r.Errorf("read of blob %q: got %d, %v", sha256, n, err)
	}
}

func (r *rig) sweepBlobs(grace time.Duration, want int64) {
	r.Helper()
	if n, err := r.blobs().SweepBlobs(ctx, grace); err != nil || n != want {
		r.Errorf("sweep after %s: removed %d, %v; want %d", grace, n, err, want)
	}
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// noise is content without repetition, the same for the same seed.
func noise(seed uint64, n int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	content := make([]byte, n)
	_, _ = rng.Read(content) // never fails
	return content
}

func refersTo(hashes ...string) store.Draft {
	var images []string
	for _, h := range hashes {
		images = append(images, fmt.Sprintf(`{"sha256":"%s","contentType":"image/png"}`, h))
	}
	return store.Draft{Type: "note", Data: []byte(`{"text":"look","images":[` + strings.Join(images, ",") + `]}`)}
}

func testBlobContent(r *rig) {
	const c = store.BlobChunkBytes
	type kept struct {
		store.Blob
		content []byte
	}
	var all []kept
	for i, n := range []int{0, 1, 100, c - 1, c, c + 1, 2 * c, 3*c + 17} {
		content := noise(uint64(i), n)
		b, created := r.put("image/png", content)
		if !created || b.ContentType != "image/png" || !b.CreatedAt.Equal(begin) || b.Refs != 0 {
			r.Errorf("%d bytes: got %+v, created %t", n, b, created)
		}
		all = append(all, kept{b, content})
	}
	check := func() {
		for _, k := range all {
			if got := r.blob(k.SHA256); got != k.Blob {
				r.Errorf("got %+v, want %+v", got, k.Blob)
			}
			r.wantBytes(k.SHA256, k.content)
		}
	}
	check()
	if r.engine.Reopen {
		r.reopen()
		check()
	}
	for _, name := range []string{"", "x", hashOf([]byte("other")), strings.ToUpper(all[1].SHA256), all[1].SHA256 + "0", all[1].SHA256[:62]} {
		r.noBlob(name)
	}
}

// wantBytes reads ranges of a blob as io.ReaderAt promises them.
func (r *rig) wantBytes(hash string, content []byte) {
	r.Helper()
	const c = store.BlobChunkBytes
	size := len(content)
	for _, at := range [][2]int{{0, size}, {0, size + 1}, {0, 1}, {size - 1, 1}, {size - 1, 2}, {size, 1}, {size + 5, 3}, {c - 2, 4}, {c, c}, {c + 1, c}, {c - 1, 2*c + 2}, {2*c - 1, 1}, {5, 0}} {
		off, length := at[0], at[1]
		if off < 0 {
			continue
		}
		p := make([]byte, length)
		n, err := r.blobs().ReadBlob(ctx, hash, p, int64(off))
		var want []byte
		if off < size {
			want = content[off:min(off+length, size)]
		}
		if n != len(want) || !bytes.Equal(p[:n], want) || n < length && err != io.EOF || n == length && err != nil && (err != io.EOF || off+length < size) {
			r.Errorf("read %d of %d bytes at %d: got %d, %v; want %d", length, size, off, n, err, len(want))
		}
	}
	if _, err := r.blobs().ReadBlob(ctx, hash, make([]byte, 1), -1); store.CodeOf(err) != store.CodeInvalidQuery {
		r.Errorf("read at -1: got %v", err)
	}
}

func testBlobOnce(r *rig) {
	for i, n := range []int{10, 2*store.BlobChunkBytes + 1} {
		content := noise(uint64(i), n)
		first, _ := r.put(`Text/HTML; Charset="utf-8"`, content)
		if want := "text/html; charset=utf-8"; first.ContentType != want {
			r.Errorf("content type %q, want %q", first.ContentType, want)
		}
		r.clock.move(time.Minute)
		again, created := r.put("image/png", content)
		want := first
		want.CreatedAt = first.CreatedAt.Add(time.Minute)
		if created || again != want || r.blob(first.SHA256) != want {
			r.Errorf("second upload: got %+v, created %t, want %+v", again, created, want)
		}
		r.clock.move(-time.Hour) // a clock that is set back takes no grace away
		if again, _ = r.put("", content); again != want {
			r.Errorf("upload after the clock was set back: got %+v, want %+v", again, want)
		}
		r.wantBytes(first.SHA256, content)
	}
	for i, kind := range []string{"", "nonsense", "a/b; c", "text/" + strings.Repeat("x", 300), "a/b\r\nX: y"} {
		if b, _ := r.put(kind, noise(uint64(10+i), 5)); b.ContentType != store.BlobTypeDefault {
			r.Errorf("content type %q was kept as %q", kind, b.ContentType)
		}
	}
}

var errReader = errors.New("the cable was cut")

func testBlobRefusals(r *rig) {
	const c = store.BlobChunkBytes
	for i, n := range []int{2, c, c + 1, 3 * c} {
		content := noise(uint64(i), n)
		hash := hashOf(content)
		if _, created, err := r.blobs().PutBlob(ctx, "", bytes.NewReader(content), int64(n)-1); store.CodeOf(err) != store.CodeBlobTooLarge || created {
			r.Errorf("%d bytes over the limit: got %v, created %t", n, err, created)
		}
		broken := io.MultiReader(bytes.NewReader(content), failing{})
		if _, _, err := r.blobs().PutBlob(ctx, "", broken, 0); !errors.Is(err, errReader) {
			r.Errorf("broken upload of %d bytes: got %v", n, err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancelled := io.MultiReader(bytes.NewReader(content), doing(cancel))
		if _, _, err := r.blobs().PutBlob(gone, "", cancelled, 0); !errors.Is(err, context.Canceled) {
			r.Errorf("cancelled upload of %d bytes: got %v", n, err)
		}
		r.noBlob(hash)
		if _, created, err := r.blobs().PutBlob(ctx, "", bytes.NewReader(content), int64(n)); err != nil || !created {
			r.Errorf("%d bytes at the limit: created %t, %v", n, created, err)
		}
		r.wantBytes(hash, content)
	}
	r.sweepBlobs(0, 0)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errReader }

// doing is a reader that is at its end once f has run.
type doing func()

func (f doing) Read([]byte) (int, error) { f(); return 0, io.EOF }

func testBlobConcurrent(r *rig) {
	const uploads = 6
	for round, n := range []int{50, 2*store.BlobChunkBytes + 9} {
		content := noise(uint64(round), n)
		var mu sync.Mutex
		made := 0
		var all sync.WaitGroup
		for range uploads {
			all.Go(func() {
				b, created, err := r.blobs().PutBlob(ctx, "image/png", bytes.NewReader(content), 0)
				if err != nil || b.SHA256 != hashOf(content) {
					r.Errorf("got %+v, %v", b, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if created {
					made++
				}
			})
		}
		all.Wait()
		if made != 1 {
			r.Errorf("%d bytes: %d of %d uploads made the blob", n, made, uploads)
		}
		r.wantBytes(hashOf(content), content)
	}
}

func testBlobInterleaved(r *rig) {
	content := noise(1, 3*store.BlobChunkBytes)
	hash := hashOf(content)
	between := doing(func() {
		r.append("s", plain, refersTo(hash))
		r.noBlob(hash)
		r.sweepBlobs(0, 0) // an upload that runs is no remainder of one
	})
	const cut = 2*store.BlobChunkBytes + 7
	b, created, err := r.blobs().PutBlob(ctx, "", io.MultiReader(bytes.NewReader(content[:cut]), between, bytes.NewReader(content[cut:])), 0)
	if err != nil || !created || b.Refs != 1 {
		r.Fatalf("got %+v, created %t, %v", b, created, err)
	}
	r.wantBytes(hash, content)
}

func testBlobRefs(r *rig) {
	a, _ := r.put("", []byte("a"))
	later := []byte("b")
	r.append("s", plain, refersTo(a.SHA256, a.SHA256, hashOf(later)), text("x"), refersTo(a.SHA256))
	r.append("t", plain, refersTo(hashOf(later)), store.Draft{Type: "note", Data: []byte(`[[{"x":[{"sha256" : "` + a.SHA256 + `"}]}]]`)})
	r.append("t", plain,
		store.Draft{Type: "note", Data: []byte(`{"text":"sha256 ` + a.SHA256 + `"}`)},
		store.Draft{Type: "note", Data: []byte(`{"sha256":"` + strings.ToUpper(a.SHA256) + `"}`)},
		store.Draft{Type: "note", Data: []byte(`null`), Raw: []byte(`{"sha256":"` + a.SHA256 + `"}`)})
	if got := r.blob(a.SHA256).Refs; got != 3 {
		r.Errorf("a: got %d references, want 3", got)
	}
	if b, _ := r.put("", later); b.Refs != 2 {
		r.Errorf("b, which came after its references: got %d, want 2", b.Refs)
	}
	if r.engine.Reopen {
		r.reopen()
		if got := r.blob(a.SHA256).Refs; got != 3 {
			r.Errorf("a after reopening: got %d references, want 3", got)
		}
	}
	// A refused append refers to nothing.
	r.refused(store.CodeHeadMoved, "s", expect(99), refersTo(a.SHA256))
	r.append("s", plain, func() store.Draft { d := refersTo(a.SHA256); d.Key = "k"; return d }())
	r.append("s", plain, func() store.Draft { d := refersTo(a.SHA256); d.Key = "k"; return d }())
	if got := r.blob(a.SHA256).Refs; got != 4 {
		r.Errorf("a after a refusal, an append and its repetition: got %d references, want 4", got)
	}
	r.clock.move(time.Hour)
	r.sweepBlobs(time.Minute, 0)
}

func testBlobRefsGo(r *rig) {
	b, _ := r.put("", []byte("b"))
	for _, s := range []string{"s", "t"} {
		r.append(s, plain, text("x"), refersTo(b.SHA256), refersTo(b.SHA256), text("x"))
	}
	r.clock.move(time.Hour)
	refs := func(want int64) {
		r.Helper()
		if got := r.blob(b.SHA256).Refs; got != want {
			r.Errorf("got %d references, want %d", got, want)
		}
	}
	refs(4)
	r.retain(store.Retention{Events: 2})
	refs(2)
	r.delete("t")
	refs(1)
	r.append("t", plain, refersTo(b.SHA256)) // the session made again has nothing of the old one's
	refs(2)
	r.delete("t")
	r.sweepBlobs(time.Minute, 0)
	r.retain(store.Retention{Events: 1})
	refs(0)
	r.sweepBlobs(time.Minute, 1)
	r.noBlob(b.SHA256)
	if _, created := r.put("", []byte("b")); !created {
		r.Error("the swept blob was still there")
	}
}

func testBlobRefsRedacted(r *rig) {
	b, _ := r.put("", []byte("b"))
	r.append("s", plain, refersTo(b.SHA256), refersTo(b.SHA256), refersTo(b.SHA256))
	r.redact("s", store.RedactSpec{From: 1, To: 2})
	if got := r.blob(b.SHA256).Refs; got != 1 {
		r.Errorf("got %d references after the redaction, want 1", got)
	}
	r.redact("s", store.RedactSpec{From: 3, To: 3})
	r.clock.move(time.Second)
	r.sweepBlobs(0, 1)
}

func testBlobRefsForked(r *rig) {
	b, _ := r.put("", []byte("b"))
	r.append("s", plain, refersTo(b.SHA256), refersTo(b.SHA256), refersTo(b.SHA256))
	r.redact("s", store.RedactSpec{From: 1, To: 1})
	r.fork("s", store.ForkSpec{After: 2, Session: "f"})
	refs := func(want int64) {
		r.Helper()
		if got := r.blob(b.SHA256).Refs; got != want {
			r.Errorf("got %d references, want %d", got, want)
		}
	}
	refs(3)
	r.delete("s")
	refs(1)
	r.clock.move(time.Second)
	r.sweepBlobs(0, 0)
	r.retain(store.Retention{Events: 1})
	r.delete("f")
	r.sweepBlobs(0, 1)
}

func testBlobGrace(r *rig) {
	const grace = time.Hour
	content := noise(1, store.BlobChunkBytes+1)
	b, _ := r.put("", content)
	other, _ := r.put("", []byte("other"))
	r.clock.move(grace)
	r.sweepBlobs(grace, 0)
	r.put("", content)
	r.clock.move(time.Millisecond)
	r.sweepBlobs(grace, 1)
	r.noBlob(other.SHA256)
	r.clock.move(grace - time.Millisecond)
	r.sweepBlobs(grace, 0)
	r.wantBytes(b.SHA256, content)
	r.clock.move(time.Millisecond)
	r.append("s", plain, refersTo(b.SHA256))
	r.sweepBlobs(grace, 0)
	r.delete("s")
	r.sweepBlobs(grace, 1)
	r.noBlob(b.SHA256)
	r.sweepBlobs(grace, 0)
}

// testBlobSweepMany has more blobs than one step of a sweep takes.
func testBlobSweepMany(r *rig) {
	const blobs = 230
	var held []string
	for i := range blobs {
		b, _ := r.put("", fmt.Appendf(nil, "blob %d", i))
		if i%7 == 0 {
			held = append(held, b.SHA256)
		}
	}
	r.append("s", plain, refersTo(held...))
	r.clock.move(time.Second)
	r.sweepBlobs(0, int64(blobs-len(held)))
	for _, hash := range held {
		r.blob(hash)
	}
}

func testBlobShutdown(r *rig) {
	b, _ := r.put("", []byte("b"))
	blobs := r.blobs()
	if err := r.Log.Close(); err != nil {
		r.Fatal(err)
	}
	_, _, put := blobs.PutBlob(ctx, "", strings.NewReader("x"), 0)
	_, get := blobs.Blob(ctx, b.SHA256)
	_, read := blobs.ReadBlob(ctx, b.SHA256, make([]byte, 1), 0)
	_, sweep := blobs.SweepBlobs(ctx, 0)
	for what, err := range map[string]error{"put": put, "get": get, "read": read, "sweep": sweep} {
		if !errors.Is(err, store.ErrShutdown) {
			r.Errorf("%s after close: got %v", what, err)
		}
	}
}
