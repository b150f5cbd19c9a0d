package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// socketPrefix begins an address that is a Unix socket.
const socketPrefix = "unix:"

// socket is a listener whose file nobody can open before it has its mode.
type socket struct {
	net.Listener
	path string
	info fs.FileInfo // of the file that is ours
}

// listenSocket makes the file of a Unix socket. Who may write to it may
// connect, and counts as being on this machine. A file that a killed server
// left behind is replaced.
func listenSocket(path, mode string) (net.Listener, error) {
	perm, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || perm > 0o777 {
		return nil, usagef("setting http.socket-mode: %q is no mode of a file", mode).because("write it like 0600, or 0660 for a proxy of the same group")
	}
	if path == "" {
		return nil, usagef("address %s names no file", socketPrefix).because("write it like unix:/run/konlog/konlog.sock")
	}
	if err := vacant(path); err != nil {
		return nil, err
	}
	// Made where nobody else comes, and put in its place when its mode is set.
	room, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, socketFailed(path, err)
	}
	defer os.RemoveAll(room)
	made := filepath.Join(room, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, socketFailed(path, err)
	}
	l.SetUnlinkOnClose(false)
	s := &socket{Listener: l, path: path}
	if err = os.Chmod(made, fs.FileMode(perm)); err == nil {
		if s.info, err = os.Lstat(made); err == nil {
			err = os.Rename(made, path)
		}
	}
	if err != nil {
		_ = l.Close() // the error that matters is the other
		return nil, socketFailed(path, err)
	}
	return s, nil
}

// vacant refuses a path where a server answers, or where something else is.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return socketFailed(path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return usagef("address %s%s: the file is there and no socket", socketPrefix, path).because("name a file that does not exist yet")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close() // nothing was said
		return failf("address %s%s is in use by another program", socketPrefix, path).because("is konlog running already?")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // nobody listens: a server that was killed left it
		return socketFailed(path, err)
	}
	return nil
}

func socketFailed(path string, err error) error {
	return failf("address %s%s: %w", socketPrefix, path, err).because("the directory must exist, this user must be able to write to it, and the path may have about 90 bytes")
}

// Addr is where clients find it.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close removes the file, unless it is another server's by now.
func (s *socket) Close() error {
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
		_ = os.Remove(s.path) // the next start replaces it
	}
	return s.Listener.Close()
}

// listenURL is how people write down where the server is.
func listenURL(l net.Listener, tls bool) string {
	if l.Addr().Network() == "unix" {
		return socketPrefix + l.Addr().String()
	}
	if tls {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// portOf is the port of a listener, "" of a socket.
func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// httpClientOf is what a server is asked with by hand, the URL for it, and how
// people are told of it, without what a URL may hold besides.
func httpClientOf(server string) (h *http.Client, base, name string) {
	path, ok := strings.CutPrefix(server, socketPrefix)
	if !ok {
		if u, err := url.Parse(server); err == nil {
			name = u.Host
		}
		return http.DefaultClient, server, name
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}, "http://localhost", server
}
