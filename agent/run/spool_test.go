package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

// openedSpool opens a spool that the test leaves as a killed process would.
func openedSpool(t testing.TB, dir string, limit int64) *Spool {
	t.Helper()
	s, err := OpenSpool(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.lock.Close() })
	return s
}

// crashed copies the files of a spool as they are, for the next process.
func crashed(t testing.TB, dir string) string {
	t.Helper()
	next := t.TempDir()
	if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return next
}

func putAll(t testing.TB, s *Spool, drafts ...store.Draft) {
	t.Helper()
	if err := s.Put(t.Context(), drafts...); err != nil {
		t.Fatal(err)
	}
}

// readAll reads what there is, from where the log has it.
func readAll(t testing.TB, s *Spool) (all []spooled) {
	t.Helper()
	r := spoolReader{s: s}
	defer r.close()
	for {
		d, ok, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, d)
	}
}

func numbered(n, size int) store.Draft {
	return store.Draft{Key: "k" + strconv.Itoa(n), Type: "text", Data: fmt.Appendf(nil, `{"text":"%d %s"}`, n, strings.Repeat("x", size))}
}

// wantDrafts compares all parts: what BodyHash leaves out too.
func wantDrafts(t testing.TB, got []spooled, want []store.Draft) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d drafts, want %d", len(got), len(want))
	}
	for i, d := range want {
		if g := got[i].draft; g.Key != d.Key || g.Type != d.Type || g.Turn != d.Turn || g.Parent != d.Parent ||
			!bytes.Equal(g.Data, d.Data) || !bytes.Equal(g.Raw, d.Raw) || (g.Raw == nil) != (d.Raw == nil) || (g.Data == nil) != (d.Data == nil) {
			t.Errorf("draft %d: got %+v, want %+v", i, g, d)
		}
	}
}

// oddDrafts have everything that a draft can have, and lack it.
func oddDrafts() []store.Draft {
	return []store.Draft{
		{Key: "a", Type: "text", Turn: "t1", Parent: "p", Data: []byte(`{"text":"hä"}`), Raw: []byte("raw \x00")},
		{Key: "b", Type: "x"},
		{Key: "c", Type: "x", Data: []byte{}, Raw: []byte{}},
		{Key: "d", Type: "agent", Data: []byte("\xff\xfe no JSON \n")},
		{Key: "e", Type: "agent", Data: bytes.Repeat([]byte("long "), 9)},
	}
}

func TestSpoolKeepsDraftsInOrder(t *testing.T) {
	dir := t.TempDir()
	s := openedSpool(t, dir, 0)
	want := oddDrafts()
	putAll(t, s, want[:2]...)
	putAll(t, s, want[2:]...)
	wantDrafts(t, readAll(t, s), want)
	wantDrafts(t, readAll(t, openedSpool(t, crashed(t, dir), 0)), want)
	if n, size := s.Len(); n != 5 || size < 150 {
		t.Errorf("got %d drafts of %d bytes", n, size)
	}
	putAll(t, s, store.Draft{Type: "x"}, store.Draft{Type: "x"})
	got := readAll(t, s)
	if a, b := got[5].draft.Key, got[6].draft.Key; a == "" || a == b {
		t.Errorf("drafts without keys got %q and %q", a, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := openedSpool(t, dir, 0) // Close keeps what is unsent
	wantDrafts(t, readAll(t, next)[:5], want)
	if err := next.ack(&readAll(t, next)[6]); err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("with nothing unsent Close left %v", left)
	}
}

// TestSpoolTornAtEveryByte cuts the file as a killed process may: whole drafts
// before the cut stay, half of one goes, and what is put then comes after.
func TestSpoolTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	s := openedSpool(t, dir, 0)
	want := oddDrafts()
	ends := []int64{}
	for _, d := range want {
		putAll(t, s, d)
		ends = append(ends, s.last.size)
	}
	file := filepath.Base(s.last.path)
	for size := int64(0); size <= ends[len(ends)-1]; size++ {
		torn := crashed(t, dir)
		if err := os.Truncate(filepath.Join(torn, file), size); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for kept < len(ends) && ends[kept] <= size {
			kept++
		}
		next := openedSpool(t, torn, 0)
		after := numbered(1, 3)
		putAll(t, next, after)
		wantDrafts(t, readAll(t, next), append(want[:kept:kept], after))
		_ = next.lock.Close()
		again := openedSpool(t, crashed(t, torn), 0)
		wantDrafts(t, readAll(t, again), append(want[:kept:kept], after))
		_ = again.lock.Close()
	}
}

