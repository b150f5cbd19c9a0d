package run

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/agent"
)

const (
	threadA = "01a1fdd6-8057-7a20-ad30-209a1019fdb0"
	threadB = "01a1fdd5-50ba-7a03-a019-621efcd096a0"
)

// The command lines were each given to codex-cli 0.169.0.
func TestCodexCommand(t *testing.T) {
	cases := []struct{ name, command, resume, want string }{
		{"bare", "codex", "", "codex exec --json -"},
		{"in a thread", "codex", threadA, "codex exec --json resume " + threadA + " -"},
		{"exec", "codex exec", "", "codex exec --json -"},
		{"the short name", "codex e", "", "codex exec --json -"},
		{"complete", "codex exec --json -", "", "codex exec --json -"},
		{"the old name of JSON", "codex exec --experimental-json", "", "codex exec --json -"},
		{"JSON before exec", "codex --json exec", "", "codex exec --json -"},
		{"options before", "codex -m o3 -a never exec", threadA, "codex -m o3 -a never exec --json resume " + threadA + " -"},
		{"options of exec, which resume does not take", "codex exec -s read-only --add-dir d --color never", threadA,
			"codex exec -s read-only --add-dir d --color never --json resume " + threadA + " -"},
		{"a folder named like a command", "codex exec -C resume --skip-git-repo-check", "", "codex exec -C resume --skip-git-repo-check --json -"},
		{"joined values", "codex -mo3 exec --sandbox=read-only -ca=b", threadA, "codex -mo3 exec --sandbox=read-only -ca=b --json resume " + threadA + " -"},
		{"an option of a later version", "codex exec --new-thing value", "", "codex exec --new-thing value --json -"},
		{"images that would take what follows", "codex exec -i a.png b.png", threadA, "codex exec --image=a.png --image=b.png --json resume " + threadA + " -"},
		{"images before a command", "codex -ia.png b.png exec --image c.png resume " + threadB, "", "codex --image=a.png --image=b.png exec --image=c.png --json resume " + threadB + " -"},
		{"a thread of the user's", "codex exec resume --model x " + threadB, "", "codex exec --json resume --model x " + threadB + " -"},
		{"which was gone on with", "codex exec resume --model x " + threadB + " -", threadA, "codex exec --json resume --model x " + threadA + " -"},
		{"the last thread", "codex exec resume --last --all", "", "codex exec --json resume --last --all -"},
		{"no longer the last", "codex exec resume --last --all --model x", threadA, "codex exec --json resume --model x " + threadA + " -"},
		{"a fork", "codex exec fork " + threadB, "", "codex exec --json fork " + threadB + " -"},
		{"which is a thread by now", "codex exec fork " + threadB, threadA, "codex exec --json resume " + threadA + " -"},
		{"a package", "npx -y @openai/codex@0.169.0 -m x", "", "npx -y @openai/codex@0.169.0 -m x exec --json -"},
		{"a path and its environment", "env CODEX_HOME=/h /opt/codex exec", "", "env CODEX_HOME=/h /opt/codex exec --json -"},
		{"the end of options", "codex exec -- -", "", "codex exec --json -"},
	}
	for _, c := range cases {
		command := strings.Fields(c.command)
		before := slices.Clone(command)
		l, err := newDriver(t, agent.FormatCodex).Launch(Start{Command: command, Resume: c.resume, Prompt: Prompt{Text: " --hi\n"}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Join(l.Args, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if string(l.Input) != " --hi\n" || !l.OnePrompt || l.Temp != "" || len(l.Env) > 0 {
			t.Errorf("%s: %+v", c.name, l)
		}
		if !slices.Equal(command, before) {
			t.Errorf("%s: the user's command became %q", c.name, command)
		}
	}
}

func TestCodexRefuses(t *testing.T) {
	image := []Image{{ContentType: "image/png", Content: []byte("x")}}
	cases := []struct {
		name, command, resume string
		prompt                Prompt
		want                  string
	}{
		{"another command", "codex app-server", "", Prompt{Text: "a"}, "codex app-server is not for this"},
		{"a prompt for the terminal", "codex fix", "", Prompt{Text: "a"}, "codex fix is not for this"},
		{"a review", "codex exec review", "", Prompt{Text: "a"}, "codex exec review is not for this"},
		{"a prompt in the command", "codex exec --oss do", "", Prompt{Text: "a"}, `has the prompt "do"`},
		{"a prompt after the options", "codex exec -- resume", "", Prompt{Text: "a"}, `has the prompt "resume"`},
		{"a prompt after a thread", "codex exec resume " + threadA + " do", "", Prompt{Text: "a"}, `has the prompt "do"`},
		{"a prompt after the last thread", "codex exec resume --last do", "", Prompt{Text: "a"}, `has the prompt "do"`},
		{"a thread that is none", "codex", "s-1", Prompt{Text: "a"}, `"s-1" is not the id of a thread`},
		{"a thread that is an option", "codex", "--dangerously-bypass-approvals-and-sandbox", Prompt{Text: "a"}, "is not the id of a thread"},
		{"a thread in braces", "codex", "{" + threadA + "}", Prompt{Text: "a"}, "is not the id of a thread"},
		{"pictures alone", "codex", "", Prompt{Text: " \n", Images: image}, "no pictures without words"},
	}
	for _, c := range cases {
		temp := t.TempDir()
		_, err := newDriver(t, agent.FormatCodex).Launch(Start{Command: strings.Fields(c.command), Resume: c.resume, Prompt: c.prompt, Temp: temp})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%s: left %v", c.name, left)
		}
	}
}

// Nothing that says what Codex may do is ever added.
func TestCodexIsGivenNoRights(t *testing.T) {
	for _, resume := range []string{"", threadA} {
		l, err := newDriver(t, agent.FormatCodex).Launch(Start{Command: []string{"codex"}, Resume: resume, Prompt: Prompt{Text: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, arg := range l.Args[1:] {
			if !slices.Contains([]string{"exec", "--json", "resume", threadA, "-"}, arg) {
				t.Errorf("%q was added", arg)
			}
		}
	}
}

func TestCodexImages(t *testing.T) {
	temp := t.TempDir()
	images := []Image{{ContentType: "image/png", Content: []byte("one")}, {ContentType: "IMAGE/JPEG; q=1", Content: []byte("two")}, {ContentType: "../../x", Content: nil}}
	l, err := newDriver(t, agent.FormatCodex).Launch(Start{Command: []string{"codex"}, Resume: threadA, Temp: temp, Prompt: Prompt{Text: "see", Images: images}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"codex", "exec", "--json", "resume", "--image=" + l.Temp + "/image-1.png", "--image=" + l.Temp + "/image-2.jpg", "--image=" + l.Temp + "/image-3", threadA, "-"}
	if !slices.Equal(l.Args, want) {
		t.Errorf("got %q, want %q", l.Args, want)
	}
	checkImages(t, temp, l.Temp, images)
}

// checkImages checks the files and that nobody else can read them.
func checkImages(t *testing.T, base, folder string, images []Image) {
	t.Helper()
	if filepath.Dir(folder) != base {
		t.Errorf("the folder is %s, want one in %s", folder, base)
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != len(images) {
		t.Fatalf("%v, %v", files, err)
	}
	slices.Sort(files)
	for i, file := range files {
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, images[i].Content) {
			t.Errorf("%s: %q, %v", file, got, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// A program that is not Codex is started as it is.
func TestWrappers(t *testing.T) {
	for _, name := range []string{agent.FormatCodex, agent.FormatLines} {
		command := []string{"konlog", "fake-agent", "codex.jsonl", "exec"}
		temp := t.TempDir()
		images := []Image{{ContentType: "image/gif", Content: []byte("g")}, {ContentType: "image/webp", Content: []byte("w")}}
		l, err := newDriver(t, name).Launch(Start{Command: command, Resume: threadA, Temp: temp, Prompt: Prompt{Text: "see", Images: images}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.Args, command) || string(l.Input) != "see\n" || !l.OnePrompt {
			t.Errorf("%s: %+v", name, l)
		}
		want := "KONLOG_IMAGES=" + l.Temp + "/image-1.gif" + string(os.PathListSeparator) + l.Temp + "/image-2.webp"
		if len(l.Env) != 1 || l.Env[0] != want {
			t.Errorf("%s: %q, want %q", name, l.Env, want)
		}
		checkImages(t, temp, l.Temp, images)

		l, err = newDriver(t, name).Launch(Start{Command: command, Temp: temp, Prompt: Prompt{Text: "a\n"}})
		if err != nil || string(l.Input) != "a\n" || len(l.Env) > 0 || l.Temp != "" {
			t.Errorf("%s without pictures: %+v, %v", name, l, err)
		}
		l.Args[0] = "other"
		if command[0] != "konlog" {
			t.Errorf("%s: the user's command can be changed", name)
		}
	}
}

// Processes of one prompt take no words: the runner has signals for them.
func TestOnePromptDrivers(t *testing.T) {
	for _, name := range []string{agent.FormatCodex, agent.FormatLines, AgentSSE} {
		d := newDriver(t, name)
		if d.Ready() {
			t.Errorf("%s is ready for another prompt", name)
		}
		if _, err := d.Prompt(Prompt{Text: "a"}); !errors.Is(err, ErrOnePrompt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := d.Interrupt(); ok {
			t.Errorf("%s has a word for stop", name)
		}
		if _, ok := d.Answer(Answer{RequestID: "1"}); ok {
			t.Errorf("%s takes an answer", name)
		}
		if reply := d.Heard([]byte(`{"type":"turn.started"}`), agent.Meaning{}); reply != nil {
			t.Errorf("%s replies %q", name, reply)
		}
	}
}

func TestDetectCodex(t *testing.T) {
	for command, want := range map[string]string{
		"codex": agent.FormatCodex, "/usr/bin/codex exec": agent.FormatCodex, "npx @openai/codex": agent.FormatCodex, "codex-wrapper": "", "cat": "",
	} {
		if name, _ := DetectAgent(strings.Fields(command)); name != want {
			t.Errorf("%s is for %q, want %q", command, name, want)
		}
	}
}

func TestImagesThatCannotBeWritten(t *testing.T) {
	image := []Image{{ContentType: "image/png"}}
	if _, _, err := writeImages(filepath.Join(t.TempDir(), "absent"), image); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzCodexCommand(f *testing.F) {
	f.Add("exec -i a -- resume b --json", threadA)
	f.Add("-m x e fork --last y -", "")
	f.Add("-- - -= -i= --=", "")
	f.Add("-m x e fork --l", "")
	f.Fuzz(func(t *testing.T, command, resume string) {
		args := strings.Split(command, " ")
		c := parseCodex(args)
		once := c.args(resume, nil)
		if c.other != "" || len(c.words) > 0 {
			return
		}
		if n := len(once); n == 0 || once[n-1] != "-" {
			t.Fatalf("%q became %q", args, once)
		}
		// Of an option that nobody knows it is not known whether it wants the next word.
		foreign := func(arg string) bool {
			return strings.HasPrefix(arg, "-") && !slices.Contains(codexFlags, arg) && !slices.Contains([]string{"-", "--"}, arg)
		}
		if slices.ContainsFunc(args, foreign) {
			return
		}
		// What is complete stays as it is.
		again := parseCodex(once)
		if twice := again.args("", nil); resume == "" && !slices.Equal(once, twice) {
			t.Fatalf("%q became %q and then %q", args, once, twice)
		}
	})
}

func newDriver(t *testing.T, name string) Driver {
	t.Helper()
	d, err := NewDriver(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
