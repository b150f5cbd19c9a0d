package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/konlog/konlog/store"
)

// Bounds of JSON Web Tokens.
const (
	JWTSecretBytesMin = 32               // of HS256: a shorter one can be searched for
	jwtSecretMax      = 4 << 10          // bytes of its file
	jwtLeeway         = 30 * time.Second // clocks differ; exp, nbf and iat are taken so much more kindly
	jwtKeyIDMax       = 256              // bytes of a kid
)

// The algorithms, by what is configured. A token names its own, so the list is
// fixed: a public key must never serve as the secret of an HMAC, and "none" is
// no signature.
var (
	secretMethods = []string{"HS256"}
	keyMethods    = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

// JWTConfig says whose tokens are taken. At least one source of keys is
// needed.
type JWTConfig struct {
	Secret     Secret // of HS256, or ""
	SecretFile string // holds it instead, or ""
	JWKS       string // a file or an https URL, or ""
	Issuer     string // what iss must be; "" is not checked
	Audience   string // what aud must hold; "" is not checked

	Logger *slog.Logger // nil discards
}

// JWT verifies JSON Web Tokens.
type JWT struct {
	parser *jwt.Parser
	secret *secretSource // or nil
	keys   keySource     // or nil
	cache  tokenCache
}

var _ Verifier = (*JWT)(nil)

// keySource holds public keys that change.
type keySource interface {
	// set returns the keys that are in force now, without waiting.
	set() *keySet
	// renewed waits, within a bound, until the keys were fetched again, where
	// that is allowed so soon.
	renewed(ctx context.Context)
	close()
}

// OpenJWT makes a verifier; ctx bounds the first look at the key set. A set by
// URL that cannot be had at the start is tried again later; a file must be
// good. Close it.
func OpenJWT(ctx context.Context, c JWTConfig) (*JWT, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	j := &JWT{}
	var methods []string
	if c.Secret != "" || c.SecretFile != "" {
		s, err := openSecret(c)
		if err != nil {
			return nil, err
		}
		j.secret, methods = s, append(methods, secretMethods...)
	}
	if c.JWKS != "" {
		keys, err := openKeySet(ctx, c.JWKS, c.Logger)
		if err != nil {
			return nil, err
		}
		j.keys, methods = keys, append(methods, keyMethods...)
	}
	if methods == nil {
		return nil, errors.New("tokens need a secret or a key set to be verified with")
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(jwtLeeway), jwt.WithStrictDecoding(),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	j.parser = jwt.NewParser(options...)
	return j, nil
}

// Close ends the renewal of the key set.
func (j *JWT) Close() {
	if j.keys != nil {
		j.keys.close()
	}
}

// Verify returns what the token's claims allow. A token that was verified
// before costs a hash as long as it and its key are in force.
func (j *JWT) Verify(ctx context.Context, token string) (Grant, error) {
	if len(token) > TokenBytesMax || strings.Count(token, ".") != 2 {
		return Grant{}, ErrUnauthorized
	}
	sum := sha256.Sum256([]byte(token))
	if g, ok := j.cache.find(sum); ok {
		if !g.Expired(time.Now()) && j.Holds(&g) {
			return g, nil
		}
		j.cache.drop(sum)
	}
	g, err := j.parse(ctx, token)
	if err != nil {
		return Grant{}, store.Because(CodeUnauthorized, err, ErrUnauthorized.Detail)
	}
	j.cache.keep(sum, g)
	return g, nil
}

// Holds reports whether the key that signed the token is still in force.
func (j *JWT) Holds(g *Grant) bool {
	if j.secret != nil && j.secret.fresh().print == g.key {
		return true
	}
	return j.keys != nil && j.keys.set().has(g.key)
}

// claims are what we read of a token.
type claims struct {
	jwt.RegisteredClaims
	Konlog *struct {
		Read    store.Patterns `json:"read"`
		Write   store.Patterns `json:"write"`
		Admin   bool           `json:"admin"`
		Metrics bool           `json:"metrics"`
		Shell   bool           `json:"shell"`
	} `json:"konlog"`
}

func (j *JWT) parse(ctx context.Context, token string) (Grant, error) {
	var c claims
	print := ""
	_, err := j.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (key any, err error) {
		key, print, err = j.key(ctx, t)
		return key, err
	})
	switch {
	case err != nil:
		return Grant{}, err
	case c.ExpiresAt == nil:
		return Grant{}, errors.New("the token has no expiry")
	case c.Konlog == nil:
		return Grant{}, errors.New("the token has no claim konlog")
	case c.Subject == "":
		return Grant{}, errors.New("the token has no subject")
	}
	if err := checkName("subject", c.Subject, SubjectBytesMax); err != nil {
		return Grant{}, err
	}
	for _, p := range []store.Patterns{c.Konlog.Read, c.Konlog.Write} {
		if err := checkPatterns(p); err != nil {
			return Grant{}, err
		}
	}
	return Grant{
		Subject: c.Subject, ID: "jwt:" + c.Subject, Read: c.Konlog.Read, Write: c.Konlog.Write,
		Admin: c.Konlog.Admin, Metrics: c.Konlog.Metrics, Shell: c.Konlog.Shell,
		Expires: c.ExpiresAt.Add(jwtLeeway), given: j, key: print,
	}, nil
}

// key finds what the token is to be verified with.
func (j *JWT) key(ctx context.Context, t *jwt.Token) (key any, print string, err error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, "", errors.New("the token has critical headers, which are not known here")
	}
	if _, hmac := t.Method.(*jwt.SigningMethodHMAC); hmac {
		if j.secret == nil {
			return nil, "", errors.New("no secret is configured")
		}
		s := j.secret.fresh()
		return s.secret, s.print, nil
	}
	if j.keys == nil {
		return nil, "", errors.New("no key set is configured")
	}
	id, ok := "", false
	if v, has := t.Header["kid"]; has {
		if id, ok = v.(string); !ok || len(id) > jwtKeyIDMax {
			return nil, "", errors.New("the token's kid is malformed")
		}
	}
	k := j.keys.set().find(id, t.Method.Alg())
	if k == nil {
		j.keys.renewed(ctx)
		k = j.keys.set().find(id, t.Method.Alg())
	}
	if k == nil {
		return nil, "", errors.New("no key of the set fits the token")
	}
	return k.public, k.print, nil
}

