package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/migrations"
	"github.com/konlog/konlog/store"
)

// Problem is one thing that Verify found wrong, and where.
type Problem struct {
	Session string // "" when it concerns the file
	Event   int64  // 0 when it concerns no single event
	Detail  string
}

func (p Problem) String() string {
	switch {
	case p.Session == "":
		return p.Detail
	case p.Event == 0:
		return fmt.Sprintf("session %s: %s", p.Session, p.Detail)
	}
	return fmt.Sprintf("session %s event %d: %s", p.Session, p.Event, p.Detail)
}

// Report says what Verify looked at.
type Report struct {
	Sessions int64
	Events   int64
	Keys     int64
	Blobs    int64
	Problems int64

	Proven     int64 // events whose seal was computed again and is the same
	Unprovable int64 // events of a seal of which retention took a part
	Unsealed   int64 // events after the last seal
	Sealed     []Sealed
}

// Verify reads the whole database in dir as of one moment and calls problem
// for everything that is not as it must be: the file's own structure, dense
// ids between floor and head, sound rows, keys that point at events, the hash
// chain. It
// changes nothing and may run beside a server. progress, if not nil, is called
// now and then with the number of events read and to read.
func Verify(ctx context.Context, dir string, problem func(Problem), progress func(done, total int64)) (Report, error) {
	return verifyFile(ctx, filepath.Join(dir, databaseFile), dir, problem, progress)
}

func verifyFile(ctx context.Context, file, dir string, problem func(Problem), progress func(done, total int64)) (Report, error) {
	c, err := openKnown(file, dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = c.Close() }()
	v := &verifier{c: c, problem: problem, progress: progress}
	if err := v.run(ctx); err != nil {
		return v.report, fmt.Errorf("verify %s: %w", dir, err)
	}
	return v.report, nil
}

// openExisting opens a database that must be there and be known, for reading.
func openExisting(dir string) (*sqlite3.Conn, error) {
	return openKnown(filepath.Join(dir, databaseFile), dir)
}

// openKnown is openExisting for a file; errors name what the caller knows it by.
func openKnown(file, name string) (*sqlite3.Conn, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("no data at %s: %w", name, err)
	}
	c, err := sqlite3.Open(file, "", busyTimeoutMillis)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	if err := c.Script("PRAGMA query_only(1)"); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	all, err := migrations.All()
	if err == nil {
		var have int64
		if have, err = c.Int("PRAGMA user_version"); err == nil && have != int64(len(all)) {
			err = unknownSchema(have, len(all))
		}
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return c, nil
}

type verifier struct {
	c        *sqlite3.Conn
	problem  func(Problem)
	progress func(done, total int64)
	report   Report
	total    int64
}

func (v *verifier) found(session string, event int64, format string, args ...any) {
	v.report.Problems++
	v.problem(Problem{Session: session, Event: event, Detail: fmt.Sprintf(format, args...)})
}

// errDamaged means that SQLite could not read on; what it said is reported.
var errDamaged = errors.New("the database file is damaged")

