package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// filled makes a data directory with n events of a text in a session, of which
// all but the last few are sealed, and closes it.
func filled(t *testing.T, dir, text string, n int) {
	t.Helper()
	l, err := Open(t.Context(), dir, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		drafts := []store.Draft{
			{Type: "turn_start", Turn: fmt.Sprint("t", i), Data: []byte(`{}`)},
			{Type: "text", Turn: fmt.Sprint("t", i), Key: fmt.Sprint(text, i), Data: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat(fmt.Sprint(text, i, " "), 40))},
			{Type: "turn_end", Turn: fmt.Sprint("t", i), Data: []byte(`{"reason":"done"}`)},
		}
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, drafts...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(t.Context(), text, store.AppendOptions{}, store.Draft{Type: "note", Data: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// holds returns what a data directory is: the texts of those that filled may
// have made it of.
func holds(t *testing.T, dir string, texts ...string) (found []string) {
	t.Helper()
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, text := range texts {
		if _, err := l.Session(t.Context(), text); err == nil {
			found = append(found, text)
		}
	}
	if r, err := Verify(t.Context(), dir, func(p Problem) { t.Errorf("%s: %v", dir, p) }, nil); err != nil || r.Events == 0 {
		t.Errorf("verify %s: %+v, %v", dir, r, err)
	}
	return found
}

func backupOf(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b.db")
	if _, err := Backup(t.Context(), dir, file, BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	return file
}

// A crash at any step of a restore leaves the old data or the new, and the next
// start finishes what was begun.
func TestRestoreCrashesAtEveryStep(t *testing.T) {
	t.Parallel()
	served, old, replacement := t.TempDir(), t.TempDir(), t.TempDir()
	filled(t, served, "early", 30)
	filled(t, replacement, "new", 30)
	// As a killed server leaves it: the newest is in the write-ahead log alone,
	// which would damage another database that it stands beside.
	l, err := Open(t.Context(), served, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := l.Append(t.Context(), "old", store.AppendOptions{}, store.Draft{Type: "note", Data: fmt.Appendf(nil, `"%0200d"`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(old, os.DirFS(served)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := backupOf(t, replacement)
	outcomes := map[string]int{}
	for crashAt := 0; ; crashAt++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		left, where := crashAt, ""
		_, err := Restore(t.Context(), file, dir, RestoreOptions{Replace: true, step: func(what, path string) error {
			if left--; left < 0 {
				where = what + " " + filepath.Base(path)
				return errCrash
			}
			return nil
		}})
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		got := fmt.Sprint(holds(t, dir, "old", "new"))
		outcomes[got]++
		if got != "[old]" && got != "[new]" || err == nil && got != "[new]" {
			t.Errorf("after a crash before %q the directory holds %s", where, got)
		}
		if _, again := Restore(t.Context(), file, dir, RestoreOptions{Replace: true}); again != nil {
			t.Errorf("after a crash before %q another restore fails: %v", where, again)
		}
		if got := fmt.Sprint(holds(t, dir, "old", "new")); got != "[new]" {
			t.Errorf("after another restore the directory holds %s", got)
		}
		aside, _ := filepath.Glob(filepath.Join(dir, replacedDir+"*"))
		if found := slices.ContainsFunc(aside, func(dir string) bool { return fmt.Sprint(holds(t, dir, "old", "new")) == "[old]" }); !found {
			t.Errorf("after a crash before %q the old data is nowhere: %v", where, aside)
		}
		if err == nil {
			break
		}
	}
	if outcomes["[old]"] < 2 || outcomes["[new]"] < 2 {
		t.Errorf("the crashes came to %v: the test does not do what it says", outcomes)
	}
}

// What has its name is on the disk: a file is synced before it is renamed, the
// directory after.
func TestBackupAndRestoreAreDurableInOrder(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	filled(t, src, "a", 3)
	var steps []string
	note := func(what, path string) error {
		steps = append(steps, what+" "+filepath.Base(path))
		return nil
	}
	file := filepath.Join(t.TempDir(), "b.db")
	if _, err := Backup(t.Context(), src, file, BackupOptions{step: note}); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Base(filepath.Dir(file))
	want := []string{
		"sync b.db.sha256.part", "rename b.db.sha256", "sync " + folder,
		"sync b.db.part", "rename b.db", "sync " + folder,
	}
	if !slices.Equal(steps, want) {
		t.Errorf("the steps of a backup were\n%q, want\n%q", steps, want)
	}
	dir := t.TempDir()
	filled(t, dir, "b", 1)
	steps = nil
	if _, err := Restore(t.Context(), file, dir, RestoreOptions{Replace: true, step: note}); err != nil {
		t.Fatal(err)
	}
	folder = filepath.Base(dir)
	want = []string{
		"sync konlog.db", "rename konlog.db.restored", "sync " + folder,
		"move konlog.db-wal", "move konlog.db-shm", "move konlog.db-journal", "move konlog.db",
		"sync konlog.db.restored", "rename konlog.db", "sync " + folder,
	}
	if !slices.Equal(steps, want) {
		t.Errorf("the steps of a restore were\n%q, want\n%q", steps, want)
	}
}

// A file that was cut short, or of which a bit was changed, is refused, and the
// directory stays as it was. With the SHA-256 beside it no bit escapes; without
// it, none that an event, a key or a seal stands on.
func TestRestoreRefusesDamagedFiles(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	filled(t, src, "a", 60)
	file := backupOf(t, src)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sound, err := Verify(t.Context(), src, func(p Problem) { t.Error(p) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	rounds, escaped := 45, 0
	if !long.Wanted() {
		rounds = 15
	}
	for round := range rounds {
		at := rng.IntN(len(whole))
		bad, what := slices.Clone(whole), ""
		switch round % 3 {
		case 0:
			bad, what = bad[:at], fmt.Sprintf("cut at %d of %d", at, len(whole))
		case 1:
			bad[at] ^= 1 << rng.IntN(8)
			what = fmt.Sprintf("a bit at %d", at)
		case 2:
			copy(bad[at:min(at+512, len(bad))], make([]byte, 512))
			what = fmt.Sprintf("512 zeros at %d", at)
		}
		if string(bad) == string(whole) {
			continue
		}
		damaged := filepath.Join(t.TempDir(), "bad.db")
		if err := os.WriteFile(damaged, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		filled(t, dir, "old", 1)
		var said []string
		options := RestoreOptions{Replace: true, Problem: func(p Problem) { said = append(said, p.String()) }}
		r, err := Restore(t.Context(), damaged, dir, options)
		if err == nil { // what was changed holds nothing
			escaped++
			if r.Problems > 0 || r.Events < sound.Events || r.Keys != sound.Keys || r.Proven < sound.Proven || round%3 == 0 {
				t.Errorf("%s: was taken as whole with %+v; sound is %+v", what, r.Report, sound)
			}
		} else if !errors.Is(err, ErrBackupFile) && !errors.Is(err, ErrNewerSchema) {
			t.Errorf("%s: %v", what, err)
		} else if strings.Contains(err.Error(), "damaged in") && len(said) == 0 {
			t.Errorf("%s: %v; it was not said where", what, err)
		}
		if err := os.WriteFile(damaged+SumSuffix, mustRead(t, file+SumSuffix), 0o600); err != nil {
			t.Fatal(err)
		}
		dir = t.TempDir()
		filled(t, dir, "old", 1)
		if r, err := Restore(t.Context(), damaged, dir, options); err == nil {
			t.Errorf("%s: was taken as whole with %+v though its SHA-256 is another", what, r.Report)
		}
		if got := fmt.Sprint(holds(t, dir, "old", "a")); got != "[old]" {
			t.Errorf("%s: the refused restore left a directory that holds %s", what, got)
		}
	}
	t.Logf("%d of %d changes were of bytes that hold nothing", escaped, rounds)
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Restore says what is wrong with a file that is none, and leaves alone what is
// in use or not empty.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	filled(t, src, "a", 3)
	file := backupOf(t, src)
	t.Run("a directory in use", func(t *testing.T) {
		dir := t.TempDir()
		l, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if _, err := Restore(t.Context(), file, dir, RestoreOptions{Replace: true}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a directory with data", func(t *testing.T) {
		dir := t.TempDir()
		filled(t, dir, "old", 1)
		if _, err := Restore(t.Context(), file, dir, RestoreOptions{}); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("got %v", err)
		}
		if got := fmt.Sprint(holds(t, dir, "old", "a")); got != "[old]" {
			t.Errorf("the directory holds %s", got)
		}
	})
	t.Run("a database without its log", func(t *testing.T) {
		dir := t.TempDir()
		l, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "t", Data: []byte(`1`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), filepath.Join(dir, databaseFile), t.TempDir(), RestoreOptions{}); !errors.Is(err, ErrBackupFile) || !strings.Contains(err.Error(), "-wal") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("something else", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(other, []byte(strings.Repeat("nothing of ours ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), other, t.TempDir(), RestoreOptions{}); !errors.Is(err, ErrBackupFile) {
			t.Errorf("got %v", err)
		}
	})
}

// A backup of damaged data is kept under a name that says so.
func TestBackupOfDamagedDataIsNotPassedOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	filled(t, dir, "a", 5)
	c, err := open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Script(`UPDATE events SET data = CAST('{"text":"forged"}' AS BLOB) WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	file := filepath.Join(t.TempDir(), "b.db")
	var said []string
	_, err = Backup(t.Context(), dir, file, BackupOptions{Problem: func(p Problem) { said = append(said, p.String()) }})
	var damaged *DamagedError
	if !errors.As(err, &damaged) || len(said) == 0 {
		t.Fatalf("got %v, and was told %q", err, said)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the damaged copy has the name of a good one")
	}
	if _, err := os.Stat(file + DamagedSuffix); err != nil {
		t.Error(err)
	}
}

// Who interrupts a backup finds nothing of it, and the name is free.
func TestInterruptedBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	filled(t, src, "a", 5)
	dir := t.TempDir()
	file := filepath.Join(dir, "b.db")
	for _, part := range []string{"copy", "check"} {
		ctx, cancel := context.WithCancel(t.Context())
		o := BackupOptions{}
		if part == "copy" {
			o.Copied = func(int64, int64) { cancel() }
		} else {
			o.step = func(string, string) error { cancel(); return ctx.Err() }
		}
		if _, err := Backup(ctx, src, file, o); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted while it was to %s: %v", part, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "b.db")); len(left) > 0 {
			t.Errorf("interrupted while it was to %s, it left %q", part, left)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "b.db.part*")); len(left) > 0 {
			t.Errorf("interrupted while it was to %s, it left %q", part, left)
		}
		cancel()
	}
	if _, err := Backup(t.Context(), src, file, BackupOptions{}); err != nil {
		t.Error(err)
	}
}

// While a copy is pulled, however slowly, the server's log is cut back all the
// same.
func TestPulledBackupDoesNotHoldTheLog(t *testing.T) {
	t.Parallel()
	const limit = 2 << 20
	dir := t.TempDir()
	l, err := Open(t.Context(), dir, Options{NoSync: true, walBytes: limit, walPause: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	draft := store.Draft{Type: "t", Data: []byte(`"` + strings.Repeat("x", 60_000) + `"`)}
	more := func(n int) {
		for range n {
			if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, draft); err != nil {
				t.Fatal(err)
			}
		}
	}
	more(200)
	largest, answers := int64(0), 0
	slow := smallAnswers{from: l, count: 400, between: func() {
		if answers++; answers < 15 {
			more(60)
		}
		if info, err := os.Stat(filepath.Join(dir, databaseFile+"-wal")); err == nil {
			largest = max(largest, info.Size())
		}
	}}
	r, err := BackupFrom(t.Context(), slow, filepath.Join(t.TempDir(), "b.db"), BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d answers, %d events, the log grew to %d KiB", answers, r.Events, largest>>10)
	if want := int64(limit + 2*checkpointBytes); largest > want || answers < 15 {
		t.Errorf("the log grew to %d bytes in %d answers, want at most %d", largest, answers, want)
	}
}
