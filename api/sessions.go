package api

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// sessionPage is a page of the list; Next is left out on the last one.
type sessionPage struct {
	Sessions []store.SessionObject `json:"sessions"`
	Next     string                `json:"next,omitempty"`
}

// writeJSON answers with an object of the moment, which nobody may keep.
func writeJSON(c echo.Context, status int, v any) error {
	h := c.Response().Header()
	h["Content-Type"] = jsonType
	h.Set("Cache-Control", "no-store")
	c.Response().WriteHeader(status)
	_, err := c.Response().Write(encode(v))
	return err
}

func (s *Server) listSessions(c echo.Context) error {
	q, err := queryOf(c.Request(), "scope", "tag", "state", "q", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := queryInt(q, "limit", store.SessionsPageDefault, 1, store.SessionsPageMax)
	if err != nil {
		return err
	}
	state := q.Get("state")
	if !slices.Contains([]string{"", store.StateIdle, store.StateWorking, store.StateWaiting, store.StateClosed}, state) {
		return store.Errorf(store.CodeInvalidQuery, "state=%.40q: use idle, working, waiting or closed", state)
	}
	page, err := s.log.ListSessions(c.Request().Context(), store.SessionFilter{
		Scope: q.Get("scope"), Tag: q.Get("tag"), State: state, Search: q.Get("q"), Cursor: q.Get("cursor"), Limit: limit,
		Visible: visible(c.Request().Context()),
	})
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	out := sessionPage{Sessions: make([]store.SessionObject, 0, len(page.Sessions)), Next: page.Next}
	for i := range page.Sessions {
		out.Sessions = append(out.Sessions, sessionObject(grantOf(c.Request().Context()), &page.Sessions[i]))
	}
	return writeJSON(c, http.StatusOK, out)
}

func (s *Server) createSession(c echo.Context) error {
	id, spec, err := s.sessionBody(c, true)
	if err != nil {
		return err
	}
	if id == "" {
		fresh, err := uuid.NewV7()
		if err != nil {
			return at("create session", id, err)
		}
		id = fresh.String()
		if !grantOf(c.Request().Context()).MayWrite(id) {
			return errNameIt
		}
	}
	if err := s.mayChange(c.Request().Context(), id); err != nil {
		return err
	}
	created, status, err := s.create(c, id, spec)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		return store.Errorf(store.CodeExists, "session %s exists already; PUT /v1/sessions/%s returns it", id, id)
	}
	c.Response().Header().Set("Location", "/v1/sessions/"+id)
	return writeJSON(c, status, shownSession(grantOf(c.Request().Context()), &created))
}

// putSession creates the session when there is none and returns it. What the
// body says of one that exists is not applied: PATCH does that.
func (s *Server) putSession(c echo.Context) error {
	_, spec, err := s.sessionBody(c, false)
	if err != nil {
		return err
	}
	session, status, err := s.create(c, sessionID(c), spec)
	if err != nil {
		return err
	}
	return writeJSON(c, status, shownSession(grantOf(c.Request().Context()), &session))
}

func (s *Server) create(c echo.Context, id string, spec store.SessionSpec) (store.Session, int, error) {
	if err := writable(id); err != nil {
		return store.Session{}, 0, err
	}
	if err := spec.Check(); err != nil {
		return store.Session{}, 0, err
	}
	if err := s.mayKeep(c.Request().Context(), &spec); err != nil {
		return store.Session{}, 0, err
	}
	if err := s.rates.mayCreate(c.Request().Context(), id); err != nil {
		return store.Session{}, 0, err
	}
	session, created, err := s.log.CreateSession(c.Request().Context(), id, spec)
	if err != nil {
		return store.Session{}, 0, at("create session", id, err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return session, status, nil
}

func (s *Server) getSession(c echo.Context) error {
	id := sessionID(c)
	if err := store.ValidSessionID(id); err != nil {
		return err
	}
	session, err := s.log.Session(c.Request().Context(), id)
	if err != nil {
		return at("session", id, err)
	}
	object, err := s.withQuota(c.Request().Context(), sessionObject(grantOf(c.Request().Context()), &session), &session)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, object)
}

func (s *Server) patchSession(c echo.Context) error {
	id := sessionID(c)
	if err := writable(id); err != nil {
		return err
	}
	var patch store.SessionPatch
	err := s.sessionMembers(c, func(name string, value []byte) error { return patchMember(&patch, name, value) })
	if err != nil {
		return err
	}
	if err := s.mayPatch(c.Request().Context(), id, &patch); err != nil {
		return err
	}
	session, err := s.log.UpdateSession(c.Request().Context(), id, patch)
	if err != nil {
		return at("update session", id, err)
	}
	return writeJSON(c, http.StatusOK, shownSession(grantOf(c.Request().Context()), &session))
}

func (s *Server) deleteSession(c echo.Context) error {
	id := sessionID(c)
	if err := writable(id); err != nil {
		return err
	}
	if err := s.log.DeleteSession(c.Request().Context(), id); err != nil {
		return at("delete session", id, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// closeTries is how often a close looks again when the log moved on while it
// decided. A session that is closed while it is busy may need to be asked twice.
const closeTries = 16

// closeSession ends what is open and appends the event that ends the session.
func (s *Server) closeSession(c echo.Context) error {
	id, ctx := sessionID(c), c.Request().Context()
	if _, err := queryOf(c.Request()); err != nil {
		return err
	}
	for try := 1; ; try++ {
		state, err := s.log.Session(ctx, id)
		if err != nil {
			return at("session", id, err)
		}
		var drafts []store.Draft
		for _, turn := range append([]store.Queued{{Turn: state.Turn}}, state.Queue()...) {
			if turn.Turn != "" {
				drafts = append(drafts, store.TurnEndDraft(turn.Turn, "stopped"))
			}
		}
		o := store.AppendOptions{NoCreate: true}
		if len(drafts) > 0 {
			o.ExpectHead = &state.Head
		}
		drafts = append(drafts, store.Draft{Type: store.TypeSessionClosed, Data: []byte("{}")})
		a, err := s.append(ctx, id, o, drafts)
		again := store.CodeOf(err) == store.CodeHeadMoved || store.CodeOf(err) == store.CodeTurnOpen
		if err != nil && (!again || try == closeTries) {
			return err
		}
		if err == nil {
			return writeJSON(c, http.StatusOK, map[string]int64{"first": a.First, "last": a.Last})
		}
	}
}
