package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

// The limits of a Redactor.
const (
	SecretBytesMin  = 6 // a shorter value stands in ordinary text
	secretBytesMax  = 1 << 20
	secretsMax      = 1000 // of all kinds: each costs memory, and none costs time
	patternBytesMax = 4096
	markNameMax     = 64
)

// Secret is a value that must not be in the log.
type Secret struct {
	Name  string // stands in its place; of letters, digits, and _ . -
	Value string
}

// RedactPattern is a regular expression for secrets. If it has a group, the
// first one is the secret and the rest what stands around it.
type RedactPattern struct {
	Name    string
	Pattern string
}

// RedactOptions say what a Redactor takes.
type RedactOptions struct {
	Secrets    []Secret
	Patterns   []RedactPattern
	NoDefaults bool // without the tokens and keys that are known by their form
}

// Redactor takes secrets out of lines: given values, what given patterns find,
// and tokens and keys that are known by their form. [redacted:NAME] stands in
// their place, and a line of JSON stays one.
//
// It finds them however a JSON string escapes them, also in JSON within a
// string. It does not find what is encoded otherwise, such as in base64, or
// spread over several lines, such as the deltas of a text. Safe for concurrent
// use.
type Redactor struct {
	scan     *scanner
	patterns []pattern
	always   bool // a pattern may stand anywhere, so that every line is looked at closely
}

// pattern is a user's pattern.
type pattern struct {
	name  string
	re    *regexp.Regexp
	group int
}

// NewRedactor returns a redactor, or says what is wrong with the options.
// Neither its errors nor what it prints has a secret in it.
func NewRedactor(o RedactOptions) (*Redactor, error) {
	if n := len(o.Secrets) + len(o.Patterns); n > secretsMax {
		return nil, fmt.Errorf("redact: %d secrets and patterns, the limit is %d", n, secretsMax)
	}
	var forms []form
	if !o.NoDefaults {
		forms = slices.Clone(defaultForms)
	}
	for _, s := range o.Secrets {
		f, err := secretForm(s)
		if err != nil {
			return nil, fmt.Errorf("redact: secret %q: %w", s.Name, err)
		}
		forms = append(forms, f)
	}
	r := &Redactor{}
	for _, p := range o.Patterns {
		f, err := r.addPattern(p)
		if err != nil {
			return nil, fmt.Errorf("redact: pattern %q: %w", p.Name, err)
		}
		forms = append(forms, f...)
	}
	r.scan = newScanner(forms)
	return r, nil
}

// patternAnchorMin is how much of a pattern must be fixed for lines without it
// to be passed over.
const patternAnchorMin = 3

// addPattern compiles a pattern. The form that it returns only tells that the
// pattern is worth a look.
func (r *Redactor) addPattern(p RedactPattern) ([]form, error) {
	if err := checkMarkName(p.Name); err != nil {
		return nil, err
	}
	if len(p.Pattern) > patternBytesMax {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", len(p.Pattern), patternBytesMax)
	}
	re, err := regexp.Compile(p.Pattern)
	if err != nil {
		return nil, err
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("%s matches nothing at all, and so everywhere", p.Pattern)
	}
	r.patterns = append(r.patterns, pattern{name: p.Name, re: re, group: min(1, re.NumSubexp())})
	prefix, _ := re.LiteralPrefix()
	if run, _ := safeRun(prefix); len(run) >= patternAnchorMin {
		return []form{{name: p.Name, anchors: []string{run}}}, nil
	}
	r.always = true
	return nil, nil
}

// checkMarkName refuses names that a mark cannot have.
func checkMarkName(name string) error {
	if name == "" || len(name) > markNameMax {
		return fmt.Errorf("a name of 1 to %d letters, digits, and _ . - is needed", markNameMax)
	}
	for i := range len(name) {
		if !markBytes[name[i]] {
			return fmt.Errorf("its name has %q: take letters, digits, and _ . -", name[i])
		}
	}
	return nil
}

// place is where a secret stands.
type place struct {
	from, to int
	name     string
	quote    bool // the mark needs quotes, because there are none around it
}

// roundsMax bounds how often a line is looked at again because what was taken
// joined what stood around it.
const roundsMax = 4

