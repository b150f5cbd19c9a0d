package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

func appendTo(tb testing.TB, l *Log, session string, drafts ...store.Draft) {
	tb.Helper()
	for part := range slices.Chunk(drafts, 2000) {
		if _, err := l.Append(context.Background(), session, store.AppendOptions{}, part...); err != nil {
			tb.Fatal(err)
		}
	}
}

func sealsOf(tb testing.TB, l *Log, session string) (all []store.Seal) {
	tb.Helper()
	for after := int64(0); ; {
		page, err := l.Seals(context.Background(), session, after, 7)
		if err != nil {
			tb.Fatal(err)
		}
		if all = append(all, page.Seals...); page.Next == 0 {
			return all
		}
		after = page.Next
	}
}

// turnOf is a turn of n events with all that an event can have.
func turnOf(rng *rand.Rand, name string, n int) (drafts []store.Draft) {
	drafts = append(drafts, store.Draft{Type: store.TypeTurnStart, Turn: name})
	for i := range n - 2 {
		d := store.Draft{Type: "text_delta", Turn: name, Data: fmt.Appendf(nil, `{"text":"%d"}`, i)}
		switch rng.IntN(5) {
		case 0:
			d.Raw = []byte{}
		case 1:
			d.Raw = []byte(strings.Repeat("r", rng.IntN(20)))
		case 2:
			d.Parent = "p"
		case 3:
			d.Turn, d.Data = "", nil
		}
		drafts = append(drafts, d)
	}
	return append(drafts, store.Draft{Type: store.TypeTurnEnd, Turn: name})
}

// bruteForce is the chain over events as docs/STORAGE.md describes it.
func bruteForce(events []store.Event) (h [32]byte) {
	for _, e := range events {
		var text []byte
		part := func(b []byte) { text = append(binary.BigEndian.AppendUint64(text, uint64(len(b))), b...) }
		part([]byte("konlog.event.1"))
		part(binary.BigEndian.AppendUint64(nil, uint64(e.ID)))
		part([]byte(e.Type))
		part([]byte(e.Turn))
		part([]byte(e.Parent))
		part(binary.BigEndian.AppendUint64(nil, uint64(e.Time.UnixMilli())))
		data, raw := sha256.Sum256(e.Data), sha256.Sum256(e.Raw)
		part(data[:])
		if e.Raw == nil {
			part(nil)
		} else {
			part(raw[:])
		}
		leaf := sha256.Sum256(text)
		h = sha256.Sum256(append(h[:], leaf[:]...))
	}
	return h
}

// Every turn's end is sealed, with the hash of all events up to there, also of
// those that were redacted or removed since.
func TestSealsAgainstBruteForce(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	var ends []int64
	var all []store.Event
	for turn := range 12 {
		appendTo(t, l, "s", turnOf(rng, fmt.Sprint("t", turn), 3+rng.IntN(30))...)
		page, err := l.Read(ctx, "s", store.Query{After: int64(len(all)), Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Events...)
		ends = append(ends, int64(len(all)))
		switch turn {
		case 3: // what is not sealed yet is redacted
			if _, err := l.Redact(ctx, "s", store.RedactSpec{From: ends[2], To: ends[3] - 1}); err != nil {
				t.Fatal(err)
			}
		case 6:
			settled(t, l)
			if _, err := l.Retain(ctx, store.Retention{Events: 30}); err != nil {
				t.Fatal(err)
			}
		}
		if page, err = l.Read(ctx, "s", store.Query{After: int64(len(all)), Raw: true}); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Events...) // what says that something was redacted
	}
	settled(t, l)
	seals := sealsOf(t, l, "s")
	first := int64(1)
	var lasts []int64
	for _, s := range seals {
		if s.First != first || s.Hash != store.Hash(bruteForce(all[:s.Last])) {
			t.Errorf("seal %d to %d: hash %s, want %x from %d on", s.First, s.Last, s.Hash, bruteForce(all[:s.Last]), first)
		}
		first = s.Last + 1
		lasts = append(lasts, s.Last)
	}
	if !slices.Equal(lasts, ends) {
		t.Errorf("sealed at %v, turns end at %v", lasts, ends)
	}
}

