package access

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/konlog/konlog/store"
)

// TestTokenToGrant guards that the claims of a good token become its grant,
// for each algorithm that is taken.
func TestTokenToGrant(t *testing.T) {
	t.Parallel()
	p256 := newEC(t, "p256", elliptic.P256(), jwt.SigningMethodES256)
	signers := []signer{
		p256, newEC(t, "p384", elliptic.P384(), jwt.SigningMethodES384), newEC(t, "p521", elliptic.P521(), jwt.SigningMethodES512), newEd(t, "ed"),
	}
	for _, m := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512} {
		signers = append(signers, signer{"rsa", m, rsaKey()})
	}
	var keys []map[string]any
	for _, s := range signers[:5] {
		keys = append(keys, s.jwk(t))
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	writeSet(t, path, setOf(t, keys...))
	j := openTestJWT(t, JWTConfig{Secret: testSecret, JWKS: path})
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, s := range append(signers, secretSigner()) {
		token := s.sign(t, map[string]any{"exp": exp.Unix(), "konlog": map[string]any{"read": []string{"a-*"}, "write": []string{"a-1"}, "admin": true, "metrics": true, "shell": true}})
		for range 2 { // the second comes from the cache
			g, err := j.Verify(t.Context(), token)
			if err != nil {
				t.Errorf("%s: %v", s.method.Alg(), err)
				continue
			}
			if g.Subject != "ada" || g.ID != "jwt:ada" || !slices.Equal(g.Read, store.Patterns{"a-*"}) || !slices.Equal(g.Write, store.Patterns{"a-1"}) ||
				!g.Admin || !g.Metrics || !g.Shell || !g.Expires.Equal(exp.Add(jwtLeeway)) || !j.Holds(&g) {
				t.Errorf("%s: got grant %+v", s.method.Alg(), g)
			}
		}
	}
	g, err := j.Verify(t.Context(), p256.sign(t, map[string]any{"konlog": map[string]any{}}))
	if err != nil || g.Read != nil || g.Write != nil || g.Admin || g.Metrics || g.Shell || g.MayRead(store.FeedSession) {
		t.Errorf("an empty claim: %+v, %v", g, err)
	}
}

