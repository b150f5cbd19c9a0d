package client

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of what the client takes from a server. They bound memory, not the
// protocol: all are well above what a server sends.
const (
	frameBytesMax  = 16 << 20 // one WebSocket message or SSE line
	answerBytesMax = 64 << 20 // one page: 4 MiB of events, with raw lines escaped
	problemMax     = 64 << 10 // the body of a refusal
	headerBytesMax = 64 << 10
	headerTimeout  = 10 * time.Second // connecting and the TLS handshake
)

// Client talks to one konlog server.
type Client struct {
	base   *url.URL
	http   *http.Client
	header http.Header
	retry  RetryLimits
	times  timing
	log    *slog.Logger
	own    *http.Transport // made by New, or nil
	token  *tokenKeeper    // or nil
}

// RetryLimits bound the retries of calls other than Tail, which never gives
// up. Zero fields take the defaults.
type RetryLimits struct {
	Attempts       int           // in all; RetryAttempts
	WaitMin        time.Duration // upper end of the first pause; RetryWaitMin
	WaitMax        time.Duration // upper end of the longest pause; RetryWaitMax
	AttemptTimeout time.Duration // of one attempt; RetryAttemptTimeout
}

// The defaults of RetryLimits: about a minute in all.
const (
	RetryAttempts       = 10
	RetryWaitMin        = 100 * time.Millisecond
	RetryWaitMax        = 20 * time.Second
	RetryAttemptTimeout = 60 * time.Second
)

// retryAfterMax bounds what a server may ask us to wait.
const retryAfterMax = 5 * time.Minute

func (l RetryLimits) orDefault() RetryLimits {
	if l.Attempts <= 0 {
		l.Attempts = RetryAttempts
	}
	if l.WaitMin <= 0 {
		l.WaitMin = RetryWaitMin
	}
	if l.WaitMax <= 0 {
		l.WaitMax = RetryWaitMax
	}
	if l.AttemptTimeout <= 0 {
		l.AttemptTimeout = RetryAttemptTimeout
	}
	return l
}

// Option changes a Client as it is made.
type Option func(*Client)

// WithHTTPClient replaces the HTTP client. Its Timeout is not used: it would
// cut every stream; the client has bounds of its own for each wait.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) {
		own := *h
		own.Timeout = 0
		c.http = &own
	}
}

// WithHeader adds a header to every request. For a token there is WithToken.
func WithHeader(key, value string) Option {
	return func(c *Client) { c.header.Add(key, value) }
}

// WithRetry replaces the limits of retries.
func WithRetry(l RetryLimits) Option {
	return func(c *Client) { c.retry = l.orDefault() }
}

// WithLogger sets where retries and reconnects are reported. The default is
// nowhere.
func WithLogger(l *slog.Logger) Option {
	return func(c *Client) { c.log = l }
}

// New makes a client of the server at rawURL, such as http://127.0.0.1:8787,
// or unix:/run/konlog/konlog.sock for one that listens on a Unix socket.
// A path in a URL is put before the server's own paths. New does not connect.
func New(rawURL string, opts ...Option) (*Client, error) {
	rawURL, dial := overSocket(rawURL)
	base, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("client url: %w", bare(err))
	}
	switch base.Scheme {
	case "ws":
		base.Scheme = "http"
	case "wss":
		base.Scheme = "https"
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("client url: want http://host:port or https://host, got scheme %q and host %q", base.Scheme, base.Host)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath, base.RawQuery, base.Fragment = "", "", ""
	c := &Client{
		base:   base,
		header: http.Header{},
		retry:  RetryLimits{}.orDefault(),
		times:  defaultTiming,
		log:    slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		o(c)
	}
	if c.http == nil {
		c.own = newTransport()
		if dial != nil {
			c.own.DialContext, c.own.Proxy = dial, nil
		}
		c.http = &http.Client{Transport: c.own, CheckRedirect: sameSafety}
	}
	return c, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: headerTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    headerTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    64, // as many appends at a time keep their connection
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: headerBytesMax,
	}
}

// Close drops the idle connections. Calls that run are not disturbed.
func (c *Client) Close() error {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// url makes the address of a path below the base. Segments are escaped.
func (c *Client) url(q url.Values, segments ...string) *url.URL {
	u := c.base.JoinPath(escaped(segments)...)
	u.RawQuery = q.Encode()
	return u
}

func escaped(segments []string) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		out[i] = url.PathEscape(s)
	}
	return out
}

// place is the address as errors and logs show it: no query, no credentials.
func place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).JoinPath(u.EscapedPath()).String()
}
