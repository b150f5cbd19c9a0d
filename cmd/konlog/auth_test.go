package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const authSecret = "0123456789abcdef0123456789abcdef"

// authConfig are the default settings with changes, on a data directory of its
// own.
func authConfig(t *testing.T, changes ...string) config {
	t.Helper()
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), func(string) (string, bool) { return "", false }, "")
	if err != nil {
		t.Fatal(err)
	}
	c["data"], c["addr"] = value{t.TempDir(), "test"}, value{"127.0.0.1:0", "test"}
	c["drain.spread"] = value{"0s", "test"}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i]] = value{changes[i+1], "test"}
	}
	return c
}

// TestWhoIsAsked guards which settings make the server ask for credentials:
// each of them opens other addresses, so each must.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(authSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		changes []string
		asked   bool
	}{
		"nothing":         {nil, false},
		"keys":            {[]string{"auth.keys", "true"}, true},
		"secret file":     {[]string{"auth.jwt-secret-file", secret}, true},
		"secret":          {[]string{jwtSecretKey, authSecret}, true},
		"issuer alone":    {[]string{"auth.jwt-issuer", "x"}, false},
		"query alone":     {[]string{"auth.query-token", "true"}, false},
		"keys and secret": {[]string{"auth.keys", "true", jwtSecretKey, authSecret}, true},
	} {
		settings := authConfig(t, c.changes...)
		au, err := openAuth(t.Context(), settings, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if asksForCredentials(settings) != c.asked || au.access.Required() != c.asked {
			t.Errorf("%s: asked is %v and %v, want %v", name, asksForCredentials(settings), au.access.Required(), c.asked)
		}
		if _, err := os.Stat(filepath.Join(settings.text("data"), loginsFile)); (err == nil) != c.asked {
			t.Errorf("%s: the secret of sign-ins: %v", name, err)
		}
		au.close()
	}
}

// TestGuardedAddress guards that the rule of loopback is lifted for a server
// that asks for credentials, and for no other. 192.0.2.1 is nobody's.
func TestGuardedAddress(t *testing.T) {
	t.Parallel()
	_, err := listen(t.Context(), "192.0.2.1:0", true)
	var f *failure
	if !errors.As(err, &f) || f.code == exitUsage || strings.Contains(err.Error(), "other machines") {
		t.Errorf("got %v, want what the system says", err)
	}
}

// TestFirstKey guards that no key is made where it would end up in a journal,
// and that nothing is said when there is a way in.
func TestFirstKey(t *testing.T) {
	t.Parallel()
	c := authConfig(t, "auth.keys", "true")
	path := filepath.Join(c.text("data"), keysFile)
	for _, keys := range []int{0, 1} {
		var said, logged bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&logged, nil))
		au, err := openAuth(t.Context(), c, logger)
		if err != nil {
			t.Fatal(err)
		}
		a := &app{stderr: &said, env: func(string) (string, bool) { return "", false }}
		if err := a.firstKey(t.Context(), &server{settings: c, auth: au}, logger); err != nil {
			t.Fatal(err)
		}
		list, err := access.ListKeys(path)
		if err != nil || len(list) != keys || said.Len() > 0 || strings.Contains(logged.String(), "konlog token create --admin") != (keys == 0) {
			t.Errorf("%d keys before: %d after, said %q, logged %q, %v", keys, len(list), said.String(), logged.String(), err)
		}
		if _, _, err := access.CreateKey(t.Context(), path, adminSpec(access.KeySpec{})); err != nil {
			t.Fatal(err)
		}
		au.close()
	}
}

// TestAgentsGetNoCredentials guards that an agent cannot be talked into using
// what its runner was given.
func TestAgentsGetNoCredentials(t *testing.T) {
	t.Parallel()
	environ := []string{"PATH=/bin", "KONLOG_TOKEN=x", "KONLOG_TOKEN_FILE=f", "KONLOG_JWT_SECRET=y=z", "KONLOG_TOKENS=1"}
	before := slices.Clone(environ)
	if got, want := withoutCredentials(environ), []string{"PATH=/bin", "KONLOG_TOKEN_FILE=f", "KONLOG_TOKENS=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(environ, before) {
		t.Error("the environment itself was changed")
	}
}

// TestSecretsAreNotShown guards that no way to look at the settings shows a
// secret, and that the variables are known.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	env := map[string]string{tokenVariable: "hunter2", jwtSecretVariable: "hunter2-hunter2-hunter2-hunter2-"}
	for _, args := range [][]string{{"config"}, {"config", "--json"}, {"help", "serve"}, {"token", "list", "--data", t.TempDir()}, {"sessions", "ls", "--server", "http://127.0.0.1:1"}} {
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(n string) (string, bool) { v, ok := env[n]; return v, ok }}
		a.environ = func() (list []string) {
			for k, v := range env {
				list = append(list, k+"="+v)
			}
			return list
		}
		a.run(t.Context(), args)
		if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "has no effect") {
			t.Errorf("%q printed %s", args, out.String())
		}
	}
	c := authConfig(t, jwtSecretKey, "hunter2")
	if text := fmt.Sprint(settingLines(c), limitValues(c)); strings.Contains(text, "hunter2") {
		t.Errorf("the settings show it: %s", text)
	}
	for _, s := range settings {
		if s.key == jwtSecretKey || s.envName() == tokenVariable || s.envName() == jwtSecretVariable {
			t.Errorf("%s is a setting, with a flag that everybody sees", s.key)
		}
	}
}

