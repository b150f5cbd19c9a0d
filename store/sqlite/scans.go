package sqlite

import (
	"context"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// scansMax is how many of the connections that read may be at work on scans:
// all but one, which is left for reads that take a moment.
func scansMax(readers int) int { return max(1, readers-1) }

// withScanner is withReader for what may pass over many rows for the few that
// it shows: searches, and lists that a filter thins out. Who sends many of them
// at once has them wait for each other, before any takes a connection, and
// nobody else.
func (l *Log) withScanner(ctx context.Context, f func(*sqlite3.Conn) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return store.ErrShutdown
	case l.scans <- struct{}{}:
	}
	defer func() { <-l.scans }()
	return l.withReader(ctx, f)
}

// lister is withScanner for a list that scans, and withReader for one that
// does not.
func (l *Log) lister(scans bool) func(context.Context, func(*sqlite3.Conn) error) error {
	if scans {
		return l.withScanner
	}
	return l.withReader
}
