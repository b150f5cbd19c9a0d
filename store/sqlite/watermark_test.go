package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

const mib = 1 << 20

// pretendedDisk has as much room as a test says.
type pretendedDisk struct {
	free, total atomic.Int64
	fails       atomic.Bool

	mu      sync.Mutex // guards changes
	changes []string
}

func (d *pretendedDisk) options() sqlite.Disk {
	return sqlite.Disk{
		Warn: sqlite.Watermark{Bytes: 200 * mib}, Reserve: sqlite.Watermark{Bytes: 100 * mib},
		Space: func(string) (int64, int64, error) {
			if d.fails.Load() {
				return 0, 0, errors.New("no such disk")
			}
			return d.free.Load(), d.total.Load(), nil
		},
		Changed: func(s store.Disk) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.changes = append(d.changes, fmt.Sprintf("warned %t low %t", s.Warned, s.Low))
		},
	}
}

func (d *pretendedDisk) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := strings.Join(d.changes, ", ")
	d.changes = nil
	return said
}

// Below the reserve appends are refused before the disk is full; what ends a
// turn, reads, deletions and retention go on, and with room all does, by itself
// and not before there is enough of it.
func TestDisk_LowRefusesAppends(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &pretendedDisk{}
	d.free.Store(1000 * mib)
	d.total.Store(2000 * mib)
	l, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{Disk: d.options()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	set := func(free int64) {
		t.Helper()
		d.free.Store(free * mib)
		if err := l.LookAgain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	add := func(session string, o store.AppendOptions, drafts ...store.Draft) error {
		_, err := l.Append(ctx, session, o, drafts...)
		return err
	}
	text, plain := store.Draft{Type: "text", Data: []byte(`{"text":"x"}`)}, store.AppendOptions{}
	begin := store.Draft{Type: store.TypeTurnStart, Turn: "t", Data: []byte("{}")}
	end := store.Draft{Type: store.TypeTurnEnd, Turn: "t", Data: []byte(`{"success":false}`)}
	producer := store.AppendOptions{Producer: &store.Producer{ID: "p"}}
	if err := errors.Join(add("s", plain, begin, keyed("k")), add("s", producer, text), add("old", plain, text, text)); err != nil {
		t.Fatal(err)
	}
	if h := l.Health(); !h.Writable || h.Disk.Free != 1000*mib || h.Disk.Warn != 200*mib || h.Disk.Reserve != 100*mib {
		t.Errorf("health with room: %+v", h)
	}

	set(199)
	if err := add("s", plain, text); err != nil {
		t.Errorf("below the warning: %v", err)
	}
	if said := d.said(); said != "warned true low false" {
		t.Errorf("told %q", said)
	}

	set(99)
	refused := map[string]func() error{
		"append":       func() error { return add("s", plain, text) },
		"append new":   func() error { return add("new", plain, text) },
		"end and more": func() error { return add("s", plain, end, text) },
		"create":       func() error { _, _, err := l.CreateSession(ctx, "new", store.SessionSpec{}); return err },
		"update":       func() error { _, err := l.UpdateSession(ctx, "s", store.SessionPatch{Title: new(string)}); return err },
		"fork":         func() error { _, err := l.Fork(ctx, "s", store.ForkSpec{After: 1, Session: "new"}); return err },
		"upload":       func() error { _, _, err := l.PutBlob(ctx, "", bytes.NewReader([]byte("x")), 0); return err },
		"long upload":  func() error { _, _, err := l.PutBlob(ctx, "", bytes.NewReader(make([]byte, 600<<10)), 0); return err },
		"import": func() error {
			return add("new", store.AppendOptions{Restore: true}, store.Draft{ID: 1, Type: "text", Data: text.Data})
		},
		"further append": func() error { return add("s", plain, text) },
	}
	refuses := func(when string) {
		t.Helper()
		for name, try := range refused {
			if err := try(); store.CodeOf(err) != store.CodeDiskLow || !strings.Contains(err.Error(), "disk.reserve") {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
		if h := l.Health(); h.Writable || !h.Disk.Low || !strings.Contains(h.LastError, "nearly full") {
			t.Errorf("%s: health %+v", when, h)
		}
	}
	refuses("below the reserve")
	if said := d.said(); said != "warned true low true" {
		t.Errorf("told %q", said)
	}
	if err := errors.Join(add("s", plain, keyed("k")), add("s", producer, text)); err != nil {
		t.Errorf("what the log has: %v", err)
	}
	if got := len(readAll(t, l, "s")); got != 4 {
		t.Errorf("%d events are there", got)
	}
	if err := errors.Join(add("s", plain, end), l.DeleteSession(ctx, "old")); err != nil {
		t.Errorf("what must go on: %v", err)
	}
	if _, err := l.UpdateSession(ctx, "s", store.SessionPatch{Retention: &store.Keep{Events: new(int64(2))}}); err != nil {
		t.Errorf("a shorter retention: %v", err)
	}
	if n, err := l.Retain(ctx, store.Retention{Events: 2}); err != nil || n == 0 {
		t.Errorf("retention: %d, %v", n, err)
	}
	if _, err := l.Redact(ctx, "s", store.RedactSpec{From: 4, To: 4}); err != nil {
		t.Errorf("redaction: %v", err)
	}

	delete(refused, "end and more") // the turn has ended
	delete(refused, "fork")         // what it would begin with is gone
	set(124)
	refuses("a little above the reserve")
	if said := d.said(); said != "" {
		t.Errorf("told %q", said)
	}
	d.free.Store(126 * mib)
	awaitWritable(t, l)
	if err := add("s", plain, text); err != nil {
		t.Errorf("with room: %v", err)
	}
	set(249)
	if err := add("s", plain, text); err != nil {
		t.Errorf("with more room: %v", err)
	}
	set(251)
	if err := add("s", plain, text); err != nil {
		t.Errorf("with much room: %v", err)
	}
	if said := d.said(); said != "warned true low false, warned false low false" {
		t.Errorf("told %q", said)
	}
	if s, err := l.Session(ctx, "new"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was refused left %+v, %v", s, err)
	}
}

// Refused appends that come more often than the writer looks neither keep the
// write-ahead log from being given back nor count as if they were in it.
func TestDisk_LowGivesBackTheLogUnderRefusals(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	d := &pretendedDisk{}
	d.free.Store(1000 * mib)
	d.total.Store(2000 * mib)
	l, err := sqlite.Open(ctx, dir, sqlite.Options{NoSync: true, Disk: d.options()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	add := func(typ string) error {
		_, err := l.Append(ctx, "s", store.AppendOptions{}, store.Draft{Type: typ, Turn: "t", Data: []byte(`{"success":true}`)})
		return err
	}
	refuse := func() {
		t.Helper()
		if err := add("text"); store.CodeOf(err) != store.CodeDiskLow {
			t.Fatalf("append: %v", err)
		}
	}
	empties := func(when string) {
		t.Helper()
		if err := l.Settle(ctx); err != nil { // what is made of the events is written too
			t.Fatal(err)
		}
		refuse() // whose answer comes after what the writer says of the one before
		tick, begin, size := time.NewTicker(100*time.Millisecond), time.Now(), int64(1)
		defer tick.Stop()
		for before := l.Health().WALBytes; size > 0 && time.Since(begin) < 2*time.Second; {
			<-tick.C
			refuse()
			if now := l.Health().WALBytes; now > before {
				t.Fatalf("%s: after a refusal the log is said to hold %d bytes, %d before", when, now, before)
			}
			info, err := os.Stat(filepath.Join(dir, "konlog.db-wal"))
			if err != nil {
				t.Fatal(err)
			}
			size = info.Size()
		}
		refuse()
		if held := l.Health().WALBytes; size != 0 || held != 0 {
			t.Errorf("%s: the log has %d bytes after %v and is said to hold %d", when, size, time.Since(begin), held)
		}
	}
	if err := add(store.TypeTurnStart); err != nil {
		t.Fatal(err)
	}
	d.free.Store(99 * mib)
	if err := l.LookAgain(ctx); err != nil {
		t.Fatal(err)
	}
	empties("low")
	if err := add(store.TypeTurnEnd); err != nil {
		t.Fatal(err)
	}
	empties("written to again")
}

// Where the system does not tell what is free, appends go on.
func TestDisk_Unknown(t *testing.T) {
	t.Parallel()
	d := &pretendedDisk{}
	d.fails.Store(true)
	var said syncBuffer
	l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Disk: d.options(), Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := l.LookAgain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, keyed(fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
	}
	if h := l.Health(); !h.Writable || h.Disk != (store.Disk{}) {
		t.Errorf("health %+v", h)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "no such disk"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// usedBy is how large the files of a data directory are.
func usedBy(dir string) (n int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "konlog.*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil { // the log may go meanwhile
			n += info.Size()
		}
	}
	return n
}

// A small disk is filled as fast as it goes: it is never full, because the
// writer looks as often as it must, and deleting makes room again.
func TestDisk_CannotBeOutrun(t *testing.T) {
	t.Parallel()
	if long.Race {
		t.Skip("it is about room, not about races, and slow with the race detector")
	}
	const total, reserve = 40 * mib, 8 * mib
	ctx, dir := t.Context(), t.TempDir()
	var most atomic.Int64
	l, err := sqlite.Open(ctx, dir, sqlite.Options{NoSync: true, Disk: sqlite.Disk{
		Reserve: sqlite.Watermark{Bytes: reserve},
		Space:   func(dir string) (int64, int64, error) { return total - usedBy(dir), total, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	fill := func() (stored int64) {
		var group sync.WaitGroup
		var sum atomic.Int64
		for i := range 4 {
			group.Go(func() {
				data := []byte(`"` + strings.Repeat("x", 100<<10<<i) + `"`) // 100 to 800 KiB
				for n := 0; ; n++ {
					_, err := l.Append(ctx, fmt.Sprint("s", i), store.AppendOptions{}, store.Draft{Type: "text", Data: data})
					for used, was := usedBy(dir), most.Load(); used > was && !most.CompareAndSwap(was, used); was = most.Load() {
					}
					if err == nil {
						sum.Add(int64(len(data)))
						continue
					}
					if store.CodeOf(err) != store.CodeDiskLow {
						t.Errorf("append: %v", err)
					}
					return
				}
			})
		}
		group.Wait()
		return sum.Load()
	}
	first := fill()
	if most.Load() > total {
		t.Errorf("%d MiB of %d were used", most.Load()/mib, total/mib)
	}
	if first < total/8 {
		t.Errorf("only %d MiB of %d could be stored", first/mib, total/mib)
	}
	for i := range 4 {
		if err := l.DeleteSession(ctx, fmt.Sprint("s", i)); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	awaitRows(t, dir, "garbage", 0) // there may be room for a moment before that
	awaitWritable(t, l)
	if second := fill(); second < first/4 {
		t.Errorf("after all was deleted %d MiB could be stored, %d before", second/mib, first/mib)
	}
	if most.Load() > total {
		t.Errorf("%d MiB of %d were used", most.Load()/mib, total/mib)
	}
	t.Logf("stored %d MiB, used at most %d of %d MiB", first/mib, most.Load()/mib, total/mib)
}

// How often the writer looks depends on what it writes: here no time passes.
func TestDisk_LooksAsItWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const total, reserve, each = 30 * mib, 10 * mib, 64 << 10
		var written, looks atomic.Int64
		l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{NoSync: true, Disk: sqlite.Disk{
			Reserve: sqlite.Watermark{Bytes: reserve},
			Space: func(string) (int64, int64, error) {
				looks.Add(1)
				return total - written.Load(), total, nil
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		begin, n := time.Now(), 0
		for ; n < total/each && err == nil; n++ {
			_, err = l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "text", Data: []byte(`"` + strings.Repeat("x", each) + `"`)})
			written.Add(each)
		}
		if free := total - written.Load(); store.CodeOf(err) != store.CodeDiskLow || free < reserve-mib {
			t.Errorf("after %d appends, with %d MiB free: %v", n, free/mib, err)
		}
		if n < 100 {
			t.Errorf("refused after %d appends, long before the reserve", n)
		}
		if time.Since(begin) != 0 {
			t.Errorf("%v passed", time.Since(begin))
		}
		if looks.Load() > int64(n) {
			t.Errorf("looked %d times in %d appends", looks.Load(), n)
		}
	})
}

// The lesser of bytes and share counts, so that a small disk is not full from
// the beginning.
func TestDisk_WatermarkOfSmallDisks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mark        sqlite.Watermark
		total, want int64
	}{
		{sqlite.Watermark{Bytes: 512 * mib, Percent: 2}, 1 << 30, (1 << 30) / 100 * 2},
		{sqlite.Watermark{Bytes: 512 * mib, Percent: 2}, 10 << 40, 512 * mib},
		{sqlite.Watermark{Bytes: 2 << 30, Percent: 10}, 64 * mib, 64 * mib / 100 * 10},
		{sqlite.Watermark{Bytes: 2 << 30}, 64 * mib, 2 << 30},
		{sqlite.Watermark{Percent: 50}, 1000, 500},
		{sqlite.Watermark{}, 1000, 0},
	} {
		if got := c.mark.Of(c.total); got != c.want {
			t.Errorf("%+v of %d: got %d, want %d", c.mark, c.total, got, c.want)
		}
	}
}

// The system is really asked.
func TestDisk_System(t *testing.T) {
	t.Parallel()
	l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Disk: sqlite.Disk{Warn: sqlite.Watermark{Bytes: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, keyed("k")); err != nil {
		t.Fatal(err)
	}
	if d := l.Health().Disk; d.Free <= 0 || d.Total < d.Free {
		t.Errorf("the disk is %+v", d)
	}
}
