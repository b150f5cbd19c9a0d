package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/konlog/konlog/api"
)

// edge is what stands between the network and the API: where the server
// listens, what it shows over TLS, and whose word it takes for a client's.
type edge struct {
	listener net.Listener
	certs    certificates // nil: no TLS
	redirect *redirector  // or nil
	trusted  []netip.Prefix
	header   string // of trusted proxies
	loops    sync.WaitGroup
}

// openEdge listens, and serves nobody yet.
func openEdge(ctx context.Context, c config, logger *slog.Logger) (e *edge, err error) {
	e = &edge{}
	if e.trusted, err = trustedProxies(c); err != nil {
		return nil, err
	}
	if e.header, err = proxyHeader(c); err != nil {
		return nil, err
	}
	if e.certs, err = openCertificates(c, logger); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(c.text("addr"), socketPrefix); ok {
		e.listener, err = listenSocket(path, c.text("http.socket-mode"))
	} else {
		e.listener, err = listen(ctx, c.text("addr"), asksForCredentials(c))
	}
	if err != nil {
		return nil, err
	}
	if e.certs != nil {
		if e.redirect, err = openRedirector(ctx, c.text("tls.redirect-addr"), portOf(e.listener), e.certs, c.list("http.hosts"), logger); err != nil {
			_ = e.listener.Close() // the error that matters is the other
			return nil, err
		}
	}
	return e, nil
}

// url is where the server is.
func (e *edge) url() string { return listenURL(e.listener, e.certs != nil) }

// abandon gives the addresses back when the server does not start.
func (e *edge) abandon() {
	_ = e.listener.Close() // the error that matters is why
	if e.redirect != nil {
		_ = e.redirect.listener.Close()
	}
}

// configure tells the API what it must know of it.
func (e *edge) configure(c config, ac *api.Config) {
	ac.TrustedProxies, ac.ProxyHeader = e.trusted, e.header
	ac.HSTS = c.duration("tls.hsts")
	if e.certs != nil {
		ac.Certificate = e.certs.end
	}
}

// serve runs until h is shut down, which closes the listener; the certificates
// are kept in force until ctx ends. close waits for what it began.
func (e *edge) serve(ctx context.Context, h *http.Server, failed chan<- error) error {
	if e.certs == nil {
		return h.Serve(e.listener)
	}
	e.loops.Go(func() { e.certs.keep(ctx) })
	if e.redirect != nil {
		e.loops.Go(func() {
			if err := e.redirect.serve(); err != nil {
				select {
				case failed <- fmt.Errorf("tls.redirect-addr: %w", err):
				default: // the server ends already
				}
			}
		})
	}
	h.TLSConfig = e.certs.config()
	return h.ServeTLS(e.listener, "", "")
}

// close returns when everything has ended. The context of serve has, too.
func (e *edge) close() {
	e.redirect.close()
	e.loops.Wait()
}
