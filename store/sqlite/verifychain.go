package sqlite

import (
	"fmt"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// Sealed is the newest seal of a session whose range could be proven: who
// keeps the hash elsewhere can hold it against a later one.
type Sealed struct {
	Session string
	Last    int64
	Hash    store.Hash
}

// chain computes the seals of a session again and holds what was redacted
// against what is said of it.
func (v *verifier) chain(s numbered) error {
	k := chainCheck{v: v, session: s.session.ID, floor: s.session.Floor, head: s.session.Head}
	err := v.c.Query(func(row sqlite3.Row) error {
		k.seals = append(k.seals, scanSeal(row))
		return nil
	}, `SELECT `+sealColumns+` FROM seals WHERE session_no = ? ORDER BY last`, s.no)
	if err != nil {
		return err
	}
	k.order()
	err = eachLeaf(v.c, s.no, 0, store.IDMax, func(l *leaf) error {
		k.redaction(l)
		k.event(l)
		return nil
	})
	if err != nil {
		return err
	}
	for k.at < len(k.seals) {
		k.close()
	}
	if k.sealed.Last > 0 {
		v.report.Sealed = append(v.report.Sealed, k.sealed)
	}
	return v.c.Query(func(row sqlite3.Row) error {
		v.found(s.session.ID, row.Int(0), "was redacted, but there is no such event")
		return nil
	}, `SELECT id FROM redactions WHERE session_no = ? AND id > ? ORDER BY id`, s.no, s.session.Head)
}

// chainCheck walks the events of one session beside its seals.
type chainCheck struct {
	v       *verifier
	session string
	floor   int64
	head    int64
	seals   []store.Seal
	sealed  Sealed

	at    int // the seal that the next event belongs to
	chain store.Chain
	count int64 // of its events that were read
	stray int64 // the last event before its first; 0 when there is none
}

// order reports seals that cannot stand one after the other.
func (k *chainCheck) order() {
	last := int64(0)
	for _, s := range k.seals {
		if s.First <= last || s.Last < s.First || s.Last > k.head {
			k.v.found(k.session, 0, "%s: it does not fit between the seal before it, which ends at %d, and head %d", name(s), last, k.head)
		}
		last = s.Last
	}
}

func name(s store.Seal) string { return fmt.Sprintf("seal of events %d to %d", s.First, s.Last) }

// redaction holds an event against what is said of its content.
func (k *chainCheck) redaction(l *leaf) {
	switch e := &l.event; {
	case l.redacted && !e.Redacted():
		k.v.found(k.session, e.ID, "was redacted, but its content is there")
	case !l.redacted && e.Redacted():
		k.v.found(k.session, e.ID, "has no data, and no redaction says why")
	}
}

func (k *chainCheck) event(l *leaf) {
	id := l.event.ID
	for k.at < len(k.seals) && id > k.seals[k.at].Last {
		k.close()
	}
	if k.at == len(k.seals) {
		if !store.OwnSession(k.session) { // what those tell is sealed where it happened
			k.v.report.Unsealed++
		}
		return
	}
	s := &k.seals[k.at]
	if id < s.First {
		k.stray = id
		return
	}
	if k.count == 0 && k.at > 0 {
		k.chain.Hash = k.seals[k.at-1].Hash
	}
	k.chain.Add(l.hash())
	k.count++
}

// close is called when all events of the current seal have been seen.
func (k *chainCheck) close() {
	s := k.seals[k.at]
	switch {
	case k.stray > 0:
		k.v.found(k.session, 0, "%s: event %d before it is covered by no seal, so one is missing", name(s), k.stray)
	case k.count == s.Last-s.First+1 && k.chain.Hash != s.Hash:
		k.v.found(k.session, 0, "%s: the hash is not that of these events: one of them was changed after %s", name(s), s.SealedAt.Format(store.TimeLayout))
	case k.count == s.Last-s.First+1:
		k.v.report.Proven += k.count
		k.sealed = Sealed{Session: k.session, Last: s.Last, Hash: s.Hash}
	case s.First < k.floor:
		k.v.report.Unprovable += k.count
	}
	k.at, k.count, k.stray = k.at+1, 0, 0
	k.chain = store.Chain{}
}
