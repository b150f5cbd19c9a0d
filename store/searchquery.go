package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a query.
const (
	SearchQueryBytesMax = 512 // what a person types
	SearchTermsMax      = 32  // each is looked up by itself
	// searchPrefixMin is how many characters must stand before a star: all
	// words that begin so are gathered before the first hit is known.
	searchPrefixMin = 3
)

// SearchQuery is a parsed query.
type SearchQuery struct {
	Terms []SearchTerm // at least one is not excluded
}

// SearchTerm is a run of words that a document must have, or must not have.
type SearchTerm struct {
	Words  []string // as Words gives them; they stand one after the other
	Prefix bool     // the last word may go on
	Not    bool
}

// ParseSearch reads a query as people write it. A document is found when it
// has all words, in any order. Words in double quotes must follow one another,
// as must the parts of a word such as foo.bar; a word or quotes with a minus
// before it must not occur; a star after a word of three characters or more
// lets it go on. All other characters stand between words, so that nothing can
// be malformed. Refused is what is over a limit and what has no word that must
// occur.
func ParseSearch(query string) (*SearchQuery, error) {
	if len(query) > SearchQueryBytesMax {
		return nil, Errorf(CodeInvalidQuery, "the query of %d bytes is over the limit of %d", len(query), SearchQueryBytesMax)
	}
	if !utf8.ValidString(query) {
		return nil, Errorf(CodeInvalidQuery, "the query is not valid UTF-8")
	}
	q, wanted := &SearchQuery{}, 0
	for rest := query; rest != ""; {
		var t SearchTerm
		if t, rest = nextTerm(rest); len(t.Words) == 0 {
			continue
		}
		if len(q.Terms) == SearchTermsMax {
			return nil, Errorf(CodeInvalidQuery, "the query has more than %d terms", SearchTermsMax)
		}
		q.Terms = append(q.Terms, t)
		if !t.Not {
			wanted++
		}
	}
	switch {
	case len(q.Terms) == 0:
		return nil, Errorf(CodeInvalidQuery, "the query has no word in it: search for letters or digits")
	case wanted == 0:
		return nil, Errorf(CodeInvalidQuery, "the query only excludes: add a word that must occur")
	}
	return q, nil
}

// nextTerm takes a term off the query. It has no words when there was only
// space or punctuation.
func nextTerm(s string) (t SearchTerm, rest string) {
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	if after, ok := strings.CutPrefix(s, "-"); ok {
		t.Not, s = true, after
	}
	var text string
	if after, ok := strings.CutPrefix(s, `"`); ok {
		text, rest, _ = strings.Cut(after, `"`) // quotes that are not closed go to the end
	} else {
		end := strings.IndexFunc(s, func(r rune) bool { return r == '"' || unicode.IsSpace(r) })
		if end < 0 {
			end = len(s)
		}
		text, rest = s[:end], s[end:]
	}
	if after, ok := strings.CutPrefix(rest, "*"); ok { // "a phrase"*
		text, rest = text+"*", after
	}
	t.Words = strings.Fields(Words(text))
	if n := len(t.Words); n > 0 && strings.HasSuffix(text, "*") {
		t.Prefix = utf8.RuneCountInString(t.Words[n-1]) >= searchPrefixMin
	}
	return t, rest
}

// Bounds of a snippet.
const (
	snippetBytes  = 240 // a line or two
	snippetBefore = 60  // of those, what may stand before the first hit
	snippetHits   = 16  // places of each term that are looked at to find the best one
)

// mark is where something that was asked for stands in a text.
type mark struct{ start, end, term int }

