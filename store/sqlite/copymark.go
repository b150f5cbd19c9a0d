package sqlite

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
)

// copyMark stands as application_id in every copy of a database. Who opens the
// copy to write to it goes back in history, so the engine then gives every
// session a new epoch: a reader that has seen more must be told (reset), not
// fed ids that now mean something else. It is done then and not when the copy
// is made, because the same copy may be put back twice.
const copyMark = 0x6b6f6e63 // "konc"

// Of the first page, as in https://www.sqlite.org/fileformat2.html#the_database_header.
const (
	versionsAt      = 18 // for writing and for reading: 1 is a rollback journal, 2 a write-ahead log
	applicationIDAt = 68
)

// markFirstPage returns the first page of a copy: marked, and of a database that
// is one file.
func markFirstPage(page []byte) []byte {
	page = slices.Clone(page)
	page[versionsAt], page[versionsAt+1] = 1, 1
	binary.BigEndian.PutUint32(page[applicationIDAt:], copyMark)
	return page
}

// leaveCopy makes a database of its own of a copy that is opened for the first
// time.
func leaveCopy(c *sqlite3.Conn) error {
	mark, err := c.Int("PRAGMA application_id")
	if err != nil || mark != copyMark {
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
		if _, err = c.Exec(`UPDATE sessions SET epoch = ? WHERE no = ?`, uuid.NewString(), no); err != nil {
			break
		}
	}
	if err == nil {
		err = c.Script("PRAGMA application_id = 0; COMMIT")
	}
	if err != nil {
		_ = c.Script("ROLLBACK") // fails when SQLite has done it already
		return fmt.Errorf("begin new epochs: %w", err)
	}
	return nil
}
