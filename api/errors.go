package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// The refusals of this package; those of the log are in store.
const (
	codeInternal                      = stream.CodeInternal
	codeInterrupted        store.Code = "interrupted"
	codeNotFound           store.Code = "not_found"
	codeMethodNotAllowed   store.Code = "method_not_allowed"
	codeTransportDisabled  store.Code = "transport_disabled"
	codeTooManyConnections store.Code = "too_many_connections"
	codeRequestTooLarge    store.Code = "request_too_large"
	codeRequestTimeout     store.Code = "request_timeout"
	codeURLTooLong         store.Code = "url_too_long"
	codeUnsupportedMedia   store.Code = "unsupported_media_type"
	codeUnsupportedCoding  store.Code = "unsupported_content_encoding"
	codeOriginNotAllowed              = stream.CodeOriginNotAllowed
	codeHostNotAllowed     store.Code = "host_not_allowed"
	codeUnknownCommand     store.Code = "unknown_command"
	codeInvalidSessionBody store.Code = "invalid_session_body"
	codeRangeRefused       store.Code = "range_not_satisfiable"
	codeSessionRequired    store.Code = "session_required"
	codeRateLimited        store.Code = "rate_limited"
	codeTooManySessions               = stream.CodeTooManySessions
	codeShellDisabled      store.Code = "shell_disabled"
)

// refusal is a row of the error table.
type refusal struct {
	status     int
	title      string
	retryable  bool   // the same request may succeed later
	retryAfter int    // seconds; 0 sends no Retry-After
	want       string // the member that store.Error.Want goes to, or ""
}

