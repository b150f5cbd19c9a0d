package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// blobCopyBytes is how much of a blob is held while it is copied.
const blobCopyBytes = 64 << 10

// PutBlob stores content, once: what the server has already is returned with
// created false. Refer to it from events by its SHA-256. Content that is an
// io.Seeker is sent again after a failure that may pass, from where it stood;
// any other once. Sending the same content again by hand is safe, too.
func (c *Client) PutBlob(ctx context.Context, contentType string, content io.Reader) (b store.Blob, created bool, err error) {
	start, size := int64(0), int64(-1)
	seeker, _ := content.(io.Seeker)
	if seeker != nil {
		if start, size, err = extent(seeker); err != nil {
			seeker, err = nil, nil // such as a pipe, which is a file too
		}
	}
	err = c.persist(ctx, "put blob", func() (progress, again bool, err error) {
		body := &sentBlob{r: content, size: size, hash: sha256.New()}
		b, created, err = c.putBlob(ctx, contentType, body)
		if again = err != nil && seeker != nil && body.stop() == nil; again {
			body.reading.Lock() // the transport may not have noticed yet
			defer body.reading.Unlock()
			if _, seekErr := seeker.Seek(start, io.SeekStart); seekErr != nil {
				return false, false, errors.Join(err, seekErr)
			}
		}
		return false, again, err
	})
	return b, created, err
}

// extent returns where content stands and how much of it is left.
func extent(content io.Seeker) (start, size int64, err error) {
	if start, err = content.Seek(0, io.SeekCurrent); err != nil {
		return 0, -1, err
	}
	end, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, -1, err
	}
	_, err = content.Seek(start, io.SeekStart)
	return start, max(end-start, 0), err
}

func (c *Client) putBlob(ctx context.Context, contentType string, body *sentBlob) (store.Blob, bool, error) {
	ctx, body.watch = c.watched(ctx)
	defer body.watch.stop()
	u := c.url(nil, "v1", "blobs")
	resp, err := c.send(ctx, http.MethodPost, u, http.Header{"Content-Type": {contentType}}, body)
	if failed := body.stop(); failed != nil {
		err = failed
	}
	if err != nil {
		return store.Blob{}, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return store.Blob{}, false, statusError(resp, http.MethodPost, u)
	}
	var w struct {
		SHA256      string `json:"sha256"`
		Bytes       int64  `json:"bytes"`
		ContentType string `json:"contentType"`
	}
	if err := decodeBody(resp.Body, &w); err != nil {
		return store.Blob{}, false, err
	}
	if sum := body.sum(); w.SHA256 != sum {
		return store.Blob{}, false, fmt.Errorf("the server has %.64q, sent was %s: %w", w.SHA256, sum, ErrUnreadable)
	}
	return store.Blob{SHA256: w.SHA256, Bytes: w.Bytes, ContentType: w.ContentType}, resp.StatusCode == http.StatusCreated, nil
}

// errStopped ends the reading of a body whose answer is there.
var errStopped = errors.New("the answer came before the end of the body")

// sentBlob is content on its way. The transport reads it in a goroutine of its
// own, which may still be at it when the answer is there.
type sentBlob struct {
	size  int64 // -1 when it is not known
	watch *watch

	reading sync.Mutex // guards r; held for as long as it takes to read
	r       io.Reader

	mu      sync.Mutex // guards what follows
	hash    hash.Hash
	failed  error // of r, but its end; or nil
	stopped bool
}

func (b *sentBlob) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.isStopped() {
		return 0, errStopped
	}
	n, err := b.r.Read(p)
	b.watch.moved()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hash.Write(p[:n])
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

func (b *sentBlob) isStopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}

// stop lets no further read begin and returns why the content could not be
// read, or nil.
func (b *sentBlob) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	return b.failed
}

func (b *sentBlob) sum() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return hex.EncodeToString(b.hash.Sum(nil))
}

// Blob describes a blob, or gives store.ErrBlobNotFound. Its SHA256, Bytes and
// ContentType are set.
func (c *Client) Blob(ctx context.Context, sha256 string) (b store.Blob, err error) {
	err = c.persist(ctx, "blob "+sha256, func() (progress, again bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, c.retry.AttemptTimeout)
		defer cancel()
		resp, err := c.openBlob(ctx, http.MethodHead, sha256, 0)
		if err != nil {
			return false, true, err
		}
		b = describedBlob(resp, sha256)
		return false, true, resp.Body.Close()
	})
	return b, err
}

// CopyBlob writes the content of a blob to w. When the connection breaks it
// goes on from there. It returns nil only when all of it was written and has
// the hash that was asked for; after any error a part of it may have been.
func (c *Client) CopyBlob(ctx context.Context, w io.Writer, sha256Hex string) (b store.Blob, err error) {
	d := &blobCopy{client: c, w: w, name: sha256Hex, hash: sha256.New()}
	err = c.persist(ctx, "copy blob "+sha256Hex, func() (progress, again bool, err error) {
		before := d.done
		b, err = d.some(ctx)
		return d.done > before, d.failed == nil, err
	})
	if err == nil && hex.EncodeToString(d.hash.Sum(nil)) != sha256Hex {
		err = fmt.Errorf("copy blob %s: %w", sha256Hex, store.ErrDigestMismatch)
	}
	return b, err
}

