//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tryLock takes the lock file, which ends with the process at the latest. The
// file stays: to remove it would let two programs hold two of them.
func tryLock(path string) (unlock func(), err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock the key file: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { _ = f.Close() }, nil // which gives the lock back
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// openLock makes the file when it is absent. A link is not followed: the
// directory may be another user's, and root may be who makes the key.
func openLock(path string) (*os.File, error) {
	const flags = os.O_RDWR | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, privateMode)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, flags, privateMode)
	}
	if err != nil {
		return nil, err
	}
	if err := giveOwner(f, filepath.Dir(path)); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}
