//go:build !unix

package bench

import "fmt"

// read is the portable form of wire.read.
func (w *wire) read(handle handler) error {
	for {
		room, err := w.room()
		if err != nil {
			return err
		}
		n, err := w.conn.Read(room)
		w.fill += n
		if n > 0 {
			if err := w.use(handle); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
}
