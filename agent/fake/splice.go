package fake

import (
	"bytes"
	"encoding/json"
	"strings"
)

// member finds the value of a member of an object. ok is false when it is not
// there, or the text is no object.
func member(object []byte, name string) (start, end int, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return 0, 0, false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return 0, 0, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return 0, 0, false
		}
		if key == name {
			end = int(dec.InputOffset())
			return end - len(value), end, true
		}
	}
	return 0, 0, false
}

// set gives the member at the end of the path another value, and leaves every
// other byte as it is. A last member that is not there is added; an object on
// the way that is not there leaves all as it is.
func set(object []byte, value string, path ...string) []byte {
	start, end, ok := member(object, path[0])
	switch {
	case ok && len(path) > 1:
		value = string(set(object[start:end], value, path[1:]...))
	case !ok && len(path) > 1:
		return object
	case !ok:
		return add(object, path[0], value)
	}
	return bytes.Join([][]byte{object[:start], []byte(value), object[end:]}, nil)
}

// add adds a last member to an object.
func add(object []byte, name, value string) []byte {
	i := bytes.LastIndexByte(object, '}')
	if i < 0 {
		return object
	}
	sep := ","
	if strings.TrimSpace(string(object[:i])) == "{" {
		sep = ""
	}
	return bytes.Join([][]byte{object[:i], []byte(sep + quote(name) + ":" + value), object[i:]}, nil)
}

// quote writes a JSON string.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("fake: a string did not encode: " + err.Error()) // encoding/json encodes every string
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// drop takes a member out of an object.
func drop(object []byte, name string) []byte {
	start, end, ok := member(object, name)
	if !ok {
		return object
	}
	from := bytes.LastIndex(object[:start], []byte(quote(name)))
	if from < 0 {
		return object // the name is written with escapes
	}
	before, after := bytes.TrimRight(object[:from], " \t\r\n"), bytes.TrimLeft(object[end:], " \t\r\n")
	if rest, more := bytes.CutPrefix(after, []byte(",")); more {
		after = bytes.TrimLeft(rest, " \t\r\n")
	} else {
		before = bytes.TrimSuffix(before, []byte(","))
	}
	return append(bytes.Clone(before), after...)
}
