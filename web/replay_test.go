package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

func replayPage(t *testing.T, title, data string) string {
	t.Helper()
	var page bytes.Buffer
	if err := Replay(&page, title, []byte(data)); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// TestReplayRunsOnlyItsOwnScript: the policy of the page names the script that
// is in it, by hash, and lets nothing be loaded.
func TestReplayRunsOnlyItsOwnScript(t *testing.T) {
	page := replayPage(t, "s", `{}`)
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil {
		t.Fatal("no policy")
	}
	script := page[strings.LastIndex(page, "<script>")+len("<script>") : strings.LastIndex(page, "</script>")]
	hash := sha256.Sum256([]byte(script))
	want := "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
	if policy[1] != want {
		t.Errorf("policy %s\nwant   %s", policy[1], want)
	}
	if strings.Contains(script, "</script") || strings.Contains(script, "<!--") {
		t.Error("the script ends itself")
	}
	if left := regexp.MustCompile(`\{\{\w+\}\}`).FindString(page); left != "" {
		t.Errorf("%s is left", left)
	}
}

// TestReplayTakesTextAsText: neither the title nor the data is markup, whatever
// they hold, and places of the page that they name are not filled.
func TestReplayTakesTextAsText(t *testing.T) {
	page := replayPage(t, `</title><b>{{data}}{{script}}`, `"{{title}}{{script}}"`)
	if !strings.Contains(page, "<title>&lt;/title&gt;&lt;b&gt;{{data}}{{script}} · konlog</title>") {
		t.Error("the title is not as it was given")
	}
	if !strings.Contains(page, `id="data">"{{title}}{{script}}"</script>`) {
		t.Error("the data is not as it was given")
	}
	var none bytes.Buffer
	if err := Replay(&none, "s", []byte(`"</script>"`)); err == nil || none.Len() > 0 {
		t.Errorf("data that is not escaped was taken: %v", err)
	}
	if err := Replay(failing{}, "s", []byte(`{}`)); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fs.ErrInvalid }

// TestReplayIsWhole: the parts keep within their bounds, ask no host for
// anything and find on the page what they look up.
func TestReplayIsWhole(t *testing.T) {
	files, err := fs.Glob(replayFiles, "replay/*")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	var script string
	for _, name := range files {
		b, err := replayFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > fileLinesMax {
			t.Errorf("%s has %d lines, the limit is %d", name, n, fileLinesMax)
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "") // a name, not an address
		if at := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9.-]+\.[a-z]{2,}|fetch\(|XMLHttp|WebSocket|EventSource|import\(`).FindString(text); at != "" {
			t.Errorf("%s asks for %s", name, at)
		}
		if strings.Contains(text, "innerHTML") || strings.Contains(text, "eval(") {
			t.Errorf("%s makes markup or code of text", name)
		}
		if strings.HasSuffix(name, ".js") {
			script += string(b)
		}
	}
	page := replayPage(t, "s", `{}`)
	for _, m := range regexp.MustCompile(`\$\('(\w+)'\)`).FindAllStringSubmatch(script, -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("the page has no %s", m[1])
		}
	}
}
