package api

import (
	"context"
	"fmt"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// withQuota adds how much of its quotas a session uses.
func (s *Server) withQuota(ctx context.Context, shown any, session *store.Session) (any, error) {
	reporter, ok := s.log.(store.UsageReporter)
	o, whole := shown.(store.SessionObject)
	if !ok || !whole || !s.cfg.Quotas.Set() {
		return shown, nil
	}
	used, err := reporter.Used(ctx, session.Scope)
	if err != nil {
		return nil, fmt.Errorf("usage of %s: %w", session.ID, err)
	}
	o.Quota = s.cfg.Quotas.Object(session, used)
	if g := grantOf(ctx); o.Quota != nil && !g.Admin && !g.Metrics && !g.Read.All() {
		o.Quota.ScopeSessions, o.Quota.ScopeBytes = nil, nil // they count the sessions of others too
	}
	return o, nil
}

// mayKeep refuses a session's own retention that keeps more than the operator
// gives its scope, unless it is the operator who asks.
func (s *Server) mayKeep(ctx context.Context, spec *store.SessionSpec) error {
	given := s.cfg.Retention.ForScope(spec.Scope, s.cfg.RetentionScopes)
	if access.Of(ctx).Grant().Admin || !spec.Retention.Beyond(given) {
		return nil
	}
	return store.Because(access.CodeForbidden, access.ErrForbidden, "a session may keep less than the server's retention; only an admin's credential lets it keep more")
}

// mayPatch holds a patch against the retention of the scope that the session
// has afterwards.
func (s *Server) mayPatch(ctx context.Context, id string, patch *store.SessionPatch) error {
	if patch.Retention == nil && patch.Scope == nil || access.Of(ctx).Grant().Admin {
		return nil
	}
	session, err := s.log.Session(ctx, id)
	if err != nil {
		return at("update session", id, err)
	}
	spec, err := patch.Apply(session.Spec())
	if err != nil {
		return err
	}
	return s.mayKeep(ctx, &spec)
}

// realtimeUse is what /health/realtime says of a quota of the whole server; max
// is 0 when there is none.
type realtimeUse struct {
	Sessions  store.QuotaUse `json:"sessions"`
	Bytes     store.QuotaUse `json:"bytes"`
	BlobBytes store.QuotaUse `json:"blobBytes"`
}

// realtimeDisk is the room on the server's disk.
type realtimeDisk struct {
	FreeBytes    int64 `json:"freeBytes"`
	TotalBytes   int64 `json:"totalBytes"`
	WarnBytes    int64 `json:"warnBytes"` // watermarks; 0 is none
	ReserveBytes int64 `json:"reserveBytes"`
	Warned       bool  `json:"warned"`
	Low          bool  `json:"low"` // appends are refused
}

// room says to those who may see the metrics what is used and what is free.
// Others get nil, as where the engine cannot tell.
func (s *Server) room(ctx context.Context) (use *realtimeUse, disk *realtimeDisk) {
	h, ok := s.log.(store.HealthReporter)
	if g := access.Of(ctx).Grant(); !ok || !g.Metrics && !g.Admin {
		return nil, nil
	}
	health := h.Health()
	q := &s.cfg.Quotas
	use = &realtimeUse{
		Sessions: store.QuotaUse{Used: health.Used.All.Sessions, Max: q.Sessions}, Bytes: store.QuotaUse{Used: health.Used.All.Bytes, Max: q.Bytes},
		BlobBytes: store.QuotaUse{Used: health.Used.BlobBytes, Max: q.BlobBytes},
	}
	if d := &health.Disk; d.Total > 0 {
		disk = &realtimeDisk{d.Free, d.Total, d.Warn, d.Reserve, d.Warned, d.Low}
	}
	return use, disk
}
