package sqlite

// When SQLite moves rows between pages, which it does when their neighbours
// are removed, it leaves the bytes of those that moved away where they were, in
// the unused part of the page; secure_delete clears only what is deleted. A row
// whose content is dropped later may so have left copies of it behind, about
// which SQLite knows nothing. A scrub clears the unused part of every page of a
// table or index.

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
)

// Bounds of a scrub.
const (
	scrubReadPages  = 256     // looked at in one read transaction
	scrubWritePages = 32      // cleared in one transaction of the writer, a millisecond
	scrubPasses     = 3       // what is being moved while it is scrubbed may slip through once
	scrubInline     = 1 << 14 // pages of a database whose scrub a redaction waits for, a fraction of a second; of a larger one it goes on behind it
)

// scrub clears the unused parts of all pages if something was redacted since
// that was done last. It goes beside appends and reads, a few pages at a time.
func (l *Log) scrub(ctx context.Context) error {
	select {
	case l.pages <- struct{}{}: // no page is moved meanwhile
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.pages }()
	var due, vacuums, drops int64
	err := l.queue.do(ctx, 0, 0, func(t *txn) (err error) {
		drops = t.w.drops
		if due, err = t.conn.Int(`SELECT EXISTS (SELECT 1 FROM unscrubbed)`); err == nil {
			vacuums, err = t.conn.Int(`PRAGMA auto_vacuum`)
		}
		return err
	})
	if err != nil || due == 0 {
		return err
	}
	for range scrubPasses {
		cleared, err := l.scrubPass(ctx, vacuums != 0)
		if err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
		if cleared == 0 {
			break
		}
	}
	return l.queue.do(ctx, 0, 0, func(t *txn) error {
		if t.w.drops != drops { // what was redacted since has its own to come
			return nil
		}
		t.written = true
		_, err := t.conn.Exec(`DELETE FROM unscrubbed`)
		return err
	})
}

// scrubPass goes through the database once and returns how many pages it
// cleared.
func (l *Log) scrubPass(ctx context.Context, vacuums bool) (cleared int, err error) {
	for next := uint32(2); next > 0; { // the first page holds the schema
		var dirty []uint32
		err := l.withReader(ctx, func(c *sqlite3.Conn) (err error) {
			p, err := newPageReader(c, vacuums)
			if err != nil {
				return err
			}
			dirty, next, err = p.dirty(next)
			return err
		})
		for len(dirty) > 0 && err == nil {
			n := min(scrubWritePages, len(dirty))
			some := dirty[:n]
			dirty = dirty[n:]
			err = l.queue.do(ctx, 0, 0, func(t *txn) error { return t.scrub(some, vacuums) })
			cleared += n
		}
		if err != nil {
			return cleared, err
		}
	}
	return cleared, nil
}

// scrub clears the unused parts of pages.
func (t *txn) scrub(pages []uint32, vacuums bool) error {
	p, err := newPageReader(t.conn, vacuums)
	if err != nil {
		return err
	}
	for _, number := range pages {
		page, err := p.tree(number)
		if err != nil {
			return err
		}
		if page == nil || !clearUnused(page, p.usable) { // it has changed since
			continue
		}
		if _, err := t.conn.Exec(`UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?`, page, int64(number)); err != nil {
			return err
		}
		t.written, t.purge = true, true
		t.bytes += pageBytes
	}
	return nil
}

// pageReader reads pages of the database file as they are in a transaction.
type pageReader struct {
	c       *sqlite3.Conn
	size    int
	usable  int
	count   uint32
	vacuums bool // the file has a map of its pages
	mapped  uint32
	pageMap []byte // the page numbered mapped
}

func newPageReader(c *sqlite3.Conn, vacuums bool) (*pageReader, error) {
	p := &pageReader{c: c, vacuums: vacuums}
	first, err := p.page(1)
	if err != nil {
		return nil, err
	}
	if len(first) < 512 {
		return nil, fmt.Errorf("the first page has %d bytes", len(first))
	}
	p.size, p.usable = len(first), len(first)-int(first[20])
	count, err := c.Int(`PRAGMA page_count`)
	p.count = uint32(count)
	return p, err
}

func (p *pageReader) page(number uint32) (page []byte, err error) {
	err = p.c.Query(func(row sqlite3.Row) error {
		page = append(page, row.Bytes(0)...)
		return sqlite3.ErrStop
	}, `SELECT data FROM sqlite_dbpage WHERE pgno = ?`, int64(number))
	return page, err
}

// dirty looks at pages from next on and returns those to clear, and the page to
// go on with; 0 when there is none.
func (p *pageReader) dirty(next uint32) (dirty []uint32, _ uint32, err error) {
	for end := next + scrubReadPages; next < end; next++ {
		if next > p.count {
			return dirty, 0, nil
		}
		page, err := p.tree(next)
		if err != nil {
			return nil, 0, err
		}
		if page != nil && clearUnused(page, p.usable) {
			dirty = append(dirty, next)
		}
	}
	return dirty, next, nil
}

// The kinds of pages in the map that hold a tree.
const (
	mapRoot = 1
	mapTree = 5
)

// tree returns a page if it belongs to a table or an index, else nil. The map
// is the only thing that tells them from pages that hold a long value.
func (p *pageReader) tree(number uint32) ([]byte, error) {
	if !p.vacuums || number > p.count {
		return nil, nil
	}
	entries := uint32(p.usable / 5)
	place := (number-2)/(entries+1)*(entries+1) + 2
	if place == uint32(1<<30/p.size)+1 { // the page of the lock, which has no content
		place++
	}
	if number <= place {
		return nil, nil
	}
	if p.mapped != place {
		page, err := p.page(place)
		if err != nil {
			return nil, err
		}
		p.mapped, p.pageMap = place, page
	}
	at := int(number-place-1) * 5
	if at+5 > len(p.pageMap) || p.pageMap[at] != mapRoot && p.pageMap[at] != mapTree {
		return nil, nil
	}
	return p.page(number)
}

// clearUnused clears what a page of a tree holds beside its cells, and reports
// whether there was anything. A page that is not as it should be is left alone.
func clearUnused(page []byte, usable int) (cleared bool) {
	if usable > len(page) || usable < 480 {
		return false
	}
	header := 8
	switch page[0] {
	case 2, 5:
		header = 12
	case 10, 13:
	default:
		return false
	}
	two := func(at int) int { return int(binary.BigEndian.Uint16(page[at:])) }
	unused, content := header+2*two(3), two(5)
	if content == 0 {
		content = 1 << 16
	}
	if unused > content || content > usable {
		return false
	}
	cleared = wipe(page[unused:content])
	for block, last := two(1), content; block != 0; { // runs of free bytes among the cells
		if block < last || block+4 > usable || block+two(block+2) > usable || two(block+2) < 4 {
			return cleared
		}
		size := two(block + 2)
		cleared = wipe(page[block+4:block+size]) || cleared
		last, block = block+size, two(block)
	}
	return cleared
}

// wipe clears bytes and reports whether any was not clear.
func wipe(b []byte) (wiped bool) {
	for i := range b {
		if b[i] != 0 {
			clear(b[i:])
			return true
		}
	}
	return false
}