// refusals is the one table from codes to answers.
var refusals = map[store.Code]refusal{
	store.CodeInvalidSession: {status: 400, title: "The session id is malformed"},
	store.CodeInvalidJSON:    {status: 400, title: "The body is not JSON"},
	store.CodeInvalidUTF8:    {status: 400, title: "The body is not UTF-8"},
	store.CodeInvalidType:    {status: 400, title: "The event type is malformed"},
	store.CodeReservedType:   {status: 400, title: "The event type is reserved"},
	store.CodeInvalidEvent:   {status: 400, title: "The event is malformed"},
	store.CodeInvalidQuery:   {status: 400, title: "A parameter is malformed"},
	store.CodeEventTooLarge:  {status: 413, title: "The event is too large"},
	store.CodeBatchTooLarge:  {status: 413, title: "The batch is too large"},
	store.CodeNotFound:       {status: 404, title: "There is no such session"},
	store.CodeExists:         {status: 409, title: "The session exists already"},
	store.CodeSessionClosed:  {status: 409, title: "The session is closed"},
	store.CodeKeyConflict:    {status: 409, title: "The key was used for something else"},
	store.CodeProducerGap:    {status: 409, title: "A sequence number is missing", want: "expected"},
	store.CodeProducerFenced: {status: 403, title: "The producer was replaced by a newer one", want: "epoch"},
	store.CodeHeadMoved:      {status: 409, title: "The session has moved on", want: "head"},
	store.CodeRestoreGap:     {status: 409, title: "The ids do not follow the head", want: "head"},
	store.CodeBlobNotFound:   {status: 404, title: "There is no such blob"},
	store.CodeBlobTooLarge:   {status: 413, title: "The blob is too large"},
	store.CodeDigestMismatch: {status: 400, title: "The content is not what its digest says"},
	store.CodeQueueFull:      {status: 429, title: "The append queue is full", retryable: true, retryAfter: 1},
	store.CodeTurnOpen:       {status: 409, title: "Another turn is open"},
	store.CodeTurnEnded:      {status: 409, title: "The turn has ended"},
	store.CodeNoTurn:         {status: 409, title: "No such turn is open"},
	store.CodeTurnNotFound:   {status: 404, title: "There is no such turn"},
	store.CodePromptsFull:    {status: 429, title: "Too many prompts wait", retryable: true, retryAfter: 5},
	store.CodeAnswered:       {status: 409, title: "The question was answered already"},
	store.CodeNoQuestion:     {status: 404, title: "There is no such question"},
	store.CodeNoKontask:      {status: 404, title: "There is no such kontask"},
	store.CodeKontaskMoved:   {status: 409, title: "The kontask belongs to another session"},
	store.CodeNoChoice:       {status: 404, title: "The kontask has no such choice"},
	store.CodeStorageFull:    {status: 507, title: "The disk is full or read-only", retryable: true, retryAfter: 5},
	store.CodeDiskLow:        {status: 507, title: "The disk is nearly full", retryable: true, retryAfter: 5},
	store.CodeQuota:          {status: 507, title: "A quota is used up"},
	store.CodeStorageFailed:  {status: 503, title: "The disk reported an error", retryable: true, retryAfter: 1},
	store.CodeCorrupt:        {status: 500, title: "Stored data is damaged"},
	store.CodeNoWebhook:      {status: 404, title: "There is no such webhook"},
	store.CodeWebhooksFull:   {status: 409, title: "There are too many webhooks"},
	store.CodeInvalidWebhook: {status: 400, title: "The webhook is malformed"},
	store.CodeWebhookURL:     {status: 422, title: "The webhook's URL is refused"},
	store.CodeShellsFull:     {status: 429, title: "Too many shells", retryable: true, retryAfter: shellRetryAfter},
	store.CodeInvalidShell:   {status: 400, title: "The shell is malformed"},
	store.CodeShellFailed:    {status: 422, title: "The command did not start"},
	store.CodeShutdown:       {status: 503, title: "The server is shutting down", retryable: true, retryAfter: 1},

	codeInvalidSessionBody:          {status: 400, title: "The session's body is malformed"},
	codeSessionRequired:             {status: 400, title: "No session is named"},
	codeInternal:                    {status: 500, title: "The server made an error"},
	codeInterrupted:                 {status: 503, title: "The request ended early", retryable: true, retryAfter: 1},
	codeNotFound:                    {status: 404, title: "There is nothing here"},
	codeMethodNotAllowed:            {status: 405, title: "The method does not apply here"},
	codeTransportDisabled:           {status: 404, title: "The transport is switched off"},
	codeShellDisabled:               {status: 404, title: "Shells are switched off"},
	codeTooManyConnections:          {status: 429, title: "Too many connections", retryable: true, retryAfter: connRetryAfter},
	codeRateLimited:                 {status: 429, title: "A limit is used up", retryable: true, retryAfter: connRetryAfter},
	codeTooManySessions:             {status: 429, title: "Too many sessions", retryable: true, retryAfter: sessionsRetryAfter},
	codeRequestTooLarge:             {status: 413, title: "The request is too large"},
	codeRequestTimeout:              {status: 408, title: "The body did not come in time", retryable: true},
	codeURLTooLong:                  {status: 414, title: "The address is too long"},
	codeUnsupportedMedia:            {status: 415, title: "The content type is not known"},
	codeUnsupportedCoding:           {status: 415, title: "The body is compressed"},
	access.CodeUnauthorized:         {status: 401, title: "A credential is needed"},
	access.CodeForbidden:            {status: 403, title: "The credential does not allow this"},
	access.CodeTicketsFull:          {status: 429, title: "Too many tickets are unused", retryable: true, retryAfter: ticketsRetryAfter},
	codeOriginNotAllowed:            {status: 403, title: "The origin is not allowed"},
	codeHostNotAllowed:              {status: 421, title: "The host name is not allowed"},
	codeRangeRefused:                {status: 416, title: "The range is not in the content"},
	codeUnknownCommand:              {status: 400, title: "The command is not known"},
	stream.CodeInvalidFrame:         {status: 400, title: "The frame is malformed"},
	stream.CodeTooManySubscriptions: {status: 429, title: "Too many sessions on one connection"},
	stream.CodeUpgradeRequired:      {status: 426, title: "This address speaks WebSocket"},
}

// problem is a problem+json document (RFC 9457).
type problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      store.Code `json:"code"`
	Detail    string     `json:"detail"`
	Instance  string     `json:"instance"`
	RequestID string     `json:"requestId"`
	Retryable bool       `json:"retryable"`
	Head      *int64     `json:"head,omitempty"`
	Expected  *int64     `json:"expected,omitempty"`
	Epoch     *int64     `json:"epoch,omitempty"`
	Limit     string     `json:"limit,omitempty"` // the limit that refused it, as its setting is called
	Line      int64      `json:"line,omitempty"`
	Stored    *stored    `json:"stored,omitempty"`
}

// stored says what a streamed body left in the log before it was refused.
type stored struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	Count int64 `json:"count"`
}

// lineError is a refusal in the middle of a streamed body.
type lineError struct {
	line   int64
	stored stored
	err    error
}

func (e *lineError) Error() string {
	return "line " + strconv.FormatInt(e.line, 10) + ": " + e.err.Error()
}

func (e *lineError) Unwrap() error { return e.err }

