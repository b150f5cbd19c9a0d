package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// secretWord is what must be gone from the disk; its middle too, for an index
// may keep words without their beginnings.
const secretWord = "xylo9hunter2phone"

func secretive(i int, size int) store.Draft {
	return store.Draft{Type: "text", Turn: "t", Data: fmt.Appendf(nil, `{"text":"%s %05d %s"}`, secretWord, i, strings.Repeat("z", size)), Raw: fmt.Appendf(nil, "%s raw %d", secretWord, i)}
}

// found lists the files of a data directory that hold a word.
func found(t *testing.T, dir, word string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte(word)); n > 0 {
			i := bytes.Index(text, []byte(word))
			files = append(files, fmt.Sprintf("%s %d times, first at %d: %.80q", e.Name(), n, i, text[max(0, i-40):min(len(text), i+40)]))
		}
	}
	return files
}

func redact(t *testing.T, l *Log, session string, from, to int64) store.Redacted {
	t.Helper()
	done, err := l.Redact(context.Background(), session, store.RedactSpec{From: from, To: to, Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// When a redaction has returned, the bytes are in no file: not in the row, not
// in what was derived from it, not in free pages, not in the write-ahead log.
func TestRedactedBytesLeaveTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	say := func(members string) []byte { return []byte(`{"text":"` + secretWord + `"` + members + `}`) }
	put(t, l, "s", store.Draft{Type: store.TypePrompt, Turn: "t1", Key: "k", Data: say(`,"source":"` + secretWord + `"`)})
	put(t, l, "s", store.Draft{Type: store.TypeTurnStart, Turn: "t1", Data: say(`,"agent":"` + secretWord + `"`)})
	for range 300 { // enough for a stored fold
		put(t, l, "s", store.Draft{Type: store.TypeTextDelta, Turn: "t1", Data: say("")})
	}
	put(t, l, "s", store.Draft{Type: store.TypeToolStart, Turn: "t1", Data: say(`,"id":"a","name":"` + secretWord + `","input":{"a":"` + secretWord + `"}`)})
	put(t, l, "s", store.Draft{Type: store.TypeToolResult, Turn: "t1", Data: say(`,"id":"a","output":"` + secretWord + `"`), Raw: []byte(secretWord)})
	put(t, l, "s", store.Draft{Type: store.TypePermissionRequest, Turn: "t1", Data: say(`,"requestId":"q1","tool":"` + secretWord + `"`)})
	put(t, l, "s", store.Draft{Type: store.TypeTaskStart, Data: say(`,"taskId":"a","title":"` + secretWord + `"`)})
	put(t, l, "s", store.Draft{Type: store.TypeKontaskReady, Turn: "t1", Data: say(`,"id":"k1","title":"` + secretWord + `"`)})
	put(t, l, "s", store.Draft{Type: store.TypeTurnEnd, Turn: "t1", Data: say(`,"success":false,"error":"` + secretWord + `","fullText":"` + secretWord + `"`)})
	head := put(t, l, "s", store.Draft{Type: store.TypePrompt, Turn: "t2", Data: say("")}).Last
	put(t, l, "other", secretive(0, 5000)) // a big one, in pages of its own
	settled(t, l)
	if len(found(t, dir, secretWord)) == 0 {
		t.Fatal("the word was never on the disk")
	}
	redact(t, l, "other", 1, 1)
	if done := redact(t, l, "s", 1, head); done.Events != head || done.Pending {
		t.Errorf("redacted %+v of %d events", done, head)
	}
	for _, word := range []string{secretWord, secretWord[3:], secretWord[:10]} {
		for _, file := range found(t, dir, word) {
			t.Errorf("%q is still in %s", word, file)
		}
	}
	put(t, l, "s", store.Draft{Type: store.TypeTurnEnd, Turn: "t2"})
	settled(t, l) // must not make again what was taken away
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range found(t, dir, secretWord) {
		t.Errorf("closed, it is in %s", file)
	}
	if problems, _ := verified(t, dir); len(problems) > 0 {
		t.Errorf("not sound any more: %q", problems)
	}
}

// Rows are moved about by what happens to their neighbours, and leave copies of
// themselves behind. None is left of what was redacted, whatever was redacted,
// removed and vacuumed around it.
func TestRedactedBytesLeaveNoCopies(t *testing.T) {
	t.Parallel()
	sizes := []int{1000, 100, 20_000, 10, 3000}
	if !long.Wanted() || long.Race { // a search of bytes has no races to find
		sizes = sizes[:2]
	}
	for seed, size := range sizes {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(size), 3))
			dir := t.TempDir()
			l := openDerive(t, dir)
			ctx := context.Background()
			n := min(800, 1_000_000/size)
			keep := n * 2 / 3
			for i := range n {
				d := secretive(i, rng.IntN(size))
				harmless := d
				harmless.Data, harmless.Raw = bytes.ReplaceAll(d.Data, []byte(secretWord), []byte("harmless")), nil
				put(t, l, fmt.Sprint("n", i%3), harmless)
				if i <= n-keep { // retention is not redaction: what it takes may leave traces
					d = harmless
				}
				put(t, l, "s", d)
			}
			settled(t, l)
			for i := range 1 + seed%3 {
				if err := l.DeleteSession(ctx, fmt.Sprint("n", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.sweep(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Retain(ctx, store.Retention{Events: int64(keep)}); err != nil {
				t.Fatal(err)
			}
			settled(t, l)
			var parts []int64
			for from := int64(1); from <= int64(n); from += 97 {
				parts = append(parts, from)
			}
			rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			for _, from := range parts {
				redact(t, l, "s", from, min(from+96, int64(n)))
			}
			for _, file := range found(t, dir, secretWord) {
				t.Errorf("it is still in %s", file)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if problems, _ := verified(t, dir); len(problems) > 0 {
				t.Errorf("not sound any more: %q", problems)
			}
		})
	}
}

// A process that dies in the middle of a scrub leaves it to the next.
func TestScrubIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	put(t, l, "s", secretive(1, 10))
	left := func() (n int64) {
		_ = l.withReader(context.Background(), func(c *sqlite3.Conn) (err error) {
			n, err = c.Int(`SELECT count(*) FROM unscrubbed`)
			return err
		})
		return n
	}
	redact(t, l, "s", 1, 1)
	if left() != 0 {
		t.Error("a scrub is still due after a redaction")
	}
	if _, err := l.writerExec(`INSERT INTO unscrubbed VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openDerive(t, dir)
	if err := l.scrub(context.Background()); err != nil || left() != 0 { // the janitor may have been first
		t.Errorf("a scrub is still due, %v", err)
	}
}

// TestScrubLeavesThePagesSound scrubs a database of many pages that are half
// empty, beside appends.
func TestScrubLeavesThePagesSound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	ctx := context.Background()
	for i := range 3 {
		longSession(t, l, fmt.Sprint("n", i), 3000)
	}
	settled(t, l)
	if err := l.DeleteSession(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Retain(ctx, store.Retention{Events: 1000}); err != nil {
		t.Fatal(err)
	}
	before, err := l.Read(ctx, "n0", store.Query{Limit: store.Limit{Events: 5000, Bytes: 1 << 26}})
	if err != nil {
		t.Fatal(err)
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if _, err := l.Append(ctx, "new", store.AppendOptions{}, secretive(0, 200)); err != nil {
				failed <- err
				return
			}
		}
	}()
	cleared := 0
	for range 3 {
		n, err := l.scrubPass(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		cleared += n
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if cleared == 0 {
		t.Error("nothing was to be cleared, so this test shows nothing")
	}
	after, err := l.Read(ctx, "n0", store.Query{Limit: store.Limit{Events: 5000, Bytes: 1 << 26}})
	if err != nil || !slices.EqualFunc(before.Events, after.Events, func(a, b store.Event) bool { return bytes.Equal(a.JSON(), b.JSON()) }) {
		t.Errorf("%d events were %d before, %v", len(after.Events), len(before.Events), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if problems, _ := verified(t, dir); len(problems) > 0 {
		t.Errorf("not sound any more: %q", problems)
	}
}

// FuzzClearUnused takes any page: nothing outside it is touched, and what the
// header says are cells stays.
func FuzzClearUnused(f *testing.F) {
	page := make([]byte, pageBytes)
	copy(page, []byte{13, 0x0f, 0x10, 0, 1, 0x0f, 0, 0, 0x0f, 0})
	copy(page[0x0f10:], []byte{0, 0, 0, 32, 9, 9})
	page[100] = 7
	f.Add(page)
	f.Add(bytes.Repeat([]byte{5}, pageBytes))
	f.Add(bytes.Repeat([]byte{10, 255}, pageBytes/2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, page []byte) {
		room := append(bytes.Clone(page), 1, 2, 3)
		changed := bytes.Clone(page)
		copy(room, changed)
		cleared := clearUnused(room[:len(page):len(page)], len(page))
		if !bytes.Equal(room[len(page):], []byte{1, 2, 3}) {
			t.Fatal("it wrote behind the page")
		}
		if cleared == bytes.Equal(room[:len(page)], page) {
			t.Fatalf("says cleared %t", cleared)
		}
		if len(page) >= 12 && !bytes.Equal(room[:8], page[:8]) {
			t.Fatal("it changed the header")
		}
	})
}

// A reader in another process, such as a backup, keeps the write-ahead log from
// being emptied: the answer says so, and it is done when that has ended.
func TestRedactionIsPendingWhileABackupReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	put(t, l, "s", secretive(1, 10))
	settled(t, l)
	backup, err := openExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Script("BEGIN; SELECT count(*) FROM events"); err != nil {
		t.Fatal(err)
	}
	if done := redact(t, l, "s", 1, 1); !done.Pending {
		t.Errorf("not pending: %+v", done)
	}
	if len(found(t, dir, secretWord)) == 0 {
		t.Error("it is gone all the same, so this test shows nothing")
	}
	if err := backup.Close(); err != nil {
		t.Fatal(err)
	}
	for pending := true; pending; { // the writer's own clock is the bound
		err := l.queue.do(context.Background(), 0, 0, func(t *txn) error {
			pending = t.w.purging
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range found(t, dir, secretWord) {
		t.Errorf("it is still in %s", file)
	}
}

// A process that dies before it could empty its log leaves that to the next.
func TestRedactionIsFinishedAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	put(t, l, "s", secretive(1, 10))
	settled(t, l)
	backup, err := openExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Script("BEGIN; SELECT count(*) FROM events"); err != nil {
		t.Fatal(err)
	}
	redact(t, l, "s", 1, 1)
	crashed := t.TempDir() // the files as a crash would leave them
	for _, name := range []string{databaseFile, databaseFile + "-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(crashed, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := backup.Close(); err != nil {
		t.Fatal(err)
	}
	if len(found(t, crashed, secretWord)) == 0 {
		t.Fatal("the crash left nothing behind, so this test shows nothing")
	}
	again := openDerive(t, crashed)
	put(t, again, "s", store.Draft{Type: "x"})
	settled(t, again)
	put(t, again, "s", store.Draft{Type: "x"})
	for _, file := range found(t, crashed, secretWord) {
		t.Errorf("it is still in %s", file)
	}
}

// What one transaction overwrites is bounded; a request that holds more takes
// several, and tells of each.
func TestRedactionOfMuchIsCut(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	const n = 12
	for i := range n {
		put(t, l, "s", secretive(i, 900<<10))
	}
	done := redact(t, l, "s", 1, n)
	page, err := l.Read(context.Background(), "s", store.Query{After: n})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range page.Events {
		told = append(told, string(e.Data))
	}
	want := []string{`{"from":1,"to":4,"reason":"r"}`, `{"from":5,"to":8,"reason":"r"}`, `{"from":9,"to":12,"reason":"r"}`}
	if done.Events != n || done.ID != n+3 || !slices.Equal(told, want) {
		t.Errorf("got %+v, told %q", done, told)
	}
}

// Events below the floor cannot be read again to make anew what followed from
// them: what they began is emptied instead.
func TestRedactionOfWhatBeganBelowTheFloor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openDerive(t, dir)
	ctx := context.Background()
	say := func(members string) []byte { return []byte(`{"text":"` + secretWord + `"` + members + `}`) }
	put(t, l, "s", store.Draft{Type: store.TypePrompt, Turn: "t1", Data: []byte(`{"text":"harmless"}`)})
	put(t, l, "s", store.Draft{Type: store.TypeTurnStart, Turn: "t1"}, store.Draft{Type: store.TypeKontaskReady, Data: []byte(`{"id":"k1","title":"harmless"}`)})
	put(t, l, "s", store.Draft{Type: store.TypeTaskStart, Data: []byte(`{"taskId":"a","title":"harmless"}`)})
	put(t, l, "s", store.Draft{Type: store.TypeText, Turn: "t1", Data: say("")}, store.Draft{Type: store.TypeKontaskUpdated, Data: say(`,"id":"k1","title":"` + secretWord + `"`)})
	put(t, l, "s", store.Draft{Type: store.TypeTaskUpdate, Data: say(`,"taskId":"a","title":"` + secretWord + `"`)}, store.Draft{Type: store.TypeTurnEnd, Turn: "t1"})
	settled(t, l)
	if _, err := l.Retain(ctx, store.Retention{Events: 4}); err != nil { // 5 to 8
		t.Fatal(err)
	}
	redact(t, l, "s", 5, 7)
	settled(t, l)
	for _, file := range found(t, dir, secretWord) {
		t.Errorf("it is still in %s", file)
	}
	turn, err := l.Turn(ctx, "s", "t1")
	if err != nil || turn.State != store.TurnEnded || turn.Prompt != "" || turn.Text != "" || turn.First != 1 || turn.Last != 8 {
		t.Errorf("turn %+v, %v", turn, err)
	}
	k, err := l.Kontask(ctx, "k1")
	if err != nil || k.Ready != 3 || k.Last != 6 || strings.Contains(string(k.Record), "harmless") {
		t.Errorf("kontask %+v, %v", k, err)
	}
}

// The feed's event about a redacted event is found among those of others that
// were stored together.
func TestRedactionFindsItsFeedEvents(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	for i := range 30 {
		session := fmt.Sprint("s", i%3)
		turn := fmt.Sprint("t", i)
		put(t, l, session, store.Draft{Type: "x"},
			store.Draft{Type: store.TypeTurnStart, Turn: turn, Data: fmt.Appendf(nil, `{"prompt":"%s-%s"}`, session, turn)}, store.Draft{Type: "x"},
			store.Draft{Type: store.TypeTurnEnd, Turn: turn, Data: fmt.Appendf(nil, `{"error":"%s-%s"}`, session, turn)})
	}
	redact(t, l, "s1", 5, 12) // turns t4 and t7
	page, err := l.Read(ctx, store.FeedSession, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	gone, told := 0, 0
	for _, e := range page.Events {
		switch {
		case e.Redacted():
			gone++
		case e.Type == store.TypeRedacted:
			told++
		case strings.Contains(string(e.Data), `"s1-t4"`), strings.Contains(string(e.Data), `"s1-t7"`):
			t.Errorf("the feed still says %s", e.Data)
		}
	}
	if gone != 4 || told == 0 {
		t.Errorf("%d events of the feed were redacted and %d tell of it, want 4", gone, told)
	}
}

// Nothing that is in memory gives the content back: neither the cache nor the
// fold of an open turn.
func TestRedactionReachesMemory(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	put(t, l, "s", store.Draft{Type: store.TypeTurnStart, Turn: "t"}, secretive(1, 10), store.Draft{Type: "text", Turn: "t", Data: []byte(`{"text":"kept"}`)})
	cached := l.live.get("s")
	before := cached.bytes
	redact(t, l, "s", 2, 2)
	if l.live.get("s") != cached || len(cached.events) != 4 || !cached.events[1].Redacted() || cached.bytes >= before+400 || l.live.bytes < cached.bytes {
		t.Errorf("cached %d events in %d bytes of %d, it was %d", len(cached.events), cached.bytes, l.live.bytes, before)
	}
	turn, err := l.Turn(ctx, "s", "t")
	if err != nil || strings.Contains(turn.Text, secretWord) || !strings.Contains(turn.Text, "kept") {
		t.Errorf("turn says %q, %v", turn.Text, err)
	}
	put(t, l, "s", store.Draft{Type: store.TypeTurnEnd, Turn: "t"})
	if turn, err = l.Turn(ctx, "s", "t"); err != nil || strings.Contains(turn.Text, secretWord) || !strings.Contains(turn.Text, "kept") {
		t.Errorf("ended, it says %q, %v", turn.Text, err)
	}
	if differences, err := l.Rebuild(ctx, "s"); err != nil || len(differences) > 0 {
		t.Errorf("what is stored is not what follows from the log: %q, %v", differences, err)
	}
}

// An append and a redaction of it may meet in one transaction.
func TestRedactionInTheTransactionOfTheAppend(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	ctx := context.Background()
	put(t, l, "s", store.Draft{Type: "x"})
	var done store.Redacted
	err := l.queue.do(ctx, 0, 0, func(t *txn) error {
		c, err := t.session("s")
		if err == nil {
			_, err = t.add(c, secretive(2, 10))
		}
		if err == nil {
			_, err = t.redact("s", store.RedactSpec{From: 2, To: 2}, &done)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := l.Read(ctx, "s", store.Query{Raw: true})
	if err != nil || len(page.Events) != 3 || !page.Events[1].Redacted() || page.Events[2].Type != store.TypeRedacted {
		t.Errorf("read %v, %v", page.Events, err)
	}
	var c *sqlite3.Conn
	_ = l.withReader(ctx, func(r *sqlite3.Conn) error { c = r; return nil })
	if n, err := c.Int(`SELECT count(*) FROM events WHERE data LIKE '%' || ? || '%'`, secretWord); n != 0 || err != nil {
		t.Errorf("%d rows still say it, %v", n, err)
	}
}
