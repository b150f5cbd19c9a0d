package api

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// router declares every route. api/openapi.json describes the same list, and
// TestOpenAPI holds the two against each other.
func (s *Server) router() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { // of what has no route
		s.answerError(err, c)
		s.metrics.requests.WithLabelValues("other", "other", strconv.Itoa(c.Response().Status)).Inc()
	}
	add := func(method, path string, h echo.HandlerFunc) { e.Add(method, path, s.counted(path, h)) }

	add("GET", "/v1/sessions", s.listSessions)
	add("POST", "/v1/sessions", s.createSession)
	add("GET", "/v1/sessions/:s", s.getSession)
	add("PUT", "/v1/sessions/:s", s.putSession)
	add("PATCH", "/v1/sessions/:s", s.patchSession)
	add("DELETE", "/v1/sessions/:s", s.deleteSession)
	add("POST", "/v1/sessions/:s/close", s.closeSession)
	add("POST", "/v1/sessions/:s/import", s.importSession)

	add("POST", "/v1/sessions/:s/events", s.postEvents)
	add("GET", "/v1/sessions/:s/events", s.getEvents)
	add("GET", "/v1/sessions/:s/sse", s.getSSE)
	add("GET", "/v1/sessions/:s/ws", s.getWebSocket)
	add("GET", "/v1/poll", s.getEvents)
	add("GET", "/v1/sse", s.getSSE)
	add("GET", "/v1/ws", s.getWebSocket)

	add("GET", "/v1/diag/poll", s.diagPoll)
	add("GET", "/v1/diag/sse", s.diagSSE)
	add("GET", "/v1/diag/ws", s.diagWebSocket)

	add("GET", "/healthz", s.healthz)
	add("GET", "/readyz", s.readyz)
	add("GET", "/health/realtime", s.healthRealtime)
	add("GET", "/metrics", s.metrics.serve)
	add("GET", "/openapi.json", s.openAPI)
	add("GET", "/", s.page)
	add("GET", "/assets/:file", s.asset)
	s.routes = e.Routes()
	return e
}

// counted counts the answers of one route by status, refusals included.
func (s *Server) counted(path string, h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := h(c); err != nil {
			s.answerError(err, c)
		}
		s.metrics.requests.WithLabelValues(c.Request().Method, path, strconv.Itoa(c.Response().Status)).Inc()
		return nil
	}
}