// TestReadToken guards what is taken from a file for a token.
func TestReadToken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", access.TokenBytesMax)
	for text, want := range map[string]string{"abc": "abc", " abc\r\n": "abc", "a.b-c_d~e+f/g=": "a.b-c_d~e+f/g=", long + "\n": long} {
		if got, err := readToken(strings.NewReader(text)); got != want || err != nil {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\n", "a b", "a\nb", "tökén", `{"a":1}`, long + "x", strings.Repeat(" ", access.TokenBytesMax) + "abc"} {
		if got, err := readToken(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q: got %.20q", text, got)
		}
	}
	if _, err := readSecretFile(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "90d": now.Add(90 * day), "1s": now.Add(time.Second), "2026-06-01T00:00:00Z": time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)} {
		if got, err := expiry(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"0s", "1ms", "-1h", "soon", "2026-01-01", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"} {
		if got, err := expiry(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// TestAdminSpec guards what --admin stands for.
func TestAdminSpec(t *testing.T) {
	t.Parallel()
	all := adminSpec(access.KeySpec{})
	if !all.Admin || !all.Metrics || all.Shell || !all.Read.All() || !all.Write.All() {
		t.Errorf("got %+v", all)
	}
	some := adminSpec(access.KeySpec{Read: store.Patterns{"a"}, Shell: true})
	if !slices.Equal(some.Read, store.Patterns{"a"}) || some.Write != nil || !some.Shell || !some.Admin {
		t.Errorf("got %+v", some)
	}
}

// TestExitCodesOfRefusals guards exit code 4 with a hint, for answers and for
// streams that were ended.
func TestExitCodesOfRefusals(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"401":           &client.StatusError{Status: 401},
		"403":           &client.StatusError{Status: 403},
		"stream ended":  fmt.Errorf("tail s1: %w", store.Errorf(access.CodeUnauthorized, "no")),
		"not reachable": fmt.Errorf("append: %w", access.ErrForbidden),
	} {
		f := explain(err)
		if f.code != exitNotAllowed {
			t.Errorf("%s: exit code %d", name, f.code)
		}
		if store.CodeOf(err) != "" && f.hint == "" {
			t.Errorf("%s: no hint", name)
		}
	}
}

// TestTokenFileIsReadAgain guards that a command which runs for long takes the
// token that was put into its file meanwhile.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t")
	c := authConfig(t, "token-file", path)
	a := &app{env: func(name string) (string, bool) { return "other", name == tokenVariable }}
	source := a.tokenSource(c)
	if _, err := source(t.Context(), ""); err == nil {
		t.Error("an absent file gave a token")
	}
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := source(t.Context(), "x"); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := a.tokenSource(authConfig(t))(t.Context(), ""); got != "other" || err != nil {
		t.Errorf("from the environment: %q, %v", got, err)
	}
	none := &app{env: func(string) (string, bool) { return "", true }}
	if none.tokenSource(authConfig(t)) != nil {
		t.Error("an empty variable is a token")
	}
}

// TestPlainNetworkIsWarnedOf guards the word about tokens in the clear.
func TestPlainNetworkIsWarnedOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{"127.0.0.1": false, "::1": false, "192.0.2.1": true} {
		for _, keys := range []string{"true", "false"} {
			var out bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&out, nil))
			au, err := openAuth(t.Context(), authConfig(t, "auth.keys", keys), logger)
			if err != nil {
				t.Fatal(err)
			}
			au.warnOfPlain(&edge{listener: fakeListener{&net.TCPAddr{IP: net.ParseIP(addr)}}}, logger)
			if got := strings.Contains(out.String(), "in the clear"); got != (want && keys == "true") {
				t.Errorf("%s, keys %s: said %q", addr, keys, out.String())
			}
			au.close()
		}
	}
}

type fakeListener struct{ addr net.Addr }

func (fakeListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (fakeListener) Close() error              { return nil }
func (l fakeListener) Addr() net.Addr          { return l.addr }

// TestKeysOfAServer guards the way from the settings to an answer: a server
// that is started with keys lets in who has one.
func TestKeysOfAServer(t *testing.T) {
	t.Parallel()
	c := authConfig(t, "auth.keys", "true")
	_, secret, err := access.CreateKey(t.Context(), filepath.Join(c.text("data"), keysFile), access.KeySpec{Name: "ci", Write: store.Patterns{"ci-*"}, Read: store.Patterns{"ci-*"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	draft := store.Draft{Type: "note", Data: json.RawMessage(`{}`)}
	for name, want := range map[string]struct {
		options []client.Option
		session string
		code    store.Code
	}{
		"with the key":  {[]client.Option{client.WithToken(secret.Reveal())}, "ci-1", ""},
		"elsewhere":     {[]client.Option{client.WithToken(secret.Reveal())}, "x", store.CodeNotFound},
		"without":       {nil, "ci-1", access.CodeUnauthorized},
		"another token": {[]client.Option{client.WithToken("x")}, "ci-1", access.CodeUnauthorized},
	} {
		cl, err := client.New(s.url, want.options...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Append(t.Context(), want.session, client.AppendOptions{}, draft); store.CodeOf(err) != want.code {
			t.Errorf("%s: got %v, want %q", name, err, want.code)
		}
		cl.Close()
	}
}
