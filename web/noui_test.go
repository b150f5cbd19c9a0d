//go:build noui

package web

import "testing"

// TestNoConsole: a build with the tag noui has nothing of the console in it.
func TestNoConsole(t *testing.T) {
	if n := len(Files()); n != 0 {
		t.Errorf("%d files are embedded", n)
	}
}
