package faultvfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// This file is the C side: the structures that SQLite calls through. SQLite
// allocates szOsFile bytes per open file; ours holds a header and behind it
// the file of the wrapped VFS, to which every method passes on.

type header struct {
	methods uintptr // SQLite's only view of the file
	token   uintptr // of the *handle
}

const headerBytes = unsafe.Sizeof(header{})

// handle is one open file.
type handle struct {
	v       *VFS
	path    string
	file    *file // or nil: a temporary file, of no interest after a crash
	dirSync bool  // its first sync also syncs the directory; guarded by v.mu
}

// objects maps the tokens that C memory can hold to Go values.
var objects struct {
	mu   sync.RWMutex
	last uintptr
	m    map[uintptr]any
}

func addObject(o any) uintptr {
	objects.mu.Lock()
	defer objects.mu.Unlock()
	if objects.m == nil {
		objects.m = map[uintptr]any{}
	}
	objects.last++
	objects.m[objects.last] = o
	return objects.last
}

func object[T any](token uintptr) T {
	objects.mu.RLock()
	defer objects.mu.RUnlock()
	return objects.m[token].(T)
}

func removeObject(token uintptr) {
	objects.mu.Lock()
	defer objects.mu.Unlock()
	delete(objects.m, token)
}

// at reads a C address as a Go pointer. The memory is the C side's own and
// does not move.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// fn makes a C function pointer callable.
func fn[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

// pointer is the reverse of fn. f must be a function of the package's top
// level, whose value is never moved or freed.
func pointer(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

func head(f uintptr) *header  { return at[header](f) }
func inner(f uintptr) uintptr { return f + headerBytes }

// innerMethods are those of the wrapped file.
func innerMethods(f uintptr) *sqlite3.Tsqlite3_io_methods {
	return at[sqlite3.Tsqlite3_io_methods](at[sqlite3.Tsqlite3_file](inner(f)).FpMethods)
}

func handleOf(f uintptr) *handle { return object[*handle](head(f).token) }

// registry guards SQLite's list of VFSs, which register reads and SQLite
// changes under a lock of its own.
var registry sync.Mutex

// register makes the VFS known to SQLite: a copy of the default one, whose
// functions for paths, time and randomness ignore which VFS they are given.
func (v *VFS) register() error {
	registry.Lock()
	defer registry.Unlock()
	tls := libc.NewTLS()
	defer tls.Close()
	if v.real = sqlite3.Xsqlite3_vfs_find(tls, 0); v.real == 0 {
		return fmt.Errorf("faultvfs: SQLite has no default VFS")
	}
	v.token = addObject(v)
	v.name = fmt.Sprintf("fault%d", v.token)
	var err error
	if v.cname, err = libc.CString(v.name); err != nil {
		return fmt.Errorf("faultvfs: register: %w", err)
	}
	v.cvfs = libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	if v.cvfs == 0 {
		return fmt.Errorf("faultvfs: register: out of memory")
	}
	c := at[sqlite3.Tsqlite3_vfs](v.cvfs)
	*c = *at[sqlite3.Tsqlite3_vfs](v.real)
	c.FszOsFile += int32(headerBytes)
	c.FpNext, c.FzName, c.FpAppData = 0, v.cname, v.token
	c.FxOpen, c.FxDelete = pointer(vfsOpen), pointer(vfsDelete)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, v.cvfs, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("faultvfs: register %s: result %d", v.name, rc)
	}
	return nil
}

func (v *VFS) unregister() {
	registry.Lock()
	defer registry.Unlock()
	tls := libc.NewTLS()
	defer tls.Close()
	sqlite3.Xsqlite3_vfs_unregister(tls, v.cvfs)
	libc.Xfree(tls, v.cvfs)
	libc.Xfree(tls, v.cname)
	removeObject(v.token)
}

// methods is what every open file of every VFS points to.
var methods = sqlite3.Tsqlite3_io_methods{
	FiVersion:               3,
	FxClose:                 pointer(fileClose),
	FxRead:                  pointer(fileRead),
	FxWrite:                 pointer(fileWrite),
	FxTruncate:              pointer(fileTruncate),
	FxSync:                  pointer(fileSync),
	FxFileSize:              pointer(fileSize),
	FxLock:                  pointer(fileLock),
	FxUnlock:                pointer(fileUnlock),
	FxCheckReservedLock:     pointer(fileCheckReservedLock),
	FxFileControl:           pointer(fileControl),
	FxSectorSize:            pointer(fileSectorSize),
	FxDeviceCharacteristics: pointer(fileDeviceCharacteristics),
	FxShmMap:                pointer(fileShmMap),
	FxShmLock:               pointer(fileShmLock),
	FxShmBarrier:            pointer(fileShmBarrier),
	FxShmUnmap:              pointer(fileShmUnmap),
	FxFetch:                 pointer(fileFetch),
	FxUnfetch:               pointer(fileUnfetch),
}

const (
	journals = sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL | sqlite3.SQLITE_OPEN_WAL
	tracked  = sqlite3.SQLITE_OPEN_MAIN_DB | journals
)

func vfsOpen(tls *libc.TLS, cvfs, zName, f uintptr, flags int32, outFlags uintptr) int32 {
	v := object[*VFS](at[sqlite3.Tsqlite3_vfs](cvfs).FpAppData)
	*head(f) = header{}
	h := &handle{v: v}
	if zName != 0 && flags&tracked != 0 && flags&sqlite3.SQLITE_OPEN_DELETEONCLOSE == 0 {
		h.path = libc.GoString(zName)
	}
	if h.path != "" && flags&sqlite3.SQLITE_OPEN_READWRITE != 0 {
		if fault := v.begin(OpOpen, h.path); fault != nil {
			return int32(fault.Code)
		}
	}
	v.opening.Lock()
	defer v.opening.Unlock()
	_, statErr := os.Stat(h.path)
	at[sqlite3.Tsqlite3_file](inner(f)).FpMethods = 0
	open := fn[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](v.real).FxOpen)
	if rc := open(tls, v.real, zName, inner(f), flags, outFlags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	*head(f) = header{methods: uintptr(unsafe.Pointer(&methods)), token: addObject(h)}
	v.mu.Lock()
	v.open++
	if h.path != "" {
		h.file = v.disk.live[h.path]
		h.dirSync = flags&journals != 0 && flags&sqlite3.SQLITE_OPEN_CREATE != 0
	}
	v.mu.Unlock()
	if h.path == "" || h.file != nil {
		return sqlite3.SQLITE_OK
	}
	return h.introduce(tls, f, statErr == nil)
}

// introduce makes the model know a file that it sees for the first time. The
// content is read through the wrapped file: opening and closing it in another
// way would drop the process's POSIX locks on it.
func (h *handle) introduce(tls *libc.TLS, f uintptr, existed bool) int32 {
	var content []byte
	if existed && !h.v.plain {
		var rc int32
		if content, rc = readAll(tls, f); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	if existed {
		h.file = h.v.disk.adopt(h.path, content)
	} else {
		h.file = h.v.disk.create(h.path)
	}
	return sqlite3.SQLITE_OK
}

// readStep bounds one read, whose length SQLite passes as 32 bits.
const readStep = 1 << 20

func readAll(tls *libc.TLS, f uintptr) ([]byte, int32) {
	buf := libc.Xmalloc(tls, readStep) // not Go memory: a stack may move
	if buf == 0 {
		return nil, sqlite3.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, buf)
	if rc := fileSize(tls, f, buf); rc != sqlite3.SQLITE_OK {
		return nil, rc
	}
	size := *at[int64](buf)
	var content []byte
	for off := int64(0); off < size; off += readStep {
		n := int32(min(size-off, readStep))
		if rc := fileRead(tls, f, buf, n, off); rc != sqlite3.SQLITE_OK {
			return nil, rc
		}
		content = append(content, unsafe.Slice(at[byte](buf), n)...)
	}
	return content, sqlite3.SQLITE_OK
}

func vfsDelete(tls *libc.TLS, cvfs, zName uintptr, syncDir int32) int32 {
	v := object[*VFS](at[sqlite3.Tsqlite3_vfs](cvfs).FpAppData)
	v.opening.Lock()
	defer v.opening.Unlock()
	remove := fn[func(*libc.TLS, uintptr, uintptr, int32) int32](at[sqlite3.Tsqlite3_vfs](v.real).FxDelete)
	if v.plain {
		return remove(tls, v.real, zName, syncDir)
	}
	if rc := remove(tls, v.real, zName, 0); rc != sqlite3.SQLITE_OK {
		return rc
	}
	path := libc.GoString(zName)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.disk.remove(path)
	if syncDir != 0 && !v.noSync {
		v.disk.syncDir(filepath.Dir(path))
	}
	return sqlite3.SQLITE_OK
}

func fileClose(tls *libc.TLS, f uintptr) int32 {
	h := handleOf(f)
	rc := fn[func(*libc.TLS, uintptr) int32](innerMethods(f).FxClose)(tls, inner(f))
	removeObject(head(f).token)
	head(f).methods = 0
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	h.v.open--
	return rc
}

func fileWrite(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	h := handleOf(f)
	rc := int32(sqlite3.SQLITE_OK)
	if h.file != nil {
		if fault := h.v.begin(OpWrite, h.path); fault != nil {
			if rc = int32(fault.Code); !fault.Short {
				return rc
			}
			n /= 2
		}
	}
	write := fn[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](innerMethods(f).FxWrite)
	if real := write(tls, inner(f), buf, n, off); real != sqlite3.SQLITE_OK || h.file == nil {
		return real
	}
	if h.v.plain {
		return rc
	}
	data := slices.Clone(unsafe.Slice(at[byte](buf), n))
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	h.v.disk.record(h.file, off, data)
	return rc
}

func fileTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	h := handleOf(f)
	if h.file != nil {
		if fault := h.v.begin(OpTruncate, h.path); fault != nil {
			return int32(fault.Code)
		}
	}
	rc := fn[func(*libc.TLS, uintptr, int64) int32](innerMethods(f).FxTruncate)(tls, inner(f), size)
	if rc != sqlite3.SQLITE_OK || h.file == nil || h.v.plain {
		return rc
	}
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	h.v.disk.record(h.file, size, nil)
	return rc
}

func fileSync(tls *libc.TLS, f uintptr, flags int32) int32 {
	h := handleOf(f)
	if h.file == nil {
		return sqlite3.SQLITE_OK
	}
	v := h.v
	v.mu.Lock()
	mark := v.disk.seq // a sync is for what was written before it began
	v.mu.Unlock()
	fault := v.begin(OpSync, h.path)
	if v.plain && fault == nil {
		return fn[func(*libc.TLS, uintptr, int32) int32](innerMethods(f).FxSync)(tls, inner(f), flags)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case fault != nil:
		h.file.forget(v.rng)
		return int32(fault.Code)
	case v.noSync:
		return sqlite3.SQLITE_OK
	}
	h.file.settle(mark)
	if h.dirSync {
		h.dirSync = false
		v.disk.syncDir(filepath.Dir(h.path))
	}
	return sqlite3.SQLITE_OK
}
