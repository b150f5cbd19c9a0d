package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a child may take to end before it is killed.
const stopTimeout = 20 * time.Second

// logTailBytes is how much of a child's log is kept for an error message.
const logTailBytes = 4 << 10

// server is a child process that serves.
type server struct {
	cmd  *exec.Cmd
	addr string
	log  *logTail
	done chan struct{} // closed when the child has ended
}

// serveArgs run the real server on a data directory, with nothing that works
// beside the measurement.
func serveArgs(data string) []string {
	return []string{"serve", "--addr", "127.0.0.1:0", "--data", data, "--log-level", "warn", "--drain-spread", "0s",
		"--retention-age", "0s", "--retention-events", "0", "--retention-bytes", "0"}
}

// startServer starts the program with these arguments and waits for the
// address that it prints.
func startServer(ctx context.Context, program string, args []string, procs int, c *cores) (*server, error) {
	s := &server{cmd: exec.Command(program, args...), log: &logTail{}, done: make(chan struct{})}
	if procs > 0 {
		s.cmd.Env = append(s.cmd.Environ(), "GOMAXPROCS="+strconv.Itoa(procs))
	}
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if c != nil {
		err = startPinned(s.cmd, *c)
	} else {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	lines := make(chan string, 1)
	go s.watch(out, lines)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	select {
	case line := <-lines:
		if s.addr, err = loopbackAddress(line); err == nil {
			return s, nil
		}
	case <-s.done:
		err = errors.New("it ended")
	case <-ctx.Done():
		err = fmt.Errorf("it printed no address: %w", ctx.Err())
	}
	s.stop()
	return nil, fmt.Errorf("start the server: %w: %s", err, s.log)
}

// watch hands over the first line and waits for the child's end.
func (s *server) watch(out io.Reader, lines chan<- string) {
	defer close(s.done)
	r := bufio.NewReader(io.LimitReader(out, 1<<20))
	if line, err := r.ReadString('\n'); err == nil {
		lines <- strings.TrimSpace(line)
	}
	_, _ = io.Copy(io.Discard, r) // until the child closes it
	_ = s.cmd.Wait()              // how it ended is of no account once it was told to
}

// stop ends the child in order, and at once when that takes too long.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended, and where there are no signals
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
		return
	case <-timer.C:
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// logTail keeps the end of what a child logs.
type logTail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

// Write implements io.Writer.
func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if extra := len(l.buf) - logTailBytes; extra > 0 {
		l.buf = append(l.buf[:0], l.buf[extra:]...)
	}
	return len(b), nil
}

// String returns what is kept.
func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
