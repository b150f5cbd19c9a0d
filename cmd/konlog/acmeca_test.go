package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// authority is a certificate authority that speaks ACME (RFC 8555), and holds
// its clients to it: signatures, nonces, and the proof of each name.
type authority struct {
	t         *testing.T
	http      *httptest.Server
	key       *ecdsa.PrivateKey
	root      *x509.Certificate
	challenge string // the kind that it offers
	tlsAddr   string // where the names lead, on port 443
	httpAddr  string // and on port 80

	mu      sync.Mutex // guards what follows
	nonces  map[string]bool
	account *ecdsa.PublicKey
	contact []string
	proven  map[string]bool // names
	orders  []*acmeOrder
}

type acmeOrder struct {
	name string
	cert []byte // PEM, once issued
}

func newAuthority(t *testing.T, challenge string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, challenge: challenge, nonces: map[string]bool{}, proven: map[string]bool{}}
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.http = httptest.NewTLSServer(a)
	t.Cleanup(a.http.Close)
	return a
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func (a *authority) issued() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, o := range a.orders {
		if o.cert != nil {
			n++
		}
	}
	return n
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	a.mu.Lock()
	a.nonces[nonce] = true
	a.mu.Unlock()
	w.Header().Set("Replay-Nonce", nonce)
	url := func(format string, args ...any) string { return a.http.URL + fmt.Sprintf(format, args...) }
	if r.URL.Path == "/dir" {
		a.say(w, 200, map[string]any{"newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/order"), "meta": map[string]any{"termsOfService": url("/terms")}})
		return
	}
	if r.URL.Path == "/nonce" {
		return
	}
	payload, err := a.verify(r)
	if err != nil {
		a.t.Errorf("%s: %v", r.URL.Path, err)
		a.say(w, 400, map[string]any{"type": "urn:ietf:params:acme:error:malformed", "detail": err.Error()})
		return
	}
	var n int
	switch {
	case r.URL.Path == "/account":
		var asked struct {
			Contact []string
			Agreed  bool `json:"termsOfServiceAgreed"`
		}
		_ = json.Unmarshal(payload, &asked)
		if !asked.Agreed {
			a.t.Error("the terms were not agreed to")
		}
		a.mu.Lock()
		a.contact = asked.Contact
		a.mu.Unlock()
		w.Header().Set("Location", url("/account/1"))
		a.say(w, 201, map[string]any{"status": "valid"})
	case r.URL.Path == "/order":
		var asked struct {
			Identifiers []struct{ Type, Value string }
		}
		_ = json.Unmarshal(payload, &asked)
		a.mu.Lock()
		a.orders = append(a.orders, &acmeOrder{name: asked.Identifiers[0].Value})
		n = len(a.orders)
		a.mu.Unlock()
		w.Header().Set("Location", url("/order/%d", n))
		a.sayOrder(w, 201, n)
	case scan(r.URL.Path, "/order/%d", &n):
		a.sayOrder(w, 200, n)
	case scan(r.URL.Path, "/authz/%d", &n):
		a.sayAuthz(w, n)
	case scan(r.URL.Path, "/challenge/%d", &n):
		if err := a.prove(a.orders[n-1].name, n); err != nil {
			a.t.Errorf("the name is not proven: %v", err)
		}
		a.say(w, 200, a.challengeOf(n))
	case scan(r.URL.Path, "/finalize/%d", &n):
		a.finalize(w, n, payload)
	case scan(r.URL.Path, "/cert/%d", &n):
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.orders[n-1].cert)
	default:
		a.say(w, 404, map[string]any{"type": "urn:ietf:params:acme:error:malformed", "detail": r.URL.Path})
	}
}

func scan(path, format string, n *int) bool {
	_, err := fmt.Sscanf(path, format, n)
	return err == nil
}

func (a *authority) say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func token(n int) string { return fmt.Sprintf("token-%d", n) }

func (a *authority) isProven(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proven[a.orders[n-1].name]
}

func (a *authority) sayOrder(w http.ResponseWriter, status, n int) {
	o := a.orders[n-1]
	state := "pending"
	if a.isProven(n) {
		state = "ready"
	}
	answer := map[string]any{
		"identifiers":    []any{map[string]string{"type": "dns", "value": o.name}},
		"authorizations": []string{fmt.Sprintf("%s/authz/%d", a.http.URL, n)}, "finalize": fmt.Sprintf("%s/finalize/%d", a.http.URL, n),
	}
	if o.cert != nil {
		state = "valid"
		answer["certificate"] = fmt.Sprintf("%s/cert/%d", a.http.URL, n)
	}
	answer["status"] = state
	w.Header().Set("Location", fmt.Sprintf("%s/order/%d", a.http.URL, n))
	a.say(w, status, answer)
}

