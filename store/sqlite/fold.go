package sqlite

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// turnFolds is what the writer keeps in memory of a session's turns. After a
// transaction that failed it is dropped and read again when it is needed.
type turnFolds struct {
	open    *store.Turn // the fold of the open turn; nil when it is still to be loaded
	strange string      // a turn that events name and that has no row; or ""

	// waiting are the folds of turns that were asked for since the session is in
	// memory; others that wait are loaded when they begin. Never nil once used.
	waiting map[string]*store.Turn
}

// newTurn names a turn that nobody has named.
func newTurn() string { return uuid.Must(uuid.NewV7()).String() }

// fold brings what is derived from the log up to e, in the transaction that
// stores e, and before e changes the state of c.
func (t *txn) fold(c *change, e *store.Event) error {
	if store.OwnSession(c.state.ID) { // it tells of other sessions' turns and has none
		return nil
	}
	if e.Turn != "" {
		if err := t.foldTurn(c, e); err != nil {
			return fmt.Errorf("fold turn %s: %w", e.Turn, err)
		}
	}
	switch e.Type {
	case store.TypePermissionRequest, store.TypePermissionResponse:
		return t.foldQuestion(c, e)
	case store.TypeKontaskCreated, store.TypeKontaskReady, store.TypeKontaskUpdated, store.TypeKontaskChosen:
		return t.foldKontask(c, e)
	}
	return nil
}

// foldTurn folds an event into its turn. The row is written when the turn is
// asked for, begins and ends: between the two its events say all.
func (t *txn) foldTurn(c *change, e *store.Event) error {
	open := e.Turn == c.state.Turn
	if !open && e.Type != store.TypePrompt && e.Type != store.TypeTurnStart && e.Type != store.TypeTurnEnd {
		return t.foldLate(c, e)
	}
	turn := c.turns.open
	if turn == nil || turn.ID != e.Turn {
		turn = c.turns.waiting[e.Turn]
	}
	if turn == nil {
		var err error
		if turn, err = t.loadTurn(c, e); turn == nil || err != nil {
			return err
		}
	}
	if open {
		c.turns.open = turn
	}
	turn.Apply(e)
	if e.Type == store.TypeToolStart {
		if err := t.saveTool(c, e); err != nil {
			return err
		}
	}
	switch e.Type {
	case store.TypeTurnStart:
		c.turns.open = turn
		delete(c.turns.waiting, e.Turn)
	case store.TypeTurnEnd:
		if open {
			c.turns.open = nil
		}
		delete(c.turns.waiting, e.Turn)
	case store.TypePrompt:
		if open {
			return nil
		}
		if c.turns.waiting == nil {
			c.turns.waiting = map[string]*store.Turn{}
		}
		if len(c.turns.waiting) < store.PromptsMax { // an import may bring more
			c.turns.waiting[e.Turn] = turn
		}
	default:
		return nil
	}
	return t.saveTurn(c, turn)
}

// loadTurn returns the fold of e's turn up to e. It is nil when there is no
// such turn and e makes none.
func (t *txn) loadTurn(c *change, e *store.Event) (*store.Turn, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	turn, err := readTurn(t.conn, c.state.ID, c.no, e.Turn)
	if turn == nil && err == nil && e.Type != store.TypeTurnEnd {
		turn = store.NewTurn(c.state.ID, e.Turn)
	}
	return turn, err
}

// readTurn returns a turn with all that the log says of it, or nil.
func readTurn(c *sqlite3.Conn, session string, no int64, id string) (*store.Turn, error) {
	return readTurnThrough(c, session, no, id, math.MaxInt64)
}

// readTurnThrough is readTurn up to an event. It goes through all that the
// session has between what is stored of the turn and that.
func readTurnThrough(c *sqlite3.Conn, session string, no int64, id string, through int64) (turn *store.Turn, err error) {
	ended := false
	err = c.Query(func(row sqlite3.Row) error {
		turn, err = scanTurn(row)
		ended = err == nil && turn.State == store.TurnEnded
		if ended {
			turn.Text = row.Text(3)
		}
		return err
	}, `SELECT session_no, fold, last, text FROM turns WHERE session_no = ? AND turn = ?`, no, id)
	if err != nil || turn == nil || ended {
		return turn, err
	}
	err = c.Query(func(row sqlite3.Row) error {
		e := scanEvent(session, row)
		turn.Apply(&e)
		return nil
	}, `SELECT id, time, type, turn, parent, data, NULL FROM events WHERE session_no = ? AND id > ? AND id <= ? AND turn = ? ORDER BY id`, no, turn.Last, through, id)
	return turn, err
}

// scanTurn reads fold and last of a row of turns, from its second column on.
func scanTurn(row sqlite3.Row) (*store.Turn, error) {
	turn := &store.Turn{}
	if err := json.Unmarshal(row.Bytes(1), turn); err != nil {
		return nil, fmt.Errorf("stored turn: %w", err)
	}
	turn.Last = row.Int(2)
	return turn, nil
}

