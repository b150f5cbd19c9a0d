package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

const module = "github.com/konlog/konlog"

// Imports that some packages must not have, whoever adds them.
const (
	sqlDriver  = "modernc.org/"
	databaseQL = "database/sql"
	netHTTP    = "net/http"
	slog       = "log/slog"
	echo       = "github.com/labstack/echo"
	prometheus = "github.com/prometheus/"
	cobra      = "github.com/spf13/cobra"
)

// row is what one package may import: of ours exactly what is listed, of
// everything else all but never. tests is what its test files may import of
// ours besides; they are bound by never as well, but for what tests names.
type row struct {
	ours  []string
	tests []string
	never []string
	std   bool // nothing but the standard library
}

// longTests is what the tests of all packages may import.
const longTests = "internal/long"

// table is the import table of docs/ARCHITECTURE.md. A change here is a
// change of the design, and is argued there.
var table = map[string]row{
	"store":               {never: []string{databaseQL, netHTTP, slog}, std: true},
	"store/memory":        {ours: []string{"store"}, tests: []string{"store/storetest"}, never: []string{databaseQL, netHTTP, slog, echo}},
	"store/sqlite":        {ours: []string{"store", "migrations", "internal/sqlite3"}, tests: []string{"store/memory", "store/storetest", "internal/faultvfs"}, never: []string{netHTTP, echo, prometheus, cobra}},
	"store/storetest":     {ours: []string{"store", "store/memory"}, never: []string{databaseQL, sqlDriver, netHTTP, echo}},
	"migrations":          {std: true, never: []string{databaseQL, netHTTP}},
	"stream":              {ours: []string{"store", "internal/sse"}, tests: []string{"store/memory"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"api":                 {ours: []string{"access", "store", "stream", "web", "internal/sse"}, tests: []string{"store/memory"}, never: []string{databaseQL, sqlDriver, cobra}},
	"agent":               {ours: []string{"store"}, never: []string{databaseQL, sqlDriver, netHTTP, slog, echo}},
	"agent/run":           {ours: []string{"agent", "store", "stream", "internal/sse"}, tests: []string{"agent/fake", "store/memory", "api", "client", "store/sqlite"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"agent/fake":          {ours: []string{"agent"}, never: []string{databaseQL, sqlDriver, netHTTP, echo}},
	"internal/realagents": {tests: []string{"agent", "agent/run", "store", "client"}},
	"access":              {ours: []string{"store"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"trace":               {ours: []string{"store", "stream"}, tests: []string{"store/memory"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"shell":               {ours: []string{"store", "stream"}, tests: []string{"store/memory"}, never: []string{databaseQL, sqlDriver, netHTTP, echo, prometheus, cobra}},
	"notify":              {ours: []string{"store", "stream"}, tests: []string{"store/memory"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"client":              {ours: []string{"store", "internal/sse"}, tests: []string{"store/memory", "stream", "api"}, never: []string{databaseQL, sqlDriver, echo, prometheus, cobra}},
	"web":                 {std: true, never: []string{databaseQL}},
	"internal/sse":        {std: true, never: []string{databaseQL}},
	"internal/sqlite3":    {never: []string{netHTTP, echo, slog}},
	"internal/tidy":       {std: true},
	longTests:             {std: true},
	"internal/faultproxy": {std: true, never: []string{databaseQL}},
	"internal/faultvfs":   {never: []string{netHTTP, echo}},
	"internal/drill":      {tests: []string{"store", "store/sqlite", "client"}},
	"internal/crash":      {tests: []string{"store", "store/sqlite", "client"}},
	"internal/abuse":      {tests: []string{"access", "store", "store/memory", "store/sqlite", "stream", "api"}},
	"internal/parity":     {tests: []string{"store", "store/sqlite", "stream", "api", "client", "internal/faultproxy", "internal/sse"}},
	"internal/edge":       {tests: []string{"store", "store/sqlite", "stream", "api", "client", "internal/sse"}},
	"internal/soak":       {tests: []string{"store", "store/sqlite", "stream", "api", "client", "internal/faultproxy", "internal/faultvfs"}},
	"internal/bench":      {ours: []string{"store", "store/sqlite", "internal/sse"}, never: []string{databaseQL, sqlDriver}},
	"cmd/konlog": {
		ours:  []string{"access", "store", "store/sqlite", "stream", "trace", "notify", "api", "agent", "agent/run", "agent/fake", "shell", "client", "web", "internal/sse", "internal/bench"},
		tests: []string{"store/memory", "store/storetest", "internal/faultproxy", "internal/faultvfs"},
	},
}

func importRules() []rule {
	return []rule{
		{
			name:    "import-table",
			check:   checkTable,
			planted: tree("stream/tail.go", "package stream\nimport _ \""+module+"/api\"\n"),
			find:    "stream must not import api",
			clean:   tree("stream/tail.go", "package stream\nimport _ \""+module+"/store\"\n"),
		},
		{
			name:    "every-package-has-a-row",
			check:   checkRows,
			planted: tree("queue/queue.go", "package queue\n"),
			find:    "queue has no row",
			clean:   tree("store/draft.go", "package store\n"),
		},
		{
			name:    "nobody-imports-cmd",
			check:   checkCmd,
			planted: tree("client/x_test.go", "package client\nimport _ \""+module+"/cmd/konlog\"\n"),
			find:    "imports cmd/konlog",
		},
		{
			name:    "forbidden-imports",
			check:   checkNever,
			planted: tree("api/x.go", "package api\nimport _ \"database/sql\"\n"),
			find:    "api must not import database/sql",
			clean:   tree("store/sqlite/x.go", "package sqlite\nimport _ \"database/sql\"\n"),
		},
		{
			name:    "store-is-standard-library-only",
			check:   checkStd,
			planted: tree("store/id.go", "package store\nimport _ \"github.com/google/uuid\"\n"),
			find:    "store imports github.com/google/uuid",
			clean:   tree("store/id.go", "package store\nimport _ \"encoding/json\"\n"),
		},
		{
			name:    "only-cmd-reads-flags-and-environment",
			check:   checkSettings,
			planted: tree("api/x.go", "package api\nimport \"os\"\nvar x = os.Getenv(\"X\")\n"),
			find:    "os.Getenv",
			clean:   tree("cmd/konlog/x.go", "package main\nimport \"os\"\nvar x = os.Getenv(\"X\")\n", "api/x.go", "package api\nimport \"os\"\nvar x = os.Args\n"),
		},
	}
}

// ours returns the package that an import path names inside this module.
func ours(imported string) (string, bool) {
	return strings.CutPrefix(imported, module+"/")
}

func checkTable(r *repo) (problems []string) {
	for _, f := range r.gos {
		row, ok := table[f.dir]
		if !ok {
			continue
		}
		for _, imported := range f.imports() {
			p, mine := ours(imported)
			allowed := slices.Contains(row.ours, p) || f.test && (p == f.dir || p == longTests || slices.Contains(row.tests, p))
			if mine && !allowed {
				problems = append(problems, fmt.Sprintf("%s: %s must not import %s", f.path, f.dir, p))
			}
		}
	}
	return problems
}

func checkRows(r *repo) (problems []string) {
	for _, f := range r.gos {
		if _, ok := table[f.dir]; !ok {
			problems = append(problems, fmt.Sprintf("%s: package %s has no row in the import table", f.path, f.dir))
		}
	}
	return problems
}

func checkCmd(r *repo) (problems []string) {
	for _, f := range r.gos {
		for _, imported := range f.imports() {
			if p, mine := ours(imported); mine && strings.HasPrefix(p, "cmd/") {
				problems = append(problems, fmt.Sprintf("%s imports %s", f.path, p))
			}
		}
	}
	return problems
}

func checkNever(r *repo) (problems []string) {
	for _, f := range r.gos {
		if f.test {
			continue // a test may look behind the package that it tests
		}
		for _, imported := range f.imports() {
			for _, never := range table[f.dir].never {
				if strings.HasPrefix(imported, never) {
					problems = append(problems, fmt.Sprintf("%s: %s must not import %s", f.path, f.dir, imported))
				}
			}
		}
	}
	return problems
}

func checkStd(r *repo) (problems []string) {
	for _, f := range r.gos {
		if !table[f.dir].std || f.test {
			continue
		}
		for _, imported := range f.imports() {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				problems = append(problems, fmt.Sprintf("%s: package %s imports %s", f.path, path.Base(f.dir), imported))
			}
		}
	}
	return problems
}

// checkSettings finds flags and environment read outside cmd. Tests may read
// the switches that make them run longer.
func checkSettings(r *repo) (problems []string) {
	env := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	for _, f := range r.gos {
		if f.test || f.dir == longTests || strings.HasPrefix(f.dir, "cmd/") {
			continue
		}
		if slices.Contains(f.imports(), "flag") || slices.Contains(f.imports(), "github.com/spf13/pflag") {
			problems = append(problems, f.path+" reads flags; only cmd does")
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if pkg, name := selector(n); pkg == "os" && slices.Contains(env, name) {
				problems = append(problems, fmt.Sprintf("%s:%d: os.%s; only cmd reads the environment", f.path, f.line(n), name))
			}
			return true
		})
	}
	return problems
}

// selector returns "time", "Sleep" for time.Sleep.
func selector(n ast.Node) (pkg, name string) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return x.Name, s.Sel.Name
}
