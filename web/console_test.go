package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// TestFilesArePrepared: a file goes out with its type, its ETag is that of its
// bytes, and its compressed form is the same file.
func TestFilesArePrepared(t *testing.T) {
	long := strings.Repeat("let x = 1;\n", 100)
	console, err := prepare(fstest.MapFS{"index.html": {Data: []byte("<p>")}, "assets/app.js": {Data: []byte(long)}})
	if err != nil || len(console) != 2 {
		t.Fatalf("got %v, %v", console, err)
	}
	js := console["assets/app.js"]
	hash := sha256.Sum256([]byte(long))
	if js.Type != "text/javascript; charset=utf-8" || js.ETag != `"`+hex.EncodeToString(hash[:16])+`"` || js.GzipETag == js.ETag {
		t.Errorf("got %s %s %s", js.Type, js.ETag, js.GzipETag)
	}
	z, err := gzip.NewReader(bytes.NewReader(js.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != long {
		t.Errorf("compressed it is %d bytes, %v", len(b), err)
	}
	if console["index.html"].Gzip != nil {
		t.Error("three bytes are sent as more")
	}
	if _, err := prepare(fstest.MapFS{"a.exe": {Data: []byte("x")}}); err == nil {
		t.Error("a file without a type was taken")
	}
}

var (
	names    = regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	imported = regexp.MustCompile("(?:import|from|import\\()\\s*[\"'`](\\.{1,2}/[^\"'`]+|/[^\"'`]+)[\"'`]")
	loaded   = regexp.MustCompile(`(?i)(?:src|href)\s*=\s*["'](?:https?:)?//|\bimport\(\s*["']https?:|\bimport\s*["']https?:|url\(\s*["']?(?:https?:)?//|@import\s`)
	inline   = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:`)
	named    = regexp.MustCompile("[\"'`](assets/[A-Za-z0-9_.-]+)[\"'`]")
)

// problems are what is wrong with a console: a file that it names and does not
// have, one that it has and nothing names, something inline that its policy
// would not run, something of another host.
func problems(console Console) (all []string) {
	page := console["index.html"]
	if page == nil {
		return []string{"there is no index.html"}
	}
	used := map[string]bool{"index.html": true, "assets/licenses.txt": true}
	use := func(by, name string) {
		used[name] = true
		if console[name] == nil {
			all = append(all, by+" names "+name+", which is not embedded")
		}
	}
	for _, m := range names.FindAllStringSubmatch(string(page.Content), -1) {
		use("the page", strings.TrimPrefix(m[1], "/"))
	}
	if m := inline.Find(page.Content); m != nil {
		all = append(all, "the page holds something inline: "+string(m))
	}
	for name, f := range console {
		if name == "assets/licenses.txt" {
			continue
		}
		if m := loaded.Find(f.Content); m != nil {
			all = append(all, name+" asks another host: "+string(m))
		}
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, m := range imported.FindAllStringSubmatch(string(f.Content), -1) {
			use(name, "assets/"+m[1][strings.LastIndex(m[1], "/")+1:])
		}
		for _, m := range named.FindAllStringSubmatch(string(f.Content), -1) {
			use(name, m[1])
		}
	}
	for name := range console {
		if !used[name] {
			all = append(all, "nothing names "+name)
		}
	}
	return all
}

func TestProblemsOfAConsoleAreFound(t *testing.T) {
	const page = `<script type="module" crossorigin src="/assets/app.js"></script>`
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"sound":          {map[string]string{"index.html": page, "assets/app.js": "import('./b.js');let a=`http://www.w3.org/2000/svg`", "assets/b.js": "import{x}from'./app.js'"}, ""},
		"a missing file": {map[string]string{"index.html": page}, "assets/app.js, which is not embedded"},
		"a missing part": {map[string]string{"index.html": page, "assets/app.js": `import("./b.js")`}, "assets/b.js, which is not embedded"},
		"a preload":      {map[string]string{"index.html": page, "assets/app.js": "[`assets/b.css`]"}, "assets/b.css, which is not embedded"},
		"a stray file":   {map[string]string{"index.html": page, "assets/app.js": "", "assets/old.js": ""}, "nothing names assets/old.js"},
		"inline script":  {map[string]string{"index.html": page + "<script>a()</script>", "assets/app.js": ""}, "inline: <script>a"},
		"inline style":   {map[string]string{"index.html": page + `<p style="x">`, "assets/app.js": ""}, "inline:  style="},
		"a handler":      {map[string]string{"index.html": page + `<p onclick="x">`, "assets/app.js": ""}, "inline:  onclick="},
		"another host":   {map[string]string{"index.html": page, "assets/app.js": `import("https://example.org/x.js")`}, "another host: import("},
		"a font":         {map[string]string{"index.html": page + `<link href="/assets/a.css">`, "assets/app.js": "", "assets/a.css": "a{src:url(//example.org/x)}"}, "another host: url("},
	} {
		console := Console{}
		for file, content := range c.files {
			console[file] = &File{Content: []byte(content)}
		}
		got := problems(console)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
