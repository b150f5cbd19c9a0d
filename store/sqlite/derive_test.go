package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

func openDerive(t testing.TB, dir string) *Log {
	t.Helper()
	// On a busy machine a read may hold the log for longer than serve waits for.
	l, err := Open(context.Background(), dir, Options{NoSync: true, walPause: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func put(t testing.TB, l *Log, session string, drafts ...store.Draft) store.Appended {
	t.Helper()
	a, err := l.Append(context.Background(), session, store.AppendOptions{}, drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func event(typ, turn, data string) store.Draft {
	return store.Draft{Type: typ, Turn: turn, Data: []byte(strings.ReplaceAll(data, "'", `"`))}
}

func settled(t testing.TB, l *Log) {
	t.Helper()
	if err := l.settle(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// write runs f on the writer.
func write(t testing.TB, l *Log, f func(*txn) error) {
	t.Helper()
	err := l.queue.do(context.Background(), 0, 0, func(t *txn) error {
		t.written = true
		return f(t)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stored lists the documents of each session, in the order in which they were
// made.
func stored(t testing.TB, l *Log) map[string][]string {
	t.Helper()
	docs := map[string][]string{}
	err := l.withReader(context.Background(), func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			id := row.Text(0)
			docs[id] = append(docs[id], fmt.Sprintf("%d-%d %s %s %s", row.Int(1), row.Int(2), row.Text(3), row.Text(4), row.Text(5)))
			return nil
		}, `SELECT s.id, first, d.id, kind, d.turn, text FROM docs AS d JOIN sessions AS s ON s.no = d.session_no ORDER BY doc`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// extracted makes the documents of all sessions from their logs, at once.
func extracted(t testing.TB, l *Log, sessions []string) map[string][]string {
	t.Helper()
	docs := map[string][]string{}
	for _, id := range sessions {
		x := &store.Extractor{}
		for after := int64(0); ; {
			page, err := l.Read(context.Background(), id, store.Query{After: after})
			if errors.Is(err, store.ErrNotFound) || err == nil && len(page.Events) == 0 {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range page.Events {
				for _, d := range x.Add(&page.Events[i]) {
					docs[id] = append(docs[id], fmt.Sprintf("%d-%d %s %s %s", d.First, d.ID, d.Kind, d.Turn, d.Text))
				}
			}
			after = page.Events[len(page.Events)-1].ID
		}
	}
	return docs
}

// sound wants the index to be whole and to have just the words of the
// documents.
func sound(t testing.TB, l *Log) {
	t.Helper()
	write(t, l, func(w *txn) error {
		if _, err := w.conn.Exec(`INSERT INTO search (search) VALUES ('integrity-check')`); err != nil {
			t.Errorf("integrity check: %v", err)
		}
		want := map[string]bool{}
		err := w.conn.Query(func(row sqlite3.Row) error {
			for _, word := range strings.Fields(store.Words(row.Text(1))) {
				want[fmt.Sprint(row.Int(0), " ", word)] = true
			}
			return nil
		}, `SELECT doc, text FROM docs`)
		if err != nil {
			return err
		}
		if _, err := w.conn.Exec(`CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, search, instance)`); err != nil {
			return err
		}
		got := map[string]bool{}
		err = w.conn.Query(func(row sqlite3.Row) error {
			got[fmt.Sprint(row.Int(0), " ", row.Text(1))] = true
			return nil
		}, `SELECT doc, term FROM temp.vocabulary WHERE col = 'text'`)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the index has %d words of documents, the documents %d", len(got), len(want))
		}
		_, drop := w.conn.Exec(`DROP TABLE temp.vocabulary`)
		return errors.Join(err, drop)
	})
}

var deriveSessions = []string{"a", "b", "c", "d"}

// randomDraft is an event of any sort that documents are made of, and of some
// that none are made of.
func randomDraft(r *rand.Rand, n int) store.Draft {
	word := fmt.Sprintf("w%d é北%d", n, r.IntN(50))
	key := []string{"", ",'block':0", ",'block':1"}[r.IntN(3)]
	switch r.IntN(12) {
	case 0:
		return event("text", "", fmt.Sprintf("{'text':'%s'%s}", word, key))
	case 1:
		return event("tool_start", "", fmt.Sprintf("{'id':'%d','name':'Bash','input':{'x':'%s'}}", r.IntN(2), word))
	case 2:
		return event("tool_result", "", fmt.Sprintf("{'id':'%d','output':'%s'}", r.IntN(2), word))
	case 3:
		return event("thinking_delta", "", fmt.Sprintf("{'text':'%s'}", word))
	case 4:
		return event("kontask_updated", "", fmt.Sprintf("{'id':'k%d','title':'%s'}", r.Int(), word))
	case 5:
		return event("process_exit", "", "{'exitCode':0}")
	case 6:
		return event("text", "", fmt.Sprintf("{'text':'%s'}", strings.Repeat(word+" ", r.IntN(2000))))
	}
	return event("text_delta", "", fmt.Sprintf("{'text':'%s '%s}", word, key))
}

// TestDerivedOnce holds the index after random appends, restarts and sessions
// that are made again against one that is made of the logs at once.
func TestDerivedOnce(t *testing.T) {
	t.Parallel()
	seeds := uint64(6)
	if long.Race || !long.Wanted() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			dir := t.TempDir()
			l := openDerive(t, dir)
			for n := range 250 {
				session := deriveSessions[r.IntN(len(deriveSessions))]
				var drafts []store.Draft
				for range 1 + r.IntN(8) {
					drafts = append(drafts, randomDraft(r, n))
				}
				put(t, l, session, drafts...)
				switch r.IntN(40) {
				case 0, 1:
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					l = openDerive(t, dir)
				case 2:
					settled(t, l)
				case 3:
					if err := l.DeleteSession(context.Background(), session); err != nil {
						t.Fatal(err)
					}
				}
			}
			settled(t, l)
			if got, want := stored(t, l), extracted(t, l, deriveSessions); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %.2000v\nwant %.2000v", got, want)
			}
			if err := l.sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			sound(t, l)
		})
	}
}

// TestDerivedBacklog indexes what is there when the index is not, as in a
// database from before there was one.
func TestDerivedBacklog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	var sessions []string
	for i := range 3 * deriveScanPage {
		sessions = append(sessions, fmt.Sprint("s", i))
		put(t, l, sessions[i], event("text", "", "{'text':'apple'}"), event("text_delta", "", "{'text':'pear'}"))
	}
	for range 3 {
		drafts := make([]store.Draft, derivePageEvents-1)
		for i := range drafts {
			drafts[i] = event("text_delta", "", "{'text':'plum '}")
		}
		put(t, l, "long", append(drafts, event("text", "", "{'text':'fig'}"), event("text_delta", "", "{'text':'plum '}"))...)
	}
	settled(t, l)
	want := stored(t, l)
	write(t, l, func(w *txn) error {
		return w.conn.Script(`DELETE FROM derived; DELETE FROM docs; INSERT INTO search (search) VALUES ('delete-all')`)
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openDerive(t, dir)
	settled(t, l)
	if got := stored(t, l); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %.500v\nwant %.500v", got, want)
	}
	sound(t, l)
}

// TestDeriveForgetsWhatItWasToVisit fills the set of noted sessions: what has
// no place in it is found by looking.
func TestDeriveForgetsWhatItWasToVisit(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	settled(t, l)
	d := &l.derive
	d.mu.Lock()
	for i := range deriveDirtyMax {
		d.dirty[fmt.Sprint("absent", i)] = struct{}{}
	}
	d.mu.Unlock()
	put(t, l, "s", event("text", "", "{'text':'apple'}"))
	settled(t, l)
	if got := stored(t, l)["s"]; len(got) != 1 {
		t.Errorf("got %v, want one document", got)
	}
}

// TestDeriveSteps wants each step to be called for each turn_end with what came
// since the one before, and again when that could not be noted.
func TestDeriveSteps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	settled(t, l)
	var called []string
	var fail error
	use := func(l *Log) { // between two rounds, so that the loop does not look
		write(t, l, func(*txn) error { return nil })
		l.derive.steps = []deriveStep{{"test", func(_ context.Context, session string, from, to int64) error {
			called = append(called, fmt.Sprintf("%s %d-%d", session, from, to))
			err := fail
			fail = nil
			return err
		}}}
	}
	turn := func(id string) []store.Draft {
		return []store.Draft{event("turn_start", id, "{}"), event("text", id, "{'text':'x'}"), event("turn_end", id, "{'success':true,'reason':'done'}")}
	}
	use(l)
	put(t, l, "s", append(turn("t1"), event("text", "", "{'text':'late'}"))...)
	put(t, l, "s", turn("t2")...)
	settled(t, l)
	fail = errors.New("odd")
	put(t, l, "s", turn("t3")...)
	settled(t, l)
	if want := []string{"s 1-3", "s 4-7", "s 8-10"}; !slices.Equal(called, want) {
		t.Fatalf("called %v, want %v", called, want)
	}
	called, fail = nil, store.ErrQueueFull
	put(t, l, "s", turn("t4")...)
	settled(t, l)
	if want := []string{"s 11-13", "s 11-13"}; !slices.Equal(called, want) {
		t.Errorf("called %v, want %v", called, want)
	}
	called, fail = nil, store.ErrQueueFull
	put(t, l, "silent", event("turn_start", "t", "{}"), event("turn_end", "t", "{'success':true,'reason':'done'}"))
	settled(t, l)
	if want := []string{"silent 1-2", "silent 1-2"}; !slices.Equal(called, want) {
		t.Errorf("called %v, want %v", called, want)
	}
	if got, want := stored(t, l), extracted(t, l, []string{"s"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	called = nil
	l = openDerive(t, dir)
	settled(t, l)
	use(l)
	put(t, l, "s", turn("t5")...)
	settled(t, l)
	if want := []string{"s 14-16"}; !slices.Equal(called, want) {
		t.Errorf("after a restart: called %v, want %v", called, want)
	}
}

// TestRedactedWordsLeaveTheDisk looks for a redacted word in the files.
func TestRedactedWordsLeaveTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	const secret = "qzxvsecretpassphrasewkj" // nothing else begins so, so that the index has it whole but for its first letters
	onDisk := func() bool {
		t.Helper()
		for _, name := range []string{databaseFile, databaseFile + "-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if strings.Contains(string(b), secret[2:]) {
				return true
			}
		}
		return false
	}
	for i := range 200 {
		put(t, l, "s", event("text", "", fmt.Sprintf("{'text':'some words %d'}", i)))
		if i == 100 {
			put(t, l, "s", event("text", "", "{'text':'the "+secret+" is'}"))
			put(t, l, "s", event("text_delta", "", "{'text':'and "+secret+"2','block':1}"))
		}
		if i%20 == 0 {
			settled(t, l)
		}
	}
	settled(t, l)
	if !onDisk() {
		t.Fatal("the word is not there to begin with")
	}
	for _, id := range []int64{102, 103} {
		done, err := l.Redact(context.Background(), "s", store.RedactSpec{From: id, To: id})
		if err != nil || done.Pending {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	write(t, l, func(*txn) error { return nil }) // the writer empties its log after this
	for l.purging(t) {
	}
	if onDisk() {
		t.Error("the word is still in the files")
	}
	page, err := l.Search(context.Background(), store.SearchFilter{Query: secret + "*"})
	if err != nil || len(page.Hits) > 0 {
		t.Errorf("found %v, %v", page.Hits, err)
	}
	put(t, l, "s", event("process_exit", "", "{}")) // would end the block
	settled(t, l)
	if onDisk() {
		t.Error("the word came back")
	}
	sound(t, l)
}

func (l *Log) purging(t testing.TB) (is bool) {
	t.Helper()
	write(t, l, func(w *txn) error {
		is = w.w.purging
		return nil
	})
	return is
}

// TestRedactionVoidsWhatWasRead redacts between the loop's reading of an event
// and its writing of the document.
func TestRedactionVoidsWhatWasRead(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	put(t, l, "s", event("text_delta", "", "{'text':'secret','block':1}"), event("text", "", "{'text':'apple'}"))
	settled(t, l)
	d := &deriver{l: l, known: map[string]*derivation{}}
	p, err := d.place(context.Background(), "s")
	if err != nil {
		t.Fatal(err)
	}
	p.docs = []indexDoc{newIndexDoc(&store.Doc{ID: 1, First: 1, Kind: store.DocText, Text: "secret"})}
	if _, err := l.Redact(context.Background(), "s", store.RedactSpec{From: 1, To: 1}); err != nil {
		t.Fatal(err)
	}
	write(t, l, func(w *txn) error { return w.saveDerived([]*derivation{p}) })
	settled(t, l)
	if got := stored(t, l)["s"]; !p.void || len(got) != 1 {
		t.Errorf("void is %t, documents %v", p.void, got)
	}
	d.known = map[string]*derivation{}
	if p, err = d.place(context.Background(), "s"); err != nil || p.extractor.Size() != 0 {
		t.Errorf("the open block is kept: %d bytes, %v", p.extractor.Size(), err)
	}
}

// TestDamagedIndexHarmsNoAppend breaks the index: what hangs on it stops, and
// nothing else.
func TestDamagedIndexHarmsNoAppend(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	for i := range 50 {
		put(t, l, "s", event("text", "", fmt.Sprintf("{'text':'apple %d'}", i)))
	}
	settled(t, l)
	write(t, l, func(w *txn) error {
		return w.conn.Script(`UPDATE search_data SET block = x'ffffffffffffffff'`)
	})
	d := &store.Doc{ID: 1, Kind: store.DocText, Text: "pear"}
	err := l.queue.do(context.Background(), 0, 0, func(t *txn) error {
		doc := newIndexDoc(d)
		return t.apart(func() error { return t.insertDoc(1, &doc) })
	})
	if store.CodeOf(err) != store.CodeCorrupt {
		t.Errorf("got %v, want code %s", err, store.CodeCorrupt)
	}
	if h := l.Health(); !h.Writable {
		t.Errorf("health %+v", h)
	}
	for range 10 {
		put(t, l, "s", event("text", "", "{'text':'plum'}"))
	}
	if page, err := l.Read(context.Background(), "s", store.Query{}); err != nil || len(page.Events) != 60 {
		t.Errorf("%d events, %v", len(page.Events), err)
	}
}

// TestRetentionTrimsTheIndex wants the documents of events that went to go.
func TestRetentionTrimsTheIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	for i := range 300 {
		put(t, l, "s", event("text", "", fmt.Sprintf("{'text':'apple %d %s'}", i, strings.Repeat("x ", 100))))
	}
	settled(t, l)
	l.derive.stop()
	if _, err := l.Retain(context.Background(), store.Retention{Events: 10}); err != nil {
		t.Fatal(err)
	}
	page, err := l.Search(context.Background(), store.SearchFilter{Query: "apple", Limit: 100})
	if err != nil || len(page.Hits) != 10 {
		t.Errorf("%d hits before the index was trimmed, %v, want 10", len(page.Hits), err)
	}
	l.derive.init()
	l.derive.start(l)
	settled(t, l)
	if got := stored(t, l)["s"]; len(got) != 10 {
		t.Errorf("%d documents are left, want 10", len(got))
	}
	sound(t, l)
	if err := l.DeleteSession(context.Background(), "s"); err != nil {
		t.Fatal(err)
	}
	if err := l.sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	write(t, l, func(w *txn) error {
		for _, table := range []string{"docs", "derived", "search_docsize"} {
			if n, err := w.conn.Int(`SELECT count(*) FROM ` + table); err != nil || n != 0 {
				t.Errorf("%d rows are left in %s, %v", n, table, err)
			}
		}
		return nil
	})
}

// FuzzSearch wants FTS5 to take every query that ParseSearch takes.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{`a "b c" -d abc*`, `NEAR(a b, 3)`, `text : a`, `{text} : "`, `^a AND (b OR c) NOT d`, "北京*", `"a" + "b"`, "a*b", "\x00a", "-- ; DROP", `""""`} {
		f.Add(q)
	}
	l := openDerive(f, f.TempDir())
	put(f, l, "s", event("text", "", "{'text':'a b c d 北京'}"))
	settled(f, l)
	f.Fuzz(func(t *testing.T, query string) {
		for _, filter := range []store.SearchFilter{{Query: query}, {Query: query, Session: "s", Kind: "text"}} {
			if _, err := l.Search(context.Background(), filter); err != nil && store.CodeOf(err) != store.CodeInvalidQuery {
				t.Errorf("%q: %v", query, err)
			}
		}
	})
}
