package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

func pageOf(t *testing.T, title, data string) string {
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
	page := pageOf(t, "s", `{}`)
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil {
		t.Fatal("no policy")
	}
	script := page[strings.LastIndex(page, "<script>")+len("<script>") : strings.LastIndex(page, "</script>")]
	hash := sha256.Sum256([]byte(script))
	want := "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
	if policy[1] != want {
		t.Errorf("policy %s\nwant   %s", policy[1], want)
	}
	if script != replayScript {
		t.Error("the script in the page is not the one that was built")
	}
	// Places of the page, not braces of a script or a sheet.
	if left := regexp.MustCompile(`\{\{(hash|title|style|script|data)\}\}`).FindString(page); left != "" {
		t.Errorf("%s is left", left)
	}
}

// TestReplayTakesTextAsText: neither the title nor the data is markup, whatever
// they hold, and places of the page that they name are not filled. The data
// comes out as the bytes that went in.
func TestReplayTakesTextAsText(t *testing.T) {
	data := `{"a":"</script><script>alert(1)</script><!-- {{title}}{{script}}","n":1.00}`
	page := pageOf(t, `</title><b>{{data}}{{script}}`, data)
	if !strings.Contains(page, "<title>&lt;/title&gt;&lt;b&gt;{{data}}{{script}} · konlog</title>") {
		t.Error("the title is not as it was given")
	}
	if strings.Count(page, "<script") != 2 || strings.Count(page, "</script") != 2 || strings.Contains(page, "alert(1)") {
		t.Error("the data stands in the page as markup")
	}
	_, rest, _ := strings.Cut(page, `id="data">`)
	packed, _, _ := strings.Cut(rest, "</script>")
	b, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != data {
		t.Errorf("got %s, %v", got, err)
	}
	if first, again := pageOf(t, "s", data), pageOf(t, "s", data); first != again {
		t.Error("the same session gives another page")
	}
	if err := Replay(failing{}, "s", []byte(`{}`)); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fs.ErrInvalid }

// replayBytesMax bounds what every exported page has besides its session.
const replayBytesMax = 512 << 10

// TestReplayIsWhole: the parts keep within their bounds, stand in a page as
// they are, and have no way to ask a host for anything.
func TestReplayIsWhole(t *testing.T) {
	if n := len(replayScript) + len(replayStyle) + len(replayPage); n > replayBytesMax {
		t.Errorf("an empty page is %d bytes, the limit is %d", n, replayBytesMax)
	}
	for name, text := range map[string]string{"the script": replayScript, "the style": replayStyle} {
		if at := regexp.MustCompile(`(?i)</?script|</style|<!--`).FindString(text); at != "" {
			t.Errorf("%s holds %s, which the page would read as its own", name, at)
		}
		// A browser replaces these before it hashes the script, which then would not run.
		if at := strings.IndexAny(text, "\x00\r"); at >= 0 {
			t.Errorf("%s holds a character at %d that does not stay as it is", name, at)
		}
		if at := regexp.MustCompile(`\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\(|\beval\(|@import|import\.meta|sourceMappingURL`).FindString(text); at != "" {
			t.Errorf("%s asks for something: %s", name, at)
		}
	}
	if strings.Contains(replayStyle, "url(") {
		t.Error("the style names a file")
	}
	// Its elements are looked up in the page.
	for _, id := range []string{"page", "data"} {
		if !strings.Contains(replayPage, `id="`+id+`"`) {
			t.Errorf("the page has no %s", id)
		}
	}
}
