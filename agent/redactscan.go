package agent

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// form is a kind of secret. Its anchors are texts of which one stands in every
// secret of the kind; they say where to look.
type form struct {
	name    string
	anchors []string
	fold    bool // the anchors are lower case, and may be of any
	// quick says that there may be one at the anchor in [from, to) of a text
	// that may have escapes; nil is always.
	quick func(text []byte, from, to int) bool
	// find says where one is at the anchor in a text without escapes; to is 0
	// when there is none. nil: the form only asks for a close look.
	find  func(text []byte, from, to int) (start, end int)
	value string // of a form that stands for one value
}

// scanner finds the anchors of all forms in one pass. It looks up each pair of
// bytes in a set small enough to stay close to the processor, which is several
// times as fast as an automaton: nearly all pairs of a text are in no anchor.
type scanner struct {
	forms []form
	pairs [1 << 16 / 64]uint64     // the rarest pair of each anchor
	at    map[uint16][]anchorPlace // by pair
}

// anchorPlace is an anchor, and where in it its rarest pair is.
type anchorPlace struct {
	form   *form
	anchor string
	offset int
}

// escapeAnchors are what may hide an anchor in a text: a character of ASCII
// that need not be escaped, and a slash.
var escapeAnchors = []string{`\u002`, `\u003`, `\u004`, `\u005`, `\u006`, `\u007`, `\/`}

func newScanner(forms []form) *scanner {
	s := &scanner{forms: append(slices.Clip(forms), form{anchors: escapeAnchors}), at: map[uint16][]anchorPlace{}}
	for i := range s.forms {
		for _, a := range s.forms[i].anchors {
			s.add(&s.forms[i], a)
		}
	}
	return s
}

// rarity says how rare the bytes are in what agents print: the lower the rarer.
var rarity = func() (r [256]int) {
	for c := range r {
		switch {
		case 'a' <= c && c <= 'z':
			r[c] = 5
		case c == ' ', c == '"', c == ':', c == ',', c == '\\', c == '0':
			r[c] = 6
		case '1' <= c && c <= '9', c == '-', c == '_', c == '.', c == '/':
			r[c] = 4
		default:
			r[c] = 2
		}
	}
	for _, c := range "etaoinsrdu" {
		r[c] = 9
	}
	return r
}()

func (s *scanner) add(f *form, anchor string) {
	p := anchorPlace{form: f, anchor: anchor}
	if len(anchor) == 1 { // anything may follow
		for c := range 256 {
			s.addPair(anchor[0], byte(c), p)
		}
		return
	}
	best := 1 << 30
	for i := range len(anchor) - 1 {
		if score := rarity[anchor[i]] * rarity[anchor[i+1]]; score < best {
			best, p.offset = score, i
		}
	}
	first, second := anchor[p.offset], anchor[p.offset+1]
	s.addPair(first, second, p)
	if f.fold {
		s.addPair(otherCase(first), second, p)
		s.addPair(first, otherCase(second), p)
		s.addPair(otherCase(first), otherCase(second), p)
	}
}

