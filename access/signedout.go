package access

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"sync"
	"time"
)

// Bounds of what is kept of signed-out browser sessions. Whatever makes room
// ends more sessions, and never lets one begin again: who signs in and out for
// ever ends older sessions of the own credential alone.
const (
	signedOutEach        = 64   // of one credential, by their ids
	signedOutMax         = 4096 // of all credentials; the one with the most makes room
	signedOutCredentials = 2048 // with any; more than that have to sign out within LoginMax to end sessions of others
)

// signIn names a browser session.
type signIn struct {
	ID    string    `json:"id"`
	By    string    `json:"by"` // the credential, as credentialName has it
	Begun time.Time `json:"begun"`
}

// credentialName stands for a credential where its length must have a bound,
// and where nobody need read whose it is.
func credentialName(grantID string) string {
	sum := sha256.Sum256([]byte(grantID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// signedOut knows which browser sessions were ended before their time.
type signedOut struct {
	max time.Duration // the life of a session: what is older has ended by itself

	mu      sync.Mutex // guards what follows; nobody waits for the disk with it
	all     time.Time  // sessions that began until then have ended, whoever's
	by      map[string]*ended
	changes int64 // how often something was added
}

// ended are the sessions of one credential.
type ended struct {
	Until time.Time            `json:"until,omitzero"` // all that began until then
	IDs   map[string]time.Time `json:"ids,omitempty"`  // those that began later: when
}

// last is when the youngest began.
func (e *ended) last() time.Time {
	last := e.Until
	for _, begun := range e.IDs {
		if begun.After(last) {
			last = begun
		}
	}
	return last
}

// yield gives the oldest session's place up: from then on the credential's
// sessions that are not younger have ended.
func (e *ended) yield() {
	var oldest time.Time
	for _, begun := range e.IDs {
		if oldest.IsZero() || begun.Before(oldest) {
			oldest = begun
		}
	}
	e.Until = oldest
	maps.DeleteFunc(e.IDs, func(_ string, begun time.Time) bool { return !begun.After(oldest) })
}

// has reports whether the session was signed out; the zero signIn is none.
func (o *signedOut) has(s signIn) bool {
	if s.ID == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.holds(s)
}

func (o *signedOut) holds(s signIn) bool {
	if !s.Begun.After(o.all) {
		return true
	}
	e := o.by[s.By]
	if e == nil {
		return false
	}
	_, out := e.IDs[s.ID]
	return out || !s.Begun.After(e.Until)
}

// begin is when a session that begins now is said to have begun: after all that
// have ended without a name, also on a clock that was set back.
func (o *signedOut) begin(by string, now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	until := o.all
	if e := o.by[by]; e != nil && e.Until.After(until) {
		until = e.Until
	}
	if !now.After(until) {
		return until.Add(1)
	}
	return now
}

// add ends the session, and returns the change that the disk must have before
// anybody is told so: the last one of all, when it had ended before, for that
// one may not be there yet.
func (o *signedOut) add(s signIn, now time.Time) (change int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.holds(s) {
		return o.changes
	}
	maps.DeleteFunc(o.by, func(_ string, e *ended) bool { return !now.Before(e.last().Add(o.max)) })
	e := o.by[s.By]
	if e == nil {
		for len(o.by) >= signedOutCredentials {
			o.dropOldest()
		}
		e = &ended{IDs: map[string]time.Time{}}
		o.by[s.By] = e
	}
	e.IDs[s.ID] = s.Begun
	if len(e.IDs) > signedOutEach {
		e.yield()
	}
	o.yield()
	o.changes++
	return o.changes
}

// yield keeps the bound of all: the credential with the most ids makes room,
// which is not the one that signs out now and then.
func (o *signedOut) yield() {
	for {
		sum := 0
		var most *ended
		for _, e := range o.by {
			if sum += len(e.IDs); most == nil || len(e.IDs) > len(most.IDs) {
				most = e
			}
		}
		if sum <= signedOutMax {
			return
		}
		most.yield()
	}
}

// dropOldest forgets the credential whose youngest ended session is the oldest
// of all: every session that is not younger ends with it.
func (o *signedOut) dropOldest() {
	name, oldest := "", time.Time{}
	for by, e := range o.by {
		if last := e.last(); name == "" || last.Before(oldest) {
			name, oldest = by, last
		}
	}
	delete(o.by, name)
	if oldest.After(o.all) {
		o.all = oldest
	}
}

// snapshot is what the file is to hold, and the last change in it.
func (o *signedOut) snapshot() (all time.Time, by map[string]*ended, change int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	by = make(map[string]*ended, len(o.by))
	for name, e := range o.by {
		by[name] = &ended{Until: e.Until, IDs: maps.Clone(e.IDs)}
	}
	return o.all, by, o.changes
}

// restore takes what the file held.
func (o *signedOut) restore(all time.Time, by map[string]*ended) {
	o.all, o.by = all, map[string]*ended{}
	for name, e := range by {
		if e == nil {
			continue
		}
		if e.IDs == nil {
			e.IDs = map[string]time.Time{}
		}
		o.by[name] = e
	}
}
