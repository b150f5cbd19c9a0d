package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/konlog/konlog/store"
)

// FormatAuto stands for the format that the lines turn out to have.
const FormatAuto = "auto"

// undecidedMax is how many lines are looked at for their format; if none tells,
// they are plain lines.
const undecidedMax = 20

// IngestLease is the lease of the turns that a stream begins: one that breaks
// off does not look as if somebody worked for ever, and agents may be silent
// for minutes.
const IngestLease = 15 * time.Minute

// IntakeOptions say how the lines of one source become events.
type IntakeOptions struct {
	Format string // FormatAuto, or one that is Known; "" is FormatAuto
	// Source names where the lines are from. Lines without an id of their own
	// are keyed by it and their offset; with "" they have no keys.
	Source string
	// NewKey makes keys for the lines that would have none; or nil. They keep a
	// repeated append from doubling lines, not a repeated ingest.
	NewKey func() string
	Turn   string // as in MapperOptions
	// Redact takes secrets out of a line, and says how many of which; or nil.
	Redact func(line []byte) (clean []byte, took map[string]int)
	// Found is told the format, once, when it was FormatAuto; or nil.
	Found func(format string)
}

// Intake makes drafts of the lines of one source: it finds out the format, takes
// secrets out, keys and maps each line. It is pure but for turns without a key,
// and belongs to one goroutine.
type Intake struct {
	o         IntakeOptions
	mapper    *Mapper // nil as long as the format is not known
	format    string
	undecided int
	turns     int
	redacted  map[string]int
	ids       few[string] // a hash of the line that had an id
	last      string      // the id of the last line that had one
	since     int         // lines since then
}

// NewIntake returns an intake at the beginning of a source.
func NewIntake(o IntakeOptions) *Intake {
	n := &Intake{o: o, redacted: map[string]int{}}
	if o.Format != "" && o.Format != FormatAuto {
		n.decide(o.Format)
	}
	return n
}

// decide sets the format for all lines from here on.
func (n *Intake) decide(format string) {
	scope := n.o.Source
	if scope == "" {
		scope = rand.Text()[:scopeLen] // else a second stream's item_0 would be that of the first
	}
	n.format = format
	n.mapper = NewMapper(MapperOptions{Format: format, Scope: scope, Turn: n.o.Turn, Prompts: true, Lease: IngestLease})
}

// scopeLen is long enough for the streams of one session.
const scopeLen = 8

// Intaken is what became of one line.
type Intaken struct {
	Drafts []store.Draft
	// Strong: the keys are of this line alone. What is there under them is this
	// line, however it was mapped then.
	Strong bool
}

// Take makes drafts of a line, which they do not refer to, but for a Part, which
// must be made to fit before the next line is read.
func (n *Intake) Take(line TextLine) Intaken {
	if line.Part > 0 {
		return n.part(line)
	}
	n.detect(line.Text)
	key, strong := n.key(line)
	text := n.clean(line.Text)
	if n.mapper == nil {
		d := Lines(text)
		d.Data, d.Key, d.Turn = bytes.Clone(d.Data), key, n.o.Turn
		return Intaken{Drafts: []store.Draft{d}, Strong: strong}
	}
	drafts, _ := n.mapper.Map(text, key)
	for i := range drafts {
		if drafts[i].Type == store.TypeTurnStart {
			n.turns++
		}
	}
	drafts[0].Data = bytes.Clone(drafts[0].Data) // that of noise lies in the line
	return Intaken{Drafts: drafts, Strong: strong}
}

// detect looks for the format as long as it is not known.
func (n *Intake) detect(line []byte) {
	if n.mapper != nil {
		return
	}
	format := Detect(line)
	if format == "" || !Known(format) {
		if n.undecided++; n.undecided <= undecidedMax {
			return
		}
		format = FormatLines
	}
	n.decide(format)
	if n.o.Found != nil {
		n.o.Found(format)
	}
}

// key names a line: by its own id; else by how it follows one that has an id;
// else by its place. Should an agent give two lines one id, the second has a hash
// with it. The place of what may have been cut off by the end of the source has
// the length with it, so that the whole line is another one. An object is not cut
// off where it ends.
func (n *Intake) key(line TextLine) (key string, strong bool) {
	sum := sha256.Sum256(line.Text)
	hash := hex.EncodeToString(sum[:8])
	if id := LineID(n.format, line.Text); id != "" {
		n.last, n.since = id, 0
		switch first, again := n.ids.get(id); {
		case !again:
			n.ids.put(id, hash)
		case first != hash:
			id += ":" + hash
		}
		return id, true
	}
	if n.last != "" {
		n.since++
		return n.last + "+" + strconv.Itoa(n.since) + ":" + hash, true
	}
	if key = n.place(line); key == "" && n.o.NewKey != nil {
		return n.o.NewKey(), true
	}
	if key != "" && line.Open && (line.Text[0] != '{' || !json.Valid(line.Text)) {
		key += "~" + strconv.Itoa(len(line.Text))
	}
	return key, false
}

// place names a line by where it is in its source.
func (n *Intake) place(line TextLine) string {
	if n.o.Source == "" {
		return ""
	}
	return "lines:" + n.o.Source + ":" + strconv.FormatInt(line.Offset, 10)
}

// part makes the event of a part of a line.
func (n *Intake) part(line TextLine) Intaken {
	d := Part(line.Part, line.More, n.clean(line.Text))
	d.Turn = n.o.Turn
	strong := false
	switch d.Key = n.place(line); {
	case d.Key == "" && n.o.NewKey != nil:
		d.Key, strong = n.o.NewKey(), true
	case d.Key != "" && line.Open:
		d.Key += "~" + strconv.Itoa(len(line.Text))
	}
	return Intaken{Drafts: []store.Draft{d}, Strong: strong}
}

// clean takes secrets out of a line.
func (n *Intake) clean(line []byte) []byte {
	if n.o.Redact == nil {
		return line
	}
	clean, took := n.o.Redact(line)
	for name, count := range took {
		n.redacted[name] += count
	}
	return clean
}

// Exit ends the turn that is open when the source is over, and those that were
// asked for and will not begin. No line says so: what the log refuses of it has
// been said, and may be left out.
func (n *Intake) Exit() (drafts []store.Draft) {
	if n.mapper == nil {
		return nil
	}
	if d, ok := n.mapper.Exit(End{Reason: "exit"}); ok {
		drafts = append(drafts, d)
	}
	for _, turn := range n.mapper.Waiting() {
		drafts = append(drafts, store.Draft{Type: store.TypeTurnEnd, Turn: turn, Data: endData(&End{Reason: "exit"}, false)})
	}
	return drafts
}

// Turn is the turn of the stream that is open, or "".
func (n *Intake) Turn() string {
	if n.mapper == nil {
		return ""
	}
	return n.mapper.Turn()
}

// Format is what the lines turned out to have; "" as long as it is not known.
func (n *Intake) Format() string { return n.format }

// Turns counts the turns that began.
func (n *Intake) Turns() int { return n.turns }

// Unknown counts the lines of kinds that the format does not know.
func (n *Intake) Unknown() map[string]int {
	if n.mapper == nil {
		return nil
	}
	return n.mapper.Unknown()
}

// Redacted counts what was taken out of the lines, by name.
func (n *Intake) Redacted() map[string]int { return maps.Clone(n.redacted) }
