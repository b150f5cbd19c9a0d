package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

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
func (s *Server) getEvents(c echo.Context) error {
	req, err := readRequest(c)
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
func (s *Server) getSSE(c echo.Context) error {
	if s.cfg.DisableSSE {
		return errDisabled(stream.SSE)
	}
	req, err := readRequest(c)
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
func (s *Server) getWebSocket(c echo.Context) error {
	if s.cfg.DisableWebSocket {
		return errDisabled(stream.WebSocket)
	}
	req, err := readRequest(c)
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

func errDisabled(transport string) error {
	return store.Errorf(codeTransportDisabled, "%s is switched off on this server; /health/realtime lists what is on", transport)
}
