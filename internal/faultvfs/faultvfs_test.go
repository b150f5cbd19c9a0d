package faultvfs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"modernc.org/sqlite"
)

const schema = "CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB NOT NULL)"

func newVFS(t *testing.T) *VFS {
	t.Helper()
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func openDB(t *testing.T, path, vfs, journal, synchronous string) *sql.DB {
	t.Helper()
	dsn := fmt.Sprintf("file:%s?_pragma=busy_timeout(5000)&_pragma=journal_mode(%s)&_pragma=synchronous(%s)", path, journal, synchronous)
	if vfs != "" {
		dsn += "&vfs=" + vfs
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.Exec(q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func value(n int) []byte {
	b := make([]byte, 300+(n*131)%9000)
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// shot is an image and the last row that was acknowledged when it was taken.
type shot struct {
	img   *Image
	acked int
}

// shoot writes rows in transactions and takes images in the midst of it, one
// in every few operations, from before the schema is there to after the close.
func shoot(t *testing.T, journal, synchronous string, lie bool, rows, every int) []shot {
	t.Helper()
	v := newVFS(t)
	v.SetNoSync(lie)
	db := openDB(t, filepath.Join(t.TempDir(), "a.db"), v.Name(), journal, synchronous)
	db.SetMaxOpenConns(2)
	mustExec(t, db, schema)
	mustExec(t, db, "PRAGMA wal_autocheckpoint=40")
	var shots []shot
	acked, ops := 0, 0
	rng := rand.New(rand.NewPCG(3, 4))
	v.OnOp(func(Op, string) {
		if ops++; rng.IntN(every) == 0 {
			shots = append(shots, shot{v.Image(), acked})
		}
	})
	for acked < rows {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		n := acked
		for range 1 + rng.IntN(3) {
			n++
			if _, err := tx.Exec("INSERT INTO t VALUES (?, ?)", n, value(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		acked = n
	}
	shots = append(shots, shot{v.Image(), acked})
	v.OnOp(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return append(shots, shot{v.Image(), acked})
}

// check opens a crash image in a fresh process's way and reports what is wrong.
func check(t *testing.T, s shot, seed uint64) error {
	t.Helper()
	dir := t.TempDir()
	if err := s.img.Write(dir, seed); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		return fmt.Errorf("integrity: %.80s: %v", sound, err)
	}
	rows, err := db.Query("SELECT n, v FROM t ORDER BY n LIMIT 100000")
	if err != nil {
		return err
	}
	defer rows.Close()
	got := 0
	for rows.Next() {
		var n int
		var b []byte
		if err := rows.Scan(&n, &b); err != nil {
			return err
		}
		if got++; n != got || string(b) != string(value(n)) {
			return fmt.Errorf("row %d where %d should be, or with other bytes", n, got)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if got < s.acked {
		return fmt.Errorf("%d rows of %d acknowledged ones", got, s.acked)
	}
	return nil
}

// outcomes counts the crash images that lost something, over n images.
func outcomes(t *testing.T, shots []shot, n int) (lost int, last error) {
	t.Helper()
	for i := range n {
		if err := check(t, shots[i%len(shots)], uint64(i)); err != nil {
			lost++
			last = fmt.Errorf("seed %d: %w", i, err)
		}
	}
	return lost, last
}

func TestP1_SyncedCommitsSurvivePowerLoss(t *testing.T) {
	for _, c := range []struct {
		journal, synchronous string
		images               int
	}{{"wal", "full", 200}, {"delete", "extra", 100}, {"truncate", "full", 60}} {
		t.Run(c.journal+"_"+c.synchronous, func(t *testing.T) {
			shots := shoot(t, c.journal, c.synchronous, false, 80, 6)
			if lost, err := outcomes(t, shots, c.images); lost > 0 {
				t.Errorf("%d of %d crash images lost something: %v", lost, c.images, err)
			}
		})
	}
}

// The reverse: where SQLite itself promises less, or the disk lies, the images
// must show it, or they prove nothing.
func TestP1_UnsyncedCommitsAreLost(t *testing.T) {
	for _, c := range []struct {
		name, journal, synchronous string
		lie                        bool
	}{
		{"lying disk", "wal", "full", true},
		{"synchronous normal", "wal", "normal", false},
		{"synchronous off", "wal", "off", false},
		{"journal's deletion not synced", "delete", "full", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			shots := shoot(t, c.journal, c.synchronous, c.lie, 60, 6)
			lost, _ := outcomes(t, shots, 60)
			if lost == 0 {
				t.Error("60 crash images lost nothing")
			}
			t.Logf("%d of 60 crash images lost something", lost)
		})
	}
}

// A checkpoint on one connection while another commits: both sync at once.
func TestP1_ConcurrentConnections(t *testing.T) {
	v := newVFS(t)
	db := openDB(t, filepath.Join(t.TempDir(), "a.db"), v.Name(), "wal", "full")
	mustExec(t, db, schema)
	var mu sync.Mutex
	acked := 0
	var shots []shot
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			mu.Lock()
			n := acked
			mu.Unlock()
			if len(shots) < 100 {
				shots = append(shots, shot{v.Image(), n})
			}
			if _, err := db.Exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var n int
			if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
				t.Error(err)
			}
		}
	})
	for n := 1; n <= 150; n++ {
		mustExec(t, db, "INSERT INTO t VALUES (?, ?)", n, value(n))
		mu.Lock()
		acked = n
		mu.Unlock()
	}
	close(stop)
	group.Wait()
	if lost, err := outcomes(t, shots, len(shots)); lost > 0 {
		t.Errorf("%d crash images lost something: %v", lost, err)
	}
}

func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		want  int
	}{
		{"full", Fault{Ops: OpWrite, Code: Full}, 13},
		{"full, short write", Fault{Ops: OpWrite, Code: Full, Short: true, After: 1}, 13},
		{"read-only", Fault{Ops: OpWrite, Code: ReadOnly}, 8},
		{"write error", Fault{Ops: OpChange, Code: WriteError, After: 1}, 778},
		{"sync error", Fault{Ops: OpSync, Code: SyncError}, 1034},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVFS(t)
			db := openDB(t, filepath.Join(t.TempDir(), "a.db"), v.Name(), "wal", "full")
			mustExec(t, db, schema)
			mustExec(t, db, "INSERT INTO t VALUES (1, ?)", value(1))
			v.Inject(c.fault)
			for range 3 {
				if _, err := db.Exec("INSERT INTO t VALUES (2, ?)", value(2)); code(err) != c.want {
					t.Errorf("got %v, want result %d", err, c.want)
				}
			}
			var n int
			if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
				t.Errorf("while failing: %d rows, %v; want 1", n, err)
			}
			if v.Stats().Failed == 0 {
				t.Error("no operation failed")
			}
			v.Lift()
			mustExec(t, db, "INSERT INTO t VALUES (2, ?)", value(2))
			if err := check(t, shot{v.Image(), 2}, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultBounds(t *testing.T) {
	v := newVFS(t)
	v.Inject(Fault{Ops: OpWrite, Code: Full, File: "-wal", After: 2, Times: 1})
	for i, want := range []bool{false, false, true, false} {
		if v.begin(OpWrite, "/d/a.db") != nil || v.begin(OpSync, "/d/a.db-wal") != nil {
			t.Error("a fault met another file or operation")
		}
		if got := v.begin(OpWrite, "/d/a.db-wal") != nil; got != want {
			t.Errorf("write %d: failed %v, want %v", i, got, want)
		}
	}
}

// After a failed sync, a second one that succeeds must not be trusted.
func TestFailedSyncForgets(t *testing.T) {
	lost := 0
	for seed := range uint64(40) {
		d := newDisk()
		f := d.create("/d/f")
		d.record(f, 0, []byte("a"))
		f.forget(rand.New(rand.NewPCG(seed, 1)))
		f.settle(d.seq)
		if len(f.synced) == 0 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("a write came back after a failed sync, every time")
	}
}

// The same as seen from SQLite: after the failure nothing waits to be synced.
func TestFailedSyncReachesTheModel(t *testing.T) {
	v := newVFS(t)
	path := filepath.Join(t.TempDir(), "a.db")
	db := openDB(t, path, v.Name(), "wal", "full")
	mustExec(t, db, schema)
	v.Inject(Fault{Ops: OpSync, Code: SyncError, Times: 1})
	if _, err := db.Exec("INSERT INTO t VALUES (1, ?)", value(1)); code(err) != 1034 {
		t.Fatalf("got %v, want result 1034", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.disk.live[path+"-wal"].pending); n != 0 {
		t.Errorf("%d writes still wait for a sync that failed", n)
	}
}

// A sync covers what was written before it began, not what comes meanwhile.
func TestSyncCoversOnlyEarlierWrites(t *testing.T) {
	d := newDisk()
	f := d.create("/d/f")
	d.record(f, 0, []byte("one"))
	mark := d.seq
	d.record(f, 3, []byte("two"))
	f.settle(mark)
	if got := string(f.synced); got != "one" || len(f.pending) != 1 {
		t.Errorf("synced %q with %d pending, want \"one\" and 1", got, len(f.pending))
	}
	f.settle(d.seq)
	d.record(f, 1, nil)
	f.settle(d.seq)
	d.record(f, 3, []byte("x"))
	f.settle(d.seq)
	if got := string(f.synced); got != "o\x00\x00x" {
		t.Errorf("after truncation got %q", got)
	}
}

func TestPendingBytesAreBounded(t *testing.T) {
	d := newDisk()
	f := d.create("/d/f")
	part := make([]byte, 1<<20)
	for i := range 3 * pendingBytesMax / len(part) {
		d.record(f, int64(i%8)<<20, part)
	}
	if f.pendingBytes > pendingBytesMax {
		t.Errorf("%d bytes are kept, limit %d", f.pendingBytes, pendingBytesMax)
	}
}

func TestSharedMemoryIsNotInImages(t *testing.T) {
	v := newVFS(t)
	path := filepath.Join(t.TempDir(), "a.db")
	db := openDB(t, path, v.Name(), "wal", "full")
	mustExec(t, db, schema)
	if _, err := os.Stat(path + "-shm"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := v.Crash(dir, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.db-shm")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat -shm in the image: %v", err)
	}
}

// A database from before the shim is taken in as it is.
func TestExistingDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	old := openDB(t, path, "", "wal", "full")
	mustExec(t, old, schema)
	mustExec(t, old, "INSERT INTO t VALUES (1, ?)", value(1))
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	v := newVFS(t)
	db := openDB(t, path, v.Name(), "wal", "full")
	mustExec(t, db, "INSERT INTO t VALUES (2, ?)", value(2))
	for seed := range uint64(20) {
		if err := check(t, shot{v.Image(), 2}, seed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseRefusesWhileOpen(t *testing.T) {
	v := newVFS(t)
	db := openDB(t, filepath.Join(t.TempDir(), "a.db"), v.Name(), "wal", "full")
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	conn.Close()
}
