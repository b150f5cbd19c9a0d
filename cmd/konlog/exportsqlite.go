package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// Bounds of one transaction of an export to a database: few enough commits
// that fsync does not count, and little enough in memory.
const (
	restoreEvents = 1000
	restoreBytes  = 4 << 20
)

// restoreEventBytesMax lets every event into the database that a server was
// once configured to take: the limit is for producers, not for what is stored.
const restoreEventBytesMax = 1 << 30

// checkDatabaseOut refuses a place where a database must not be put. A journal
// beside it belongs to another database, which a server may have open; SQLite
// would play it into the new file.
func checkDatabaseOut(out string, force bool) error {
	if _, err := os.Lstat(out); err == nil && !force {
		return failf("%s exists already", out).because("choose another name, or replace it with --force")
	}
	for _, journal := range []string{out + "-wal", out + "-journal"} {
		if _, err := os.Lstat(journal); err == nil {
			return failf("%s exists: the database beside it is open, or was not closed", journal).because("choose another name")
		}
	}
	return nil
}

// exportDatabase makes the database in a directory beside the file, as a
// server would, and moves it to its place when it is complete.
func (a *app) exportDatabase(ctx context.Context, cl *client.Client, o *exportOptions) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(o.out), "."+filepath.Base(o.out)+".*")
	if err != nil {
		return failf("%w", err)
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil && e != nil {
			err = failf("%w", e)
		}
	}()
	s, err := openDatabaseSink(ctx, filepath.Join(dir, "data"), cl)
	if err != nil {
		return err
	}
	left := a.export(ctx, cl, s, o.sessions)
	if err := s.log.Close(); err != nil {
		return failf("%w", errors.Join(left, err))
	}
	if left != nil && !errors.Is(left, errLeftOut) {
		return left
	}
	// The copy is one file without a journal, which the engine's own is not.
	whole := filepath.Join(dir, databaseFile)
	if _, err := sqlite.Backup(ctx, filepath.Join(dir, "data"), whole, sqlite.BackupOptions{Plain: true}); err != nil {
		return failf("%w", err)
	}
	if err := checkDatabaseOut(o.out, o.force); err != nil { // it took a while
		return err
	}
	if err := os.Rename(whole, o.out); err != nil {
		return failf("%w", err)
	}
	return left
}

// databaseSink restores what it is given into a database of its own.
type databaseSink struct {
	client *client.Client
	log    *sqlite.Log
	now    atomic.Int64 // Unix milliseconds: a session keeps the time at which it was created

	session string
	after   int64 // the last event taken
	hole    int64 // the first id that is missing, 0 when none is
	lost    int64 // events behind the hole
	drafts  []store.Draft
	bytes   int
	blobs   map[string]bool // that were asked for
}

func openDatabaseSink(ctx context.Context, dir string, cl *client.Client) (*databaseSink, error) {
	s := &databaseSink{client: cl, blobs: map[string]bool{}}
	log, err := sqlite.Open(ctx, dir, sqlite.Options{
		Now:           func() time.Time { return time.UnixMilli(s.now.Load()) },
		EventBytesMax: restoreEventBytesMax,
		CacheBytes:    -1, // nobody reads
		LeasesByHand:  true,
	})
	if err != nil {
		return nil, failf("%w", err)
	}
	s.log = log
	return s, nil
}

func (s *databaseSink) begin(ctx context.Context, from *store.SessionObject) error {
	s.session, s.after, s.hole, s.lost = from.ID, from.Floor-1, 0, 0
	s.now.Store(from.CreatedAt.UnixMilli())
	_, _, err := s.log.CreateSession(ctx, from.ID, from.Spec())
	s.now.Store(from.UpdatedAt.UnixMilli())
	if err == nil && from.Floor > from.Head && from.Head > 0 { // nothing is left of it but how far it was
		_, err = s.log.RestoreHead(ctx, from.ID, from.Head)
	}
	return err
}

func (s *databaseSink) event(ctx context.Context, e *client.Event) error {
	if s.hole == 0 && (e.ID != s.after+1 || e.Redacted()) {
		s.hole = s.after + 1
	}
	if s.hole != 0 { // ids in a database are dense; and what was redacted cannot be restored
		s.lost++
		return nil
	}
	s.after = e.ID
	for _, ref := range store.BlobRefs(e.Data) {
		if s.blobs[ref] {
			continue
		}
		s.blobs[ref] = true
		if err := fetchBlob(ctx, s.client, s.log, ref); err != nil {
			return err
		}
	}
	s.drafts = append(s.drafts, restoredDraft(&e.Event))
	if s.bytes += e.WireSize(true); len(s.drafts) >= restoreEvents || s.bytes >= restoreBytes {
		return s.flush(ctx)
	}
	return nil
}

// restoredDraft is the draft that restores an event.
func restoredDraft(e *store.Event) store.Draft {
	return store.Draft{ID: e.ID, Time: e.Time, Type: e.Type, Turn: e.Turn, Parent: e.Parent, Data: e.Data, Raw: e.Raw}
}

func (s *databaseSink) flush(ctx context.Context) error {
	if len(s.drafts) == 0 {
		return nil
	}
	_, err := s.log.Append(ctx, s.session, store.AppendOptions{Restore: true}, s.drafts...)
	clear(s.drafts)
	s.drafts, s.bytes = s.drafts[:0], 0
	return err
}

func (s *databaseSink) end(ctx context.Context, _ []string) (left []string, err error) {
	if s.lost > 0 {
		left = append(left, fmt.Sprintf("session %s: a database ends before the first event that is missing or redacted, so the %d events after %d are left out", s.session, s.lost, s.hole-1))
	}
	return left, s.flush(ctx)
}
