package sqlite

// Who keeps a copy of the database elsewhere asks again and again for the pages
// that have changed. Every change goes through the write-ahead log, whose frames
// name their pages. The writer looks at the frames before it lets a checkpoint
// make room for others over them, and when it is asked. What is noted too much
// is copied once more and does no harm; the content itself is always read in a
// transaction of SQLite.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// followIdle is how long changed pages are noted after the last time that
// somebody asked. Noting takes four bytes per page of the database, a
// thousandth of it.
const followIdle = time.Hour

// The write-ahead log, as in https://www.sqlite.org/fileformat2.html#walformat.
const (
	walHeaderBytes = 32
	walSaltAt      = 16
	walSaltBytes   = 8
	frameBytes     = 24 // before each page
	frameCommitAt  = 4
	frameSaltAt    = 8
)

// lockPage lies where SQLite takes its file locks, and is never used.
const lockPage = 1<<30/pageBytes + 1

var _ store.Copier = (*Log)(nil)

// changes notes which pages have changed since when.
type changes struct {
	mu       sync.Mutex // guards what follows
	instance string     // "" while nobody asks
	asked    time.Time
	seq      int64
	pages    []uint32 // by page number: the seq at which a change was last noted; 0 means before all of them
	salt     [walSaltBytes]byte
	frames   int64 // of the log with that salt, that were committed and are noted
}

// begin starts to note if nobody has asked before, and counts a moment.
func (c *changes) begin() (instance string, seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.instance == "" {
		c.instance, c.pages, c.frames, c.salt = uuid.NewString(), nil, 0, [walSaltBytes]byte{}
	}
	c.asked = time.Now()
	c.seq++
	return c.instance, c.seq
}

// forget ends the noting: who asks next begins again.
func (c *changes) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instance, c.pages = "", nil
}

// note looks at the frames that were added to the log in dir. Only the writer
// calls it: nobody writes frames meanwhile.
func (c *changes) note(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.instance == "" {
		return nil
	}
	if time.Since(c.asked) > followIdle {
		c.instance, c.pages = "", nil
		return nil
	}
	err := c.scan(filepath.Join(dir, databaseFile+"-wal"))
	if err != nil {
		c.instance, c.pages = "", nil // what was missed is not known
	}
	return err
}

func (c *changes) scan(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for changed pages: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	var header [walHeaderBytes]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return notEnd(err)
	}
	if salt := [walSaltBytes]byte(header[walSaltAt:]); salt != c.salt {
		c.salt, c.frames = salt, 0 // the log began anew; the old one was looked at before
	}
	var frame [frameBytes]byte
	for at := c.frames; ; at++ {
		if _, err := f.ReadAt(frame[:], walHeaderBytes+at*(frameBytes+pageBytes)); err != nil {
			return notEnd(err)
		}
		if [walSaltBytes]byte(frame[frameSaltAt:]) != c.salt {
			return nil // left over from the log before
		}
		c.changed(binary.BigEndian.Uint32(frame[:]))
		if binary.BigEndian.Uint32(frame[frameCommitAt:]) != 0 {
			c.frames = at + 1 // what is behind the last commit may be written over
		}
	}
}

// notEnd is an error that is not the end of the file.
func notEnd(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("look for changed pages: %w", err)
}

func (c *changes) changed(page uint32) {
	if n := int(page) + 1; n > len(c.pages) {
		c.pages = append(c.pages, make([]uint32, n-len(c.pages))...)
	}
	c.pages[page] = uint32(c.seq)
}

// since returns up to limit pages from first to last that changed at or after
// seq, and the next one behind them, 0 when there is none.
func (c *changes) since(seq, first, last, limit int64) (pages []int64, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for page := max(first, 1); page <= last && page < int64(len(c.pages)); page++ {
		if int64(c.pages[page]) < seq || page == lockPage {
			continue
		}
		if int64(len(pages)) == limit {
			return pages, page
		}
		pages = append(pages, page)
	}
	return pages, 0
}

// CopyPages implements store.Copier. The moment is counted before the
// transaction begins, so that what is committed after it is noted with that
// moment or a later one, and the next request gets it.
func (l *Log) CopyPages(ctx context.Context, r store.CopyRequest) (*store.CopyAnswer, error) {
	if r.Count <= 0 || r.Count > store.CopyPagesMax {
		r.Count = store.CopyPagesMax
	}
	a := &store.CopyAnswer{PageSize: pageBytes}
	a.Instance, a.Seq = l.changes.begin()
	if r.Instance != "" && r.Instance != a.Instance {
		a.Restart = true
		return a, nil
	}
	err := l.withOwnReader(func(c *sqlite3.Conn) (err error) {
		if a.Pages, err = c.Int("PRAGMA page_count"); err != nil { // begins the transaction
			return err
		}
		if err := l.noteChanges(ctx); err != nil {
			return err
		}
		var wanted []int64
		if r.Since > 0 {
			wanted, a.Next = l.changes.since(r.Since, r.From, a.Pages, r.Count)
		} else {
			wanted, a.Next = pageRange(r.From, r.Count, a.Pages)
		}
		return readPages(ctx, c, a, wanted, r)
	})
	if err != nil {
		return nil, fmt.Errorf("copy pages: %w", err)
	}
	return a, nil
}

// withOwnReader lends f a connection in a transaction. It is none of those that
// the writer waits for when it cuts its log back: f waits for the writer.
func (l *Log) withOwnReader(f func(*sqlite3.Conn) error) error {
	c, err := open(l.dir, l.options.VFS, "query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB))
	if err != nil {
		return readFailed(err)
	}
	defer func() { _ = c.Close() }() // only read
	if _, err := c.Exec("BEGIN"); err != nil {
		return readFailed(err)
	}
	return readFailed(f(c))
}

// noteChanges has the writer look at its log.
func (l *Log) noteChanges(ctx context.Context) error {
	return l.queue.do(ctx, 0, 0, func(t *txn) error {
		if err := t.w.log.changes.note(l.dir); err != nil {
			return store.Because(store.CodeStorageFailed, err, store.ErrStorageFailed.Detail)
		}
		return nil
	})
}

// pageRange lists pages of a database that has so many of them.
func pageRange(first, count, have int64) (pages []int64, next int64) {
	first = max(first, 1)
	end := min(first+count, have+1)
	for page := first; page < end; page++ {
		if page != lockPage {
			pages = append(pages, page)
		}
	}
	if end <= have {
		next = end
	}
	return pages, next
}

// readPages puts the wanted pages into the answer, but those that are as the
// asker has them.
func readPages(ctx context.Context, c *sqlite3.Conn, a *store.CopyAnswer, wanted []int64, r store.CopyRequest) error {
	read, err := c.Prepare(`SELECT data FROM sqlite_dbpage WHERE pgno = ?`)
	if err != nil {
		return err
	}
	for _, page := range wanted {
		if err := ctx.Err(); err != nil {
			return err
		}
		read.BindInt(1, page)
		err := read.Rows(func(row sqlite3.Row) error {
			data := row.Bytes(0)
			if len(data) != pageBytes {
				return fmt.Errorf("page %d has %d bytes, not %d", page, len(data), pageBytes)
			}
			if at := (page - max(r.From, 1)) * store.CopyHashBytes; r.Since == 0 && at+store.CopyHashBytes <= int64(len(r.Have)) &&
				string(store.PageHash(data)) == string(r.Have[at:at+store.CopyHashBytes]) {
				return nil
			}
			a.Numbers = append(a.Numbers, page)
			a.Content = append(a.Content, data...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
