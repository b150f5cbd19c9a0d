package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// recoveryTimeout is several of the engine's probes.
const recoveryTimeout = 20 * time.Second

// awaitWritable waits until the engine says that it takes writes, without
// helping it by an append.
func awaitWritable(t *testing.T, l *sqlite.Log) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(recoveryTimeout)
	defer tick.Stop()
	for !l.Health().Writable {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not writable %v after the fault was lifted: %+v", recoveryTimeout, l.Health())
		}
	}
}

func keyed(key string) store.Draft {
	return store.Draft{Key: key, Type: "text", Turn: key, Data: []byte(`{"text":"` + key + `"}`)}
}

func readAll(t *testing.T, l *sqlite.Log, session string) []store.Event {
	t.Helper()
	var events []store.Event
	for {
		p, err := l.Read(t.Context(), session, store.Query{After: int64(len(events))})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Events) == 0 {
			return events
		}
		for _, e := range p.Events {
			if e.ID != int64(len(events)+1) {
				t.Fatalf("id %d where %d should be", e.ID, len(events)+1)
			}
			events = append(events, e)
		}
	}
}

func sameEvents(t *testing.T, name string, got, want []store.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d events, want %d", name, len(got), len(want))
		return
	}
	for i := range got {
		if !bytes.Equal(got[i].JSON(), want[i].JSON()) {
			t.Errorf("%s: %s, want %s", name, got[i].JSON(), want[i].JSON())
		}
	}
}

// afterPowerLoss reads what a power loss would leave now.
func afterPowerLoss(t *testing.T, v *faultvfs.VFS, session string, seed uint64) []store.Event {
	t.Helper()
	dir := t.TempDir()
	if err := v.Crash(dir, seed); err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return readAll(t, l, session)
}

var diskFaults = []struct {
	name  string
	fault faultvfs.Fault
	want  *store.Error
}{
	{"full", faultvfs.Fault{Ops: faultvfs.OpWrite, Code: faultvfs.Full}, store.ErrStorageFull},
	{"full after a part", faultvfs.Fault{Ops: faultvfs.OpWrite, Code: faultvfs.Full, After: 3, Short: true}, store.ErrStorageFull},
	{"read-only", faultvfs.Fault{Ops: faultvfs.OpChange, Code: faultvfs.ReadOnly}, store.ErrStorageFull},
	{"write error", faultvfs.Fault{Ops: faultvfs.OpWrite, Code: faultvfs.WriteError, Short: true}, store.ErrStorageFailed},
	{"fsync error", faultvfs.Fault{Ops: faultvfs.OpSync, Code: faultvfs.SyncError}, store.ErrStorageFailed},
	{"fsync error, then no way to open", faultvfs.Fault{Ops: faultvfs.OpSync | faultvfs.OpOpen, Code: faultvfs.SyncError}, store.ErrStorageFailed},
}

// While the disk refuses, appends are refused whole and say why, reads go on,
// and when it takes writes again the engine finds out by itself; nothing is
// torn, lost or doubled.
func TestP16_DiskFull(t *testing.T) {
	t.Parallel()
	for _, c := range diskFaults {
		for name, cache := range map[string]int64{"cache": 0, "no cache": -1} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				t.Parallel()
				diskFull(t, c.fault, c.want, cache)
			})
		}
	}
}