// TestForgedTokens guards that no token without a signature of a key that is
// configured for it gets in.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	ours := signer{"k", jwt.SigningMethodRS256, rsaKey()}
	stranger := signer{"k", jwt.SigningMethodRS256, rsaTwo()}
	der, err := x509.MarshalPKIXPublicKey(ours.public())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, err := json.Marshal(ours.jwk(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	writeSet(t, path, setOf(t, ours.jwk(t)))
	good := ours.sign(t, nil)
	part := strings.Split(good, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "konlog": map[string]any{"admin": true}})
	none, err := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	forged := map[string]string{
		"the public key as a secret, DER":  signer{"k", jwt.SigningMethodHS256, der}.sign(t, nil),
		"the public key as a secret, PEM":  signer{"k", jwt.SigningMethodHS256, inPEM}.sign(t, nil),
		"the public key as a secret, JWK":  signer{"k", jwt.SigningMethodHS256, jwk}.sign(t, nil),
		"the modulus as a secret":          signer{"k", jwt.SigningMethodHS256, rsaKey().N.Bytes()}.sign(t, nil),
		"an empty secret":                  signer{"k", jwt.SigningMethodHS256, []byte{}}.sign(t, nil),
		"another algorithm of the secret":  signer{"", jwt.SigningMethodHS512, []byte(testSecret)}.sign(t, nil),
		"none":                             none,
		"None":                             encode(`{"alg":"None"}`) + "." + part[1] + ".",
		"nOnE with the old signature":      encode(`{"alg":"nOnE","kid":"k"}`) + "." + part[1] + "." + part[2],
		"no algorithm":                     encode(`{"kid":"k"}`) + "." + part[1] + "." + part[2],
		"another algorithm, old signature": encode(`{"alg":"RS512","kid":"k"}`) + "." + part[1] + "." + part[2],
		"a stranger with our kid":          stranger.sign(t, nil),
		"no signature":                     part[0] + "." + part[1] + ".",
		"other claims, old signature":      part[0] + "." + encode(`{"sub":"eve","exp":9999999999,"konlog":{"admin":true}}`) + "." + part[2],
		"signature of another token":       part[0] + "." + part[1] + "." + strings.Split(ours.sign(t, map[string]any{"sub": "eve"}), ".")[2],
		"its own key in the header":        encode(`{"alg":"RS256","jwk":`+string(jwk)+`}`) + "." + part[1] + "." + strings.Split(stranger.sign(t, nil), ".")[2],
		"four parts":                       good + ".x",
		"two parts":                        part[0] + "." + part[1],
		"spaces":                           " " + good,
		"padding":                          part[0] + "=." + part[1] + "." + part[2],
		"too long":                         good + strings.Repeat("A", TokenBytesMax),
	}
	both := openTestJWT(t, JWTConfig{Secret: testSecret, JWKS: path})
	for name, j := range map[string]*JWT{"both": both, "secret": openTestJWT(t, JWTConfig{Secret: testSecret}), "set": openTestJWT(t, JWTConfig{JWKS: path})} {
		for what, token := range forged {
			g, err := j.Verify(t.Context(), token)
			wantRefused(t, name+": "+what, g, err)
		}
	}
	if _, err := both.Verify(t.Context(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	g, err := openTestJWT(t, JWTConfig{Secret: testSecret}).Verify(t.Context(), good)
	wantRefused(t, "no set is configured", g, err)
	g, err = openTestJWT(t, JWTConfig{JWKS: path}).Verify(t.Context(), secretSigner().sign(t, nil))
	wantRefused(t, "no secret is configured", g, err)
}

// TestClaims guards what a token must say, and the leeway.
func TestClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		at := func(d time.Duration) int64 { return now.Add(d).Unix() }
		j := openTestJWT(t, JWTConfig{Secret: testSecret, Issuer: "https://id.example", Audience: "konlog"})
		base := map[string]any{"iss": "https://id.example", "aud": []string{"other", "konlog"}}
		verify := func(change map[string]any) (Grant, error) {
			all := maps.Clone(base)
			maps.Copy(all, change)
			return j.Verify(t.Context(), secretSigner().sign(t, all))
		}
		for name, change := range map[string]map[string]any{
			"as it should be":       {},
			"audience as a text":    {"aud": "konlog"},
			"expired, in leeway":    {"exp": at(-29 * time.Second)},
			"not before, in leeway": {"nbf": at(29 * time.Second)},
			"issued, in leeway":     {"iat": at(29 * time.Second)},
			"issued long ago":       {"iat": at(-9999 * time.Hour)},
		} {
			if _, err := verify(change); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		claim := func(c any) map[string]any { return map[string]any{"konlog": c} }
		list := make([]string, store.PatternsMax+1)
		for i := range list {
			list[i] = "a"
		}
		for name, change := range map[string]map[string]any{
			"expired":            {"exp": at(-30 * time.Second)},
			"expired long ago":   {"exp": at(-time.Hour)},
			"no exp":             {"exp": nil},
			"exp as a text":      {"exp": "soon"},
			"not yet":            {"nbf": at(31 * time.Second)},
			"issued in future":   {"iat": at(31 * time.Second)},
			"no issuer":          {"iss": nil},
			"another issuer":     {"iss": "https://id.example.evil"},
			"no audience":        {"aud": nil},
			"another audience":   {"aud": "other"},
			"no subject":         {"sub": nil},
			"empty subject":      {"sub": ""},
			"long subject":       {"sub": strings.Repeat("s", SubjectBytesMax+1)},
			"subject to print":   {"sub": "a\x1b[2J"},
			"no konlog":          {"konlog": nil},
			"konlog as a text":   claim("admin"),
			"konlog as a list":   claim([]string{"admin"}),
			"pattern":            claim(map[string]any{"read": []string{"a b"}}),
			"empty pattern":      claim(map[string]any{"write": []string{""}}),
			"patterns as a text": claim(map[string]any{"read": "*"}),
			"many patterns":      claim(map[string]any{"read": list}),
			"admin as a text":    claim(map[string]any{"admin": "true"}),
			"admin as a number":  claim(map[string]any{"admin": 1}),
		} {
			g, err := verify(change)
			wantRefused(t, name, g, err)
		}
	})
}