// Snippet cuts the part out of a text that shows most of what was asked for.
// White space comes as one space.
func (q *SearchQuery) Snippet(text string) []Fragment {
	marks, count := q.marks(text, snippetHits)
	best, most := 0, 0
	for i := range marks {
		score, seen := 0, map[int]bool{}
		for _, m := range marks[i:] {
			if m.end-marks[i].start > snippetBytes-snippetBefore {
				break
			}
			if seen[m.term] {
				continue
			}
			if score, seen[m.term] = score+1, true; count[m.term] < snippetHits { // a rare one says more
				score++
			}
		}
		if score > most {
			best, most = i, score
		}
	}
	from := 0
	if len(marks) > 0 {
		from = snippetStart(text, marks[best].start)
	}
	to := snippetEnd(text, from)
	if len(marks) > 0 { // a phrase or word that is itself longer is shown as it begins
		to = max(to, min(marks[best].end, len(cutText(text, from+2*snippetBytes))))
	}
	shown := text[from:to]
	marks, _ = q.marks(shown, snippetBytes)
	all := fragments(shown, marks)
	if from > 0 {
		all = append([]Fragment{{Text: "…"}}, all...)
	}
	if to < len(text) {
		all = append(all, Fragment{Text: "…"})
	}
	return all
}

// marks finds the terms that must occur in the text, in the order of their
// places, the first few of each, and says how many of each there were.
func (q *SearchQuery) marks(text string, most int) (found []mark, count []int) {
	type place struct{ start, end int }
	count = make([]int, len(q.Terms))
	longest := 1
	for _, t := range q.Terms {
		longest = max(longest, len(t.Words))
	}
	var words []string // the last few, and their places
	var places []place
	eachWord(text, func(word []byte, start, end int) bool {
		if len(words) == longest {
			words, places = words[1:], places[1:]
		}
		words, places = append(words, string(word)), append(places, place{start, end})
		for i := range q.Terms {
			t := &q.Terms[i]
			first := len(words) - len(t.Words)
			if !t.Not && count[i] < most && first >= 0 && t.matches(words[first:]) {
				found = append(found, mark{places[first].start, end, i})
				count[i]++
			}
		}
		return true
	})
	return found, count
}

// matches reports whether words are those of the term.
func (t *SearchTerm) matches(words []string) bool {
	for i, w := range t.Words {
		if words[i] != w && !(t.Prefix && i == len(t.Words)-1 && strings.HasPrefix(words[i], w)) {
			return false
		}
	}
	return true
}

// snippetStart is where a snippet begins so that a hit has something before
// it: after a space if there is one near.
func snippetStart(text string, hit int) int {
	if hit <= snippetBefore {
		return 0
	}
	from := hit - snippetBefore
	for !utf8.RuneStart(text[from]) {
		from--
	}
	if space := strings.IndexFunc(text[from:hit], unicode.IsSpace); space >= 0 {
		from += space
	}
	return from
}

// snippetEnd is where it ends: before a space if there is one near.
func snippetEnd(text string, from int) int {
	if len(text)-from <= snippetBytes {
		return len(text)
	}
	to := len(cutText(text, from+snippetBytes))
	if space := strings.LastIndexFunc(text[from:to], unicode.IsSpace); space > snippetBytes/2 {
		to = from + space
	}
	return to
}

// fragments splits a text at the marks.
func fragments(text string, marks []mark) []Fragment {
	var all []Fragment
	add := func(s string, hit bool) {
		if s == "" {
			return
		}
		if n := len(all); n > 0 && all[n-1].Hit == hit {
			all[n-1].Text += s
			return
		}
		all = append(all, Fragment{Text: s, Hit: hit})
	}
	at := 0
	for _, m := range marks {
		if m.end <= at {
			continue
		}
		start := max(m.start, at)
		add(text[at:start], false)
		add(text[start:m.end], true)
		at = m.end
	}
	add(text[at:], false)
	for i := range all {
		all[i].Text = oneSpace(all[i].Text)
	}
	return all
}

// oneSpace makes a run of white space and control characters one space.
func oneSpace(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = true
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	if space {
		b.WriteByte(' ')
	}
	return b.String()
}
