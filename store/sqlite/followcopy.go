package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Bounds of bringing a copy up to date.
const (
	followSweepsMax   = 1000 // through what has changed meanwhile, until nothing has
	followRestartsMax = 10   // of the server, during one
)

// copyCacheKiB is what a transaction on a copy holds before it writes to the
// file: an answer, twice.
const copyCacheKiB = 32 << 10

// ErrFollowBehind means that more is written than is copied.
var ErrFollowBehind = errors.New("the database changes faster than it is copied")

// CopyPlace says as of when a copy is. The zero value is that of none.
type CopyPlace struct {
	Instance string `json:"instance"`
	Seq      int64  `json:"seq"`
}

// Copy is a copy of a database elsewhere. It belongs to one goroutine.
type Copy struct {
	target   copyTarget
	Progress func(done, total int64) // or nil; is told the pages of a whole pass
}

// copyTarget takes pages. What it was given counts from commit on.
type copyTarget interface {
	begin() error
	hashes(from, count int64) ([]byte, error) // of as many pages as there are
	write(page int64, content []byte) error
	commit(pages int64) error // of a database that has so many
	rollback()
	close() error
}

// NewCopy begins a copy in a plain file, or goes on with one that was begun: it
// is no database until Sync has returned nil.
func NewCopy(file string) (*Copy, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &Copy{target: &newTarget{f}}, nil
}

