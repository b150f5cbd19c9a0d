//go:build !noui

package web

import (
	"bytes"
	"strings"
	"testing"
)

// firstLoadMax bounds what a browser fetches before the console shows
// anything, compressed: the page and what it names.
const firstLoadMax = 140 << 10

// TestConsoleIsWhole: the console that is embedded names only files that are,
// asks no other host for anything and holds nothing that its policy forbids.
func TestConsoleIsWhole(t *testing.T) {
	for _, problem := range problems(Files()) {
		t.Error(problem)
	}
	if bytes.Contains(Files()["assets/app.js"].Content, []byte("sourceMappingURL")) {
		t.Error("the script names a source map")
	}
	if !bytes.Contains(Files()["assets/licenses.txt"].Content, []byte("preact")) {
		t.Error("the licences of what is bundled are missing")
	}
}

func TestConsoleLoadsSoon(t *testing.T) {
	first := []string{"index.html"}
	for _, m := range names.FindAllStringSubmatch(string(Files()["index.html"].Content), -1) {
		first = append(first, strings.TrimPrefix(m[1], "/"))
	}
	total := 0
	for _, name := range first {
		f := Files()[name]
		if n := len(f.Gzip); n > 0 {
			total += n
		} else {
			total += len(f.Content)
		}
	}
	t.Logf("the first load is %d bytes", total)
	if total > firstLoadMax {
		t.Errorf("the first load is %d bytes, the limit is %d", total, firstLoadMax)
	}
}
