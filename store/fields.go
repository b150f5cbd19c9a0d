package store

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions below read single members of data that was checked when it was
// appended. They are made for the append path, where decoding every delta into
// a map would cost more than storing it, and they take any bytes: what a
// damaged disk gives is read as far as it makes sense.

// Text returns a member of the event's data that is a string, or "".
func (e *Event) Text(name string) string { return text(field(e.Data, name)) }

// Field returns the bytes of a member of the event's data, or nil. They lie
// within Data.
func (e *Event) Field(name string) json.RawMessage { return field(e.Data, name) }

// field returns the bytes of a top-level member of an object, or nil. Of
// several members with the same name the last counts, as in encoding/json.
func field(data []byte, name string) (found []byte) {
	scanFields(data, func(key, value []byte) {
		if isName(key, name) {
			found = value
		}
	})
	return found
}

// scanFields calls f for every member of data if that is an object, with the
// key as it stands between its quotes. It ends where data ceases to be JSON.
func scanFields(data []byte, f func(key, value []byte)) {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return
	}
	for {
		i = skipSpace(data, i+1) // over the brace or comma
		end := quoteEnd(data, i)
		if end < 0 {
			return
		}
		key := data[i+1 : end-1]
		if i = skipSpace(data, end); i == len(data) || data[i] != ':' {
			return
		}
		i = skipSpace(data, i+1)
		if end = valueEnd(data, i); end < 0 {
			return
		}
		f(key, data[i:end:end])
		if i = skipSpace(data, end); i == len(data) || data[i] != ',' {
			return
		}
	}
}

// isName reports whether the bytes between a key's quotes spell name.
func isName(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == name
	}
	var buf [64]byte // no name that is asked for is longer; a longer key costs an allocation
	return string(unescape(buf[:0], key)) == name
}

// quoteEnd returns the index after the string that begins at i, or -1. It
// looks for quotes only, which are rarer than escapes in what agents write.
func quoteEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for j := i + 1; ; j++ {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return -1
		}
		j += n
		k := j
		for b[k-1] == '\\' { // the opening quote ends it at the latest
			k--
		}
		if (j-k)%2 == 0 {
			return j + 1
		}
	}
}

// valueEnd returns the index after the value that begins at i, or -1.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return quoteEnd(b, i)
	case '{', '[':
		return nestedEnd(b, i)
	}
	end := i
	for end < len(b) && b[end] != ',' && b[end] != '}' && b[end] != ']' && !isSpace(b[end]) {
		end++
	}
	if end == i {
		return -1
	}
	return end
}

func nestedEnd(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := quoteEnd(b, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// text returns a JSON string's value, or "". What is no character becomes
// U+FFFD, as in encoding/json: a text that was cut within a character is still
// worth showing.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var buf [512]byte // a delta or an id; what is longer pays for a second allocation
	return string(unescape(buf[:0], inner))
}

// unescape appends what stands between the quotes of a JSON string to dst.
func unescape(dst, b []byte) []byte {
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] != '\\' && b[n] < utf8.RuneSelf {
			n++
		}
		dst, b = append(dst, b[:n]...), b[n:]
		if len(b) == 0 {
			break
		}
		r, size := utf8.RuneError, 0
		if b[0] == '\\' {
			r, size = escaped(b)
		} else {
			r, size = utf8.DecodeRune(b)
		}
		dst, b = utf8.AppendRune(dst, r), b[size:]
	}
	return dst
}

// escapes are the characters that a letter after a backslash stands for.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped returns the character that an escape at the beginning of b stands
// for, and the length of the escape.
func escaped(b []byte) (r rune, size int) {
	if len(b) < 2 {
		return utf8.RuneError, len(b)
	}
	if c := escapes[b[1]]; c != 0 {
		return rune(c), 2
	}
	r = unit(b)
	if r < 0 {
		return utf8.RuneError, 2
	}
	if !utf16.IsSurrogate(r) {
		return r, len(`\u0000`)
	}
	if r = utf16.DecodeRune(r, unit(b[6:])); r != utf8.RuneError {
		return r, 2 * len(`\u0000`)
	}
	return r, len(`\u0000`)
}

// unit returns the UTF-16 unit that an escape of the form \u0000 at the
// beginning of b names, or -1.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	r := rune(0)
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// cutText cuts s to max bytes, between two characters.
func cutText(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
