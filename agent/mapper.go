package agent

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// pendingMax bounds the prompts of a stream that wait for their turns, as
// PROTOCOL.md section 2 does for a session.
const pendingMax = 100

// MapperOptions say how lines become events.
type MapperOptions struct {
	Format string
	Scope  string // Options.Scope
	Agent  string // what turn_start calls the agent; "" is the format
	// Turn is a turn of somebody else's to which all lines belong; nothing
	// here begins or ends it. "" follows the turns of the stream.
	Turn string
	// Prompts: the prompts that the stream has become events. Not where they
	// came from the log.
	Prompts bool
	Lease   time.Duration // of the turns that the stream begins; 0 is none
	Run     string        // the runner's name in the turns that the stream begins, or ""
	Words   bool          // plain lines of a turn are what the agent says: text
}

// Mapper makes events of an agent's lines, and knows which turn they belong
// to. It is pure: the same lines with the same keys give the same events. Not
// safe for concurrent use.
type Mapper struct {
	o       MapperOptions
	format  Format // nil: nothing is said of the lines
	turn    string // the open one, or ""
	asked   bool   // somebody asked for it
	stopped bool   // somebody asked to stop it
	pending []string
	tasks   few[string] // the turn that started a task
	init    string      // the data of the last session_init
	unknown map[string]int
}

// NewMapper returns a mapper at the beginning of a stream.
func NewMapper(o MapperOptions) *Mapper {
	if o.Agent == "" {
		o.Agent = o.Format
	}
	return &Mapper{o: o, format: New(o.Format, Options{Scope: o.Scope}), turn: o.Turn}
}

// Turn is the turn that is open, or "".
func (m *Mapper) Turn() string { return m.turn }

// Waiting are the turns that the stream's prompts asked for and that have not
// begun.
func (m *Mapper) Waiting() []string { return slices.Clone(m.pending) }

// Begin opens a turn that somebody asked for and whose turn_start is in the log.
func (m *Mapper) Begin(turn string) { m.turn, m.asked, m.stopped = turn, true, false }

// Stop notes that somebody asked to stop the open turn: an end without success
// is then for that reason.
func (m *Mapper) Stop() { m.stopped = true }

// Unknown counts the lines of kinds that the format does not know.
func (m *Mapper) Unknown() map[string]int { return maps.Clone(m.unknown) }

// Map returns the events of one line, without its line break, and what was
// read in it. There is at least one event. The first has the line as Raw, or
// is of the type agent and gives it back by Line. Keys are made from key, the
// line's own; with "" they are left to the append.
func (m *Mapper) Map(line []byte, key string) ([]store.Draft, Meaning) {
	meaning, ok := m.read(line)
	var drafts []store.Draft
	if ok {
		drafts = m.drafts(&meaning, key)
	}
	switch {
	case m.format == nil && m.o.Words && m.turn != "" && !ok && plain(line):
		drafts = []store.Draft{m.words(line)}
	case len(drafts) == 0:
		d := Lines(line)
		d.Turn = m.turn
		drafts = []store.Draft{d}
	default:
		drafts[0].Raw = append([]byte{}, line...)
	}
	for i := range drafts {
		drafts[i].Key = lineKey(key, i)
	}
	return drafts, meaning
}

// plain reports whether a line is text that people read.
func plain(line []byte) bool {
	return utf8.Valid(line) && !bytes.ContainsRune(line, '\r') && !json.Valid(line)
}

// words makes text of a plain line: what a program says that is run for its
// lines is its answer.
func (m *Mapper) words(line []byte) store.Draft {
	var b body
	return store.Draft{Type: store.TypeTextDelta, Turn: m.turn, Data: b.text("text", string(line)+"\n").str("block", "output").data(), Raw: bytes.Clone(line)}
}

// lineKey is the key of a line's nth event.
func lineKey(key string, n int) string {
	if key == "" || n == 0 {
		return key
	}
	return key + "/" + strconv.Itoa(n)
}

