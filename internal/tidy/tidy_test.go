package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// rule is one rule of the repository. Its check returns what is wrong, one
// sentence each. planted is a tree with one fault, and find a part of the
// sentence that the check must then return; clean is a tree that must pass
// although it comes close.
type rule struct {
	name    string
	check   func(*repo) []string
	planted fstest.MapFS
	find    string
	clean   fstest.MapFS
}

func rules() []rule {
	var all []rule
	all = append(all, importRules()...)
	all = append(all, goRules()...)
	all = append(all, scriptRules()...)
	all = append(all, securityRules()...)
	all = append(all, logRules()...)
	return append(all, textRules()...)
}

func TestRepository(t *testing.T) {
	r := load(t, os.DirFS("../.."))
	for _, rule := range rules() {
		t.Run(rule.name, func(t *testing.T) {
			for _, problem := range rule.check(r) {
				t.Error(problem)
			}
		})
	}
}

func TestRulesCatchPlantedFaults(t *testing.T) {
	for _, rule := range rules() {
		t.Run(rule.name, func(t *testing.T) {
			got := rule.check(load(t, rule.planted))
			if len(got) != 1 || !strings.Contains(got[0], rule.find) {
				t.Errorf("planted fault: got %q, want one problem with %q", got, rule.find)
			}
			if rule.clean == nil {
				return
			}
			if got := rule.check(load(t, rule.clean)); len(got) != 0 {
				t.Errorf("clean tree: got %q, want none", got)
			}
		})
	}
}

// repo is a file tree as the rules see it.
type repo struct {
	fsys  fs.FS
	files []string // all but what no commit holds
	gos   []*goFile
}

type goFile struct {
	path, dir string
	test      bool // a test file, or a file of a package that only tests import
	fset      *token.FileSet
	ast       *ast.File
	lines     int
}

// unversioned are the folders that .gitignore names and git's own, by name or
// by path.
var unversioned = map[string]bool{".git": true, "node_modules": true, "konlog-data": true, "client/js/dist": true}

func load(t *testing.T, fsys fs.FS) *repo {
	t.Helper()
	r := &repo{fsys: fsys}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (unversioned[d.Name()] || unversioned[name]):
			return fs.SkipDir
		case d.Type().IsRegular():
			r.files = append(r.files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range r.files {
		if path.Ext(name) == ".go" && !strings.Contains(name, "testdata/") {
			r.gos = append(r.gos, parse(t, r, name))
		}
	}
	return r
}

func parse(t *testing.T, r *repo, name string) *goFile {
	t.Helper()
	src, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	f := &goFile{path: name, dir: path.Dir(name), fset: token.NewFileSet()}
	f.test = strings.HasSuffix(name, "_test.go")
	f.lines = strings.Count(string(src), "\n")
	if f.ast, err = parser.ParseFile(f.fset, name, src, parser.ParseComments); err != nil {
		t.Fatal(err)
	}
	return f
}

// text returns a file's content, or "" when it is too large or not text.
func (r *repo) text(name string) string {
	const textMax = 4 << 20 // the largest recording is a tenth of it
	b, err := fs.ReadFile(r.fsys, name)
	if err != nil || len(b) > textMax || strings.ContainsRune(string(b), 0) {
		return ""
	}
	return string(b)
}

func (r *repo) exists(name string) bool {
	_, err := fs.Stat(r.fsys, name)
	return err == nil
}

func (f *goFile) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

func (f *goFile) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// tree makes a planted tree from pairs of name and content.
func tree(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}
