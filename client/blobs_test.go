package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func picture() []byte { return bytes.Repeat([]byte("0123456789abcdefg"), 40_000) }

func TestBlobs(t *testing.T) {
	c := serve(t)
	content := picture()
	for i, body := range []io.Reader{bytes.NewReader(content), struct{ io.Reader }{bytes.NewReader(content)}} {
		b, created, err := c.PutBlob(t.Context(), "image/png", body)
		if err != nil || created != (i == 0) || b.SHA256 != hashOf(content) || b.Bytes != int64(len(content)) || b.ContentType != "image/png" {
			t.Fatalf("got %+v, created %t, %v", b, created, err)
		}
	}
	hash := hashOf(content)
	if b, err := c.Blob(t.Context(), hash); err != nil || b.SHA256 != hash || b.Bytes != int64(len(content)) || b.ContentType != "image/png" {
		t.Errorf("got %+v, %v", b, err)
	}
	var got bytes.Buffer
	if b, err := c.CopyBlob(t.Context(), &got, hash); err != nil || b.Bytes != int64(len(content)) || b.ContentType != "image/png" || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("copied %d bytes, %+v, %v", got.Len(), b, err)
	}
	started := strings.NewReader("skipped and sent")
	if _, err := started.Seek(12, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, _, err := c.PutBlob(t.Context(), "", started); err != nil || b.SHA256 != hashOf([]byte("sent")) {
		t.Errorf("got %+v, %v; want the content from where it stood", b, err)
	}
	for _, name := range []string{hashOf([]byte("other")), "x"} {
		_, err := c.Blob(t.Context(), name)
		_, copyErr := c.CopyBlob(t.Context(), &got, name)
		if !errors.Is(err, store.ErrBlobNotFound) || !errors.Is(copyErr, store.ErrBlobNotFound) {
			t.Errorf("%s: got %v, %v", name, err, copyErr)
		}
	}
	_, _, err := c.PutBlob(t.Context(), "", io.LimitReader(zeros{}, store.BlobBytesDefault+1))
	if store.CodeOf(err) != store.CodeBlobTooLarge {
		t.Errorf("too large: got %v", err)
	}
	_, _, err = c.PutBlob(t.Context(), "", bytes.NewReader(make([]byte, 2*store.BlobBytesDefault)))
	if store.CodeOf(err) != store.CodeBlobTooLarge {
		t.Errorf("much too large: got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// shaky makes a client of a server that f answers for.
func shaky(t *testing.T, f func(attempt int64, w http.ResponseWriter, r *http.Request)) *client.Client {
	var attempts atomic.Int64
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(attempts.Add(1), w, r) }))
	c, err := client.New(ts.URL, client.WithRetry(client.RetryLimits{Attempts: 4, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, AttemptTimeout: 300 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); ts.Close() })
	return c
}

func TestBlobUploadIsSentAgain(t *testing.T) {
	content := picture()
	c := shaky(t, func(attempt int64, w http.ResponseWriter, r *http.Request) {
		switch attempt {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		case 2:
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			panic(http.ErrAbortHandler)
		default:
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, content) || r.ContentLength != int64(len(content)) {
				t.Errorf("attempt %d: %d of %d bytes, %v", attempt, len(got), r.ContentLength, err)
			}
			w.WriteHeader(201)
			fmt.Fprintf(w, `{"sha256":%q,"bytes":%d}`, hashOf(got), len(got))
		}
	})
	if b, created, err := c.PutBlob(t.Context(), "", bytes.NewReader(content)); err != nil || !created || b.SHA256 != hashOf(content) {
		t.Errorf("got %+v, %t, %v", b, created, err)
	}
}

var errReader = errors.New("the disk is gone")

type failing struct{ io.ReadSeeker }

func (failing) Read([]byte) (int, error) { return 0, errReader }

func TestBlobUploadFailures(t *testing.T) {
	for name, test := range map[string]struct {
		body     io.Reader
		want     error
		attempts int64 // 0 when it is not told how many of them arrive
	}{
		"a stream":      {struct{ io.Reader }{strings.NewReader("x")}, nil, 1},
		"a file":        {strings.NewReader("x"), nil, 4},
		"a broken file": {failing{strings.NewReader("x")}, errReader, 0},
	} {
		var attempts atomic.Int64
		c := shaky(t, func(attempt int64, w http.ResponseWriter, r *http.Request) {
			attempts.Store(attempt)
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(503)
		})
		_, _, err := c.PutBlob(t.Context(), "", test.body)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || test.attempts > 0 && attempts.Load() != test.attempts {
			t.Errorf("%s: %d attempts, %v", name, attempts.Load(), err)
		}
	}
	liar := shaky(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, `{"sha256":%q,"bytes":1}`, hashOf([]byte("y")))
	})
	if _, _, err := liar.PutBlob(t.Context(), "", strings.NewReader("x")); !errors.Is(err, client.ErrUnreadable) {
		t.Errorf("another hash in the answer: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := liar.PutBlob(ctx, "", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestBlobUploadEndsAtASilentServer bounds the silence and not the whole.
func TestBlobUploadEndsAtASilentServer(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	c := shaky(t, func(_ int64, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	if _, _, err := c.PutBlob(t.Context(), "", struct{ io.Reader }{strings.NewReader("x")}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBlobCopyGoesOnAfterACut(t *testing.T) {
	content := picture()
	for _, ranges := range []bool{true, false} {
		c := shaky(t, func(attempt int64, w http.ResponseWriter, r *http.Request) {
			if !ranges {
				r.Header.Del("Range")
			}
			if attempt <= 6 { // more often than attempts without progress are made
				w = &cutting{w, 100_000 * int(attempt)}
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
		var got bytes.Buffer
		if b, err := c.CopyBlob(t.Context(), &got, hashOf(content)); err != nil || b.Bytes != int64(len(content)) || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("ranges %t: copied %d bytes, %+v, %v", ranges, got.Len(), b, err)
		}
	}
}

// cutting ends the connection after some bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (w *cutting) Write(p []byte) (int, error) {
	if len(p) > w.left {
		_, _ = w.ResponseWriter.Write(p[:w.left])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	w.left -= len(p)
	return w.ResponseWriter.Write(p)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errReader }

func TestBlobCopyFailures(t *testing.T) {
	content := []byte("content")
	var attempts atomic.Int64
	c := shaky(t, func(attempt int64, w http.ResponseWriter, _ *http.Request) {
		attempts.Store(attempt)
		_, _ = w.Write(content)
	})
	if _, err := c.CopyBlob(t.Context(), io.Discard, hashOf([]byte("other"))); !errors.Is(err, store.ErrDigestMismatch) {
		t.Errorf("other content: got %v", err)
	}
	before := attempts.Load()
	if _, err := c.CopyBlob(t.Context(), full{}, hashOf(content)); !errors.Is(err, errReader) || attempts.Load() != before+1 {
		t.Errorf("full disk: got %v after %d attempts", err, attempts.Load()-before)
	}
}
