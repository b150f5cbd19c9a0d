package sqlite3

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// arenaKeep is the room for arguments that a statement keeps between two runs.
const arenaKeep = 256 << 10

// Stmt is a prepared statement. Its arguments are set by position, from 1, and
// then it is run; the setters cannot fail but for their number, and Run says
// so.
type Stmt struct {
	c     *Conn
	p     uintptr
	arena uintptr // SQLite's memory that holds the bytes of the arguments
	room  int     // of arena
	used  int
	held  []held // arguments in arena
	err   error  // of a setter
}

// held is an argument that lies in the arena, whose address is known only when
// all arguments are there.
type held struct {
	position, offset, length int
	text                     bool
}

func (s *Stmt) finalize() {
	lib.Xsqlite3_finalize(s.c.tls, s.p)
	s.free()
}

func (s *Stmt) free() {
	if s.arena != 0 {
		libc.Xfree(s.c.tls, s.arena)
		s.arena, s.room = 0, 0
	}
}

func (s *Stmt) check(rc int32) {
	if rc != lib.SQLITE_OK && s.err == nil {
		s.err = s.c.fail(rc)
	}
}

// BindInt sets an integer.
func (s *Stmt) BindInt(position int, v int64) {
	s.check(lib.Xsqlite3_bind_int64(s.c.tls, s.p, int32(position), v))
}

// BindNull sets NULL.
func (s *Stmt) BindNull(position int) {
	s.check(lib.Xsqlite3_bind_null(s.c.tls, s.p, int32(position)))
}

// BindText sets a string.
func (s *Stmt) BindText(position int, v string) {
	s.hold(position, unsafe.Slice(unsafe.StringData(v), len(v)), true)
}

// BindBlob sets bytes.
func (s *Stmt) BindBlob(position int, v []byte) { s.hold(position, v, false) }

func (s *Stmt) hold(position int, v []byte, text bool) {
	if need := s.used + len(v) + 1; need > s.room { // one more, so that an empty value has an address
		s.grow(need)
	}
	copy(unsafe.Slice((*byte)(pointer(s.arena+uintptr(s.used))), len(v)), v)
	s.held = append(s.held, held{position, s.used, len(v), text})
	s.used += len(v)
}

func (s *Stmt) grow(need int) {
	room := max(need, 2*s.room, 512)
	arena := s.c.malloc(room)
	if s.used > 0 {
		copy(unsafe.Slice((*byte)(pointer(arena)), s.used), unsafe.Slice((*byte)(pointer(s.arena)), s.used))
	}
	s.free()
	s.arena, s.room = arena, room
}

// Bind sets all arguments: int64, string, []byte or nil.
func (s *Stmt) Bind(args ...any) {
	for i, arg := range args {
		switch v := arg.(type) {
		case nil:
			s.BindNull(i + 1)
		case int64:
			s.BindInt(i+1, v)
		case string:
			s.BindText(i+1, v)
		case []byte:
			s.BindBlob(i+1, v)
		default:
			s.err = fmt.Errorf("argument %d is a %T", i+1, arg)
		}
	}
}

// start hands the arguments in the arena over. SQLite reads them in place
// until the statement is reset.
func (s *Stmt) start() error {
	for _, h := range s.held {
		p, n := s.arena+uintptr(h.offset), int32(h.length)
		if h.text {
			s.check(lib.Xsqlite3_bind_text(s.c.tls, s.p, int32(h.position), p, n, 0))
		} else {
			s.check(lib.Xsqlite3_bind_blob(s.c.tls, s.p, int32(h.position), p, n, 0))
		}
	}
	s.held, s.used = s.held[:0], 0
	err := s.err
	s.err = nil
	return err
}

// end makes the statement ready for its next run.
func (s *Stmt) end() {
	lib.Xsqlite3_reset(s.c.tls, s.p) // repeats the error of the last step, which is known
	if s.room > arenaKeep {
		s.free()
	}
}

// Run runs the statement to its end.
func (s *Stmt) Run() error { return s.Rows(func(Row) error { return nil }) }

// Rows runs the statement and calls f for each row, until f returns an error.
func (s *Stmt) Rows(f func(Row) error) error {
	if err := s.start(); err != nil {
		return err
	}
	defer s.end()
	for {
		switch rc := lib.Xsqlite3_step(s.c.tls, s.p); rc {
		case lib.SQLITE_DONE:
			return nil
		case lib.SQLITE_ROW:
		default:
			return s.c.fail(rc)
		}
		if err := f(Row{s}); err == ErrStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Row is the current row of a running statement.
type Row struct{ s *Stmt }

// Int reads an integer column; NULL is 0.
func (r Row) Int(i int) int64 { return lib.Xsqlite3_column_int64(r.s.c.tls, r.s.p, int32(i)) }

// Null reports whether a column is NULL.
func (r Row) Null(i int) bool {
	return lib.Xsqlite3_column_type(r.s.c.tls, r.s.p, int32(i)) == lib.SQLITE_NULL
}

// Bytes shows a text or blob column in SQLite's memory: it is valid until the
// function that got the row returns, and must not be changed. NULL is nil.
func (r Row) Bytes(i int) []byte {
	p := lib.Xsqlite3_column_blob(r.s.c.tls, r.s.p, int32(i))
	if p == 0 {
		return nil
	}
	n := lib.Xsqlite3_column_bytes(r.s.c.tls, r.s.p, int32(i))
	return unsafe.Slice((*byte)(pointer(p)), n)
}

// Text copies a text column; NULL is "".
func (r Row) Text(i int) string { return string(r.Bytes(i)) }
