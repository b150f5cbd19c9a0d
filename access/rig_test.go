package access

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/konlog/konlog/store"
)

// discard is a logger for tests that do not read it.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logged is a logger whose text can be read at any time.
type logged struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// after waits on the clock of the test's bubble.
func after(d time.Duration) { <-time.After(d) }

func keyPath(t testing.TB) string { return filepath.Join(t.TempDir(), "keys.json") }

func mustCreate(t testing.TB, path string, spec KeySpec) (Key, string) {
	t.Helper()
	k, secret, err := CreateKey(t.Context(), path, spec)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret.Reveal()
}

func mustOpen(t testing.TB, path string) *Keys {
	t.Helper()
	k, err := OpenKeys(path, discard())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func allSpec() KeySpec {
	return KeySpec{Name: "ada", Read: store.AllSessions, Write: store.AllSessions, Admin: true, Metrics: true, Shell: true}
}

// wantRefused fails unless the error is the one answer to a bad credential.
func wantRefused(t testing.TB, what string, g Grant, err error) {
	t.Helper()
	if store.CodeOf(err) != CodeUnauthorized {
		t.Errorf("%s: got grant %+v and error %v, want unauthorized", what, g, err)
		return
	}
	var refused *store.Error
	if errors.As(err, &refused) && refused.Detail != ErrUnauthorized.Detail {
		t.Errorf("%s: the refusal says %q, which tells a client why", what, refused.Detail)
	}
	if g.Subject != "" || g.Read != nil || g.Write != nil || g.Admin {
		t.Errorf("%s: a refusal came with the grant %+v", what, g)
	}
}

// signer makes tokens and describes its public key.
type signer struct {
	id      string
	method  jwt.SigningMethod
	private any
}

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
	rsaTwo = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
)

func newEC(t testing.TB, id string, curve elliptic.Curve, method jwt.SigningMethod) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, method, k}
}

func newEd(t testing.TB, id string) signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jwt.SigningMethodEdDSA, k}
}

func (s signer) public() crypto.PublicKey {
	return s.private.(interface{ Public() crypto.PublicKey }).Public()
}

// jwk is the key as a set has it, without the members of drop.
func (s signer) jwk(t testing.TB, drop ...string) map[string]any {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(s.public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: s.id, USE: jwkset.UseSig}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range drop {
		delete(m, name)
	}
	return m
}

func setOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// sign makes a token; nil values in change take a claim out.
func (s signer) sign(t testing.TB, change map[string]any) string {
	t.Helper()
	c := jwt.MapClaims{
		"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
		"konlog": map[string]any{"read": []string{"team-*"}, "write": []string{"team-ada-*"}},
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	token := jwt.NewWithClaims(s.method, c)
	if s.id != "" {
		token.Header["kid"] = s.id
	}
	return s.text(t, token)
}

func (s signer) text(t testing.TB, token *jwt.Token) string {
	t.Helper()
	text, err := token.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const testSecret = "0123456789abcdef0123456789abcdef"

func secretSigner() signer {
	return signer{method: jwt.SigningMethodHS256, private: []byte(testSecret)}
}

func openTestJWT(t testing.TB, c JWTConfig) *JWT {
	t.Helper()
	j, err := OpenJWT(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

// writeSet replaces a file as an operator would.
func writeSet(t testing.TB, path string, body []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func mustAccess(t testing.TB, c Config) *Access {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
