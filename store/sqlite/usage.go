package sqlite

import (
	"context"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
)

// usageSaid is what the table usage must say, from the tables that it follows
// from.
const usageSaid = `SELECT 'scope' AS what, scope AS name, count(*) AS n, sum(bytes) AS bytes FROM sessions
		WHERE deleted_at IS NULL AND substr(id, 1, 1) <> '_' GROUP BY scope
	UNION ALL SELECT 'all', '', count(*), ifnull(sum(bytes), 0) FROM sessions WHERE deleted_at IS NULL AND substr(id, 1, 1) <> '_'
	UNION ALL SELECT 'blobs', '', count(*), ifnull(sum(bytes), 0) FROM blobs WHERE sha256 IS NOT NULL`

// usageDiffers lists the rows of usage that are not what they must be. A row
// that is missing stands for nothing used.
const usageDiffers = `SELECT what, name, ifnull(said.n, 0), ifnull(said.bytes, 0), ifnull(usage.n, 0), ifnull(usage.bytes, 0)
	FROM (` + usageSaid + `) AS said FULL OUTER JOIN usage USING (what, name)
	WHERE ifnull(said.n, 0) <> ifnull(usage.n, 0) OR ifnull(said.bytes, 0) <> ifnull(usage.bytes, 0) ORDER BY what, name`

// eachUsageDifference says what is wrong with what is counted as used.
func eachUsageDifference(c *sqlite3.Conn, f func(what string)) error {
	return c.Query(func(row sqlite3.Row) error {
		what := row.Text(0)
		if what == "scope" {
			what = fmt.Sprintf("scope %q", row.Text(1))
		}
		f(fmt.Sprintf("usage of %s: counted as %d with %d bytes, which are %d with %d", what, row.Int(4), row.Int(5), row.Int(2), row.Int(3)))
		return nil
	}, usageDiffers)
}

// usage holds what is counted as used against what there is.
func (v *verifier) usage(context.Context) error {
	return eachUsageDifference(v.c, func(what string) { v.found("", 0, "%s", what) })
}

// Recount counts again what is used, and returns what it mended.
func (l *Log) Recount(ctx context.Context) (differences []string, err error) {
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		// What others of this transaction have changed is written first, and
		// then counted like all the rest.
		if err := t.save(); err != nil {
			return err
		}
		t.account = account{open: t.account.open}
		err := eachUsageDifference(t.conn, func(what string) { differences = append(differences, what) })
		if err == nil && len(differences) > 0 {
			t.written = true
			err = recount(t.conn)
		}
		if err != nil {
			return err
		}
		total, err := readTotals(t.conn)
		t.account.base = &total
		return err
	})
	return differences, err
}

func recount(c *sqlite3.Conn) error {
	if _, err := c.Exec(`DELETE FROM usage`); err != nil {
		return err
	}
	_, err := c.Exec(`INSERT INTO usage ` + usageSaid)
	return err
}