// TestCriticalHeader guards that a token which asks for what is not understood
// is refused, as RFC 7515 says.
func TestCriticalHeader(t *testing.T) {
	t.Parallel()
	j := openTestJWT(t, JWTConfig{Secret: testSecret})
	s := secretSigner()
	claims := jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "konlog": map[string]any{}}
	for _, header := range []any{[]string{"b64"}, []string{}, "exp"} {
		token := jwt.NewWithClaims(s.method, claims)
		token.Header["crit"] = header
		g, err := j.Verify(t.Context(), s.text(t, token))
		wantRefused(t, fmt.Sprint(header), g, err)
	}
	for _, kid := range []any{1, nil, []string{"k"}, strings.Repeat("k", jwtKeyIDMax+1)} {
		k := newEd(t, "")
		path := filepath.Join(t.TempDir(), "s")
		writeSet(t, path, setOf(t, k.jwk(t)))
		token := jwt.NewWithClaims(k.method, claims)
		token.Header["kid"] = kid
		g, err := openTestJWT(t, JWTConfig{JWKS: path}).Verify(t.Context(), k.text(t, token))
		wantRefused(t, fmt.Sprintf("kid %.20v", kid), g, err)
	}
}

// TestCachedTokenExpires guards that a token which was taken before is not
// taken for longer than it says.
func TestCachedTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := openTestJWT(t, JWTConfig{Secret: testSecret})
		token := secretSigner().sign(t, map[string]any{"exp": time.Now().Add(time.Minute).Unix()})
		a := mustAccess(t, Config{Verifier: &Chain{JWT: j}})
		pass, err := a.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		after(time.Minute + jwtLeeway - time.Millisecond)
		if _, err := j.Verify(t.Context(), token); err != nil || !pass.InForce(time.Now()) {
			t.Errorf("a moment before: %v", err)
		}
		after(time.Millisecond)
		g, err := j.Verify(t.Context(), token)
		wantRefused(t, "cached", g, err)
		if pass.InForce(time.Now()) {
			t.Error("the pass is in force")
		}
		if _, kept := j.cache.grants[[32]byte{}]; kept || len(j.cache.grants) != 0 {
			t.Errorf("%d tokens are kept", len(j.cache.grants))
		}
	})
}

// TestCacheIsBounded guards the memory of verified tokens.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c tokenCache
		sum := func(i int) (s [32]byte) { s[0], s[1], s[2] = byte(i), byte(i>>8), 1; return s }
		for i := range cachedTokensMax {
			c.keep(sum(i), Grant{Expires: time.Now().Add(time.Duration(1+i%2) * time.Minute)})
		}
		after(time.Minute)
		c.keep(sum(cachedTokensMax), Grant{})
		if n := len(c.grants); n != cachedTokensMax/2+1 {
			t.Errorf("%d are kept, want those in force", n)
		}
		for i := range 2 * cachedTokensMax {
			c.keep(sum(i), Grant{})
		}
		if n := len(c.grants); n != cachedTokensMax {
			t.Errorf("%d are kept, want %d", n, cachedTokensMax)
		}
	})
}

