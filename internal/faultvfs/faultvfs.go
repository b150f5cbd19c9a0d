// Package faultvfs is a SQLite VFS that fails on demand and remembers what a
// power loss would leave. It is for tests only: the server never registers it.
//
// A VFS wraps the default one of the operating system and passes everything on
// to it, locks and shared memory included, so that the database lives in real
// files. Open a database through it with the DSN "file:PATH?vfs=NAME".
//
// What it assumes of a disk is the least that SQLite relies on: a write is on
// disk for certain only after a sync of its file, a directory entry only after
// a sync of its directory; until then each sector of each write may have
// arrived or not, whatever came after it. Of one sector the writes arrive in
// order, and a write never harms bytes outside its range. After a sync that
// failed, the writes it was for may be lost for ever, and a later sync of the
// same file does not bring them back.
//
// It does not see files that are opened in other ways, and does not pass syncs
// on to the real disk: the images come from memory, so a real sync would only
// cost time. One VFS is for one data directory; its methods may be called by
// any number of goroutines.
package faultvfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	sqlite3 "modernc.org/sqlite/lib"
)

// Op is a kind of file operation; kinds may be joined with |.
type Op uint8

// The operations that can be failed and watched.
const (
	OpWrite Op = 1 << iota
	OpSync
	OpTruncate
	OpOpen // of a database, journal or log, for writing

	// OpChange is every operation that a full or broken disk refuses.
	OpChange = OpWrite | OpSync | OpTruncate
)

// Code is the SQLite result code that a failed operation gives.
type Code int32

// The results worth injecting.
const (
	Full       Code = sqlite3.SQLITE_FULL
	ReadOnly   Code = sqlite3.SQLITE_READONLY
	WriteError Code = sqlite3.SQLITE_IOERR_WRITE
	SyncError  Code = sqlite3.SQLITE_IOERR_FSYNC
	CannotOpen Code = sqlite3.SQLITE_CANTOPEN
)

// Fault says which operations fail, and how.
type Fault struct {
	Ops   Op
	Code  Code
	File  string // only files whose path ends so, such as "-wal"; "" is all
	After int    // so many matching operations still succeed
	Times int    // so many fail, then the fault lifts itself; 0 is until Lift
	Short bool   // a failing write puts down its first half
}

// Stats counts the operations that reached the VFS.
type Stats struct {
	Writes, Syncs, Truncates int64
	Opens                    int64 // of a database, journal or log, for writing
	Failed                   int64 // by a fault
}

// VFS is one registered shim. Close it when the databases opened through it
// are closed.
type VFS struct {
	name  string
	token uintptr // under which the C side finds it
	cvfs  uintptr
	cname uintptr
	real  uintptr // the sqlite3_vfs that is wrapped

	opening sync.Mutex // makes look-up and open of a file one step
	hook    atomic.Pointer[func(op Op, path string)]

	plain bool // the disk is not modelled

	mu     sync.Mutex // guards what follows; never held over I/O
	fault  *Fault     // or nil
	noSync bool
	disk   disk
	rng    *rand.Rand // decides what a failed sync loses
	stats  Stats
	open   int
	closed bool
}

// ErrInUse is returned by Close while a file is open.
var ErrInUse = errors.New("faultvfs: files are open")

// New registers a VFS under a name of its own.
func New() (*VFS, error) {
	v := &VFS{disk: newDisk(), rng: rand.New(rand.NewPCG(1, 2))}
	if err := v.register(); err != nil {
		return nil, err
	}
	return v, nil
}

// NewPlain is New without the model of the disk: faults and counts only, for
// runs whose files would not fit into memory. It has no Image and no Crash.
func NewPlain() (*VFS, error) {
	v, err := New()
	if err == nil {
		v.plain = true
	}
	return v, err
}

// Name is what the vfs= parameter of a DSN takes.
func (v *VFS) Name() string { return v.name }

// Close unregisters the VFS. Nothing may be opening a database through it.
func (v *VFS) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	if v.open > 0 {
		return fmt.Errorf("%w: %d", ErrInUse, v.open)
	}
	v.closed = true
	v.unregister()
	return nil
}

// Inject makes operations fail from now on, in place of an earlier fault.
func (v *VFS) Inject(f Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = &f
}

// Lift ends the fault.
func (v *VFS) Lift() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = nil
}

// SetNoSync makes the disk lie: syncs succeed and change nothing.
func (v *VFS) SetNoSync(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noSync = on
}

// OnOp has f called before every write, sync and truncate, in the middle of
// SQLite's work, so that images can be taken at every such moment; nil ends it.
// f may call the methods of the VFS but not use a database on it.
func (v *VFS) OnOp(f func(op Op, path string)) {
	if f == nil {
		v.hook.Store(nil)
		return
	}
	v.hook.Store(&f)
}

// Stats returns the counts so far.
func (v *VFS) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// Image is the state of the disk at one moment: what is certain to be on it,
// and what may be.
func (v *VFS) Image() *Image {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.disk.image()
}

// Crash writes into dir, which must exist, what a power loss at this moment
// could leave. The seed chooses among the possible outcomes.
func (v *VFS) Crash(dir string, seed uint64) error {
	return v.Image().Write(dir, seed)
}

// begin counts an operation and returns the fault that it meets, or nil.
func (v *VFS) begin(op Op, path string) *Fault {
	if f := v.hook.Load(); f != nil && op != OpOpen {
		(*f)(op, path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch op {
	case OpWrite:
		v.stats.Writes++
	case OpSync:
		v.stats.Syncs++
	case OpTruncate:
		v.stats.Truncates++
	case OpOpen:
		v.stats.Opens++
	}
	f := v.fault
	if f == nil || f.Ops&op == 0 || !strings.HasSuffix(path, f.File) {
		return nil
	}
	if f.After > 0 {
		f.After--
		return nil
	}
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			v.fault = nil
		}
	}
	v.stats.Failed++
	return f
}
