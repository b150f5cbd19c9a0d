package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// The endpoints of PROTOCOL.md section 8. They read with the carriers, and
// command with the functions, that /v1 has; a view changes names and shapes.

func (s *Server) viewWebSocket(v *view) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := s.serveWebSocket(c, v.request(stream.WebSocket))
		if store.CodeOf(err) != stream.CodeUpgradeRequired {
			return err
		}
		session, _ := sessionParameter(c.Request().URL.Query())
		if session == "" {
			return err
		}
		if missing := s.present(c.Request().Context(), session); missing != nil { // which an upgrade would not mend
			return at("session", session, missing)
		}
		return err
	}
}

func (s *Server) viewSSE(v *view) echo.HandlerFunc {
	return func(c echo.Context) error { return s.serveSSE(c, v.request(stream.SSE)) }
}

// viewPoll is a poll also when it does not wait: the plain read that stays when
// polling is switched off is /v1/sessions/{s}/events.
func (s *Server) viewPoll(v *view) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.cfg.DisablePolling {
			return errDisabled(stream.Poll)
		}
		return s.serveEvents(c, v.request(stream.Poll))
	}
}

// sessionParameter is the session that a query names, by either of its names.
func sessionParameter(query url.Values) (string, error) {
	named := append(slices.Clone(query["session"]), query[sessionAlias]...)
	if len(named) == 0 {
		return "", nil
	}
	if slices.ContainsFunc(named, func(s string) bool { return s != named[0] }) {
		return "", store.Errorf(store.CodeInvalidQuery, "session is given more than once")
	}
	return named[0], store.ValidSessionID(named[0])
}

// request returns what reads a view's query as the request that /v1 would have got.
func (v *view) request(transport string) readRequestFunc {
	return func(c echo.Context) (stream.Request, error) {
		query, err := url.ParseQuery(c.Request().URL.RawQuery)
		if err != nil {
			return stream.Request{}, store.Errorf(store.CodeInvalidQuery, "the query is malformed")
		}
		session, err := sessionParameter(query)
		if err != nil {
			return stream.Request{}, err
		}
		query.Del("session")
		query.Del(sessionAlias)
		r := *c.Request()
		target := *r.URL
		r.URL = &target
		fromEnd := false
		if session, fromEnd, err = v.aim(&r, query, session, transport); err != nil {
			return stream.Request{}, err
		}
		target.RawQuery = query.Encode()
		req, err := stream.ParseRequest(&r, session)
		if err == nil && (req.Raw || req.Fold) {
			err = store.Errorf(store.CodeInvalidQuery, "raw=1 and fold=1 are for the routes under /v1: the frames of this view have no place for them")
		}
		req.View, req.Named, req.FromEnd = v, v.named, req.FromEnd || fromEnd
		return req, err
	}
}

// aim decides what is read: the session that is named, several by their cursor,
// or of a view that may be read without one the feed, from now on. cursor= of
// one session is another name for after=.
func (v *view) aim(r *http.Request, query url.Values, session, transport string) (one string, fromEnd bool, err error) {
	cursor := query.Get("cursor")
	if session != "" {
		cursor = strings.TrimPrefix(cursor, session+":")
	}
	several := strings.Contains(cursor, ":")
	switch {
	case several && session != "":
		return "", false, store.Errorf(store.CodeInvalidQuery, "cursor=%.80q names another session; leave session out to read several", cursor)
	case several && !v.reads:
		return "", false, errSessionRequired(v.name)
	case several:
		return "", false, nil
	case query.Has("cursor") && query.Has("after"):
		return "", false, store.Errorf(store.CodeInvalidQuery, "after and cursor are the same here; give one of them")
	case query.Has("cursor"):
		query.Del("cursor")
		query.Set("after", cursor)
	}
	if session != "" {
		return session, false, nil
	}
	if !v.reads {
		return "", false, errSessionRequired(v.name)
	}
	placed := query.Has("after") || query.Has("tail") || r.Header.Get("Last-Event-ID") != ""
	if transport != stream.WebSocket {
		return store.FeedSession, !placed, nil
	}
	after := query.Get("after")
	if after == "" {
		after = "0"
	}
	query.Del("after") // the several-sessions form, on which the client may subscribe to others
	query.Set("cursor", store.FeedSession+":"+after)
	return "", !placed, nil
}

