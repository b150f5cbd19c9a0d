package api

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// eachMember calls f for every member of the object that b holds. It checks the
// object's own form and finds where each value ends, but not what is inside
// the values: f does, so that the events of a frame, which are nearly all of
// it, are not scanned once more. A nested value that is unsound may therefore
// end in the wrong place; f then refuses it, or the form does.
func eachMember(b []byte, f func(name string, value []byte) error) error {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' {
		return store.Errorf(store.CodeInvalidJSON, "want a JSON object")
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return atEnd(b, i+1)
	}
	for {
		name, value, next, err := member(b, i)
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
		switch i = skipSpace(b, next); {
		case i == len(b):
			return errBroken(i)
		case b[i] == '}':
			return atEnd(b, i+1)
		case b[i] != ',':
			return errBroken(i)
		}
		i = skipSpace(b, i+1)
	}
}

// member reads the name and the value that begin at i.
func member(b []byte, i int) (name string, value []byte, next int, err error) {
	if i >= len(b) || b[i] != '"' {
		return "", nil, 0, errBroken(i)
	}
	end := skipValue(b, i)
	if end < 0 {
		return "", nil, 0, errBroken(i)
	}
	if name, err = stringValue("a member's name", b[i:end]); err != nil {
		return "", nil, 0, err
	}
	if i = skipSpace(b, end); i == len(b) || b[i] != ':' {
		return "", nil, 0, errBroken(i)
	}
	i = skipSpace(b, i+1)
	if end = skipValue(b, i); end <= i {
		return "", nil, 0, errBroken(i)
	}
	return name, b[i:end:end], end, nil
}

func atEnd(b []byte, i int) error {
	if i = skipSpace(b, i); i != len(b) {
		return errBroken(i)
	}
	return nil
}

func errBroken(i int) error {
	return store.Errorf(store.CodeInvalidJSON, "not valid JSON at byte %d", i)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index after the value that begins at i, or -1 when b
// ends before it does.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if i >= len(b) {
				return -1
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth == 0 {
				return skipScalar(b, i)
			}
			continue
		}
		if depth <= 0 {
			return i + 1
		}
	}
	return -1
}

// skipScalar returns the index after the number or word that begins at i.
func skipScalar(b []byte, i int) int {
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && skipSpace(b, i) == i {
		i++
	}
	return i
}

// stringValue decodes a JSON string; null is the same as absent.
func stringValue(name string, value []byte) (string, error) {
	if string(value) == "null" {
		return "", nil
	}
	plain := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
	if plain {
		for _, c := range value[1 : len(value)-1] {
			plain = plain && c >= 0x20 && c < 0x80 && c != '\\' && c != '"'
		}
	}
	if plain {
		return string(value[1 : len(value)-1]), nil
	}
	if !utf8.Valid(value) {
		return "", store.Errorf(store.CodeInvalidUTF8, "%s is not valid UTF-8", name)
	}
	if value[0] != '"' || !json.Valid(value) {
		return "", store.Errorf(store.CodeInvalidEvent, "%s must be a string", name)
	}
	return store.Unquote(value)
}

// intValue reads a whole number that is not negative.
func intValue(name string, value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || value[0] < '0' || value[0] > '9' || value[0] == '0' && len(value) > 1 {
		return 0, store.Errorf(store.CodeInvalidEvent, "%s must be a whole number from 0", name)
	}
	return n, nil
}

func boolValue(name string, value []byte) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, store.Errorf(store.CodeInvalidEvent, "%s must be true or false", name)
}
