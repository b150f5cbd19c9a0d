package store

import (
	"context"
	"slices"
	"time"
)

// Appender is the one way in.
type Appender interface {
	// Append puts the drafts at the end of the session's log, all or none of
	// them, in the given order. When it returns nil they are on disk and will
	// survive a crash and a power loss. It checks the drafts (Draft.Check) and
	// may be called by any number of goroutines at the same time; appends of
	// one caller that waits for each result keep their order.
	//
	// ctx is honoured until the request is handed to the writer; from there
	// its outcome no longer depends on the caller. Draft bytes are not kept
	// after it returns. Errors are *Error; nothing is stored with any of them
	// but CodeStorageFailed, after which the outcome is unknown until the same
	// key or sequence number is sent again.
	Append(ctx context.Context, session string, o AppendOptions, drafts ...Draft) (Appended, error)
}

// Submitter is the ability to take an append without waiting for it, so that
// one caller can have several under way.
type Submitter interface {
	// Submit is Append in two steps: it puts the drafts in their place in the
	// queue, and wait returns what Append would. What one caller submits one
	// after the other keeps that order. The bytes of the drafts must not
	// change until wait has returned, and wait must be called once.
	Submit(ctx context.Context, session string, o AppendOptions, drafts ...Draft) (wait func() (Appended, error), err error)
}

// AppendOptions are the conditions of an append.
type AppendOptions struct {
	NoCreate   bool      // refuse with ErrNotFound when the session does not exist
	ExpectHead *int64    // append only if this is the head (P15)
	Producer   *Producer // idempotence for the whole request (P14)
	Together   bool      // a draft that would decide what is decided already makes the whole request a duplicate
	Waiting    string    // append only if this turn has not begun: else ErrNoTurn
	Restore    bool      // the drafts bring their ids and times: ids must follow the head; into an empty session they may begin anywhere above it
	Stages     *Stages   // or nil; an engine that can fills it in by the time that Append returns
}

// Producer identifies one request of one producer of a session.
type Producer struct {
	ID    string // ≤ KeyBytesMax
	Epoch int64  // ≥ 0; a higher one fences off all lower ones
	Seq   int64  // 0, 1, 2 … within the epoch
}

// Check validates the producer's fields.
func (p *Producer) Check() error {
	if p.ID == "" {
		return Errorf(CodeInvalidQuery, "the producer has no id")
	}
	if err := checkLabel("producer id", p.ID, KeyBytesMax); err != nil {
		return err
	}
	if p.Epoch < 0 || p.Seq < 0 {
		return Errorf(CodeInvalidQuery, "producer epoch and seq must not be negative")
	}
	return nil
}

// Appended says where the drafts went.
type Appended struct {
	First, Last int64   // ids of the new events; of the old ones when Duplicate
	Duplicate   bool    // nothing was appended: the log held it all already
	IDs         []int64 // per draft, only when they are not First, First+1 …, or when some drafts were duplicates and some not
}

// Located is the answer for drafts that the log has under these ids. They are
// listed when First and Last do not say them.
func Located(ids []int64) Appended {
	a := Appended{First: slices.Min(ids), Last: slices.Max(ids)}
	for i, id := range ids {
		if id != a.First+int64(i) {
			a.IDs = ids
		}
	}
	return a
}

// Reader is the one way out.
type Reader interface {
	// Read returns a page of the session's events and the state it belongs
	// to, as of one moment. It never waits for events to come and has no side
	// effect. An empty page is no error. The caller must not change the
	// events. ErrNotFound when there is no such session.
	Read(ctx context.Context, session string, q Query) (Page, error)
}

// Query asks for a page, forwards from After, or backwards from Before.
type Query struct {
	After    int64 // ids above it; ignored when Backward
	Backward bool  // the newest events below Before, still in ascending order
	Before   int64 // with Backward; 0 means from the head
	Until    int64 // the last id wanted; 0 means no bound
	Fold     bool  // the page is the Fold of what it is a page of; forwards only
	Raw      bool  // with the agents' own lines, which then count against the limit; without it Event.Raw may be nil
	Limit    Limit
}

// Limit bounds a page. At least one event is returned whatever its size, so
// that a reader always gets on.
type Limit struct {
	Events int // 0 means PageEventsDefault
	Bytes  int // of encoded events, with their raw lines if asked for; 0 means PageBytesDefault
}