// secretSource is the secret of HS256, which a file may replace at any time.
type secretSource struct {
	file   watched // without a path: the secret is fixed
	logger *slog.Logger
	now    atomic.Pointer[sharedSecret]
}

type sharedSecret struct {
	secret []byte
	print  string // by which grants know it; nothing can be told from it
}

func openSecret(c JWTConfig) (*secretSource, error) {
	if c.Secret != "" && c.SecretFile != "" {
		return nil, errors.New("the secret of tokens is given twice: by value and by file")
	}
	s := &secretSource{file: watched{path: c.SecretFile}, logger: c.Logger}
	err := error(nil)
	if c.SecretFile == "" {
		err = s.install([]byte(c.Secret.Reveal()))
	} else {
		err = s.file.refresh(time.Now(), s.read)
	}
	if err != nil {
		return nil, fmt.Errorf("secret of tokens: %w", err)
	}
	return s, nil
}

func (s *secretSource) read() error {
	body, info, err := readBounded(s.file.path, jwtSecretMax)
	if err != nil {
		return err
	}
	if openToOthers(info) { // a container's secrets are mounted so; nobody else is in there
		s.logger.Warn("the secret of tokens can be read by other users of this machine", "file", s.file.path, "mode", info.Mode().Perm().String())
	}
	return s.install(bytes.TrimRight(body, "\r\n"))
}

func (s *secretSource) install(secret []byte) error {
	if len(secret) < JWTSecretBytesMin {
		return fmt.Errorf("it has %d bytes, and at least %d are needed: make one with openssl rand -base64 48", len(secret), JWTSecretBytesMin)
	}
	if now := s.now.Load(); now == nil || !bytes.Equal(now.secret, secret) {
		s.now.Store(&sharedSecret{secret: secret, print: "secret:" + newSecret()})
	}
	return nil
}

// fresh is the secret in force. A file that has become unusable leaves the last
// one so.
func (s *secretSource) fresh() *sharedSecret {
	if s.file.path != "" {
		if err := s.file.refresh(time.Now(), s.read); err != nil {
			s.logger.Error("the secret of tokens cannot be read; the last one stays in force", "file", s.file.path, "err", err)
		}
	}
	return s.now.Load()
}
