package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// Limits of one draft. They are part of the protocol, so they are constants;
// the size of an event is a setting (EventBytesDefault).
const (
	KeyBytesMax       = 128     // P13
	TypeBytesMax      = 64      // [a-z][a-z0-9_.-]{0,63}
	TurnBytesMax      = 256     // a requestId or UUID; room for a URL-like id
	ParentBytesMax    = 256     // a tool or task id
	EventBytesDefault = 1 << 20 // P16: type, turn, parent, data and raw together
)

// Draft is an event before the engine has numbered it.
type Draft struct {
	Key    string // "" or the idempotency key, for the life of the session (P13)
	Type   string
	Turn   string
	Parent string
	Data   []byte // a JSON value; nil is null
	Raw    []byte // an agent's own line, or nil

	// ID and Time are used only with AppendOptions.Restore.
	ID   int64
	Time time.Time

	assigned bool  // the turn was not the sender's word
	adopted  bool  // nor the parent
	checked  *byte // the first byte of the Data that is known to be one JSON value on one line
}

// reservedTypes are the names of control frames: on a WebSocket the reader of
// PROTOCOL.md section 4 would take such an event for a frame. "error" is not
// among them, because it is also the type of an agent's own error (section 2).
var reservedTypes = map[string]bool{
	"hello": true, "caught_up": true, "status": true, "ping": true, "pong": true, "gap": true,
	"reset": true, "ack": true, "bye": true, "subscribe": true, "unsubscribe": true,
	"append": true, "auth": true, "auth_expiring": true,
}

// ValidType reports why t cannot be the type of an event, or nil.
func ValidType(t string) error {
	if t == "" {
		return Errorf(CodeInvalidType, "type is missing: every event needs one, such as \"text_delta\"")
	}
	ok := len(t) <= TypeBytesMax && t[0] >= 'a' && t[0] <= 'z'
	for i := 1; ok && i < len(t); i++ {
		c := t[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return Errorf(CodeInvalidType, "type %.80q: use a lower-case letter, then at most 63 of a-z 0-9 _ . -", t)
	}
	if reservedTypes[t] {
		return Errorf(CodeReservedType, "type %q is the name of a control frame; choose another", t)
	}
	return nil
}

// Check validates the draft and brings Data into the form that is stored: nil
// becomes null and line breaks between tokens become spaces, in place. max is
// the size limit in bytes; 0 means EventBytesDefault.
func (d *Draft) Check(max int) error {
	if max == 0 {
		max = EventBytesDefault
	}
	if err := ValidType(d.Type); err != nil {
		return err
	}
	if err := checkLabel("key", d.Key, KeyBytesMax); err != nil {
		return err
	}
	if err := checkLabel("turn", d.Turn, TurnBytesMax); err != nil {
		return err
	}
	if err := checkLabel("parent", d.Parent, ParentBytesMax); err != nil {
		return err
	}
	if n := d.Size(); n > max {
		return Errorf(CodeEventTooLarge, "event of %d bytes is over the limit of %d; store the content elsewhere and refer to it", n, max)
	}
	if err := d.checkBody(); err != nil {
		return err
	}
	if year := d.Time.UTC().Year(); year < 1 || year > 9999 { // which no client could read
		return Errorf(CodeInvalidEvent, "the year %d is not one from 1 to 9999", year)
	}
	return d.checkTurn()
}

// checkTurn makes the turn of an event that begins, ends or asks for one what
// its requestId says: they are the same thing (section 1).
func (d *Draft) checkTurn() error {
	switch d.Type {
	case TypePrompt, TypeTurnStart, TypeTurnEnd, TypeStopTurn:
	default:
		return nil
	}
	id := text(field(d.Data, "requestId"))
	switch {
	case id == "" || id == d.Turn:
		return nil
	case d.Turn != "":
		return Errorf(CodeInvalidEvent, "turn is %.80q and requestId is %.80q; they are the same thing, give one of them", d.Turn, id)
	}
	d.Turn, d.assigned = id, true
	return checkLabel("requestId", id, TurnBytesMax)
}

// NeedsTurn reports whether the draft opens a turn, or asks for one, that
// nobody has named.
func (d *Draft) NeedsTurn() bool {
	return d.Turn == "" && (d.Type == TypePrompt || d.Type == TypeTurnStart)
}

// AssignTurn gives the draft a turn that its sender did not name. It does not
// change BodyHash: the sender may send the same again.
func (d *Draft) AssignTurn(turn string) { d.Turn, d.assigned = turn, true }

func (d *Draft) checkBody() error {
	if d.Raw != nil && (!utf8.Valid(d.Raw) || bytes.ContainsAny(d.Raw, "\r\n")) {
		return Errorf(CodeInvalidEvent, "raw must be one line of UTF-8")
	}
	if len(d.Data) > 0 && d.checked == &d.Data[0] {
		return nil
	}
	if d.Data == nil {
		d.Data = []byte("null")
	}
	if err := checkJSON(d.Data); err != nil {
		return err
	}
	if bytes.ContainsAny(d.Data, "\r\n") {
		oneLine(d.Data)
	}
	d.Data = bytes.Trim(d.Data, " \t")
	d.checked = &d.Data[0]
	return nil
}

// Size is what the event counts against the size limit, in bytes.
func (d *Draft) Size() int {
	return len(d.Type) + len(d.Turn) + len(d.Parent) + len(d.Data) + len(d.Raw)
}

func checkLabel(name, s string, max int) error {
	if len(s) > max {
		return Errorf(CodeInvalidEvent, "%s of %d bytes is over the limit of %d", name, len(s), max)
	}
	if !utf8.ValidString(s) {
		return Errorf(CodeInvalidUTF8, "%s is not valid UTF-8", name)
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return Errorf(CodeInvalidEvent, "%s holds a control character", name)
		}
	}
	return nil
}

