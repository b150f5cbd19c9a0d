package api

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// The limits of Rates, as metrics and answers name them.
const (
	limitRequests          = "requests"
	limitAddressRequests   = "address-requests"
	limitBytes             = "bytes"
	limitFrames            = "frames"
	limitFailures          = "failures"
	limitSessionsPerHour   = "sessions-per-hour"
	limitConnections       = "connections"
	limitPerAddress        = "connections-per-address"
	limitPerCredential     = "connections-per-credential"
	limitSubscriptions     = "subscriptions-per-credential"
	limitIntake            = "intake-bytes"
	limitSockets           = "sockets"
	limitSocketsPerAddress = "sockets-per-address"
	limitNewSockets        = "new-sockets"
)

// limitNames are all of them, so that a metric of each is there from the start.
var limitNames = []string{
	limitRequests, limitAddressRequests, limitBytes, limitFrames, limitFailures, limitSessionsPerHour, limitConnections,
	limitPerAddress, limitPerCredential, limitSubscriptions, limitIntake, limitSockets, limitSocketsPerAddress, limitNewSockets,
}

// Defaults of Rates that commands set. An agent, its readers and the people
// around it are far below them.
const (
	RequestsDefault                   = 1000 // per second and credential
	RequestsBurstDefault              = 5000 // a console that opens, a batch job that begins
	AddressRequestsDefault            = 2000 // an office behind one address
	AddressRequestsBurstDefault       = 10_000
	BytesDefault                      = 32 << 20 // what a disk takes in without being busy with it alone
	BytesBurstDefault                 = 64 << 20
	FramesDefault                     = 10_000
	FramesBurstDefault                = 20_000
	FailuresDefault                   = 1  // a script with an old key
	FailuresBurstDefault              = 30 // an office on the morning after its key was revoked
	SessionsPerHourDefault            = 10_000
	ConnectionsPerCredentialDefault   = 5000
	SubscriptionsPerCredentialDefault = 50_000
	TrackedDefault                    = 20_000    // half a KiB each
	IntakeBytesDefault                = 256 << 20 // sixteen of the largest bodies at once, or a quarter of a machine of 1 GiB
	SocketsDefault                    = 24_000    // all streams, and the requests beside them
	SocketsPerAddressDefault          = 1000
	NewSocketsDefault                 = 200
	NewSocketsBurstDefault            = 1000 // all of an address come back at once after a restart
)

// Bounds that nobody needs to set.
const (
	knownMax       = 16_384 // credentials that were right, which may pass a limited address
	sessionsWindow = time.Hour
	waitMax        = time.Minute            // a slowed client waits no longer at a time
	chargeMax      = 1 << 30                // bytes that one fork can owe
	refusalHold    = 100 * time.Millisecond // before a refusal by a rate is sent
)

// Rates bounds what one client can ask for in a time, and what all clients hold
// together. A field that is 0 bounds nothing. The commands' defaults are above.
type Rates struct {
	// Local holds who comes without a credential, and loopback addresses, to
	// the limits of one credential and one address too. Without it they have
	// none: they are the owner, or all the clients of a proxy in one.
	Local bool

	Requests, RequestsBurst               int // per second, of one credential
	AddressRequests, AddressRequestsBurst int // per second, of one address
	Bytes, BytesBurst                     int // appended and uploaded per second, of one credential
	Frames, FramesBurst                   int // from WebSocket clients per second, of one credential
	Failures, FailuresBurst               int // refused credentials per second, of one address
	SessionsPerHour                       int // made with one credential
	ConnectionsPerCredential              int // open streams
	SubscriptionsPerCredential            int // over all its connections
	Tracked                               int // addresses, and credentials, that are kept apart; 0 stands for TrackedDefault
	IntakeBytes                           int // of bodies, lines and frames that have begun and not ended
	Sockets                               int // open network connections
	SocketsPerAddress                     int // of those, from one address
	NewSockets, NewSocketsBurst           int // per second, from one address
}

// The places of the limiters in the buckets of a credential and of an address.
const (
	ofRequests = iota
	ofBytes
	ofFrames
	ofSessions
)

const (
	addressRequests = iota
	addressFailures
	addressSockets
)

