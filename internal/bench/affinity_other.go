//go:build !linux

package bench

import (
	"errors"
	"os"
	"os/exec"
)

// cores are the two CPU cores of a measurement.
type cores struct {
	server, load int
	shared       bool // what is started may use both
}

func pinSelf() (cores, error) {
	return cores{}, errors.New("pinning to a CPU core is possible on Linux only")
}

func startPinned(cmd *exec.Cmd, _ cores) error { return cmd.Start() }

// fdatasync makes the file's content durable.
func fdatasync(f *os.File) error { return f.Sync() }
