package sqlite

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

var _ store.Searcher = (*Log)(nil)

// Bounds of one search.
const (
	searchScanMax = 20_000 // documents with the words that are looked at, fit or not; a tenth of a second
	turnScanMax   = 20_000 // likewise, for the turns that they belong to

	// Of documents of sessions that the filter does not let through, which are
	// passed over and count against nothing else: so what others have written
	// tells in no cursor that a word is in it. Only that so many documents of
	// others have it can be told, by a page that ends here. More would let one
	// who may read little keep a connection busy with what others have written.
	foreignScanMax = 20_000
)

// indexDoc is a document with the words that are indexed of it.
type indexDoc struct {
	*store.Doc
	words string
}

func newIndexDoc(d *store.Doc) indexDoc { return indexDoc{d, store.Words(d.Text)} }

// docTags are the words by which a document's session and kind are found.
func docTags(no int64, kind string) string { return sessionTag(no) + " " + kindTag(kind) }

func sessionTag(no int64) string    { return "s" + strconv.FormatInt(no, 10) }
func kindTag(kind string) string    { return "k" + kind }
func phrase(words ...string) string { return `"` + strings.Join(words, " ") + `"` }

// insertDoc makes a document searchable.
func (t *txn) insertDoc(no int64, d *indexDoc) error {
	_, err := t.conn.Exec(`INSERT INTO docs (session_no, first, id, turn, kind, time, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		no, d.First, d.ID, d.Turn, d.Kind, d.Time.UnixMilli(), d.Text)
	if err != nil {
		return err
	}
	doc, err := t.conn.Int(`SELECT last_insert_rowid()`)
	if err != nil {
		return err
	}
	t.written = true
	t.bytes += 4*int64(len(d.Text)) + pageBytes // the text, and its words in pages that are rewritten later
	_, err = t.conn.Exec(`INSERT INTO search (rowid, text, tags) VALUES (?, ?, ?)`, doc, d.words, docTags(no, d.Kind))
	return err
}

// storedDoc is a document that is to be removed.
type storedDoc struct {
	doc, no    int64
	kind, text string
}

// someDocs reads documents to remove, as many as one operation takes.
func (t *txn) someDocs(query string, args ...any) (some []storedDoc, err error) {
	bytes := 0
	err = t.conn.Query(func(row sqlite3.Row) error {
		d := storedDoc{row.Int(0), row.Int(1), row.Text(2), row.Text(3)}
		if bytes += len(d.text); bytes > deriveOpBytes && len(some) > 0 {
			return sqlite3.ErrStop
		}
		some = append(some, d)
		return nil
	}, query, append(args, int64(deriveOpDocs))...)
	return some, err
}

// removeDocs takes documents out of the index and then away: the index keeps
// no text, and has to be told which words to take out.
func (t *txn) removeDocs(some []storedDoc) error {
	for _, d := range some {
		no := max(d.no, -d.no)
		if _, err := t.conn.Exec(`INSERT INTO search (search, rowid, text, tags) VALUES ('delete', ?, ?, ?)`, d.doc, store.Words(d.text), docTags(no, d.kind)); err != nil {
			return err
		}
		if _, err := t.conn.Exec(`DELETE FROM docs WHERE doc = ?`, d.doc); err != nil {
			return err
		}
		t.written = true
		t.bytes += 4*int64(len(d.text)) + pageBytes
	}
	return nil
}

// dropDocs removes some of the documents of a session number whose events are
// below an id, and returns how many.
func (t *txn) dropDocs(no, below int64) (removed int, err error) {
	some, err := t.someDocs(`SELECT doc, session_no, kind, text FROM docs WHERE session_no = ? AND id < ? ORDER BY id LIMIT ?`, no, below)
	if err != nil || len(some) == 0 {
		return 0, err
	}
	return len(some), t.apart(func() error { return t.removeDocs(some) })
}

// forgetDocs makes what was derived from a range of ids unfindable, in the
// transaction that redacts it. Log.unindex takes it off the disk.
func (t *txn) forgetDocs(no, from, to int64) error {
	n, err := t.conn.Exec(`UPDATE docs SET session_no = -session_no WHERE session_no = ? AND id >= ? AND first <= ?`, no, from, to)
	if err != nil {
		return err
	}
	var state []byte
	known := false
	err = t.conn.Query(func(row sqlite3.Row) error {
		x, err := store.NewExtractor(row.Bytes(0))
		if err != nil {
			return err
		}
		x.Forget(from, to)
		known, state = true, x.State()
		return sqlite3.ErrStop
	}, `SELECT state FROM derived WHERE session_no = ?`, no)
	if err != nil {
		return err
	}
	t.written = true
	t.bytes += n*pageBytes + pageBytes
	var kept any
	if state != nil {
		kept = state
	}
	if known {
		_, err = t.conn.Exec(`UPDATE derived SET generation = generation + 1, state = ? WHERE session_no = ?`, kept, no)
		return err
	}
	_, err = t.conn.Exec(`INSERT INTO derived SELECT no, floor - 1, floor - 1, 1, NULL FROM sessions WHERE no = ?`, no)
	return err
}

// unindex takes the documents that forgetDocs has set aside off the disk: the
// text with its row, and each of its words out of the index at once, where the
// removal of any other document is only noted until rows are merged. That takes
// its time, so it is done in small operations.
func (l *Log) unindex(ctx context.Context) error {
	for more := true; more; {
		err := l.withReader(ctx, func(c *sqlite3.Conn) (err error) {
			n, err := c.Int(`SELECT EXISTS (SELECT 1 FROM docs WHERE session_no < 0)`)
			more = n > 0
			return err
		})
		if err != nil || !more {
			return err
		}
		if err := l.queue.do(ctx, 0, 0, func(t *txn) error { return t.apart(t.unindex) }); err != nil {
			return fmt.Errorf("remove redacted text from the search index: %w", err)
		}
	}
	return nil
}

func (t *txn) unindex() error {
	some, err := t.someDocs(`SELECT doc, session_no, kind, text FROM docs WHERE session_no < 0 ORDER BY session_no LIMIT ?`)
	if err != nil || len(some) == 0 {
		return err
	}
	// What others have gathered in this transaction is written the usual way,
	// and this the thorough one, before the setting is taken back.
	for _, step := range []func() error{
		t.flushIndex,
		func() error { return t.secureDelete(1) },
		func() error { return t.removeDocs(some[:1]) },
		t.flushIndex,
		func() error { return t.secureDelete(0) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	t.purge = true
	return nil
}

func (t *txn) secureDelete(on int64) error {
	_, err := t.conn.Exec(`INSERT INTO search (search, rank) VALUES ('secure-delete', ?)`, on)
	return err
}

// matchText writes a query in the language of FTS5. Words have nothing in them
// that means something there. no and kind narrow it; 0 and "" do not.
func matchText(q *store.SearchQuery, no int64, kind string) string {
	var wanted, excluded []string
	for _, t := range q.Terms {
		s := phrase(t.Words...)
		if t.Prefix {
			s += " *"
		}
		if t.Not {
			excluded = append(excluded, s)
		} else {
			wanted = append(wanted, s)
		}
	}
	s := "(" + strings.Join(wanted, " AND ") + ")"
	if len(excluded) > 0 {
		s = "(" + s + " NOT (" + strings.Join(excluded, " OR ") + "))"
	}
	s = "{text} : " + s
	if no != 0 {
		s += " AND {tags} : " + phrase(sessionTag(no))
	}
	if kind != "" {
		s += " AND {tags} : " + phrase(kindTag(kind))
	}
	return s
}

// searchRows go from the last document to the first. Whatever the index has is
// a row, also when it is gone or not to be seen, so that all can be counted. A
// deleted session's number is nobody's.
const searchRows = `SELECT i.rowid, d.id, d.turn, d.kind, d.time, d.text, s.id, s.floor FROM search AS i
	LEFT JOIN docs AS d ON d.doc = i.rowid LEFT JOIN sessions AS s ON s.no = d.session_no
	WHERE i.search MATCH ? AND i.rowid < ? ORDER BY i.rowid DESC`

// Search implements store.Searcher.
func (l *Log) Search(ctx context.Context, f store.SearchFilter) (page store.SearchPage, err error) {
	q, before, limit, err := f.Check()
	if err != nil {
		return page, err
	}
	if before == 0 {
		before = math.MaxInt64
	}
	var texts []string
	err = l.withScanner(ctx, func(c *sqlite3.Conn) error {
		var no int64
		if f.Session != "" {
			if !store.Shows(f.Visible, f.Session) {
				return store.ErrNotFound
			}
			if _, no, err = readSession(c, f.Session); err != nil {
				return err
			}
		}
		last, scanned, foreign := int64(0), 0, 0
		return c.Query(func(row sqlite3.Row) error {
			if f.Visible != nil && (row.Null(6) || !f.Visible.Match(row.Text(6))) {
				if foreign++; foreign < foreignScanMax {
					return ctx.Err()
				}
				if len(page.Hits) < limit {
					last = row.Int(0)
				}
				page.Next = strconv.FormatInt(last, 10)
				return sqlite3.ErrStop
			}
			if scanned == searchScanMax || len(page.Hits) == limit {
				page.Next = strconv.FormatInt(last, 10)
				return sqlite3.ErrStop
			}
			last = row.Int(0)
			scanned++
			if row.Null(6) || row.Int(1) < row.Int(7) || !f.Covers(millis(row.Int(4))) {
				return ctx.Err()
			}
			page.Hits = append(page.Hits, store.Hit{Session: row.Text(6), ID: row.Int(1), Turn: row.Text(2), Kind: row.Text(3), Time: millis(row.Int(4))})
			texts = append(texts, row.Text(5))
			return nil
		}, searchRows, matchText(q, no, f.Kind), before)
	})
	if err != nil {
		return store.SearchPage{}, err
	}
	for i, text := range texts { // after the connection was given back
		page.Hits[i].Snippet = q.Snippet(text)
	}
	page.Partial = l.derive.catchingUp()
	return page, nil
}

// matchingTurns is a condition on rows of turns, called t, that their documents
// have what the query asks for: those among the newest turnScanMax that do, and
// that the filter lets through. no is the number of the one session asked for,
// or 0.
func matchingTurns(query string, no int64, visible store.Patterns) (condition string, args []any, err error) {
	q, err := store.ParseSearch(query)
	if err != nil {
		return "", nil, err
	}
	seen, globs := visibleClause("o.id", visible)
	if seen == "" {
		return `(t.session_no, t.turn) IN (SELECT d.session_no, d.turn FROM
			(SELECT rowid AS doc FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?) AS m JOIN docs AS d ON d.doc = m.doc)`,
			[]any{matchText(q, no, ""), int64(turnScanMax)}, nil
	}
	args = append([]any{matchText(q, no, ""), int64(foreignScanMax)}, globs...)
	return `(t.session_no, t.turn) IN (SELECT d.session_no, d.turn FROM
		(SELECT rowid AS doc FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?) AS m JOIN docs AS d ON d.doc = m.doc
		JOIN sessions AS o ON o.no = d.session_no WHERE ` + seen + ` ORDER BY m.doc DESC LIMIT ?)`, append(args, int64(turnScanMax)), nil
}
