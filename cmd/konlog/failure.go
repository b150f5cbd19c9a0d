package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitNotAllowed  = 4
	exitUnreachable = 5
)

// failure is an error with its exit code and what to do about it.
type failure struct {
	code int
	hint string // or ""
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// because adds the hint.
func (f *failure) because(format string, args ...any) *failure {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

func failf(format string, args ...any) *failure {
	return &failure{code: exitFailure, err: fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) *failure {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// hints say what to do about a refusal.
var hints = map[store.Code]string{
	store.CodeNotFound:       "konlog sessions ls shows the sessions there are",
	store.CodeExists:         "choose another id, or append to the session as it is",
	store.CodeInvalidSession: "session ids look like build-42 or user:7",
	store.CodeSessionClosed:  "a closed session takes no more events; use another session",
	store.CodeKeyConflict:    "the key stands for other content in this session; use another key or another session",
	store.CodeEventTooLarge:  "store the content elsewhere and refer to it, or raise limits.event-bytes of the server",
	store.CodeBlobTooLarge:   "make it smaller, or raise limits.blob-bytes of the server",
	store.CodeQueueFull:      "the server takes in less than is sent; try again in a moment",
	store.CodeStorageFull:    "free some space on the server's disk; it goes on by itself",
	store.CodeDiskLow:        "free some space on the server's disk, or lower disk.reserve; it goes on by itself",
	store.CodeQuota:          "konlog sessions show SESSION says what is used; konlog sessions rm makes room, quota.* of the server is what there is",
	store.CodeStorageFailed:  "see the server's log; konlog verify checks the data",
	store.CodeTurnNotFound:   "konlog turns SESSION shows the turns there are",
	store.CodeNoTurn:         "konlog turns SESSION shows its turns; one that waits is stopped by its id",
	store.CodePromptsFull:    "wait until some were worked off, or stop them: konlog turns SESSION --state queued",
	store.CodeNoQuestion:     "konlog inbox shows the questions that are open",
	store.CodeNoKontask:      "konlog kontasks shows the kontasks there are",
	store.CodeNoWebhook:      "konlog webhooks list shows the webhooks there are",
	store.CodeCorrupt:        "konlog verify says what is damaged and where",

	access.CodeUnauthorized: "give a token with --token-file FILE or in " + tokenVariable + "; konlog token create makes one where the server's data is",
	access.CodeForbidden:    "where the server's data is, konlog token check says what a token allows, and konlog token create makes another; GET /v1/me says it anywhere",
}

// explain turns any error into a failure with the right exit code and a hint.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		if f.hint == "" {
			f.hint = hints[store.CodeOf(err)]
		}
		return f
	}
	f = &failure{code: exitFailure, err: err, hint: hints[store.CodeOf(err)]}
	var status *client.StatusError
	switch {
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden),
		store.CodeOf(err) == access.CodeUnauthorized, store.CodeOf(err) == access.CodeForbidden:
		f.code = exitNotAllowed
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrTurnNotFound), errors.Is(err, store.ErrNoWebhook),
		errors.Is(err, store.ErrNoQuestion), errors.Is(err, store.ErrNoKontask), store.CodeOf(err) == store.CodeNoChoice:
		f.code = exitNotFound
	case store.CodeOf(err) == store.CodeInvalidQuery, store.CodeOf(err) == store.CodeInvalidSession, store.CodeOf(err) == store.CodeInvalidWebhook:
		f.code = exitUsage
	case unreachable(err):
		f.code, f.hint = exitUnreachable, "is the server running? start it with konlog serve, or give its address with --server"
	case isCertificate(err):
		f.hint = "the server's certificate is not known here: SSL_CERT_FILE=cert.pem makes this command take it"
	case errors.Is(err, context.Canceled):
		f.hint = "it was interrupted; what was acknowledged is kept"
	}
	return f
}

// isCertificate reports whether somebody answered whom nobody vouches for.
func isCertificate(err error) bool {
	var unknown *tls.CertificateVerificationError
	return errors.As(err, &unknown)
}

// unreachable reports whether no server answered at the address.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, context.DeadlineExceeded)
}
