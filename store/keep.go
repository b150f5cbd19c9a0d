package store

import (
	"math"
	"time"
)

// Keep is what a session says of its own retention. What it does not name
// comes from the scope's or the server's; 0 keeps all.
type Keep struct {
	AgeMs  *int64 `json:"ageMs,omitempty"`
	Events *int64 `json:"events,omitempty"`
	Bytes  *int64 `json:"bytes,omitempty"`
}

// keepAgeMax is the longest age that a time.Duration can say.
const keepAgeMax = int64(math.MaxInt64 / time.Millisecond)

// Empty reports whether k says nothing. k may be nil.
func (k *Keep) Empty() bool {
	return k == nil || k.AgeMs == nil && k.Events == nil && k.Bytes == nil
}

// check validates k, which may be nil.
func (k *Keep) check() error {
	if k.Empty() {
		return nil
	}
	for name, v := range map[string]*int64{"ageMs": k.AgeMs, "events": k.Events, "bytes": k.Bytes} {
		if v != nil && (*v < 0 || name == "ageMs" && *v > keepAgeMax) {
			return Errorf(CodeInvalidQuery, "retention.%s is %d: use a whole number from 0, which keeps all", name, *v)
		}
	}
	return nil
}

// over lays k, which may be nil, over a retention.
func (k *Keep) over(r Retention) Retention {
	if k.Empty() {
		return r
	}
	if k.AgeMs != nil {
		r.Age = time.Duration(*k.AgeMs) * time.Millisecond
	}
	if k.Events != nil {
		r.Events = *k.Events
	}
	if k.Bytes != nil {
		r.Bytes = *k.Bytes
	}
	return r
}

// ScopeRetention is what sessions of the scopes that match a pattern keep, in
// place of the default.
type ScopeRetention struct {
	Pattern string // * stands for any run of characters, ? for one
	Retention
}

// For returns the retention of a session: its own over that of the first scope
// that matches, else over r. The server's own sessions have r.
func (r Retention) For(s *Session, scopes []ScopeRetention) Retention {
	if OwnSession(s.ID) {
		return r
	}
	return s.Retention.over(r.ForScope(s.Scope, scopes))
}

// ForScope returns the retention of sessions of the scope that say nothing
// themselves.
func (r Retention) ForScope(scope string, scopes []ScopeRetention) Retention {
	for i := range scopes {
		if globMatch(scopes[i].Pattern, scope) {
			return scopes[i].Retention
		}
	}
	return r
}

// Beyond reports whether k, which may be nil, keeps more than r in any way.
func (k *Keep) Beyond(r Retention) bool {
	own := k.over(r)
	wider := func(own, of int64) bool { return of > 0 && (own == 0 || own > of) }
	return wider(int64(own.Age), int64(r.Age)) || wider(own.Events, r.Events) || wider(own.Bytes, r.Bytes)
}
