package tidy

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// generated are the files that a tool makes of others. CI makes them again and
// fails on a difference, so no rule about what people write holds for them.
func generated(name string) bool {
	return name == "client/js/src/schema.ts" || strings.HasPrefix(name, "web/dist/") || strings.HasPrefix(name, "web/replay/dist/")
}

// markupMakers are the files that may make markup of text: what an agent wrote
// goes through the sanitizer or the highlighter, which escapes, and nowhere else.
// In an exported page, which has no server, the frame of an output gets it from
// the page.
var markupMakers = []string{"web/src/parts/Markdown.tsx", "web/src/parts/Code.tsx", "web/src/parts/highlight.ts", "web/src/export/OfflineOutput.tsx"}

// runtime are the packages that the bundle may hold. The client has none.
var runtime = map[string][]string{
	"client/js/package.json": {},
	"web/package.json":       {"@konlog/client", "@preact/signals", "@xterm/addon-fit", "@xterm/xterm", "diff", "dompurify", "highlight.js", "marked", "preact"},
}

func scriptRules() []rule {
	const dir = "client/js/src/"
	long := "export function f() {\n" + strings.Repeat("  x();\n", functionLinesMax-2) + "}\n"
	return []rule{
		{
			name:    "script-file-length",
			check:   checkScriptFiles,
			planted: tree("web/src/app/app.css", strings.Repeat("\n", fileLinesMax+1)),
			find:    "501 lines",
			clean: tree("web/src/a.ts", strings.Repeat("\n", fileLinesMax), "client/js/src/schema.ts", strings.Repeat("\n", 9999),
				"web/test/a.test.ts", strings.Repeat("\n", fileLinesMax+1), "web/dist/assets/app.js", strings.Repeat("\n", 9999)),
		},
		{
			name:    "script-function-length",
			check:   checkLengths(functionStart, ""),
			planted: tree(dir+"a.ts", strings.Replace(long, "x();", "x();\n  y();", 1)),
			find:    dir + "a.ts:1: function f has 61 lines",
			clean: tree(dir+"a.ts", long+"\nclass A {\n"+strings.Repeat("  b = 1;\n", functionLinesMax)+"}\n",
				dir+"b.ts", "const table = {\n"+strings.Repeat("  a: 1,\n", functionLinesMax)+"};\n"),
		},
		{
			name:    "script-method-length",
			check:   checkLengths(methodStart, "  "),
			planted: tree(dir+"a.ts", "class A {\n  private async read(a: number): Promise<void> {\n"+strings.Repeat("    x();\n", functionLinesMax)+"  }\n}\n"),
			find:    dir + "a.ts:2: function read has 62 lines",
			clean:   tree(dir+"a.ts", "class A {\n  read() {\n"+strings.Repeat("    x();\n", functionLinesMax-2)+"  }\n}\n"),
		},
		{
			name:    "arrow-function-length",
			check:   checkLengths(arrowStart, ""),
			planted: tree("web/src/a.tsx", "export const A = ({ b }: Props) => {\n"+strings.Repeat("  x();\n", functionLinesMax)+"};\n"),
			find:    "function A has 62 lines",
		},
		{
			name:    "no-markup-of-text",
			check:   checkMarkup,
			planted: tree("web/src/parts/Json.tsx", "x.innerHTML = text;\n"),
			find:    "web/src/parts/Json.tsx:1",
			clean:   tree("web/src/parts/Markdown.tsx", "x.innerHTML = clean(text);\n"),
		},
		{
			name:    "console-asks-nobody-else",
			check:   checkAddresses,
			planted: tree("web/src/a.ts", "const font = 'https://fonts.example.com/x';\n"),
			find:    "web/src/a.ts:1",
			clean:   tree("web/src/a.ts", "const ns = 'http://www.w3.org/2000/svg';\n// as at https://example.org says\nconst mine = 'http://127.0.0.1:8787';\n"),
		},
		{
			name:    "packages-are-those-that-were-chosen",
			check:   checkPackages,
			planted: tree("client/js/package.json", `{"dependencies":{"left-pad":"1.0.0"}}`),
			find:    "left-pad",
			clean:   tree("client/js/package.json", `{"devDependencies":{"vitest":"4"},"peerDependencies":{"react":"19"}}`, "web/package.json", `{"dependencies":{"preact":"11"}}`),
		},
		{
			name:    "lock-names-no-address",
			check:   checkLock,
			planted: tree("package-lock.json", `{"packages":{"node_modules/a":{"version":"1.0.0","integrity":"sha512-x","resolved":"https://example.org/a.tgz"}}}`),
			find:    "node_modules/a has an address",
			clean:   tree("package-lock.json", `{"packages":{"":{},"web":{},"node_modules/a":{"version":"1.0.0","integrity":"sha512-x"},"node_modules/konlog-web":{"resolved":"web","link":true}}}`),
		},
		{
			name:    "lock-has-every-hash",
			check:   checkLock,
			planted: tree("package-lock.json", `{"packages":{"node_modules/a":{"version":"1.0.0"}}}`),
			find:    "node_modules/a has no hash",
		},
		{
			name:    "go-leaves-node-modules-alone",
			check:   checkIgnore,
			planted: tree("go.mod", "module x\n", "package-lock.json", `{}`),
			find:    "ignore node_modules",
			clean:   tree("go.mod", "module x\n\nignore node_modules\n", "package-lock.json", `{}`),
		},
		{
			name:    "imports-of-the-client-run-in-node",
			check:   checkRelative,
			planted: tree(dir+"a.ts", "import { b } from './b';\n"),
			find:    "./b",
			clean:   tree(dir+"a.ts", "import { b } from './b.js';\nimport { c } from 'react';\n"),
		},
	}
}