func (v *verifier) run(ctx context.Context) error {
	if _, err := v.c.Exec("BEGIN"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{v.file, v.sessions, v.orphans, v.blobs, v.usage} {
		err := step(ctx)
		if err == errDamaged || corrupt(err) {
			if err != errDamaged {
				v.found("", 0, "%v", err)
			}
			return nil // what follows could not be read either
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file asks SQLite for the structure of the database file.
func (v *verifier) file(context.Context) error {
	sound := true
	err := v.c.Query(func(row sqlite3.Row) error {
		if line := row.Text(0); line != "ok" {
			sound = false
			v.found("", 0, "database file: %s", line)
		}
		return nil
	}, "PRAGMA integrity_check(100)")
	if err == nil && !sound {
		err = errDamaged
	}
	return err
}

type numbered struct {
	no      int64
	session store.Session
	tags    string
}

func (v *verifier) sessions(ctx context.Context) error {
	total, err := v.c.Int("SELECT count(*) FROM events")
	if err != nil {
		return err
	}
	v.total = total
	var all []numbered
	err = v.c.Query(func(row sqlite3.Row) error {
		all = append(all, numbered{row.Int(0), scanSession(row), row.Text(12)})
		return nil
	}, `SELECT `+sessionColumns+` FROM sessions WHERE deleted_at IS NULL ORDER BY no`)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.report.Sessions++
		if err := v.session(s); err != nil {
			return err
		}
	}
	return nil
}

// session reads the events of one session and folds them again.
func (v *verifier) session(s numbered) error {
	id := s.session.ID
	if err := store.ValidSessionID(id); err != nil {
		v.found(id, 0, "%v", err)
	}
	if s.session.Floor < 1 || s.session.Floor > s.session.Head+1 {
		v.found(id, 0, "floor %d is not between 1 and head %d + 1", s.session.Floor, s.session.Head)
	}
	if !json.Valid([]byte(s.tags)) || s.session.Meta != nil && !json.Valid(s.session.Meta) {
		v.found(id, 0, "tags or meta are not JSON")
	}
	next, size := s.session.Floor, int64(0)
	err := v.c.Query(func(row sqlite3.Row) error {
		e := scanEvent(id, row)
		if e.ID != next {
			v.found(id, e.ID, "events %d to %d are missing", next, e.ID-1)
		}
		next = e.ID + 1
		d := store.Draft{Type: e.Type, Turn: e.Turn, Parent: e.Parent, Data: e.Data, Raw: e.Raw}
		size += int64(d.Size())
		v.event(&e)
		return nil
	}, `SELECT id, time, type, turn, parent, data, raw FROM events WHERE session_no = ? ORDER BY id`, s.no)
	if err != nil {
		return err
	}
	if next != s.session.Head+1 {
		v.found(id, 0, "the last event is %d, the session says head %d", next-1, s.session.Head)
	}
	if size != s.session.Bytes {
		v.found(id, 0, "events hold %d bytes, the session says %d", size, s.session.Bytes)
	}
	err = v.c.Query(func(row sqlite3.Row) error {
		v.report.Keys++
		if key := row.Int(1); key < 1 || key > s.session.Head {
			v.found(id, 0, "key %q belongs to event %d, which never was", row.Text(0), key)
		}
		return nil
	}, `SELECT key, id FROM event_keys WHERE session_no = ? ORDER BY key`, s.no)
	if err != nil {
		return err
	}
	return v.chain(s)
}

// progressEvery is how many events are read between two calls of progress.
const progressEvery = 10_000

func (v *verifier) event(e *store.Event) {
	v.report.Events++
	if v.progress != nil && v.report.Events%progressEvery == 0 {
		v.progress(v.report.Events, v.total)
	}
	if err := store.ValidType(e.Type); err != nil {
		v.found(e.Session, e.ID, "%v", err)
	}
	if !e.Redacted() && (!utf8.Valid(e.Data) || !json.Valid(e.Data) || bytes.ContainsAny(e.Data, "\r\n")) {
		v.found(e.Session, e.ID, "data is not JSON on one line")
	}
}

// orphans looks for rows that belong to no session and wait for no removal.
func (v *verifier) orphans(context.Context) error {
	for _, table := range []string{"events", "event_keys", "producers", "turns", "turn_tools", "questions", "kontasks", "marks",
		"blob_refs", "seals", "redactions", "folds", "derived"} {
		err := v.c.Query(func(row sqlite3.Row) error {
			v.found("", 0, "table %s: %d rows of session number %d, which does not exist", table, row.Int(1), row.Int(0))
			return nil
		}, `SELECT session_no, count(*) FROM `+table+` WHERE session_no NOT IN (SELECT no FROM sessions WHERE deleted_at IS NULL)
			AND session_no NOT IN (SELECT session_no FROM garbage) GROUP BY session_no ORDER BY session_no`)
		if err != nil {
			return err
		}
	}
	return nil
}
