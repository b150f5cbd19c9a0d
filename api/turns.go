package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// turnPage is a page of turns; Next is left out on the last one.
type turnPage struct {
	Turns []json.RawMessage `json:"turns"`
	Next  string            `json:"next,omitempty"`
}

// listTurns lists the turns of one session, or of all.
func (s *Server) listTurns(c echo.Context) error {
	f, err := turnFilter(c)
	if err != nil {
		return err
	}
	turns, ok := s.log.(store.Turns)
	if !ok {
		return errNoAbility("turns")
	}
	page, err := turns.ListTurns(c.Request().Context(), f)
	if err != nil {
		return at("session", f.Session, err)
	}
	now := time.Now()
	out := turnPage{Turns: []json.RawMessage{}, Next: page.Next}
	for _, turn := range page.Turns {
		out.Turns = append(out.Turns, turn.AppendJSON(nil, now))
	}
	return writeJSON(c, http.StatusOK, out)
}

func turnFilter(c echo.Context) (f store.TurnFilter, err error) {
	known := []string{"state", "tool", "since", "until", "q", "cursor", "limit"}
	if f.Session = sessionID(c); f.Session == "" {
		known = append(known, "session")
	}
	q, err := queryOf(c.Request(), known...)
	if err != nil {
		return f, err
	}
	if f.Session == "" {
		f.Session = q.Get("session")
	}
	if f.Session != "" {
		if err := store.ValidSessionID(f.Session); err != nil {
			return f, err
		}
	}
	f.State, f.Tool, f.Query, f.Cursor = store.TurnState(q.Get("state")), q.Get("tool"), q.Get("q"), q.Get("cursor")
	switch f.State {
	case "", store.TurnQueued, store.TurnOpen, store.TurnEnded:
	default:
		return f, store.Errorf(store.CodeInvalidQuery, "state=%.40q: use queued, open or ended", string(f.State))
	}
	if f.Since, err = queryTime(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = queryTime(q, "until"); err != nil {
		return f, err
	}
	f.Visible = visible(c.Request().Context())
	f.Limit, err = queryInt(q, "limit", store.TurnsPageDefault, 1, store.TurnsPageMax)
	return f, err
}

// queryTime reads a moment as RFC 3339 writes it; zero when absent.
func queryTime(q url.Values, name string) (time.Time, error) {
	v := q.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return at, store.Errorf(store.CodeInvalidQuery, "%s=%.40q: want a time such as 2026-11-20T17:24:01Z", name, v)
	}
	return at, nil
}

// getTurn answers with one turn, an open one with what came of it so far.
func (s *Server) getTurn(c echo.Context) error {
	session, id := sessionID(c), pathParam(c, "t")
	if err := store.ValidSessionID(session); err != nil {
		return err
	}
	turns, ok := s.log.(store.Turns)
	if !ok {
		return errNoAbility("turns")
	}
	turn, err := turns.Turn(c.Request().Context(), session, id)
	if err != nil {
		return at("session", session, err)
	}
	return writeJSON(c, http.StatusOK, json.RawMessage(turn.AppendJSON(nil, time.Now())))
}
