package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

// Bounds of a key set.
const (
	keySetBytesMax = 256 << 10
	keySetKeysMax  = 100
	rsaBitsMin     = 2048 // shorter ones are not safe any more, and are left out
	rsaBitsMax     = 8192 // longer ones make every check slow, and are left out
)

// keySet is a JSON Web Key Set: the keys of it that can verify a token.
type keySet struct{ keys []setKey }

type setKey struct {
	id     string // kid, or ""
	method string // the only one it is for, or ""
	public crypto.PublicKey
	print  string // of the key itself: a kid may come back with another
}

// parseKeySet reads a key set. Keys of other kinds and for other uses are left
// out; a set in which no key is left is refused.
func parseKeySet(body []byte) (*keySet, error) {
	var doc struct {
		Keys []jwkset.JWKMarshal `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("it is no JSON Web Key Set: %w", err)
	}
	if len(doc.Keys) > keySetKeysMax {
		return nil, fmt.Errorf("its %d keys are more than %d", len(doc.Keys), keySetKeysMax)
	}
	s := &keySet{}
	for _, one := range doc.Keys {
		if k, ok := usableKey(one); ok {
			s.keys = append(s.keys, k)
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("no key in it can verify a token: RSA from 2048 bits, P-256, P-384, P-521 or Ed25519, for use sig")
	}
	return s, nil
}

// usableKey takes of the key what is public. Secret parts have no business
// here, and certificates are not looked at: the library would even fetch them
// from where the key says.
func usableKey(m jwkset.JWKMarshal) (setKey, bool) {
	if m.KTY == jwkset.KtyOct || m.USE != "" && m.USE != jwkset.UseSig || len(m.KID) > jwtKeyIDMax ||
		len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return setKey{}, false
	}
	bare := jwkset.JWKMarshal{KTY: m.KTY, KID: m.KID, ALG: m.ALG, USE: m.USE, CRV: m.CRV, X: m.X, Y: m.Y, N: m.N, E: m.E}
	parsed, err := jwkset.NewJWKFromMarshal(bare, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return setKey{}, false
	}
	switch key := parsed.Key().(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < rsaBitsMin || bits > rsaBitsMax || key.E < 3 || key.E%2 == 0 {
			return setKey{}, false
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil { // not on its curve
			return setKey{}, false
		}
	case ed25519.PublicKey:
	default:
		return setKey{}, false
	}
	der, err := x509.MarshalPKIXPublicKey(parsed.Key())
	if err != nil {
		return setKey{}, false
	}
	sum := sha256.Sum256(der)
	return setKey{id: m.KID, method: m.ALG.String(), public: parsed.Key(), print: "key:" + string(sum[:])}, true
}

// suits reports whether the key may verify what was signed by the method.
func (k *setKey) suits(method string) bool {
	if k.method != "" && k.method != method {
		return false
	}
	switch key := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(method, "RS") || strings.HasPrefix(method, "PS")
	case *ecdsa.PublicKey:
		return map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Curve.Params().Name] == method
	case ed25519.PublicKey:
		return method == "EdDSA"
	}
	return false
}

// find returns the key with the id that suits the method, or nil. Without an
// id it must be the only one that does.
func (s *keySet) find(id, method string) *setKey {
	var found *setKey
	for i := range s.keys {
		k := &s.keys[i]
		switch {
		case !k.suits(method) || id != "" && k.id != id:
		case found != nil:
			return nil // ambiguous
		default:
			found = k
		}
	}
	return found
}

// has reports whether a key is still in the set.
func (s *keySet) has(print string) bool {
	for i := range s.keys {
		if s.keys[i].print == print {
			return true
		}
	}
	return false
}
