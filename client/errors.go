package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

// ErrOutcomeUnknown is matched by the error of an append (or another change)
// that may or may not have been done: the connection broke before the answer,
// and so did all retries. Sending the same keys, or the same drafts on the same
// Producer, finds out.
var ErrOutcomeUnknown = errors.New("the outcome is unknown")

// ErrUnreadable is matched by the error for an answer of the server that came
// whole and is over the size limit, or not what this protocol says.
var ErrUnreadable = errors.New("the server's answer cannot be read")

// StatusError is an answer of the server, or of something on the way to it,
// that is not a success. It unwraps to the server's own *store.Error when
// there is one.
type StatusError struct {
	Method     string
	URL        string // without query and credentials
	Status     int
	RetryAfter time.Duration // what the server asked us to wait, or 0
	Line       int           // of a streamed body, from 1, which the server refused; or 0

	refusal  *store.Error // or nil
	hopeless bool         // the server says that the same request will not succeed later
}

func (e *StatusError) Error() string {
	at := e.Method + " " + e.URL
	if e.refusal != nil {
		return fmt.Sprintf("%s: %v", at, e.refusal)
	}
	return fmt.Sprintf("%s: status %d %s", at, e.Status, http.StatusText(e.Status))
}

// Unwrap returns the server's refusal, or nil.
func (e *StatusError) Unwrap() error {
	if e.refusal == nil {
		return nil
	}
	return e.refusal
}

// problem is the part of an application/problem+json answer that we use.
type problem struct {
	Code     string          `json:"code"`
	Retry    *bool           `json:"retryable"`
	Title    string          `json:"title"`
	Detail   string          `json:"detail"`
	Expected json.RawMessage `json:"expected"` // the seq, of producer_gap
	Line     int             `json:"line"`     // of a streamed body
	Head     json.RawMessage `json:"head"`     // of head_moved and restore_gap
	Epoch    json.RawMessage `json:"epoch"`    // of producer_fenced
}

// decode takes what we use of a problem. When b is none it changes nothing.
func (e *StatusError) decode(b []byte) {
	var p problem
	if json.Unmarshal(b, &p) != nil || p.Code == "" {
		return
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	refusal := &store.Error{Code: store.Code(p.Code), Detail: p.Detail}
	for _, v := range []json.RawMessage{p.Expected, p.Head, p.Epoch} {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			refusal.Want = n
			break
		}
	}
	e.refusal, e.Line, e.hopeless = refusal, p.Line, p.Retry != nil && !*p.Retry
}

// statusError reads the refusal in resp. It does not close the body.
func statusError(resp *http.Response, method string, u *url.URL) *StatusError {
	e := &StatusError{Method: method, URL: place(u), Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if resp.Body == nil {
		return e
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "application/problem+json" {
		b, err := io.ReadAll(io.LimitReader(resp.Body, problemMax))
		if err == nil {
			e.decode(b)
		}
	}
	return e
}

// retryAfter reads seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	d := time.Duration(0)
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), retryAfterMax)
}

// bare removes the address that net/http and net/url put before an error:
// it holds the query, and perhaps credentials.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// transient reports whether the same request may do better later, by status.
func transient(status int, code store.Code) bool {
	if code == store.CodeQuota { // until somebody makes room
		return false
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		return true
	}
	return code == store.CodeStorageFailed // the contract of the code: send the same again
}
