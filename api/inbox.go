package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// subject is who a request is made for. Without credentials all that reach
// this address are one and the same.
func (s *Server) subject(ctx context.Context) string { return grantOf(ctx).Subject }

// seen raises the subject's read mark of a session. It never falls.
func (s *Server) seen(ctx context.Context, session string, body []byte) (begun, error) {
	id := int64(-1)
	err := eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "id":
			id, err = intValue(name, value)
		case "session":
			session, err = sameSession(session, value)
		case "type", "ref", "key":
		default:
			err = unknownMember(name, "seen has session and id")
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case session == "":
		return nil, store.Errorf(codeSessionRequired, "name the session")
	case s.mayRead(ctx, session) != nil:
		return nil, s.mayRead(ctx, session)
	case id < 0:
		return nil, store.Errorf(store.CodeInvalidEvent, "say with id how far the session was seen")
	}
	marks, ok := s.log.(store.Marks)
	if !ok {
		return nil, errNoAbility("read marks")
	}
	return func() (commandAnswer, error) {
		mark, err := marks.MarkSeen(ctx, s.subject(ctx), session, id)
		if err != nil {
			return commandAnswer{}, at("session", session, err)
		}
		return commandAnswer{Session: session, ID: mark, unlogged: true}, nil
	}, nil
}

// inboxPage is a page of the inbox; Next is left out on the last one.
type inboxPage struct {
	Items []store.InboxObject `json:"items"`
	Next  string              `json:"next,omitempty"`
}

// getInbox lists the sessions that wait for whoever asks.
func (s *Server) getInbox(c echo.Context) error {
	q, err := queryOf(c.Request(), "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := queryInt(q, "limit", store.SessionsPageDefault, 1, store.SessionsPageMax)
	if err != nil {
		return err
	}
	marks, ok := s.log.(store.Marks)
	if !ok {
		return errNoAbility("read marks")
	}
	ctx := c.Request().Context()
	page, err := marks.Inbox(ctx, store.InboxFilter{Subject: s.subject(ctx), Cursor: q.Get("cursor"), Limit: limit, Visible: visible(ctx)})
	if err != nil {
		return err
	}
	out := inboxPage{Items: []store.InboxObject{}, Next: page.Next}
	for i := range page.Items {
		if o := page.Items[i].Object(); len(o.Reasons) > 0 { // what asked for a person may be answered meanwhile
			out.Items = append(out.Items, o)
		}
	}
	return writeJSON(c, http.StatusOK, out)
}

// touchTurn renews the lease of a turn whose producer has nothing to append.
func (s *Server) touchTurn(c echo.Context) error {
	session, turn := sessionID(c), pathParam(c, "t")
	if err := writable(session); err != nil {
		return err
	}
	leaser, ok := s.log.(store.Leaser)
	if !ok {
		return errNoAbility("leases")
	}
	deadline, err := leaser.TouchTurn(c.Request().Context(), session, turn)
	if err != nil {
		return at("session", session, err)
	}
	answer := touched{Session: session, Turn: turn}
	if !deadline.IsZero() {
		answer.Deadline = deadline.UTC().Format(store.TimeLayout)
	}
	return writeJSON(c, http.StatusOK, answer)
}

// touched says until when a turn may be silent; Deadline is left out when it
// may for ever.
type touched struct {
	Session  string `json:"session"`
	Turn     string `json:"turn"`
	Deadline string `json:"deadline,omitempty"`
}
