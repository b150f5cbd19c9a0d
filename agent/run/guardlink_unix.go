//go:build unix

package run

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardStartWait bounds the start of a guard and its agent, on a busy machine.
const guardStartWait = 30 * time.Second

// guardReportBytes bounds a line of the guard's.
const guardReportBytes = 64

// startGuarded starts a guard with two more pipes: in one it sees that we live,
// in the other it reports.
func (g *processGroup) startGuarded(spec processSpec, program string, std []*os.File) (pid int, err error) {
	file, err := findProgram(spec.Guard[0], "", spec.Env)
	if err != nil {
		return 0, fmt.Errorf("its guard %s: %w", spec.Guard[0], err)
	}
	lifeRead, life, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	report, reportWrite, err := os.Pipe()
	if err != nil {
		closeAll([]*os.File{lifeRead, life})
		return 0, err
	}
	args := append(append(append([]string{}, spec.Guard...), program, guardArgs), spec.Args...)
	g.leader, err = spawn(file, args, spec, append(append([]*os.File{}, std...), lifeRead, reportWrite))
	closeAll([]*os.File{lifeRead, reportWrite})
	if err != nil {
		closeAll([]*os.File{life, report})
		return 0, fmt.Errorf("its guard: %w", err)
	}
	g.life, g.gone = life, make(chan struct{})
	_ = report.SetReadDeadline(time.Now().Add(guardStartWait))
	r := bufio.NewReaderSize(report, guardReportBytes)
	pid, err = firstReport(r, spec.Guard, program)
	if err != nil {
		_ = report.Close()
		close(g.gone)
		g.end()
		return 0, err
	}
	_ = report.SetReadDeadline(time.Time{})
	go g.heed(report, r)
	return pid, nil
}

// firstReport is the pid of the agent, or why there is none.
func firstReport(r *bufio.Reader, guard []string, program string) (pid int, err error) {
	word, n, err := nextReport(r)
	switch {
	case err == nil && word == guardStarted:
		return n, nil
	case err == nil && word == guardFailed:
		return 0, startError(program, syscall.Errno(n))
	case err == nil:
		err = fmt.Errorf("it said %q", word)
	}
	return 0, fmt.Errorf("its guard, %s, did not start it: %w", strings.Join(guard, " "), err)
}

// nextReport reads one line of a guard: a word and a number.
func nextReport(r *bufio.Reader) (word string, n int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", 0, err
	}
	word, number, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	n, err = strconv.Atoi(number)
	return word, n, err
}

// heed takes the guard's reports, to the last.
func (g *processGroup) heed(report *os.File, r *bufio.Reader) {
	defer close(g.gone)
	defer func() { _ = report.Close() }() // before anybody hears that the group is gone
	known := false
	for {
		word, n, err := nextReport(r)
		if err != nil {
			break
		}
		if !known && (word == guardExited || word == guardSignaled) {
			known = true
			g.setStatus(exitOf(word == guardSignaled, n))
			close(g.exited)
		}
	}
	if !known {
		g.destroy() // somebody killed the guard: nothing of its agent is to stay
		close(g.exited)
	}
}

// letGo tells the guard to end the group. It reports whether there is one that
// was not told before.
func (g *processGroup) letGo() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.life == nil {
		return false
	}
	_ = g.life.Close()
	g.life = nil
	return true
}

// dismissGuard lets the guard end the group and waits for it. It reports
// whether the guard did.
func (g *processGroup) dismissGuard() bool {
	g.letGo()
	if g.gone == nil {
		return false
	}
	select {
	case <-g.gone:
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.known
	case <-time.After(killWait):
		return false
	}
}
