package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// lockedLog is what a server logged, while it runs.
type lockedLog struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// writePair writes a certificate for the names and its key.
func writePair(t *testing.T, cert, key string, end time.Time, names ...string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	spec := &x509.Certificate{
		SerialNumber: serial, DNSNames: names, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if path != "" {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// edgeServer starts a server with the settings, given as variables without KONLOG_.
func edgeServer(t *testing.T, logger *slog.Logger, settings map[string]string) *server {
	t.Helper()
	c := edgeConfig(t, settings)
	s, err := startServer(t.Context(), c, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func edgeConfig(t *testing.T, settings map[string]string) config {
	t.Helper()
	env := map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_DRAIN_SPREAD": "0s"}
	for name, v := range settings {
		env["KONLOG_"+name] = v
	}
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(env), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCertificateFiles: a changed pair is taken without a restart, a broken one
// is told of once and changes nothing, and an end that is near is told.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, time.Now().Add(90*24*time.Hour), "one.example")
	log := new(lockedLog)
	f, err := openCertFiles(cert, key, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		t.Helper()
		c, err := f.config().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.DNSNames[0]
	}
	told := func(n int, what string) {
		t.Helper()
		if got := strings.Count(log.String(), what); got != n {
			t.Errorf("%q was told %d times, want %d:\n%s", what, got, n, log.String())
		}
	}
	if f.config().MinVersion != tls.VersionTLS12 || shown() != "one.example" || !f.names("one.example") || f.names("two.example") {
		t.Error("the first pair is not as it should be")
	}
	f.look(time.Now())
	told(0, "level")

	writePair(t, cert, "", time.Now().Add(90*24*time.Hour), "two.example") // the key is still the old one
	f.look(time.Now())
	f.look(time.Now())
	told(1, "the one before goes on")
	if shown() != "one.example" {
		t.Error("a broken pair was taken")
	}
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	f.look(time.Now())
	f.look(time.Now())
	told(1, "the one read before goes on")

	end := time.Now().Add(13 * 24 * time.Hour)
	writePair(t, cert, key, end, "three.example")
	f.look(time.Now())
	told(1, "was taken")
	told(1, "ends soon")
	if got, ok := f.end(); !ok || got.Sub(end).Abs() > time.Second || shown() != "three.example" {
		t.Errorf("%s until %v", shown(), got)
	}
	f.tell(end.Add(time.Second))
	told(1, "has ended")
	f.tell(end.Add(-certSoon - time.Hour))
	told(1, "ends soon")
}

func TestTLSSettingsRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key, other := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	writePair(t, cert, key, time.Now().Add(time.Hour), "one.example")
	writePair(t, other, "", time.Now().Add(time.Hour), "one.example")
	for want, settings := range map[string]map[string]string{
		"only one is set":    {"TLS_CERT": cert},
		"no such file":       {"TLS_CERT": cert, "TLS_KEY": filepath.Join(dir, "none")},
		"does not match":     {"TLS_CERT": other, "TLS_KEY": key},
		"tls.acme-hosts too": {"TLS_CERT": cert, "TLS_KEY": key, "TLS_ACME_HOSTS": "one.example"},
		"no name that":       {"TLS_ACME_HOSTS": "*.example.org"},
		`"localhost"`:        {"TLS_ACME_HOSTS": "localhost"},
		"no https URL":       {"TLS_ACME_HOSTS": "one.example", "TLS_ACME_DIRECTORY": "http://authority"},
		"holds no":           {"TLS_ACME_HOSTS": "one.example", "TLS_ACME_CA": key},
		"needs certificates": {"TLS_REDIRECT_ADDR": "127.0.0.1:0"},
		"without TLS":        {"TLS_HSTS": "1h"},
		"is no network":      {"HTTP_TRUSTED_PROXIES": "proxy.example"},
		"is everybody":       {"HTTP_TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"},
		"is not known":       {"HTTP_PROXY_HEADER": "X-Real-IP"},
		"names no file":      {"ADDR": "unix:"},
		"no mode":            {"ADDR": "unix:" + filepath.Join(dir, "s"), "HTTP_SOCKET_MODE": "rw"},
		"no socket":          {"ADDR": "unix:" + cert},
	} {
		e, err := openEdge(t.Context(), edgeConfig(t, settings), slog.New(slog.DiscardHandler))
		if err == nil {
			e.abandon()
			t.Errorf("%v was taken", settings)
			continue
		}
		if f, ok := err.(*failure); !ok || !strings.Contains(err.Error(), want) || f.hint == "" {
			t.Errorf("%v: %v", settings, err)
		}
	}
}

// over is an HTTP client that speaks TLS to the address, whatever the URL says.
func over(t *testing.T, addr string, roots *x509.CertPool) *http.Client {
	t.Helper()
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func addrOf(s *server) string { return s.edge.listener.Addr().String() }

func get(t *testing.T, h *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := h.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestServeTLS: the server speaks HTTP/2 over its certificate, says when that
// ends, and tells browsers to come back over TLS only when it is told to.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, time.Now().Add(20*24*time.Hour), "konlog.test")
	s := edgeServer(t, slog.New(slog.DiscardHandler), map[string]string{
		"TLS_CERT": cert, "TLS_KEY": key, "TLS_HSTS": "1d", "TLS_REDIRECT_ADDR": "127.0.0.1:0", "HTTP_HOSTS": "konlog.test,other.test",
	})
	roots := x509.NewCertPool()
	b, err := os.ReadFile(cert)
	if err != nil || !roots.AppendCertsFromPEM(b) {
		t.Fatal(err)
	}
	h := over(t, addrOf(s), roots)
	res, _ := get(t, h, "https://konlog.test/healthz")
	if res.ProtoMajor != 2 || res.StatusCode != 200 || res.Header.Get("Strict-Transport-Security") != "max-age=86400" {
		t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
	}
	if want := "https://" + addrOf(s); s.url != want {
		t.Errorf("the server says that it is at %s, not %s", s.url, want)
	}
	_, text := get(t, h, "https://konlog.test/metrics")
	if !strings.Contains(text, "\nkonlog_tls_certificate_expiry_seconds 1.72") { // 20 days are 1728000 s
		t.Error("the metrics do not say when the certificate ends")
	}
	old := &tls.Config{RootCAs: roots, ServerName: "konlog.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", addrOf(s), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is taken")
	}
	// Clear text on the port of TLS is told so, and nothing more.
	if res, err := http.Get("http://" + addrOf(s) + "/healthz"); err != nil || res.StatusCode != 400 {
		t.Errorf("%v, %v", res, err)
	}
	checkRedirects(t, s.edge.redirect.listener.Addr().String(), addrOf(s), []string{"konlog.test", "other.test"})
}

// checkRedirects holds that the plain address leads to the server's own names.
func checkRedirects(t *testing.T, plain, secure string, names []string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(secure)
	_, plainPort, _ := net.SplitHostPort(plain)
	h := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, host, target string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+plain+target, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	for _, name := range names {
		for host, want := range map[string]string{name: "https://" + name, name + ":80": "https://" + name, strings.ToUpper(name): "https://" + strings.ToUpper(name), name + ":" + plainPort: "https://" + name + ":" + port} {
			res := ask("GET", host, "/v1/sessions?x=1%20&y")
			if got := res.Header.Get("Location"); res.StatusCode != 302 || got != want+"/v1/sessions?x=1%20&y" {
				t.Errorf("%s: %s to %q, want %s", host, res.Status, got, want)
			}
			if res.Header.Get("Strict-Transport-Security") != "" {
				t.Errorf("%s: HSTS over plain HTTP", host)
			}
		}
		if res := ask("POST", name, "/v1/sessions/s1/events"); res.StatusCode != 403 || res.Header.Get("Location") != "" {
			t.Errorf("a POST in the clear: %s to %q", res.Status, res.Header.Get("Location"))
		}
	}
	for _, host := range []string{"evil.example", names[0] + ".evil.example", "127.0.0.1", plain, "evil.example:80", names[0] + "@evil.example"} {
		if res := ask("GET", host, "/"); res.StatusCode/100 != 4 || res.Header.Get("Location") != "" {
			t.Errorf("%s: %s to %q", host, res.Status, res.Header.Get("Location"))
		}
	}
	if res := ask("GET", names[0], "//evil.example/"); res.Header.Get("Location") != "https://"+names[0]+"//evil.example/" {
		t.Errorf("a path with two slashes leads to %q", res.Header.Get("Location"))
	}
}

// TestServeReload: a running server takes a new certificate by itself.
func TestServeReload(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, time.Now().Add(20*24*time.Hour), "one.test")
	s := edgeServer(t, slog.New(slog.DiscardHandler), map[string]string{"TLS_CERT": cert, "TLS_KEY": key})
	writePair(t, cert, key, time.Now().Add(40*24*time.Hour), "two.test")
	deadline := time.NewTimer(12 * certLookEvery)
	defer deadline.Stop()
	for {
		conn, err := tls.Dial("tcp", addrOf(s), &tls.Config{InsecureSkipVerify: true}) // only looked at
		if err != nil {
			t.Fatal(err)
		}
		name := conn.ConnectionState().PeerCertificates[0].DNSNames[0]
		_ = conn.Close()
		if name == "two.test" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s is still shown", name)
		case <-time.After(certLookEvery / 20): // files change without telling anybody
		}
	}
}

// TestACME: certificates are obtained under both kinds of proof before anybody
// asks, kept over a restart, and for no other names.
func TestACME(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, challenge)
			dir := t.TempDir()
			roots := filepath.Join(dir, "ca.pem")
			if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.http.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{
				"TLS_ACME_HOSTS": "konlog.test,two.konlog.test", "TLS_ACME_EMAIL": "admin@konlog.test", "TLS_ACME_DIRECTORY": a.http.URL + "/dir", "TLS_ACME_CA": roots,
				"DATA": filepath.Join(dir, "data"), "HTTP_HOSTS": "konlog.test,two.konlog.test", "ADDR": freeAddr(t), "TLS_REDIRECT_ADDR": freeAddr(t),
			}
			a.tlsAddr, a.httpAddr = settings["ADDR"], settings["TLS_REDIRECT_ADDR"]
			log := new(lockedLog)
			s, err := startServer(t.Context(), edgeConfig(t, settings), slog.New(slog.NewTextHandler(log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			h := over(t, a.tlsAddr, a.roots())
			for _, name := range []string{"konlog.test", "two.konlog.test", "KONLOG.test"} {
				if res, _ := get(t, h, "https://"+name+"/healthz"); res.StatusCode != 200 || res.ProtoMajor != 2 {
					t.Errorf("%s: %s %s\n%s", name, res.Proto, res.Status, log)
				}
			}
			if n := a.issued(); n != 2 {
				t.Errorf("%d certificates were issued for two names", n)
			}
			if len(a.contact) != 1 || a.contact[0] != "mailto:admin@konlog.test" {
				t.Errorf("contact %v", a.contact)
			}
			if _, text := get(t, h, "https://konlog.test/metrics"); !strings.Contains(text, "\nkonlog_tls_certificate_expiry_seconds 7.77") { // 90 days are 7776000 s
				t.Error("the metrics do not say when the certificate ends")
			}
			if conn, err := tls.Dial("tcp", a.tlsAddr, &tls.Config{ServerName: "evil.test", InsecureSkipVerify: true}); err == nil {
				_ = conn.Close()
				t.Error("a foreign name has a certificate")
			}
			nameless, err := tls.Dial("tcp", a.tlsAddr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatalf("who names no host is not answered: %v", err)
			}
			_ = nameless.Close()
			checkRedirects(t, a.httpAddr, a.tlsAddr, []string{"konlog.test", "two.konlog.test"})
			checkPrivate(t, filepath.Join(settings["DATA"], acmeFolder))
			if err := s.stop(context.Background()); err != nil {
				t.Fatal(err)
			}

			// The next start has them already.
			edgeServer(t, slog.New(slog.DiscardHandler), settings)
			get(t, over(t, a.tlsAddr, a.roots()), "https://konlog.test/healthz")
			if n := len(a.orders); n != 2 {
				t.Errorf("%d orders after a restart, want 2", n)
			}
		})
	}
}

// TestACMEWaiters: handshakes that wait for a first certificate are bounded.
func TestACMEWaiters(t *testing.T) {
	a, err := openACME(edgeConfig(t, map[string]string{"TLS_ACME_HOSTS": "konlog.test"}), []string{"konlog.test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range acmeWaitersMax {
		a.waiters <- struct{}{}
	}
	if _, err := a.certificate(&tls.ClientHelloInfo{ServerName: "konlog.test"}); err != errBusyCert {
		t.Errorf("one more waits: %v", err)
	}
}

// checkPrivate holds that nobody else may read what is in the folder.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		n++
		return nil
	})
	if err != nil || n < 4 {
		t.Errorf("%d files of account and certificates, %v", n, err)
	}
}

// freeAddr is an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
