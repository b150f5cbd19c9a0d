package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// readRequestFunc tells what a request wants to read.
type readRequestFunc func(echo.Context) (stream.Request, error)

// readRequest parses what the three transports have in common. Without a
// session in the path it is the several-sessions form.
func readRequest(c echo.Context) (stream.Request, error) {
	session := sessionID(c)
	if len(c.ParamNames()) > 0 {
		if err := store.ValidSessionID(session); err != nil {
			return stream.Request{}, err
		}
	}
	return stream.ParseRequest(c.Request(), session)
}

// getEvents answers with a page. It is a long-poll when it may wait, and then
// takes a connection's place.
func (s *Server) getEvents(c echo.Context) error { return s.serveEvents(c, readRequest) }

func (s *Server) serveEvents(c echo.Context, read readRequestFunc) error {
	req, err := read(c)
	if err != nil {
		return err
	}
	if s.cfg.DisablePolling && (req.Wait > 0 || req.Session == "") {
		return errDisabled(stream.Poll)
	}
	if req.Wait > 0 {
		leave, err := s.conns.enter(c.Request())
		if err != nil {
			return err
		}
		defer leave()
		rc := http.NewResponseController(c.Response())
		_ = rc.SetReadDeadline(time.Time{}) // the wait may be longer than a request may take to arrive
		_ = rc.SetWriteDeadline(time.Now().Add(s.limits.PollWait + s.limits.WriteTimeout))
	}
	return s.streams.ServePoll(c.Response(), c.Request(), req)
}

// getSSE carries one or several sessions as an event stream.
func (s *Server) getSSE(c echo.Context) error { return s.serveSSE(c, readRequest) }

func (s *Server) serveSSE(c echo.Context, read readRequestFunc) error {
	if s.cfg.DisableSSE {
		return errDisabled(stream.SSE)
	}
	req, err := read(c)
	if err != nil {
		return err
	}
	leave, err := s.conns.enter(c.Request())
	if err != nil {
		return err
	}
	defer leave()
	liftDeadlines(c.Response())
	return s.streams.ServeSSE(c.Response(), c.Request(), req)
}

// getWebSocket upgrades to a WebSocket, on which sessions can also be
// subscribed to and appended to by frames.
func (s *Server) getWebSocket(c echo.Context) error { return s.serveWebSocket(c, readRequest) }

func (s *Server) serveWebSocket(c echo.Context, read readRequestFunc) error {
	if s.cfg.DisableWebSocket {
		return errDisabled(stream.WebSocket)
	}
	req, err := read(c)
	if err != nil {
		return err
	}
	leave, err := s.conns.enter(c.Request())
	if err != nil {
		return err
	}
	// The handler returns after the upgrade, so that an idle reader does not
	// hold the request and its buffers.
	if err := s.streams.StartWebSocket(c.Response(), c.Request(), req, leave); err != nil {
		leave()
		return err
	}
	return nil
}

// follow refuses the sessions whose pushes are switched off; plain reads of
// them go on.
func (s *Server) follow(session *store.Session) error {
	if s.cfg.DisableFeedPush && session.ID == store.FeedSession {
		return store.Errorf(codeTransportDisabled, "pushes of the feed are switched off on this server; read it without wait, from time to time")
	}
	if s.cfg.DisableShellRealtime && slices.Contains(session.Tags, store.TagShell) {
		return store.Errorf(codeTransportDisabled, "shells are not shown as they run on this server; read the session without wait")
	}
	return nil
}

func errDisabled(transport string) error {
	return store.Errorf(codeTransportDisabled, "%s is switched off on this server; /health/realtime lists what is on", transport)
}
