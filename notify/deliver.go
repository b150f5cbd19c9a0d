package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/konlog/konlog/store"
)

// errRedirects ends a delivery that was answered with a redirect: the place
// that it names was not checked, nor meant by the one who set the webhook up.
var errRedirects = errors.New("redirects are not followed")

// newTransport makes connections to public addresses only, unless private ones
// are allowed. It asks no proxy: the address would then be the proxy's to
// resolve, behind the guard's back.
func newTransport(o Options) *http.Transport {
	d := &net.Dialer{Timeout: dialTimeout, Resolver: o.Resolver}
	if !o.AllowPrivate {
		d.Control = control
	}
	return &http.Transport{
		DialContext:            d.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // nobody reads the answer
		MaxIdleConns:           store.WebhooksMax,
		MaxIdleConnsPerHost:    deliveriesMax,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerBytesMax,
	}
}

// answer is what came of one request.
type answer struct {
	status     int // 0 when there was none
	retryAfter time.Duration
	err        error // nil after a 2xx
}

// post sends one signed message.
func (s *Sender) post(ctx context.Context, w *store.Webhook, id string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return answer{err: bare(err)}
	}
	at := time.Now()
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "konlog/"+s.options.Version)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp(at))
	h.Set("Webhook-Signature", sign(w.Key(), id, at, body))
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("no answer within %s", deliveryTimeout)
		}
		return answer{err: bare(err)}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, answerBytesMax) // the status has said all
	a := answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now())}
	switch {
	case a.status >= 200 && a.status <= 299:
	case a.status >= 300 && a.status <= 399:
		a.err = fmt.Errorf("status %d: %w", a.status, errRedirects)
	default:
		a.err = fmt.Errorf("status %d %s", a.status, http.StatusText(a.status))
	}
	return a
}

// bare removes the address that net/http puts before an error: it may hold the
// receiver's own secrets.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// Test sends a message of type test at once, whatever the webhook waits for,
// and returns what came of it. Nothing of it is kept.
func (s *Sender) Test(ctx context.Context, w store.Webhook) (store.WebhookOutcome, error) {
	select {
	case s.tests <- struct{}{}:
		defer func() { <-s.tests }()
	case <-ctx.Done():
		return store.WebhookOutcome{}, ctx.Err()
	case <-s.stopped:
		return store.WebhookOutcome{}, store.ErrShutdown
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-watched
	}()
	at := time.Now()
	a := s.post(ctx, &w, "msg_"+w.ID+"_test_"+rand.Text(), testBody(&w, at))
	o := store.WebhookOutcome{URL: w.URL, At: at, Status: a.status}
	if a.err != nil {
		o.Error = a.err.Error()
	}
	if a.err != nil && ctx.Err() != nil {
		return o, store.ErrShutdown // or the client left, who is not told anything
	}
	return o, nil
}

// deliver posts the event and settles what came of it. epoch is the feed's.
func (s *Sender) deliver(ctx context.Context, r *report, e *store.Event, epoch string) {
	w, at := &r.hook, time.Now()
	p, _ := placeOf(e) // the webhook wants it, so it could be read
	a := s.post(ctx, w, messageID(w.ID, epoch, e.ID), s.body(ctx, e, p))
	if a.err != nil && ctx.Err() != nil {
		r.err = ctx.Err() // we stop; whether it arrived is not known, so it is sent again
		return
	}
	o := store.WebhookOutcome{URL: w.URL, At: at, Status: a.status}
	cursor := e.ID
	if a.err == nil {
		s.delivered.Add(1)
	} else {
		s.failed.Add(1)
		cursor = s.fail(w, e, a, &o)
	}
	r.after = cursor
	s.settle(ctx, r, cursor, o)
}

// fail decides what follows a failed attempt, and returns where the cursor then
// stands.
func (s *Sender) fail(w *store.Webhook, e *store.Event, a answer, o *store.WebhookOutcome) int64 {
	now := time.Now()
	wait := max(backoff(w.Failures+1), a.retryAfter)
	o.Error, o.NextAt = a.err.Error(), now.Add(wait)
	log := s.options.Logger.With("webhook", w.ID, "feedId", e.ID, "err", a.err)
	switch {
	case a.status == http.StatusGone:
		o.Gone = true
		log.Warn("webhook paused: its receiver is gone")
	case !w.FailingSince.IsZero() && now.Sub(w.FailingSince) >= giveUpAfter && now.Sub(e.Time) >= giveUpAfter:
		o.Dropped = 1
		s.dropped.Add(1)
		log.Warn("webhook event given up", "failingSince", w.FailingSince)
		return e.ID
	case w.Failures == 0:
		log.Warn("webhook delivery failed; it is tried again", "wait", wait)
	default:
		log.Debug("webhook delivery failed again", "failures", w.Failures+1, "wait", wait)
	}
	return e.ID - 1
}

// settle keeps the outcome. It must not be lost to a stop that comes after the
// answer. When it cannot be kept the sender goes on from what it knows, and
// after a restart the event is sent once more.
func (s *Sender) settle(ctx context.Context, r *report, cursor int64, o store.WebhookOutcome) {
	kept, err := s.options.Webhooks.AdvanceWebhook(context.WithoutCancel(ctx), r.hook.ID, cursor, o)
	switch {
	case err == nil:
		r.hook = kept
	case errors.Is(err, store.ErrNoWebhook):
		r.deleted = true
	default:
		r.hook.Settle(cursor, o)
		s.options.Logger.Warn("the state of a webhook was not kept", "webhook", r.hook.ID, "err", err)
	}
}
