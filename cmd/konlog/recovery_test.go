package main

import (
	"os"
	"strings"
	"testing"
)

// TestRecoveryPage wants every command of docs/RECOVERY.md to be run by
// testdata/script/recovery.txtar, in the page's order.
func TestRecoveryPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/RECOVERY.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/recovery.txtar")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/var/lib/konlog-standby", "standby", "/var/lib/konlog-damaged", "data-damaged", "/var/lib/konlog", "data",
		"/backups/", "backups/", "http://10.0.0.5:8787", "$KONLOG_SERVER", "http://127.0.0.1:8788", "$KONLOG_SERVER", " --addr 127.0.0.1:8788", "", "konlog serve", "server")
	rest, commands, inside := string(script), 0, false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = line == "```sh"
			continue
		}
		if !inside {
			continue
		}
		commands++
		want := here.Replace(line)
		if !strings.HasPrefix(want, "server") {
			want = "exec " + want
		}
		_, after, found := strings.Cut(rest, want+"\n")
		if !found {
			t.Errorf("%q is not run by the script after what stands before it: want a line %q", line, want)
			continue
		}
		rest = after
	}
	if commands < 10 {
		t.Errorf("the page has %d commands: the test does not do what it says", commands)
	}
}
