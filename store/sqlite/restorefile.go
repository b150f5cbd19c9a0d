package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/migrations"
)

// The files of a restore in the data directory.
const (
	restoreDir   = "restore.part"             // where the copy is checked
	restoredFile = databaseFile + ".restored" // the copy, complete: from here on it is what the directory holds
	replacedDir  = "replaced-"                // and a time: what was there before
)

// databaseFiles are the files of a database, the journals first: without the
// database they are nothing, and beside another one they would damage it.
var databaseFiles = []string{databaseFile + "-wal", databaseFile + "-shm", databaseFile + "-journal", databaseFile}

// Refusals of Restore.
var (
	ErrNotEmpty    = errors.New("holds data already")
	ErrBackupFile  = errors.New("is no whole backup") // what it is, is said with it
	ErrNewerSchema = errors.New("was written by a newer konlog")
)

// RestoreOptions say how to restore. The zero value is good.
type RestoreOptions struct {
	Replace bool                    // what the directory holds is moved aside, into a directory inside it
	Copied  func(done, total int64) // or nil; bytes
	Checked func(done, total int64) // or nil; events
	Problem func(Problem)           // or nil; of what is wrong with the file

	step stepFunc // or nil; for tests
}

// Restored says what a restore has brought.
type Restored struct {
	Report
	Newest time.Time // when the newest event was appended; zero when there is none
	Moved  string    // the directory with what was there before, "" when there was nothing
}

// Restore puts a backup, or any other database of konlog that is one file, in
// the place of what dir holds. The file is only read. Before anything in dir
// changes it is copied into it and checked in all of it: its SHA-256 if that
// lies beside it, then as Verify does. A crash leaves the old data or the new;
// what is left half-done then is done by whoever opens the directory next.
func Restore(ctx context.Context, file, dir string, o RestoreOptions) (r Restored, err error) {
	dir, err = filepath.Abs(dir)
	if err == nil {
		err = makeDir(dir)
	}
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	held, err := lock(dir)
	if err != nil {
		return r, err
	}
	defer func() { _ = held.Close() }()
	if _, err := finishRestore(dir, nil); err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	if !o.Replace && holdsData(dir) {
		return r, fmt.Errorf("%s %w", dir, ErrNotEmpty)
	}
	staged := filepath.Join(dir, restoreDir)
	r, err = stage(ctx, file, staged, o)
	if err == nil {
		err = syncRename(filepath.Join(staged, databaseFile), filepath.Join(dir, restoredFile), o.step)
	}
	if err == nil {
		r.Moved, err = finishRestore(dir, o.step)
	}
	if errors.Is(err, errCrash) {
		return r, err
	}
	if e := os.RemoveAll(staged); err == nil {
		err = e
	}
	if err != nil {
		return r, fmt.Errorf("restore %s: %w", file, err)
	}
	return r, nil
}

// holdsData reports whether a database, or a part of one, is in dir.
func holdsData(dir string) bool {
	for _, name := range databaseFiles {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// stage makes a sound database of the file, in a directory of its own.
func stage(ctx context.Context, file, staged string, o RestoreOptions) (r Restored, err error) {
	problem := o.Problem
	if problem == nil {
		problem = func(Problem) {}
	}
	if err := checkWhole(file); err != nil {
		return r, err
	}
	if err := os.RemoveAll(staged); err != nil {
		return r, err
	}
	if err := os.Mkdir(staged, 0o700); err != nil {
		return r, err
	}
	copied := filepath.Join(staged, databaseFile)
	sum, err := copyFile(ctx, file, copied, o.Copied)
	if err != nil {
		return r, err
	}
	wrongSum := checkSum(file, sum)
	if r.Problems, err = checkStructure(ctx, copied, problem); err != nil {
		return r, err
	}
	if r.Problems > 0 {
		return r, fmt.Errorf("%w: it is damaged in %d places", ErrBackupFile, r.Problems)
	}
	// As a server would: an older schema is brought up, epochs begin anew.
	log, err := Open(ctx, staged, Options{CacheBytes: -1, LeasesByHand: true})
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrBackupFile, err)
	}
	if err := log.Close(); err != nil {
		return r, err
	}
	r.Report, err = Verify(ctx, staged, problem, o.Checked)
	switch {
	case err != nil:
		return r, err
	case r.Problems > 0:
		return r, fmt.Errorf("%w: problems in it: %d", ErrBackupFile, r.Problems)
	case wrongSum != nil: // said last: where something is wrong is worth more
		return r, wrongSum
	}
	r.Newest, err = newest(staged)
	return r, err
}

