package store

import "strings"

// Patterns are globs over session ids, of which one must match: * stands for
// any run of characters, ? for one; all others, brackets too, for themselves.
// Nil or empty matches nothing; what is not to be narrowed has AllSessions.
type Patterns []string

// AllSessions matches every session.
var AllSessions = Patterns{"*"}

// Bounds of Patterns that somebody gives.
const (
	PatternsMax     = 64
	PatternBytesMax = 256
)

// All reports whether nothing is left out.
func (p Patterns) All() bool {
	for _, one := range p {
		if one == "*" {
			return true
		}
	}
	return false
}

// Shows reports whether a filter lets the session through. Of a filter nil
// stands for no filter, where of a grant it stands for nothing.
func Shows(visible Patterns, session string) bool { return visible == nil || visible.Match(session) }

// Match reports whether one of the patterns matches the session's id.
func (p Patterns) Match(session string) bool {
	for _, one := range p {
		if globMatch(one, session) {
			return true
		}
	}
	return false
}

// Check validates patterns that somebody gave.
func (p Patterns) Check() error {
	if len(p) > PatternsMax {
		return Errorf(CodeInvalidQuery, "%d patterns of sessions are more than %d", len(p), PatternsMax)
	}
	for _, one := range p {
		if one == "" || len(one) > PatternBytesMax || strings.Trim(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-*?") != "" {
			return Errorf(CodeInvalidQuery, "pattern of sessions %.80q: write it like build-*, with characters of session ids, * and ?", one)
		}
	}
	return nil
}

// globMatch goes back to the last star only, so it takes at most
// len(pattern)*len(s) steps.
func globMatch(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
