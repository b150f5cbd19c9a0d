package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A command that waits for a server without space says so.
func TestAppendTellsWhatItWaitsFor(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{"status":"ok"}`)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		if asked.Add(1) <= 2 {
			w.WriteHeader(http.StatusInsufficientStorage)
			_, _ = io.WriteString(w, `{"code":"storage_full","detail":"no space is left","retryable":true}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"first":7,"last":7}`)
	}))
	defer server.Close()
	var out, said strings.Builder
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &said, env: func(string) (string, bool) { return "", false }}
	if code := a.run(t.Context(), []string{"append", "s1", "--server", server.URL, "--type", "note"}); code != 0 || out.String() != "s1 7-7\n" {
		t.Fatalf("it ends with %d: %s%s", code, out.String(), said.String())
	}
	if text := said.String(); strings.Count(text, "no space is left") != 1 || !strings.Contains(text, "trying again") {
		t.Errorf("it says %q", text)
	}
}