// TestWeakSecret guards that a secret which can be searched for is refused,
// wherever it comes from.
func TestWeakSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short := testSecret[:JWTSecretBytesMin-1]
	for name, c := range map[string]JWTConfig{
		"nothing":            {},
		"short":              {Secret: Secret(short)},
		"short file":         {SecretFile: file("short", short+"\n")},
		"empty file":         {SecretFile: file("empty", "\n")},
		"no file":            {SecretFile: filepath.Join(dir, "none")},
		"a folder":           {SecretFile: dir},
		"huge":               {SecretFile: file("huge", strings.Repeat("x", jwtSecretMax+1))},
		"twice":              {Secret: testSecret, SecretFile: file("good", testSecret)},
		"no set":             {JWKS: filepath.Join(dir, "none")},
		"set of nothing":     {JWKS: file("set", `{"keys":[]}`)},
		"no JSON":            {JWKS: file("set2", `keys`)},
		"plain http":         {JWKS: "http://id.example/jwks.json"},
		"another scheme":     {JWKS: "ftp://localhost/jwks.json"},
		"password in it":     {JWKS: "https://user:pass@id.example/jwks.json"},
		"no host":            {JWKS: "https:///jwks.json"},
		"loopback lookalike": {JWKS: "http://127.0.0.1.example/jwks.json"},
	} {
		j, err := OpenJWT(t.Context(), c)
		if err == nil {
			j.Close()
			t.Errorf("%s: it was taken", name)
		} else if strings.Contains(err.Error(), short) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
}

// TestSecretFileRotates guards that a new secret takes the place of the old
// one while the server runs, and takes its tokens out of force.
func TestSecretFileRotates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secret")
		writeSet(t, path, []byte(testSecret+"\r\n"))
		out := &logged{}
		j := openTestJWT(t, JWTConfig{SecretFile: path, Logger: out.logger()})
		token := secretSigner().sign(t, nil)
		g, err := j.Verify(t.Context(), token)
		if err != nil || !j.Holds(&g) {
			t.Fatal(err)
		}
		writeSet(t, path, []byte("short"))
		after(statEvery)
		if _, err := j.Verify(t.Context(), token); err != nil {
			t.Errorf("an unusable file took the last secret with it: %v", err)
		}
		writeSet(t, path, []byte(strings.ToUpper(testSecret)))
		after(statEvery)
		if j.Holds(&g) {
			t.Error("the grant of the old secret holds")
		}
		none, err := j.Verify(t.Context(), token)
		wantRefused(t, "cached, of the old secret", none, err)
		next := signer{method: jwt.SigningMethodHS256, private: []byte(strings.ToUpper(testSecret))}
		if _, err := j.Verify(t.Context(), next.sign(t, nil)); err != nil {
			t.Errorf("the new secret: %v", err)
		}
		if n := strings.Count(out.String(), "cannot be read"); n != 1 || strings.Contains(out.String(), testSecret) {
			t.Errorf("log:\n%s", out)
		}
	})
}

