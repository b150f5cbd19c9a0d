package tidy

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func textRules() []rule {
	return []rule{
		{
			name:    "no-notes-to-self",
			check:   checkNotes,
			planted: tree("api/x.go", "package api\n// "+"TO"+"DO: later\n"),
			find:    "api/x.go:2",
			clean:   tree("api/x.go", "package api\n// mastodon and methodology\n"),
		},
		{
			name:    "no-machine-paths",
			check:   checkMachine,
			planted: tree("docs/x.md", "see /ro"+"ot/go/pkg\n"),
			find:    "docs/x.md:1",
			clean:   tree("docs/x.md", "see /var/lib/konlog\n"),
		},
		{
			name:    "no-registry-hosts",
			check:   checkHosts,
			planted: tree("package-lock.json", `{"resolved":"https://registry.npm`+`js.org/x"}`),
			find:    "package-lock.json:1",
		},
		{
			name:    "links-lead-somewhere",
			check:   checkLinks,
			planted: tree("README.md", "[a](docs/A.md#two-words)\n", "docs/A.md", "# Two worlds\n"),
			find:    "docs/A.md#two-words",
			clean:   tree("README.md", "[a](docs/A.md#two-words) `[x](y)` [b](https://example.org)\n```\n[c](nowhere)\n```\n", "docs/A.md", "# Two `words`!\n"),
		},
		{
			name:    "links-to-files-that-exist",
			check:   checkLinks,
			planted: tree("docs/A.md", "[b](B.md)\n"),
			find:    "B.md",
		},
		{
			name:    "documented-commands-exist",
			check:   checkCommands,
			planted: tree("README.md", "```sh\ngo run ./cmd/konlog demonstrate\n```\n", "cmd/konlog/demo.go", "package main\n"),
			find:    "demonstrate",
			clean:   tree("README.md", "go run ./cmd/konlog nothing\n```sh\ngo run ./cmd/konlog demo\n```\n", "cmd/konlog/demo.go", "package main\n"),
		},
		{
			name:    "recordings-have-a-licence",
			check:   checkLicences,
			planted: tree("testdata/a.jsonl", "{}\n", "testdata/b.jsonl", "{}\n", "testdata/README.md", "| `a.jsonl` | somewhere | MIT |\n"),
			find:    "testdata/b.jsonl",
		},
		{
			name:    "error-codes-are-documented",
			check:   checkCodes,
			planted: tree("store/errors.go", "package store\nconst (\n\tCodeA Code = \"a_one\"\n\tCodeB Code = \"b_two\"\n)\n", "docs/PROTOCOL.md", "## 10. Errors\n| `a_one` | 400 | x |\n"),
			find:    "b_two",
			clean:   tree("store/errors.go", "package store\nconst (\n\tCodeA Code = \"a_one\"\n)\n", "docs/PROTOCOL.md", "## 10. Errors\n| `a_one` | 400 | x |\n"),
		},
		{
			name:    "documented-error-codes-exist",
			check:   checkCodes,
			planted: tree("store/errors.go", "package store\n", "docs/PROTOCOL.md", "## 10. Errors\n| `a_one` | 400 | x |\n"),
			find:    "a_one",
		},
		{
			name:    "settings-are-documented",
			check:   checkSettingsTable,
			planted: tree("cmd/konlog/settings.go", "package main\nvar _ = setting{key: \"a.one\"}\nvar _ = countSetting(\"b.two\", 1)\n", "docs/OPERATIONS.md", "## Settings\n| `a.one` | 1 | x |\n"),
			find:    "b.two",
		},
		{
			name:    "documented-settings-exist",
			check:   checkSettingsTable,
			planted: tree("cmd/konlog/settings.go", "package main\n", "docs/OPERATIONS.md", "## Settings\n| `a.one` | 1 | x |\n## Health\n| `b.two` | | |\n"),
			find:    "a.one",
		},
		{
			name:    "tests-named-in-the-docs-exist",
			check:   checkNamedTests,
			planted: tree("docs/A.md", "see `TestI1_Gone` and `TestP1`\n", "api/x_test.go", "package api\nfunc TestP1() {}\n"),
			find:    "TestI1_Gone",
		},
	}
}