func segmentsOf(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestSpoolSegments: a file goes when all of it is in the log, and a crash sends
// again only what was not acknowledged.
func TestSpoolSegments(t *testing.T) {
	dir := t.TempDir()
	s := openedSpool(t, dir, 0)
	var want []store.Draft
	for n := range 20 {
		want = append(want, numbered(n, 1<<20))
		putAll(t, s, want[n])
	}
	if got := len(segmentsOf(t, dir)); got != 5 {
		t.Fatalf("20 MiB are in %d files, want 5", got)
	}
	all := readAll(t, s)
	wantDrafts(t, all, want)
	for n := range all {
		if err := s.ack(&all[n]); err != nil {
			t.Fatal(err)
		}
		if left, want := len(segmentsOf(t, dir)), max(5-(n+1)/4, 1); left != want {
			t.Errorf("after %d were acknowledged there are %d files, want %d", n+1, left, want)
		}
		next := openedSpool(t, crashed(t, dir), 0)
		wantDrafts(t, readAll(t, next), want[n+1:])
		if d, size := next.Len(); d != 19-n || (size == 0) != (d == 0) {
			t.Errorf("after %d were acknowledged the next process has %d of %d bytes", n+1, d, size)
		}
		_ = next.lock.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, ackedName), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := openedSpool(t, crashed(t, dir), 0)
	wantDrafts(t, readAll(t, next), want[16:]) // sent again, at most a segment
}

// TestSpoolAheadOfItsFiles: after a power loss the files may be shorter than
// what was acknowledged. What is put then is not taken for it.
func TestSpoolAheadOfItsFiles(t *testing.T) {
	dir := t.TempDir()
	s := openedSpool(t, dir, 0)
	putAll(t, s, numbered(0, 1), numbered(1, 1), numbered(2, 1))
	if err := s.ack(&readAll(t, s)[2]); err != nil {
		t.Fatal(err)
	}
	lost := crashed(t, dir)
	if err := os.Truncate(segmentsOf(t, lost)[0], 10); err != nil {
		t.Fatal(err)
	}
	next := openedSpool(t, lost, 0)
	putAll(t, next, numbered(3, 1))
	wantDrafts(t, readAll(t, next), []store.Draft{numbered(3, 1)})
	wantDrafts(t, readAll(t, openedSpool(t, crashed(t, lost), 0)), []store.Draft{numbered(3, 1)})
}

// TestSpoolWriteThatFails: nothing of a Put that failed stays, and the next one
// is kept.
func TestSpoolWriteThatFails(t *testing.T) {
	for _, test := range []struct {
		name string
		left string // what the failed write left in the file, which cannot be taken back
	}{{"nothing", ""}, {"half a frame", "\x30\x00\x00\x00half"}, {"zeros", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openedSpool(t, dir, 0)
			putAll(t, s, numbered(0, 5))
			r := spoolReader{s: s}
			defer r.close()
			if _, ok, err := r.next(); !ok || err != nil {
				t.Fatal(ok, err)
			}
			broken, err := os.Open(s.last.path) // for reading only: it takes no write, nor is it cut
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.w.WriteAt([]byte(test.left), s.last.size); err != nil {
				t.Fatal(err)
			}
			_ = s.w.Close()
			s.w = broken
			if err := s.Put(t.Context(), numbered(1, 5)); err == nil {
				t.Fatal("a failing disk was no error")
			}
			putAll(t, s, numbered(2, 5))
			want := []store.Draft{numbered(0, 5), numbered(2, 5)}
			wantDrafts(t, readAll(t, s), want)
			if d, ok, err := r.next(); !ok || err != nil || d.draft.Key != "k2" {
				t.Errorf("who was reading got %q, %v, %v", d.draft.Key, ok, err)
			}
			wantDrafts(t, readAll(t, openedSpool(t, crashed(t, dir), 0)), want)
		})
	}
}

