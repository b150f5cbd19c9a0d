package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordBytesMax bounds a word. What is longer is no word of a language but a
// hash or encoded bytes, of which the beginning is enough to be found by.
const wordBytesMax = 64

// Words gives the words of a text as they are searched for, with one space
// between two. Two texts have the same words when they differ only in case,
// diacritics, punctuation and white space.
//
// A word is a run of letters, digits and their marks. Of scripts that put no
// space between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan),
// and of Korean, whose words run on in particles, each character is a word: a
// run of them that is searched for as a phrase is found wherever it stands.
//
// Engines index just this, so that they all find the same. What a release has
// indexed it must find again: a change here needs a migration that indexes
// anew.
func Words(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	eachWord(text, func(word []byte, _, _ int) bool {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.Write(word)
		return true
	})
	return b.String()
}

// eachWord calls f with every word and where it stands in the text, until f
// returns false. The word is valid until f returns.
func eachWord(text string, f func(word []byte, start, end int) bool) {
	var room [wordBytesMax + utf8.UTFMax]byte
	word, start := room[:0], 0
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		class, folded := classify(r)
		if len(word) > 0 && (class == wordBreak || class == wordAlone) {
			if !f(word, start, i) {
				return
			}
			word = word[:0]
		}
		switch class {
		case wordAlone:
			if word = utf8.AppendRune(word, folded); !f(word, i, i+size) {
				return
			}
			word = word[:0]
		case wordLetter:
			if len(word) == 0 {
				start = i
			}
			if len(word)+utf8.RuneLen(folded) <= wordBytesMax {
				word = utf8.AppendRune(word, folded)
			}
		}
		i += size
	}
	if len(word) > 0 {
		f(word, start, len(text))
	}
}

// wordClass is what a character is to words.
type wordClass uint8

const (
	wordBreak  wordClass = iota // no part of any word
	wordLetter                  // a part of a word
	wordAlone                   // a word of its own
	wordIgnore                  // inside a word, but not of it
)

// classify says what a character is, and what stands for it in a word.
func classify(r rune) (wordClass, rune) {
	if r < utf8.RuneSelf {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return wordLetter, r
		case 'A' <= r && r <= 'Z':
			return wordLetter, r + 'a' - 'A'
		}
		return wordBreak, r
	}
	if 0xff01 <= r && r <= 0xff5e { // full-width forms of ASCII
		return classify(r - 0xfee0)
	}
	switch {
	case unicode.Is(ignored, r):
		return wordIgnore, r
	case !unicode.In(r, unicode.L, unicode.N, unicode.M):
		return wordBreak, r
	case unicode.Is(alone, r):
		return wordAlone, r
	}
	r = unicode.ToLower(r)
	if base, ok := bases[r]; ok {
		r = base
	}
	return wordLetter, r
}

// alone are the blocks of scripts whose characters are words.
var alone = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0e00, Hi: 0x0fff, Stride: 1}, // Thai, Lao, Tibetan
		{Lo: 0x1000, Hi: 0x109f, Stride: 1}, // Burmese
		{Lo: 0x1100, Hi: 0x11ff, Stride: 1}, // parts of Hangul
		{Lo: 0x1780, Hi: 0x17ff, Stride: 1}, // Khmer
		{Lo: 0x1a20, Hi: 0x1aad, Stride: 1}, // Tai Tham
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, // Chinese characters, kana, bopomofo, Yi
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1}, // parts of Hangul
		{Lo: 0xa9e0, Hi: 0xa9ff, Stride: 1}, // Burmese
		{Lo: 0xaa60, Hi: 0xaadf, Stride: 1}, // Burmese, Tai Viet
		{Lo: 0xac00, Hi: 0xd7ff, Stride: 1}, // Hangul
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // Chinese characters
		{Lo: 0xff66, Hi: 0xffdc, Stride: 1}, // half-width kana and Hangul
	},
	R32: []unicode.Range32{
		{Lo: 0x1aff0, Hi: 0x1b16f, Stride: 1}, // kana
		{Lo: 0x20000, Hi: 0x3ffff, Stride: 1}, // Chinese characters
	},
}

// ignored are diacritics, the points of Hebrew and Arabic, and characters that
// only shape or join others.
var ignored = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x0300, Hi: 0x036f, Stride: 1},
		{Lo: 0x0591, Hi: 0x05bd, Stride: 1},
		{Lo: 0x05bf, Hi: 0x05bf, Stride: 1},
		{Lo: 0x05c1, Hi: 0x05c2, Stride: 1},
		{Lo: 0x05c4, Hi: 0x05c5, Stride: 1},
		{Lo: 0x05c7, Hi: 0x05c7, Stride: 1},
		{Lo: 0x064b, Hi: 0x065f, Stride: 1},
		{Lo: 0x0670, Hi: 0x0670, Stride: 1},
		{Lo: 0x1ab0, Hi: 0x1aff, Stride: 1},
		{Lo: 0x1dc0, Hi: 0x1dff, Stride: 1},
		{Lo: 0x200c, Hi: 0x200d, Stride: 1},
		{Lo: 0x20d0, Hi: 0x20ff, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1},
	},
	LatinOffset: 1,
}

// bases are the letters that others are found by.
var bases = func() map[rune]rune {
	m := map[rune]rune{}
	for base, others := range map[rune]string{
		'a': "àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ",
		'b': "ḃḅḇ",
		'c': "çćĉċčḉ",
		'd': "ďđḋḍḏḑḓ",
		'e': "èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ",
		'f': "ḟ",
		'g': "ĝğġģǧǵḡ",
		'h': "ĥȟḣḥḧḩḫẖ",
		'i': "ìíîïĩīĭįıǐȉȋḭḯỉị",
		'j': "ĵǰ",
		'k': "ķǩḱḳḵ",
		'l': "ĺļľłḷḹḻḽ",
		'm': "ḿṁṃ",
		'n': "ñńņňǹṅṇṉṋ",
		'o': "òóôõöøōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ",
		'p': "ṕṗ",
		'r': "ŕŗřȑȓṙṛṝṟ",
		's': "śŝşšșṡṣṥṧṩ",
		't': "ţťțṫṭṯṱẗ",
		'u': "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự",
		'v': "ṽṿ",
		'w': "ŵẁẃẅẇẉẘ",
		'x': "ẋẍ",
		'y': "ýÿŷȳẏẙỳỵỷỹ",
		'z': "źżžẑẓẕ",
		'α': "άἀἁἂἃἄἅἆἇὰάᾀᾁᾂᾃᾄᾅᾆᾇᾰᾱᾲᾳᾴᾶᾷ",
		'ε': "έἐἑἒἓἔἕὲέ",
		'η': "ήἠἡἢἣἤἥἦἧὴήᾐᾑᾒᾓᾔᾕᾖᾗῂῃῄῆῇ",
		'ι': "ΐίϊἰἱἲἳἴἵἶἷὶίῐῑῒΐῖῗ",
		'ο': "όὀὁὂὃὄὅὸό",
		'ρ': "ῤῥ",
		'σ': "ς",
		'υ': "ΰϋύὐὑὒὓὔὕὖὗὺύῠῡῢΰῦῧ",
		'ω': "ώὠὡὢὣὤὥὦὧὼώᾠᾡᾢᾣᾤᾥᾦᾧῲῳῴῶῷ",
		'е': "ё",
	} {
		for _, r := range others {
			m[r] = base
		}
	}
	return m
}()
