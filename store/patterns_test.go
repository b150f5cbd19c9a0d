package store

import "testing"

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns Patterns
		session  string
		want     bool
	}{
		{nil, "a", false},
		{Patterns{}, "a", false},
		{AllSessions, "a", true},
		{AllSessions, "_feed", true},
		{Patterns{"build-*"}, "build-1", true},
		{Patterns{"build-*"}, "build-", true},
		{Patterns{"build-*"}, "build", false},
		{Patterns{"build-*"}, "xbuild-1", false},
		{Patterns{"a", "b?"}, "b1", true},
		{Patterns{"a", "b?"}, "b", false},
		{Patterns{"a", "b?"}, "b12", false},
		{Patterns{"*-x-*y"}, "1-x-2-x-3y", true},
		{Patterns{"*-x-*y"}, "1-x-2-x-3", false},
		{Patterns{"*a*a*a*a*a*a*a*b"}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{Patterns{"[ab]"}, "a", false},
	} {
		if got := c.patterns.Match(c.session); got != c.want {
			t.Errorf("%q matches %q: %v", c.patterns, c.session, got)
		}
	}
}

func TestPatterns_Check(t *testing.T) {
	if err := (Patterns{"build-*", "a?", "x.y:z_1"}).Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Patterns{{""}, {"[a]"}, {"a b"}, {"a/b"}, make(Patterns, PatternsMax+1)} {
		if bad.Check() == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
