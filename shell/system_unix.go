//go:build !windows

package shell

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangUpGroup and killGroup signal the program and all that is in its group. A
// shell's jobs have groups of their own: they get SIGHUP from it, or with the
// terminal.
func hangUpGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGHUP) }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// pollable is the same file for reads that its Close ends: the library leaves
// it in blocking mode.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// setSize tells the program how large its screen is.
func setSize(f *os.File, cols, rows int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	size := unix.Winsize{Col: uint16(cols), Row: uint16(rows)}
	ctlErr := conn.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) })
	if ctlErr != nil {
		return ctlErr
	}
	return err
}

// signalOf names the signal that ended a program, or "".
func signalOf(err *exec.ExitError) string {
	if status, ok := err.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