// What no turn's end seals is sealed all the same.
func TestSealsOfLongAndClosedSessions(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	drafts := make([]store.Draft, 2*store.SealEventsMax+100)
	for i := range drafts {
		drafts[i] = store.Draft{Type: "x", Data: fmt.Append(nil, i)}
	}
	appendTo(t, l, "long", drafts...)
	appendTo(t, l, "closed", store.Draft{Type: "x"}, store.Draft{Type: store.TypeSessionClosed})
	appendTo(t, l, "open", store.Draft{Type: "x"})
	settled(t, l)
	for session, want := range map[string]string{"long": "1-10000 10001-20000 ", "closed": "1-2 ", "open": ""} {
		got := ""
		for _, s := range sealsOf(t, l, session) {
			got += fmt.Sprintf("%d-%d ", s.First, s.Last)
		}
		if got != want {
			t.Errorf("%s: sealed %q, want %q", session, got, want)
		}
	}
	// Behind by more than one seal takes: in parts.
	if _, err := l.writerExec(`DELETE FROM seals`); err != nil {
		t.Fatal(err)
	}
	if err := l.seal(context.Background(), "long", 20_100); err != nil {
		t.Fatal(err)
	}
	if seals := sealsOf(t, l, "long"); len(seals) != 3 || seals[2].Last != 20_100 || seals[1].Last != 20_000 {
		t.Errorf("caught up with %v", seals)
	}
}

// writerExec runs SQL in the writer, for tests.
func (l *Log) writerExec(text string, args ...any) (n int64, err error) {
	err = l.queue.do(context.Background(), 0, 0, func(t *txn) error {
		t.written = true
		n, err = t.conn.Exec(text, args...)
		return err
	})
	return n, err
}

