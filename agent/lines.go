package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// TypeLine is the type of an event that carries an agent's line as it came.
const TypeLine = "agent"

// encoded is the data of a line that is not UTF-8 and so has no place in JSON.
type encoded struct {
	Encoding string `json:"encoding"`
	Bytes    []byte `json:"bytes"`
}

const encodingBase64 = "base64"

// Lines maps one line, without its line break, to an event. Data is the line
// itself when it is a JSON value, an object with the bytes in base64 when it is
// not UTF-8, else a JSON string. Raw is set only where data alone would not
// give the line back, such as a JSON value with space around it.
func Lines(line []byte) store.Draft {
	d := store.Draft{Type: TypeLine, Data: lineData(line)}
	if back, err := Line(d.Data, nil); err != nil || !bytes.Equal(back, line) || looksFitted(d.Data) {
		d.Raw = bytes.Clone(line)
	}
	return d
}

func lineData(line []byte) []byte {
	switch {
	case !utf8.Valid(line):
		return mustJSON(encoded{Encoding: encodingBase64, Bytes: line})
	case !bytes.ContainsAny(line, "\r\n") && isData(line):
		return bytes.Trim(line, " \t")
	}
	return textData(line)
}

// isData reports whether the log takes the line as data: JSON that nests too
// deep is kept as text.
func isData(line []byte) bool {
	d := store.Draft{Type: TypeLine, Data: line}
	return d.Check(math.MaxInt) == nil
}

// textData makes a JSON string that keeps <, > and & readable.
func textData(line []byte) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(line)); err != nil {
		panic("agent: a line did not encode: " + err.Error()) // encoding/json encodes every string
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("agent: a struct of strings did not encode: " + err.Error())
	}
	return b
}

// Line is the inverse of Lines: it gives back the bytes of the line that an
// event of the type "agent" was made from.
func Line(data, raw []byte) ([]byte, error) {
	if raw != nil {
		return raw, nil
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("line of an event: it has no data")
	}
	switch data[0] {
	case '"':
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, fmt.Errorf("line of an event: %w", err)
		}
		return []byte(s), nil
	case '{':
		// Only the exact bytes that Lines writes count, so that an agent's own
		// object with the same members is not taken for an encoded line.
		var e encoded
		if json.Unmarshal(data, &e) == nil && e.Encoding == encodingBase64 && bytes.Equal(mustJSON(e), data) && !utf8.Valid(e.Bytes) {
			return e.Bytes, nil
		}
	}
	return data, nil
}

// EncodedLineMax is the most bytes that a line of n bytes can become as data:
// a control character takes six.
func EncodedLineMax(n int) int { return max(6*n+2, base64.StdEncoding.EncodedLen(n)+64) }
