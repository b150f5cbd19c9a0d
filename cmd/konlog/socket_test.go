package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSocket: the server is reached over a file that only its owner may write
// to, one that a killed server left is replaced, and one in use is not.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "konlog.sock")
	settings := map[string]string{"ADDR": "unix:" + path}
	s := edgeServer(t, slog.New(slog.DiscardHandler), settings)
	if s.url != "unix:"+path {
		t.Errorf("the server says that it is at %s", s.url)
	}
	mode := func() fs.FileMode {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if got := mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("mode %v", got)
	}
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	defer h.CloseIdleConnections()
	for host, want := range map[string]int{"localhost": 200, "evil.example": 421} {
		if res, body := get(t, h, "http://"+host+"/healthz"); res.StatusCode != want {
			t.Errorf("%s: %s %s", host, res.Status, body)
		}
	}
	if _, err := openEdge(t.Context(), edgeConfig(t, settings), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside the socket: %v, %v", left, err)
	}
}

func TestSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "konlog.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	_ = l.Close()
	first, err := listenSocket(path, "0660")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v, %v", info, err)
	}
	// One whose file was replaced leaves the other's alone.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := listenSocket(path, "0600")
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's file: %v", err)
	}
	_ = second.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its own file: %v", err)
	}
	if _, err := listenSocket(filepath.Join(t.TempDir(), "none", "s"), "0600"); err == nil {
		t.Error("a folder that does not exist was taken")
	}
}