func errSessionRequired(where string) error {
	return store.Errorf(codeSessionRequired, "%s needs a session: add ?session=ID", where)
}

// Inbound translates the frame of a plain client into a command.
func (v *view) Inbound(frame []byte) (translated []byte, ok bool) {
	typ := ""
	err := eachMember(frame, func(name string, value []byte) (err error) {
		if name == "type" {
			typ, err = stringValue(name, value)
		}
		return err
	})
	i := slices.IndexFunc(inboundRows, func(r inboundRow) bool { return r.typ == typ })
	if err != nil || i < 0 || !json.Valid(frame) {
		return nil, false
	}
	translated, _, err = inboundRows[i].translate(frame)
	return translated, err == nil
}

// translate makes the command's frame from what a client sent, which is valid
// JSON, and finds the session that it names, or nil.
func (row *inboundRow) translate(body []byte) (frame, session []byte, err error) {
	frame = append(make([]byte, 0, len(body)+64), `{"type":"`...)
	frame = append(append(frame, row.command...), '"')
	fixed, _, _ := strings.Cut(row.fixed, ":")
	err = eachMember(body, func(name string, value []byte) error {
		to := row.name(name)
		if to == "" || to == "type" || row.fixed != "" && `"`+to+`"` == fixed {
			return nil
		}
		if to == "session" {
			if string(value) == "null" {
				return nil // the same as left out
			}
			session = value
		}
		frame = append(appendString(append(frame, ','), to), ':')
		frame = append(frame, value...)
		return nil
	})
	if row.fixed != "" {
		frame = append(append(frame, ','), row.fixed...)
	}
	return append(frame, '}'), session, err
}

// name is what the command calls a member, "" when it has no use for it.
func (row *inboundRow) name(member string) string {
	if member == sessionAlias {
		return "session"
	}
	for i := 0; i < len(row.rename); i += 2 {
		if row.rename[i] == member {
			return row.rename[i+1]
		}
	}
	return member
}

// viewCommand answers a REST twin of a view's frame.
func (s *Server) viewCommand(row inboundRow) echo.HandlerFunc {
	return func(c echo.Context) error {
		session, frame, _, err := s.viewBody(c, row)
		if err != nil {
			return err
		}
		c.Response().Header().Set(stream.TransportHeader, stream.Poll)
		return s.answerCommand(c, commandTable[row.command], session, frame)
	}
}

// viewBody reads the body of a REST twin as the command's frame. session is
// the query's, named the body's, as JSON.
func (s *Server) viewBody(c echo.Context, row inboundRow) (session string, frame, named []byte, err error) {
	query, err := queryOf(c.Request(), "session", sessionAlias)
	if err == nil {
		session, err = sessionParameter(query)
	}
	if err != nil {
		return "", nil, nil, err
	}
	buf, err := s.objectBody(c)
	if err != nil {
		return "", nil, nil, err
	}
	defer buf.free()
	if !json.Valid(buf.b) {
		return "", nil, nil, store.Errorf(store.CodeInvalidJSON, "the body is not valid JSON")
	}
	frame, named, err = row.translate(buf.b)
	return session, frame, bytes.Clone(named), err
}

// present refuses a session that is absent, or not to be seen.
func (s *Server) present(ctx context.Context, session string) error {
	if err := s.mayRead(ctx, session); err != nil {
		return err
	}
	_, err := s.log.Session(ctx, session)
	return err
}

// setActiveSession takes note of nothing: which sessions somebody follows is
// known by who reads them. It answers what clients wait for.
func (s *Server) setActiveSession(c echo.Context) error {
	session, _, named, err := s.viewBody(c, inboundRow{})
	if err == nil && named != nil {
		session, err = stringValue("session", named)
	}
	if err != nil {
		return err
	}
	if session != "" {
		if err := store.ValidSessionID(session); err != nil {
			return err
		}
		if err := s.present(c.Request().Context(), session); err != nil {
			return at("session", session, err)
		}
	}
	c.Response().Header().Set(stream.TransportHeader, stream.Poll)
	return c.NoContent(http.StatusNoContent)
}
