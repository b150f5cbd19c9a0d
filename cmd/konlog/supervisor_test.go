package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestServerTellsItsSupervisor is the protocol of sd_notify(3), over a socket as
// systemd makes it.
func TestServerTellsItsSupervisor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such sockets")
	}
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	heard := func() string {
		t.Helper()
		_ = socket.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 4096)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	a := &app{env: func(name string) (string, bool) {
		return map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": filepath.Join(path + "-data")}[name], name == "KONLOG_ADDR" || name == "KONLOG_DATA"
	}, stderr: t.Output()}
	cmd := a.serveCommand()
	c, err := a.config(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if ready := heard(); !strings.HasPrefix(ready, "READY=1\n") || !strings.Contains(ready, s.url) {
		t.Errorf("the first word is %q", ready)
	}
	for range 3 {
		if beat := heard(); beat != "WATCHDOG=1" {
			t.Errorf("the watchdog got %q", beat)
		}
	}
	if err := s.stop(t.Context()); err != nil {
		t.Error(err)
	}
	for word := ""; word != "STOPPING=1"; {
		if word = heard(); word != "WATCHDOG=1" && word != "STOPPING=1" {
			t.Fatalf("at the end it said %q", word)
		}
	}
}
