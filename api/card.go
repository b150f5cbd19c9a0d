package api

import (
	"html"
	"regexp"
	"strings"
)

// The page that shows a card. Its own style is in a layer, which loses against
// whatever the card says itself.
const (
	cardHead = `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>@layer konlog{` +
		`html{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif;overflow-wrap:break-word}body{margin:.5em .75em}` +
		`img,svg,table{max-width:100%}pre{overflow:auto}.konlog-script{margin:.5em 0;padding:.5em .75em;border:1px solid #8886;border-radius:6px;font-size:13px}` +
		`.konlog-script pre{max-height:20em;margin:.5em 0 0;white-space:pre-wrap;font:12px/1.45 ui-monospace,monospace}}`
	cardBleed = `@layer konlog{body{margin:0}}` // a ground goes to the edge
	cardLight = `@layer konlog{html{color-scheme:light;background:#fff}}`
	// A spinner that no script will ever stop is not shown turning.
	cardStill = `*,*::before,*::after{animation:none!important}progress:not([value]){display:none!important}`
	cardBegin = `</style>`

	cardNotDrawn = `Not drawn: a script would do that, and scripts do not run here.`
	cardScript   = `<summary>A script of this card, which does not run here</summary><pre>`

	placeholderMax = 100 // bytes: a longer text is one to read
)

var (
	firstElement = regexp.MustCompile(`^\s*<[a-zA-Z][^>]*\sstyle\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	background   = regexp.MustCompile(`(?i)\bbackground(-color)?\s*:|\bbgcolor\s*=`)
	textColor    = regexp.MustCompile(`(?i)(^|[;\s])color\s*:`)
	ownScheme    = regexp.MustCompile(`(?i)color-scheme|light-dark\(`)
	placeholder  = regexp.MustCompile(`(?i)^\s*(loading|rendering|drawing|generating|initiali[sz]ing|please wait|wait)\b`)
	unfinished   = regexp.MustCompile(`(\.\.\.?|…)\s*$`)
)

// textPage shows a text as it is.
func textPage(text string) []byte {
	return []byte(cardHead + cardBegin + "<pre>" + html.EscapeString(text) + "</pre>")
}

// cardPage makes a page of a card's HTML. Scripts never run there: that is the
// policy's doing, not this function's, which only explains it to whoever looks:
// what says "loading" until a script has run says that none will, and shows the
// source instead.
func cardPage(card string) []byte {
	var b strings.Builder
	b.WriteString(cardHead)
	if background.MatchString(card) {
		b.WriteString(cardBleed)
	}
	if !followsScheme(card) {
		b.WriteString(cardLight)
	}
	shown, scripts := withoutScripts(card)
	if scripts > 0 {
		b.WriteString(cardStill)
	}
	b.WriteString(cardBegin)
	b.WriteString(shown)
	return []byte(b.String())
}

// followsScheme reports whether a card can be read on a dark page as on a
// light one: it paints no grounds, it says itself what it does about it, or all
// of it lies in an element that sets both ground and text. Others were written
// for dark text on white, and get that.
func followsScheme(card string) bool {
	if !background.MatchString(card) || ownScheme.MatchString(card) {
		return true
	}
	m := firstElement.FindStringSubmatch(card)
	return m != nil && background.MatchString(m[1]+m[2]) && textColor.MatchString(m[1]+m[2])
}

// withoutScripts returns the card with the source of its scripts in their
// place, or at the placeholder before them, and how many it had. Where the card
// has none it comes back unchanged. HTML that only a whole parser would read
// rightly is passed on as it is.
func withoutScripts(card string) (string, int) {
	if scriptAt(card) < 0 {
		return card, 0
	}
	var parts []string
	scripts, hole := 0, -1 // hole: the part that the next script's source goes to, or -1
	for card != "" {
		i := strings.IndexByte(card, '<')
		if i < 0 {
			i = len(card)
		}
		if waits(card[:i]) {
			hole = len(parts) + 1
			parts = append(parts, cardNotDrawn, "")
		} else {
			parts = append(parts, card[:i])
		}
		card = card[i:]
		if card == "" {
			break
		}
		n, content := markup(card)
		if content < 0 {
			parts = append(parts, card[:n])
		} else {
			scripts++
			if source := shownScript(scriptSource(card[content:n])); source != "" && hole >= 0 {
				parts[hole], hole = source, -1
			} else {
				parts = append(parts, source)
			}
		}
		card = card[n:]
	}
	return strings.Join(parts, ""), scripts
}

// shownScript shows a script's source; nothing where it has only an address,
// which nothing loads.
func shownScript(source string) string {
	if source = strings.TrimSpace(source); source == "" {
		return ""
	}
	return `<details class="konlog-script" open>` + cardScript + html.EscapeString(source) + "</pre></details>"
}

// waits reports whether a text says no more than that something will come.
func waits(text string) bool {
	return len(text) <= placeholderMax && placeholder.MatchString(text) && unfinished.MatchString(text)
}

// markup returns how long the tag, comment or element of text at the start of s
// is; of a script also where its content begins, else -1.
func markup(s string) (n, content int) {
	if strings.HasPrefix(s, "<!--") {
		return after(s, "-->"), -1
	}
	if len(s) == 1 || strings.IndexByte("/!?", s[1]) < 0 && (s[1]|0x20 < 'a' || s[1]|0x20 > 'z') {
		return 1, -1 // a less-than sign
	}
	end := tagEnd(s)
	for _, name := range []string{"script", "style", "textarea", "title"} { // what is in these is no markup
		if hasName(s[1:], name) {
			n := end + elementEnd(s[end:], name)
			if name == "script" {
				return n, end
			}
			return n, -1
		}
	}
	return end, -1
}

// scriptSource cuts the end tag off.
func scriptSource(content string) string {
	if i := strings.LastIndex(content, "</"); i >= 0 && hasName(content[i+2:], "script") {
		return content[:i]
	}
	return content
}

// scriptAt is where a script begins, -1 when there is none.
func scriptAt(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '<' && hasName(s[i+1:], "script") {
			return i
		}
	}
	return -1
}

// hasName reports whether s begins with the name of an element.
func hasName(s, name string) bool {
	if len(s) < len(name) || !strings.EqualFold(s[:len(name)], name) {
		return false
	}
	return len(s) == len(name) || strings.IndexByte(" \t\r\n\f/>", s[len(name)]) >= 0
}

// tagEnd is the length of the tag that s begins with; a > in quotes is a part
// of it.
func tagEnd(s string) int {
	quote := byte(0)
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			return i + 1
		case (c == '"' || c == '\'') && s[i-1] == '=':
			quote = c
		}
	}
	return len(s)
}

// elementEnd is where the element by that name ends, its end tag included.
func elementEnd(s, name string) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '<' && i+1 < len(s) && s[i+1] == '/' && hasName(s[i+2:], name) {
			return i + tagEnd(s[i:])
		}
	}
	return len(s)
}

// after is where s goes on behind mark.
func after(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i + len(mark)
	}
	return len(s)
}
