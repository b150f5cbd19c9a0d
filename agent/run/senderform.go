package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// item is a draft of the spool on its way, and the form that it has taken.
type item struct {
	spooled
	grade  grade
	salt   int // not 0: its own key stands for something else, and this makes another one of it
	limit  int // of its bytes; 0 is the log's
	mends  int // how often it was given another form
	built  bool
	out    store.Draft // as it is sent, once built
	place  string      // the turn it was built for
	fitted time.Time   // when its blob was stored; zero when it has none
}

// grade says how much of its meaning a draft has kept.
type grade int

const (
	whole  grade = iota
	noted        // kept as an agent's line, which means nothing to the log
	naked        // and without turn and parent, and whatever else may be wrong with it
	grades       // there are no more
)

// blobAgain is how long a blob that no event refers to yet is taken to be safe:
// far less than the day after which a server removes it.
const blobAgain = time.Hour

// build gives the item the form in which it is sent.
func (s *Sender) build(ctx context.Context, it *item) error {
	place := s.turns.place(turnOf(&it.draft))
	if it.built && it.place == place && (it.fitted.IsZero() || time.Since(it.fitted) < blobAgain) {
		return nil
	}
	d, fitted, err := s.fit(ctx, shape(it.draft, it.grade, place), it.limit)
	if err != nil {
		return err
	}
	d.Key = saltedKey(it.draft.Key, it.salt)
	it.out, it.place, it.built, it.fitted = d, place, true, time.Time{}
	if fitted {
		it.fitted = time.Now()
	}
	return nil
}

// refresh stores the blobs of built items again before the server may remove
// them. The same draft gets the same form.
func (s *Sender) refresh(ctx context.Context) error {
	for _, it := range s.pending {
		if it.built && !it.fitted.IsZero() {
			if err := s.build(ctx, it); err != nil {
				return err
			}
		}
	}
	return nil
}

// fit makes the draft fit the limit.
func (s *Sender) fit(ctx context.Context, d store.Draft, limit int) (out store.Draft, fitted bool, err error) {
	if limit == 0 {
		limit = s.c.EventBytes
	}
	if !agent.NeedsFit(&d, limit) {
		return d, false, nil
	}
	out, err = agent.Fit(ctx, d, limit, s.line.putBlob)
	return out, true, err
}

// shape is the draft's form at a grade, with its turn under the name place.
func shape(d store.Draft, at grade, place string) store.Draft {
	from := turnOf(&d)
	if from != "" && place == "" && namesTurn(d.Type) {
		at = max(at, noted) // it would begin, end or ask for a turn that is not to be
	}
	switch {
	case at == naked:
		return undress(d)
	case at == noted && d.Type != agent.TypeLine:
		parent := d.Parent
		d = agent.Demote(d)
		d.Turn, d.Parent = place, parent
	case from != place:
		d = withTurn(d, from, place)
	}
	return d
}

// undress keeps of a draft what no log refuses.
func undress(d store.Draft) store.Draft {
	d = agent.Demote(d)
	if agent.NeedsFit(&d, math.MaxInt) {
		return d // a part of a line, which goes into a blob as it is
	}
	check := d
	check.Key = ""
	if check.Check(math.MaxInt) != nil { // such as data that nests too deep
		content := d.Data
		if line, err := agent.Line(d.Data, d.Raw); d.Type == agent.TypeLine && err == nil {
			content = line
		}
		d.Data, _ = json.Marshal(strings.ToValidUTF8(string(content), "\uFFFD")) // a string always encodes
	}
	return d
}

// saltedKey is the key of a draft. One that the log would refuse becomes its
// hash.
func saltedKey(key string, salt int) string {
	switch {
	case salt == 1:
		key += "~"
	case salt > 1:
		key += "~" + strconv.Itoa(salt)
	}
	control := func(r rune) bool { return r < 0x20 || r == 0x7f }
	if key != "" && len(key) <= store.KeyBytesMax && utf8.ValidString(key) && !strings.ContainsFunc(key, control) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// namesTurn reports whether events of the type have an effect on their turn.
// They may name it as requestId in their data.
func namesTurn(typ string) bool {
	switch typ {
	case store.TypePrompt, store.TypeTurnStart, store.TypeTurnEnd, store.TypeStopTurn:
		return true
	}
	return false
}

const memberRequestID = "requestId"

// turnOf is the turn that a draft is of, or "".
func turnOf(d *store.Draft) string {
	if d.Turn != "" || !namesTurn(d.Type) {
		return d.Turn
	}
	return (&store.Event{Data: d.Data}).Text(memberRequestID)
}

// withTurn is the draft under another name of its turn.
func withTurn(d store.Draft, from, to string) store.Draft {
	d.Turn = to
	if namesTurn(d.Type) && (&store.Event{Data: d.Data}).Text(memberRequestID) == from {
		d.Data = setMember(d.Data, memberRequestID, to)
	}
	return d
}

// setMember gives a member of an object another value. The other members keep
// their bytes.
func setMember(object []byte, name, value string) []byte {
	dec := json.NewDecoder(bytes.NewReader(object))
	out := []byte{'{'}
	if _, err := dec.Token(); err != nil {
		return object
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return object
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return object
		}
		if key == name {
			v = jsonText(value)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, jsonText(key.(string))...), ':'), v...)
	}
	return append(out, '}')
}

// jsonText is a string as JSON.
func jsonText(s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return b
}
