package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/konlog/konlog/store"
)

// call is one request, sent as often as needed with the same bytes.
type call struct {
	op     string // for errors: "append s1"
	method string
	url    *url.URL
	header http.Header
	body   []byte
	unsure bool // an attempt ended without an answer: the change may be done
}

// do sends the request until the server has answered it for good, and decodes
// the answer into out (or nil). It returns the status.
func (c *Client) do(ctx context.Context, r *call, out any) (int, error) {
	for attempt := 0; ; attempt++ {
		status, err := c.attempt(ctx, r, out)
		if err == nil {
			return status, nil
		}
		var se *StatusError
		answered := errors.As(err, &se)
		again := !answered && !errors.Is(err, ErrToken) && (r.method != http.MethodGet || !errors.Is(err, ErrUnreadable))
		wait := jitter(attempt, c.retry.WaitMin, c.retry.WaitMax)
		if answered {
			again = transient(se.Status, store.CodeOf(err))
			wait += se.RetryAfter
		}
		r.unsure = r.unsure || answered && unsettled(se.Status, store.CodeOf(err)) || !answered && mayHaveArrived(err)
		if !again || attempt+1 >= c.retry.Attempts {
			return status, r.wrap(err)
		}
		c.log.Debug("request failed; trying again", "op", r.op, "attempt", attempt+1, "wait", wait, "err", err)
		if cause := sleep(ctx, wait); cause != nil {
			return status, r.wrap(fmt.Errorf("%w (last: %w)", cause, err))
		}
	}
}

// unsettled reports whether an answer leaves open if the change was done: a
// server error does, unless its code says that nothing was stored.
func unsettled(status int, code store.Code) bool {
	switch code {
	case store.CodeQueueFull, store.CodeStorageFull, store.CodeDiskLow, store.CodeQuota, store.CodeShutdown:
		return false
	}
	return status >= 500
}

// mayHaveArrived reports whether a request that got no answer was sent at all.
func mayHaveArrived(err error) bool {
	var op *net.OpError
	return !errors.Is(err, ErrToken) && (!errors.As(err, &op) || op.Op != "dial")
}

func (r *call) wrap(err error) error {
	if r.unsure && r.method != http.MethodGet {
		return fmt.Errorf("%s: %w: %w", r.op, ErrOutcomeUnknown, err)
	}
	return fmt.Errorf("%s: %w", r.op, err)
}

// attempt sends the request once. A *StatusError means that there was an
// answer.
func (c *Client) attempt(ctx context.Context, r *call, out any) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, &net.OpError{Op: "dial", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.retry.AttemptTimeout)
	defer cancel()
	resp, err := c.send(ctx, r.method, r.url, r.header, bytes.NewReader(r.body))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, statusError(resp, r.method, r.url)
	}
	if err := decodeBody(resp.Body, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s %s: %w", r.method, place(r.url), err)
	}
	return resp.StatusCode, nil
}

// send makes a request; the caller closes the body. When the token is refused
// it is made once more with another one, unless its body is gone by then.
func (c *Client) send(ctx context.Context, method string, u *url.URL, header http.Header, body io.Reader) (*http.Response, error) {
	resp, token, err := c.sendOnce(ctx, method, u, header, body)
	if err != nil {
		return nil, err
	}
	content, again := body.(*bytes.Reader)
	if !again && body != nil && body != http.NoBody {
		return resp, nil
	}
	if other, err := c.anotherToken(ctx, resp.StatusCode, token); err != nil || !other {
		if err != nil {
			c.log.Debug("no other token", "err", err)
		}
		return resp, nil // the refusal says more
	}
	_ = resp.Body.Close() // nobody reads it
	if content != nil {
		_, _ = content.Seek(0, io.SeekStart) // it cannot fail
	}
	resp, _, err = c.sendOnce(ctx, method, u, header, body)
	return resp, err
}

// sendOnce returns the token that it sent, too.
func (c *Client) sendOnce(ctx context.Context, method string, u *url.URL, header http.Header, body io.Reader) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, "", fmt.Errorf("%s %s: %w", method, place(u), bare(err))
	}
	if blob, ok := body.(*sentBlob); ok {
		req.ContentLength = blob.size
	}
	for k, v := range c.header {
		req.Header[k] = append([]string(nil), v...)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	token, err := c.authorize(ctx, req.Header)
	if err != nil {
		return nil, "", fmt.Errorf("%s %s: %w", method, place(u), err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("%s %s: %w", method, place(u), bare(err))
	}
	return resp, token, nil
}

func decodeBody(r io.Reader, out any) error {
	b, err := io.ReadAll(io.LimitReader(r, answerBytesMax+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(b) > answerBytesMax {
		return fmt.Errorf("answer over the limit of %d bytes: %w", answerBytesMax, ErrUnreadable)
	}
	if out == nil {
		return nil
	}
	err = json.Unmarshal(b, out)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= int64(len(b)) {
		return fmt.Errorf("decode answer: %w", io.ErrUnexpectedEOF) // cut on its way, by what does not count bytes
	}
	if err != nil {
		return fmt.Errorf("decode answer: %w: %w", ErrUnreadable, err)
	}
	return nil
}

// jitter is the pause before retry number attempt (from 0): anything up to a
// bound that doubles from min to max. The whole range is drawn from, so that
// clients that failed together do not come back together.
func jitter(attempt int, min, max time.Duration) time.Duration {
	bound := max
	if attempt < 30 && min<<attempt < max {
		bound = min << attempt
	}
	return rand.N(bound + 1)
}

// sleep waits for d, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
