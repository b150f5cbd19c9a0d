package sqlite

import (
	"fmt"
	"net/url"
	"path/filepath"

	lib "modernc.org/sqlite/lib"
)

// lockFile is held by the process that serves a data directory.
const lockFile = "konlog.lock"

// lock takes the data directory for this process. It is a database of its own
// that stays locked: SQLite's file locks work alike on every system and end
// with the process, however it ends.
func lock(dir string) (*conn, error) {
	c, err := openFile(filepath.Join(dir, lockFile), url.Values{"_busy_timeout": {"0"}})
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	err = c.script("BEGIN EXCLUSIVE")
	if err == nil {
		return c, nil
	}
	_ = c.Close()
	if resultCode(err)&0xff == lib.SQLITE_BUSY {
		return nil, fmt.Errorf("data directory %s is in use by another konlog: stop that one, or choose another --data", dir)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}
