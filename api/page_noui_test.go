//go:build noui

package api

import (
	"strings"
	"testing"
)

// TestNoConsole: without the console a person who opens the server still
// learns what it is, and everything else is as ever.
func TestNoConsole(t *testing.T) {
	r := newRig(t, Config{})
	a := r.get("/")
	wantStatus(t, a, 200)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") || !strings.Contains(a.body, "noui") || !strings.Contains(a.body, "/openapi.json") {
		t.Errorf("got %s %q", a.header.Get("Content-Type"), a.body)
	}
	wantCode(t, r.get("/assets/app.js"), 404, codeNotFound)
	wantStatus(t, r.get("/openapi.json"), 200)
}
