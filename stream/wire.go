package stream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// writeChunkBytes is what a peer has to take within the write timeout. Its
// line may be slower than that for a whole event: who makes progress is not
// cut, else it would come back for the same event for ever.
const writeChunkBytes = 64 << 10

// writeChunks writes p, and calls arm before each chunk.
func writeChunks(w io.Writer, p []byte, arm func() error) (written int, err error) {
	for len(p) > 0 {
		if err := arm(); err != nil {
			return written, fmt.Errorf("set write deadline: %w", err)
		}
		n, err := w.Write(p[:min(len(p), writeChunkBytes)])
		written += n
		if err != nil {
			return written, fmt.Errorf("write: %w", err)
		}
		p = p[n:]
	}
	return written, nil
}

var errCut = errors.New("the connection was cut off")

// responseWire is the response under an event stream or a page.
type responseWire struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	mu      sync.Mutex // guards the deadline and severed
	severed bool
}

func newResponseWire(w http.ResponseWriter, timeout time.Duration) *responseWire {
	return &responseWire{w: w, control: http.NewResponseController(w), timeout: timeout}
}

func (r *responseWire) Write(p []byte) (int, error) {
	return writeChunks(r.w, p, func() error { return r.until(time.Now().Add(r.timeout)) })
}

// release lifts the deadline: the connection may serve other requests.
func (r *responseWire) release() { _ = r.until(time.Time{}) }

// until sets the write deadline. A writer without deadlines has the server's own.
func (r *responseWire) until(deadline time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.severed {
		return errCut
	}
	if err := r.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// cut ends the write at hand, and all later ones.
func (r *responseWire) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.severed = true
	_ = r.control.SetWriteDeadline(time.Unix(1, 0))
}