// asRefusal turns any error into one that has a row in the table.
func asRefusal(ctx context.Context, err error) *store.Error {
	var refused *store.Error
	if errors.As(err, &refused) {
		if _, known := refusals[refused.Code]; known {
			return refused
		}
	}
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		return store.Errorf(codeNotFound, "no route has this path; see /openapi.json")
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		return store.Errorf(codeMethodNotAllowed, "the path exists, but not for this method; see the Allow header")
	case ctx.Err() != nil:
		return store.Because(codeInterrupted, err, "the request ended before it was done; its outcome is unknown")
	}
	return store.Because(codeInternal, err, "the server's log says more under the request id")
}

// answerError writes the refusal, unless the answer has begun already.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		s.logger.Debug("answer cut short", "path", c.Request().URL.Path, "err", loggable(c.Request().Context(), err))
		return
	}
	s.writeProblem(c.Response(), c.Request(), err)
}

func (s *Server) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	refused := asRefusal(r.Context(), err)
	row := refusals[refused.Code]
	p := problem{
		Type: "urn:konlog:error:" + string(refused.Code), Title: row.title, Status: row.status, Code: refused.Code,
		Detail: detailOf(refused, r), Instance: r.URL.EscapedPath(), RequestID: requestID(r), Retryable: row.retryable,
	}
	p.setWant(row.want, refused.Want)
	var le *lineError
	if errors.As(err, &le) {
		p.Line, p.Stored = le.line, &le.stored
	}
	if limited, ok := asLimit(err); ok {
		p.Limit = limited.limit
		s.rates.hold(r.Context(), refused.Code)
	}
	s.metrics.refused.WithLabelValues(string(refused.Code)).Inc()
	s.logRefusal(r, row.status, p.RequestID, err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", p.RequestID)
	if row.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if row.status == http.StatusUpgradeRequired && r.ProtoMajor < 2 { // HTTP/2 knows no such header
		h.Set("Upgrade", "websocket")
	}
	switch limited, ok := asLimit(err); {
	case ok:
		h.Set("Retry-After", limited.retryAfter(row.retryAfter))
	case row.retryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(row.retryAfter))
	}
	if refused.Code == codeRequestTimeout { // the time to answer has begun with that to read, and is over too
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lingerTimeout))
	}
	w.WriteHeader(row.status)
	_, _ = w.Write(encode(p)) // a client that left is not an error
}

// detailOf is what people are told. The log does not know what a client can do
// about a session that is missing, nor by what name the path asked for it.
func detailOf(refused *store.Error, r *http.Request) string {
	if refused.Code != store.CodeNotFound {
		return refused.Detail
	}
	rest, named := strings.CutPrefix(r.URL.Path, "/v1/sessions/")
	id, _, _ := strings.Cut(rest, "/")
	if !named || store.ValidSessionID(id) != nil {
		return refused.Detail + "; the first append to a session creates it"
	}
	return "there is no session " + id + ", or this credential does not reach it; the first append by one that may write it creates it"
}

func (p *problem) setWant(member string, want int64) {
	switch member {
	case "head":
		p.Head = &want
	case "expected":
		p.Expected = &want
	case "epoch":
		p.Epoch = &want
	}
}

// logRefusal keeps for operators what clients do not see.
func (s *Server) logRefusal(r *http.Request, status int, id string, err error) {
	level := slog.LevelDebug
	switch {
	case r.Context().Err() != nil: // the client left
	case store.CodeOf(err) == codeInterrupted: // the client's body broke off
	case status == http.StatusInsufficientStorage: // the log has one line when the disk gets low, and must not fill it
	case status >= 500:
		level = slog.LevelError
	}
	s.logger.Log(r.Context(), level, "request refused", "request", id, "method", r.Method, "path", r.URL.Path, "status", status, "client", ClientAddr(r).String(), "err", loggable(r.Context(), err))
}

// requestID is the client's own when it is harmless, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	ok := id != "" && len(id) <= requestIDMax
	for i := 0; ok && i < len(id); i++ {
		ok = id[i] > 0x20 && id[i] < 0x7f && id[i] != '"' && id[i] != '\\'
	}
	if ok {
		return id
	}
	return rand.Text()
}

// encode gives the JSON of an answer. What it is given always encodes.
func encode(v any) []byte {
	if ready, ok := v.(json.RawMessage); ok { // encoding/json would encode it anew
		return append(ready, '\n')
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("api: an answer did not encode: " + err.Error()) // strings, numbers and checked JSON only
	}
	return append(b, '\n')
}