func (s *scanner) addPair(first, second byte, p anchorPlace) {
	pair := uint16(first)<<8 | uint16(second)
	s.pairs[pair>>6] |= 1 << (pair & 63)
	if !slices.Contains(s.at[pair], p) {
		s.at[pair] = append(s.at[pair], p)
	}
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func otherCase(c byte) byte {
	if l := lowerByte(c); l != c {
		return l
	}
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// is reports whether the anchor stands in the text with its pair there.
func (p *anchorPlace) is(text []byte, pair int) (from, to int, ok bool) {
	from = pair - p.offset
	to = from + len(p.anchor)
	if from < 0 || to > len(text) {
		return 0, 0, false
	}
	if !p.form.fold {
		return from, to, string(text[from:to]) == p.anchor
	}
	for i, c := range text[from:to] {
		if lowerByte(c) != p.anchor[i] {
			return 0, 0, false
		}
	}
	return from, to, true
}

// nextPair finds the next pair at or after a place in the text; -1 when there
// is none. The last byte makes one with 0.
func (s *scanner) nextPair(text []byte, at int) int {
	if at >= len(text) {
		return -1
	}
	pair := uint16(text[at])
	for i, c := range text[at+1:] {
		pair = pair<<8 | uint16(c)
		if s.pairs[pair>>6]&(1<<(pair&63)) != 0 {
			return at + i
		}
	}
	pair <<= 8
	if s.pairs[pair>>6]&(1<<(pair&63)) != 0 {
		return len(text) - 1
	}
	return -1
}

func (s *scanner) anchors(text []byte, at int) []anchorPlace {
	pair := uint16(text[at]) << 8
	if at+1 < len(text) {
		pair |= uint16(text[at+1])
	}
	return s.at[pair]
}

// suspect reports whether the text, which may have escapes, deserves a close
// look. It does not allocate.
func (s *scanner) suspect(text []byte) bool {
	for at := s.nextPair(text, 0); at >= 0; at = s.nextPair(text, at+1) {
		places := s.anchors(text, at)
		for i := range places {
			f := places[i].form
			if from, to, ok := places[i].is(text, at); ok && (f.quick == nil || f.quick(text, from, to)) {
				return true
			}
		}
	}
	return false
}

// find lists the secrets in a text without escapes.
func (s *scanner) find(text []byte) (found []place) {
	for at := s.nextPair(text, 0); at >= 0; at = s.nextPair(text, at+1) {
		places := s.anchors(text, at)
		for i := range places {
			f := places[i].form
			from, to, ok := places[i].is(text, at)
			if !ok || f.find == nil {
				continue
			}
			if from, to := f.find(text, from, to); from < to {
				found = append(found, place{from: from, to: to, name: f.name})
			}
		}
	}
	return found
}

// values lists the given values that stand in a text letter for letter.
func (s *scanner) values(text []byte) (found []place) {
	for i := range s.forms {
		f := &s.forms[i]
		if f.value == "" {
			continue
		}
		if at := bytes.Index(text, []byte(f.value)); at >= 0 {
			found = append(found, place{from: at, to: at + len(f.value), name: f.name})
		}
	}
	return found
}

// anchorBytesMax bounds an anchor: more of it does not find less.
const anchorBytesMax = 16

// secretForm is the form of one value.
func secretForm(s Secret) (form, error) {
	if err := checkMarkName(s.Name); err != nil {
		return form{}, err
	}
	switch {
	case len(s.Value) < SecretBytesMin:
		return form{}, fmt.Errorf("it is shorter than %d bytes, and would be taken out of ordinary text", SecretBytesMin)
	case len(s.Value) > secretBytesMax:
		return form{}, fmt.Errorf("it is longer than %d bytes", secretBytesMax)
	case !utf8.ValidString(s.Value):
		return form{}, errors.New("it is not UTF-8, and so cannot stand in a line")
	}
	anchor, at := safeRun(s.Value)
	f := form{name: s.Name, value: s.Value, anchors: []string{anchor}}
	if anchor == "" {
		f.anchors, f.fold, at = firstAnchors(s.Value), true, 0
	}
	value := []byte(s.Value)
	f.find = func(text []byte, from, _ int) (start, end int) {
		if from -= at; from < 0 || !bytes.HasPrefix(text[from:], value) {
			return 0, 0
		}
		return from, from + len(value)
	}
	if plain, _ := cutSafe(s.Value); plain == s.Value { // then no escape hides a part of it
		f.quick = func(text []byte, from, to int) bool { _, end := f.find(text, from, to); return end > 0 }
	}
	return f, nil
}

// cutSafe cuts off what begins a text and has one form only in JSON, apart from
// escapes that nobody needs: these are escapeAnchors.
func cutSafe(s string) (safe, rest string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// safeRun is the longest part of a text that cutSafe cuts, up to
// anchorBytesMax, and where it stands.
func safeRun(s string) (run string, at int) {
	for rest := s; rest != ""; {
		var safe string
		here := len(s) - len(rest)
		if safe, rest = cutSafe(rest); len(safe) > len(run) {
			run, at = safe, here
		}
		if rest != "" {
			rest = rest[1:]
		}
	}
	return run[:min(len(run), anchorBytesMax)], at
}

// firstAnchors are the forms of a text's first character, of which each needs
// an escape or is not ASCII.
func firstAnchors(s string) []string {
	first, size := utf8.DecodeRuneInString(s)
	anchors := []string{s[:size], fmt.Sprintf(`\u%04x`, utf16.AppendRune(nil, first)[0])}
	if i := strings.IndexRune(shortMeanings, first); i >= 0 {
		anchors = append(anchors, `\`+shortEscapes[i:i+1])
	}
	return anchors
}