// Adopt gives the draft a turn and a parent where it has none. Like AssignTurn
// it does not change BodyHash.
func (d *Draft) Adopt(turn, parent string) {
	if d.Turn == "" && turn != "" {
		d.AssignTurn(turn)
	}
	if d.Parent == "" && parent != "" {
		d.Parent, d.adopted = parent, true
	}
}

// BodyHash identifies the draft's content, so that the same key with another
// body can be refused (P13). It does not
// cover Key, ID and Time, nor a turn that was not the sender's word.
func (d *Draft) BodyHash() [16]byte {
	h := sha256.New()
	var n [8]byte
	turn := d.Turn
	if d.assigned {
		turn = ""
	}
	parent := d.Parent
	if d.adopted {
		parent = ""
	}
	for _, part := range [][]byte{[]byte(d.Type), []byte(turn), []byte(parent), d.Data, d.Raw} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	if d.Raw == nil { // an absent line and an empty one are not the same body
		h.Write([]byte{0})
	}
	return [16]byte(h.Sum(nil)[:16])
}

// ParseDrafts decodes the body of an append: one event object or an array of
// them. The drafts refer to body, whose line breaks become spaces.
func ParseDrafts(body []byte) ([]Draft, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	oneLine(body)
	if i := skipSpace(body, 0); body[i] != '[' {
		d, err := parseDraft(body)
		return []Draft{d}, err
	}
	var drafts []Draft
	err := eachElement(body, func(value []byte) error {
		d, err := parseDraft(value)
		if err != nil {
			return prefix(err, "event %d: ", len(drafts))
		}
		drafts = append(drafts, d)
		return nil
	})
	if err == nil && len(drafts) == 0 {
		err = Errorf(CodeInvalidEvent, "the array is empty: send at least one event")
	}
	return drafts, err
}

// ParseDraft decodes one event object, such as a line of NDJSON.
func ParseDraft(line []byte) (Draft, error) {
	if err := checkJSON(line); err != nil {
		return Draft{}, err
	}
	oneLine(line)
	return parseDraft(line)
}

// parseDraft reads a checked object. Unknown members are refused: a misspelt
// one would otherwise be lost in silence.
func parseDraft(obj []byte) (Draft, error) {
	d := Draft{Data: []byte("null")}
	err := eachMember(obj, func(key string, value []byte) (err error) {
		switch key {
		case "data":
			d.Data = value
		case "raw":
			d.Raw, err = ParseRaw(value)
		case "type":
			d.Type, err = stringMember(key, value)
		case "turn":
			d.Turn, err = stringMember(key, value)
		case "parent":
			d.Parent, err = stringMember(key, value)
		case "key":
			d.Key, err = stringMember(key, value)
		default:
			err = Errorf(CodeInvalidEvent, "unknown member %.40q; an event has type, turn, parent, key, data and raw", key)
		}
		return err
	})
	d.checked = &d.Data[0]
	return d, err
}

func stringMember(key string, value []byte) (string, error) {
	if value[0] == 'n' { // null is the same as absent
		return "", nil
	}
	if value[0] != '"' {
		return "", Errorf(CodeInvalidEvent, "%s must be a string", key)
	}
	return Unquote(value)
}

// ParseRaw turns the value of an event's "raw" back into the line: the content
// of a string, the bytes of any other value; nil for null.
func ParseRaw(value []byte) ([]byte, error) {
	switch value[0] {
	case 'n':
		return nil, nil
	case '"':
		s, err := Unquote(value)
		return []byte(s), err
	}
	return value, nil
}
