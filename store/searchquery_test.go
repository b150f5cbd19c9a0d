package store

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	tests := []struct{ text, want string }{
		{"Hello, World!", "hello world"},
		{"foo_bar.go:12", "foo bar go 12"},
		{"Ünïcödé ÀÉÎ łódź Ὀδυσσεύς", "unicode aei lodz οδυσσευσ"},
		{"e\u0301te\u0301 \u0301x", "ete x"},
		{"北京大学ABC学", "北 京 大 学 abc 学"},
		{"スーパー", "ス ー パ ー"},
		{"서울에서 밥", "서 울 에 서 밥"},
		{"ภาษาไทย", "ภ า ษ า ไ ท ย"},
		{"ＡＢＣ１２", "abc12"},
		{"don't \u00adsoft\u00adhy", "don t softhy"},
		{"שָׁלוֹם مُحَمَّد", "שלום محمد"},
		{"हिन्दी", "हिन्दी"},
		{"a\x00b\tc", "a b c"},
		{"\xff\xfea", "a"},
		{strings.Repeat("x", 100) + " y", strings.Repeat("x", wordBytesMax) + " y"},
		{"", ""},
		{"!?", ""},
	}
	for _, test := range tests {
		if got := Words(test.text); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func shape(q *SearchQuery) string {
	var all []string
	for _, t := range q.Terms {
		s := strings.Join(t.Words, "+")
		if t.Prefix {
			s += "*"
		}
		if t.Not {
			s = "-" + s
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestParseSearch(t *testing.T) {
	tests := []struct{ query, want string }{
		{"hello world", "hello world"},
		{`"to be" or not`, "to+be or not"},
		{`-x "y z"`, "-x y+z"},
		{`a -"b c"`, "a -b+c"},
		{"pre* abc*", "pre* abc*"},
		{"ab* 北京*", "ab 北+京"},
		{`"some word"*`, "some+word*"},
		{"foo.bar foo-bar", "foo+bar foo+bar"},
		{"--a b", "-a b"},
		{`"never closed`, "never+closed"},
		{`a"b"c`, "a b c"},
		{"NEAR(a, b) AND {x} : y ^z", "near+a b and x y z"},
		{"- * \" \" x", "x"},
	}
	for _, test := range tests {
		q, err := ParseSearch(test.query)
		if err != nil {
			t.Errorf("%q: %v", test.query, err)
			continue
		}
		if got := shape(q); got != test.want {
			t.Errorf("%q: got %s, want %s", test.query, got, test.want)
		}
	}
	for _, refused := range []string{"", "  ", "!?", "-a", `-"a b" -c`, `""`, "a\xff", strings.Repeat("a", SearchQueryBytesMax+1), strings.Repeat("a ", SearchTermsMax+1)} {
		if q, err := ParseSearch(refused); CodeOf(err) != CodeInvalidQuery {
			t.Errorf("%.40q: got %v, %v, want a refusal", refused, q, err)
		}
	}
	if _, err := ParseSearch(strings.Repeat("a ", SearchTermsMax)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func snippet(t *testing.T, query, text string) string {
	t.Helper()
	q, err := ParseSearch(query)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range q.Snippet(text) {
		if f.Hit {
			fmt.Fprintf(&b, "[%s]", f.Text)
		} else {
			b.WriteString(f.Text)
		}
	}
	return b.String()
}

func TestSnippet(t *testing.T) {
	far := strings.Repeat("lorem ipsum ", 100)
	tests := []struct{ query, text, want string }{
		{"world", "Hello,\n\n World!", "Hello, [World]!"},
		{"cafe", "un Café noir", "un [Café] noir"},
		{`"a b"`, "a x a b", "a x [a b]"},
		{"pre* x", "prefix X", "[prefix] [X]"},
		{"京大", "北京大学", "北[京大]学"},
		{"a -b", "a c", "[a] c"},
		{"needle", far + "the needle here", "… ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum the [needle] here"},
	}
	for _, test := range tests {
		if got := snippet(t, test.query, test.text); got != test.want {
			t.Errorf("%s in %.30q: got %q, want %q", test.query, test.text, got, test.want)
		}
	}
	// The best place is one where all words are.
	if got := snippet(t, "red blue", "red "+far+"blue red "+far); !strings.Contains(got, "[blue] [red]") {
		t.Errorf("got %q, want the place with both", got)
	}
	if got := snippet(t, "lorem rare", far+far+"rare "+far); !strings.Contains(got, "[rare]") {
		t.Errorf("got %q, want the rare word", got)
	}
	if got := snippet(t, "x", "x "+far); len(got) > snippetBytes+20 || !strings.HasSuffix(got, "…") {
		t.Errorf("got %q, want a cut text", got)
	}
}

// FuzzParseSearch wants every query to be taken or refused, and a snippet of
// it to be a part of the text.
func FuzzParseSearch(f *testing.F) {
	for _, q := range []string{`a "b c" -d e*`, `"`, `-"`, `*`, `""*`, "北京*", "a\x00b", "a OR b", "😀 x", "ά*"} {
		f.Add(q, "a b c d e 北京 x")
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		q, err := ParseSearch(query)
		if err != nil {
			if CodeOf(err) != CodeInvalidQuery {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		for _, term := range q.Terms {
			for _, w := range term.Words {
				if Words(w) != w || w == "" {
					t.Errorf("%q: the word %q has the words %q", query, w, Words(w))
				}
			}
		}
		size := 0
		for _, fr := range q.Snippet(text) {
			size += len(fr.Text)
			if utf8.ValidString(text) && !utf8.ValidString(fr.Text) {
				t.Errorf("%q in %q: fragment %q", query, text, fr.Text)
			}
		}
		if size > 4*snippetBytes {
			t.Errorf("%q: a snippet of %d bytes", query, size)
		}
	})
}