// blobCopy is a CopyBlob on its way.
type blobCopy struct {
	client *Client
	w      io.Writer
	name   string
	hash   hash.Hash
	done   int64 // bytes that are written
	failed error // of w, or nil
}

// some copies from where the copy stands until the end, or until something
// breaks.
func (d *blobCopy) some(ctx context.Context) (b store.Blob, err error) {
	ctx, watch := d.client.watched(ctx)
	defer watch.stop()
	resp, err := d.client.openBlob(ctx, http.MethodGet, d.name, d.done)
	if err != nil {
		return b, err
	}
	defer resp.Body.Close()
	b = describedBlob(resp, d.name)
	if resp.StatusCode == http.StatusOK && d.done > 0 { // something on the way knows no ranges
		if _, err := io.CopyN(io.Discard, &watchedReader{resp.Body, watch}, d.done); err != nil {
			return b, err
		}
	}
	buf := make([]byte, blobCopyBytes)
	for {
		n, err := resp.Body.Read(buf)
		watch.moved()
		if n > 0 {
			if _, d.failed = d.w.Write(buf[:n]); d.failed != nil {
				return b, d.failed
			}
			d.hash.Write(buf[:n])
			d.done += int64(n)
		}
		switch {
		case err == io.EOF && b.Bytes >= 0 && d.done < b.Bytes:
			return b, io.ErrUnexpectedEOF // cut by something that counts no bytes
		case err == io.EOF:
			b.Bytes = d.done
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// openBlob asks for a blob from an offset on. The caller closes the body.
func (c *Client) openBlob(ctx context.Context, method, name string, from int64) (*http.Response, error) {
	var header http.Header
	if from > 0 {
		header = http.Header{"Range": {"bytes=" + strconv.FormatInt(from, 10) + "-"}}
	}
	u := c.url(nil, "v1", "blobs", name)
	resp, err := c.send(ctx, method, u, header, http.NoBody)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || from > 0 && resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	defer resp.Body.Close()
	refused := statusError(resp, method, u)
	if method == http.MethodHead && resp.StatusCode == http.StatusNotFound { // an answer without a body has no code
		refused.refusal = store.ErrBlobNotFound
	}
	return nil, refused
}

// describedBlob reads what the header of an answer says; Bytes is -1 when it
// does not say.
func describedBlob(resp *http.Response, name string) store.Blob {
	b := store.Blob{SHA256: name, Bytes: resp.ContentLength, ContentType: resp.Header.Get("Content-Type")}
	if resp.StatusCode == http.StatusPartialContent {
		var first, last int64
		if n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &b.Bytes); n != 3 {
			b.Bytes = -1
		}
	}
	return b
}

// persist calls f until it succeeds, or fails in a way that will not pass, or
// too often in a row without any progress.
func (c *Client) persist(ctx context.Context, op string, f func() (progress, again bool, err error)) error {
	renewals := 0
	for attempt := 0; ; attempt++ {
		had := c.token.kept()
		progress, again, err := f()
		if err == nil {
			return nil
		}
		if progress {
			attempt = 0
		}
		wait := jitter(attempt, c.retry.WaitMin, c.retry.WaitMax)
		var se *StatusError
		switch {
		case errors.As(err, &se):
			if had == "" { // it was the first that was asked for
				had = c.token.kept()
			}
			if again && renewals < renewalsMax {
				if other, failed := c.anotherToken(ctx, se.Status, had); other && failed == nil {
					renewals, wait = renewals+1, 0
					break
				}
			}
			again = again && transient(se.Status, store.CodeOf(err))
			wait += se.RetryAfter
		case errors.Is(err, ErrUnreadable), errors.Is(err, ErrToken):
			again = false
		}
		if !again || ctx.Err() != nil || attempt+1 >= c.retry.Attempts {
			return fmt.Errorf("%s: %w", op, err)
		}
		c.log.Debug("request failed; trying again", "op", op, "attempt", attempt+1, "wait", wait, "err", err)
		if cause := sleep(ctx, wait); cause != nil {
			return fmt.Errorf("%s: %w (last: %w)", op, cause, err)
		}
	}
}

// watch cancels a request in which nothing moves for as long as another
// request may take as a whole.
type watch struct {
	timer   *time.Timer
	silence time.Duration
	cancel  context.CancelCauseFunc
}

// errSilence is why a watch cancels a request.
var errSilence = errors.New("nothing moved for too long")

func (c *Client) watched(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	silence := c.retry.AttemptTimeout
	return ctx, &watch{time.AfterFunc(silence, func() { cancel(errSilence) }), silence, cancel}
}

func (w *watch) moved() { w.timer.Reset(w.silence) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedReader tells its watch of each read.
type watchedReader struct {
	r     io.Reader
	watch *watch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.watch.moved()
	return n, err
}
