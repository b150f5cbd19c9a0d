//go:build unix

package run

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the file for this process, or gives ErrSpoolBusy. The lock
// ends with the process, however that ends; children do not inherit it, since
// Go opens files with close-on-exec.
func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrSpoolBusy
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}
