package web

import (
	"bytes"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

const fileLinesMax = 500

// TestPageIsWhole: the page names only files that are embedded and asks no
// other host for anything.
func TestPageIsWhole(t *testing.T) {
	page, err := fs.ReadFile(Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	assets := regexp.MustCompile(`(?:src|href)="/assets/([^"]+)"`).FindAllSubmatch(page, -1)
	if len(assets) < 3 {
		t.Errorf("the page names %d files", len(assets))
	}
	for _, m := range assets {
		if _, err := fs.Stat(Files, string(m[1])); err != nil {
			t.Errorf("the page names %s: %v", m[1], err)
		}
	}
	files, err := fs.Glob(Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := fs.ReadFile(Files, name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > fileLinesMax {
			t.Errorf("%s has %d lines, the limit is %d", name, n, fileLinesMax)
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "") // a name, not an address
		if at := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`).FindString(text); at != "" {
			t.Errorf("%s refers to %s", name, at)
		}
		if strings.Contains(text, "innerHTML") || strings.Contains(text, "eval(") {
			t.Errorf("%s makes markup or code of text", name)
		}
	}
}

// TestPageElements: what the script looks up by id is on the page.
func TestPageElements(t *testing.T) {
	page, err := fs.ReadFile(Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	script, err := fs.ReadFile(Files, "app.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\('(\w+)'\)`).FindAllSubmatch(script, -1) {
		if !bytes.Contains(page, []byte(`id="`+string(m[1])+`"`)) {
			t.Errorf("the page has no %s", m[1])
		}
	}
}
