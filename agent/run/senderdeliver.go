package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
)

// delivery gives requests to the log one after the other, with the Producer's
// care: what may have been stored is settled before anything else is sent.
type delivery struct {
	c        *SenderConfig
	log      *slog.Logger
	producer Producer // of the epoch, or nil before the first request
	epoch    int64
	known    bool          // something of this epoch was acknowledged
	unsure   bool          // something of this epoch may have been stored
	raised   bool          // the epoch was raised over one that fenced it
	doubted  bool          // the epoch was raised because another producer may have it
	held     []store.Draft // a request whose outcome is not known, or nil
	outage   time.Time     // since when nothing gets through; zero when it does
	beyond   atomic.Bool   // a quota of the log is used up
	// refresh keeps alive what the drafts refer to, before each further try.
	refresh func(ctx context.Context) error
}

// What a refusal is about.
type verdict int

const (
	taken   verdict = iota
	later           // nothing was stored; the same may succeed later
	unknown         // as later, but it may have been stored
	refused         // the drafts, whenever they are sent
	fatal           // whatever is sent
	fenced
	gap
)

// refusedCodes are the refusals that are about what was sent. Any code that is
// not known here may pass: a log that cannot be understood today may be
// mended, and the spool keeps what it has.
var refusedCodes = []store.Code{
	store.CodeEventTooLarge, store.CodeBatchTooLarge, codeRequestTooLarge, store.CodeTurnOpen, store.CodeTurnEnded, store.CodeNoTurn,
	store.CodeAnswered, store.CodeNoQuestion, store.CodeKeyConflict, store.CodeInvalidJSON, store.CodeInvalidUTF8,
	store.CodeInvalidType, store.CodeReservedType, store.CodeInvalidEvent, store.CodePromptsFull, store.CodeNoKontask,
	store.CodeKontaskMoved, store.CodeNoChoice,
}

// Codes of a server that an engine does not have (PROTOCOL.md section 10).
const (
	codeRequestTooLarge store.Code = "request_too_large"
	codeInternal        store.Code = "internal"
	codeInterrupted     store.Code = "interrupted"
)

func judge(err error) verdict {
	code := store.CodeOf(err)
	switch code {
	case "", store.CodeStorageFailed, codeInternal, codeInterrupted:
		if err == nil {
			return taken
		}
		return unknown
	case store.CodeProducerFenced:
		return fenced
	case store.CodeProducerGap:
		return gap
	case store.CodeSessionClosed, store.CodeNotFound, store.CodeInvalidSession, store.CodeInvalidQuery:
		return fatal
	}
	if slices.Contains(refusedCodes, code) {
		return refused
	}
	return later
}

// refuses reports whether the error of deliver is about the drafts.
func refuses(err error) bool { return judge(err) == refused }

// deliver appends the drafts as one request. It returns nil, a refusal of the
// drafts, an error that ends the Sender, or that of ctx.
func (l *delivery) deliver(ctx context.Context, drafts []store.Draft) (store.Appended, error) {
	if l.held != nil {
		held := l.held
		l.held = nil
		// However it ends, it is settled then: what was in it and is not in the
		// log is still in the spool.
		if _, err := l.append(ctx, held); err != nil && !refuses(err) {
			return store.Appended{}, err
		}
	}
	return l.append(ctx, drafts)
}

func (l *delivery) append(ctx context.Context, drafts []store.Draft) (store.Appended, error) {
	for try := 0; ; try++ {
		if l.producer == nil {
			l.producer = l.c.Log.Producer(l.c.Session, l.c.Producer, l.epoch)
			l.known, l.unsure = false, false
		}
		a, err := l.producer.Append(ctx, slices.Clone(drafts)...)
		v := judge(err)
		switch {
		case v == taken && a.Duplicate && !l.known && !l.doubted:
			// What the log has may be the first request of another producer of
			// this epoch. Under a higher one only our keys make a duplicate.
			l.doubted, l.producer, l.epoch = true, nil, l.epoch+1
			continue
		case v == taken:
			l.known = true
			l.over()
			return a, nil
		case v == refused:
			l.over()
			return a, err
		case v == fenced && !l.known && !l.unsure && !l.raised:
			// Clocks differ between machines: who begins now is the newest. Who is
			// fenced after that has been overtaken.
			l.raised, l.producer, l.epoch = true, nil, max(l.epoch, want(err))+1
			continue
		case v == fenced:
			return a, fmt.Errorf("%w: %w", ErrFenced, err)
		case v == gap: // the log lost what it knew of this producer, as when it was restored
			l.producer, l.epoch = nil, l.epoch+1
			continue
		case v == fatal:
			return a, err
		}
		l.unsure = l.unsure || v == unknown
		err = l.pause(ctx, try, err)
		if err == nil {
			err = l.refresh(ctx)
		}
		if err != nil {
			l.held = drafts
			return a, err
		}
	}
}

// want is the epoch that a refusal names.
func want(err error) int64 {
	var refusal *store.Error
	if errors.As(err, &refusal) {
		return refusal.Want
	}
	return 0
}

// pause waits before the next try of what failed with cause, or returns why ctx
// ended. An outage is told once, and once when it is over.
func (l *delivery) pause(ctx context.Context, try int, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.beyond.Store(store.CodeOf(cause) == store.CodeQuota)
	if l.outage.IsZero() {
		l.outage = time.Now()
		n, bytes := l.c.Spool.Len()
		l.log.Warn("the log takes nothing for now; it is tried again and again, and the agent goes on", "events", n, "bytes", bytes, "err", cause)
	}
	bound := sendWaitMax
	if try < 10 && sendWaitMin<<try < sendWaitMax {
		bound = sendWaitMin << try
	}
	t := time.NewTimer(bound/2 + rand.N(bound/2+1)) // so that many runners do not come back at once
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// over ends an outage.
func (l *delivery) over() {
	l.beyond.Store(false)
	if l.outage.IsZero() {
		return
	}
	n, bytes := l.c.Spool.Len()
	l.log.Info("the log takes events again", "after", time.Since(l.outage).Round(time.Millisecond), "events", n, "bytes", bytes)
	l.outage = time.Time{}
}

// putBlob stores content that is too large for an event. Only a refusal of its
// size is returned; anything else is tried again until ctx ends.
func (l *delivery) putBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	for try := 0; ; try++ {
		b, err := l.c.Log.PutBlob(ctx, contentType, content)
		if err == nil || store.CodeOf(err) == store.CodeBlobTooLarge {
			l.over()
			return b, err
		}
		if err := l.pause(ctx, try, err); err != nil {
			return b, err
		}
	}
}
