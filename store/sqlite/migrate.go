package sqlite

import (
	"errors"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/migrations"
)

// migrate brings the database to the newest schema, all of the way in one
// transaction: a crash or a full disk leaves it as it was, and the konlog that
// wrote it can go on with it. A database that is newer than this program is
// refused untouched.
func migrate(c *sqlite3.Conn) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	have, err := c.Int("PRAGMA user_version")
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	switch {
	case have > int64(len(all)):
		return newerSchema(have, len(all))
	case have == int64(len(all)):
		return nil
	case have == 0:
		// Said once, because saying it is a write and a server must start on
		// a full disk too. It takes effect with VACUUM, here of nothing.
		if err := c.Script("PRAGMA auto_vacuum(INCREMENTAL); VACUUM"); err != nil {
			return fmt.Errorf("set up incremental vacuum: %w", err)
		}
	}
	if err := apply(c, all[have:]); err != nil {
		_ = c.Script("ROLLBACK") // fails when nothing is open
		if have == 0 {
			return fmt.Errorf("make the database: %w", err)
		}
		return fmt.Errorf("bring the data directory from schema %d to %d: %w; nothing was changed, and the konlog that wrote it can still use it", have, len(all), err)
	}
	return nil
}

func apply(c *sqlite3.Conn, steps []migrations.Migration) error {
	if _, err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, m := range steps {
		if err := c.Script(m.SQL); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if err := c.Script(fmt.Sprintf("PRAGMA user_version = %d", steps[len(steps)-1].Number)); err != nil {
		return err
	}
	_, err := c.Exec("COMMIT")
	return err
}

// ErrOlderSchema is why a command that must not change anything refuses data
// that serve would bring up.
var ErrOlderSchema = errors.New("was written by an older konlog")

// newerSchema is why a database is refused that a later version has written.
func newerSchema(have int64, known int) error {
	return fmt.Errorf("the data %w: it has schema %d, this one knows up to %d; it was left as it is", ErrNewerSchema, have, known)
}

// unknownSchema is why a command that must not change anything refuses a
// database.
func unknownSchema(have int64, known int) error {
	if have > int64(known) {
		return newerSchema(have, known)
	}
	return fmt.Errorf("the data %w: it has schema %d, this one has %d; start konlog serve on it once, which brings it up, or use the konlog that wrote it", ErrOlderSchema, have, known)
}