// OpenCopy opens a copy that once was complete, and stays so whatever happens:
// each Sync is one transaction. vfs is SQLite's VFS by name, for tests.
func OpenCopy(file, vfs string) (*Copy, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	c, err := sqlite3.Open(file, vfs, busyTimeoutMillis)
	if err != nil {
		return nil, err
	}
	// EXTRA makes the end of a transaction durable in the directory as well:
	// the place that is noted behind it must not be newer than the pages.
	err = c.Script(fmt.Sprintf("PRAGMA synchronous(EXTRA); PRAGMA temp_store(MEMORY); PRAGMA cache_size(-%d)", copyCacheKiB))
	var mark int64
	if err == nil {
		mark, err = c.Int("PRAGMA application_id")
	}
	if err == nil && mark != copyMark {
		err = fmt.Errorf("%s is no copy any more: it has been served since; follow into another directory", file)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &Copy{target: &wholeTarget{c}}, nil
}

// Close ends the work on the copy.
func (c *Copy) Close() error { return c.target.close() }

// Sync makes the copy one of a moment after it was called, and returns the place
// from which the next Sync goes on. After an error the copy is as it was.
func (c *Copy) Sync(ctx context.Context, from store.Copier, at CopyPlace) (CopyPlace, error) {
	if err := c.target.begin(); err != nil {
		return at, fmt.Errorf("copy: %w", err)
	}
	next, pages, err := c.sync(ctx, from, at)
	if err == nil {
		err = c.target.commit(pages)
	}
	if err != nil {
		c.target.rollback()
		return at, fmt.Errorf("copy: %w", err)
	}
	return next, nil
}

func (c *Copy) sync(ctx context.Context, from store.Copier, at CopyPlace) (_ CopyPlace, pages int64, err error) {
	restarts := 0
	for range followSweepsMax {
		if at.Instance == "" {
			if at, err = c.whole(ctx, from); err != nil {
				return at, 0, err
			}
		}
		if at.Instance == "" { // the server was started again meanwhile
			if restarts++; restarts > followRestartsMax {
				return at, 0, errors.New("the server was started again and again")
			}
			continue
		}
		var once bool
		if at, pages, once, err = c.changes(ctx, from, at); once || err != nil {
			return at, pages, err
		}
	}
	return at, 0, ErrFollowBehind
}

// whole goes through all pages once. They are of many moments.
func (c *Copy) whole(ctx context.Context, from store.Copier) (at CopyPlace, err error) {
	for page := int64(1); page != 0; {
		have, err := c.target.hashes(page, store.CopyPagesMax)
		if err != nil {
			return at, err
		}
		a, err := c.ask(ctx, from, store.CopyRequest{Instance: at.Instance, From: page, Have: have})
		if err != nil || a.Restart {
			return CopyPlace{}, err
		}
		if at.Instance == "" {
			at = CopyPlace{Instance: a.Instance, Seq: a.Seq}
		}
		if page = a.Next; c.Progress != nil && page != 0 {
			c.Progress(page-1, a.Pages)
		}
	}
	return at, nil
}

// changes takes over what has changed since the place. When that was one
// answer, the copy is of the moment of that answer.
func (c *Copy) changes(ctx context.Context, from store.Copier, at CopyPlace) (next CopyPlace, pages int64, once bool, err error) {
	next = CopyPlace{Instance: at.Instance}
	for page := int64(1); page != 0; {
		a, err := c.ask(ctx, from, store.CopyRequest{Instance: at.Instance, Since: at.Seq, From: page})
		if err != nil || a.Restart {
			return CopyPlace{}, 0, false, err
		}
		if page == 1 {
			next.Seq, once = a.Seq, a.Next == 0
		}
		page, pages = a.Next, a.Pages
	}
	return next, pages, once, nil
}

// ask makes one request and writes what it brings.
func (c *Copy) ask(ctx context.Context, from store.Copier, r store.CopyRequest) (*store.CopyAnswer, error) {
	a, err := from.CopyPages(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.Restart {
		return a, nil
	}
	if a.PageSize != pageBytes || len(a.Content) != len(a.Numbers)*pageBytes {
		return nil, fmt.Errorf("got %d bytes for %d pages of %d: the server is another version", len(a.Content), len(a.Numbers), a.PageSize)
	}
	for i, page := range a.Numbers {
		content := a.Content[i*pageBytes : (i+1)*pageBytes]
		if page < 1 || page > a.Pages || page == lockPage {
			return nil, fmt.Errorf("got page %d of %d", page, a.Pages)
		}
		if page == 1 {
			content = markFirstPage(content)
		}
		if err := c.target.write(page, content); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// newTarget is a plain file: nothing reads it before it is complete.
type newTarget struct{ file *os.File }

func (t *newTarget) begin() error { return nil }
func (t *newTarget) rollback()    {}
func (t *newTarget) close() error { return t.file.Close() }

func (t *newTarget) hashes(from, count int64) (sums []byte, err error) {
	page := make([]byte, pageBytes)
	for n := from; n < from+count; n++ {
		if _, err := t.file.ReadAt(page, (n-1)*pageBytes); err != nil {
			return sums, notEnd(err)
		}
		sums = append(sums, store.PageHash(page)...)
	}
	return sums, nil
}

func (t *newTarget) write(page int64, content []byte) error {
	_, err := t.file.WriteAt(content, (page-1)*pageBytes)
	return err
}

func (t *newTarget) commit(pages int64) error {
	if err := t.file.Truncate(pages * pageBytes); err != nil {
		return err
	}
	return t.file.Sync()
}

// wholeTarget is a database with a rollback journal: what a Sync writes is
// there as a whole or not at all, also after a power loss.
type wholeTarget struct{ conn *sqlite3.Conn }

func (t *wholeTarget) begin() error {
	_, err := t.conn.Exec("BEGIN IMMEDIATE")
	return err
}

func (t *wholeTarget) rollback()    { _, _ = t.conn.Exec("ROLLBACK") } // fails when SQLite has done it already
func (t *wholeTarget) close() error { return t.conn.Close() }

func (t *wholeTarget) hashes(from, count int64) (sums []byte, err error) {
	have, err := t.conn.Int("PRAGMA page_count")
	for n := from; n < from+count && n <= have && err == nil; n++ {
		if n == lockPage {
			sums = append(sums, make([]byte, store.CopyHashBytes)...)
			continue
		}
		err = t.conn.Query(func(row sqlite3.Row) error {
			sums = append(sums, store.PageHash(row.Bytes(0))...)
			return nil
		}, `SELECT data FROM sqlite_dbpage WHERE pgno = ?`, n)
	}
	return sums, err
}

func (t *wholeTarget) write(page int64, content []byte) error {
	_, err := t.conn.Exec(`INSERT INTO sqlite_dbpage (pgno, data) VALUES (?, ?)`, page, content)
	return err
}

func (t *wholeTarget) commit(pages int64) error {
	have, err := t.conn.Int("PRAGMA page_count")
	if err == nil && have > pages {
		_, err = t.conn.Exec(`INSERT INTO sqlite_dbpage (pgno, data) VALUES (?, NULL)`, pages+1) // cuts off from there
	}
	if err == nil {
		_, err = t.conn.Exec("COMMIT")
	}
	return err
}
