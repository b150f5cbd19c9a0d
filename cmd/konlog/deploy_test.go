package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The files of deploy are run by nobody here; what they say to konlog is.
func TestDeploymentFilesCallKonlogRight(t *testing.T) {
	for _, name := range []string{"../../deploy/Dockerfile", "../../deploy/Dockerfile.release"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		for _, m := range regexp.MustCompile(`(?m)CMD (\[.*\])$`).FindAllStringSubmatch(string(text), -1) {
			var words []string
			if err := json.Unmarshal([]byte(m[1]), &words); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
				continue
			}
			if words[0] == "/konlog" {
				words = words[1:] // the health check names the program, which is the entry point of the rest
			}
			a := &app{env: func(string) (string, bool) { return "", false }}
			cmd, rest, err := a.root().Find(words)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err != nil || cmd.Name() != words[0] || len(cmd.Flags().Args()) > 0 {
				t.Errorf("%s: konlog %q is no command: %v", name, words, err)
			}
			calls++
		}
		if calls != 2 {
			t.Errorf("%s has %d calls, want the server and its health check", name, calls)
		}
	}
}

func TestReleaseFilesExist(t *testing.T) {
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`\b(?:deploy/[\w./-]+|\./cmd/\w+|LICENSE|README\.md|CHANGELOG\.md)`).FindAllString(string(text), -1)
	for _, path := range paths {
		path = strings.TrimSuffix(path, "/") // deploy/**/* matches up to there
		if _, err := os.Stat("../../" + path); err != nil {
			t.Errorf(".goreleaser.yaml: %v", err)
		}
	}
	if len(paths) < 6 {
		t.Errorf("only %q were found", paths)
	}
}
