package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/konlog/konlog/api"
)

// redirectHeaderBytes bounds the header of a request that is only sent away.
const redirectHeaderBytes = 16 << 10

// redirector answers on a plain port: certificate authorities, and everybody
// else with where to go.
type redirector struct {
	http     *http.Server
	listener net.Listener
}

// openRedirector listens on the address; nil when there is none. port is where
// TLS is spoken.
func openRedirector(ctx context.Context, addr, port string, certs certificates, hosts []string, logger *slog.Logger) (*redirector, error) {
	if addr == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, failf("setting tls.redirect-addr: %w", err).because("write it like :80; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
	}
	send := redirect(port, func(host string) bool {
		return certs.names(host) || slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) })
	})
	return &redirector{listener: l, http: &http.Server{
		Handler: certs.challenges(send), MaxHeaderBytes: redirectHeaderBytes, DisableGeneralOptionsHandler: true,
		ReadTimeout: api.HeaderTimeoutDefault, WriteTimeout: api.HeaderTimeoutDefault, IdleTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}}, nil
}

// serve runs until close, and reports why it ended otherwise.
func (r *redirector) serve() error {
	if err := r.http.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close cuts what is left: an answer here is a few bytes.
func (r *redirector) close() {
	if r != nil {
		_ = r.http.Close() // nothing is lost by it
	}
}

// redirect leads to the same path over TLS, on this server's names only: a
// foreign one would make of it a link to anywhere. It is not for ever, which a
// browser would not forget when TLS is switched off again; tls.hsts is.
func redirect(port string, ours func(host string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		host, given, err := net.SplitHostPort(r.Host)
		if err != nil {
			host, given = r.Host, ""
		}
		switch {
		case !ours(host):
			http.Error(w, "This server has another name.", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			// What it carried went over the network in the clear. To lead on
			// would hide that.
			http.Error(w, "Use https.", http.StatusForbidden)
		default:
			// Who named no port came to 80, whatever it is mapped to here, and
			// 443 is then mapped as well.
			if given != "" && given != "80" && port != "443" {
				host = net.JoinHostPort(host, port)
			} else if strings.Contains(host, ":") && host[0] != '[' {
				host = "[" + host + "]"
			}
			http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusFound)
		}
	})
}
