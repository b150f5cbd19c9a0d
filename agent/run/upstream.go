package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// AgentSSE is the agent that is no process but an Upstream.
const AgentSSE = "sse"

// The limits of an Upstream.
const (
	// upstreamEventMax bounds a line, and an event's data together: as large as
	// what the log keeps in one piece.
	upstreamEventMax = store.BlobBytesDefault
	// upstreamAnswerMax bounds what is read of an answer that is no stream.
	upstreamAnswerMax = 64 << 10
	// upstreamIDsMax bounds the ids of a turn that are told from repeated ones,
	// the newest of them, and the events without ids since the last one.
	upstreamIDsMax = 10_000
	// upstreamPostsMax is how often a prompt is posted when the answer says
	// that it is not run.
	upstreamPostsMax = 5
	upstreamHopsMax  = 5 // redirects of one request
)

// upstreamWaits are the times of an Upstream.
type upstreamWaits struct {
	answer      time.Duration // for the head of an answer: agents may think first
	quiet       time.Duration // of a stream with ids, before it is opened anew
	silence     time.Duration // of a stream without ids, before the turn is given up
	unreachable time.Duration // how long nothing comes of any try, before the turn is given up
	retryMin    time.Duration // before a try after a failed one; doubles
	retryMax    time.Duration
	steady      time.Duration // a connection that held so long was one
	linger      time.Duration // for what comes after the line that ends the turn
	stop        time.Duration // for the answer to a stop
}

// upstreamWaitsDefault: agents are silent for minutes and say nothing of it.
var upstreamWaitsDefault = upstreamWaits{
	answer: 2 * time.Minute, quiet: 2 * time.Minute, silence: time.Hour, unreachable: 2 * time.Minute,
	retryMin: 250 * time.Millisecond, retryMax: 15 * time.Second, steady: 5 * time.Second,
	linger: 300 * time.Millisecond, stop: 10 * time.Second,
}

// UpstreamConfig says where an agent is that answers over HTTP.
type UpstreamConfig struct {
	URL    string
	Header http.Header // of every request: Authorization and the like
	Format string      // of the events' data, one of agent.Formats; "" is lines
	// StopURL is told when a turn is to stop; {requestId} in it stands for the
	// turn. It has the origin of URL. Without it closing the stream says so.
	StopURL    string
	StopMethod string       // POST, which is the default, or DELETE
	Client     *http.Client // nil is one of its own; its Timeout does not count
}

// Upstream is an agent that answers a POST with a stream of server-sent events,
// one stream per turn. Safe for concurrent use.
type Upstream struct {
	url, stop  *url.URL // stop is nil when there is none
	stopMethod string
	header     http.Header
	format     string
	client     *http.Client
	waits      upstreamWaits
	eventMax   int
	secrets    *strings.Replacer
}

// UpstreamTurn is a turn that an upstream runs.
type UpstreamTurn struct {
	ID      string
	Session string
	Text    string
	Images  []Image
	Resume  string // the agent's own id of the conversation, or ""
	// LastEventID goes on with the stream of a turn that was posted before,
	// after this event: nothing is posted again.
	LastEventID string
}

// UpstreamLine is what one event of a stream says.
type UpstreamLine struct {
	ID    string // the upstream's, of this event alone; "" when it has none
	Key   string // of the event in its session, made from ID and the turn; or ""
	Event string // the event's name, or ""
	Data  []byte // valid until the function that is given it returns
}

// NewUpstream checks the configuration. Nothing is asked of the upstream.
func NewUpstream(c UpstreamConfig) (*Upstream, error) {
	u := &Upstream{header: c.Header.Clone(), format: c.Format, stopMethod: c.StopMethod, waits: upstreamWaitsDefault, eventMax: upstreamEventMax}
	var err error
	if u.url, err = parseUpstream(c.URL); err != nil {
		return nil, err
	}
	if u.format == "" {
		u.format = agent.FormatLines
	}
	if !agent.Known(u.format) {
		return nil, fmt.Errorf("upstream: no format is called %q; there are %s", u.format, strings.Join(agent.Formats(), ", "))
	}
	if u.stopMethod == "" {
		u.stopMethod = http.MethodPost
	}
	if u.stopMethod != http.MethodPost && u.stopMethod != http.MethodDelete {
		return nil, fmt.Errorf("upstream: a stop is said by %s or %s, not by %q", http.MethodPost, http.MethodDelete, u.stopMethod)
	}
	if c.StopURL != "" {
		if u.stop, err = parseUpstream(c.StopURL); err != nil {
			return nil, fmt.Errorf("stop: %w", err)
		}
		if !sameOrigin(u.stop, u.url) {
			return nil, errors.New("upstream: the stop URL has another origin than the URL, and would be sent its headers")
		}
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	client.Timeout = 0 // it would end every long stream
	client.CheckRedirect = u.checkRedirect
	u.client = &client
	u.secrets = secretsOf(u.url, u.stop, u.header)
	return u, nil
}

// parseUpstream keeps the text of a URL, which may hold a secret, out of errors.
func parseUpstream(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("upstream: the URL must be like https://host/path")
	}
	u.Fragment = ""
	return u, nil
}

// Format is that of the events' data.
func (u *Upstream) Format() string { return u.format }

// turnMark stands for the turn in a stop URL.
const turnMark = "{requestId}"

// Stop tells the upstream that a turn is to stop, if it has a URL for that. An
// upstream that no longer runs the turn has nothing against it.
func (u *Upstream) Stop(ctx context.Context, turn string) error {
	if u.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, u.waits.stop)
	defer cancel()
	at := *u.stop
	at.Path = strings.ReplaceAll(u.stop.Path, turnMark, turn)
	at.RawPath = strings.ReplaceAll(u.stop.EscapedPath(), url.PathEscape(turnMark), url.PathEscape(turn))
	at.RawQuery = strings.ReplaceAll(at.RawQuery, turnMark, url.QueryEscape(turn))
	var body []byte
	if u.stopMethod == http.MethodPost {
		body = mustJSON(map[string]any{"requestId": turn})
	}
	answer, err := u.send(ctx, u.stopMethod, &at, body, turn, "")
	if err != nil {
		return fmt.Errorf("stop the upstream: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusConflict, http.StatusGone:
		return nil
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("stop the upstream: %w", u.statusError(answer))
	}
	return nil
}

// upstreamDriver is the Driver of an Upstream, for which no process is started.
type upstreamDriver struct{ onePrompt }

var _ Driver = upstreamDriver{}

// Launch implements Driver.
func (upstreamDriver) Launch(s Start) (Launch, error) {
	if len(s.Command) > 0 {
		return Launch{}, errors.New("the agent sse runs no command: give the URL of the upstream alone")
	}
	return Launch{OnePrompt: true}, nil
}
