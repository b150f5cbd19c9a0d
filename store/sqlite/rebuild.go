package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// refolded is a session's log folded anew, up to a head.
type refolded struct {
	session store.Session
	derived *store.Derived
	whole   bool // the log begins with its first event
}

// Rebuild implements store.Rebuilder. The log is read page by page beside the
// appends; only what came last is folded while they wait.
func (l *Log) Rebuild(ctx context.Context, session string) (differences []string, err error) {
	var f refolded
	err = l.withReader(ctx, func(c *sqlite3.Conn) error {
		s, _, err := readSession(c, session)
		f.session = store.Session{ID: s.ID, Epoch: s.Epoch, Head: s.Floor - 1, Floor: s.Floor}
		f.whole, f.derived = s.Floor == 1, store.NewDerived()
		return err
	})
	for err == nil {
		var page store.Page
		page, err = l.Read(ctx, session, store.Query{After: f.session.Head})
		if err != nil || len(page.Events) == 0 {
			break
		}
		f.apply(page.Events)
	}
	if err != nil {
		return nil, err
	}
	err = l.queue.do(ctx, 0, 0, func(t *txn) error {
		differences, err = t.rebuild(session, &f)
		return err
	})
	return differences, err
}

func (f *refolded) apply(events []store.Event) {
	for i := range events {
		f.session.Fold(&events[i], 0)
		f.derived.Apply(&events[i])
	}
}

