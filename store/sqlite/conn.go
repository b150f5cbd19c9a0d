package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"

	lib "modernc.org/sqlite/lib"

	"github.com/konlog/konlog/internal/sqlite3"
)

// databaseFile is the name of the database in the data directory.
const databaseFile = "konlog.db"

// Page caches of a connection in KiB. The writer's holds the index pages of
// the sessions that are busy; a reader mostly reads on from where it was.
const (
	writerCacheKiB = 32 << 10
	readerCacheKiB = 2 << 10
)

// A second connection, such as a backup, may hold a lock for a moment.
const busyTimeoutMillis = 5000

// open connects to the database in dir and sets the connection up.
func open(dir, vfs string, pragmas ...string) (*sqlite3.Conn, error) {
	c, err := sqlite3.Open(filepath.Join(dir, databaseFile), vfs, busyTimeoutMillis)
	if err != nil {
		return nil, err
	}
	for _, p := range pragmas {
		if err := c.Script("PRAGMA " + p); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

// diskFull reports whether err means that the disk takes no writes for now.
func diskFull(err error) bool {
	switch sqlite3.Code(err) & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_READONLY:
		return true
	}
	var e *sqlite3.Error // SQLite has no code of its own for a quota or a read-only mount
	return errors.As(err, &e) && (e.Errno == syscall.EDQUOT || e.Errno == syscall.EROFS || e.Errno == syscall.ENOSPC)
}

// corrupt reports whether err means that stored data is damaged.
func corrupt(err error) bool {
	switch sqlite3.Code(err) & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return true
	}
	return false
}

// placeholders returns n times "(?,?,…)" with width marks.
func placeholders(n, width int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", width), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}
