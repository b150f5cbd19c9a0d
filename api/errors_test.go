package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

// declaredCodes finds the constants of type store.Code in a file.
func declaredCodes(t *testing.T, file string) []store.Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []store.Code
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.Contains(strings.ToLower(spec.Names[0].Name), "code") {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			code, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, store.Code(code))
		}
		return true
	})
	return codes
}

func TestErrorTable(t *testing.T) {
	seen := map[store.Code]bool{}
	for file, least := range map[string]int{"../store/errors.go": 20, "errors.go": 10, "../stream/frames.go": 5, "../access/pass.go": 3, "../store/terminal.go": 3} {
		codes := declaredCodes(t, file)
		if len(codes) < least {
			t.Errorf("%s: found %d codes, expected %d or more", file, len(codes), least)
		}
		for _, code := range codes {
			seen[code] = true
			row, ok := refusals[code]
			if !ok || row.title == "" || row.status < 400 {
				t.Errorf("%s of %s has no row, or not a whole one", code, file)
			}
			if row.retryAfter > 0 && !row.retryable {
				t.Errorf("%s says when to try again, but not that it helps", code)
			}
		}
	}
	for code := range refusals {
		if !seen[code] {
			t.Errorf("the table has %s, which nothing declares", code)
		}
	}
}

func TestNoRoute(t *testing.T) {
	r := newRig(t, Config{})
	wantCode(t, r.get("/nothing"), 404, codeNotFound)
	wantCode(t, r.get("/assets/embed.go"), 404, codeNotFound)
	a := r.do("DELETE", "/v1/sessions", nil)
	wantCode(t, a, 405, codeMethodNotAllowed)
	if a.header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
}

func TestRequestID(t *testing.T) {
	r := newRig(t, Config{})
	for sent, kept := range map[string]bool{"abc-1": true, "": false, strings.Repeat("x", 65): false, "a b": false, `a"b`: false} {
		a := r.do("GET", "/nothing", nil, "X-Request-Id", sent)
		if id := a.problem(t).RequestID; (id == sent) != kept || id != a.header.Get("X-Request-Id") {
			t.Errorf("sent %q, got %q", sent, id)
		}
	}
}

// TestHead: what GET answers HEAD answers too, without the body.
func TestHead(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	for _, path := range []string{
		"/", "/assets/app.js", "/openapi.json", "/healthz", "/readyz", "/health/realtime", "/metrics",
		"/v1/sessions", "/v1/sessions/s1", "/v1/sessions/nope", eventsPath, "/v1/poll?cursor=s1:0", "/nothing",
	} {
		get, head := r.get(path), r.do("HEAD", path, nil)
		if head.status != get.status || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %q %v, GET %d", path, head.status, head.body, head.header, get.status)
		}
	}
	wantStatus(t, r.do("HEAD", "/v1/sessions/s1/sse", nil), 405)
}

func TestTrailingSlash(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	if a, b := r.get("/v1/sessions?limit=1"), r.get("/v1/sessions/?limit=1"); a.status != 200 || a.body != b.body {
		t.Errorf("with the slash %d %s, without %d %s", b.status, b.body, a.status, a.body)
	}
}
