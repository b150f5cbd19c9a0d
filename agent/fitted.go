package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// FittedLine gives back the line of an event whose data Fit made, from its
// blobs; ok is false when it did not, or the event had no line. Readers of lines
// ask it before Line, of events without Raw.
func FittedLine(data []byte, read func(sha256 string) ([]byte, error)) (line []byte, ok bool, err error) {
	refs := lineRefs(data)
	if refs == nil {
		return nil, false, nil
	}
	for _, ref := range refs {
		part, err := read(ref.SHA256)
		if err != nil {
			return nil, true, fmt.Errorf("line of an event, blob %s: %w", ref.SHA256, err)
		}
		if int64(len(part)) != ref.Bytes {
			return nil, true, fmt.Errorf("line of an event, blob %s: it has %d bytes, the event says %d", ref.SHA256, len(part), ref.Bytes)
		}
		line = append(line, part...)
	}
	return line, true, nil
}

// lineRefs are the blobs of the line of fitted data, or nil.
func lineRefs(data []byte) (refs []BlobRef) {
	if !looksFitted(data) {
		return nil
	}
	var d struct {
		Line  *BlobRef  `json:"line"`
		Lines []BlobRef `json:"lines"`
	}
	if json.Unmarshal(data, &d) != nil {
		return nil
	}
	if refs = d.Lines; d.Line != nil {
		refs = []BlobRef{*d.Line}
	}
	for _, ref := range refs {
		if _, ok := store.BlobHash(ref.SHA256); !ok {
			return nil
		}
	}
	return refs
}

// looksFitted reports whether data begins as Fit lets it begin. An agent's own
// line that does must be kept as Raw, so that it is not taken for one.
func looksFitted(data []byte) bool {
	return bytes.HasPrefix(data, []byte(`{"line":{"sha256":"`)) || bytes.HasPrefix(data, []byte(`{"lines":[{"sha256":"`))
}

// ellipsis ends a text that was cut.
const ellipsis = "…"

// cutTexts cuts the strings of a JSON value to keep bytes, as they are escaped,
// at any depth, but for ids and names. It goes over the value once, whatever it
// looks like: how deep a line nests is for others to choose.
func cutTexts(value []byte, keep int) []byte {
	var out []byte
	name, from := []byte(nil), 0
	for i := 0; i < len(value); {
		switch value[i] {
		case '"':
			end := textEnd(value, i)
			if isMemberName(value, end) {
				name = value[i+1 : end-1]
			} else if end-i-2 > keep && !fixed(string(name)) {
				out = append(out, value[from:i+1]...)
				out = append(out, value[i+1:i+1+textCut(value[i+1:end-1], keep)]...)
				out = append(out, ellipsis+`"`...)
				from = end
			}
			i = end
			continue
		case '{', '[', ',':
			name = nil // the value that follows is another member's, or none's
		}
		i++
	}
	if from == 0 {
		return value
	}
	return append(out, value[from:]...)
}

// textEnd returns the index after the string that begins at i. The value is
// valid JSON.
func textEnd(value []byte, i int) int {
	for i++; value[i] != '"'; i++ {
		if value[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// isMemberName reports whether the string that ends before i is followed by a
// colon: nothing else in JSON is.
func isMemberName(value []byte, i int) bool {
	for ; i < len(value); i++ {
		switch value[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return value[i] == ':'
		}
	}
	return false
}

// textCut returns how many of the first keep bytes of what stands between the
// quotes of a JSON string are whole characters.
func textCut(text []byte, keep int) int {
	n := 0
	for n < len(text) {
		size := 1
		switch {
		case text[n] != '\\':
			_, size = utf8.DecodeRune(text[n:])
		case text[n+1] == 'u':
			size = 6
			if utf16.IsSurrogate(hexUnit(text[n+2:])) && n+12 <= len(text) && text[n+6] == '\\' && text[n+7] == 'u' {
				size = 12 // both halves of a pair
			}
		default:
			size = 2
		}
		if n+size > keep {
			break
		}
		n += size
	}
	return n
}

// hexUnit is the value of four hex digits.
func hexUnit(digits []byte) (r rune) {
	for _, c := range digits[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
