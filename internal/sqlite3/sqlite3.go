// Package sqlite3 calls SQLite, as modernc.org/sqlite translates it, without
// the database/sql driver in between. It gives what the log's hot paths need:
// statements that stay prepared, arguments that are copied once, and columns
// that are read in place. docs/adr/0011-sqlite-without-database-sql.md says why.
//
// A Conn and its statements belong to one goroutine at a time: connections are
// opened without SQLite's own mutex.
package sqlite3

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

func init() { lib.PatchIssue199() } // what modernc.org/sqlite does for its own connections

// Error is a failure that SQLite reported.
type Error struct {
	Code    int           // SQLite's extended result code
	Errno   syscall.Errno // what the system said, or 0
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Code returns the extended result code of err, or 0 when it is not SQLite's.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// pointer turns an address in SQLite's memory, which the Go runtime does not
// manage, into a pointer.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// Conn is a connection to a database file.
type Conn struct {
	tls   *libc.TLS
	db    uintptr
	slot  uintptr // room for an address that a call returns
	stmts map[string]*Stmt
}

// Open opens the database file, creating it when it is absent. vfs is the name
// of a registered VFS, or "" for the system's own. busy is how many
// milliseconds a statement waits for another connection's lock.
func Open(file, vfs string, busy int) (*Conn, error) {
	c := &Conn{tls: libc.NewTLS(), stmts: map[string]*Stmt{}}
	c.slot = c.malloc(int(unsafe.Sizeof(uintptr(0))))
	name, err := libc.CString(file)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	var zvfs uintptr
	if vfs != "" {
		if zvfs, err = libc.CString(vfs); err != nil {
			return nil, err
		}
		defer libc.Xfree(c.tls, zvfs)
	}
	const flags = lib.SQLITE_OPEN_READWRITE | lib.SQLITE_OPEN_CREATE | lib.SQLITE_OPEN_NOMUTEX
	rc := lib.Xsqlite3_open_v2(c.tls, name, c.slot, flags, zvfs)
	c.db = *(*uintptr)(pointer(c.slot))
	if rc != lib.SQLITE_OK {
		err := c.fail(rc)
		_ = c.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	lib.Xsqlite3_busy_timeout(c.tls, c.db, int32(busy))
	return c, nil
}

func (c *Conn) malloc(n int) uintptr {
	p := libc.Xmalloc(c.tls, types.Size_t(n))
	if p == 0 {
		panic("sqlite3: out of memory") // as a Go allocation would
	}
	return p
}

func (c *Conn) fail(rc int32) error {
	message := libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 {
		if more := libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db)); more != message && more != "not an error" {
			message += ": " + more
		}
	}
	e := &Error{Code: int(rc), Message: message}
	if rc&0xff == lib.SQLITE_IOERR && c.db != 0 {
		e.Errno = syscall.Errno(lib.Xsqlite3_system_errno(c.tls, c.db))
	}
	return e
}

// Close finalizes the statements and closes the connection.
func (c *Conn) Close() error {
	for _, s := range c.stmts {
		s.finalize()
	}
	c.stmts = nil
	rc := lib.Xsqlite3_close_v2(c.tls, c.db)
	libc.Xfree(c.tls, c.slot)
	c.tls.Close()
	if rc != lib.SQLITE_OK {
		return &Error{Code: int(rc), Message: "close"}
	}
	return nil
}

// Script runs statements that are separated by semicolons, without arguments.
func (c *Conn) Script(text string) error {
	start, err := libc.CString(text)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, start)
	tail := c.malloc(int(unsafe.Sizeof(uintptr(0))))
	defer libc.Xfree(c.tls, tail)
	for p := start; *(*byte)(pointer(p)) != 0; p = *(*uintptr)(pointer(tail)) {
		if rc := lib.Xsqlite3_prepare_v2(c.tls, c.db, p, -1, c.slot, tail); rc != lib.SQLITE_OK {
			return c.fail(rc)
		}
		stmt := *(*uintptr)(pointer(c.slot))
		if stmt == 0 { // white space or a comment
			continue
		}
		rc := int32(lib.SQLITE_ROW)
		for rc == lib.SQLITE_ROW {
			rc = lib.Xsqlite3_step(c.tls, stmt)
		}
		if rc != lib.SQLITE_DONE {
			err = c.fail(rc)
		}
		lib.Xsqlite3_finalize(c.tls, stmt)
		if err != nil {
			return err
		}
	}
	return nil
}

// Prepare returns the statement of that text, which the connection keeps.
func (c *Conn) Prepare(text string) (*Stmt, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	z, err := libc.CString(text)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, z)
	if rc := lib.Xsqlite3_prepare_v2(c.tls, c.db, z, -1, c.slot, 0); rc != lib.SQLITE_OK {
		return nil, fmt.Errorf("prepare %.60q: %w", text, c.fail(rc))
	}
	s := &Stmt{c: c, p: *(*uintptr)(pointer(c.slot))}
	c.stmts[text] = s
	return s, nil
}

// Exec runs a statement and returns how many rows it changed. Arguments are
// int64, string, []byte or nil.
func (c *Conn) Exec(text string, args ...any) (int64, error) {
	s, err := c.Prepare(text)
	if err != nil {
		return 0, err
	}
	s.Bind(args...)
	if err := s.Run(); err != nil {
		return 0, err
	}
	return int64(lib.Xsqlite3_changes(c.tls, c.db)), nil
}

// ErrStop, returned from the function of Query, ends the query without error.
var ErrStop = errors.New("stop")

// Query calls f for each row. f must not use the same statement again.
func (c *Conn) Query(f func(Row) error, text string, args ...any) error {
	s, err := c.Prepare(text)
	if err != nil {
		return err
	}
	s.Bind(args...)
	return s.Rows(f)
}

// Int reads the first column of the first row; 0 when there is none.
func (c *Conn) Int(text string, args ...any) (n int64, err error) {
	err = c.Query(func(r Row) error {
		n = r.Int(0)
		return ErrStop
	}, text, args...)
	return n, err
}
