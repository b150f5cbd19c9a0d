package store

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is one numbered entry of a session's log. It is immutable once an
// engine has handed it out: readers on every transport share its bytes.
type Event struct {
	ID      int64  // 1, 2, 3 … per session, dense
	From    int64  // of a folded event: the first id of the run that it stands for (P12); else 0
	Session string // the session's id
	Type    string
	Turn    string    // "" when the event belongs to no turn
	Parent  string    // "" or the tool call, task or event it belongs to
	Time    time.Time // the server's, UTC, milliseconds
	Data    []byte    // a JSON value on one line, as appended
	Raw     []byte    // an agent's own line, or nil

	wire []byte // the encoded object without raw, or nil; Data lies inside it
}

// Seal encodes the event once and moves Data into the encoding, so that the
// event no longer refers to the buffer that Data came in. Engines call it
// before they publish the event; afterwards the event must not be changed.
func (e *Event) Seal() {
	const envelope = 128 // the fixed keys, an id and a time; an estimate, not a limit
	size := envelope + len(e.Session) + len(e.Type) + len(e.Turn) + len(e.Parent) + len(e.Data)
	wire := e.appendHead(make([]byte, 0, size))
	start := len(wire)
	wire = append(wire, e.Data...)
	e.Data = wire[start:len(wire):len(wire)]
	e.wire = append(wire, '}')
}

// JSON returns the event object as it stands on the wire: the same bytes on
// every transport (PROTOCOL.md P4). The caller must not change them.
func (e *Event) JSON() []byte {
	if e.wire != nil {
		return e.wire
	}
	return e.AppendJSON(nil, false)
}

// WireSize is about how many bytes AppendJSON appends.
func (e *Event) WireSize(raw bool) int {
	size := len(e.JSON())
	if raw {
		size += len(e.Raw)
	}
	return size
}

// IDMax is the highest id: the highest whole number that every JSON decoder
// reads exactly (RFC 8259 section 6).
const IDMax = 1<<53 - 1

// AppendJSON appends the event object to dst. With raw the agent's own line is
// the last key: the JSON value when it is one (not a string, not null), else a
// string, so that ParseRaw gives back the bytes.
func (e *Event) AppendJSON(dst []byte, raw bool) []byte {
	if e.wire != nil {
		dst = append(dst, e.wire[:len(e.wire)-1]...)
	} else {
		dst = append(e.appendHead(dst), e.Data...)
	}
	if raw && e.Raw != nil {
		dst = append(dst, `,"raw":`...)
		dst = appendRaw(dst, e.Raw)
	}
	return append(dst, '}')
}

// appendHead writes everything up to the value of data. The key order is part
// of the protocol.
func (e *Event) appendHead(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendInt(dst, e.ID, 10)
	if e.From != 0 {
		dst = append(dst, `,"from":`...)
		dst = strconv.AppendInt(dst, e.From, 10)
	}
	dst = append(dst, `,"session":"`...)
	dst = append(dst, e.Session...) // ValidSessionID leaves nothing to escape
	dst = append(dst, `","type":"`...)
	dst = append(dst, e.Type...) // likewise ValidType
	if e.Turn != "" {
		dst = append(dst, `","turn":`...)
		dst = appendString(dst, e.Turn)
	} else {
		dst = append(dst, '"')
	}
	if e.Parent != "" {
		dst = append(dst, `,"parent":`...)
		dst = appendString(dst, e.Parent)
	}
	dst = append(dst, `,"time":"`...)
	dst = AppendTime(dst, e.Time)
	return append(dst, `","data":`...)
}

// TimeLayout is the form of every time on the wire: UTC with milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Stamp is a time that encodes in TimeLayout.
type Stamp struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (s Stamp) MarshalJSON() ([]byte, error) {
	return append(AppendTime([]byte{'"'}, s.Time), '"'), nil
}

// AppendTime appends t in TimeLayout. It stands in the path of every event,
// where time.AppendFormat would be a third of the cost of encoding one.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, TimeLayout)
	}
	hour, min, sec := t.Clock()
	ms := t.Nanosecond() / 1e6
	dst = appendTwo(appendTwo(dst, year/100), year%100)
	dst = appendTwo(append(dst, '-'), int(month))
	dst = appendTwo(append(dst, '-'), day)
	dst = appendTwo(append(dst, 'T'), hour)
	dst = appendTwo(append(dst, ':'), min)
	dst = appendTwo(append(dst, ':'), sec)
	return append(appendTwo(append(dst, '.', byte('0'+ms/100)), ms%100), 'Z')
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendString appends s as a JSON string. The short way serves what ids
// nearly always are; anything else goes through encoding/json.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("store: a string did not encode: " + err.Error()) // encoding/json encodes every string
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendRaw is the inverse of parseRaw. A raw line that is not one line of
// UTF-8 has no place in JSON; engines refuse it before it gets here.
func appendRaw(dst, raw []byte) []byte {
	if isPlainValue(raw) {
		return append(dst, raw...)
	}
	return appendString(dst, string(raw))
}

// isPlainValue reports whether raw can stand in an object as it is and be told
// from a string and from no line at all: valid JSON on one line, without space
// around it, that is neither itself a string nor null.
func isPlainValue(raw []byte) bool {
	if len(raw) == 0 || raw[0] == '"' || string(raw) == "null" || isSpace(raw[0]) || isSpace(raw[len(raw)-1]) {
		return false
	}
	for _, c := range raw {
		if c == '\n' || c == '\r' {
			return false
		}
	}
	return utf8.Valid(raw) && json.Valid(raw) && checkNesting(raw) == nil
}
