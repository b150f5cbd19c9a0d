package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// databaseFile is the name of the database in the data directory.
const databaseFile = "konlog.db"

// Page caches of a connection in KiB. The writer's holds the index pages of
// the sessions that are busy; a reader mostly reads on from where it was.
const (
	writerCacheKiB = 32 << 10
	readerCacheKiB = 2 << 10
)

// A second connection, such as a backup, may hold a lock for a moment.
const busyTimeoutMillis = 5000

// conn is one connection to the database. It belongs to one goroutine at a
// time.
type conn struct {
	driver.Conn
	stmts map[string]*stmt // prepared once, by their text
}

// stmt is a prepared statement with room for its arguments.
type stmt struct {
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	close func() error
	args  []driver.NamedValue
}

// open connects to the database in dir. Times and modes are set here and
// nowhere else.
func open(dir, vfs string, pragmas ...string) (*conn, error) {
	q := url.Values{"_busy_timeout": {fmt.Sprint(busyTimeoutMillis)}, "_pragma": pragmas}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	return openFile(filepath.Join(dir, databaseFile), q)
}

func openFile(file string, q url.Values) (*conn, error) {
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(file), RawQuery: q.Encode()}).String()
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, stmts: map[string]*stmt{}}, nil
}

// prepare returns the statement of that text.
func (c *conn) prepare(text string) (*stmt, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	p, err := c.Conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	s := &stmt{exec: p.(driver.StmtExecContext), query: p.(driver.StmtQueryContext), close: p.Close}
	c.stmts[text] = s
	return s, nil
}

// bind sets the arguments. The slice is reused: a connection runs one
// statement of a text at a time.
func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

// exec runs a statement that gives no rows and returns how many it changed.
func (c *conn) exec(text string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	r, err := s.exec.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// errStop ends a query early.
var errStop = errors.New("stop")

// rows calls f for each row. The values are valid after f returned; the slice
// is not. f returns errStop to end early.
func (c *conn) rows(f func(row []driver.Value) error, text string, args ...driver.Value) (err error) {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	r, err := s.query.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := r.Close(); err == nil {
			err = e
		}
	}()
	row := make([]driver.Value, len(r.Columns()))
	for {
		switch err := r.Next(row); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		switch err := f(row); err {
		case nil:
		case errStop:
			return nil
		default:
			return err
		}
	}
}

// one reads the first column of the first row, or returns nil.
func (c *conn) one(text string, args ...driver.Value) (v driver.Value, err error) {
	err = c.rows(func(row []driver.Value) error {
		v = row[0]
		return errStop
	}, text, args...)
	return v, err
}

// script runs several statements.
func (c *conn) script(text string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

// Close releases the statements and the connection.
func (c *conn) Close() error {
	for _, s := range c.stmts {
		_ = s.close() // the connection goes in any case
	}
	c.stmts = nil
	return c.Conn.Close()
}

// resultCode returns SQLite's extended result code of err, or 0.
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// diskFull reports whether err means that the disk takes no writes for now.
func diskFull(err error) bool {
	switch resultCode(err) & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_READONLY:
		return true
	}
	return false
}

// corrupt reports whether err means that stored data is damaged.
func corrupt(err error) bool {
	switch resultCode(err) & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return true
	}
	return false
}

func text(v driver.Value) string {
	s, _ := v.(string) // NULL is ""
	return s
}

func blob(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}

func integer(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

// orNull stores "" as NULL, which takes no room.
func orNull(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

// placeholders returns n times "(?,?,…)" with width marks.
func placeholders(n, width int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", width), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}
