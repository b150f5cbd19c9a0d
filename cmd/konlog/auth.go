package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/konlog/konlog/access"
)

// Files of a data directory that say who may come in.
const (
	keysFile   = "keys.json"
	loginsFile = "console.json"
)

// Variables that hold secrets. They are no settings: a setting has a flag,
// whose value everybody on the machine sees, and shows in konlog config.
const (
	tokenVariable     = "KONLOG_TOKEN"      // of a command that talks to a server
	jwtSecretVariable = "KONLOG_JWT_SECRET" // of HS256
)

// jwtSecretKey is where a config keeps the secret of the environment. It is no
// key of settings, so nothing that shows settings shows it.
const jwtSecretKey = "auth.jwt-secret"

// withSecrets adds what only the environment may hold.
func (a *app) withSecrets(c config) {
	if secret, ok := a.env(jwtSecretVariable); ok && secret != "" {
		c[jwtSecretKey] = value{secret, "env " + jwtSecretVariable}
	}
}

// withoutCredentials is the environment for an agent: it does as it is told by
// what it reads, and must not be told to use these.
func withoutCredentials(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == tokenVariable || name == jwtSecretVariable || name == "CREDENTIALS_DIRECTORY"
	})
}

// takesJWT reports whether tokens of somebody else are taken.
func takesJWT(c config) bool {
	return c[jwtSecretKey].text != "" || c.text("auth.jwt-secret-file") != "" || c.text("auth.jwks") != ""
}

// asksForCredentials reports whether everybody needs one.
func asksForCredentials(c config) bool { return c.bool("auth.keys") || takesJWT(c) }

// auth is what decides who may come in.
type auth struct {
	access *access.Access
	chain  access.Chain
}

// openAuth opens what the settings name. The data directory exists. ctx bounds
// the first look at a key set.
func openAuth(ctx context.Context, c config, logger *slog.Logger) (*auth, error) {
	a := &auth{}
	if err := a.open(ctx, c, logger); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *auth) open(ctx context.Context, c config, logger *slog.Logger) error {
	ac := access.Config{QueryToken: c.bool("auth.query-token"), Grace: c.duration("auth.grace"), Logger: logger}
	if asksForCredentials(c) {
		if err := a.openChain(ctx, c, logger); err != nil {
			return err
		}
		ac.Verifier, ac.LoginFile = &a.chain, filepath.Join(c.text("data"), loginsFile)
	}
	var err error
	a.access, err = access.New(ac)
	if err != nil {
		return failf("browser sessions: %w", err)
	}
	return nil
}

func (a *auth) openChain(ctx context.Context, c config, logger *slog.Logger) (err error) {
	if c.bool("auth.keys") {
		if a.chain.Keys, err = access.OpenKeys(filepath.Join(c.text("data"), keysFile), logger); err != nil {
			return failf("%w", err)
		}
	}
	if !takesJWT(c) {
		return nil
	}
	a.chain.JWT, err = access.OpenJWT(ctx, access.JWTConfig{
		Secret: access.Secret(c[jwtSecretKey].text), SecretFile: c.text("auth.jwt-secret-file"), JWKS: c.text("auth.jwks"),
		Issuer: c.text("auth.jwt-issuer"), Audience: c.text("auth.jwt-audience"), Logger: logger,
	})
	if err != nil {
		return failf("%w", err).because("the secret comes from auth.jwt-secret-file or the variable %s, the key set from auth.jwks", jwtSecretVariable)
	}
	return nil
}

func (a *auth) close() { a.chain.Close() }

// firstKey gives the owner of a server that nobody could enter a way in.
// A key is made and shown when a person looks; it must not stand in the journal
// of a service.
func (a *app) firstKey(ctx context.Context, s *server, logger *slog.Logger) error {
	keys := s.auth.chain.Keys
	if keys == nil || s.auth.chain.JWT != nil || keys.Usable() > 0 {
		return nil
	}
	data := s.settings.text("data")
	if !isTerminal(a.stderr) {
		logger.Warn("nobody can come in: there is no API key yet; konlog token create --admin --data DIR makes one", "data", s.settings.text("data"))
		return nil
	}
	key, secret, err := access.CreateKey(ctx, filepath.Join(data, keysFile), adminSpec(access.KeySpec{Name: "admin"}))
	if err != nil {
		return failf("%w", err)
	}
	p := a.paint(a.stderr)
	fmt.Fprintf(a.stderr, "made the first API key, %s, which may do everything but open shells; it is shown only now:\n  %s\n", key.ID, p.bold(secret.Reveal()))
	return nil
}

// warnOfPlain says when tokens can be read on their way to the server.
func (a *auth) warnOfPlain(e *edge, logger *slog.Logger) {
	tcp, ok := e.listener.Addr().(*net.TCPAddr)
	if ok && !tcp.IP.IsLoopback() && e.certs == nil && a.access.Required() {
		logger.Warn("tokens and events cross the network in the clear; tls.cert or tls.acme-hosts ends that, or a proxy that speaks TLS", "addr", tcp.String())
	}
}

// readSecretFile reads a file that holds one token.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readToken(f)
}

// tokenCharacters are those of a bearer token (RFC 6750).
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// readToken reads one token, and nothing else.
func readToken(r io.Reader) (string, error) {
	const most = access.TokenBytesMax + 2 // and a line break
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(body))
	switch {
	case token == "" && len(body) <= most:
		return "", errors.New("it is empty")
	case len(body) > most || len(token) > access.TokenBytesMax:
		return "", fmt.Errorf("it is over the limit of %d bytes", access.TokenBytesMax)
	case strings.Trim(token, tokenCharacters) != "":
		return "", errors.New("it holds more than one token, or characters that no token has")
	}
	return token, nil
}
