package sqlite3

import (
	"fmt"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// Copy copies the whole database of src into dst, pages at a time, and calls
// step after each piece with the pages copied and to copy; an error of step
// ends it. When src is inside a transaction the copy is of that state.
func Copy(dst, src *Conn, pages int, step func(done, total int64) error) error {
	main, err := libc.CString("main")
	if err != nil {
		return err
	}
	defer libc.Xfree(src.tls, main)
	b := lib.Xsqlite3_backup_init(src.tls, dst.db, main, src.db, main)
	if b == 0 {
		return fmt.Errorf("begin copy: %s", libc.GoString(lib.Xsqlite3_errmsg(dst.tls, dst.db)))
	}
	rc := int32(lib.SQLITE_OK)
	for rc == lib.SQLITE_OK && err == nil {
		rc = lib.Xsqlite3_backup_step(src.tls, b, int32(pages))
		total := int64(lib.Xsqlite3_backup_pagecount(src.tls, b))
		err = step(total-int64(lib.Xsqlite3_backup_remaining(src.tls, b)), total)
	}
	end := lib.Xsqlite3_backup_finish(src.tls, b)
	switch {
	case err != nil:
		return err
	case rc != lib.SQLITE_DONE:
		return dst.fail(rc)
	case end != lib.SQLITE_OK:
		return dst.fail(end)
	}
	return nil
}