func (t *txn) saveTurn(c *change, turn *store.Turn) error {
	if c.turns.strange == turn.ID {
		c.turns.strange = ""
	}
	row := *turn
	var text any
	if turn.State == store.TurnEnded { // lists read the fold, and no list has the text
		row.Text, text = "", turn.Text
	}
	fold, err := json.Marshal(&row)
	if err != nil {
		return err
	}
	at := turn.QueuedAt
	if at.IsZero() {
		at = turn.StartedAt
	}
	t.bytes += int64(len(fold) + len(turn.Text))
	_, err = t.conn.Exec(`INSERT INTO turns (session_no, turn, state, reason, first, last, at, fold, text) VALUES `+placeholders(1, 9)+`
		ON CONFLICT (session_no, turn) DO UPDATE SET state = excluded.state, reason = excluded.reason, first = excluded.first,
		last = excluded.last, at = excluded.at, fold = excluded.fold, text = excluded.text`,
		c.no, turn.ID, string(turn.State), turn.Reason, turn.First, turn.Last, at.UnixMilli(), string(fold), text)
	return err
}

// keepTurns writes the turns that have not ended as they were at the last of
// the events that are about to be removed, from which they follow.
func (t *txn) keepTurns(c *change, last int64) error {
	var ids []string
	err := t.conn.Query(func(row sqlite3.Row) error {
		ids = append(ids, row.Text(0))
		return nil
	}, `SELECT turn FROM turns WHERE session_no = ? AND state <> ? AND last <= ? ORDER BY no`, c.no, string(store.TurnEnded), last)
	for _, id := range ids {
		var turn *store.Turn
		if err == nil {
			turn, err = readTurnThrough(t.conn, c.state.ID, c.no, id, last)
		}
		if err == nil && turn != nil {
			err = t.saveTurn(c, turn)
		}
	}
	return err
}

// saveTool notes that a turn called a tool, so that turns can be found by it.
func (t *txn) saveTool(c *change, e *store.Event) error {
	name := e.Text("name")
	if name == "" || len(name) > store.ParentBytesMax { // what nobody would look for
		return nil
	}
	_, err := t.conn.Exec(`INSERT INTO turn_tools VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, c.no, e.Turn, name)
	return err
}

// foldLate is for events that name a turn which is not open: one that has
// ended and of which there is more to say, or one that never was.
func (t *txn) foldLate(c *change, e *store.Event) error {
	if e.Turn == c.turns.strange {
		return nil
	}
	if turn := c.turns.waiting[e.Turn]; turn != nil {
		turn.Apply(e)
		return nil
	}
	if e.Type == store.TypeUsage { // the only thing that a late event adds
		turn, err := t.loadTurn(c, e)
		if err != nil || turn == nil || turn.State != store.TurnEnded {
			return err
		}
		turn.Apply(e)
		return t.saveTurn(c, turn)
	}
	n, err := t.conn.Exec(`UPDATE turns SET last = ? WHERE session_no = ? AND turn = ? AND state = ?`, e.ID, c.no, e.Turn, string(store.TurnEnded))
	if err == nil && n == 0 {
		c.turns.strange = e.Turn
	}
	return err
}

func (t *txn) foldQuestion(c *change, e *store.Event) error {
	id := e.RequestID()
	if id == "" {
		return nil
	}
	asked, answered := e.ID, int64(0)
	if e.Type == store.TypePermissionResponse {
		asked, answered = 0, e.ID
	}
	_, err := t.conn.Exec(`INSERT INTO questions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
		asked = iif(asked = 0, excluded.asked, asked), answered = iif(answered = 0, excluded.answered, answered)`, c.no, id, asked, answered)
	return err
}

// past answers the questions of store.Session.Admit from the tables.
type past struct {
	t *txn
	c *change
}

var _ store.Past = past{}

// TurnEnd implements store.Past.
func (p past) TurnEnd(turn string) (reason string, ended bool, err error) {
	if !p.c.exists || turn == p.c.turns.strange {
		return "", false, nil
	}
	known := false
	err = p.t.conn.Query(func(row sqlite3.Row) error {
		known, ended, reason = true, row.Text(0) == string(store.TurnEnded), row.Text(1)
		return sqlite3.ErrStop
	}, `SELECT state, reason FROM turns WHERE session_no = ? AND turn = ?`, p.c.no, turn)
	if !known && err == nil {
		p.c.turns.strange = turn
	}
	return reason, ended, err
}

// Answer implements store.Past.
func (p past) Answer(requestID string) (id int64, err error) {
	if !p.c.exists {
		return 0, nil
	}
	return p.t.conn.Int(`SELECT ifnull((SELECT answered FROM questions WHERE session_no = ? AND request_id = ?), 0)`, p.c.no, requestID)
}

// KontaskPlace implements store.Past.
func (p past) KontaskPlace(id string) (session string, chosen int64, err error) {
	err = p.t.conn.Query(func(row sqlite3.Row) error {
		session, chosen = row.Text(0), row.Int(1)
		return sqlite3.ErrStop
	}, `SELECT session, chosen FROM kontasks WHERE id = ?`, id)
	return session, chosen, err
}
