//go:build !linux

package shell

// killSession does nothing where the system does not list its processes: what
// has left the program's group, and does not hear SIGHUP, stays.
func killSession(int) {}