// TestSpoolDamage: what was once whole and is no more is an error that names the
// file, not a loss in silence.
func TestSpoolDamage(t *testing.T) {
	dir := t.TempDir()
	s := openedSpool(t, dir, 0)
	for n := range 6 {
		putAll(t, s, numbered(n, 1<<20))
	}
	first := segmentsOf(t, dir)[0]
	b, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2+1000] ^= 1 // within a text
	if err := os.WriteFile(first, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := spoolReader{s: openedSpool(t, crashed(t, dir), 0)}
	defer r.close()
	n := 0
	for ; ; n++ {
		_, ok, err := r.next()
		if err != nil {
			if !strings.Contains(err.Error(), filepath.Base(first)) || !strings.Contains(err.Error(), "move that file away") {
				t.Errorf("got %v", err)
			}
			break
		}
		if !ok {
			t.Fatal("a damaged draft was passed over")
		}
	}
	if n >= 4 {
		t.Errorf("%d drafts were read of a damaged file of 4", n)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	wantDrafts(t, readAll(t, openedSpool(t, crashed(t, dir), 0)), []store.Draft{numbered(4, 1<<20), numbered(5, 1<<20)})
}

func TestSpoolIsOfOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "of", "s1")
	s := openedSpool(t, dir, 0)
	_, err := OpenSpool(dir, 0)
	if !errors.Is(err, ErrSpoolBusy) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), "runs this session") {
		t.Errorf("a second one: got %v", err)
	}
	putAll(t, s, numbered(0, 1))
	for path, want := range map[string]os.FileMode{dir: 0o700, s.last.path: 0o600, filepath.Join(dir, lockName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Put(t.Context(), numbered(1, 1)); !errors.Is(err, ErrSpoolClosed) {
		t.Errorf("put into a closed spool: got %v", err)
	}
	next, err := OpenSpool(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantDrafts(t, readAll(t, next), []store.Draft{numbered(0, 1)})
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

// TestSpoolAtItsLimit: Put waits for room, in order, and is told of once.
func TestSpoolAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openedSpool(t, t.TempDir(), 3000)
		var told []bool
		s.full = func(held bool) { told = append(told, held) }
		putAll(t, s, numbered(0, 5000)) // larger than the spool: has room in an empty one
		done := make(chan int, 3)
		for n := 1; n <= 3; n++ {
			go func() {
				if err := s.Put(t.Context(), numbered(n, 1000)); n == 3 != errors.Is(err, ErrSpoolClosed) {
					t.Errorf("Put %d: got %v", n, err)
				}
				done <- n
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Put(ctx, numbered(9, 1000)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Put whose context ended: got %v", err)
		}
		if len(done) != 0 || fmt.Sprint(told) != "[true]" {
			t.Errorf("%d Puts returned, told %v", len(done), told)
		}
		first := readAll(t, s)[0]
		if err := s.ack(&first); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(done) != 2 || fmt.Sprint(told) != "[true false true]" {
			t.Errorf("with room for two %d Puts returned, told %v", len(done), told)
		}
		if err := s.Close(); err != nil { // the third is still waiting then
			t.Error(err)
		}
		synctest.Wait()
		if len(done) != 3 {
			t.Error("a Put waits for a spool that is closed")
		}
		if left := readAll(t, s); len(left) != 2 || left[0].draft.Key != "k1" || left[1].draft.Key != "k2" {
			t.Errorf("kept %v", left)
		}
	})
}

// TestSpoolChild is the process that TestSpoolSurvivesKill kills.
func TestSpoolChild(t *testing.T) {
	if flag.NArg() != 2 || flag.Arg(0) != "spool-child" {
		t.Skip("for TestSpoolSurvivesKill")
	}
	s, err := OpenSpool(flag.Arg(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := s.Len()
	for ; ; n += 2 {
		if err := s.Put(t.Context(), numbered(n, n*37%9000), numbered(n+1, n%50)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(n + 2)
	}
}

// TestSpoolSurvivesKill: kill -9 at any moment leaves all that Put returned for.
func TestSpoolSurvivesKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 5 {
		cmd := exec.Command(self, "-test.run=^TestSpoolChild$", "--", "spool-child", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in, put := bufio.NewScanner(out), 0
		for wait := 20 + 700*round; wait > 0 && in.Scan(); wait-- {
			put, _ = strconv.Atoi(in.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for in.Scan() {
			if n, err := strconv.Atoi(in.Text()); err == nil {
				put = n
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // it was killed
		if put == 0 {
			t.Fatal("the child put nothing")
		}
		s, err := OpenSpool(dir, 0) // the lock ended with the process
		if err != nil {
			t.Fatal(err)
		}
		all := readAll(t, s)
		if len(all) < put {
			t.Fatalf("round %d: Put returned for %d drafts, %d are left", round, put, len(all))
		}
		for n := range all {
			if want := numbered(n, 0).Key; all[n].draft.Key != want {
				t.Fatalf("round %d: draft %d is %q", round, n, all[n].draft.Key)
			}
		}
		if len(all)%2 == 1 { // the first half of a call: put the other, so that the child's count holds
			n := len(all) - 1
			putAll(t, s, numbered(n+1, n%50))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzSpoolFrame(f *testing.F) {
	for _, d := range oddDrafts() {
		f.Add(appendFrame(nil, &d, time.Unix(1, 2)))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		d, at, err := readFrame(frame)
		if err != nil {
			return
		}
		again, when, err := readFrame(appendFrame(nil, &d, at))
		if err != nil || !when.Equal(at) || !sameDraft(again, d) {
			t.Errorf("got %+v at %v, %v, want %+v at %v", again, when, err, d, at)
		}
	})
}
