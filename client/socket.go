package client

import (
	"context"
	"net"
	"strings"
)

// socketPrefix begins the address of a server that listens on a Unix socket.
const socketPrefix = "unix:"

// overSocket returns what stands for such an address in URLs, and how to
// connect; other addresses come back as they are, without.
func overSocket(rawURL string) (url string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	path, ok := strings.CutPrefix(rawURL, socketPrefix)
	if !ok {
		return rawURL, nil
	}
	return "http://localhost", func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: headerTimeout}
		return d.DialContext(ctx, "unix", path)
	}
}
