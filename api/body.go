package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// buffer is the memory of one request: its body, and then its answer.
type buffer struct {
	b    []byte
	hold stream.Hold // what it has of the room for bodies; until free
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bodyBytesStart)} }}

func (b *buffer) free() {
	b.hold.Release()
	if cap(b.b) <= bodyBytesKept {
		buffers.Put(b)
	}
}

// readBody reads the whole body, up to max bytes. The caller frees the buffer
// when err is nil.
func (s *Server) readBody(r *http.Request, max int) (*buffer, error) {
	if r.ContentLength > int64(max) {
		return nil, errBodyTooLarge(max)
	}
	if err := s.rates.ofBytes(r.Context(), int(r.ContentLength)); err != nil {
		return nil, err
	}
	buf := buffers.Get().(*buffer)
	buf.b, buf.hold = buf.b[:0], s.rates.intake.Hold()
	for {
		if len(buf.b) == cap(buf.b) {
			if !buf.hold.Grow(2 * len(buf.b)) {
				buf.free()
				return nil, s.rates.full()
			}
			buf.b = append(buf.b, 0)[:len(buf.b)]
		}
		n, err := r.Body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case len(buf.b) > max:
			err = errBodyTooLarge(max)
		case err == io.EOF && r.ContentLength < 0: // its size was not told before
			if err = s.rates.ofBytes(r.Context(), len(buf.b)); err == nil {
				return buf, nil
			}
		case err == io.EOF:
			return buf, nil
		case err != nil:
			err = errBody(err)
		}
		if err != nil {
			buf.free()
			return nil, err
		}
	}
}

func errBodyTooLarge(max int) error {
	return store.Errorf(codeRequestTooLarge, "the body is over the limit of %d bytes; send it in parts, or streamed as application/x-ndjson", max)
}

// errBody classes a failed read of a body.
func errBody(err error) error {
	if store.CodeOf(err) != "" { // it was cut here: by a limit, or because its credential was revoked
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return store.Because(codeRequestTimeout, err, "nothing came for too long")
	}
	return store.Because(codeInterrupted, err, "the body ended before it was complete")
}

// checkCoding refuses a compressed body: its size before and after would both
// need bounds, and what is appended is kept as it came.
func checkCoding(r *http.Request) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return store.Errorf(codeUnsupportedCoding, "content-encoding %.40q: send the body as it is", coding)
	}
	return nil
}

// mediaType says whether the body is a stream of lines. JSON may come under
// the names that common tools send by themselves.
func mediaType(r *http.Request) (lines bool, err error) {
	v, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "", "application/json", "text/plain", "application/x-www-form-urlencoded":
		return false, nil
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return true, nil
	}
	return false, store.Errorf(codeUnsupportedMedia, "content-type %.80q: use application/json or application/x-ndjson", v)
}