// checkWhole refuses what is not one whole database of a schema that is known,
// as far as its first bytes and its size tell.
func checkWhole(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var head [100]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: it does not begin as a database does", ErrBackupFile)
	}
	for _, journal := range []string{file + "-wal", file + "-journal"} {
		if info, err := os.Stat(journal); err == nil && info.Size() > 0 {
			return fmt.Errorf("%w: part of it is in %s, since it was open when it was copied or its program was killed; take a backup of it", ErrBackupFile, journal)
		}
	}
	size := int64(binary.BigEndian.Uint16(head[16:]))
	want := int64(binary.BigEndian.Uint32(head[28:])) * size
	sized := binary.BigEndian.Uint32(head[24:]) == binary.BigEndian.Uint32(head[92:]) // else the number is not kept
	if size != pageBytes || info.Size()%pageBytes != 0 || sized && info.Size() < want {
		return fmt.Errorf("%w: it has %d bytes, its first page says %d", ErrBackupFile, info.Size(), want)
	}
	all, err := migrations.All()
	if err != nil {
		return err
	}
	switch have := int64(binary.BigEndian.Uint32(head[60:])); {
	case have == 0:
		return fmt.Errorf("%w: it is a database, but none of konlog's", ErrBackupFile)
	case have > int64(len(all)):
		return fmt.Errorf("%w: it has schema %d, this one knows up to %d", ErrNewerSchema, have, len(all))
	}
	return nil
}

// copyFile copies a file and returns its SHA-256.
func copyFile(ctx context.Context, from, to string, progress func(done, total int64)) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // only read
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	sum, done := sha256.New(), int64(0)
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var n int64
		n, err = io.CopyN(out, io.TeeReader(in, sum), backupPages*pageBytes)
		if done += n; progress != nil {
			progress(done, info.Size())
		}
	}
	if err == io.EOF {
		err = nil
	}
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, out.Close())
}

// checkSum holds a file's SHA-256 against the one that lies beside it, if one
// does.
func checkSum(file, sum string) error {
	beside, err := os.ReadFile(file + SumSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if want, _, _ := strings.Cut(string(beside), " "); want != sum {
		return fmt.Errorf("%w: its SHA-256 is %s, %s says %.64s; no event is damaged, so bytes that hold nothing were changed, or another file was put in its place", ErrBackupFile, sum, file+SumSuffix, want)
	}
	return nil
}

// checkStructure asks SQLite, says what is wrong, and marks the file as a copy.
func checkStructure(ctx context.Context, file string, problem func(Problem)) (problems int64, err error) {
	c, err := sqlite3.Open(file, "", busyTimeoutMillis)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	v := &verifier{c: c, problem: problem}
	switch err := v.file(ctx); {
	case err == errDamaged:
		return v.report.Problems, nil
	case corrupt(err):
		v.found("", 0, "%v", err)
		return v.report.Problems, nil
	case err != nil:
		return 0, err
	}
	_, err = c.Exec(fmt.Sprintf("PRAGMA application_id = %d", copyMark))
	return 0, err
}

func newest(dir string) (t time.Time, err error) {
	c, err := openExisting(dir)
	if err != nil {
		return t, err
	}
	defer func() { _ = c.Close() }()
	at, err := c.Int(`SELECT max(updated_at) FROM sessions WHERE deleted_at IS NULL AND head > 0 AND id NOT GLOB '_*'`)
	if at > 0 {
		t = millis(at)
	}
	return t, err
}

// finishRestore does what is left of a restore whose copy is complete. It may
// be called again after a crash at any of its steps. The caller has the lock.
func finishRestore(dir string, step stepFunc) (moved string, err error) {
	restored := filepath.Join(dir, restoredFile)
	info, err := os.Stat(restored)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if aside := filepath.Join(dir, replacedDir+info.ModTime().UTC().Format("20060102T150405.000Z")); holdsData(dir) {
		if err := moveAside(dir, aside, step); err != nil {
			return "", err
		}
		moved = aside
	}
	return moved, syncRename(restored, filepath.Join(dir, databaseFile), step)
}

func moveAside(dir, aside string, step stepFunc) error {
	if err := os.Mkdir(aside, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	for _, name := range databaseFiles {
		if err := step.at("move", name); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := syncPath(aside); err != nil {
		return err
	}
	return syncPath(dir)
}
