package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"modernc.org/sqlite"
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
	err = copyPages(ctx, c, part, progress)
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

func copyPages(ctx context.Context, c *conn, part string, progress func(done, total int64)) (err error) {
	// The transaction keeps all steps on one state of the database; without
	// it the copy would begin anew with every commit of the server.
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	if _, err := c.one("SELECT count(*) FROM sqlite_schema"); err != nil {
		return err
	}
	source := c.Conn.(interface {
		NewBackup(string) (*sqlite.Backup, error)
	})
	b, err := source.NewBackup((&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(part)}).String())
	if err != nil {
		return err
	}
	defer func() {
		if e := b.Finish(); err == nil {
			err = e
		}
	}()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = b.Step(backupPages); err != nil {
			return err
		}
		if progress != nil {
			progress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		}
	}
	return nil
}

// newEpochs gives every session of the copy a new epoch and leaves the copy as
// a single file.
func newEpochs(file string) error {
	c, err := openFile(file, url.Values{"_pragma": {"journal_mode(DELETE)", "synchronous(FULL)"}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var numbers []int64
	err = c.rows(func(row []driver.Value) error {
		numbers = append(numbers, integer(row[0]))
		return nil
	}, `SELECT no FROM sessions ORDER BY no`)
	if err != nil {
		return err
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, no := range numbers {
		if _, err := c.exec(`UPDATE sessions SET epoch = ? WHERE no = ?`, uuid.NewString(), no); err != nil {
			return err
		}
	}
	_, err = c.exec("COMMIT")
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
