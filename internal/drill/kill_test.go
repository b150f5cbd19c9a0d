package drill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

const (
	killRounds  = 12
	killedBytes = 12 << 20 // long enough to be killed in the middle
)

// made is a data directory with a session of that name and so many bytes.
func made(t *testing.T, name string, bytes int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	draft := store.Draft{Type: "note", Data: fmt.Appendf(nil, "%q", strings.Repeat(name, 10_000))}
	for done := 0; done <= bytes; done += len(draft.Data) {
		if _, err := l.Append(t.Context(), name, store.AppendOptions{}, draft); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// killAt runs a command and kills it after a while, unless it is over.
func killAt(t *testing.T, after time.Duration, args ...string) (over bool) {
	t.Helper()
	cmd := konlog(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer timer.Stop()
	return cmd.Wait() == nil
}

// A restore that is killed leaves the old data or the new, sound. A backup that
// is killed leaves nothing under its name, and the next one is made all the
// same.
func TestKilledBackupAndRestore(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	large, small := made(t, "large", killedBytes), made(t, "small", 0)
	file := filepath.Join(t.TempDir(), "backup.db")
	must(t, "version") // builds the program
	began := time.Now()
	must(t, "backup", "--data", large, "--to", file)
	took, outcomes := time.Since(began), map[string]int{}
	for range killRounds {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(small)); err != nil {
			t.Fatal(err)
		}
		over := killAt(t, time.Duration(rng.Int64N(int64(took*3/2))), "restore", file, "--data", dir, "--force")
		l, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, isSmall := l.Session(t.Context(), "small")
		_, isLarge := l.Session(t.Context(), "large")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if (isSmall == nil) == (isLarge == nil) || over && isLarge != nil {
			t.Errorf("after a restore that was over: %v, the directory holds the old data: %v, the new: %v", over, isSmall == nil, isLarge == nil)
		}
		if _, err := sqlite.Verify(t.Context(), dir, func(p sqlite.Problem) { t.Error(p) }, nil); err != nil {
			t.Error(err)
		}
		outcomes[fmt.Sprintf("restored %v", isLarge == nil)]++

		again := filepath.Join(t.TempDir(), "again.db")
		over = killAt(t, time.Duration(rng.Int64N(int64(took*5/4))), "backup", "--data", large, "--to", again)
		if _, err := os.Stat(again); err == nil {
			sum, err := sqlite.SumFile(t.Context(), again)
			beside, readErr := os.ReadFile(again + sqlite.SumSuffix)
			if err != nil || readErr != nil || !strings.HasPrefix(string(beside), sum) {
				t.Errorf("a killed backup left a file with its name that is not whole: %v, %v", err, readErr)
			}
			outcomes["backed up"]++
		} else if over || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a backup was over: %v, and its file: %v", over, err)
		} else {
			outcomes["not backed up"]++
			must(t, "backup", "--data", large, "--to", again)
		}
	}
	t.Logf("a backup took %v; %v", took, outcomes)
}
