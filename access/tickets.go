package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// Bounds of tickets.
const (
	TicketLife         = 60 * time.Second // between the request for it and the connection
	TicketsMaxDefault  = 10_000           // unused ones in memory, about 1 KiB each
	TicketsEachDefault = 200              // of one subject, so that one cannot take all

	secretBytes = 32 // 256 bits: nobody guesses one
	ticketChars = 43 // of 32 bytes in base64
)

// Ticket is a credential that is good once.
type Ticket struct {
	Value   string
	Expires time.Time
}

// tickets holds the unused ones, by the hash of their value: who reads the
// memory of the server, or a dump of it, cannot use them.
type tickets struct {
	max, each int

	mu     sync.Mutex // guards what follows
	unused map[[sha256.Size]byte]ticket
	count  map[string]int // by subject
}

type ticket struct {
	grant   Grant
	expires time.Time
}

func (t *tickets) init(most, each int) {
	t.max, t.each = most, each
	t.unused, t.count = map[[sha256.Size]byte]ticket{}, map[string]int{}
}

func (t *tickets) issue(g Grant, now time.Time) (Ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unused) >= t.max || t.count[g.Subject] >= t.each {
		t.sweep(now)
	}
	switch {
	case t.count[g.Subject] >= t.each:
		return Ticket{}, store.Errorf(CodeTicketsFull, "%d tickets of this subject are unused; use them, or wait %s", t.each, TicketLife)
	case len(t.unused) >= t.max:
		return Ticket{}, store.Errorf(CodeTicketsFull, "%d tickets are unused; wait %s", t.max, TicketLife)
	}
	value := newSecret()
	expires := now.Add(TicketLife)
	t.unused[sha256.Sum256([]byte(value))] = ticket{g, expires}
	t.count[g.Subject]++
	return Ticket{Value: value, Expires: expires}, nil
}

// take returns the grant of the ticket and forgets it, whether it is still
// good or not.
func (t *tickets) take(value string, now time.Time) (Grant, bool) {
	if len(value) != ticketChars {
		return Grant{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := sha256.Sum256([]byte(value))
	found, ok := t.unused[key]
	if !ok {
		return Grant{}, false
	}
	t.forget(key, found.grant.Subject)
	return found.grant, now.Before(found.expires)
}

func (t *tickets) sweep(now time.Time) {
	for key, one := range t.unused {
		if !now.Before(one.expires) {
			t.forget(key, one.grant.Subject)
		}
	}
}

func (t *tickets) forget(key [sha256.Size]byte, subject string) {
	delete(t.unused, key)
	if t.count[subject]--; t.count[subject] <= 0 {
		delete(t.count, subject)
	}
}

// newSecret makes 256 bits that nobody can guess.
func newSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
