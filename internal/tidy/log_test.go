package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// logDoc has the list of the keys of log lines, under logHeading.
const (
	logDoc     = "docs/OBSERVABILITY.md"
	logHeading = "## The server's log"
)

// unloggable are what names of variables and members say of what must not be
// in a log line: what clients and agents wrote, and what opens doors.
var unloggable = []string{"data", "raw", "body", "text", "prompt", "payload", "token", "secret", "password", "authorization", "header", "cookie", "credential"}

func logRules() []rule {
	const doc = logHeading + "\n\n| key | what |\n|---|---|\n| `err` | x |\n"
	call := func(line string) string { return "package api\nfunc f() {\n\tlogger." + line + "\n}\n" }
	return []rule{
		{
			name:    "log-keys-are-documented",
			check:   checkLogKeys,
			planted: tree(logDoc, doc, "api/x.go", call(`Warn("x", "err", err, "sessionName", s)`)),
			find:    "key sessionName",
			clean:   tree(logDoc, doc, "api/x.go", call(`WarnContext(ctx, "x", "err", err)`), "api/y.go", "package api\nvar _ = t.Error(\"x\", \"nokey\", 1)\n"),
		},
		{
			name:    "documented-log-keys-are-used",
			check:   checkLogKeys,
			planted: tree(logDoc, doc+"| `ghost` | x |\n", "api/x.go", call(`With("err", err)`)),
			find:    "ghost is used by no line",
		},
		{
			name:    "log-messages-are-constant",
			check:   checkLogMessages,
			planted: tree("api/x.go", call(`Info(fmt.Sprintf("x %d", 1))`)),
			find:    "api/x.go:3",
			clean:   tree("api/x.go", call(`Log(ctx, level, "x", "err", err)`)),
		},
		{
			name:    "log-lines-hold-no-payload",
			check:   checkLogValues,
			planted: tree("api/x.go", call(`Debug("x", "err", e.Data)`)),
			find:    "Data must not",
			clean:   tree("api/x.go", call(`Debug("x", "err", err, "events", len(e.Data), "data", c.text("data"), "path", r.Context())`)),
		},
		{
			name:    "log-lines-hold-no-secret",
			check:   checkLogValues,
			planted: tree("api/x.go", call(`Warn("x", "id", string(apiToken))`)),
			find:    "apiToken",
		},
	}
}

// logCall is a call that makes a log line, or the part of one.
type logCall struct {
	file    *goFile
	node    *ast.CallExpr
	message ast.Expr // or nil, of With
	pairs   []ast.Expr
}

// logCalls finds them by how loggers are called here.
func logCalls(r *repo) (calls []logCall) {
	for _, f := range r.gos {
		if f.test || strings.HasPrefix(f.dir, "internal/tidy") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"logger", "log", "slog"}, strings.ToLower(lastName(method.X))) {
				return true
			}
			skip, found := map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "Log": 2, "LogAttrs": 2, "With": -1}[method.Sel.Name]
			if !found || len(call.Args) <= skip {
				return true
			}
			c := logCall{file: f, node: call, pairs: call.Args[skip+1:]}
			if skip >= 0 {
				c.message = call.Args[skip]
			}
			calls = append(calls, c)
			return true
		})
	}
	return calls
}

// lastName is the name of what an expression yields: of a.b.c it is c.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return lastName(e.Fun)
	case *ast.ParenExpr:
		return lastName(e.X)
	}
	return ""
}

func (c *logCall) at() string { return fmt.Sprintf("%s:%d", c.file.path, c.file.line(c.node)) }

// each calls f with the keys and values of the line. What is no constant key
// is given as "".
func (c *logCall) each(f func(key string, value ast.Expr)) {
	for i := 0; i < len(c.pairs); i++ {
		if made, ok := c.pairs[i].(*ast.CallExpr); ok && len(made.Args) == 2 { // slog.Int("key", 1)
			f(constant(made.Args[0]), made.Args[1])
			continue
		}
		if i+1 < len(c.pairs) {
			f(constant(c.pairs[i]), c.pairs[i+1])
			i++
		}
	}
}

func constant(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

var (
	documentedKey = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|")
	quoted        = regexp.MustCompile("`([^`]+)`")
)

func checkLogKeys(r *repo) (problems []string) {
	_, section, _ := strings.Cut(r.text(logDoc), logHeading)
	section, _, _ = strings.Cut(section, "\n## ")
	known := map[string]bool{}
	for _, row := range documentedKey.FindAllStringSubmatch(section, -1) {
		for _, key := range quoted.FindAllStringSubmatch(row[1], -1) {
			known[key[1]] = false
		}
	}
	calls := logCalls(r)
	for i := range calls {
		calls[i].each(func(key string, _ ast.Expr) {
			if _, ok := known[key]; !ok {
				problems = append(problems, fmt.Sprintf("%s: key %s is not in the table of %s", calls[i].at(), key, logDoc))
				return
			}
			known[key] = true
		})
	}
	if len(calls) == 0 {
		return problems
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if !known[key] {
			problems = append(problems, fmt.Sprintf("%s: key %s is used by no line", logDoc, key))
		}
	}
	return problems
}

func checkLogMessages(r *repo) (problems []string) {
	for _, c := range logCalls(r) {
		if c.message != nil && constant(c.message) == "" {
			problems = append(problems, c.at()+": the message of a log line is a constant; what varies is an attribute")
		}
	}
	return problems
}

// checkLogValues looks at what a value is called. Lengths and counts of such
// things are harmless.
func checkLogValues(r *repo) (problems []string) {
	for _, c := range logCalls(r) {
		c.each(func(_ string, value ast.Expr) {
			ast.Inspect(value, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if ok && slices.Contains([]string{"len", "cap", "text"}, lastName(call.Fun)) { // text reads a setting
					return false
				}
				id, ok := n.(*ast.Ident)
				if !ok {
					return true
				}
				for _, word := range unloggable {
					if id.Name == word || strings.HasSuffix(id.Name, strings.ToUpper(word[:1])+word[1:]) {
						problems = append(problems, fmt.Sprintf("%s: %s must not be in a log line", c.at(), id.Name))
					}
				}
				return true
			})
		})
	}
	return problems
}
