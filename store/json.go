package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions below walk JSON that checkJSON has already accepted. They
// exist because encoding/json cannot hand out a value's own bytes without
// scanning it twice, and the append path scans every byte of every event.

// checkJSON reports why b is not one JSON value in UTF-8, or nil.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		return Errorf(CodeInvalidUTF8, "the body is not valid UTF-8")
	}
	if json.Valid(b) {
		return checkNesting(b)
	}
	var v json.RawMessage
	err := json.Unmarshal(b, &v)
	return Errorf(CodeInvalidJSON, "not valid JSON: %v", err)
}

// NestingMax bounds how deep a value may nest. Decoders have limits of their
// own (encoding/json stops at 10,000), and the event wraps its data once more.
const NestingMax = 1000

// checkNesting refuses valid JSON that nests too deep.
func checkNesting(b []byte) error {
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) <= NestingMax {
		return nil // the usual case, at the speed of Count
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			if depth++; depth > NestingMax {
				return Errorf(CodeInvalidJSON, "JSON nested deeper than %d levels", NestingMax)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipNested(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// eachMember calls f for every member of the object b, whose key it unquotes.
func eachMember(b []byte, f func(key string, value []byte) error) error {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' {
		return Errorf(CodeInvalidEvent, "want a JSON object")
	}
	for i = skipSpace(b, i+1); b[i] != '}'; i = skipSpace(b, i) {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		end := skipString(b, i)
		key, err := Unquote(b[i:end])
		if err != nil {
			return err
		}
		i = skipSpace(b, skipSpace(b, end)+1) // over the colon
		end = skipValue(b, i)
		if err := f(key, b[i:end:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// eachElement calls f for every element of the array b.
func eachElement(b []byte, f func(value []byte) error) error {
	i := skipSpace(b, 0)
	for i = skipSpace(b, i+1); b[i] != ']'; i = skipSpace(b, i) {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		end := skipValue(b, i)
		if err := f(b[i:end:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// Unquote decodes a JSON string, whose form has been checked. It refuses half
// of a surrogate pair: that is no character, and what encoding/json puts in
// its place would make two different keys the same.
func Unquote(b []byte) (string, error) {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1]), nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return "", fmt.Errorf("unquote %.40q: %w", b, err)
	}
	if strings.ContainsRune(s, utf8.RuneError) && loneSurrogate(b) {
		return "", Errorf(CodeInvalidUTF8, "%.60s holds half of a surrogate pair, which is no character", b)
	}
	return s, nil
}

// loneSurrogate reports whether a valid JSON string holds an escape of one
// half of a surrogate pair without the other.
func loneSurrogate(b []byte) bool {
	half := func(i int) (rune, bool) {
		if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		return rune(n), err == nil && utf16.IsSurrogate(rune(n))
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		first, ok := half(i)
		if !ok {
			i++ // over the escaped character
			continue
		}
		second, ok := half(i + 6)
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 11
	}
	return false
}

// oneLine turns the line breaks between tokens into spaces, in place: in valid
// JSON no raw line break can stand anywhere else (P8).
func oneLine(b []byte) {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
}