// read asks the format. ok is false for what is no JSON object on one line:
// noise that is kept as it is.
func (m *Mapper) read(line []byte) (meaning Meaning, ok bool) {
	if m.format == nil || !utf8.Valid(line) || !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
		return meaning, false
	}
	msg, d := unwrap(line)
	if _, ok := parseObject(msg); !ok {
		return meaning, false
	}
	meaning = m.format.Read(msg, d)
	if !meaning.Known {
		m.count(meaning.Kind)
	}
	return meaning, true
}

// kindsMax bounds how many kinds are counted by name, and kindBytesMax a name.
const (
	kindsMax     = 100
	kindBytesMax = 100
	kindsOther   = "other"
)

func (m *Mapper) count(kind string) {
	if m.unknown == nil {
		m.unknown = map[string]int{}
	}
	if len(kind) > kindBytesMax || kind == "" {
		kind = kindsOther
	}
	if _, there := m.unknown[kind]; !there && len(m.unknown) >= kindsMax {
		kind = kindsOther
	}
	m.unknown[kind]++
}

// unwrap takes a line out of the envelope that two-way recordings have:
// {"t_ms":…,"dir":…,"msg":…}.
func unwrap(line []byte) (msg []byte, d Direction) {
	var w struct {
		TMs *json.Number    `json:"t_ms"`
		Dir string          `json:"dir"`
		Msg json.RawMessage `json:"msg"`
	}
	if json.Unmarshal(line, &w) != nil || w.TMs == nil || w.Msg == nil {
		return line, FromAgent
	}
	switch w.Dir {
	case "in", "client->agent":
		return w.Msg, ToAgent
	case "out", "agent->client":
		return w.Msg, FromAgent
	}
	return line, FromAgent
}

// drafts makes the events of a meaning; none when it says nothing that the log
// does not know already.
func (m *Mapper) drafts(meaning *Meaning, key string) (drafts []store.Draft) {
	ends := meaning.End != nil && m.ends(meaning.End)
	if (meaning.Place == Work || ends) && m.turn == "" {
		drafts = append(drafts, m.open(key))
	}
	for _, e := range meaning.Events {
		if d, ok := m.draft(e, lineKey(key, len(drafts))); ok {
			drafts = append(drafts, d)
		}
	}
	switch {
	case ends:
		drafts = append(drafts, m.end(meaning.End))
	case meaning.End != nil:
		if d, ok := bill(meaning.End); ok {
			d.Turn = m.turn
			drafts = append(drafts, d)
		}
	}
	return drafts
}

// ends reports whether the end is one of a turn of this stream.
func (m *Mapper) ends(e *End) bool {
	if m.o.Turn != "" || e.Own && m.asked {
		return false
	}
	return m.turn != "" || !e.Again
}

// open begins the turn that was asked for first, or else one of the agent's own.
func (m *Mapper) open(key string) store.Draft {
	if len(m.pending) > 0 {
		m.Begin(m.pending[0])
		m.pending = m.pending[1:]
	} else {
		m.turn, m.asked, m.stopped = newTurn(key), false, false
	}
	var b body
	b.str("agent", m.o.Agent).str("run", m.o.Run)
	if m.o.Lease > 0 {
		b.raw("leaseMs", strconv.AppendInt(nil, m.o.Lease.Milliseconds(), 10))
	}
	return store.Draft{Type: store.TypeTurnStart, Turn: m.turn, Data: b.data()}
}

// turnNames is the name space of turns that are named after their first line.
var turnNames = uuid.MustParse("7b0f6a52-5c0e-4f0e-9d5b-3f1a6c1f4e21")

// newTurn names a turn that nobody asked for: after its first line, so that
// the same stream gives the same turns.
func newTurn(key string) string {
	if key != "" {
		return uuid.NewSHA1(turnNames, []byte(key)).String()
	}
	id, err := uuid.NewV7()
	if err != nil {
		panic("agent: no random numbers: " + err.Error()) // the system has none left, ever
	}
	return id.String()
}

