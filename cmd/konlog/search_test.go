package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/konlog/konlog/store"
)

// findableTries is how often a script asks for what was appended: a text is
// found a moment after its append, and each try starts a program.
const findableTries = 200

// findable waits until a search has a hit.
func findable(ts *testscript.TestScript, neg bool, args []string) {
	for range findableTries {
		ts.Check(ts.Exec("konlog", append([]string{"search", "--json", "--quiet"}, args...)...))
		if ts.ReadFile("stdout") != "" {
			return
		}
	}
	ts.Fatalf("%q was not found", args)
}

// TestPrintHit wants what was asked for in bold where a person reads, and
// nothing that could steer the terminal anywhere.
func TestPrintHit(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: os.Stderr}
	hit := store.Hit{Session: "s1", ID: 7, Turn: "t\x1b[2J", Kind: "text", Time: time.Now(), Snippet: []store.Fragment{{Text: "a \x1b]0;x"}, {Text: "b", Hit: true}}}
	if err := a.printHit(true, hit, false); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "    a \uFFFD]0;x\x1b[1mb\x1b[0m\n") || strings.Contains(got, "\x1b[2J") {
		t.Errorf("got %q", got)
	}
	out.Reset()
	if err := a.printHit(false, hit, false); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "s1 7 turn t") {
		t.Errorf("got %q", got)
	}
}