// Whoever seals at the same time, and whatever retention takes meanwhile, seals
// never overlap.
func TestSealsNeverOverlap(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	var drafts []store.Draft
	for i := range 3000 {
		drafts = append(drafts, store.Draft{Type: "x", Data: fmt.Append(nil, i)})
	}
	appendTo(t, l, "s", drafts...)
	var all sync.WaitGroup
	for g := range int64(4) {
		all.Go(func() {
			for to := 100 + 7*g; to < 3000; to += 311 {
				if err := l.seal(ctx, "s", to); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for keep := int64(2900); keep > 1000; keep -= 400 {
			if _, err := l.Retain(ctx, store.Retention{Events: keep}); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	last := int64(0)
	for _, s := range sealsOf(t, l, "s") {
		if s.First <= last || s.Last < s.First {
			t.Errorf("seal %d to %d after %d", s.First, s.Last, last)
		}
		last = s.Last
	}
	if err := l.seal(ctx, "absent", 5); err != nil {
		t.Errorf("a session that is gone: %v", err)
	}
}

// A hole in the log cannot be sealed, and does not keep the loop busy for ever.
func TestSealOfADamagedLogEnds(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	appendTo(t, l, "s", store.Draft{Type: "x"}, store.Draft{Type: "x"}, store.Draft{Type: "x"})
	if _, err := l.writerExec(`DELETE FROM events WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	if err := l.seal(context.Background(), "s", 3); err == nil || len(sealsOf(t, l, "s")) > 0 {
		t.Errorf("sealed a hole: %v", err)
	}
}

// planted is a data directory with sealed sessions, closed, that tests damage.
func planted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l := openDerive(t, dir)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, session := range []string{"a", "b"} {
		for turn := range 3 {
			appendTo(t, l, session, turnOf(rng, fmt.Sprint("t", turn), 10)...)
		}
		appendTo(t, l, session, store.Draft{Type: "text", Parent: "pp", Data: []byte(`{"text":"zz"}`), Raw: []byte("raw")})
		appendTo(t, l, session, turnOf(rng, "t9", 10)...)
	}
	if _, err := l.Redact(context.Background(), "a", store.RedactSpec{From: 5, To: 6}); err != nil {
		t.Fatal(err)
	}
	settled(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func verified(t *testing.T, dir string) (problems []string, report Report) {
	t.Helper()
	report, err := Verify(context.Background(), dir, func(p Problem) { problems = append(problems, p.String()) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return problems, report
}

// Whatever of a sealed event is changed, verify says so, and between which
// events.
func TestVerifyFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	const seal4 = "session a: seal of events 31 to 41: the hash is not that of these events"
	for _, test := range []struct{ what, sql, want string }{
		{"nothing", `SELECT 1`, ""},
		{"time", `UPDATE events SET time = time + 1 WHERE id = 31 AND session_no = ?`, seal4},
		{"type", `UPDATE events SET type = 'texd' WHERE id = 31 AND session_no = ?`, seal4},
		{"turn", `UPDATE events SET turn = 't8' WHERE id = 32 AND session_no = ?`, seal4},
		{"parent", `UPDATE events SET parent = 'qq' WHERE id = 31 AND session_no = ?`, seal4},
		{"turn and parent swapped", `UPDATE events SET turn = parent, parent = turn WHERE id = 31 AND session_no = ?`, seal4},
		{"data", `UPDATE events SET data = CAST('{"text":"zy"}' AS BLOB) WHERE id = 31 AND session_no = ?`, seal4},
		{"raw", `UPDATE events SET raw = CAST('row' AS BLOB) WHERE id = 31 AND session_no = ?`, seal4},
		{"id", `UPDATE events SET id = CASE id WHEN 2 THEN 102 WHEN 3 THEN 2 ELSE id END WHERE session_no = ? AND id IN (2, 3); UPDATE events SET id = 3 WHERE id = 102`, "session a: seal of events 1 to 10: the hash"},
		{"an empty raw line taken away", `UPDATE events SET raw = NULL WHERE length(raw) = 0 AND session_no = ?`, "the hash is not that of these events"},
		{"hash", `UPDATE seals SET hash = zeroblob(32) WHERE last = 20 AND session_no = ?`, "session a: seal of events 11 to 20: the hash"},
		{"first", `UPDATE seals SET first = 12 WHERE last = 20 AND session_no = ?`, "session a: seal of events 12 to 20: event 11 before it is covered by no seal"},
		{"first below", `UPDATE seals SET first = 9 WHERE last = 20 AND session_no = ?`, "session a: seal of events 9 to 20: it does not fit"},
		{"beyond the head", `UPDATE seals SET last = 99 WHERE last = 41 AND session_no = ?`, "session a: seal of events 31 to 99: it does not fit"},
		{"a seal is missing", `DELETE FROM seals WHERE last = 20 AND session_no = ?`, "session a: seal of events 21 to 30: event 20 before it is covered by no seal"},
		{"the redacted content's hash", `UPDATE redactions SET data_hash = zeroblob(32) WHERE id = 5 AND session_no = ?`, "session a: seal of events 1 to 10: the hash"},
		{"redacted and still there", `UPDATE events SET data = CAST('{}' AS BLOB) WHERE id = 5 AND session_no = ?`, "session a event 5: was redacted, but its content is there"},
		{"gone without a word", `DELETE FROM redactions WHERE id = 5 AND session_no = ?`, "session a event 5: has no data, and no redaction says why"},
		{"what never was redacted", `INSERT INTO redactions VALUES (?, 99, zeroblob(32), NULL, 0, '')`, "session a event 99: was redacted, but there is no such event"},
		{"orphans", `INSERT INTO seals VALUES (? + 1000, 1, 2, zeroblob(32), 0)`, "table seals: 1 rows of session number"},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := planted(t)
			c, err := sqlite3.Open(filepath.Join(dir, databaseFile), "", busyTimeoutMillis)
			if err != nil {
				t.Fatal(err)
			}
			no, err := c.Int(`SELECT no FROM sessions WHERE id = 'a'`)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Script(strings.ReplaceAll(test.sql, "?", fmt.Sprint(no))); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			problems, report := verified(t, dir)
			if test.want == "" {
				if len(problems) > 0 || report.Proven != 82 || report.Unsealed != 1 || report.Unprovable != 0 || len(report.Sealed) != 2 {
					t.Fatalf("sound, but %v, %+v", problems, report)
				}
				return
			}
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
				t.Errorf("got %q, want one with %q", problems, test.want)
			}
			if others := slices.DeleteFunc(problems, func(p string) bool { return !strings.HasPrefix(p, "session b") }); len(others) > 0 {
				t.Errorf("of the session that is sound: %q", others)
			}
		})
	}
}

// Retention takes the events and leaves the seals: what is left is proven from
// the last seal below the floor on, and the rest is counted.
func TestVerifyAfterRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	rng := rand.New(rand.NewPCG(5, 6))
	for turn := range 5 {
		appendTo(t, l, "s", turnOf(rng, fmt.Sprint("t", turn), 10)...)
	}
	settled(t, l)
	if _, err := l.Retain(context.Background(), store.Retention{Events: 26}); err != nil { // 25 to 50
		t.Fatal(err)
	}
	seals := sealsOf(t, l, "s")
	appendTo(t, l, "s", store.Draft{Type: "x"}, store.Draft{Type: "x"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	problems, report := verified(t, dir)
	if len(problems) > 0 || report.Unprovable != 6 || report.Proven != 20 || report.Unsealed != 2 {
		t.Errorf("got %q and %+v, want 6 not provable, 20 proven, 2 not sealed", problems, report)
	}
	want := Sealed{Session: "s", Last: 50, Hash: seals[4].Hash}
	if len(seals) != 5 || len(report.Sealed) != 1 || report.Sealed[0] != want {
		t.Errorf("sealed up to %+v, want %+v of %d seals", report.Sealed, want, len(seals))
	}
}

// Sealing begins at what is left when retention was faster.
func TestSealAfterRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	ctx := context.Background()
	appendTo(t, l, "s", make10()...)
	if err := l.seal(ctx, "s", 4); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Retain(ctx, store.Retention{Events: 4}); err != nil { // 7 to 10
		t.Fatal(err)
	}
	if err := l.seal(ctx, "s", 10); err != nil {
		t.Fatal(err)
	}
	if seals := sealsOf(t, l, "s"); len(seals) != 2 || seals[1].First != 7 || seals[1].Last != 10 {
		t.Errorf("seals %+v", seals)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if problems, report := verified(t, dir); len(problems) > 0 || report.Proven != 4 {
		t.Errorf("got %q and %+v", problems, report)
	}
}

func make10() (drafts []store.Draft) {
	for i := range 10 {
		drafts = append(drafts, store.Draft{Type: "x", Data: fmt.Append(nil, i)})
	}
	return drafts
}

// Seals are told in pages, each once, and are of the session that has the name
// now.
func TestSealsPages(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	appendTo(t, l, "s", make10()...)
	appendTo(t, l, "s", make10()...)
	for to := int64(1); to <= 20; to++ {
		if err := l.seal(ctx, "s", to); err != nil {
			t.Fatal(err)
		}
	}
	all := sealsOf(t, l, "s")
	if len(all) != 20 {
		t.Fatalf("%d seals", len(all))
	}
	for i, s := range all {
		if s.First != int64(i+1) || s.Last != int64(i+1) || time.Since(s.SealedAt) > time.Hour || bytes.Equal(s.Hash[:], make([]byte, 32)) {
			t.Errorf("seal %d: %+v", i, s)
		}
	}
	page, err := l.Seals(ctx, "s", 13, 7)
	if err != nil || len(page.Seals) != 7 || page.Next != 0 || page.Session.Head != 20 {
		t.Errorf("last page: %+v, %v", page, err)
	}
	if err := l.DeleteSession(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seals(ctx, "s", 0, 0); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("of a deleted session: %v", err)
	}
	appendTo(t, l, "s", make10()...)
	if seals := sealsOf(t, l, "s"); len(seals) != 0 {
		t.Errorf("made again it has the seals of the deleted one: %+v", seals)
	}
}