// draft places one event. ok is false when the log has no use for it.
func (m *Mapper) draft(e Event, key string) (d store.Draft, ok bool) {
	d = store.Draft{Type: e.Type, Turn: m.turn, Parent: e.Parent, Data: e.Data}
	if !acceptable(&d) {
		return d, false
	}
	switch e.Type {
	case store.TypePrompt:
		return m.prompt(d, key)
	case store.TypeStopTurn:
		if m.turn == "" || m.o.Turn != "" {
			return d, false
		}
		m.Stop()
	case store.TypeSessionInit:
		if string(e.Data) == m.init {
			return d, false
		}
		m.init = string(e.Data)
	case store.TypeTaskStart:
		if e.Task != "" {
			m.tasks.put(e.Task, m.turn)
		}
	default:
		if turn, known := m.tasks.get(e.Task); known {
			d.Turn = turn
		}
	}
	return d, true
}

// acceptable reports whether the log takes the event, whatever the agent put
// into it: a refusal would hold up all that comes after. A parent that is no
// name is left out.
func acceptable(d *store.Draft) bool {
	d.Parent = label(d.Parent)
	name := ""
	switch d.Type {
	case store.TypePermissionRequest, store.TypePermissionResponse:
		name = "requestId"
	case store.TypeTaskStart, store.TypeTaskUpdate, store.TypeTaskEnd:
		name = "taskId"
	}
	if name != "" {
		o, _ := parseObject(d.Data)
		if id := o.str(name); id == "" || len(id) > store.ParentBytesMax {
			return false
		}
	}
	return d.Check(math.MaxInt) == nil // how large it may be is known to those who append it
}

// prompt places a prompt: it steers the turn that is open, or asks for one.
func (m *Mapper) prompt(d store.Draft, key string) (store.Draft, bool) {
	if !m.o.Prompts || m.o.Turn == "" && m.turn == "" && len(m.pending) >= pendingMax {
		return d, false
	}
	if m.turn == "" {
		d.Turn = newTurn(key)
		m.pending = append(m.pending, d.Turn)
	}
	return d, true
}

// end closes the open turn.
func (m *Mapper) end(e *End) store.Draft {
	d := store.Draft{Type: store.TypeTurnEnd, Turn: m.turn, Data: endData(e, m.stopped)}
	if !acceptable(&d) { // a turn ends also when its bill cannot be read
		d.Data = endData(&End{Success: e.Success, Reason: e.Reason, Error: e.Error, Text: e.Text}, m.stopped)
	}
	m.turn, m.asked, m.stopped = "", false, false
	return d
}

func endData(e *End, stopped bool) []byte {
	reason := e.Reason
	switch {
	case reason != "":
	case e.Success:
		reason = "done"
	case stopped:
		reason = "stopped"
	default:
		reason = "error"
	}
	var b body
	b.truth("success", e.Success).str("reason", reason).str("error", e.Error).str("fullText", e.Text)
	return b.raw("usage", e.Usage).raw("costUsd", []byte(e.CostUSD)).data()
}

// bill is what an end that ends nothing still says.
func bill(e *End) (d store.Draft, ok bool) {
	usage, is := parseObject(e.Usage)
	if !is && e.CostUSD == "" {
		return d, false
	}
	var b body
	for _, name := range sortedKeys(usage) {
		b.raw(name, usage[name])
	}
	d = store.Draft{Type: store.TypeUsage, Data: b.raw("costUsd", []byte(e.CostUSD)).data()}
	return d, acceptable(&d)
}

// Exit ends the turn that is open when the stream is over. ok is false when
// none is. The event is not keyed.
func (m *Mapper) Exit(e End) (d store.Draft, ok bool) {
	if m.turn == "" || m.o.Turn != "" {
		return d, false
	}
	return m.end(&e), true
}
