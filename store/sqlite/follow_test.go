package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// smallAnswers makes a source answer in small pieces, and does something between
// two of them.
type smallAnswers struct {
	from    store.Copier
	count   int64
	between func() // or nil
}

func (s smallAnswers) CopyPages(ctx context.Context, r store.CopyRequest) (*store.CopyAnswer, error) {
	if s.between != nil {
		s.between()
	}
	r.Count = s.count
	return s.from.CopyPages(ctx, r)
}

// churn changes all that a log can hold, so that every kind of page is written,
// freed and given back.
type churn struct {
	t   *testing.T
	l   *Log
	rng *rand.Rand
	n   int
}

func (c *churn) step() {
	c.n++
	ctx, session := c.t.Context(), fmt.Sprint("s", c.rng.IntN(4))
	var err error
	switch c.rng.IntN(12) {
	case 0:
		_, err = c.l.Retain(ctx, store.Retention{Events: 20})
	case 1:
		err = c.l.DeleteSession(ctx, session)
	case 2:
		_, _, err = c.l.PutBlob(ctx, "text/plain", strings.NewReader(strings.Repeat(fmt.Sprint(c.n, " "), 50_000)), 1<<20)
	case 3:
		if page, readErr := c.l.Read(ctx, session, store.Query{}); readErr == nil && len(page.Events) > 0 {
			id := page.Events[0].ID
			_, err = c.l.Redact(ctx, session, store.RedactSpec{From: id, To: id, Reason: "a test"})
		}
	default:
		text := strings.Repeat(fmt.Sprint("w", c.rng.IntN(1000), " "), c.rng.IntN(12_000))
		_, err = c.l.Append(ctx, session, store.AppendOptions{}, store.Draft{Type: "text", Key: fmt.Sprint("k", c.n), Data: fmt.Appendf(nil, `{"text":%q}`, text)})
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		c.t.Fatal(err)
	}
}

