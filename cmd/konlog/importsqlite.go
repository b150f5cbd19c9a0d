package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// Where SQLite keeps PRAGMA user_version in the first bytes of a file, as a
// big-endian number; konlog's is the number of its schema.
const (
	userVersionAt  = 60
	databaseHeader = 100
)

// databaseSource reads a database through a copy: opening one is a write, since
// an older schema is brought up, and the file may lie where nothing can be
// written. The blobs that events refer to go to the server before them.
func (a *app) databaseSource(ctx context.Context, cl *client.Client, file string, o *importOptions) (*importSource, error) {
	if err := checkDatabaseIn(file); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "konlog-import-*")
	if err != nil {
		return nil, failf("%w", err)
	}
	d := &database{dir: dir, client: cl, blobs: map[string]bool{}}
	err = a.copyDatabase(ctx, file, filepath.Join(dir, databaseFile))
	if err == nil {
		err = d.open(ctx)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	d.sessions = slices.DeleteFunc(d.sessions, func(s store.Session) bool { return !o.wants(s.ID) })
	return &importSource{
		entry: "entry", unit: "entries", size: d.entries(), close: d.close, text: d.text,
		done: func(l agent.TextLine) int64 { return int64(l.Number) },
	}, nil
}

// checkDatabaseIn refuses what is not one whole database of a known schema.
func checkDatabaseIn(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return failf("%w", err)
	}
	defer f.Close()
	head := make([]byte, databaseHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return failf("%s is cut short: %w", file, err)
	}
	schema, err := sqlite.Schema()
	if err != nil {
		return failf("%w", err)
	}
	switch have := binary.BigEndian.Uint32(head[userVersionAt:]); {
	case have == 0:
		return failf("%s is a SQLite database, but none of konlog's", file).because("import reads files that konlog export or konlog backup wrote")
	case int64(have) > int64(schema):
		return failf("%s has schema %d; this konlog knows up to %d", file, have, schema).because("use the konlog that wrote it, or a newer one")
	}
	for _, journal := range []string{file + "-wal", file + "-journal"} {
		if info, err := os.Stat(journal); err == nil && info.Size() > 0 {
			return failf("%s is not the whole database: part of it is in %s", file, journal).because("a server has it open, or was killed; import the file that konlog backup --data DIR --to FILE writes")
		}
	}
	return nil
}

// copyBytes is how much of a file is copied between two looks at the context.
const copyBytes = 4 << 20

func (a *app) copyDatabase(ctx context.Context, from, to string) error {
	in, size, err := a.open(ctx, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return failf("%w", err)
	}
	bar := a.progress("copy", "bytes", size)
	defer bar.end("")
	for done := int64(0); err == nil; bar.at(done, size) {
		var n int64
		n, err = io.CopyN(out, in, copyBytes)
		done += n
		if err == nil {
			err = ctx.Err()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failf("copy %s: %w", from, err).because("the copy needs as much space as the file; TMPDIR names another directory for it")
	}
	return nil
}

// database is a copy of a database that an import reads.
type database struct {
	dir      string
	log      *sqlite.Log // or nil
	client   *client.Client
	blobs    map[string]bool // that were sent, or need not be
	sessions []store.Session
}

func (d *database) open(ctx context.Context) error {
	log, err := sqlite.Open(ctx, d.dir, sqlite.Options{
		Now:        func() time.Time { return time.Unix(0, 0) }, // no lease has passed: the copy stays as it was
		CacheBytes: -1, LeasesByHand: true,
	})
	if err != nil {
		return failf("%w", err).because("the file may be damaged; try another one")
	}
	d.log = log
	for filter := (store.SessionFilter{Limit: store.SessionsPageMax}); ; {
		page, err := log.ListSessions(ctx, filter)
		if err != nil {
			return failf("%w", err).because("the file may be damaged; try another one")
		}
		d.sessions = append(d.sessions, page.Sessions...)
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return nil
		}
	}
}

func (d *database) close() {
	if d.log != nil {
		_ = d.log.Close() // only read
	}
	_ = os.RemoveAll(d.dir) // in the directory for what may be left behind
}

// entries is how many lines text gives.
func (d *database) entries() (n int64) {
	for i := range d.sessions {
		n += 1 + d.sessions[i].Head - d.sessions[i].Floor + 1
	}
	return n
}

// text gives the sessions as the lines of an export. Its goroutine ends with
// the reader: Close waits for it.
func (d *database) text(ctx context.Context, headersOnly bool) (io.ReadCloser, error) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := bufio.NewWriterSize(pw, 256<<10)
		err := d.write(ctx, w, headersOnly)
		if err == nil {
			err = w.Flush()
		}
		_ = pw.CloseWithError(err) // never fails; nil is io.EOF
	}()
	return readCloser{pr, closer(func() error {
		err := pr.Close()
		<-done
		return err
	})}, nil
}

type closer func() error

func (c closer) Close() error { return c() }

func (d *database) write(ctx context.Context, w io.Writer, headersOnly bool) error {
	for i := range d.sessions {
		s := &d.sessions[i]
		object := s.Object()
		if err := printJSON(w, headerOf(&object)); err != nil {
			return err
		}
		for after := s.Floor - 1; !headersOnly && after < s.Head; {
			page, err := d.log.Read(ctx, s.ID, store.Query{After: after, Raw: true})
			if err != nil {
				return failf("session %s, event %d: %w", s.ID, after+1, err).because("the file is damaged; konlog verify says where")
			}
			for j := range page.Events {
				if err := d.sendBlobs(ctx, page.Events[j].Data); err != nil {
					return err
				}
				if _, err := w.Write(append(exportLine(&page.Events[j]), '\n')); err != nil {
					return err
				}
				after = page.Events[j].ID
			}
		}
	}
	return nil
}

func (d *database) sendBlobs(ctx context.Context, data []byte) error {
	for _, ref := range store.BlobRefs(data) {
		if d.blobs[ref] {
			continue
		}
		d.blobs[ref] = true
		if err := sendBlob(ctx, d.log, d.client, ref); err != nil {
			return err
		}
	}
	return nil
}

// exportLine is an event as a server gives it to an export.
func exportLine(e *store.Event) []byte {
	if e.Redacted() {
		return fmt.Appendf(nil, `{"id":%d,"session":"%s"%s`, e.ID, e.Session, redactedMark)
	}
	return e.AppendJSON(nil, true)
}
