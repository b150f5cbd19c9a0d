//go:build unix

package run

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openContext follows no link, and does not wait at a pipe.
func openContext(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// checkContextOwner refuses a file that others can read, or could have written.
func checkContextOwner(at os.FileInfo) error {
	if mode := at.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("others have access to it (mode %04o), and it holds secrets: chmod 600 it, and make it with umask 077", mode)
	}
	if s, ok := at.Sys().(*syscall.Stat_t); ok && os.Geteuid() != 0 && int(s.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user: chown it to the one that runs this")
	}
	return nil
}
