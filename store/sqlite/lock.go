package sqlite

import (
	"fmt"
	"path/filepath"

	lib "modernc.org/sqlite/lib"

	"github.com/konlog/konlog/internal/sqlite3"
)

// lockFile is held by the process that serves a data directory.
const lockFile = "konlog.lock"

// lock takes the data directory for this process. It is a database of its own
// that stays locked: SQLite's file locks work alike on every system and end
// with the process, however it ends.
func lock(dir string) (*sqlite3.Conn, error) {
	c, err := sqlite3.Open(filepath.Join(dir, lockFile), "", 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	err = c.Script("BEGIN EXCLUSIVE")
	if err == nil {
		return c, nil
	}
	_ = c.Close()
	if sqlite3.Code(err)&0xff == lib.SQLITE_BUSY {
		return nil, fmt.Errorf("data directory %s is in use by another konlog: stop that one, or choose another --data", dir)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}