// pagesOf reads all pages of a database in one transaction.
func pagesOf(t *testing.T, c *sqlite3.Conn) (pages [][]byte) {
	t.Helper()
	err := c.Query(func(row sqlite3.Row) error {
		pages = append(pages, bytes.Clone(row.Bytes(0)))
		return nil
	}, `SELECT data FROM sqlite_dbpage ORDER BY pgno`)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// differentPages says where a copy is not the database of the log, but for what
// says that it is a copy; "" when it is.
func differentPages(t *testing.T, l *Log, file string) string {
	t.Helper()
	copied, err := sqlite3.Open(file, "", busyTimeoutMillis)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close() }()
	got, want := pagesOf(t, copied), [][]byte(nil)
	if err := l.withReader(t.Context(), func(c *sqlite3.Conn) error { want = pagesOf(t, c); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		return fmt.Sprintf("the copy has %d pages, the database %d", len(got), len(want))
	}
	for i := range want {
		if i == 0 { // counts changes of the file, and is marked
			got[0], want[0] = got[0][100:], want[0][100:]
		}
		if !bytes.Equal(got[i], want[i]) {
			return fmt.Sprintf("page %d of the copy is not that of the database", i+1)
		}
	}
	return ""
}

func (c *Copy) pages(t *testing.T) int64 {
	t.Helper()
	target, ok := c.target.(*wholeTarget)
	if !ok {
		t.Fatalf("%T is no whole copy", c.target)
	}
	n, err := target.conn.Int("PRAGMA page_count")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func soundCopy(t *testing.T, file string) Report {
	t.Helper()
	r, err := verifyFile(t.Context(), file, file, func(p Problem) { t.Errorf("%s: %v", file, p) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A copy that is kept up to date while everything changes is sound after every
// step, and is the database page for page once nothing changes any more.
// The log begins anew often, so that a frame which was not noted is missed.
func TestCopyFollowsEveryPage(t *testing.T) {
	t.Parallel()
	t.Run("log cut back", func(t *testing.T) {
		followEveryPage(t, Options{NoSync: true, walBytes: 1 << 20, walPause: time.Minute})
	})
	t.Run("log begun anew by itself", func(t *testing.T) { followEveryPage(t, Options{NoSync: true, CacheBytes: -1}) })
}

func followEveryPage(t *testing.T, o Options) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	l, err := Open(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := &churn{t: t, l: l, rng: rng}
	for range 30 {
		c.step()
	}
	file := filepath.Join(t.TempDir(), databaseFile)
	first, err := NewCopy(file)
	if err != nil {
		t.Fatal(err)
	}
	disturbances := 30 // of one Sync, which would not end otherwise
	changing := smallAnswers{from: l, count: 50, between: func() {
		if disturbances > 0 && rng.IntN(2) == 0 {
			disturbances--
			c.step()
		}
	}}
	at, err := first.Sync(t.Context(), changing, CopyPlace{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	soundCopy(t, file)
	kept, err := OpenCopy(file, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	rounds, salts := 20, map[[walSaltBytes]byte]bool{}
	if !long.Wanted() {
		rounds = 10
	}
	for range rounds {
		for range 1 + rng.IntN(15) {
			c.step()
		}
		changing.count, disturbances = int64(5+rng.IntN(200)), 8
		if at, err = kept.Sync(t.Context(), changing, at); err != nil {
			t.Fatal(err)
		}
		salts[l.changes.salt] = true
		if rng.IntN(3) == 0 { // all of it is read each time
			soundCopy(t, file)
		}
	}
	largest := kept.pages(t)
	for i := range 4 {
		if err := l.DeleteSession(t.Context(), fmt.Sprint("s", i)); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	for tries := 0; kept.pages(t) >= largest; tries++ { // the rows go in the background, then the pages do
		if tries > 1000 {
			t.Fatal("the database does not become smaller")
		}
		if _, err := l.SweepBlobs(t.Context(), time.Nanosecond); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Retain(t.Context(), store.Retention{Events: 1}); err != nil {
			t.Fatal(err)
		}
		if at, err = kept.Sync(t.Context(), l, at); err != nil {
			t.Fatal(err)
		}
	}
	for again := true; again; { // until nothing was made behind the appends while the two were compared
		if at, err = kept.Sync(t.Context(), l, at); err != nil {
			t.Fatal(err)
		}
		different := differentPages(t, l, file)
		counted := &countedPages{from: l}
		if at, err = kept.Sync(t.Context(), counted, at); err != nil {
			t.Fatal(err)
		}
		if again = counted.pages > 0; !again && different != "" {
			t.Error(different)
		}
	}
	// What the database has given back must not stay behind the copy's end.
	if info, err := os.Stat(file); err != nil || info.Size() != kept.pages(t)*pageBytes {
		t.Errorf("the file of %d pages: %v, %v", kept.pages(t), info.Size(), err)
	}
	t.Logf("%d steps, the log began anew %d times", c.n, len(salts)-1)
	if len(salts) < 3 && long.Wanted() {
		t.Error("the log hardly began anew: the test does not do what it says")
	}
}

// A follower that was away is brought up to date by hashes: what it has is not
// sent again.
func TestCopyAfterARestartTakesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Open(t.Context(), dir, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &churn{t: t, l: l, rng: rand.New(rand.NewPCG(1, 1))}
	for range 60 {
		c.step()
	}
	settled(t, l) // what is derived behind the appends changes many pages, and what the janitor does
	if err := l.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), databaseFile)
	cp, err := NewCopy(file)
	if err != nil {
		t.Fatal(err)
	}
	at, err := cp.Sync(t.Context(), l, CopyPlace{})
	if err != nil {
		t.Fatal(err)
	}
	_ = cp.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(t.Context(), dir, Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Append(t.Context(), "one", store.AppendOptions{}, store.Draft{Type: "t", Data: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	if cp, err = OpenCopy(file, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cp.Close() }()
	counted := &countedPages{from: l}
	if _, err := cp.Sync(t.Context(), counted, at); err != nil {
		t.Fatal(err)
	}
	soundCopy(t, file)
	if counted.pages*4 > counted.of {
		t.Errorf("%d of %d pages were sent, though hardly any had changed", counted.pages, counted.of)
	}
}

type countedPages struct {
	from      store.Copier
	pages, of int64
}

func (c *countedPages) CopyPages(ctx context.Context, r store.CopyRequest) (*store.CopyAnswer, error) {
	a, err := c.from.CopyPages(ctx, r)
	if err == nil {
		c.pages, c.of = c.pages+int64(len(a.Numbers)), max(c.of, a.Pages)
	}
	return a, err
}

// failingSource breaks off after some answers.
type failingSource struct {
	from store.Copier
	left int
}

func (f *failingSource) CopyPages(ctx context.Context, r store.CopyRequest) (*store.CopyAnswer, error) {
	if f.left--; f.left < 0 {
		return nil, errors.New("the line was cut")
	}
	r.Count = 20
	return f.from.CopyPages(ctx, r)
}

// Whatever breaks a Sync off, the copy stays what it was: sound, and of the
// moment before. A power loss finds it before or after, too.
func TestCopyIsNeverTorn(t *testing.T) {
	t.Parallel()
	v, err := faultvfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	rng := rand.New(rand.NewPCG(2, 2))
	c := &churn{t: t, l: l, rng: rng}
	for range 40 {
		c.step()
	}
	dir := t.TempDir()
	file := filepath.Join(dir, databaseFile)
	first, err := NewCopy(file)
	if err != nil {
		t.Fatal(err)
	}
	at, err := first.Sync(t.Context(), l, CopyPlace{})
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	cp, err := OpenCopy(file, v.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cp.Close() }()
	rounds, crashes := 4, 0
	if !long.Wanted() {
		rounds = 2
	}
	for round := range rounds {
		for range 10 {
			c.step()
		}
		before := soundCopy(t, file)
		for cut := range 4 {
			if _, err := cp.Sync(t.Context(), &failingSource{l, cut}, at); err == nil {
				t.Fatal("a Sync that was broken off succeeded")
			}
			if after := soundCopy(t, file); after.Events != before.Events || after.Keys != before.Keys {
				t.Fatalf("a Sync that was broken off left %d events and %d keys, there were %d and %d", after.Events, after.Keys, before.Events, before.Keys)
			}
		}
		var images []*faultvfs.Image
		v.OnOp(func(op faultvfs.Op, path string) {
			if op == faultvfs.OpSync || rng.IntN(40) == 0 {
				images = append(images, v.Image())
			}
		})
		next, err := cp.Sync(t.Context(), l, at)
		v.OnOp(nil)
		if err != nil {
			t.Fatal(err)
		}
		at = next
		after := soundCopy(t, file)
		images = append(images, v.Image()) // its answer is there: nothing may be lost now
		for i, image := range images {
			lost := t.TempDir()
			if err := image.Write(lost, uint64(round*1000+i)); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(lost, databaseFile)
			recovered, err := sqlite3.Open(name, "", busyTimeoutMillis) // plays the journal back
			if err != nil {
				t.Fatal(err)
			}
			if _, err := recovered.Int("SELECT count(*) FROM sqlite_schema"); err != nil {
				t.Fatal(err)
			}
			_ = recovered.Close()
			got := soundCopy(t, name)
			isBefore, isAfter := got.Events == before.Events && got.Keys == before.Keys, got.Events == after.Events && got.Keys == after.Keys
			if !isBefore && !isAfter || i == len(images)-1 && !isAfter {
				t.Fatalf("image %d of %d: %d events, %d keys; before %d, %d; after %d, %d", i, len(images), got.Events, got.Keys, before.Events, before.Keys, after.Events, after.Keys)
			}
			crashes++
			_ = os.RemoveAll(lost)
		}
	}
	t.Logf("%d power losses", crashes)
	if crashes < rounds*3 {
		t.Error("hardly any power loss: the test does not do what it says")
	}
}

// Each time that a copy is opened as a database, all its sessions begin a new
// epoch, also the second time that the same copy is put back.
func TestCopiesBeginNewEpochs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "t", Data: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	s, err := l.Session(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{s.Epoch: "the original"}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := Backup(t.Context(), dir, backup, BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	pulled := filepath.Join(t.TempDir(), "pulled.db")
	if _, err := BackupFrom(t.Context(), l, pulled, BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, file := range []string{backup, backup, pulled, pulled} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		restored := t.TempDir()
		if i%2 == 0 { // by hand
			err = os.WriteFile(filepath.Join(restored, databaseFile), content, 0o600)
		} else {
			_, err = Restore(t.Context(), file, restored, RestoreOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), restored, Options{})
		if err != nil {
			t.Fatal(err)
		}
		epochs := map[string]bool{}
		for range 2 { // and keep it from then on
			s, err := again.Session(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			epochs[s.Epoch] = true
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if again, err = Open(t.Context(), restored, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		_ = again.Close()
		for epoch := range epochs {
			if was := seen[epoch]; was != "" || len(epochs) != 1 {
				t.Errorf("copy %d has epochs %v; that of %s was %s", i, epochs, was, epoch)
			}
			seen[epoch] = fmt.Sprint("copy ", i)
		}
	}
	if kept, err := OpenCopy(filepath.Join(dir, databaseFile), ""); err == nil {
		_ = kept.Close()
		t.Error("a database that is served was taken for a copy to write over")
	}
}

// Nobody writes to the page where SQLite takes its locks.
func TestLockPageIsLeftOut(t *testing.T) {
	t.Parallel()
	pages, next := pageRange(lockPage-1, 3, lockPage+10)
	if fmt.Sprint(pages, next) != fmt.Sprintf("[%d %d] %d", lockPage-1, lockPage+1, lockPage+2) {
		t.Errorf("got %v and then %d", pages, next)
	}
	c := changes{seq: 1}
	c.changed(lockPage)
	c.changed(lockPage + 1)
	if pages, next := c.since(1, 1, lockPage+10, 10); fmt.Sprint(pages, next) != fmt.Sprintf("[%d] 0", lockPage+1) {
		t.Errorf("got %v and then %d", pages, next)
	}
}

// What stands behind the last commit of the log was rolled back, and other
// pages come to stand there: it is looked at again.
func TestChangesBehindTheLastCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(frames ...[2]uint32) { // page, size after commit
		log := make([]byte, walHeaderBytes, walHeaderBytes+len(frames)*(frameBytes+pageBytes))
		copy(log[walSaltAt:], "saltsalt")
		for _, f := range frames {
			frame := make([]byte, frameBytes+pageBytes)
			binary.BigEndian.PutUint32(frame, f[0])
			binary.BigEndian.PutUint32(frame[frameCommitAt:], f[1])
			copy(frame[frameSaltAt:], "saltsalt")
			log = append(log, frame...)
		}
		if err := os.WriteFile(filepath.Join(dir, databaseFile+"-wal"), log, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c changes
	_, first := c.begin()
	write([2]uint32{2, 0}, [2]uint32{3, 9}, [2]uint32{4, 0}, [2]uint32{5, 0})
	if err := c.note(dir); err != nil {
		t.Fatal(err)
	}
	_, second := c.begin()
	write([2]uint32{2, 0}, [2]uint32{3, 9}, [2]uint32{6, 0}, [2]uint32{7, 9})
	if err := c.note(dir); err != nil {
		t.Fatal(err)
	}
	since := func(seq int64) string { pages, _ := c.since(seq, 1, 100, 100); return fmt.Sprint(pages) }
	if got := since(first); got != "[2 3 4 5 6 7]" {
		t.Errorf("noted are %s", got)
	}
	if got := since(second); got != "[6 7]" {
		t.Errorf("noted the second time are %s", got)
	}
}
