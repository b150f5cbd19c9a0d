package access

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// privateMode is of files that hold secrets or their hashes.
const privateMode fs.FileMode = 0o600

// statEvery is how often a file is looked at for a change, at most: so long a
// revoked key may still be taken.
const statEvery = time.Second

// readPrivate reads a file that nobody else may read or change.
func readPrivate(path string, most int64) ([]byte, error) {
	body, info, err := readBounded(path, most)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&^privateMode != 0 { // there the mode says nothing
		return nil, fmt.Errorf("%s can be read or changed by others (mode %s): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return body, nil
}

// openToOthers reports whether every user of the machine may read the file.
// Windows says so by other means than the mode.
func openToOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}

// writableByOthers is the same for changing it.
func writableByOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0
}

func readBounded(path string, most int64) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a file", path)
	}
	body, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(body)) > most {
		return nil, nil, fmt.Errorf("%s is over the limit of %d bytes", path, most)
	}
	return body, info, nil
}

// writePrivate puts the content in the place of the file's: whoever reads it,
// and a crash, finds the old one or the new one whole.
func writePrivate(path string, body []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that matters is the first
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(body)
	err = errors.Join(err, giveOwner(f, path, filepath.Dir(path)), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in the directory last. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// watched has a file read again when it was replaced, at little cost.
type watched struct {
	path string

	mu     sync.Mutex // guards what follows, and keeps an older reading from coming after a newer; nobody waits for it
	last   time.Time  // when it was looked at
	info   fs.FileInfo
	err    error  // of the last look
	failed string // what the last reading ended with, or ""
}

// refresh calls read when the file is another than at the last call, or could
// not be read then: what has become of it may not show in its attributes. It
// looks at most once in statEvery, and not while another call does. The error
// is read's, and told once as long as it stays the same.
func (w *watched) refresh(now time.Time, read func() error) error {
	if !w.mu.TryLock() {
		return nil
	}
	defer w.mu.Unlock()
	if since := now.Sub(w.last); since >= 0 && since < statEvery {
		return nil
	}
	// The look comes before the reading: a change in between is seen next time.
	info, err := os.Stat(w.path)
	same := !w.last.IsZero() && sameFile(w.info, info) && errors.Is(err, fs.ErrNotExist) == errors.Is(w.err, fs.ErrNotExist)
	w.last, w.info, w.err = now, info, err
	if same && w.failed == "" {
		return nil
	}
	told := w.failed
	w.failed = ""
	if err = read(); err != nil {
		w.failed = err.Error()
	}
	if w.failed == told {
		return nil
	}
	return err
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}