// rebuild folds what was appended meanwhile and replaces what differs.
func (t *txn) rebuild(session string, f *refolded) (differences []string, err error) {
	c, err := t.session(session)
	if err != nil {
		return nil, err
	}
	if !c.exists || c.state.Epoch != f.session.Epoch { // deleted meanwhile, and perhaps made again
		return nil, store.ErrNotFound
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	err = t.conn.Query(func(row sqlite3.Row) error {
		f.apply([]store.Event{scanEvent(session, row)})
		return nil
	}, pageForward, int64(0), c.no, f.session.Head+1, c.state.Head, int64(-1))
	if err != nil {
		return nil, err
	}
	t.written = true
	r := rebuilding{t: t, c: c, f: f}
	for _, step := range []func() error{r.state, r.turns, r.questions, r.kontasks} {
		if err := step(); err != nil {
			return r.differences, err
		}
	}
	c.turns = turnFolds{}
	_, err = t.conn.Exec(`DELETE FROM unfolded WHERE session_no = ?`, c.no)
	return r.differences, err
}

// rebuilding compares what is stored of a session with what its log says.
type rebuilding struct {
	t           *txn
	c           *change
	f           *refolded
	differences []string
}

func (r *rebuilding) differs(format string, args ...any) {
	r.differences = append(r.differences, fmt.Sprintf(format, args...))
}

// state is left alone when the log's beginning is gone: what it opened may
// still be open.
func (r *rebuilding) state() error {
	is, want := &r.c.state, &r.f.session
	if !r.f.whole {
		return nil
	}
	if !sameJSON(is.Open, want.Open) || is.Turn != want.Turn || is.Closed != want.Closed || is.Notable != want.Notable || is.TurnLease != want.TurnLease {
		r.differs("what the session waits for")
		is.Open, is.Turn, is.TurnSince, is.TurnLease = want.Open, want.Turn, want.TurnSince, want.TurnLease
		is.TurnSeen, is.Closed, is.Notable = want.TurnSeen, want.Closed, want.Notable
		r.c.touched = true
	}
	return nil
}

func (r *rebuilding) turns() error {
	want := r.f.derived.Turns
	is := map[string]*store.Turn{}
	states := map[string]string{} // as the rules of appending see them, whatever the events after the row say
	var stale []string
	err := r.t.conn.Query(func(row sqlite3.Row) error {
		states[row.Text(0)] = row.Text(2) + " " + row.Text(3)
		if turn := want[row.Text(0)]; turn == nil && row.Int(1) >= r.c.state.Floor {
			stale = append(stale, row.Text(0))
		}
		return nil
	}, `SELECT turn, first, state, reason FROM turns WHERE session_no = ?`, r.c.no)
	for _, id := range r.f.derived.Order {
		if err == nil {
			is[id], err = readTurn(r.t.conn, r.c.state.ID, r.c.no, id)
		}
	}
	if err != nil {
		return err
	}
	for _, id := range stale {
		r.differs("turn %s, which the log does not have", id)
		for _, table := range []string{"turns", "turn_tools"} {
			if _, err := r.t.conn.Exec(`DELETE FROM `+table+` WHERE session_no = ? AND turn = ?`, r.c.no, id); err != nil {
				return err
			}
		}
	}
	for _, id := range r.f.derived.Order {
		turn := want[id]
		if sameJSON(is[id], turn) && states[id] == string(turn.State)+" "+turn.Reason || is[id] != nil && is[id].First < r.c.state.Floor {
			continue
		}
		r.differs("turn %s", id)
		if err := r.saveTurn(turn); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilding) saveTurn(turn *store.Turn) error {
	if err := r.t.saveTurn(r.c, turn); err != nil {
		return err
	}
	for _, tool := range turn.Tools {
		if tool.Name == "" {
			continue
		}
		if _, err := r.t.conn.Exec(`INSERT INTO turn_tools VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, r.c.no, turn.ID, tool.Name); err != nil {
			return err
		}
	}
	return nil
}

// questions only adds and mends: an answer that retention has taken from the
// log still counts.
func (r *rebuilding) questions() error {
	d := r.f.derived
	ids := slices.Sorted(maps.Keys(d.Asked))
	for id := range d.Answered {
		if d.Asked[id] == 0 {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		var asked, answered int64
		err := r.t.conn.Query(func(row sqlite3.Row) error {
			asked, answered = row.Int(0), row.Int(1)
			return sqlite3.ErrStop
		}, `SELECT asked, answered FROM questions WHERE session_no = ? AND request_id = ?`, r.c.no, id)
		if err != nil {
			return err
		}
		if asked == d.Asked[id] && answered == d.Answered[id] || !r.f.whole && (asked != 0 || answered != 0) {
			continue
		}
		r.differs("question %s", id)
		if _, err := r.t.conn.Exec(`INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?)`, r.c.no, id, d.Asked[id], d.Answered[id]); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilding) kontasks() error {
	var stale []string // whose events do not say any more that there is one
	err := r.t.conn.Query(func(row sqlite3.Row) error {
		if id := row.Text(0); r.f.derived.Kontasks[id] == nil {
			stale = append(stale, id)
		}
		return nil
	}, `SELECT id FROM kontasks WHERE session_no = ? AND created >= ? ORDER BY no`, r.c.no, r.c.state.Floor)
	if err != nil {
		return err
	}
	for _, id := range stale {
		r.differs("kontask %s, which the log does not have", id)
		if _, err := r.t.conn.Exec(`DELETE FROM kontasks WHERE id = ?`, id); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.f.derived.Kontasks)) {
		want := r.f.derived.Kontasks[id]
		var is store.Kontask
		var no, sessionNo int64
		err := r.t.conn.Query(func(row sqlite3.Row) error {
			no, sessionNo, is = row.Int(0), row.Int(2), scanKontask(row)
			return sqlite3.ErrStop
		}, `SELECT `+kontaskColumns+` FROM kontasks WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if no != 0 && (sessionNo != r.c.no || is.Created < r.c.state.Floor) || reflect.DeepEqual(is, *want) {
			continue
		}
		r.differs("kontask %s", id)
		if err := r.t.saveKontask(r.c.no, no, want); err != nil {
			return err
		}
	}
	return nil
}

func sameJSON(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}

// rebuildUnfolded folds what was stored before there were turns. It runs once
// after such a database was opened.
func (l *Log) rebuildUnfolded(ctx context.Context) error {
	var ids []string
	err := l.withReader(ctx, func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			ids = append(ids, row.Text(0))
			return nil
		}, `SELECT s.id FROM unfolded AS u JOIN sessions AS s ON s.no = u.session_no ORDER BY s.no`)
	})
	for _, id := range ids {
		if err == nil {
			_, err = l.Rebuild(ctx, id)
		}
	}
	return err
}