// TestKeySetKeys guards which keys of a set are used, and for what.
func TestKeySetKeys(t *testing.T) {
	t.Parallel()
	with := func(m map[string]any, name string, v any) map[string]any {
		c := maps.Clone(m)
		c[name] = v
		return c
	}
	rs := signer{"r", jwt.SigningMethodRS256, rsaKey()}
	ps := signer{"r", jwt.SigningMethodPS256, rsaKey()}
	ec := newEC(t, "e", elliptic.P256(), jwt.SigningMethodES256)
	ed := newEd(t, "d")
	two := signer{"r2", jwt.SigningMethodRS256, rsaTwo()}
	nameless := func(s signer) signer { s.id = ""; return s }
	fetched := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched = true }))
	defer srv.Close()
	oct := map[string]any{"kty": "oct", "kid": "o", "k": base64.RawURLEncoding.EncodeToString([]byte(testSecret))}
	for _, c := range []struct {
		name string
		set  []map[string]any
		by   signer
		ok   bool
	}{
		{"its key", []map[string]any{rs.jwk(t), ec.jwk(t)}, rs, true},
		{"any RSA method", []map[string]any{rs.jwk(t)}, ps, true},
		{"for another method", []map[string]any{with(rs.jwk(t), "alg", "RS256")}, ps, false},
		{"for this method", []map[string]any{with(rs.jwk(t), "alg", "PS256")}, ps, true},
		{"for encryption", []map[string]any{with(rs.jwk(t), "use", "enc"), ec.jwk(t)}, rs, false},
		{"no use", []map[string]any{rs.jwk(t, "use")}, rs, true},
		{"to sign only", []map[string]any{with(rs.jwk(t), "key_ops", []string{"sign"}), ec.jwk(t)}, rs, false},
		{"to verify", []map[string]any{with(rs.jwk(t), "key_ops", []string{"verify"})}, rs, true},
		{"the kid of another kind", []map[string]any{with(ec.jwk(t), "kid", "r"), ed.jwk(t)}, rs, false},
		{"same kid, two kinds", []map[string]any{with(ec.jwk(t), "kid", "r"), rs.jwk(t)}, rs, true},
		{"same kid, two keys", []map[string]any{with(two.jwk(t), "kid", "r"), rs.jwk(t)}, rs, false},
		{"no kid, one that suits", []map[string]any{ec.jwk(t), rs.jwk(t)}, nameless(rs), true},
		{"no kid, two that suit", []map[string]any{two.jwk(t), rs.jwk(t)}, nameless(rs), false},
		{"no kid in the set", []map[string]any{rs.jwk(t, "kid")}, rs, false},
		{"a broken key beside", []map[string]any{{"kty": "RSA", "kid": "x", "n": "!", "e": "AQAB"}, {"kty": "new"}, rs.jwk(t)}, rs, true},
		{"a secret in the set", []map[string]any{oct, ec.jwk(t)}, signer{"o", jwt.SigningMethodHS256, []byte(testSecret)}, false},
		{"a certificate elsewhere", []map[string]any{with(rs.jwk(t), "x5u", srv.URL)}, rs, true},
		{"private parts", []map[string]any{with(rs.jwk(t), "d", "AQAB")}, rs, true},
		{"Ed25519", []map[string]any{ed.jwk(t)}, ed, true},
	} {
		path := filepath.Join(t.TempDir(), "s")
		writeSet(t, path, setOf(t, c.set...))
		j, err := OpenJWT(t.Context(), JWTConfig{JWKS: path})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		g, err := j.Verify(t.Context(), c.by.sign(t, nil))
		if c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			wantRefused(t, c.name, g, err)
		}
	}
	if fetched {
		t.Error("a key had something fetched")
	}
	off := ec.jwk(t)
	off["y"] = off["x"]
	for name, set := range map[string][]map[string]any{
		"short RSA":        {with(rs.jwk(t), "n", base64.RawURLEncoding.EncodeToString(rsaKey().N.Bytes()[:128]))},
		"exponent 1":       {with(rs.jwk(t), "e", "AQ")},
		"not on the curve": {off},
		"secrets only":     {oct},
		"too many":         slices.Repeat([]map[string]any{rs.jwk(t)}, keySetKeysMax+1),
	} {
		if s, err := parseKeySet(setOf(t, set...)); err == nil {
			t.Errorf("%s: %d keys were taken", name, len(s.keys))
		}
	}
}

// TestKeySetFileRotates guards that a key which was taken out of the file takes
// its tokens out of force, and that others may not write it.
func TestKeySetFileRotates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, next := newEd(t, "k"), newEd(t, "k") // the same name: only the key itself counts
		path := filepath.Join(t.TempDir(), "s")
		writeSet(t, path, setOf(t, old.jwk(t)))
		out := &logged{}
		j := openTestJWT(t, JWTConfig{JWKS: path, Logger: out.logger()})
		token := old.sign(t, nil)
		g, err := j.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		writeSet(t, path, []byte("{"))
		after(statEvery)
		if !j.Holds(&g) {
			t.Error("a damaged file took the last keys with it")
		}
		writeSet(t, path, setOf(t, next.jwk(t)))
		after(statEvery)
		if j.Holds(&g) {
			t.Error("the grant of a key that is gone holds")
		}
		none, err := j.Verify(t.Context(), token)
		wantRefused(t, "cached, of a key that is gone", none, err)
		if _, err := j.Verify(t.Context(), next.sign(t, nil)); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if runtime.GOOS == "windows" {
			return // there the mode says nothing
		}
		if err := os.Chmod(path, 0o606); err != nil {
			t.Fatal(err)
		}
		if j, err := OpenJWT(t.Context(), JWTConfig{JWKS: path}); err == nil {
			j.Close()
			t.Error("a set that everybody may write was taken")
		}
	})
}