// matches returns the places where one of the patterns stands.
func matches(r *repo, what string, patterns []string) (problems []string) {
	re := regexp.MustCompile(strings.Join(patterns, "|"))
	for _, name := range r.files {
		text := r.text(name)
		if generated(name) || !re.MatchString(text) {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if m := re.FindString(line); m != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s %q", name, i+1, what, m))
			}
		}
	}
	return problems
}

// The patterns are written so that this file does not match them itself.

func checkNotes(r *repo) []string {
	return matches(r, "a note to self", []string{`\b[T]ODO\b`, `\b[F]IXME\b`, `\b[X]XX\b`})
}

// checkMachine leaves the recordings alone: they stay as the agents printed them.
func checkMachine(r *repo) []string {
	problems := matches(r, "a path of one machine", []string{`/[r]oot/`, `/[w]ork/`, `\.\./[s]hared\b`, `/[b]ash_jobs`})
	return slices.DeleteFunc(problems, func(p string) bool { return strings.HasPrefix(p, "testdata/") })
}

func checkHosts(r *repo) []string {
	return matches(r, "a registry's host", []string{`[p]roxy\.golang\.org`, `[s]um\.golang\.org`, `registry\.[n]pmjs\.org`, `[d]eb\.debian\.org`, `[f]iles\.pythonhosted\.org`, `registry\.[y]arnpkg\.com`})
}

var (
	fence      = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}[ \t]+(.*)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func checkLinks(r *repo) (problems []string) {
	for _, name := range r.files {
		if path.Ext(name) != ".md" {
			continue
		}
		prose := inlineCode.ReplaceAllString(fence.ReplaceAllString(r.text(name), ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if problem := deadLink(r, name, m[1]); problem != "" {
				problems = append(problems, fmt.Sprintf("%s: link to %s: %s", name, m[1], problem))
			}
		}
	}
	return problems
}

func deadLink(r *repo, from, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	switch {
	case !r.exists(to):
		return "no such file"
	case anchor != "" && !slices.Contains(anchors(r.text(to)), anchor):
		return "no such heading"
	}
	return ""
}

// anchors returns the anchors of a page's headings, made as code hosts do.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

var command = regexp.MustCompile(`(?m)^[ \t]*(?:\$ )?(?:go run \./cmd/konlog|\./konlog|konlog) ([a-z][a-z-]*)`)

// checkCommands holds the commands in the pages' code blocks against the
// files of cmd/konlog, of which there is one for each command.
func checkCommands(r *repo) (problems []string) {
	builtIn := []string{"help", "completion"} // of the command library
	for _, name := range r.files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, block := range fence.FindAllString(r.text(name), -1) {
			for _, m := range command.FindAllStringSubmatch(block, -1) {
				if !slices.Contains(builtIn, m[1]) && !r.exists("cmd/konlog/"+m[1]+".go") {
					problems = append(problems, fmt.Sprintf("%s: konlog has no command %s", name, m[1]))
				}
			}
		}
	}
	return problems
}

// checkLicences wants a row of testdata/README.md for each recording, which
// names the file and, in another cell, a licence.
func checkLicences(r *repo) (problems []string) {
	page := r.text("testdata/README.md")
	for _, name := range r.files {
		if !strings.HasPrefix(name, "testdata/") || name == "testdata/README.md" {
			continue
		}
		row := regexp.MustCompile(`(?m)^\|[^\n]*` + regexp.QuoteMeta(path.Base(name)) + `[^\n]*\|[^\n]*(Apache-2\.0|MIT|BSD|own recording)[^\n]*\|`)
		if !row.MatchString(page) {
			problems = append(problems, name+" has no row with its licence in testdata/README.md")
		}
	}
	return problems
}

