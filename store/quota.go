package store

import (
	"context"
	"fmt"
)

// Quotas bound what the log may hold. What would go beyond is refused with
// CodeQuota, and nothing of it is stored. Zero means no bound. The server's own
// sessions are not counted and never refused.
//
// Unlike retention, which makes room by forgetting, a quota stops whoever fills
// the log; what brings a turn or a session to its end fits all the same.
type Quotas struct {
	Sessions  int64 // in all
	Bytes     int64 // of events, in all, as Session.Bytes counts
	BlobBytes int64 // of blobs, in all

	SessionEvents int64 // of each session, as many as can be read
	SessionBytes  int64 // likewise

	Scopes []ScopeQuota // the first whose pattern matches a session's scope counts for it
}

// ScopeQuota is what holds for the scopes that match a pattern, for each of
// them by itself. Of its sessions it replaces what Quotas says.
type ScopeQuota struct {
	Pattern       string // * stands for any run of characters, ? for one
	Sessions      int64
	Bytes         int64
	SessionEvents int64
	SessionBytes  int64
}

// Bounds of what fits above a quota, so that what was begun can be ended: a
// turn that cannot end would be shown as working for ever (P7).
const (
	// QuotaEndBytes bounds a turn_end or session_closed that always fits. They
	// are as few as the turns that were begun within the quota.
	QuotaEndBytes = 4 << 10
	// QuotaReserveEvents and QuotaReserveBytes are kept above each quota for
	// other events that end something, and for larger ones of these two.
	QuotaReserveEvents = 1000
	QuotaReserveBytes  = 1 << 20
)

// Usage is what is used of a quota.
type Usage struct {
	Sessions int64
	Bytes    int64
}

// Used is what an operation on a session of one scope is held against.
type Used struct {
	Scope     Usage // of the session's scope
	All       Usage
	BlobBytes int64
}

// UsageReporter is the ability to tell what is used.
type UsageReporter interface {
	// Used returns what all sessions and those of the scope use, as of one moment.
	Used(ctx context.Context, scope string) (Used, error)
}

// Set reports whether there is any quota on sessions and their events.
func (q *Quotas) Set() bool {
	return q.Sessions > 0 || q.Bytes > 0 || q.SessionEvents > 0 || q.SessionBytes > 0 || len(q.Scopes) > 0
}

// For returns what holds for a scope and each of its sessions.
func (q *Quotas) For(scope string) ScopeQuota {
	for _, s := range q.Scopes {
		if globMatch(s.Pattern, scope) {
			return s
		}
	}
	return ScopeQuota{SessionEvents: q.SessionEvents, SessionBytes: q.SessionBytes}
}

// Append holds drafts that are new against the quotas of their session. created
// says that the append makes it.
func (q *Quotas) Append(s *Session, created bool, used Used, drafts []Draft) error {
	if !q.Set() || OwnSession(s.ID) || len(drafts) == 0 {
		return nil
	}
	if created {
		if err := q.Create(s.Scope, used); err != nil {
			return err
		}
	}
	n, size := int64(len(drafts)), int64(0)
	for i := range drafts {
		size += int64(drafts[i].Size())
	}
	ends, always := Endings(drafts)
	if always {
		return nil
	}
	moreEvents, moreBytes := int64(0), int64(0)
	if ends {
		moreEvents, moreBytes = QuotaReserveEvents, QuotaReserveBytes
	}
	events := s.Head - s.Floor + 1
	if created {
		events = 0
	}
	scope := q.For(s.Scope)
	for _, b := range []bound{
		{"quota.session-events", "this session", "events", events, n, scope.SessionEvents, moreEvents, "let retention take older ones, or go on in another session"},
		{"quota.session-bytes", "this session", "bytes", s.Bytes, size, scope.SessionBytes, moreBytes, "let retention take older events, or go on in another session"},
		{"quota.scopes", scopeName(s.Scope), "bytes", used.Scope.Bytes, size, scope.Bytes, moreBytes, "delete sessions of the scope, or let retention take more of them"},
		{"quota.bytes", "the server", "bytes", used.All.Bytes, size, q.Bytes, moreBytes, "delete sessions, or let retention take more of them"},
	} {
		if err := b.check(); err != nil {
			return err
		}
	}
	return nil
}

