package shell

import (
	"os"
	"os/exec"
)

// There are no terminals of this kind on Windows: nothing is ever started.
func hangUpGroup(int) {}

func killGroup(int) {}

func pollable(f *os.File) (*os.File, error) { return f, nil }

func setSize(*os.File, int, int) error { return nil }

func signalOf(*exec.ExitError) string { return "" }