func (a *authority) challengeOf(n int) map[string]any {
	state := "pending"
	if a.isProven(n) {
		state = "valid"
	}
	return map[string]any{"type": a.challenge, "url": fmt.Sprintf("%s/challenge/%d", a.http.URL, n), "token": token(n), "status": state}
}

func (a *authority) sayAuthz(w http.ResponseWriter, n int) {
	c := a.challengeOf(n)
	a.say(w, 200, map[string]any{"status": c["status"], "identifier": map[string]string{"type": "dns", "value": a.orders[n-1].name}, "challenges": []any{c}})
}

// verify checks the request as RFC 8555 wants it, and returns what it says.
func (a *authority) verify(r *http.Request) ([]byte, error) {
	var jws struct{ Protected, Payload, Signature string }
	if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
		return nil, err
	}
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  struct{ X, Y string }
	}
	protected, err := base64.RawURLEncoding.DecodeString(jws.Protected)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(protected, &head); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.nonces[head.Nonce] {
		return nil, fmt.Errorf("nonce %q was used or never given", head.Nonce)
	}
	delete(a.nonces, head.Nonce)
	if head.URL != a.http.URL+r.URL.Path || head.Alg != "ES256" {
		return nil, fmt.Errorf("signed for %s with %s", head.URL, head.Alg)
	}
	if r.URL.Path == "/account" {
		x, _ := base64.RawURLEncoding.DecodeString(head.JWK.X)
		y, _ := base64.RawURLEncoding.DecodeString(head.JWK.Y)
		if a.account, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return nil, err
		}
	} else if a.account == nil || !strings.HasSuffix(head.Kid, "/account/1") {
		return nil, fmt.Errorf("no account: %q", head.Kid)
	}
	signature, err := base64.RawURLEncoding.DecodeString(jws.Signature)
	if err != nil || len(signature) != 64 {
		return nil, fmt.Errorf("a signature of %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
	if !ecdsa.Verify(a.account, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, fmt.Errorf("a wrong signature")
	}
	return base64.RawURLEncoding.DecodeString(jws.Payload)
}

// prove looks under the name for what only the account's owner can put there.
func (a *authority) prove(name string, n int) error {
	thumb, err := acme.JWKThumbprint(a.account)
	if err != nil {
		return err
	}
	want := token(n) + "." + thumb
	if a.challenge == "http-01" {
		req, err := http.NewRequestWithContext(a.t.Context(), "GET", "http://"+a.httpAddr+"/.well-known/acme-challenge/"+token(n), nil)
		if err != nil {
			return err
		}
		req.Host = name
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != want {
			return fmt.Errorf("%s %q, %v", res.Status, b, err)
		}
	} else if err := a.proveTLS(name, want); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proven[name] = true
	return nil
}

func (a *authority) proveTLS(name, want string) error {
	d := tls.Dialer{Config: &tls.Config{ServerName: name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true}} // the proof is in an extension
	conn, err := d.DialContext(context.WithoutCancel(a.t.Context()), "tcp", a.tlsAddr)
	if err != nil {
		return err
	}
	defer conn.Close()
	digest := sha256.Sum256([]byte(want))
	proof, err := asn1.Marshal(digest[:])
	if err != nil {
		return err
	}
	state := conn.(*tls.Conn).ConnectionState()
	for _, e := range state.PeerCertificates[0].Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.31" && bytes.Equal(e.Value, proof) && state.NegotiatedProtocol == acme.ALPNProto {
			return nil
		}
	}
	return fmt.Errorf("the certificate holds no proof")
}

func (a *authority) finalize(w http.ResponseWriter, n int, payload []byte) {
	var asked struct{ CSR string }
	_ = json.Unmarshal(payload, &asked)
	der, err := base64.RawURLEncoding.DecodeString(asked.CSR)
	if err != nil {
		a.t.Error(err)
		return
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil || !a.isProven(n) {
		a.t.Errorf("a request that must be refused: %v", err)
		return
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(int64(n) + 1), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.root, csr.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.mu.Lock()
	a.orders[n-1].cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	a.mu.Unlock()
	a.sayOrder(w, 200, n)
}
