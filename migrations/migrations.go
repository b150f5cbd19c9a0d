// Package migrations holds the schema of the database as numbered SQL files,
// NNNN_name.sql, without gaps from 0001. A released file never changes; a new
// schema is a new file. The number of the last file applied is the database's
// user_version.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Migration is one step of the schema.
type Migration struct {
	Number int
	Name   string // the file's name
	SQL    string
}

// All returns the migrations in order. It fails when the numbering has a hole,
// which only a mistake in this folder can cause.
func All() ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	all := make([]Migration, 0, len(names))
	for i, name := range names {
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.Atoi(digits)
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", name, i+1)
		}
		sql, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		all = append(all, Migration{Number: number, Name: name, SQL: string(sql)})
	}
	return all, nil
}
