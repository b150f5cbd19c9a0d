package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// backupPages is how many pages are copied between two looks at ctx.
const backupPages = 1024

// SumSuffix is what the name of the file with a backup's SHA-256 ends with. It
// has the form of sha256sum, which can check it.
const SumSuffix = ".sha256"

// DamagedSuffix is what is added to the name of a backup in which something is
// wrong: it is kept, but is not what was asked for.
const DamagedSuffix = ".damaged"

// BackupOptions say how to back up. The zero value is good.
type BackupOptions struct {
	Copied  func(done, total int64) // or nil; pages
	Checked func(done, total int64) // or nil; events
	Problem func(Problem)           // or nil; of what is wrong with the copy
	Plain   bool                    // the copy is not checked and has no SHA-256 beside it

	step stepFunc // or nil; for tests
}

// stepFunc hears of each step that makes a file durable or known under its name,
// before it is done. An error of it ends the work at once, as a crash does.
type stepFunc func(what, path string) error

func (f stepFunc) at(what, path string) error {
	if f == nil {
		return nil
	}
	return f(what, path)
}

// errCrash is what a stepFunc returns to leave everything as it is.
var errCrash = errors.New("crash")

// DamagedError says that a backup is not sound.
type DamagedError struct {
	File     string // where it is
	Problems int64
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the copy is not sound (problems: %d); it is kept as %s", e.Problems, e.File)
}

// Backup writes a copy of the database in dir to file, as of one moment, also
// while a server runs on dir. The copy is checked as Verify does and fsynced
// before it has its name; an existing file is refused. When it is put back every
// session gets a new epoch.
//
// While it copies the server's write-ahead log cannot be cut back.
func Backup(ctx context.Context, dir, file string, o BackupOptions) (Report, error) {
	return backup(ctx, dir, file, o, func(part string) error {
		c, err := openExisting(dir)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return copyPages(ctx, c, part, o.Copied)
	})
}

// BackupFrom is Backup of a database that is somewhere else. The write-ahead
// log there can be cut back all the while.
func BackupFrom(ctx context.Context, from store.Copier, file string, o BackupOptions) (Report, error) {
	return backup(ctx, "", file, o, func(part string) error {
		c, err := NewCopy(part)
		if err != nil {
			return err
		}
		c.Progress = o.Copied
		_, err = c.Sync(ctx, from, CopyPlace{})
		return errors.Join(err, c.Close())
	})
}

func backup(ctx context.Context, dir, file string, o BackupOptions, fill func(part string) error) (r Report, err error) {
	if _, err := os.Lstat(file); err == nil {
		return r, fmt.Errorf("backup: %s exists already: choose another file", file)
	}
	part, err := filepath.Abs(file + ".part")
	if err == nil {
		err = removeDatabase(part)
	}
	if err != nil {
		return r, fmt.Errorf("backup: %w", err)
	}
	err = createPrivate(part)
	if err == nil {
		err = fill(part)
	}
	if err == nil {
		r, err = seal(ctx, part, file, o)
	}
	if err != nil {
		if !errors.Is(err, errCrash) {
			_ = removeDatabase(part) // what cannot be removed is written over the next time
		}
		return r, fmt.Errorf("backup %s: %w", dir, err)
	}
	return r, nil
}

// seal checks a copy and gives it its name. The hash comes first: a backup that
// is there has it.
func seal(ctx context.Context, part, file string, o BackupOptions) (r Report, err error) {
	if !o.Plain {
		problem := o.Problem
		if problem == nil {
			problem = func(Problem) {}
		}
		if r, err = verifyFile(ctx, part, "the copy", problem, o.Checked); err != nil {
			return r, err
		}
		if r.Problems > 0 {
			damaged := file + DamagedSuffix
			if err := syncRename(part, damaged, o.step); err != nil {
				return r, err
			}
			return r, &DamagedError{damaged, r.Problems}
		}
		sum, err := SumFile(ctx, part)
		if err == nil {
			err = writeDurable(file+SumSuffix, sum+"  "+filepath.Base(file)+"\n", o.step)
		}
		if err != nil {
			return r, err
		}
	}
	return r, syncRename(part, file, o.step)
}

// SumFile returns the SHA-256 of a file in hexadecimal digits.
func SumFile(ctx context.Context, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(sum, f, backupPages*pageBytes)
		}
	}
	if err != io.EOF {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// writeDurable writes a small file that appears as a whole, readable by its
// owner alone.
func writeDurable(file, content string, step stepFunc) error {
	part := file + ".part"
	if err := os.WriteFile(part, []byte(content), 0o600); err != nil {
		return err
	}
	return syncRename(part, file, step)
}

func removeDatabase(file string) error {
	for _, f := range []string{file, file + "-journal", file + "-wal", file + "-shm"} {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// createPrivate makes an empty file that only its owner can read, as the data
// directory is.
func createPrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func copyPages(ctx context.Context, c *sqlite3.Conn, part string, progress func(done, total int64)) (err error) {
	// The transaction keeps all steps on one state of the database; without
	// it the copy would begin anew with every commit of the server.
	if _, err := c.Exec("BEGIN"); err != nil {
		return err
	}
	if _, err := c.Int("SELECT count(*) FROM sqlite_schema"); err != nil {
		return err
	}
	dst, err := sqlite3.Open(part, "", busyTimeoutMillis)
	if err != nil {
		return err
	}
	defer func() {
		if e := dst.Close(); err == nil {
			err = e
		}
	}()
	err = sqlite3.Copy(dst, c, backupPages, func(done, total int64) error {
		if progress != nil {
			progress(done, total)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	// One file without a journal of its own, that says what it is.
	return dst.Script(fmt.Sprintf("PRAGMA journal_mode(DELETE); PRAGMA synchronous(FULL); PRAGMA application_id = %d", copyMark))
}

// syncRename makes part durable under its final name.
func syncRename(part, file string, step stepFunc) error {
	err := step.at("sync", part)
	if err == nil {
		err = syncPath(part)
	}
	if err == nil {
		err = step.at("rename", file)
	}
	if err == nil {
		err = os.Rename(part, file)
	}
	if err == nil {
		err = step.at("sync", filepath.Dir(file))
	}
	if err == nil {
		err = syncPath(filepath.Dir(file))
	}
	return err
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