func diskFull(t *testing.T, fault faultvfs.Fault, want *store.Error, cache int64) {
	const session, before, appenders, each = "s1", 3, 4, 3
	v := newVFS(t)
	dir := t.TempDir()
	wake := make(chan struct{}, 1)
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{VFS: v.Name(), CacheBytes: cache, Committed: func(string, int64) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // also after a failure
	tail := make(chan []store.Event, 1)
	go func() { tail <- follow(t, l, session, wake, before+appenders*each) }()

	for i := range before {
		if _, err := l.Append(t.Context(), session, store.AppendOptions{}, keyed(fmt.Sprint("b", i))); err != nil {
			t.Fatal(err)
		}
	}
	old := readAll(t, l, session)

	opens := v.Stats().Opens
	v.Inject(fault)
	var group sync.WaitGroup
	for i := range appenders {
		group.Go(func() {
			for j := range each {
				if _, err := l.Append(t.Context(), session, store.AppendOptions{}, keyed(fmt.Sprintf("f%d.%d", i, j))); !errors.Is(err, want) {
					t.Errorf("append: got %v, want %s", err, want.Code)
				}
			}
		})
	}
	group.Wait()
	if _, _, err := l.CreateSession(t.Context(), "s2", store.SessionSpec{}); !errors.Is(err, want) {
		t.Errorf("create: got %v, want %s", err, want.Code)
	}
	if h := l.Health(); h.Writable || h.LastError == "" {
		t.Errorf("health while the disk refuses: %+v", h)
	}
	sameEvents(t, "while the disk refuses", readAll(t, l, session), old)
	if p, err := l.ListSessions(t.Context(), store.SessionFilter{}); err != nil || len(p.Sessions) != 1 || p.Sessions[0].Head != before {
		t.Errorf("list while the disk refuses: %+v, %v", p, err)
	}
	if _, err := l.Session(t.Context(), "s2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused session: %v", err)
	}
	for seed := range uint64(5) {
		got := afterPowerLoss(t, v, session, seed)
		if len(got) < before || want.Code == store.CodeStorageFull && len(got) > before {
			t.Errorf("power loss while the disk refuses: %d events, want %d", len(got), before)
		}
		sameEvents(t, "power loss while the disk refuses", got[:min(before, len(got))], old)
	}

	v.Lift()
	awaitWritable(t, l)
	// A failed fsync is not tried again: only a fresh connection knows what is there.
	if reopened := v.Stats().Opens > opens; reopened != (want.Code == store.CodeStorageFailed) {
		t.Errorf("reopened %v after %s", reopened, want.Code)
	}
	if h := l.Health(); h.LastError != "" {
		t.Errorf("health after recovery: %+v", h)
	}
	sameEvents(t, "after recovery", readAll(t, l, session), old)
	for range 2 { // the second time they are all duplicates
		for i := range appenders {
			for j := range each {
				if _, err := l.Append(t.Context(), session, store.AppendOptions{}, keyed(fmt.Sprintf("f%d.%d", i, j))); err != nil {
					t.Errorf("retry after recovery: %v", err)
				}
			}
		}
	}
	all := readAll(t, l, session)
	once := map[string]bool{}
	for _, e := range all {
		if once[e.Turn] {
			t.Errorf("%s is there twice", e.Turn)
		}
		once[e.Turn] = true
	}
	if len(all) != before+appenders*each {
		t.Fatalf("%d events, want %d", len(all), before+appenders*each)
	}
	sameEvents(t, "tail", <-tail, all)
	for seed := range uint64(5) {
		sameEvents(t, "power loss after recovery", afterPowerLoss(t, v, session, seed), all)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// follow reads n events as they are announced.
func follow(t *testing.T, l *sqlite.Log, session string, wake chan struct{}, n int) []store.Event {
	var events []store.Event
	for len(events) < n {
		p, err := l.Read(context.Background(), session, store.Query{After: int64(len(events))})
		if t.Context().Err() != nil {
			return events
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("tail: %v", err)
			return events
		}
		events = append(events, p.Events...)
		if len(p.Events) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-t.Context().Done():
			return events
		}
	}
	return events
}

// A checkpoint that fails costs nothing but space: the write-ahead log keeps
// it all, appends go on, and the next checkpoint makes it good.
func TestP16_CheckpointFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []faultvfs.Fault{
		{Ops: faultvfs.OpWrite, Code: faultvfs.Full, File: ".db", After: 100, Short: true},
		{Ops: faultvfs.OpSync, Code: faultvfs.SyncError, File: ".db"},
	} {
		t.Run(fmt.Sprint(fault.Code), func(t *testing.T) {
			t.Parallel() // it waits most of the time
			v := newVFS(t)
			l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{VFS: v.Name()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			big := bytes.Repeat([]byte("x"), 256<<10)
			add := func(megabytes int) {
				for range megabytes * 4 {
					d := store.Draft{Type: "text", Data: []byte(`"` + string(big) + `"`)}
					if _, err := l.Append(t.Context(), "s1", store.AppendOptions{}, d); err != nil {
						t.Fatal(err)
					}
				}
			}
			v.Inject(fault)
			add(12)
			if v.Stats().Failed == 0 {
				t.Fatal("no checkpoint failed")
			}
			if !l.Health().Writable {
				t.Errorf("health: %+v", l.Health())
			}
			want := readAll(t, l, "s1")
			sameEvents(t, "power loss after failed checkpoints", afterPowerLoss(t, v, "s1", 1), want)
			v.Lift()
			add(6)
			want = readAll(t, l, "s1")
			sameEvents(t, "power loss after a good checkpoint", afterPowerLoss(t, v, "s1", 2), want)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			for seed := range uint64(3) {
				sameEvents(t, "power loss after the close", afterPowerLoss(t, v, "s1", seed), want)
			}
		})
	}
}

// A server that is started while the disk is full serves what it has.
func TestP16_OpenOnFullDisk(t *testing.T) {
	t.Parallel()
	v := newVFS(t)
	dir := t.TempDir()
	o := sqlite.Options{VFS: v.Name()}
	l, err := sqlite.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "s1", store.AppendOptions{}, keyed("a")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	want := readAll(t, l, "s1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	v.Inject(faultvfs.Fault{Ops: faultvfs.OpChange, Code: faultvfs.Full})
	if l, err = sqlite.Open(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sameEvents(t, "on a full disk", readAll(t, l, "s1"), want)
	if _, err := l.Append(t.Context(), "s1", store.AppendOptions{}, keyed("b")); !errors.Is(err, store.ErrStorageFull) {
		t.Errorf("append: got %v, want storage_full", err)
	}
	v.Lift()
	awaitWritable(t, l)
	if got, err := l.Append(t.Context(), "s1", store.AppendOptions{}, keyed("b")); err != nil || got.First != 2 {
		t.Errorf("append after recovery: %+v, %v; want id 2", got, err)
	}
}

// What a refused transaction folded is forgotten with it: the turn says what
// the log says, and the end that was refused can be sent again.
func TestP16_RefusedEventsLeaveTheFolds(t *testing.T) {
	t.Parallel()
	for _, c := range diskFaults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			v := newVFS(t)
			l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{VFS: v.Name()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() }) // also after a failure
			add := func(typ, data string) error {
				_, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: typ, Turn: "t", Key: typ + data, Data: []byte(data)})
				return err
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(add(store.TypeTurnStart, `{}`))
			must(add(store.TypeTextDelta, `{"text":"a"}`))
			v.Inject(c.fault)
			for _, d := range [][2]string{{store.TypeTextDelta, `{"text":"refused"}`}, {store.TypePermissionRequest, `{"requestId":"q"}`}, {store.TypeTurnEnd, `{"success":true}`}} {
				if err := add(d[0], d[1]); !errors.Is(err, c.want) {
					t.Fatalf("%s while the disk refuses: %v", d[0], err)
				}
			}
			v.Lift()
			awaitWritable(t, l)
			if s, err := l.Session(t.Context(), "s"); err != nil || s.Turn != "t" || s.State() != store.StateWorking {
				t.Errorf("after the refusals: %+v, %v", s, err)
			}
			events := readAll(t, l, "s")
			must(add(store.TypeTextDelta, `{"text":"b"}`))
			must(add(store.TypeTurnEnd, `{"success":true}`))
			turn, err := l.Turn(t.Context(), "s", "t")
			if err != nil || turn.Text != "ab" && len(events) == 2 || turn.State != store.TurnEnded {
				t.Errorf("turn %+v, %v, want the text of the log alone", turn, err)
			}
			if differences, err := l.Rebuild(t.Context(), "s"); err != nil || len(differences) > 0 {
				t.Errorf("the tables say otherwise than the log: %q, %v", differences, err)
			}
		})
	}
}
