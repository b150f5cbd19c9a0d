package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// tokenBytesMax bounds a token: a server takes no longer ones.
const tokenBytesMax = 8 << 10

// ErrToken is matched by the error for a token that could not be had, or that
// cannot be sent.
var ErrToken = errors.New("no token for the server")

// WithToken sends the token with every request, stream and upgrade.
func WithToken(token string) Option {
	return WithTokenFunc(func(context.Context, string) (string, error) { return token, nil })
}

// WithTokenFunc is WithToken for tokens that expire. f is asked for one before
// the first request, with an empty old, and for another when the server has
// refused old or says that old is about to expire; what it returns is kept in
// between. It must end with its context, and is not called twice at a time. The
// error of f ends the call that needed the token.
func WithTokenFunc(f func(ctx context.Context, old string) (string, error)) Option {
	return func(c *Client) { c.token = &tokenKeeper{ask: f, asking: make(chan struct{}, 1)} }
}

// tokenKeeper holds the token of a client. Nothing that prints it shows one.
type tokenKeeper struct {
	ask    func(ctx context.Context, old string) (string, error)
	asking chan struct{} // capacity 1: held while ask runs; a mutex would not end with the context

	mu  sync.Mutex // guards now
	now string
}

// Format hides the token, whatever the verb.
func (k *tokenKeeper) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[token]") }

// kept returns the token that is at hand, or "".
func (k *tokenKeeper) kept() string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// get returns the token, and asks for it when there is none.
func (k *tokenKeeper) get(ctx context.Context) (string, error) {
	if now := k.kept(); now != "" {
		return now, nil
	}
	return k.renew(ctx, "")
}

// renew returns another token than old, when there is one: what another call
// has fetched since, or what ask says.
func (k *tokenKeeper) renew(ctx context.Context, old string) (string, error) {
	select {
	case k.asking <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-k.asking }()
	if now := k.kept(); now != old {
		return now, nil
	}
	token, err := k.ask(ctx, old)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	if token = strings.TrimSpace(token); !sendable(token) {
		return "", fmt.Errorf("%w: what was given is empty, too long, or no token", ErrToken)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = token
	return token, nil
}

// tokenCharacters are those of a bearer token (RFC 6750).
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// sendable reports whether the token can stand in a header.
func sendable(token string) bool {
	return token != "" && len(token) <= tokenBytesMax && strings.Trim(token, tokenCharacters) == ""
}

// authorize adds the token to the header and returns it, or "".
func (c *Client) authorize(ctx context.Context, header http.Header) (string, error) {
	if c.token == nil {
		return "", nil
	}
	token, err := c.token.get(ctx)
	if err != nil {
		return "", err
	}
	header.Set("Authorization", "Bearer "+token)
	return token, nil
}

// anotherToken reports whether a refused request may be sent once more, with
// another token than the one that it had.
func (c *Client) anotherToken(ctx context.Context, status int, had string) (bool, error) {
	if c.token == nil || had == "" || status != http.StatusUnauthorized {
		return false, nil
	}
	token, err := c.token.renew(ctx, had)
	return token != had, err
}

// sameSafety refuses a redirect that would carry the token in the clear.
func sameSafety(r *http.Request, via []*http.Request) error {
	if len(via) >= redirectsMax {
		return fmt.Errorf("more than %d redirects", redirectsMax)
	}
	if r.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return errors.New("redirected from https to http")
	}
	return nil
}

const redirectsMax = 10

// renewalsMax bounds the tokens that one transfer is tried with.
const renewalsMax = 3

// Format writes where the server is, whatever the verb, and no credential.
func (c *Client) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "konlog client of %s", place(c.base)) }
