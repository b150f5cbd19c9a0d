package store

import (
	"errors"
	"fmt"
)

// Code names a refusal. Codes are stable: they stand on the wire, and clients
// decide by them.
type Code string

// The refusals that an engine or the checks of this package give. What each
// means to a client is in docs/PROTOCOL.md.
const (
	CodeInvalidSession Code = "invalid_session"
	CodeInvalidJSON    Code = "invalid_json"
	CodeInvalidUTF8    Code = "invalid_utf8"
	CodeInvalidType    Code = "invalid_type"
	CodeReservedType   Code = "reserved_type"
	CodeInvalidEvent   Code = "invalid_event"
	CodeInvalidQuery   Code = "invalid_query"
	CodeEventTooLarge  Code = "event_too_large"
	CodeBatchTooLarge  Code = "batch_too_large"
	CodeNotFound       Code = "session_not_found"
	CodeExists         Code = "session_exists"
	CodeSessionClosed  Code = "session_closed"
	CodeKeyConflict    Code = "key_conflict"
	CodeProducerGap    Code = "producer_gap"
	CodeProducerFenced Code = "producer_fenced"
	CodeHeadMoved      Code = "head_moved"
	CodeRestoreGap     Code = "restore_gap"
	CodeTurnOpen       Code = "turn_open"
	CodeTurnEnded      Code = "turn_ended"
	CodeNoTurn         Code = "no_turn"
	CodeTurnNotFound   Code = "turn_not_found"
	CodePromptsFull    Code = "too_many_prompts"
	CodeAnswered       Code = "question_answered"
	CodeNoQuestion     Code = "question_not_found"
	CodeNoKontask      Code = "kontask_not_found"
	CodeKontaskMoved   Code = "kontask_elsewhere"
	CodeNoChoice       Code = "choice_not_found"
	CodeNoWebhook      Code = "webhook_not_found"
	CodeWebhooksFull   Code = "too_many_webhooks"
	CodeInvalidWebhook Code = "invalid_webhook"
	CodeWebhookURL     Code = "webhook_url_refused"
	CodeBlobNotFound   Code = "blob_not_found"
	CodeBlobTooLarge   Code = "blob_too_large"
	CodeDigestMismatch Code = "digest_mismatch"
	CodeQueueFull      Code = "queue_full"
	CodeStorageFull    Code = "storage_full"
	CodeDiskLow        Code = "disk_low"
	CodeQuota          Code = "quota_exceeded"
	CodeStorageFailed  Code = "storage_failed"
	CodeCorrupt        Code = "corrupt"
	CodeShutdown       Code = "shutting_down"
)

// Error is a refusal that a caller can act on.
type Error struct {
	Code   Code
	Detail string // for people; says what to do
	Want   int64  // the expected seq (producer_gap), the epoch in force (producer_fenced), the head (head_moved, restore_gap)
	err    error  // the cause, or nil; never shown to a client
}

// Errorf makes an Error. A %w in the format keeps its cause for errors.Is.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: err.Error(), err: errors.Unwrap(err)}
}

// Because makes an Error whose cause is kept for the log but not for clients.
func Because(code Code, cause error, detail string) *Error {
	return &Error{Code: code, Detail: detail, err: cause}
}

func (e *Error) Error() string {
	if e.err != nil && e.Detail != e.err.Error() {
		return string(e.Code) + ": " + e.Detail + ": " + e.err.Error()
	}
	return string(e.Code) + ": " + e.Detail
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.err }

// Is makes errors.Is compare codes, so that the sentinels below match any
// error of their code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Sentinels for errors.Is.
var (
	ErrNotFound       = &Error{Code: CodeNotFound, Detail: "no such session"}
	ErrExists         = &Error{Code: CodeExists, Detail: "the session exists already"}
	ErrSessionClosed  = &Error{Code: CodeSessionClosed, Detail: "the session is closed: it takes no more events"}
	ErrKeyConflict    = &Error{Code: CodeKeyConflict, Detail: "the key was used with another body"}
	ErrProducerGap    = &Error{Code: CodeProducerGap, Detail: "a sequence number is missing"}
	ErrProducerFenced = &Error{Code: CodeProducerFenced, Detail: "a newer epoch of this producer exists"}
	ErrHeadMoved      = &Error{Code: CodeHeadMoved, Detail: "the session has moved on"}
	ErrRestoreGap     = &Error{Code: CodeRestoreGap, Detail: "restored ids must follow the head"}
	ErrNoTurn         = &Error{Code: CodeNoTurn, Detail: "the turn does not wait, or not any more"}
	ErrTurnNotFound   = &Error{Code: CodeTurnNotFound, Detail: "no such turn in this session"}
	ErrNoQuestion     = &Error{Code: CodeNoQuestion, Detail: "no question with this requestId was asked in this session"}
	ErrNoKontask      = &Error{Code: CodeNoKontask, Detail: "no such kontask"}
	ErrNoWebhook      = &Error{Code: CodeNoWebhook, Detail: "no such webhook"}
	ErrQueueFull      = &Error{Code: CodeQueueFull, Detail: "the append queue is full; try again"}
	ErrStorageFull    = &Error{Code: CodeStorageFull, Detail: "the disk is full or read-only; reads go on, appends resume when there is space"}
	ErrStorageFailed  = &Error{Code: CodeStorageFailed, Detail: "the disk reported an error; retry with the same key or sequence number"}
	ErrCorrupt        = &Error{Code: CodeCorrupt, Detail: "stored data is damaged; run konlog verify"}
	ErrShutdown       = &Error{Code: CodeShutdown, Detail: "the server is shutting down; try again"}
)

// CodeOf returns the code of err, or "" when it is not a refusal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// AtEvent names the draft that a refusal of a request of n drafts is about.
func AtEvent(err error, i, n int) error {
	if n == 1 {
		return err
	}
	return prefix(err, "event %d: ", i)
}

// prefix adds a place ("event 3: ") to the detail of a refusal.
func prefix(err error, format string, args ...any) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Detail = fmt.Sprintf(format, args...) + e.Detail
	return &c
}
