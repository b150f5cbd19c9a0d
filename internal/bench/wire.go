package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// The buffer of a wire begins as small as asked for and grows when one frame
// or answer does not fit.
const (
	wireBytesSmall = 8 << 10   // one of a thousand readers
	wireBytesBulk  = 256 << 10 // one of a few that read as fast as they can
	wireBytesMax   = 64 << 20  // nothing that a server sends in one piece is near this
)

// errDone ends wire.run without an error.
var errDone = errors.New("done")

// handler is given all bytes that were read and not used yet, and says how many
// it used. at is when they arrived.
type handler func(b []byte, at int64) (used int, err error)

// wire is one TCP connection to the server. One goroutine reads; writes may
// come from another.
type wire struct {
	conn *net.TCPConn
	buf  []byte
	fill int // bytes of buf that wait to be used
}

// dial connects. The connection's deadline is that of ctx, so that a server
// that falls silent cannot hold the benchmark.
func dial(ctx context.Context, addr string, bufferBytes int) (*wire, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	w := &wire{conn: conn.(*net.TCPConn), buf: make([]byte, bufferBytes)}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails on a closed connection only, which shows at the next use
	}
	return w, nil
}

func (w *wire) close() { _ = w.conn.Close() }

func (w *wire) write(b []byte) error {
	if _, err := w.conn.Write(b); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// run reads until handle returns errDone or an error.
func (w *wire) run(handle handler) error {
	err := w.use(handle)
	if err == nil {
		err = w.read(handle)
	}
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// use gives what is there to handle and keeps what it leaves.
func (w *wire) use(handle handler) error {
	if w.fill == 0 {
		return nil
	}
	used, err := handle(w.buf[:w.fill], now())
	copy(w.buf, w.buf[used:w.fill])
	w.fill -= used
	return err
}

// room returns the free part of the buffer, which is never empty.
func (w *wire) room() ([]byte, error) {
	if w.fill == len(w.buf) {
		if len(w.buf) >= wireBytesMax {
			return nil, fmt.Errorf("more than %d bytes in one piece", wireBytesMax)
		}
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	return w.buf[w.fill:], nil
}

// exchange sends a request and returns the status and body of its answer. The
// body is valid until the next use of the wire.
func (w *wire) exchange(request []byte) (status int, body []byte, err error) {
	if err := w.write(request); err != nil {
		return 0, nil, err
	}
	err = w.run(func(b []byte, _ int64) (int, error) {
		a, used, err := parseAnswer(b)
		if used == 0 || err != nil {
			return 0, err
		}
		status, body = a.status, append([]byte(nil), a.body...)
		return used, errDone
	})
	return status, body, err
}

// connectTimeout bounds dialling and the wait for a child to answer.
const connectTimeout = 20 * time.Second