// rates applies Rates.
type rates struct {
	r          Rates
	log        store.Log
	limited    func(limit string)
	stopped    <-chan struct{} // closed when draining begins: nobody waits any more
	credential *table[string]
	address    *table[netip.Prefix]
	open       *counts[string]
	follows    *counts[string]
	sockets    *counts[struct{}]
	socketsOf  *counts[netip.Prefix]
	intake     *stream.Budget
	seed       maphash.Seed
	known      *remembered[uint64]
}

func newRates(r Rates, body int, log store.Log, limited func(string), stopped <-chan struct{}) *rates {
	if r.Tracked <= 0 {
		r.Tracked = TrackedDefault
	}
	if r.Bytes > 0 {
		r.BytesBurst = max(r.BytesBurst, body) // else the largest body could never be sent
	}
	rt := &rates{
		r: r, log: log, limited: limited, stopped: stopped,
		open: newCounts[string](r.ConnectionsPerCredential), follows: newCounts[string](r.SubscriptionsPerCredential),
		sockets: newCounts[struct{}](r.Sockets), socketsOf: newCounts[netip.Prefix](r.SocketsPerAddress),
		seed: maphash.MakeSeed(), known: newRemembered[uint64](knownMax),
	}
	rt.credential = newTable[string](r.Tracked,
		perSecond{float64(r.Requests), r.RequestsBurst}, perSecond{float64(r.Bytes), r.BytesBurst},
		perSecond{float64(r.Frames), r.FramesBurst}, perSecond{float64(r.SessionsPerHour) / sessionsWindow.Seconds(), r.SessionsPerHour})
	rt.address = newTable[netip.Prefix](r.Tracked,
		perSecond{float64(r.AddressRequests), r.AddressRequestsBurst}, perSecond{float64(r.Failures), r.FailuresBurst},
		perSecond{float64(r.NewSockets), r.NewSocketsBurst})
	if r.IntakeBytes > 0 {
		rt.intake = stream.NewBudget(int64(r.IntakeBytes))
	}
	return rt
}

// limitError is a refusal by one of the limits.
type limitError struct {
	limit string
	after time.Duration // when to come again; 0: as the table of refusals says
	err   error
}

func (e *limitError) Error() string { return e.limit + ": " + e.err.Error() }
func (e *limitError) Unwrap() error { return e.err }

// refuse makes a refusal and counts it.
func (rt *rates) refuse(limit string, after time.Duration, code store.Code, format string, args ...any) error {
	if rt != nil {
		rt.limited(limit)
	}
	return &limitError{limit: limit, after: after, err: store.Errorf(code, format, args...)}
}

// retryAfter is the header's value: whole seconds, at least one.
func (e *limitError) retryAfter(otherwise int) string {
	if e.after <= 0 {
		return strconv.Itoa(otherwise)
	}
	return strconv.Itoa(int(math.Ceil(e.after.Seconds())))
}

func asLimit(err error) (*limitError, bool) {
	var limited *limitError
	return limited, errors.As(err, &limited)
}

// holder names the credential whose limits apply, or says that none do.
func (rt *rates) holder(ctx context.Context) (id string, bound bool) {
	pass := access.Of(ctx)
	if pass == nobody {
		return "", false // strangers: the limit of their address is theirs
	}
	id = pass.Grant().ID
	return id, rt.r.Local || id != access.Local.ID
}

func (rt *rates) bound(addr netip.Addr) bool { return rt.r.Local || !addr.IsLoopback() }

// ofAddress takes one request from those of the address. A flood of strangers
// does not shut out who came before with the same credential from behind the
// same address: what bounds that one is the limit of the credential.
func (rt *rates) ofAddress(r *http.Request) error {
	addr := ClientAddr(r)
	if rt.r.AddressRequests <= 0 || !rt.bound(addr) {
		return nil
	}
	if after := take(rt.address.of(AddressKey(addr))[addressRequests], 1); after > 0 && !rt.knows(r) {
		return rt.refuse(limitAddressRequests, after, codeRateLimited, "this address sends more than %d requests per second; wait, or use one stream instead of many requests", rt.r.AddressRequests)
	}
	return nil
}

// knows reports whether the request carries a credential that was right before.
func (rt *rates) knows(r *http.Request) bool {
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		return rt.known.has(maphash.String(rt.seed, strings.TrimSpace(token)))
	}
	cookie := sessionCookie(r)
	return cookie != "" && rt.known.has(maphash.String(rt.seed, cookie))
}

