package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// blobRangesMax is how many ranges of a blob one request gets; with more it
// gets the whole: no player or downloader asks for many, and each costs a read.
const blobRangesMax = 16

// blobPolicy and what is beside it keep the content of a blob, which anybody
// may have sent, from acting in this server's name when a browser opens it.
const (
	blobPolicy      = "sandbox; default-src 'none'; frame-ancestors 'self'"
	blobDisposition = "attachment"
	blobCache       = "private, max-age=31536000, immutable" // the address is made of the content
)

// blobObject is a blob on the wire.
type blobObject struct {
	SHA256      string `json:"sha256"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
	URL         string `json:"url"`
}

// blobs returns the engine's ability to keep blobs.
func (s *Server) blobs() (store.Blobs, error) {
	b, ok := s.log.(store.Blobs)
	if !ok {
		return nil, store.Errorf(codeNotFound, "this server keeps no blobs")
	}
	return b, nil
}

// postBlob stores a body of any type. It is read as it arrives, with the
// silence bound of a streamed body instead of one for the whole.
func (s *Server) postBlob(c echo.Context) error {
	r := c.Request()
	blobs, err := s.blobs()
	if err != nil {
		return err
	}
	if _, err := queryOf(r); err != nil {
		return err
	}
	if err := checkCoding(r); err != nil {
		return err
	}
	digest, err := contentDigest(r.Header["Content-Digest"])
	if err != nil {
		return err
	}
	if r.ContentLength > s.limits.BlobBytes {
		return store.BlobTooLarge(s.limits.BlobBytes)
	}
	leave, err := s.conns.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	var b store.Blob
	var created bool
	err = s.readStreamed(c, false, func(body io.Reader) error {
		if digest != nil {
			body = &checkedBody{r: body, hash: sha256.New(), want: digest}
		}
		b, created, err = blobs.PutBlob(r.Context(), r.Header.Get("Content-Type"), body, s.limits.BlobBytes)
		return err
	})
	if err != nil {
		return fmt.Errorf("put blob: %w", err)
	}
	b, status, err := s.uploadedBlob(r.Context(), blobs, b, created, r.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("put blob: %w", err)
	}
	o := blobObject{SHA256: b.SHA256, Bytes: b.Bytes, ContentType: b.ContentType, URL: "/v1/blobs/" + b.SHA256}
	c.Response().Header().Set("Location", o.URL)
	return writeJSON(c, status, o)
}

// readStreamed lends f the body of the request, each read of which may take as
// long as a streamed body may be silent. lines says that f collects lines.
func (s *Server) readStreamed(c echo.Context, lines bool, f func(io.Reader) error) error {
	w := c.Response()
	rc := http.NewResponseController(w)
	raw := &streamedBody{s: s, rc: rc, r: c.Request().Body}
	body := s.rates.body(c.Request().Context(), raw.Read, lines)
	defer body.hold.Release()
	err := f(body)
	s.intake.remove(rc)
	_ = rc.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout)) // the body may have taken longer than that
	if err != nil {
		_ = rc.SetReadDeadline(time.Now().Add(lingerTimeout))
		closeAfter(w, c.Request())
	}
	return err
}

// streamedBody gives errors of the body their codes.
type streamedBody struct {
	s  *Server
	rc *http.ResponseController
	r  io.Reader
}

func (b *streamedBody) Read(p []byte) (int, error) {
	if err := b.s.intake.extend(b.rc); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case b.s.intake.isClosed():
		return n, store.ErrShutdown
	}
	return n, errBody(err)
}

// checkedBody ends with store.ErrDigestMismatch, and not with io.EOF, when the
// body is not what its digest says. So nothing of it is stored.
type checkedBody struct {
	r    io.Reader
	hash hash.Hash
	want []byte
}

func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.hash.Write(p[:n])
	if err == io.EOF && string(b.hash.Sum(nil)) != string(b.want) {
		err = store.ErrDigestMismatch
	}
	return n, err
}

// contentDigest returns the SHA-256 of a Content-Digest header (RFC 9530), nil
// when it has none. Other algorithms are passed over, as the RFC allows.
func contentDigest(values []string) (sum []byte, err error) {
	malformed := store.Errorf(store.CodeInvalidQuery, "Content-Digest: want sha-256=:BASE64: with the 32 bytes of a SHA-256")
	for _, member := range strings.Split(strings.Join(values, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if name != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters, of which none is known
		value = strings.TrimSpace(value)
		if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
			return nil, malformed
		}
		// The last one counts, as in every dictionary of structured fields.
		if sum, err = base64.StdEncoding.DecodeString(value[1 : len(value)-1]); err != nil || len(sum) != sha256.Size {
			return nil, malformed
		}
	}
	return sum, nil
}

// getBlob gives the content of a blob, or ranges of it.
func (s *Server) getBlob(c echo.Context) error {
	r, w := c.Request(), c.Response()
	blobs, err := s.blobs()
	if err != nil {
		return err
	}
	if _, err := queryOf(r); err != nil {
		return err
	}
	name, err := url.PathUnescape(c.Param("sha256"))
	if err != nil {
		return store.ErrBlobNotFound
	}
	b, err := s.shownBlob(r.Context(), blobs, name)
	if err != nil {
		return at("blob", name, err)
	}
	leave, err := s.conns.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	if strings.Count(r.Header.Get("Range"), ",") >= blobRangesMax {
		r.Header.Del("Range")
	}
	h := w.Header()
	h.Set("Content-Type", store.BlobType(b.ContentType))
	h.Set("Content-Disposition", blobDisposition)
	h.Set("Content-Security-Policy", blobPolicy)
	h.Set("Cache-Control", blobCache)
	h.Set("ETag", `"`+b.SHA256+`"`)
	liftDeadlines(w)
	content := &blobReader{size: b.Bytes, timeout: s.limits.WriteTimeout, rc: http.NewResponseController(w)}
	content.read = func(p []byte, off int64) (int, error) { return blobs.ReadBlob(r.Context(), b.SHA256, p, off) }
	defer content.close()
	content.extend()
	out := &rangeWriter{ResponseWriter: w}
	http.ServeContent(out, r, "", time.Time{}, content)
	if out.refused {
		h.Del("Content-Disposition")
		h.Del("ETag")
		h["Content-Security-Policy"] = apiPolicy
		return store.Errorf(codeRangeRefused, "range %.80q: the blob has %d bytes", r.Header.Get("Range"), b.Bytes)
	}
	return content.err // the connection is cut: the length was told
}

// rangeWriter keeps back net/http's own refusal of a range.
type rangeWriter struct {
	http.ResponseWriter
	refused bool
}

func (w *rangeWriter) WriteHeader(status int) {
	if w.refused = status == http.StatusRequestedRangeNotSatisfiable; !w.refused {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *rangeWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// blobWindow is what a blobReader holds: the piece that the engine reads at
// once.
type blobWindow [store.BlobChunkBytes]byte

var blobWindows = sync.Pool{New: func() any { return new(blobWindow) }}

// blobReader reads a blob for http.ServeContent, a piece at a time, and gives
// the client another while for each.
type blobReader struct {
	read    func(p []byte, off int64) (int, error) // as store.Blobs.ReadBlob
	size    int64
	timeout time.Duration // to send one piece
	rc      *http.ResponseController

	window *blobWindow // or nil
	start  int64       // the offset of the window
	held   int         // bytes in the window
	offset int64
	err    error // the first failure that is not the end
}

// errSeek is a seek that http.ServeContent never makes.
var errSeek = errors.New("seek before the start")

// Seek implements io.Seeker.
func (b *blobReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.offset
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errSeek
	}
	b.offset = offset
	return offset, nil
}

func (b *blobReader) Read(p []byte) (int, error) {
	if b.offset >= b.size {
		return 0, io.EOF
	}
	if b.window == nil || b.offset < b.start || b.offset >= b.start+int64(b.held) {
		if err := b.fill(); err != nil {
			b.err = err
			return 0, err
		}
	}
	n := copy(p, b.window[b.offset-b.start:b.held])
	b.offset += int64(n)
	return n, nil
}

// fill reads the piece around the offset.
func (b *blobReader) fill() error {
	if b.window == nil {
		b.window = blobWindows.Get().(*blobWindow)
	}
	b.extend()
	b.start = b.offset - b.offset%store.BlobChunkBytes
	var err error
	if b.held, err = b.read(b.window[:], b.start); err == io.EOF {
		err = nil
	}
	if err == nil && b.offset >= b.start+int64(b.held) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read blob at %d: %w", b.start, err)
	}
	return nil
}

func (b *blobReader) extend() {
	_ = b.rc.SetWriteDeadline(time.Now().Add(b.timeout)) // a connection without deadlines needs none
}

func (b *blobReader) close() {
	if b.window != nil {
		blobWindows.Put(b.window)
	}
}
