package sqlite

import (
	"fmt"

	"github.com/konlog/konlog/migrations"
)

// migrate brings the database to the newest schema, one transaction per file,
// so that a crash leaves it between two whole steps. A database that is newer
// than this program is refused untouched.
func migrate(c *conn) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	v, err := c.one("PRAGMA user_version")
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	have := int(integer(v))
	if have > len(all) {
		return fmt.Errorf("the data directory has schema %d, this konlog knows up to %d: use a newer konlog, or another --data", have, len(all))
	}
	for _, m := range all[have:] {
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", m.SQL, m.Number)
		if err := c.script(step); err != nil {
			_ = c.script("ROLLBACK") // fails when nothing is open
			return fmt.Errorf("migrate to %s: %w", m.Name, err)
		}
	}
	return nil
}
