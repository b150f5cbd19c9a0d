//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package access

import (
	"io/fs"
	"os"
	"syscall"
)

// giveOwner gives a new file to whom the first of the paths that is there
// belongs: who makes a key as root does not shut the server out. Only root can,
// and only root needs to.
func giveOwner(f *os.File, of ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var info fs.FileInfo
	var err error
	for _, path := range of {
		if info, err = os.Stat(path); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}