// scripts returns the files of the client, the console and the browser tests
// that people write, by extension.
func scripts(r *repo, extensions ...string) (names []string) {
	for _, name := range r.files {
		mine := strings.HasPrefix(name, "client/js/") || strings.HasPrefix(name, "web/") || strings.HasPrefix(name, "e2e/")
		if mine && !generated(name) && slices.Contains(extensions, path.Ext(name)) {
			names = append(names, name)
		}
	}
	return names
}

func isTest(name string) bool {
	return strings.Contains(name, "/test/") || strings.Contains(path.Base(name), ".test.")
}

func checkScriptFiles(r *repo) (problems []string) {
	for _, name := range scripts(r, ".ts", ".tsx", ".mjs", ".js", ".css", ".html") {
		if n := strings.Count(r.text(name), "\n"); n > fileLinesMax && !isTest(name) {
			problems = append(problems, fmt.Sprintf("%s has %d lines, the limit is %d", name, n, fileLinesMax))
		}
	}
	return problems
}

// The beginnings of functions, as this repository writes them: at the start of
// a line, or two spaces in for a method. They end with the next line that
// closes at the same depth.
var (
	functionStart = regexp.MustCompile(`^(?:export )?(?:default )?(?:async )?function\*? (\w+)`)
	arrowStart    = regexp.MustCompile(`^(?:export )?const (\w+)[^=]*=.*=> [({]$`)
	methodStart   = regexp.MustCompile(`^  (?:(?:private|protected|public|static|override|async|get|set) )*\*?([#\w]+)(?:<[^>]*>)?\(.*\{$`)
)

// checkLengths counts by indentation, so it sees what a formatter has laid out,
// and what is inside belongs to what is around it.
func checkLengths(start *regexp.Regexp, indent string) func(*repo) []string {
	return func(r *repo) (problems []string) {
		for _, name := range scripts(r, ".ts", ".tsx", ".mjs") {
			if isTest(name) {
				continue
			}
			lines := strings.Split(r.text(name), "\n")
			for i, line := range lines {
				m := start.FindStringSubmatch(line)
				if m == nil || slices.Contains([]string{"if", "for", "while", "switch", "catch"}, m[1]) {
					continue
				}
				if n := closes(lines[i:], indent); n > functionLinesMax {
					problems = append(problems, fmt.Sprintf("%s:%d: function %s has %d lines, the limit is %d", name, i+1, m[1], n, functionLinesMax))
				}
			}
		}
		return problems
	}
}

// closes returns how many lines there are up to the one that closes the first.
func closes(lines []string, indent string) int {
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, indent)
		if ok && i > 0 && (strings.HasPrefix(rest, "}") || strings.HasPrefix(rest, ");")) && !strings.HasSuffix(rest, "{") {
			return i + 1
		}
	}
	return 0 // it stands on one line
}