// Line takes the secrets out of a line. took counts them by name; it is nil
// when there are none, and clean is then the line itself. A text of several
// lines will do as well.
func (r *Redactor) Line(line []byte) (clean []byte, took map[string]int) {
	if !r.always && !r.scan.suspect(line) {
		return line, nil
	}
	clean = line
	isJSON := json.Valid(line)
	for round := 0; ; round++ {
		places := r.placesIn(clean, isJSON)
		if len(places) == 0 {
			break
		}
		if round == roundsMax {
			return whole(places[0].name, isJSON)
		}
		if took == nil {
			took = map[string]int{}
		}
		clean = putMarks(clean, mergePlaces(places), took)
	}
	// What is left is made of the quotes around the strings, or of marks.
	for _, p := range r.scan.values(clean) {
		if !inMarks(clean, p) {
			return whole(p.name, isJSON)
		}
	}
	return clean, took
}

func (r *Redactor) placesIn(line []byte, isJSON bool) []place {
	if isJSON {
		return r.placesInJSON(line)
	}
	return r.places(line, 0)
}

// whole is a line of which nothing can stay.
func whole(name string, isJSON bool) (clean []byte, took map[string]int) {
	p := place{name: name, quote: isJSON}
	return p.mark(nil), map[string]int{name: 1}
}

const markStart = "[redacted:"

// mark appends what stands in the place of the secret.
func (p place) mark(out []byte) []byte {
	if p.quote {
		out = append(out, '"')
	}
	out = append(append(append(out, markStart...), p.name...), ']')
	if p.quote {
		out = append(out, '"')
	}
	return out
}

// putMarks puts marks in the places, which are in order and apart.
func putMarks(line []byte, places []place, took map[string]int) []byte {
	out := make([]byte, 0, len(line)+len(places)*len(markStart))
	at := 0
	for _, p := range places {
		out = p.mark(append(out, line[at:p.from]...))
		took[p.name]++
		at = p.to
	}
	return append(out, line[at:]...)
}

// mergePlaces orders places and joins those that overlap; the longer one names them.
func mergePlaces(places []place) []place {
	slices.SortStableFunc(places, func(a, b place) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	out := places[:0]
	for _, p := range places {
		last := len(out) - 1
		if last < 0 || p.from >= out[last].to {
			out = append(out, p)
			continue
		}
		if p.to-p.from > out[last].to-out[last].from {
			out[last].name = p.name
		}
		out[last].to = max(out[last].to, p.to)
	}
	return out
}

// places finds the secrets of a text, also where it escapes them.
func (r *Redactor) places(text []byte, depth int) []place {
	found := r.placesAsIs(text)
	if depth < escapeDepthMax && bytes.IndexByte(text, '\\') >= 0 {
		plain, escapes := unescape(text)
		for _, p := range r.places(plain, depth+1) {
			found = append(found, escapes.back(p))
		}
	}
	return found
}

// placesAsIs finds the secrets that a text has letter for letter.
func (r *Redactor) placesAsIs(text []byte) []place {
	found := r.scan.find(text)
	for _, p := range r.patterns {
		for _, m := range p.re.FindAllSubmatchIndex(text, -1) {
			if from, to := m[2*p.group], m[2*p.group+1]; from < to {
				found = append(found, place{from: from, to: to, name: p.name})
			}
		}
	}
	return slices.DeleteFunc(found, func(p place) bool { return inMarks(text, p) })
}

// inMarks reports whether a place has nothing in it but marks, or a part of
// one: what was taken is not taken again.
func inMarks(text []byte, p place) bool {
	at := p.from
	for _, m := range marks(text, max(0, p.from-len(markStart)-markNameMax), p.to) {
		if m.from > at {
			return false
		}
		at = max(at, m.to)
	}
	return at >= p.to
}

// marks lists the marks that begin within a part of a text.
func marks(text []byte, from, to int) (found []place) {
	for from < to {
		i := bytes.Index(text[from:min(len(text), to+len(markStart))], []byte(markStart))
		if i < 0 || from+i >= to {
			return found
		}
		start := from + i
		end := start + len(markStart)
		for end < len(text) && markBytes[text[end]] && end-start-len(markStart) < markNameMax {
			end++
		}
		from = start + 1
		if end < len(text) && text[end] == ']' && end > start+len(markStart) {
			found = append(found, place{from: start, to: end + 1})
			from = end + 1
		}
	}
	return found
}
