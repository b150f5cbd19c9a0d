package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHiddenProcess asks the kernel: what runs as the same user may not look
// into the process, and what that starts may be looked into again.
func TestHiddenProcess(t *testing.T) {
	if os.Getenv("KONLOG_TEST_HIDDEN") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHiddenProcess$", "-test.v")
		cmd.Env = append(os.Environ(), "KONLOG_TEST_HIDDEN=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	hideProcess()
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable %d, %v", dumpable, err)
	}
	if out, err := exec.Command("sh", "-c", "grep -c . /proc/self/status").Output(); err != nil || len(out) == 0 {
		t.Errorf("a child cannot look at itself: %v", err)
	}
}
