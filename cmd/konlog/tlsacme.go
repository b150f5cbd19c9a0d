package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	acmeFolder     = "acme"           // in the data directory: account, certificates and their keys
	acmeRetry      = 15 * time.Minute // after a refusal: authorities count failures, and few are let pass
	acmeTimeout    = time.Minute      // of one request to the authority
	acmeWaitersMax = 100              // handshakes that wait for a first certificate; one can take minutes
)

// acmeCerts are certificates that an authority gives to whoever answers under
// the names (RFC 8555), and renews.
type acmeCerts struct {
	manager *autocert.Manager
	hosts   []string
	logger  *slog.Logger
	waiters chan struct{} // a place for each handshake without a certificate yet

	mu   sync.Mutex           // guards ends
	ends map[string]time.Time // by host, of those that have a certificate
}

// errBusyCert is what a handshake over acmeWaitersMax is told.
var errBusyCert = errors.New("the first certificate is still being obtained")

func openACME(c config, hosts []string, logger *slog.Logger) (*acmeCerts, error) {
	for _, host := range hosts {
		if !strings.Contains(strings.Trim(host, "."), ".") || strings.ContainsAny(host, "*/: ") {
			return nil, usagef("setting tls.acme-hosts: %q is no name that a certificate can be had for", host).because("list full names, as in konlog.example.org, without port and without *")
		}
	}
	directory := c.text("tls.acme-directory")
	if u, err := url.Parse(directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, usagef("setting tls.acme-directory: %q is no https URL", directory).because("leave it at %s, or name your own authority's directory", autocert.DefaultACMEDirectory)
	}
	client, err := acmeHTTP(c.text("tls.acme-ca"))
	if err != nil {
		return nil, err
	}
	return &acmeCerts{
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS, // docs/DEPLOYMENT.md says that the setting means that
			Cache:      autocert.DirCache(filepath.Join(c.text("data"), acmeFolder)),
			HostPolicy: autocert.HostWhitelist(hosts...),
			Email:      c.text("tls.acme-email"),
			Client:     &acme.Client{DirectoryURL: directory, HTTPClient: client, UserAgent: "konlog/" + thisBuild().Version},
		},
		hosts: hosts, logger: logger, waiters: make(chan struct{}, acmeWaitersMax), ends: map[string]time.Time{},
	}, nil
}

// acmeHTTP is what the authority is talked to with. roots is "", or a file
// with the certificate of a private authority.
func acmeHTTP(roots string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if roots != "" {
		pem, err := readBounded(roots, pemBytesMax)
		if err != nil {
			return nil, usagef("setting tls.acme-ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, usagef("setting tls.acme-ca: %s holds no certificate", roots).because("name a file in PEM")
		}
		transport.TLSClientConfig = baseTLS()
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: transport, Timeout: acmeTimeout}, nil
}

func (a *acmeCerts) config() *tls.Config {
	c := baseTLS()
	c.GetCertificate = a.certificate
	c.NextProtos = []string{"h2", "http/1.1", acme.ALPNProto}
	return c
}

// certificate is what a client is shown. Who names no host, as programs that
// look whether the server is there, gets the first one's.
func (a *acmeCerts) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) { // the authority itself: it must not wait for its own answer
		return a.manager.GetCertificate(hello)
	}
	asked := *hello
	asked.ServerName = strings.ToLower(strings.TrimSuffix(cmp.Or(hello.ServerName, a.hosts[0]), "."))
	if !a.has(asked.ServerName) {
		select {
		case a.waiters <- struct{}{}:
			defer func() { <-a.waiters }()
		default:
			return nil, errBusyCert
		}
	}
	cert, err := a.manager.GetCertificate(&asked)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends[asked.ServerName] = cert.Leaf.NotAfter // only the listed names come here
	return cert, nil
}

func (a *acmeCerts) has(host string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.ends[host]
	return ok
}

// end is of the names for which there is a certificate.
func (a *acmeCerts) end() (first time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, end := range a.ends {
		if !ok || end.Before(first) {
			first, ok = end, true
		}
	}
	return first, ok
}

func (a *acmeCerts) names(host string) bool {
	return slices.ContainsFunc(a.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// keep obtains what is missing before anybody comes for it. Renewal is the
// manager's, 30 days before the end.
func (a *acmeCerts) keep(ctx context.Context) {
	for {
		wait := certTellEvery
		for _, host := range a.hosts {
			if ctx.Err() != nil {
				return
			}
			if err := a.obtain(ctx, host); err != nil {
				wait = acmeRetry
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// obtain returns when there is an answer or ctx ends; the manager, which knows
// no context, may then still wait for its own.
func (a *acmeCerts) obtain(ctx context.Context, host string) error {
	type answer struct {
		cert *tls.Certificate
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		cert, err := a.certificate(&tls.ClientHelloInfo{
			ServerName: host, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, // as those say that want a short key
		})
		got <- answer{cert, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case it := <-got:
		if it.err != nil {
			a.logger.Error("no certificate was obtained; the name must lead here, on port 443 or with tls.redirect-addr on port 80", "host", host, "again", acmeRetry, "err", it.err)
			return it.err
		}
		tellEnd(a.logger, host, it.cert.Leaf.NotAfter, time.Now())
		return nil
	}
}

func (a *acmeCerts) challenges(next http.Handler) http.Handler { return a.manager.HTTPHandler(next) }
