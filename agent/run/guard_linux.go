package run

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of all below it that lose theirs,
// so that it finds also what has left the process group.
func adoptOrphans() {
	_ = os.WriteFile("/proc/self/comm", []byte(guardName), 0) // for the eye only
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)   // without it the group is killed all the same
}

// agentAttr lets the agent die with its guard, when both guard and runner are
// killed.
func agentAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func replaceFile(from, to int) error { return unix.Dup3(from, to, 0) }

// children lists the processes whose parent this is.
func children() (pids []int) {
	own := strconv.Itoa(os.Getpid())
	for _, pid := range processes() {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // it is gone
		}
		// pid (name) state parent …, where the name may hold anything
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == own {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processes lists all processes that there are.
func processes() (pids []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