// TestPins holds modernc.org/libc at the version that modernc.org/sqlite was
// made with: the driver's translated C calls that libc by its layout, and any
// other pair is untested.
func TestPins(t *testing.T) {
	var sqlite struct{ Version, GoMod string }
	goList(t, "modernc.org/sqlite", &sqlite)
	var libc struct{ Version string }
	goList(t, "modernc.org/libc", &libc)
	want := required(t, sqlite.GoMod, "modernc.org/libc")
	if libc.Version != want {
		t.Errorf("modernc.org/libc is %s; modernc.org/sqlite %s was made with %s", libc.Version, sqlite.Version, want)
	}
}

func TestPinsCatchesPlantedFault(t *testing.T) {
	mod := []byte(`{"Require":[{"Path":"modernc.org/libc","Version":"v1.2.3"}]}`)
	if got := version(t, mod, "modernc.org/libc"); got != "v1.2.3" {
		t.Errorf("got %q, want v1.2.3", got)
	}
	if got := version(t, mod, "modernc.org/memory"); got != "" {
		t.Errorf("got %q, want none", got)
	}
}

func goList(t *testing.T, module string, into any) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-json", module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

// required returns the version that a go.mod file asks for.
func required(t *testing.T, gomod, module string) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", gomod).Output()
	if err != nil {
		t.Fatalf("read %s: %v", gomod, err)
	}
	return version(t, out, module)
}

func version(t *testing.T, modJSON []byte, module string) string {
	t.Helper()
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(modJSON, &mod); err != nil {
		t.Fatal(err)
	}
	for _, m := range mod.Require {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

var (
	codeConst  = regexp.MustCompile(`(?m)^\t[cC]ode[A-Za-z0-9]+ +(?:store\.)?Code += "([a-z_0-9]+)"`)
	settingKey = regexp.MustCompile(`(?:setting\{key: |Setting\()"([a-z][a-z0-9.-]*)"|\{key: "([a-z][a-z0-9.-]*)"`)
	tableRow   = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	namedTest  = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/[^`]*)?`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// checkCodes holds the codes of refusals against the table of the protocol.
func checkCodes(r *repo) []string {
	var declared []string
	for _, name := range r.files {
		if path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			declared = append(declared, groups(codeConst, r.text(name))...)
		}
	}
	return sameNames("error code", "docs/PROTOCOL.md", declared, groups(tableRow, section(r.text("docs/PROTOCOL.md"), "10. Errors")))
}

// checkSettingsTable holds the settings against the table for operators.
func checkSettingsTable(r *repo) []string {
	const page = "docs/OPERATIONS.md"
	declared := groups(settingKey, r.text("cmd/konlog/settings.go"))
	return sameNames("setting", page, declared, groups(tableRow, section(r.text(page), "Settings")))
}

// checkNamedTests finds tests that a page names and nobody wrote.
func checkNamedTests(r *repo) (problems []string) {
	var written []string
	for _, name := range r.files {
		if path.Ext(name) == ".go" {
			written = append(written, groups(testFunc, r.text(name))...)
		}
	}
	for _, name := range r.files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, test := range groups(namedTest, r.text(name)) {
			if !slices.Contains(written, test) {
				problems = append(problems, fmt.Sprintf("%s names %s, which is no test", name, test))
			}
		}
	}
	return problems
}

// sameNames compares what the code declares with the rows of a page.
func sameNames(what, page string, declared, rows []string) (problems []string) {
	for _, name := range declared {
		if !slices.Contains(rows, name) {
			problems = append(problems, fmt.Sprintf("%s %s has no row in %s", what, name, page))
		}
	}
	for _, name := range rows {
		if !slices.Contains(declared, name) {
			problems = append(problems, fmt.Sprintf("%s has a row for %s %s, which does not exist", page, what, name))
		}
	}
	return problems
}

// section returns what stands under a heading of the second level.
func section(page, title string) string {
	_, rest, _ := strings.Cut(page, "\n## "+title+"\n")
	if rest == "" {
		rest, _ = strings.CutPrefix(page, "## "+title+"\n")
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// groups returns the first group that is not empty, of every match.
func groups(re *regexp.Regexp, text string) (all []string) {
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		for _, g := range m[1:] {
			if g != "" {
				all = append(all, g)
				break
			}
		}
	}
	return all
}