var markup = regexp.MustCompile(`\b(?:innerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc)\b|\beval\(|new Function\(|document\.write`)

func checkMarkup(r *repo) (problems []string) {
	for _, name := range scripts(r, ".ts", ".tsx") {
		if isTest(name) || slices.Contains(markupMakers, name) {
			continue
		}
		for i, line := range strings.Split(r.text(name), "\n") {
			if m := markup.FindString(line); m != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: markup or code is made of text: %s", name, i+1, m))
			}
		}
	}
	return problems
}

var (
	address  = regexp.MustCompile(`(?:https?|wss?)://([A-Za-z0-9.-]+)`)
	ownHosts = []string{"www.w3.org", "127.0.0.1", "localhost", "example.org", "example.com"}
)

// checkAddresses finds other hosts in the console and the client. A name space
// is a name, not an address.
func checkAddresses(r *repo) (problems []string) {
	for _, name := range scripts(r, ".ts", ".tsx", ".css", ".html") {
		if !strings.HasPrefix(name, "web/src/") && !strings.HasPrefix(name, "client/js/src/") && name != "web/index.html" {
			continue
		}
		for i, line := range strings.Split(r.text(name), "\n") {
			for _, m := range address.FindAllStringSubmatch(line, -1) {
				if !slices.Contains(ownHosts, m[1]) {
					problems = append(problems, fmt.Sprintf("%s:%d: names the host %s", name, i+1, m[1]))
				}
			}
		}
	}
	return problems
}

// checkPackages holds what is bundled against the list: a package is chosen in
// an ADR, not in passing.
func checkPackages(r *repo) (problems []string) {
	for file, allowed := range runtime {
		if !r.exists(file) {
			continue
		}
		var pkg struct{ Dependencies, OptionalDependencies map[string]string }
		if err := json.Unmarshal([]byte(r.text(file)), &pkg); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", file, err))
		}
		for _, list := range []map[string]string{pkg.Dependencies, pkg.OptionalDependencies} {
			for name := range list {
				if !slices.Contains(allowed, name) {
					problems = append(problems, fmt.Sprintf("%s depends on %s", file, name))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// checkLock wants a hash and no address of every package: whoever installs
// asks the registry of their own choice, and gets the same bytes.
func checkLock(r *repo) (problems []string) {
	const file = "package-lock.json"
	if !r.exists(file) {
		return nil
	}
	var lock struct {
		Packages map[string]struct {
			Resolved, Integrity string
			Link                bool
		}
	}
	if err := json.Unmarshal([]byte(r.text(file)), &lock); err != nil {
		return []string{fmt.Sprintf("%s: %v", file, err)}
	}
	for name, p := range lock.Packages {
		switch {
		case strings.Contains(p.Resolved, "://"):
			problems = append(problems, fmt.Sprintf("%s: %s has an address", file, name))
		case strings.Contains(name, "node_modules/") && !p.Link && p.Integrity == "":
			problems = append(problems, fmt.Sprintf("%s: %s has no hash", file, name))
		}
	}
	slices.Sort(problems)
	return problems
}

// checkIgnore: a package of npm may hold Go files, which ./... would find.
func checkIgnore(r *repo) []string {
	if r.exists("package-lock.json") && r.exists("go.mod") && !regexp.MustCompile(`(?m)^ignore node_modules$`).MatchString(r.text("go.mod")) {
		return []string{"go.mod does not say: ignore node_modules"}
	}
	return nil
}

var relative = regexp.MustCompile(`(?m)(?:from|import\()\s*['"](\.{1,2}/[^'"]*)['"]`)

// checkRelative: Node resolves no endings.
func checkRelative(r *repo) (problems []string) {
	for _, name := range scripts(r, ".ts", ".tsx") {
		if !strings.HasPrefix(name, "client/js/src/") {
			continue
		}
		for _, imported := range groups(relative, r.text(name)) {
			if !strings.HasSuffix(imported, ".js") {
				problems = append(problems, fmt.Sprintf("%s imports %s: write the .js", name, imported))
			}
		}
	}
	return problems
}
