package shell

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killSession ends what the program has left behind in groups of its own, such
// as a shell's jobs that do not hear SIGHUP: all that has its session still.
func killSession(leader int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range stats {
		content, err := os.ReadFile(name)
		if err != nil {
			continue // it is gone
		}
		// The name in parentheses may hold anything; then come state, parent,
		// group and session, proc_pid_stat(5).
		fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
		if len(fields) < 4 || string(fields[3]) != strconv.Itoa(leader) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
