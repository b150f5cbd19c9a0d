package api

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

// TestOpenAPI holds the description against the routes, both ways, and its
// codes against the error table.
func TestOpenAPI(t *testing.T) {
	r := newRig(t, Config{})
	a := r.get("/openapi.json")
	wantStatus(t, a, 200)
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	param := regexp.MustCompile(`:(\w+)`)
	for _, route := range r.api.routes {
		if route.Path == "/v1/sessions/" { // the same as without the slash
			continue
		}
		name := route.Method + " " + param.ReplaceAllString(route.Path, "{$1}")
		if get, head := strings.CutPrefix(name, "HEAD "); head { // the description says it once for all
			if doc.Paths[get]["get"] == nil {
				t.Errorf("%s without GET", name)
			}
			continue
		}
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described but is no route", name)
	}
	for _, m := range regexp.MustCompile(`"\$ref": ?"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(a.body, -1) {
		if doc.Components[m[1]][m[2]] == nil {
			t.Errorf("%s leads nowhere", m[0])
		}
	}
	var problem struct {
		Properties struct{ Code struct{ Enum []store.Code } }
	}
	if err := json.Unmarshal(doc.Components["schemas"]["problem"], &problem); err != nil {
		t.Fatal(err)
	}
	codes := problem.Properties.Code.Enum
	for code := range refusals {
		if !slices.Contains(codes, code) {
			t.Errorf("code %s is not described", code)
		}
	}
	if len(codes) != len(refusals) {
		t.Errorf("%d codes are described, the table has %d", len(codes), len(refusals))
	}
}
