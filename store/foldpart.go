package store

import (
	"bytes"
	"encoding/json"
	"slices"
)

// kind is what a block holds.
type kind uint8

const (
	kindText kind = iota
	kindThinking
	kindTool
)

// wholeTypes are the types that a run gets.
var wholeTypes = [...]string{kindText: TypeText, kindThinking: TypeThinking, kindTool: TypeToolStart}

// role is what an event does to blocks.
type role uint8

const (
	roleNone   role = iota
	roleDelta       // adds to a block
	roleWhole       // replaces a block
	roleCloses      // ends the open block without a name
)

// part is an event as the fold sees it.
type part struct {
	role       role
	kind       kind
	clean      bool   // a delta of nothing but text and block (or id): it can be joined and left out
	superseded bool   // it is left out
	text       []byte // between the quotes, as it was appended
	key        []byte // the value of block or id, or nil
}

// parsePart says what an event is to the fold. It takes any bytes, for they may
// come from a damaged disk; what is not understood has no role. Nor has a
// redacted event, which no reader sees.
func parsePart(e *Event) part {
	if len(e.Data) == 0 || e.From != 0 {
		return part{}
	}
	switch e.Type {
	case TypeTextDelta:
		return parseBlock(e.Data, roleDelta, kindText, "block")
	case TypeText:
		return parseBlock(e.Data, roleWhole, kindText, "block")
	case TypeThinkingDelta:
		return parseBlock(e.Data, roleDelta, kindThinking, "block")
	case TypeThinking:
		return parseBlock(e.Data, roleWhole, kindThinking, "block")
	case TypeToolDelta:
		p := parseBlock(e.Data, roleDelta, kindTool, "id")
		if p.key == nil {
			return part{}
		}
		return p
	case TypeToolStart:
		return parseTool(e.Data)
	case TypePrompt, TypeTurnStart, TypeTurnEnd:
		return part{role: roleCloses}
	}
	return part{}
}

// parseBlock reads data of the form {"text":…} with the block's name or
// without.
func parseBlock(data []byte, r role, k kind, name string) part {
	p := part{role: r, kind: k}
	if p.parsePlain(data, name) {
		p.clean = r == roleDelta && len(data)-len(p.text) <= foldFrameMax
		return p
	}
	p.text = nil
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || len(members["text"]) == 0 || members["text"][0] != '"' {
		return part{}
	}
	if p.key = members[name]; p.key != nil && !scalar(p.key) {
		return part{}
	}
	return p
}

// parseTool reads the data of a tool_start. Whatever its data it closes.
func parseTool(data []byte) part {
	p := part{role: roleCloses, kind: kindTool}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members["id"] == nil || !scalar(members["id"]) {
		return p
	}
	p.key = members["id"]
	if input := members["input"]; input != nil && string(input) != "null" {
		p.role = roleWhole
	}
	return p
}

// scalar reports whether a value can name a block: a string or a number.
func scalar(v []byte) bool { return v[0] == '"' || v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// parsePlain reads what nearly every delta is, an object of a text and perhaps
// a name, in one pass over bytes that need not be JSON. It reports whether the
// data is just that, each once.
func (p *part) parsePlain(data []byte, name string) bool {
	seen := false
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return false
	}
	for {
		i = skipSpace(data, i+1) // over the brace or comma
		end := stringEnd(data, i)
		if end < 0 {
			return false
		}
		key := data[i+1 : end-1]
		if i = skipSpace(data, end); i == len(data) || data[i] != ':' {
			return false
		}
		i = skipSpace(data, i+1)
		switch {
		case string(key) == "text" && !seen:
			if end = stringEnd(data, i); end < 0 {
				return false
			}
			p.text, seen = data[i+1:end-1:end-1], true
		case string(key) == name && p.key == nil:
			if end = scalarEnd(data, i); end < 0 {
				return false
			}
			p.key = data[i:end:end]
		default:
			return false
		}
		if i = skipSpace(data, end); i == len(data) {
			return false
		}
		if data[i] == '}' {
			return seen && skipSpace(data, i+1) == len(data)
		}
		if data[i] != ',' {
			return false
		}
	}
}

// stringEnd returns the index after the string that begins at i, or -1.
func stringEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// scalarEnd returns the index after the string or number that begins at i, or -1.
func scalarEnd(b []byte, i int) int {
	if i < len(b) && b[i] == '"' {
		return stringEnd(b, i)
	}
	end := i
	for end < len(b) && bytes.IndexByte([]byte("+-.0123456789eE"), b[end]) >= 0 {
		end++
	}
	if end == i || !slices.Contains([]byte("-0123456789"), b[i]) {
		return -1
	}
	return end
}
