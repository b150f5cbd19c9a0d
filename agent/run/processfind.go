package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// lastOfEach keeps the last value of each variable: programs do not agree on
// which of several counts.
func lastOfEach(env []string) []string {
	last := map[string]int{}
	for i, e := range env {
		last[envName(e)] = i
	}
	kept := make([]string, 0, len(last))
	for i, e := range env {
		if last[envName(e)] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

func envName(entry string) string {
	name, _, _ := strings.Cut(entry, "=")
	return name
}

// findProgram finds the file of a program as the process would: in the PATH of
// its environment, which need not be ours.
func findProgram(name, dir string, env []string) (string, error) {
	if runtime.GOOS == "windows" {
		return exec.LookPath(name)
	}
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		file, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		return file, runnable(file)
	}
	var found error
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, folder := range filepath.SplitList(path) {
			if !filepath.IsAbs(folder) {
				continue // what lies in the directory of the work is not to stand for a program
			}
			file := filepath.Join(folder, name)
			err := runnable(file)
			if err == nil {
				return file, nil
			}
			if _, there := os.Stat(file); there == nil && found == nil {
				found = err
			}
		}
	}
	if found != nil {
		return "", found
	}
	return "", errors.New("no such program in PATH: install it, or give its full path")
}

// runnable says why a file cannot be run, as far as its directory knows.
func runnable(file string) error {
	at, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no %s: install it, or correct the path", file)
	case err != nil:
		return err
	case at.IsDir():
		return fmt.Errorf("%s is a directory: name the program in it", file)
	case at.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable: chmod +x it", file)
	}
	return nil
}
