package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Times of certificates.
const (
	certLookEvery = 5 * time.Second     // how often files are looked at for a change
	certTellEvery = 12 * time.Hour      // how often an end that is near is told of
	certSoon      = 14 * 24 * time.Hour // what is near: a renewal that works is done long before
)

// certificates are what the server shows to those who come over TLS.
type certificates interface {
	config() *tls.Config
	// end is when the first of the certificates ends; not ok before there is one.
	end() (end time.Time, ok bool)
	// names reports whether the server is meant by the host.
	names(host string) bool
	// keep keeps them in force until ctx ends.
	keep(ctx context.Context)
	// challenges answers a certificate authority over plain HTTP, and leaves
	// everything else to next.
	challenges(next http.Handler) http.Handler
}

// openCertificates returns those that the settings ask for, nil for none.
func openCertificates(c config, logger *slog.Logger) (certificates, error) {
	cert, key, hosts := c.text("tls.cert"), c.text("tls.key"), c.list("tls.acme-hosts")
	files := cert != "" || key != ""
	switch {
	case files && len(hosts) > 0:
		return nil, usagef("tls.cert and tls.key are set, and tls.acme-hosts too").because("certificates come from files or by ACME: set one of the two")
	case files && (cert == "" || key == ""):
		return nil, usagef("of tls.cert and tls.key only one is set").because("name the file of the certificate with its chain and that of its key, both in PEM")
	case files:
		return openCertFiles(cert, key, logger)
	case len(hosts) > 0:
		return openACME(c, hosts, logger)
	}
	for _, key := range []string{"tls.redirect-addr", "tls.acme-email", "tls.acme-ca"} {
		if c.text(key) != "" {
			return nil, usagef("setting %s needs certificates", key).because("set tls.cert and tls.key, or tls.acme-hosts")
		}
	}
	if c.duration("tls.hsts") > 0 && len(c.list("http.trusted-proxies")) == 0 {
		return nil, usagef("setting tls.hsts has no effect without TLS").because("set tls.cert and tls.key, or tls.acme-hosts; or http.trusted-proxies, when a proxy speaks TLS")
	}
	return nil, nil
}

// baseTLS is what every configuration begins with. Suites are Go's, in Go's
// order: a list of our own would only grow old.
func baseTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }

// tellEnd warns of an end that is near.
func tellEnd(logger *slog.Logger, name string, end, now time.Time) {
	switch left := end.Sub(now); {
	case left <= 0:
		logger.Error("the certificate has ended; clients refuse to connect", "certificate", name, "end", end)
	case left < certSoon:
		logger.Warn("the certificate ends soon; renew it", "certificate", name, "end", end, "days", int(left.Hours()/24))
	}
}
