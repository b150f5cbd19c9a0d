package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
)

// backupPages is how many pages are copied between two looks at ctx.
const backupPages = 1024

// Backup writes a consistent copy of the database in dir to file, also while a
// server runs on dir. The copy is complete and fsynced when file appears; an
// existing file is refused. To restore, put it as konlog.db into an empty
// data directory.
//
// Every session gets a new epoch in the copy: who restores it goes back in
// history, and a reader that has seen more must be told (reset), not fed ids
// that now mean something else.
//
// While it runs the server's write-ahead log cannot be cut back. progress, if
// not nil, is called with the number of pages copied and to copy.
func Backup(ctx context.Context, dir, file string, progress func(done, total int64)) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("backup: %s exists already: choose another file", file)
	}
	c, err := openExisting(dir)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	part, err := filepath.Abs(file + ".part")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := removeDatabase(part); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = createPrivate(part)
	if err == nil {
		err = copyPages(ctx, c, part, progress)
	}
	if err == nil {
		err = newEpochs(part)
	}
	if err == nil {
		err = syncRename(part, file)
	}
	if err != nil {
		_ = removeDatabase(part)
		return fmt.Errorf("backup %s: %w", dir, err)
	}
	return nil
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
	return sqlite3.Copy(dst, c, backupPages, func(done, total int64) error {
		if progress != nil {
			progress(done, total)
		}
		return ctx.Err()
	})
}

// newEpochs gives every session of the copy a new epoch and leaves the copy as
// a single file.
func newEpochs(file string) error {
	c, err := sqlite3.Open(file, "", busyTimeoutMillis)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Script("PRAGMA journal_mode(DELETE); PRAGMA synchronous(FULL)"); err != nil {
		return err
	}
	var numbers []int64
	err = c.Query(func(row sqlite3.Row) error {
		numbers = append(numbers, row.Int(0))
		return nil
	}, `SELECT no FROM sessions ORDER BY no`)
	if err != nil {
		return err
	}
	if _, err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, no := range numbers {
		if _, err := c.Exec(`UPDATE sessions SET epoch = ? WHERE no = ?`, uuid.NewString(), no); err != nil {
			return err
		}
	}
	_, err = c.Exec("COMMIT")
	return err
}

// syncRename makes part durable under its final name.
func syncRename(part, file string) error {
	if err := syncPath(part); err != nil {
		return err
	}
	if err := os.Rename(part, file); err != nil {
		return err
	}
	return syncPath(filepath.Dir(file))
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
