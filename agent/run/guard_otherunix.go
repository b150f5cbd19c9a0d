//go:build unix && !linux

package run

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans does nothing: only Linux gives orphans to another than its first
// process. What leaves the process group of its agent stays.
func adoptOrphans() {}

func agentAttr() *syscall.SysProcAttr { return nil }

func replaceFile(from, to int) error { return unix.Dup2(from, to) }

// children lists none: the agent is killed by its number, the others by their
// group's.
func children() []int { return nil }
