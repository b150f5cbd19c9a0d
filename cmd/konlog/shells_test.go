package main

import (
	"slices"
	"testing"
)

// What is the server's alone is not for those who may use its terminals.
func TestShellEnvironment(t *testing.T) {
	got := shellEnv([]string{"PATH=/bin", "KONLOG_TOKEN=secret", "KONLOG_JWT_SECRET=secret", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "HOME=/home/x"})
	if want := []string{"PATH=/bin", "HOME=/home/x"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