// ofCredential takes one request from those of the credential.
func (rt *rates) ofCredential(ctx context.Context) error {
	id, bound := rt.holder(ctx)
	if !bound || rt.r.Requests <= 0 {
		return nil
	}
	if after := take(rt.credential.of(id)[ofRequests], 1); after > 0 {
		return rt.refuse(limitRequests, after, codeRateLimited, "this credential sends more than %d requests per second; wait, or send events together and read over a stream", rt.r.Requests)
	}
	return nil
}

// mayTry says before a credential is looked at whether it may be: an address
// that sent too many wrong ones has to wait. Whoever came with the same
// credential before, from anywhere, does not wait for its neighbours.
func (rt *rates) mayTry(r *http.Request, token string) error {
	addr := ClientAddr(r)
	if rt.r.Failures <= 0 || !rt.bound(addr) {
		return nil
	}
	l := rt.address.of(AddressKey(addr))[addressFailures]
	if l.Tokens() >= 1 || rt.known.has(maphash.String(rt.seed, token)) {
		return nil
	}
	after := time.Duration((1 - l.Tokens()) / float64(l.Limit()) * float64(time.Second))
	return rt.refuse(limitFailures, max(after, time.Second), codeRateLimited, "too many credentials from this address were refused; wait before the next one")
}

// tried is told what became of a credential.
func (rt *rates) tried(r *http.Request, token string, good bool) {
	addr := ClientAddr(r)
	if !rt.bound(addr) {
		return
	}
	if good {
		rt.known.add(maphash.String(rt.seed, token))
		return
	}
	rt.known.remove(maphash.String(rt.seed, token))
	take(rt.address.of(AddressKey(addr))[addressFailures], 1)
}

// ofBytes takes the bytes of a body that is appended at once.
func (rt *rates) ofBytes(ctx context.Context, n int) error {
	id, bound := rt.holder(ctx)
	if !bound || rt.r.Bytes <= 0 || n <= 0 {
		return nil
	}
	if after := take(rt.credential.of(id)[ofBytes], n); after > 0 {
		return rt.refuse(limitBytes, after, codeRateLimited, "this credential sends more than %d bytes per second; wait, or stream the events as application/x-ndjson, which is slowed down instead", rt.r.Bytes)
	}
	return nil
}

// pace makes a streamed body wait for the bytes that it has sent: what is not
// read meanwhile stays with the sender.
func (rt *rates) pace(ctx context.Context, n int) {
	id, bound := rt.holder(ctx)
	if !bound || rt.r.Bytes <= 0 || n <= 0 {
		return
	}
	rt.wait(ctx, limitBytes, owe(rt.credential.of(id)[ofBytes], n))
}

// charge is pace for bytes that come at once: whoever sends more waits with that.
func (rt *rates) charge(ctx context.Context, n int64) {
	if id, bound := rt.holder(ctx); bound && rt.r.Bytes > 0 && n > 0 {
		owe(rt.credential.of(id)[ofBytes], int(min(n, chargeMax)))
	}
}

// hold keeps a refusal back for a moment: whoever does not heed it would else
// take the processor with refusals. How many can be held is bounded by the
// connections that one address and one credential may have.
func (rt *rates) hold(ctx context.Context, code store.Code) {
	if code == codeRateLimited {
		rt.sleep(ctx, refusalHold)
	}
}

// wait returns after d, or when the request or the server ends.
func (rt *rates) wait(ctx context.Context, limit string, d time.Duration) {
	if d <= 0 {
		return
	}
	rt.limited(limit)
	rt.sleep(ctx, min(d, waitMax))
}

func (rt *rates) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-rt.stopped:
	}
}

// connect takes a place for an open stream of the credential.
func (rt *rates) connect(ctx context.Context) (leave func(), err error) {
	if rt == nil {
		return func() {}, nil
	}
	id, bound := rt.holder(ctx)
	if !bound {
		return func() {}, nil
	}
	if !rt.open.enter(id) {
		return nil, rt.refuse(limitPerCredential, 0, codeTooManyConnections, "all %d connections of this credential are in use", rt.open.max)
	}
	return func() { rt.open.leave(id) }, nil
}