// keyServer serves a key set that can be changed, and counts how often.
type keyServer struct {
	*httptest.Server
	asked atomic.Int64

	mu     sync.Mutex // guards what follows
	body   []byte
	status int
}

func newKeyServer(t *testing.T, body []byte) *keyServer {
	s := &keyServer{body: body, status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		w.WriteHeader(s.status)
		_, _ = w.Write(s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

// remote opens the set at a URL and lets a test have it looked at.
func remote(t *testing.T, address string, out *logged) (*JWT, *keySetURL) {
	j := openTestJWT(t, JWTConfig{JWKS: address, Logger: out.logger()})
	return j, j.keys.(*keySetURL)
}

// TestKeySetByURL guards rotation by URL: a new key is fetched when a token
// names it, an old one goes with the next look, and a server that fails leaves
// what was known.
func TestKeySetByURL(t *testing.T) {
	t.Parallel()
	old, next, third := newEd(t, "old"), newEd(t, "next"), newEd(t, "third")
	srv := newKeyServer(t, setOf(t, old.jwk(t)))
	out := &logged{}
	j, s := remote(t, srv.URL+"/?key=hush", out)
	s.longAgo()
	g, err := j.Verify(t.Context(), old.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	srv.set(http.StatusOK, setOf(t, next.jwk(t)))
	if _, err := j.Verify(t.Context(), next.sign(t, nil)); err != nil {
		t.Errorf("a key that was added: %v", err)
	}
	if j.Holds(&g) {
		t.Error("the grant of a key that is gone holds")
	}
	held, err := j.Verify(t.Context(), next.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		status int
		body   []byte
	}{{500, nil}, {200, []byte("<html>")}, {200, []byte(`{"keys":[]}`)}, {200, append(setOf(t, third.jwk(t)), bytes.Repeat([]byte(" "), keySetBytesMax)...)}, {404, setOf(t, third.jwk(t))}} {
		srv.set(bad.status, bad.body)
		s.longAgo()
		none, err := j.Verify(t.Context(), third.sign(t, nil))
		wantRefused(t, "while the server fails", none, err)
		if !j.Holds(&held) {
			t.Fatalf("status %d took the known keys with it", bad.status)
		}
	}
	if n := strings.Count(out.String(), "cannot be fetched"); n != 1 {
		t.Errorf("the trouble was logged %d times:\n%s", n, out)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("the log holds the address's query:\n%s", out)
	}
	srv.set(http.StatusOK, setOf(t, third.jwk(t)))
	s.longAgo()
	if _, err := j.Verify(t.Context(), third.sign(t, nil)); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// longAgo lets the next unknown key have the set fetched.
func (s *keySetURL) longAgo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = time.Now().Add(-keySetAgain)
}

// TestUnknownKeysMakeNoFlood guards that tokens with invented keys have the set
// fetched once, however many come.
func TestUnknownKeysMakeNoFlood(t *testing.T) {
	t.Parallel()
	known := newEd(t, "known")
	srv := newKeyServer(t, setOf(t, known.jwk(t)))
	j, s := remote(t, srv.URL, &logged{})
	s.longAgo()
	before := srv.asked.Load()
	var wg sync.WaitGroup
	for i := range 50 {
		token := newEd(t, fmt.Sprint("invented", i)).sign(t, nil)
		wg.Go(func() {
			g, err := j.Verify(t.Context(), token)
			wantRefused(t, "invented", g, err)
		})
	}
	wg.Wait()
	if n := srv.asked.Load() - before; n > 2 { // one that was on its way when the first asked, and the one it asked for
		t.Errorf("the set was fetched %d times", n)
	}
}

// TestKeySetServerThatHangs guards that a token waits for the set within the
// bounds of its request, and that Close does not wait for the server.
func TestKeySetServerThatHangs(t *testing.T) {
	t.Parallel()
	known := newEd(t, "known")
	srv := newKeyServer(t, setOf(t, known.jwk(t)))
	j, s := remote(t, srv.URL, &logged{})
	hang := make(chan struct{})
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hang) })
	s.longAgo()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	g, err := j.Verify(ctx, newEd(t, "new").sign(t, nil))
	wantRefused(t, "while it hangs", g, err)
	if _, err := j.Verify(t.Context(), known.sign(t, nil)); err != nil {
		t.Errorf("a known key had to wait: %v", err)
	}
	done := make(chan struct{})
	go func() { j.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(keySetTimeout - time.Second):
		t.Error("Close waited for the server")
	}
}

// TestKeySetLater guards that a set which cannot be had at the start does not
// keep the server from starting, and is had later.
func TestKeySetLater(t *testing.T) {
	t.Parallel()
	k := newEd(t, "k")
	srv := newKeyServer(t, nil)
	srv.set(http.StatusServiceUnavailable, nil)
	j, s := remote(t, srv.URL, &logged{})
	none, err := j.Verify(t.Context(), k.sign(t, nil))
	wantRefused(t, "before", none, err)
	srv.set(http.StatusOK, setOf(t, k.jwk(t)))
	s.longAgo()
	if _, err := j.Verify(t.Context(), k.sign(t, nil)); err != nil {
		t.Errorf("later: %v", err)
	}
}

// TestKeySetRedirects guards that a redirect does not lead to where anybody
// could answer.
func TestKeySetRedirects(t *testing.T) {
	t.Parallel()
	k := newEd(t, "k")
	good := newKeyServer(t, setOf(t, k.jwk(t)))
	for target, ok := range map[string]bool{good.URL: true, "http://id.example/jwks.json": false, "ftp://localhost/": false} {
		srv := httptest.NewServer(http.RedirectHandler(target, http.StatusFound))
		j, _ := remote(t, srv.URL, &logged{})
		_, err := j.Verify(t.Context(), k.sign(t, nil))
		if (err == nil) != ok {
			t.Errorf("redirect to %s: %v", target, err)
		}
		srv.Close()
	}
}

// TestKeySetLoop guards how often the set is looked at by itself.
func TestKeySetLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &keySetURL{logger: discard(), want: make(chan struct{}, 1), stopped: make(chan struct{})}
		s.keys.Store(&keySet{})
		var looks atomic.Int64
		fail := atomic.Bool{}
		s.address = mustURL(t, "http://localhost/")
		s.http = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			looks.Add(1)
			if fail.Load() {
				return nil, fmt.Errorf("down")
			}
			w := httptest.NewRecorder()
			_, _ = w.Write(setOf(t, newEd(t, "k").jwk(t)))
			return w.Result(), nil
		})}
		ctx, stop := context.WithCancel(t.Context())
		s.stop = stop
		go s.run(ctx, true)
		after(keySetEvery - time.Second)
		if n := looks.Load(); n != 0 {
			t.Errorf("%d looks too soon", n)
		}
		fail.Store(true)
		after(time.Second)
		synctest.Wait()
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks, want 1", n)
		}
		after(3 * keySetAgain)
		synctest.Wait()
		if n := looks.Load(); n != 4 {
			t.Errorf("%d looks after a failure, want 4", n)
		}
		s.renewed(t.Context()) // it was tried just now
		if n := looks.Load(); n != 4 {
			t.Errorf("%d looks, want 4", n)
		}
		s.close()
	})
}

// BenchmarkVerify is what a request pays for its credential.
func BenchmarkVerify(b *testing.B) {
	path := keyPath(b)
	_, token := mustCreate(b, path, allSpec())
	set := filepath.Join(b.TempDir(), "s")
	k := newEd(b, "k")
	writeSet(b, set, setOf(b, k.jwk(b)))
	chain := &Chain{Keys: mustOpen(b, path), JWT: openTestJWT(b, JWTConfig{JWKS: set})}
	for name, token := range map[string]string{"key": token, "jwt": k.sign(b, nil)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := chain.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
