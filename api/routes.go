package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// router declares every route, with what it needs. api/openapi.json describes the same list, and
// TestOpenAPI holds the two against each other. Where GET is not a stream, HEAD
// is answered too; net/http leaves the body out.
func (s *Server) router() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { // of what has no route
		s.answerError(err, c)
		s.metrics.requests.WithLabelValues("other", "other", strconv.Itoa(c.Response().Status)).Inc()
	}
	s.needs = map[string]need{}
	add := func(method, path string, n need, h echo.HandlerFunc) {
		s.needs[method+" "+path] = n
		e.Add(method, path, s.counted(path, n, h))
	}
	get := func(path string, n need, h echo.HandlerFunc) {
		add("GET", path, n, h)
		add("HEAD", path, n, h)
	}

	get("/v1/sessions", signedIn, s.listSessions)
	add("POST", "/v1/sessions", writer, aboutSession(s.createSession))
	get("/v1/sessions/", signedIn, s.listSessions) // else it would be the session without a name
	get("/v1/sessions/:s", reads, s.getSession)
	add("PUT", "/v1/sessions/:s", writes, aboutSession(s.putSession))
	add("PATCH", "/v1/sessions/:s", writes, aboutSession(s.patchSession))
	add("DELETE", "/v1/sessions/:s", writes, s.deleteSession)
	add("POST", "/v1/sessions/:s/close", writes, s.closeSession)
	add("POST", "/v1/sessions/:s/import", writes, s.importSession)
	add("POST", "/v1/sessions/:s/fork", reads, aboutSession(s.forkSession))
	add("POST", "/v1/sessions/:s/redact", admins, aboutSession(s.redactSession))
	get("/v1/sessions/:s/seals", reads, s.listSeals)

	add("POST", "/v1/sessions/:s/events", writes, s.postEvents)
	add("POST", "/v1/sessions/:s/ingest", writes, s.postIngest)
	get("/v1/sessions/:s/events", reads, s.getEvents)
	add("GET", "/v1/sessions/:s/sse", reads.streams(), s.getSSE)
	add("GET", "/v1/sessions/:s/ws", reads.streams(), s.presentFirst(s.getWebSocket))

	get("/v1/poll", signedIn, s.getEvents)
	add("GET", "/v1/sse", signedIn.streams(), s.getSSE)
	add("GET", "/v1/ws", signedIn.streams(), s.getWebSocket)

	add("POST", "/v1/blobs", writer, s.postBlob)
	get("/v1/blobs/:sha256", signedIn, s.getBlob)

	s.webhookRoutes(add)

	add("POST", "/v1/shells", shells, s.postShell)
	add("POST", "/v1/tickets", signedIn, s.postTicket)
	add("POST", "/v1/login", public, s.login)
	add("DELETE", "/v1/login", public, s.logout)
	get("/v1/me", signedIn, s.getMe)

	s.meaningRoutes(get, add)
	s.viewRoutes(get, add)
	s.operationRoutes(get, add)
	s.routes = e.Routes()
	return e
}

type (
	getFunc func(path string, n need, h echo.HandlerFunc) // with HEAD
	addFunc func(method, path string, n need, h echo.HandlerFunc)
)

// meaningRoutes are what turns, questions and kontasks are asked and told by.
func (s *Server) meaningRoutes(get getFunc, add addFunc) {
	add("POST", "/v1/sessions/:s/prompts", writes, s.postCommand((*Server).prompt))
	add("POST", "/v1/sessions/:s/stop", writes, s.postCommand((*Server).stop))
	add("POST", "/v1/sessions/:s/answers", writes, s.postCommand((*Server).answer))
	add("POST", "/v1/sessions/:s/seen", reads, s.postCommand((*Server).seen))
	get("/v1/sessions/:s/turns", reads, s.listTurns)
	get("/v1/sessions/:s/turns/:t", reads, s.getTurn)
	add("POST", "/v1/sessions/:s/turns/:t/touch", writes, s.touchTurn)
	get("/v1/turns", signedIn, s.listTurns)
	get("/v1/kontasks", signedIn, s.listKontasks)
	get("/v1/kontasks/:k", signedIn, s.getKontask)
	get("/v1/kontasks/:k/output", signedIn, s.getOutput)
	add("PUT", "/v1/kontasks/:k", writer, s.putKontask)
	add("POST", "/v1/kontasks/:k/choose", writer, s.postChoice)
	get("/v1/inbox", signedIn, s.getInbox)
	get("/v1/search", signedIn, s.search)
}

// viewRoutes are those of PROTOCOL.md section 8.
func (s *Server) viewRoutes(get getFunc, add addFunc) {
	add("GET", "/ws/console", signedIn.streams(), s.viewWebSocket(consoleView))
	add("POST", "/api/console/inject", writer, s.viewCommand(injectBody))
	add("GET", "/api/konsole/dashboard/ws", signedIn.streams(), s.viewWebSocket(dashboardView))
	add("GET", "/ws", signedIn.streams(), s.viewWebSocket(chatView))
	add("GET", "/events", signedIn.streams(), s.viewSSE(chatView))
	get("/api/chat/events", signedIn, s.viewPoll(chatView))
	add("POST", "/api/chat/send", writer, s.viewCommand(sendBody))
	add("POST", "/api/chat/abort", writer, s.viewCommand(abortBody))
	add("POST", "/api/chat/set-active-session", signedIn, s.setActiveSession)
	add("GET", "/api/sdk/ws", signedIn.streams(), s.viewWebSocket(sdkView))
}

// operationRoutes are for operators, and the page.
func (s *Server) operationRoutes(get getFunc, add addFunc) {
	get("/v1/diag/poll", signedIn, s.diagPoll)
	add("GET", "/v1/diag/sse", signedIn.streams(), s.diagSSE)
	add("GET", "/v1/diag/ws", signedIn.streams(), s.diagWebSocket)
	get("/healthz", public, s.healthz)
	get("/readyz", public, s.readyz)
	get("/health/realtime", asked, s.healthRealtime)
	get("/metrics", scrapers, s.metrics.serve)
	add("POST", "/v1/backup", admins, s.postBackup)
	get("/openapi.json", public, s.openAPI)
	get("/", public, s.page)
	get("/assets/:file", public, s.asset)
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
func (s *Server) counted(path string, n need, h echo.HandlerFunc) echo.HandlerFunc {
	admitted := s.admitted(n, h)
	return func(c echo.Context) error {
		if err := admitted(c); err != nil {
			s.answerError(err, c)
		}
		s.metrics.requests.WithLabelValues(c.Request().Method, path, strconv.Itoa(c.Response().Status)).Inc()
		return nil
	}
}
