package run

import (
	"bytes"
	"crypto/rand"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func newMark() string { return markName + "=" + rand.Text() }

// awaitExit waits until the leader has exited, and does not reap it.
func (g *processGroup) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, g.leader.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != syscall.EINTR {
			return
		}
	}
}

const (
	markedRounds = 100 // looks for processes that are still started while others are killed
	markedWait   = time.Second
)

// killMarked kills the processes with that mark in their environment, until
// there are none.
func killMarked(mark string) {
	over := time.Now().Add(markedWait)
	for range markedRounds {
		found := false
		for _, pid := range processes() {
			if killIfMarked(pid, mark) {
				found = true
			}
		}
		if !found || time.Now().After(over) {
			return
		}
	}
}

// killIfMarked takes hold of the process before it looks at it, so that another
// that gets its number is not killed instead.
func killIfMarked(pid int, mark string) bool {
	if !marked(pid, mark) {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	return marked(pid, mark) && p.Signal(syscall.SIGKILL) == nil
}

// marked reports whether the process has the mark. The dead have no environment.
func marked(pid int, mark string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(env, []byte(mark)) && strings.Contains("\x00"+string(env)+"\x00", "\x00"+mark+"\x00")
}

// pipeBytesDefault is what a pipe holds when nobody changed it.
const pipeBytesDefault = 64 << 10

// pipeBytes is how much a pipe holds.
func pipeBytes(f *os.File) int {
	n := 0
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { n, _ = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0) })
	}
	return max(n, pipeBytesDefault)
}