// The bounds of a page when none are asked for.
const (
	PageEventsDefault = 1000
	PageBytesDefault  = 1 << 20
)

// OrDefault fills in what is not set.
func (l Limit) OrDefault() Limit {
	if l.Events <= 0 {
		l.Events = PageEventsDefault
	}
	if l.Bytes <= 0 {
		l.Bytes = PageBytesDefault
	}
	return l
}

// Page is a run of events without a hole and the session they were read from,
// as of the same moment. The first id of a forward page is After+1, or Floor
// when that is higher.
//
// A folded page is the Fold of such a run, or of several that follow each other:
// its events stand for all ids from there up to the last one's, where the
// reader goes on. The limit counts folded events, as if none were left out, and
// FoldEventsMax those of the log.
type Page struct {
	Session Session
	Events  []Event
}

// Sessions is what an engine knows of sessions.
type Sessions interface {
	// Session returns one session, or ErrNotFound.
	Session(ctx context.Context, id string) (Session, error)
	// CreateSession makes an empty session. When it exists it returns it
	// with created false. After a deletion the new session has a new epoch,
	// and its ids go on where the old one's ended.
	CreateSession(ctx context.Context, id string, spec SessionSpec) (s Session, created bool, err error)
	// UpdateSession changes what the patch names.
	UpdateSession(ctx context.Context, id string, patch SessionPatch) (Session, error)
	// DeleteSession removes the session, its events, keys and producers, and
	// leaves a tombstone with its head.
	DeleteSession(ctx context.Context, id string) error
	// ListSessions returns a page, newest activity first.
	ListSessions(ctx context.Context, f SessionFilter) (SessionPage, error)
}

// SessionFilter selects sessions; empty fields select all.
type SessionFilter struct {
	Scope  string
	Tag    string
	State  string // "idle", "working" or "closed"
	Search string // part of the id or title, ASCII case folded
	Cursor string // SessionPage.Next of the page before
	Limit  int    // 0 means SessionsPageDefault; at most SessionsPageMax

	Visible Patterns // only these sessions; nil is all, empty none
}

// The bounds of a page of sessions.
const (
	SessionsPageDefault = 100
	SessionsPageMax     = 1000
)

// SessionPage is a page of sessions. Next is "" on the last one.
type SessionPage struct {
	Sessions []Session
	Next     string
}

// Log is an engine.
type Log interface {
	Appender
	Reader
	Sessions
	// Close ends the engine after the appends in flight; later calls give
	// ErrShutdown.
	Close() error
}

// Committed is called by an engine after COMMIT, once per changed session of a
// transaction: events were appended, the floor rose, or the session was
// created, changed or deleted. What it announces can be read. It is called on
// the engine's writer, one call at a time, and must not block.
type Committed func(session string, head int64)

// Retention bounds what a session keeps. Zero means no bound.
type Retention struct {
	Age    time.Duration // events older than this go
	Events int64         // more than this many per session go, oldest first
	Bytes  int64         // likewise, as Session.Bytes counts
}

// Retainer is the ability to forget: it raises floors and frees the space.
type Retainer interface {
	// Retain applies to every session its retention (Retention.For) in short
	// transactions between appends, and returns how many events went.
	Retain(ctx context.Context, r Retention, scopes ...ScopeRetention) (int64, error)
}

// Health says how an engine fares.
type Health struct {
	Writable   bool
	LastError  string // why it is not writable, for operators; "" when it is
	QueueDepth int    // requests that wait for the writer
	QueueBytes int64
	Commits    int64 // transactions since the engine was opened; appends per commit say how well they group

	Used     Used  // of all sessions and blobs; Scope is empty
	Disk     Disk  // of the data
	WALBytes int64 // of the write-ahead log that are not in the database yet, about; a reader that stays makes it grow
}

// Disk is the room of the file system that the data lies on. It is zero where
// nobody looks.
type Disk struct {
	Free, Total   int64
	Warn, Reserve int64 // the watermarks in force, in bytes; 0 is none
	Warned        bool  // Free is below Warn, or was and has not risen well above it
	Low           bool  // likewise of Reserve: appends are refused with CodeDiskLow
}

// HealthReporter is the ability to tell one's health without touching the disk.
type HealthReporter interface{ Health() Health }
