package agent

import (
	"bytes"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// demotedPrefix goes before the type of an event that lost its effect and has
// no line of its own.
const demotedPrefix = TypeLine + "."

// Demote makes of an event that the log refuses for what it means, such as the
// end of a turn that has ended, one that has no meaning to the log. The line
// becomes one of the type agent, with its bytes also as Raw, so that its body is
// not that of the same line in a stream of plain lines. An event without a line
// keeps its data under the type agent.TYPE, so that it is not taken for a line.
// Both are without turn and parent, which may be why it was refused. The key
// stays: whoever sends the event again under it is told that it is there.
func Demote(d store.Draft) store.Draft {
	if isPart(&d) || d.Type == TypeLine && d.Raw == nil && lineRefs(d.Data) != nil { // it means nothing as it is
		d.Turn, d.Parent = "", ""
		return d
	}
	line := d.Raw
	if line == nil && d.Type == TypeLine {
		line, _ = Line(d.Data, nil) // data that Lines did not make is no line, and is kept below
	}
	if line == nil {
		typ := demotedPrefix + d.Type
		if store.ValidType(typ) != nil {
			typ = demotedPrefix + "event"
		}
		return store.Draft{Key: d.Key, Type: typ, Data: d.Data}
	}
	plain := Lines(line)
	plain.Data = bytes.Clone(plain.Data)
	plain.Key = d.Key
	if fitsRaw(line) {
		plain.Raw = bytes.Clone(line)
	}
	return plain
}

// fitsRaw reports whether a line can stand as the Raw of an event.
func fitsRaw(line []byte) bool { return utf8.Valid(line) && !bytes.ContainsAny(line, "\r\n") }

// Demotable reports whether the log refuses an event for what it says or means,
// so that it takes the same without that.
func Demotable(code store.Code) bool {
	switch code {
	case store.CodeTurnOpen, store.CodeTurnEnded, store.CodeNoTurn, store.CodeAnswered, store.CodePromptsFull, store.CodeNoQuestion,
		store.CodeKontaskMoved, store.CodeNoKontask, store.CodeInvalidEvent, store.CodeInvalidUTF8, store.CodeInvalidJSON,
		store.CodeInvalidType, store.CodeReservedType:
		return true
	}
	return false
}
