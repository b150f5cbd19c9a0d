package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// ticketAnswer is a credential for one WebSocket or event stream.
type ticketAnswer struct {
	Ticket    string      `json:"ticket"`
	ExpiresAt store.Stamp `json:"expiresAt"`
}

// postTicket makes a ticket for whoever can send a header here and none there.
func (s *Server) postTicket(c echo.Context) error {
	body, err := s.objectBodyOf(c, s.limits.SessionBodyBytes)
	if err != nil {
		return err
	}
	defer body.free()
	var sessions []string
	err = eachMember(body.b, func(name string, value []byte) error {
		if name != "sessions" {
			return store.Errorf(store.CodeInvalidQuery, "unknown member %.40q; a ticket has sessions", name)
		}
		if json.Unmarshal(value, &sessions) != nil || sessions == nil {
			return store.Errorf(store.CodeInvalidQuery, "sessions must be an array of strings; leave it out for all that the credential reaches")
		}
		if len(sessions) == 0 {
			return store.Errorf(store.CodeInvalidQuery, "sessions is empty; leave it out for all that the credential reaches")
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	ticket, err := s.cfg.Access.Ticket(ctx, access.Of(ctx), sessions)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusCreated, ticketAnswer{Ticket: ticket.Value, ExpiresAt: store.Stamp{Time: ticket.Expires}})
}
