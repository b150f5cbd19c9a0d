package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// router declares every route. api/openapi.json describes the same list, and
// TestOpenAPI holds the two against each other. Where GET is not a stream, HEAD
// is answered too; net/http leaves the body out.
func (s *Server) router() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { // of what has no route
		s.answerError(err, c)
		s.metrics.requests.WithLabelValues("other", "other", strconv.Itoa(c.Response().Status)).Inc()
	}
	add := func(method, path string, h echo.HandlerFunc) { e.Add(method, path, s.counted(path, h)) }
	get := func(path string, h echo.HandlerFunc) {
		add("GET", path, h)
		add("HEAD", path, h)
	}

	get("/v1/sessions", s.listSessions)
	add("POST", "/v1/sessions", aboutSession(s.createSession))
	get("/v1/sessions/", s.listSessions) // else it would be the session without a name
	get("/v1/sessions/:s", s.getSession)
	add("PUT", "/v1/sessions/:s", aboutSession(s.putSession))
	add("PATCH", "/v1/sessions/:s", aboutSession(s.patchSession))
	add("DELETE", "/v1/sessions/:s", s.deleteSession)
	add("POST", "/v1/sessions/:s/close", s.closeSession)
	add("POST", "/v1/sessions/:s/import", s.importSession)
	add("POST", "/v1/sessions/:s/fork", aboutSession(s.forkSession))
	add("POST", "/v1/sessions/:s/redact", aboutSession(s.redactSession))
	get("/v1/sessions/:s/seals", s.listSeals)

	add("POST", "/v1/sessions/:s/events", s.postEvents)
	add("POST", "/v1/sessions/:s/ingest", s.postIngest)
	get("/v1/sessions/:s/events", s.getEvents)
	add("GET", "/v1/sessions/:s/sse", s.getSSE)
	add("GET", "/v1/sessions/:s/ws", s.presentFirst(s.getWebSocket))

	get("/v1/poll", s.getEvents)
	add("GET", "/v1/sse", s.getSSE)
	add("GET", "/v1/ws", s.getWebSocket)

	add("POST", "/v1/blobs", s.postBlob)
	get("/v1/blobs/:sha256", s.getBlob)

	s.webhookRoutes(add)

	s.meaningRoutes(get, add)
	s.viewRoutes(get, add)
	s.operationRoutes(get, add)
	s.routes = e.Routes()
	return e
}

type (
	getFunc func(path string, h echo.HandlerFunc) // with HEAD
	addFunc func(method, path string, h echo.HandlerFunc)
)

// meaningRoutes are what turns, questions and kontasks are asked and told by.
func (s *Server) meaningRoutes(get getFunc, add addFunc) {
	add("POST", "/v1/sessions/:s/prompts", s.postCommand((*Server).prompt))
	add("POST", "/v1/sessions/:s/stop", s.postCommand((*Server).stop))
	add("POST", "/v1/sessions/:s/answers", s.postCommand((*Server).answer))
	add("POST", "/v1/sessions/:s/seen", s.postCommand((*Server).seen))
	get("/v1/sessions/:s/turns", s.listTurns)
	get("/v1/sessions/:s/turns/:t", s.getTurn)
	add("POST", "/v1/sessions/:s/turns/:t/touch", s.touchTurn)
	get("/v1/turns", s.listTurns)
	get("/v1/kontasks", s.listKontasks)
	get("/v1/kontasks/:k", s.getKontask)
	get("/v1/kontasks/:k/output", s.getOutput)
	add("PUT", "/v1/kontasks/:k", s.putKontask)
	add("POST", "/v1/kontasks/:k/choose", s.postChoice)
	get("/v1/inbox", s.getInbox)
	get("/v1/search", s.search)
}

// viewRoutes are those of PROTOCOL.md section 8.
func (s *Server) viewRoutes(get getFunc, add addFunc) {
	add("GET", "/ws/console", s.viewWebSocket(consoleView))
	add("POST", "/api/console/inject", s.viewCommand(injectBody))
	add("GET", "/api/konsole/dashboard/ws", s.viewWebSocket(dashboardView))
	add("GET", "/ws", s.viewWebSocket(chatView))
	add("GET", "/events", s.viewSSE(chatView))
	get("/api/chat/events", s.viewPoll(chatView))
	add("POST", "/api/chat/send", s.viewCommand(sendBody))
	add("POST", "/api/chat/abort", s.viewCommand(abortBody))
	add("POST", "/api/chat/set-active-session", s.setActiveSession)
	add("GET", "/api/sdk/ws", s.viewWebSocket(sdkView))
}

// operationRoutes are for operators, and the page.
func (s *Server) operationRoutes(get getFunc, add addFunc) {
	get("/v1/diag/poll", s.diagPoll)
	add("GET", "/v1/diag/sse", s.diagSSE)
	add("GET", "/v1/diag/ws", s.diagWebSocket)
	get("/healthz", s.healthz)
	get("/readyz", s.readyz)
	get("/health/realtime", s.healthRealtime)
	get("/metrics", s.metrics.serve)
	get("/openapi.json", s.openAPI)
	get("/", s.page)
	get("/assets/:file", s.asset)
}

// aboutSession gives refusals of a session's body their own code: its members
// are no event's, and no parameters.
func aboutSession(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := h(c)
		var refused *store.Error
		if errors.As(err, &refused) && (refused.Code == store.CodeInvalidEvent || refused.Code == store.CodeInvalidQuery) {
			return store.Because(codeInvalidSessionBody, err, refused.Detail)
		}
		return err
	}
}

// presentFirst puts "there is no such session" before "this needs an upgrade":
// the second would be mended in vain.
func (s *Server) presentFirst(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := h(c)
		if store.CodeOf(err) != stream.CodeUpgradeRequired {
			return err
		}
		if _, missing := s.log.Session(c.Request().Context(), sessionID(c)); missing != nil {
			return at("session", sessionID(c), missing)
		}
		return err
	}
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
