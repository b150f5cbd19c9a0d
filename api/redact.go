package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// redactedObject says what a redaction did. ID is left out when there was
// nothing left to redact.
type redactedObject struct {
	Session string   `json:"session"`
	ID      int64    `json:"id,omitempty"`
	Events  int64    `json:"events"`
	Pending bool     `json:"pending"`
	Forks   []string `json:"forks"`
}

// redactSession drops the content of events for good.
func (s *Server) redactSession(c echo.Context) error {
	id := sessionID(c)
	if err := writable(id); err != nil {
		return err
	}
	if _, err := queryOf(c.Request()); err != nil {
		return err
	}
	var spec store.RedactSpec
	err := s.sessionMembers(c, func(name string, value []byte) (err error) {
		switch name {
		case "from":
			spec.From, err = intValue(name, value)
		case "to":
			spec.To, err = intValue(name, value)
		case "reason":
			spec.Reason, err = stringValue(name, value)
		default:
			err = unknownMember(name, "a redaction has from, to and reason")
		}
		return err
	})
	if err != nil {
		return err
	}
	if spec.To == 0 { // one event
		spec.To = spec.From
	}
	redactor, ok := s.log.(store.Redactor)
	if !ok {
		return errNoAbility("redactions")
	}
	done, err := redactor.Redact(c.Request().Context(), id, spec)
	if err != nil {
		return at("redact", id, err)
	}
	if done.Forks == nil {
		done.Forks = []string{}
	}
	return writeJSON(c, http.StatusOK, redactedObject{Session: id, ID: done.ID, Events: done.Events, Pending: done.Pending, Forks: done.Forks})
}
