package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "konlog.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigPrecedence(t *testing.T) {
	file := writeConfig(t, "addr = \"127.0.0.1:1\"\n[retention]\nage = \"1d\"\n[sse]\nenabled = false\n[limits]\nsubscriptions = 7\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags, serverSetting)
	env := map[string]string{"KONLOG_ADDR": "127.0.0.1:2", "KONLOG_RETENTION_AGE": "2d", "WEBSOCKET_ENABLED": "false", "POLLING_ENABLED": "true", "KONLOG_POLLING_ENABLED": "false"}
	if err := flags.Parse([]string{"--addr", "127.0.0.1:3"}); err != nil {
		t.Fatal(err)
	}
	c, err := resolve(flags, lookup(env), file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ key, text, origin string }{
		{"addr", "127.0.0.1:3", "flag --addr"},
		{"retention.age", "2d", "env KONLOG_RETENTION_AGE"},
		{"sse.enabled", "false", "file " + file},
		{"websocket.enabled", "false", "env WEBSOCKET_ENABLED"},
		{"polling.enabled", "false", "env KONLOG_POLLING_ENABLED"},
		{"limits.subscriptions", "7", "file " + file},
		{"retention.events", "1000000", "default"},
	} {
		if got := c[want.key]; got != (value{want.text, want.origin}) {
			t.Errorf("%s: got %+v, want %s from %s", want.key, got, want.text, want.origin)
		}
	}
	if c.duration("retention.age") != 2*day || c.bool("sse.enabled") || c.int("limits.subscriptions") != 7 || c.bytes("retention.bytes") != 1<<30 {
		t.Error("the getters do not give the values that the texts stand for")
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"unknown key names the nearest", "[retention]\nagee = \"1d\"\n", `unknown key "retention.agee"; did you mean "retention.age"?`},
		{"unknown table", "[retntion]\nage = \"1d\"\n", `did you mean "retention.age"?`},
		{"wrong form", "[retention]\nage = \"soon\"\n", "setting retention.age"},
		{"below the least", "[limits]\nconnections = 0\n", "below the least value"},
		{"not TOML", "addr = \n", "line 1"},
		{"a date", "addr = 2026-11-21\n", "not understood"},
		{"list of numbers", "[http]\norigins = [1]\n", "a list holds strings"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(nil), writeConfig(t, c.file))
			var f *failure
			if !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a usage error with %q", err, c.want)
			}
		})
	}
}

func TestSettingsAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		if err := s.check(s.def); err != nil {
			t.Errorf("%s: its default is refused: %v", s.key, err)
		}
		for _, name := range []string{s.key, "--" + s.flagName(), s.envName()} {
			if seen[name] {
				t.Errorf("%s: the name %s is taken twice", s.key, name)
			}
			seen[name] = true
		}
		if s.doc == "" {
			t.Errorf("%s has no doc", s.key)
		}
	}
}

func TestListenRefusesOtherMachines(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:80"} {
		_, err := listen(t.Context(), addr, false)
		var f *failure
		if !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(f.hint, "konlog token create --admin") || !strings.Contains(f.hint, "--auth-keys") || !strings.Contains(f.hint, "SSH tunnel") {
			t.Errorf("%s: got %v, want a refusal that names the way out", addr, err)
		}
	}
	for _, addr := range []string{":0", "127.0.0.1:0", "127.1.2.3:0", "localhost:0"} {
		l, err := listen(t.Context(), addr, false)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if host, _, _ := strings.Cut(l.Addr().String(), ":"); !strings.HasPrefix(host, "127.") && !strings.HasPrefix(l.Addr().String(), "[::1]") {
			t.Errorf("%s: listens on %s", addr, l.Addr())
		}
		l.Close()
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "512": 512, "64MiB": 64 << 20, "64 mib": 64 << 20, "1.5GB": 15e8, "1KB": 1000, "7B": 7} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("size %q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1e9", "0x10", "9000000TiB", "NaN", "1 2"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("size %q: got %d, want a refusal", text, got)
		}
	}
	for text, want := range map[string]time.Duration{"90d": 90 * day, "1d12h": 36 * time.Hour, "10s": 10 * time.Second, "0": 0, "1h30m": 90 * time.Minute} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("duration %q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1d-1h", "-5s", "200000d", "5", "1dx"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("duration %q: got %v, want a refusal", text, got)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, seed := range []string{"64MiB", "1.5GB", "0", "9223372036854775807B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseBytes(text)
		if err != nil {
			return
		}
		if back, err := parseBytes(formatBytes(n)); err != nil || back != n || n < 0 {
			t.Fatalf("%q: %d is written as %q, which is %d, %v", text, n, formatBytes(n), back, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"90d", "1d12h", "1h0m5s", "10m", "1.5ms", "106751d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		if back, err := parseDuration(formatDuration(d)); err != nil || back != d || d < 0 {
			t.Fatalf("%q: %v is written as %q, which is %v, %v", text, d, formatDuration(d), back, err)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{"addr = \"x\"", "[retention]\nage = 1", "retention.age = \"1d\"", "[http]\norigins = [\"a\", \"b\"]", "[[addr]]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		values, err := parseConfig(body)
		if err != nil {
			return
		}
		for key := range values {
			known := false
			for _, s := range settings {
				known = known || s.key == key
			}
			if !known {
				t.Fatalf("key %q was let through", key)
			}
		}
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"no such command", []string{"serv"}, exitUsage},
		{"no such flag", []string{"serve", "--prot", "1"}, exitUsage},
		{"missing argument", []string{"tail"}, exitUsage},
		{"no data", []string{"verify", "--data", "/nonexistent/konlog"}, exitNotFound},
		{"no server", []string{"sessions", "ls", "--server", "http://127.0.0.1:1"}, exitUnreachable},
		{"help", []string{"--help"}, exitOK},
		{"version", []string{"version"}, exitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, env: lookup(nil)}
			if got := a.run(t.Context(), c.args); got != c.want {
				t.Fatalf("got %d, want %d: %s", got, c.want, &stderr)
			}
			if c.want != exitOK && !strings.Contains(stderr.String(), "hint: ") {
				t.Errorf("no hint: %s", &stderr)
			}
		})
	}
}

// What konlog itself gives to agents and to its terminals is not told of as a
// mistake; what only looks so is.
func TestWarningOfVariables(t *testing.T) {
	for name, warned := range map[string]bool{
		"KONLOG_SESSION": false, "KONLOG_AGENT_PROCESS": false, "KONLOG_IMAGES": false, "KONLOG_ADDR": false, "PATH": false, "KONLOG_ADR": true,
	} {
		var out bytes.Buffer
		a := &app{stderr: &out, environ: func() []string { return []string{name + "=x"} }}
		a.warnOfEnvironment()
		if got := strings.Contains(out.String(), name+" is no setting"); got != warned {
			t.Errorf("%s: printed %q", name, out.String())
		}
	}
}
