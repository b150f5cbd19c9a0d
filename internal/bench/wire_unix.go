//go:build unix

package bench

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// read takes one system call per wake-up, where net.Conn.Read takes two: the
// callback of a single RawConn.Read stays registered with the poller, and a
// read that did not fill the buffer has emptied the socket, so that the next
// arrival wakes it again. A peer that closes right behind its last bytes can
// go unseen until the deadline; a scenario knows by its counts when to end.
func (w *wire) read(handle handler) error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	var result error
	err = raw.Read(func(fd uintptr) bool {
		for {
			var room []byte
			if room, result = w.room(); result != nil {
				return true
			}
			n, err := syscall.Read(int(fd), room)
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
				return false
			case err != nil:
				result = fmt.Errorf("receive: %w", err)
				return true
			case n == 0:
				result = fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
				return true
			}
			w.fill += n
			if result = w.use(handle); result != nil {
				return true
			}
			if n < len(room) {
				return false
			}
		}
	})
	if result == nil && err != nil {
		result = fmt.Errorf("receive: %w", err)
	}
	return result
}
