//go:build unix && !linux

package run

import (
	"os"
	"syscall"
)

// newMark returns none: environments of other processes cannot be read here.
func newMark() string { return "" }

func killMarked(string) {}

// awaitExit reaps the leader, because there is no other way to learn of its
// exit. The rest of its group is killed at once: later its number may mean
// another. With a guard it lives on for drainWait.
func (g *processGroup) awaitExit() {
	g.reap()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		_ = syscall.Kill(-g.leader.Pid, syscall.SIGKILL)
		g.ended = true
	}
}

// pipeBytes is how much a pipe holds at most on these systems.
func pipeBytes(*os.File) int { return 64 << 10 }
