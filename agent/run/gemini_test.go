package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/konlog/konlog/agent"
)

// The flags were each given to Gemini CLI 0.61.0.
func TestGeminiCommand(t *testing.T) {
	cases := []struct{ name, command, resume, want, input string }{
		{"bare", "gemini", "", "gemini --output-format stream-json", " --hi"},
		{"in a session", "gemini -m flash", conversation, "gemini --output-format stream-json --resume " + conversation + " -m flash", " --hi"},
		{"complete", "gemini -o stream-json", "", "gemini -o stream-json", " --hi"},
		{"words of the command", "gemini -p be_short", "", "gemini --output-format stream-json -p be_short", " --hi"},
		{"a session of the user's", "gemini --resume latest", "", "gemini --output-format stream-json --resume latest", " --hi"},
		{"which became this one", "gemini --resume latest -y", conversation, "gemini --output-format stream-json --resume " + conversation + " -y", " --hi"},
		{"a file that became this one", "gemini --session-file a.json --session-id x", conversation, "gemini --output-format stream-json --resume " + conversation, " --hi"},
		{"a package", "npx @google/gemini-cli@0.61.0", "", "npx @google/gemini-cli@0.61.0 --output-format stream-json", " --hi"},
		{"a script", "./agent.sh", conversation, "./agent.sh --resume " + conversation, " --hi\n"},
	}
	for _, c := range cases {
		d := newDriver(t, agent.FormatGemini)
		l, err := d.Launch(Start{Command: strings.Fields(c.command), Resume: c.resume, Prompt: Prompt{Text: " --hi"}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Join(l.Args, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if string(l.Input) != c.input || !l.OnePrompt || d.Ready() || l.Temp != "" {
			t.Errorf("%s: input %q, one prompt %v, ready %v, temp %q", c.name, l.Input, l.OnePrompt, d.Ready(), l.Temp)
		}
	}
	for _, c := range []struct{ command, resume, want string }{
		{"gemini -o json", "", "leave it out"},
		{"gemini", "latest", "not the id"},
		{"./agent.sh", "--yolo", "not the id"},
	} {
		if _, err := newDriver(t, agent.FormatGemini).Launch(Start{Command: strings.Fields(c.command), Resume: c.resume}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, want %q", c.command, c.resume, err, c.want)
		}
	}
}

// Gemini CLI reads pictures as files that the prompt names, within folders that
// it was told of.
func TestGeminiImages(t *testing.T) {
	base := filepath.Join(t.TempDir(), "a folder (1)")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	l := launch(t, newDriver(t, agent.FormatGemini), Start{Command: []string{"gemini"}, Temp: base, Prompt: Prompt{Text: "see", Images: []Image{{"image/png", []byte("P")}}}})
	if got, want := strings.Join(l.Args, "|"), "gemini|--output-format|stream-json|--include-directories|"+l.Temp; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	file := filepath.Join(l.Temp, "image-1.png")
	if content, err := os.ReadFile(file); err != nil || string(content) != "P" {
		t.Errorf("the picture is %q, %v", content, err)
	}
	name := strings.NewReplacer(" ", `\ `, "(", `\(`, ")", `\)`).Replace(file)
	if got, want := string(l.Input), "see\n@"+name; got != want {
		t.Errorf("the prompt is %q, want %q", got, want)
	}
}
