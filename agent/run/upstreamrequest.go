package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	eventStream = "text/event-stream"
	// upstreamExcerptMax bounds what an error tells of an answer, in bytes.
	upstreamExcerptMax = 300
	// secretMin is the shortest text that is taken for a secret: what is
	// shorter is found in harmless words.
	secretMin = 6
)

// upstreamImage is a picture of a prompt.
type upstreamImage struct {
	ContentType string `json:"contentType"`
	Data        []byte `json:"data"` // base64
}

// upstreamPrompt is the body of the POST that begins a turn.
type upstreamPrompt struct {
	Prompt    string          `json:"prompt"`
	RequestID string          `json:"requestId"`
	SessionID string          `json:"sessionId"`
	Resume    string          `json:"resume,omitempty"`
	Images    []upstreamImage `json:"images,omitempty"`
}

func promptBody(t UpstreamTurn) ([]byte, error) {
	p := upstreamPrompt{Prompt: t.Text, RequestID: t.ID, SessionID: t.Session, Resume: t.Resume}
	for _, i := range t.Images {
		p.Images = append(p.Images, upstreamImage{ContentType: i.ContentType, Data: i.Content})
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("prompt for the upstream: %w", err)
	}
	return b, nil
}

// send sends one request and returns the head of its answer. The context ends
// the answer's body too. Errors do not tell the URL's query, nor any header.
func (u *Upstream) send(ctx context.Context, method string, at *url.URL, body []byte, turn, lastID string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, u.hide(err)
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for name, values := range u.header {
		r.Header[name] = values
	}
	// Each request has a connection of its own: on one that was idle nobody can
	// tell whether the upstream had a prompt before it closed.
	r.Close = true
	r.Header.Set("Accept", eventStream)
	r.Header.Set("Cache-Control", "no-store")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if turn != "" && headerSafe(turn) {
		r.Header.Set("X-Request-Id", turn)
	}
	if lastID != "" && headerSafe(lastID) {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := u.client.Do(r)
	if err != nil {
		return nil, u.hide(err)
	}
	return answer, nil
}

// headerSafe reports whether a header can hold the text: ids are others' words.
func headerSafe(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
}

// checkRedirect keeps the headers, the prompt and the stream at one origin.
func (u *Upstream) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > upstreamHopsMax {
		return fmt.Errorf("more than %d redirects", upstreamHopsMax)
	}
	if !sameOrigin(r.URL, u.url) {
		return errOrigin
	}
	return nil
}

// errOrigin says that an upstream sent its caller elsewhere.
var errOrigin = errors.New("the upstream names a stream of another origin, which would be sent its headers")

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// streamURL is where an answer that is no stream says that it is: in Location,
// or as {"url":…}. nil when it says nothing.
func (u *Upstream) streamURL(answer *http.Response) (*url.URL, error) {
	at := answer.Header.Get("Location")
	if at == "" {
		var body struct {
			URL string `json:"url"`
		}
		b := head(answer)
		if json.Unmarshal(b, &body) != nil || body.URL == "" {
			return nil, u.refusal(answer, b)
		}
		at = body.URL
	}
	stream, err := answer.Request.URL.Parse(at)
	if err != nil {
		return nil, errors.New("the upstream names a stream by what is no URL")
	}
	if !sameOrigin(stream, u.url) {
		return nil, errOrigin
	}
	stream.User = u.url.User
	return stream, nil
}

func isStream(answer *http.Response) bool {
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return err == nil && kind == eventStream
}

// statusError is an answer that is none of those that were hoped for.
type statusError struct {
	status  int
	text    string
	excerpt string
	wait    time.Duration // Retry-After, or 0
}

func (e *statusError) Error() string {
	if e.excerpt == "" {
		return "the upstream answered " + e.text
	}
	return "the upstream answered " + e.text + ": " + e.excerpt
}

// gone reports whether there is no such stream.
func (e *statusError) gone() bool {
	return e.status == http.StatusNotFound || e.status == http.StatusGone || e.status == http.StatusMethodNotAllowed
}

// passing reports whether another try may have another answer.
func (e *statusError) passing() bool {
	return e.status/100 == 5 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status == http.StatusTooEarly
}

// unrun reports whether the answer says that the prompt is not run. A gateway
// that gave up waiting does not know.
func (e *statusError) unrun() bool {
	return e.passing() && e.status != http.StatusBadGateway && e.status != http.StatusGatewayTimeout && e.status != http.StatusRequestTimeout
}

// head is the beginning of an answer's body.
func head(answer *http.Response) []byte {
	b, _ := io.ReadAll(io.LimitReader(answer.Body, upstreamAnswerMax)) // what there is of it
	return b
}

func (u *Upstream) statusError(answer *http.Response) *statusError {
	return u.refusal(answer, head(answer))
}

// refusal is the error that an answer with this body stands for.
func (u *Upstream) refusal(answer *http.Response, b []byte) *statusError {
	e := &statusError{status: answer.StatusCode, text: strconv.Itoa(answer.StatusCode)}
	if name := http.StatusText(answer.StatusCode); name != "" {
		e.text += " " + name
	}
	if answer.StatusCode/100 == 2 {
		e.text += " with what is no event stream"
		if kind := answer.Header.Get("Content-Type"); kind != "" {
			e.text += " (" + u.excerpt([]byte(kind)) + ")"
		}
	}
	e.excerpt = u.excerpt(b)
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		e.wait = time.Duration(min(s, int(u.waits.retryMax/time.Second))) * time.Second
	}
	return e
}

// excerpt is the first bytes of somebody's text, as one line without secrets.
func (u *Upstream) excerpt(text []byte) string {
	s := strings.ToValidUTF8(u.secrets.Replace(string(text)), "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(s) > upstreamExcerptMax {
		s = strings.ToValidUTF8(s[:upstreamExcerptMax], "") + " …"
	}
	return s
}

// hide takes the URL out of an error of a request: its query may be a secret.
func (u *Upstream) hide(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if text := u.secrets.Replace(err.Error()); text != err.Error() {
		return hiddenError{text: text, err: err}
	}
	return err
}

// hiddenError is an error whose text held a secret.
type hiddenError struct {
	text string
	err  error
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.err }

// secretsOf finds what a request carries that nobody else may see: an upstream
// may say it again in its answers.
func secretsOf(at, stop *url.URL, header http.Header) *strings.Replacer {
	var all []string
	for _, values := range header {
		for _, v := range values {
			all = append(all, v)
			if _, token, ok := strings.Cut(v, " "); ok { // Bearer …
				all = append(all, token)
			}
		}
	}
	for _, u := range []*url.URL{at, stop} {
		if u == nil {
			continue
		}
		if password, ok := u.User.Password(); ok {
			all = append(all, password)
		}
		all = append(all, u.RawQuery)
		for _, values := range u.Query() {
			all = append(all, values...)
		}
	}
	var pairs []string
	for _, secret := range all {
		if len(secret) >= secretMin {
			pairs = append(pairs, secret, "[redacted:header]")
		}
	}
	return strings.NewReplacer(pairs...)
}
