package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal, as it stands on the wire.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// leafDomain begins what a leaf is the hash of, so that no other hash of this
// program can be taken for one, and a later encoding not for this one.
const leafDomain = "konlog.event.1"

// Leaf is what the hash chain takes of an event. It covers all of it but the
// session's name, so that a fork has the same chain as the log that it
// inherits. Of data and raw it takes their hashes: a redaction can then drop
// the bytes and keep the hashes, and the chain is the same.
func (e *Event) Leaf() Hash {
	content := ContentOf(e)
	return content.Leaf(e)
}

// Content stands for the data and the raw line of an event.
type Content struct {
	Data Hash
	Raw  *Hash // nil when there is no line, which is not the same as an empty one
}

// ContentOf hashes what a redaction drops.
func ContentOf(e *Event) Content {
	c := Content{Data: sha256.Sum256(e.Data)}
	if e.Raw != nil {
		raw := Hash(sha256.Sum256(e.Raw))
		c.Raw = &raw
	}
	return c
}

// Leaf is the leaf of an event whose content is c, whatever e holds of it.
func (c Content) Leaf(e *Event) Hash {
	h := sha256.New()
	var n [8]byte
	number := func(v uint64) []byte { return binary.BigEndian.AppendUint64(n[:0], v) }
	part := func(b []byte) { // each with its length, so that no two events have one encoding
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	part([]byte(leafDomain))
	part(number(uint64(e.ID)))
	part([]byte(e.Type))
	part([]byte(e.Turn))
	part([]byte(e.Parent))
	part(number(uint64(e.Time.UnixMilli())))
	part(c.Data[:])
	if c.Raw == nil {
		part(nil)
	} else {
		part(c.Raw[:])
	}
	return Hash(h.Sum(nil))
}

// Chain is the hash chain over a log, up to an event. It begins with zeros and
// does not depend on where it was sealed: the same events give the same hash.
type Chain struct{ Hash Hash }

// Add goes on by the next event's leaf.
func (c *Chain) Add(leaf Hash) {
	var both [2 * sha256.Size]byte
	copy(both[:], c.Hash[:])
	copy(both[sha256.Size:], leaf[:])
	c.Hash = sha256.Sum256(both[:])
}

// Seal is a kept place of the chain: Hash is the chain up to Last, and Last is
// as a rule the end of a turn. Who keeps one elsewhere can prove later that the
// log up to there is what it was.
type Seal struct {
	First    int64 // the first event that the seal before does not cover
	Last     int64
	Hash     Hash
	SealedAt time.Time
}

// SealEventsMax is how many events one seal covers at most: a session whose
// turns are long, or that has none, is sealed all the same.
const SealEventsMax = 10_000

// The bounds of a page of seals.
const (
	SealsPageDefault = 100
	SealsPageMax     = 1000
)

// SealPage is a page of seals, oldest first. Next is the cursor of the page
// after it, 0 on the last one.
type SealPage struct {
	Session Session
	Seals   []Seal
	Next    int64
}

// Sealer is the ability to keep a hash chain over each log.
type Sealer interface {
	// Seals returns a page of the seals whose Last is above after. limit 0
	// means SealsPageDefault; at most SealsPageMax. ErrNotFound when there is
	// no such session.
	Seals(ctx context.Context, session string, after int64, limit int) (SealPage, error)
}
