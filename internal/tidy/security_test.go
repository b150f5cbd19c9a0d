package tidy

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// threats is the page that names each abuse and the test that shows it fails.
const threats = "docs/SECURITY.md"

func securityRules() []rule {
	page := "see `api.TestA`\n"
	return []rule{
		{
			name:    "tests-of-the-threat-model-exist",
			check:   checkThreats,
			planted: tree(threats, page+"and `internal/abuse.FuzzB`\n", "api/x_test.go", "package api\nimport \"testing\"\nfunc TestA(t *testing.T) {}\n"),
			find:    "there is no test internal/abuse.FuzzB",
			clean:   tree(threats, page, "api/x_test.go", "package api\nimport \"testing\"\nfunc TestA(t *testing.T) {}\n"),
		},
		{
			name:    "no-test-by-that-name-elsewhere",
			check:   checkThreats,
			planted: tree(threats, page, "store/x_test.go", "package store\nimport \"testing\"\nfunc TestA(t *testing.T) {}\n", "api/x.go", "package api\nfunc TestA() {}\n"),
			find:    "there is no test api.TestA",
		},
		{
			name:    "every-attack-is-in-the-threat-model",
			check:   checkAttacks,
			planted: tree(threats, page, "internal/abuse/x_test.go", "package abuse\nimport \"testing\"\nfunc TestB(t *testing.T) {}\n"),
			find:    "does not name internal/abuse.TestB",
			clean:   tree(threats, "`internal/abuse.TestB`", "internal/abuse/x_test.go", "package abuse\nimport \"testing\"\nfunc TestB(t *testing.T) {}\nfunc helper() {}\n"),
		},
	}
}

var threatTest = regexp.MustCompile("`([a-z][a-z0-9/]*)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// testsOf returns the tests of all packages, as package.Test.
func testsOf(r *repo) map[string]bool {
	found := map[string]bool{}
	for _, f := range r.gos {
		if !strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				found[f.dir+"."+fn.Name.Name] = true
			}
		}
	}
	return found
}

func checkThreats(r *repo) (problems []string) {
	tests := testsOf(r)
	for i, line := range strings.Split(r.text(threats), "\n") {
		for _, m := range threatTest.FindAllStringSubmatch(line, -1) {
			if name := m[1] + "." + m[2]; !tests[name] {
				problems = append(problems, fmt.Sprintf("%s:%d: there is no test %s", threats, i+1, name))
			}
		}
	}
	return problems
}

func checkAttacks(r *repo) (problems []string) {
	page := r.text(threats)
	for name := range testsOf(r) {
		if strings.HasPrefix(name, "internal/abuse.") && name != "internal/abuse.TestMain" && !strings.Contains(page, "`"+name+"`") {
			problems = append(problems, fmt.Sprintf("%s does not name %s", threats, name))
		}
	}
	slices.Sort(problems)
	return problems
}

// argued is a row of the page's table of findings: so many of a rule, in a
// package.
type argued struct {
	rule, dir string
	most      int
}

var arguedRow = regexp.MustCompile("^\\| (G\\d+) \\| `([^`]+)` \\| (\\d+) \\| ([^|]{10,}) \\|$")

// arguments reads the table.
func arguments(page string) (rows []argued, problems []string) {
	for i, line := range strings.Split(page, "\n") {
		if !strings.HasPrefix(line, "| G") {
			continue
		}
		m := arguedRow.FindStringSubmatch(line)
		if m == nil {
			problems = append(problems, fmt.Sprintf("%s:%d: a row is | rule | `package` | number | reason |", threats, i+1))
			continue
		}
		most, _ := strconv.Atoi(m[3])
		rows = append(rows, argued{m[1], m[2], most})
	}
	return rows, problems
}

// finding is what gosec says of a line.
type finding struct {
	Rule    string `json:"rule_id"`
	File    string `json:"file"`
	Line    string `json:"line"`
	Details string `json:"details"`
}

// unargued holds the findings against the table.
func unargued(findings []finding, rows []argued) (problems []string) {
	found := map[argued][]string{}
	for _, f := range findings {
		key := argued{rule: f.Rule, dir: path.Dir(f.File)}
		found[key] = append(found[key], fmt.Sprintf("%s:%s: %s %s", f.File, f.Line, f.Rule, f.Details))
	}
	for _, row := range rows {
		key := argued{rule: row.rule, dir: row.dir}
		places := found[key]
		delete(found, key)
		if len(places) == 0 {
			problems = append(problems, fmt.Sprintf("%s argues about %s in %s, of which there is none", threats, row.rule, row.dir))
		}
		if len(places) > row.most {
			problems = append(problems, fmt.Sprintf("%s argues about %d of %s in %s, but there are %d:\n  %s", threats, row.most, row.rule, row.dir, len(places), strings.Join(places, "\n  ")))
		}
	}
	for _, places := range found {
		problems = append(problems, places...)
	}
	slices.Sort(problems)
	return problems
}

// TestGosec holds what gosec found, whose report test.sh names, against the
// table of the threat model.
func TestGosec(t *testing.T) {
	report := os.Getenv("KONLOG_GOSEC")
	if report == "" {
		t.Skip("KONLOG_GOSEC names no report; test.sh makes one")
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Issues []finding
		Errors map[string]any `json:"Golang errors"`
		Stats  struct{ Files int }
	}
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range said.Issues {
		name, err := filepath.Rel(root, f.File)
		if err != nil {
			t.Fatal(err)
		}
		said.Issues[i].File = filepath.ToSlash(name)
	}
	if len(said.Errors) > 0 || said.Stats.Files == 0 {
		t.Errorf("gosec could not read all of it: %v", said.Errors)
	}
	page, err := os.ReadFile(filepath.Join(root, threats))
	if err != nil {
		t.Fatal(err)
	}
	rows, problems := arguments(string(page))
	for _, p := range append(problems, unargued(said.Issues, rows)...) {
		t.Error(p)
	}
}

// TestGosecTable: the table lets through what it argues about, and no more.
func TestGosecTable(t *testing.T) {
	rows, problems := arguments("| rule | where |\n|---|---|\n| G115 | `store` | 2 | because of something good |\n| G404 | `api` | 1 | it is only chance, and no secret |\n| G1 | store | 1 | why |\n")
	if len(rows) != 2 || len(problems) != 1 {
		t.Fatalf("rows %v, problems %v", rows, problems)
	}
	two := []finding{{Rule: "G115", File: "store/a.go", Line: "1"}, {Rule: "G115", File: "store/b.go", Line: "2"}, {Rule: "G404", File: "api/a.go", Line: "3"}}
	for name, c := range map[string]struct {
		found []finding
		want  string
	}{
		"as argued":        {two, ""},
		"one too many":     {append(slices.Clone(two), finding{Rule: "G115", File: "store/c.go", Line: "9"}), "but there are 3"},
		"another package":  {append(slices.Clone(two), finding{Rule: "G115", File: "store/sqlite/c.go", Line: "9"}), "store/sqlite/c.go:9"},
		"another rule":     {append(slices.Clone(two), finding{Rule: "G101", File: "store/c.go", Line: "9"}), "store/c.go:9"},
		"none any more":    {two[:2], "G404 in api, of which there is none"},
		"fewer than there": {append(two[:1:1], two[2]), ""},
	} {
		got := strings.Join(unargued(c.found, rows), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
