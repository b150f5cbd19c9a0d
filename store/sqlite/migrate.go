package sqlite

import (
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/migrations"
)

// migrate brings the database to the newest schema, one transaction per file,
// so that a crash leaves it between two whole steps. A database that is newer
// than this program is refused untouched.
func migrate(c *sqlite3.Conn) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	have, err := c.Int("PRAGMA user_version")
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > int64(len(all)) {
		return fmt.Errorf("the data directory has schema %d, this konlog knows up to %d: use a newer konlog, or another --data", have, len(all))
	}
	if have == 0 {
		// Said once, because saying it is a write and a server must start on
		// a full disk too. It takes effect with VACUUM, here of nothing.
		if err := c.Script("PRAGMA auto_vacuum(INCREMENTAL); VACUUM"); err != nil {
			return fmt.Errorf("set up incremental vacuum: %w", err)
		}
	}
	for _, m := range all[have:] {
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", m.SQL, m.Number)
		if err := c.Script(step); err != nil {
			_ = c.Script("ROLLBACK") // fails when nothing is open
			return fmt.Errorf("migrate to %s: %w", m.Name, err)
		}
	}
	return nil
}
