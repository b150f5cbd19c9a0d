package agent

import (
	"bytes"
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeDepthMax bounds how deep JSON within JSON strings is looked into.
const escapeDepthMax = 4

// The escapes of one letter, and what they mean.
const (
	shortEscapes  = `"\/bfnrt`
	shortMeanings = "\"\\/\b\f\n\r\t"
)

// escape is a place where a text and the one that it escapes differ.
type escape struct {
	plain, plainBytes int
	text, textBytes   int
}

// escapes lead from a plain text back to the text that it was made of.
type escapes []escape

// unescape takes one layer of JSON's escapes off a text. What is no escape
// stays as it is.
func unescape(text []byte) (plain []byte, e escapes) {
	plain = make([]byte, 0, len(text))
	at := 0
	for {
		i := bytes.IndexByte(text[at:], '\\')
		if i < 0 {
			return append(plain, text[at:]...), e
		}
		plain = append(plain, text[at:at+i]...)
		at += i
		before := len(plain)
		var n int
		if plain, n = appendEscaped(plain, text[at:]); n == 0 {
			plain = append(plain, '\\')
			at++
			continue
		}
		e = append(e, escape{plain: before, plainBytes: len(plain) - before, text: at, textBytes: n})
		at += n
	}
}

// appendEscaped appends what the escape means that text begins with, and says
// how many bytes it has; 0 when it is none.
func appendEscaped(plain, text []byte) ([]byte, int) {
	if len(text) < 2 {
		return plain, 0
	}
	if i := bytes.IndexByte([]byte(shortEscapes), text[1]); i >= 0 {
		return append(plain, shortMeanings[i]), 2
	}
	r, ok := hex4(text)
	if !ok {
		return plain, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(text[6:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return utf8.AppendRune(plain, utf16.DecodeRune(r, low)), 12
		}
		r = utf8.RuneError
	}
	return utf8.AppendRune(plain, r), 6
}

// hex4 reads \uXXXX.
func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		c = lowerByte(c)
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// back is the place in the text of a place in the plain one.
func (e escapes) back(p place) place {
	from, _ := e.origin(p.from)
	_, to := e.origin(p.to - 1)
	p.from, p.to = from, to
	return p
}

// origin says which bytes of the text a byte of the plain one was made of.
func (e escapes) origin(plain int) (from, to int) {
	i := sort.Search(len(e), func(i int) bool { return e[i].plain > plain }) - 1
	if i < 0 {
		return plain, plain + 1
	}
	if x := e[i]; plain < x.plain+x.plainBytes {
		return x.text, x.text + x.textBytes
	}
	from = e[i].text + e[i].textBytes + plain - e[i].plain - e[i].plainBytes
	return from, from + 1
}

// snap widens a place in the text so that it cuts no escape.
func (e escapes) snap(p place) place {
	if x, cut := e.at(p.from); cut {
		p.from = x.text
	}
	if x, cut := e.at(p.to); cut {
		p.to = x.text + x.textBytes
	}
	return p
}

// at is the escape that a cut there would break.
func (e escapes) at(text int) (x escape, cut bool) {
	i := sort.Search(len(e), func(i int) bool { return e[i].text >= text }) - 1
	if i < 0 || text >= e[i].text+e[i].textBytes {
		return x, false
	}
	return e[i], true
}

// placesInJSON finds the secrets in a line that is JSON. They are parts of the
// insides of strings, and numbers: what holds these together stays.
func (r *Redactor) placesInJSON(line []byte) (found []place) {
	across := mergePlaces(r.placesAsIs(line)) // also what is in several strings, such as a name and its value
	for at := 0; at < len(line); {
		in := jsonToken(line, at)
		at = in.to
		if in.name == "" {
			continue
		}
		for len(across) > 0 && across[0].to <= in.from {
			across = across[1:]
		}
		if in.quote {
			found = append(found, r.placeOfNumber(line, in, across)...)
		} else {
			found = append(found, r.placesInString(line, in, across)...)
			at++ // the closing quote
		}
	}
	return found
}

// jsonToken is the inside of the string, or the number, that begins there; else it
// has no name.
func jsonToken(line []byte, at int) place {
	switch c := line[at]; {
	case c == '"':
		return place{from: at + 1, to: at + 1 + stringBytes(line[at+1:]), name: "string"}
	case c == '-' || '0' <= c && c <= '9':
		end := at + 1
		for end < len(line) && numberBytes[line[end]] {
			end++
		}
		return place{from: at, to: end, name: "number", quote: true}
	}
	return place{from: at, to: at + 1}
}

// stringBytes is how long the inside of a string is, up to its closing quote.
func stringBytes(text []byte) int {
	for at := 0; ; {
		i := bytes.IndexAny(text[at:], `"\`)
		if i < 0 {
			return len(text) // not in what is valid
		}
		if at += i; text[at] == '"' {
			return at
		}
		at += 2
	}
}

func (r *Redactor) placesInString(line []byte, in place, across []place) (found []place) {
	inside := line[in.from:in.to]
	plain, e := inside, escapes(nil)
	if bytes.IndexByte(inside, '\\') >= 0 {
		plain, e = unescape(inside)
	}
	for _, p := range r.places(plain, 1) {
		found = append(found, e.back(p))
	}
	for _, p := range across {
		if p.from >= in.to {
			break
		}
		found = append(found, e.snap(place{from: max(p.from, in.from) - in.from, to: min(p.to, in.to) - in.from, name: p.name}))
	}
	for i := range found {
		found[i].from += in.from
		found[i].to += in.from
	}
	return found
}

// placeOfNumber is the whole number if there is a secret in it.
func (r *Redactor) placeOfNumber(line []byte, in place, across []place) []place {
	found := r.placesAsIs(line[in.from:in.to])
	if len(across) > 0 && across[0].from < in.to {
		found = append(found, across[0])
	}
	if len(found) == 0 {
		return nil
	}
	in.name = found[0].name
	return []place{in}
}
