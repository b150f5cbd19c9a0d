//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package access

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestKeysOfAnotherUser guards that a key which root makes for a server can be
// read by it: its files belong to whom the directory does.
func TestKeysOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const other = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, other, other); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keys.json")
	owner := func(path string) uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	for range 2 {
		mustCreate(t, path, allSpec())
		for _, name := range []string{path, path + ".lock"} {
			if got := owner(name); got != other {
				t.Errorf("%s belongs to %d, want %d", filepath.Base(name), got, other)
			}
		}
	}
	if err := os.Chown(path, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, path, allSpec())
	if got := owner(path); got != 1234 {
		t.Errorf("the file was given to %d, want whom it belonged to", got)
	}
}

// TestLockIsNoLink guards that a link in a directory of another user does not
// lead root to a file elsewhere.
func TestLockIsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	elsewhere := filepath.Join(dir, "elsewhere")
	path := filepath.Join(dir, "keys.json")
	if err := os.Symlink(elsewhere, path+".lock"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := CreateKey(t.Context(), path, allSpec()); err == nil {
		t.Error("the link was followed")
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("a file was made elsewhere")
	}
}
