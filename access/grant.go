package access

import (
	"time"

	"github.com/konlog/konlog/store"
)

// Grant is what a credential allows. The zero Grant allows nothing.
type Grant struct {
	Subject string // who it is: of read marks, and of events that say who did something
	ID      string // what limits, metrics of limits and logs name the credential by: "key:K", "jwt:SUBJECT"; never a secret

	Read    store.Patterns // sessions whose events and metadata it may see
	Write   store.Patterns // sessions it may append to, create, change and delete
	Admin   bool           // webhooks, redaction, and whatever else concerns the whole server
	Metrics bool           // GET /metrics
	Shell   bool           // open a shell, and type into one

	Expires time.Time // zero: never

	given Verifier  // who gave it and says whether it holds, or nil
	key   string    // what it stands on, by which that one knows it
	ends  time.Time // of an API key, after which there is no next one; zero: never
	login signIn    // the browser session it came by, if any

	feed store.Patterns // sessions of which it may see no more than the feed tells
}

// Local is the grant of everybody where no credentials are asked for, which
// the server does on a loopback address only.
var Local = Grant{
	Subject: store.SubjectLocal, ID: "local",
	Read: store.AllSessions, Write: store.AllSessions, Admin: true, Metrics: true, Shell: true,
}

// MayRead reports whether the session may be seen. The feed may be read by
// whoever may read anything: its events are filtered one by one.
func (g *Grant) MayRead(session string) bool {
	if session == store.FeedSession {
		return len(g.Read) > 0 || len(g.feed) > 0
	}
	return g.Read.Match(session)
}

// InFeed reports whether the feed may tell of the session: one that may be
// read, or one that the ticket for the feed stands for.
func (g *Grant) InFeed(session string) bool { return g.Read.Match(session) || g.feed.Match(session) }

// MayWrite reports whether the session may be appended to and changed.
func (g *Grant) MayWrite(session string) bool { return g.Write.Match(session) }

// Expired reports whether the grant was good only before now.
func (g *Grant) Expired(now time.Time) bool { return !g.Expires.IsZero() && !now.Before(g.Expires) }
