package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var updateUnit = flag.Bool("update-unit", false, "write deploy/systemd/konlog.service")

// packaged is the unit of the packages.
var packaged = serviceSpec{program: "/usr/bin/konlog"}

const packagedUnit = "../../deploy/systemd/konlog.service"

func TestPackagedUnitIsWhatServiceInstallMakes(t *testing.T) {
	want := packaged.unit()
	if *updateUnit {
		if err := os.WriteFile(packagedUnit, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(packagedUnit)
	if err != nil || string(got) != want {
		t.Errorf("%s is another one (%v): go test ./cmd/konlog -run PackagedUnit -update-unit", packagedUnit, err)
	}
}

// TestUnitsAreSystemds asks systemd itself, where it is installed.
func TestUnitsAreSystemds(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	program := filepath.Join(t.TempDir(), "konlog")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]serviceSpec{
		"system": {program: program},
		"ports":  {program: program, args: []string{"--addr", "0.0.0.0:443"}},
		"user":   {program: program, user: true, home: "/home/somebody"},
		"quotes": {program: program, args: []string{"--agent", `a=sh -c "echo 50% of $HOME; \"x\""`}},
	} {
		t.Run(name, func(t *testing.T) {
			unit := filepath.Join(t.TempDir(), "konlog.service")
			if err := os.WriteFile(unit, []byte(spec.unit()), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", "--man=no", "--generators=no", unit}
			if spec.user {
				args = append([]string{"--user"}, args...)
			}
			cmd := exec.Command(analyze, args...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "konlog.service:") {
				t.Errorf("%v\n%s\n%s", err, out, spec.unit())
			}
		})
	}
}

func TestUnitWords(t *testing.T) {
	for word, want := range map[string]string{
		"plain": "plain", "": `""`, "two words": `"two words"`, `50%`: `50%%`, `$HOME`: `$$HOME`, `a"b\c`: `"a\"b\\c"`, "a;b": `"a;b"`, "a\nb\rc": `"a\x0ab\x0dc"`,
	} {
		if got := unitWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestServicePortsNeedACapability(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:8787": false, "0.0.0.0:443": true, "[::]:80": true, ":1023": true, ":1024": false, ":0": false,
	} {
		s := serviceSpec{program: "/usr/bin/konlog", args: []string{"--addr", addr}}
		if got := strings.Contains(s.unit(), "AmbientCapabilities=CAP_NET_BIND_SERVICE"); got != want {
			t.Errorf("%s: capability %v", addr, got)
		}
	}
}

func TestServiceRefusesWhatServeWould(t *testing.T) {
	keys := writeConfig(t, "[auth]\nkeys = true\n")
	for _, args := range [][]string{{"--no-such"}, {"word"}, {"--data", "/tmp/x"}, {"--addr", "0.0.0.0:8787"}, {"--addr", "nowhere"}, {"--retention-age", "soon"},
		{"--auth-jwks", "keys.json"}, {"--trace-headers-file", "headers"}} {
		if checkServeArgs("", args) == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if err := checkServeArgs("", []string{"--auth-jwks", "keys.json"}); err == nil || !strings.Contains(err.Error(), "is relative") {
		t.Errorf("a relative key set: %v", err)
	}
	for _, args := range [][]string{{"--auth-jwks", "https://id.example.org/keys"}, {"--auth-jwks", "/etc/konlog/keys.json"}, {"--trace-headers-file", "/etc/konlog/headers"}, {"--retention-age", "30d", "--agent", "a=b"}, {"--addr", "0.0.0.0:8787", "--auth-keys"}, {"--addr", "unix:/run/konlog.sock"}, {"--addr", ":9000"}} {
		if err := checkServeArgs("", args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := checkServeArgs(keys, []string{"--addr", "0.0.0.0:8787"}); err != nil {
		t.Errorf("with keys in the file: %v", err)
	}
}
