package notify

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Limits of sending. Each bounds what a receiver, or a feed, can make the
// server hold, read or wait for.
const (
	deliveriesMax   = 32               // under way at a time, over all webhooks; a receiver that hangs holds one for deliveryTimeout
	testsMax        = 4                // likewise, that clients ask for
	deliveryTimeout = 15 * time.Second // for all of one attempt; the lower end of what the specification asks for
	dialTimeout     = 5 * time.Second  // of that, for the connection and for TLS, each
	answerBytesMax  = 16 << 10         // of an answer's body, which is read only to use the connection again
	headerBytesMax  = 32 << 10         // of an answer's header
	idleTimeout     = 90 * time.Second // of a connection that is kept

	eventBytesMax = 64 << 10 // of the event in a body; a larger one is left to be read. Receivers often take no more than 100 KiB

	feedPageEvents = 64        // of one read of the feed for one webhook
	feedPageBytes  = 256 << 10 // likewise
	scanPagesMax   = 16        // read without finding anything before others get their turn

	retryMin      = time.Second    // before the second attempt, and doubled for each further one
	retryMax      = time.Hour      // up to this
	retryAfterMax = 24 * time.Hour // that a receiver can ask for
	giveUpAfter   = 72 * time.Hour // of failures, an event of that age is dropped: a long weekend is survived

	storeRetry  = 5 * time.Second // after the store could not be read
	cursorEvery = time.Minute     // how often a cursor is kept that moves over events nobody asked for
)

// backoff is the pause after so many failures in a row, from 1 on. Half of it
// is drawn, so that receivers that broke together are not called together.
func backoff(failures int64) time.Duration {
	bound := retryMax
	if n := failures - 1; n < 12 && retryMin<<n < retryMax {
		bound = retryMin << n
	}
	return bound/2 + rand.N(bound/2+1)
}

// retryAfter reads what a receiver asks us to wait: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), retryAfterMax)
}
