package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

const (
	publicHost = "konlog.example.org"
	proxyAddr  = "127.0.0.1" // where proxies come from, which is trusted; clients come from elsewhere in 127.0.0.0/8
	clientAddr = "127.0.0.5"
	drainMax   = 5 * time.Second
)

// rig is the real server over the real engine, in this process, and its own
// certificate for the proxies.
type rig struct {
	log     *sqlite.Log
	hub     *stream.Hub
	cfg     api.Config
	addr    string
	direct  *client.Client // past every proxy
	clients *clientLog
	dir     string
	roots   *x509.CertPool

	api    *api.Server
	http   *http.Server
	served chan struct{}
}

func newRig(t *testing.T, cfg api.Config) *rig {
	t.Helper()
	r := &rig{hub: stream.NewHub(), cfg: cfg, clients: &clientLog{of: map[string]string{}}, dir: t.TempDir()}
	var err error
	if r.log, err = sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Committed: r.hub.Committed}); err != nil {
		t.Fatal(err)
	}
	r.cfg.AllowedHosts = []string{publicHost}
	r.cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxyAddr + "/32")}
	r.cfg.Logger = slog.New(r.clients)
	r.writeCertificate(t)
	r.start(t, "127.0.0.1:0")
	if r.direct, err = client.New("http://" + r.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		_ = r.direct.Close()
		if err := r.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) start(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.api = api.New(r.log, r.hub, r.cfg)
	r.http = &http.Server{Handler: r.api.Handler()}
	r.api.ConfigureHTTP(r.http)
	served, h := make(chan struct{}), r.http
	r.served = served
	go func() {
		defer close(served)
		_ = h.Serve(l) // ErrServerClosed
	}()
}

// stop is what the program does when it is told to end.
func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), drainMax)
	defer cancel()
	ended := make(chan struct{})
	go func() { _ = r.http.Shutdown(ctx); close(ended) }()
	r.api.Drain(ctx, 0)
	<-ended
	_ = r.http.Close()
	<-r.served
}

// restart drains the server and brings it back under the same address.
func (r *rig) restart(t *testing.T) {
	t.Helper()
	r.stop()
	r.start(t, r.addr)
}

// append stores one event and returns its id.
func (r *rig) append(t *testing.T, session, text string) int64 {
	t.Helper()
	a, err := r.direct.Append(t.Context(), session, client.AppendOptions{}, store.Draft{Type: "text", Data: []byte(`{"text":"` + text + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return a.Last
}

// writeCertificate makes proxy.pem, proxy.key and both.pem in the rig's folder.
func (r *rig) writeCertificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: publicHost}, DNSNames: []string{publicHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, b := range map[string][]byte{"proxy.pem": cert, "proxy.key": private, "both.pem": append(append([]byte{}, cert...), private...)} {
		if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(cert)
}

// browser is an HTTP client as one that comes from the address from over the
// proxy at addr: it speaks TLS to the public name, and HTTP/2 where it can.
func (r *rig) browser(t *testing.T, addr, from string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tr := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) },
		TLSClientConfig:   &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// clientLog is a handler of logs that keeps which address each refused path
// came from.
type clientLog struct {
	mu sync.Mutex // guards of
	of map[string]string
}

func (l *clientLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *clientLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *clientLog) WithGroup(string) slog.Handler            { return l }

func (l *clientLog) Handle(_ context.Context, r slog.Record) error {
	values := map[string]string{}
	r.Attrs(func(a slog.Attr) bool { values[a.Key] = a.Value.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	if values["path"] != "" && values["client"] != "" {
		l.of[values["path"]] = values["client"]
	}
	return nil
}

// from is the address that the request for the path was taken to come from.
func (l *clientLog) from(path string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[path]
}

// plain is an HTTP client that comes from the address, without a proxy.
func (r *rig) plain(t *testing.T, from string) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}
