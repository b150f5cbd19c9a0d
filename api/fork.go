package api

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// forkSession makes a session that begins with another's history.
func (s *Server) forkSession(c echo.Context) error {
	if _, err := queryOf(c.Request()); err != nil {
		return err
	}
	spec, err := s.forkBody(c)
	if err != nil {
		return err
	}
	if err := s.mayChange(c.Request().Context(), spec.Session); err != nil {
		return err
	}
	forker, ok := s.log.(store.Forker)
	if !ok {
		return errNoAbility("forks")
	}
	if err := s.rates.mayCreate(c.Request().Context(), spec.Session); err != nil {
		return err
	}
	if source, err := s.log.Session(c.Request().Context(), sessionID(c)); err == nil {
		s.rates.charge(c.Request().Context(), source.Bytes)
	}
	fork, err := forker.Fork(c.Request().Context(), sessionID(c), spec)
	if err != nil {
		return at("fork", sessionID(c), err)
	}
	c.Response().Header().Set("Location", "/v1/sessions/"+fork.ID)
	return writeJSON(c, http.StatusCreated, shownSession(grantOf(c.Request().Context()), &fork))
}

func (s *Server) forkBody(c echo.Context) (spec store.ForkSpec, err error) {
	spec.After = -1
	err = s.sessionMembers(c, func(name string, value []byte) (err error) {
		switch name {
		case "after":
			spec.After, err = intValue(name, value)
		case "session":
			spec.Session, err = stringValue(name, value)
		case "title":
			var title string
			title, err = stringValue(name, value)
			spec.Title = &title
		default:
			err = unknownMember(name, "a fork has after, session and title")
		}
		return err
	})
	if err == nil && spec.After < 0 {
		err = store.Errorf(store.CodeInvalidEvent, "say with after which event is the last to inherit")
	}
	if err == nil && spec.Session == "" {
		var fresh uuid.UUID
		fresh, err = uuid.NewV7()
		spec.Session = fresh.String()
		if err == nil && !grantOf(c.Request().Context()).MayWrite(spec.Session) {
			err = errNameIt
		}
	}
	return spec, err
}
