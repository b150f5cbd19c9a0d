package main

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

// databaseFile is the file of a data directory by which it is known.
const databaseFile = "konlog.db"

// databaseMagic begins every file of SQLite.
const databaseMagic = "SQLite format 3\x00"

// dataDir returns the data directory of the settings, which must exist.
func (a *app) dataDir(cmd *cobra.Command) (string, error) {
	c, err := a.config(cmd)
	if err != nil {
		return "", err
	}
	dir := c.text("data")
	root, err := os.OpenRoot(dir)
	if err == nil {
		defer root.Close()
		_, err = root.Stat(databaseFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		f := failf("there is no konlog data in %s", dir)
		f.code = exitNotFound
		return "", f.because("--data names the directory that konlog serve was given")
	}
	if err != nil {
		return "", failf("data directory: %w", err).because("%s", openHint(dir))
	}
	return dir, nil
}

// openHint says what to do when the data in dir does not open.
func openHint(dir string) string {
	return openErrorHint(nil, dir)
}

// openErrorHint is openHint where it is known why it could not be opened.
func openErrorHint(err error, dir string) string {
	if errors.Is(err, sqlite.ErrNewerSchema) {
		return "use the konlog that wrote it, or put back a backup from before the upgrade: konlog restore --data with an empty directory"
	}
	if errors.Is(err, sqlite.ErrOlderSchema) {
		return "take a backup with the konlog that wrote it first: after the upgrade that one cannot use the data any more"
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return dir + " is a file; --data names the directory that holds " + databaseFile
	}
	if !isDatabase(filepath.Join(dir, databaseFile)) {
		return filepath.Join(dir, databaseFile) + " was not written by konlog or is damaged: --data names another directory, or restore a backup"
	}
	return "one server per data directory, which must be writable; --data names another"
}

// isDatabase reports false only for a file that begins as no database does.
func isDatabase(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	head := make([]byte, len(databaseMagic))
	n, err := io.ReadFull(f, head)
	if err != nil {
		return n == 0 // SQLite takes an empty file for a new one
	}
	return string(head) == databaseMagic
}

// othersMay are the permissions by which everybody on the machine gets in.
const othersMay = 0o007

// warnOfReaders says when others on the machine can read the data.
func warnOfReaders(dir string, logger *slog.Logger) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&othersMay != 0 {
		logger.Warn("the data directory is open to other users of this machine; chmod 700 closes it", "data", dir, "mode", info.Mode().Perm().String())
	}
}
