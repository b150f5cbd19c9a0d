package sqlite

import (
	"context"
	"strings"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// visibleClause is a condition that the session's id in column is one that the
// filter lets through; "" when it lets all. A pattern of store is a GLOB as it
// stands: it has no brackets.
func visibleClause(column string, visible store.Patterns) (clause string, args []any) {
	switch {
	case visible == nil || visible.All():
		return "", nil
	case len(visible) == 0:
		return "0", nil
	}
	for _, pattern := range visible {
		args = append(args, pattern)
	}
	return "(" + strings.Repeat(column+" GLOB ? OR ", len(visible)-1) + column + " GLOB ?)", args
}

// visible wants the session's id in column to be one that the filter lets
// through.
func (w *where) visible(column string, visible store.Patterns) {
	if clause, args := visibleClause(column, visible); clause != "" {
		w.add(clause, args...)
	}
}

// BlobShown implements store.Blobs. A deleted session's number is nobody's.
func (l *Log) BlobShown(ctx context.Context, sha256 string, visible store.Patterns) (shown bool, err error) {
	sum, ok := store.BlobHash(sha256)
	if !ok {
		return false, nil
	}
	w := where{}
	w.add("r.sha256 = ? AND s.deleted_at IS NULL", sum)
	w.visible("s.id", visible)
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		n, err := c.Int(`SELECT EXISTS (SELECT 1 FROM blob_refs AS r JOIN sessions AS s ON s.no = r.session_no WHERE `+w.text()+`)`, w.args...)
		shown = n > 0
		return err
	})
	return shown, err
}