// Endings reports whether all drafts end something, and whether they are such
// that they must always be taken: the turn_end of turns that were begun and the
// session_closed of their session, small ones.
func Endings(drafts []Draft) (ends, always bool) {
	ends, always = true, true
	for i := range drafts {
		switch drafts[i].Type {
		case TypeTurnEnd, TypeSessionClosed:
			always = always && drafts[i].Size() <= QuotaEndBytes
		case TypeProcessExit, TypeTerminalExit, TypeStopTurn, TypeTaskEnd, TypePermissionResponse:
			always = false
		default:
			return false, false
		}
	}
	return ends, always
}

// Create holds a new session against the quotas.
func (q *Quotas) Create(scope string, used Used) error {
	for _, b := range []bound{
		{"quota.scopes", scopeName(scope), "sessions", used.Scope.Sessions, 1, q.For(scope).Sessions, 0, "delete some that are not needed any more"},
		{"quota.sessions", "the server", "sessions", used.All.Sessions, 1, q.Sessions, 0, "delete some that are not needed any more"},
	} {
		if err := b.check(); err != nil {
			return err
		}
	}
	return nil
}

// Fork holds a new session of so many bytes against the quotas.
func (q *Quotas) Fork(scope string, bytes int64, used Used) error {
	if err := q.Create(scope, used); err != nil {
		return err
	}
	b := bound{"quota.bytes", "the server", "bytes", used.All.Bytes, bytes, q.Bytes, 0, "delete sessions, or let retention take more of them"}
	if err := b.check(); err != nil {
		return err
	}
	return q.scopeBytes(scope, bytes, used)
}

// Move holds a session that goes into another scope against the quotas of that;
// used is of the other scope.
func (q *Quotas) Move(s *Session, scope string, used Used) error {
	b := bound{"quota.scopes", scopeName(scope), "sessions", used.Scope.Sessions, 1, q.For(scope).Sessions, 0, "delete some that are not needed any more"}
	if err := b.check(); err != nil {
		return err
	}
	return q.scopeBytes(scope, s.Bytes, used)
}

func (q *Quotas) scopeBytes(scope string, bytes int64, used Used) error {
	b := bound{"quota.scopes", scopeName(scope), "bytes", used.Scope.Bytes, bytes, q.For(scope).Bytes, 0, "delete sessions of the scope, or let retention take more of them"}
	return b.check()
}

// Blob holds a blob of so many bytes against the quota.
func (q *Quotas) Blob(used, bytes int64) error {
	b := bound{"quota.blob-bytes", "the server", "bytes of blobs", used, bytes, q.BlobBytes, 0, "blobs to which no event refers go after retention.blob-grace; delete or redact what refers to others"}
	return b.check()
}

// bound is one quota and what is to be added to what is used of it.
type bound struct {
	setting, who, what string
	used, more, max    int64
	reserve            int64
	advice             string
}

func (b *bound) check() error {
	if b.max <= 0 || b.more <= b.max+b.reserve-b.used {
		return nil
	}
	return Errorf(CodeQuota, "%s holds %d of %d %s (%s), and this would add %d: %s, or ask the operator for more", b.who, b.used, b.max, b.what, b.setting, b.more, b.advice)
}

func scopeName(scope string) string {
	if scope == "" {
		return "what has no scope"
	}
	return fmt.Sprintf("scope %q", scope)
}

// QuotaObject says how much of its quotas a session uses, as it stands on the
// wire (PROTOCOL.md 7.1). A quota that is not set is left out.
type QuotaObject struct {
	Events        *QuotaUse `json:"events,omitempty"`
	Bytes         *QuotaUse `json:"bytes,omitempty"`
	ScopeSessions *QuotaUse `json:"scopeSessions,omitempty"`
	ScopeBytes    *QuotaUse `json:"scopeBytes,omitempty"`
}

// QuotaUse is one quota and what is used of it, which may be more.
type QuotaUse struct {
	Used int64 `json:"used"`
	Max  int64 `json:"max"`
}

// Object returns how much of its quotas a session uses, or nil when it has none.
func (q *Quotas) Object(s *Session, used Used) *QuotaObject {
	scope := q.For(s.Scope)
	use := func(used, max int64) *QuotaUse {
		if max <= 0 {
			return nil
		}
		return &QuotaUse{used, max}
	}
	o := QuotaObject{
		Events: use(s.Head-s.Floor+1, scope.SessionEvents), Bytes: use(s.Bytes, scope.SessionBytes),
		ScopeSessions: use(used.Scope.Sessions, scope.Sessions), ScopeBytes: use(used.Scope.Bytes, scope.Bytes),
	}
	if OwnSession(s.ID) || o == (QuotaObject{}) {
		return nil
	}
	return &o
}
