package shell

import (
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/creack/pty"
)

// terminal is a program and the near end of its terminal.
type terminal struct {
	cmd  *exec.Cmd
	pty  *os.File
	over chan struct{} // closed when the program has ended
	err  error         // how, once over

	behind int           // bytes that were printed after it; read's own, as the next
	waited time.Duration // for them

	mu     sync.Mutex // guards closed, and the pty against use after close
	closed bool
}

// startTerminal starts the program as the leader of a session of its own, whose
// terminal it has.
func startTerminal(spec Spec, env []string) (*terminal, error) {
	cmd := exec.Command(spec.Command[0], spec.Command[1:]...) // what runs is what its caller may choose: docs/SECURITY.md
	cmd.Dir, cmd.Env = spec.Dir, env
	near, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(spec.Cols), Rows: uint16(spec.Rows)})
	if err != nil {
		return nil, err
	}
	if near, err = pollable(near); err != nil {
		killGroup(cmd.Process.Pid)
		_ = cmd.Wait()
		return nil, err
	}
	t := &terminal{cmd: cmd, pty: near, over: make(chan struct{})}
	go func() {
		t.err = cmd.Wait()
		killSession(cmd.Process.Pid) // its number is not given again as long as somebody has its session
		close(t.over)
	}()
	return t, nil
}

// read passes on what is printed, in pieces that came together, and closes out
// when the program has ended and no more can come.
func (t *terminal) read(out chan<- []byte) {
	defer close(out)
	defer t.close()
	pieces := make(chan []byte)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, readBytes)
			n, err := t.pty.Read(buf)
			if n > 0 {
				pieces <- buf[:n]
			}
			if err != nil { // EIO when the last who had the terminal is gone
				return
			}
		}
	}()
	for {
		piece, ok := t.next(pieces)
		if !ok {
			return
		}
		full := time.NewTimer(gather)
	more:
		for len(piece) < readBytes {
			select {
			case next, ok := <-pieces:
				if !ok {
					break more
				}
				piece = append(piece, next...)
			case <-full.C:
				break more
			}
		}
		full.Stop()
		out <- piece
	}
}

// next is the next piece. What a program leaves behind in the background, where
// it cannot be killed with it, may hold the terminal for ever, silent or not:
// after the program's end it is waited for behindWait in all, and so many bytes.
func (t *terminal) next(pieces <-chan []byte) (piece []byte, ok bool) {
	if !t.ended() {
		select {
		case piece, ok = <-pieces:
			return piece, ok
		case <-t.over:
		}
	}
	began := time.Now()
	last := time.NewTimer(behindWait - t.waited)
	defer last.Stop()
	select {
	case piece, ok = <-pieces:
	case <-last.C:
	}
	t.waited += time.Since(began)
	if t.behind += len(piece); ok && t.behind <= behindBytes {
		return piece, true
	}
	t.close()
	go func() {
		for range pieces { // until the read of the closed terminal fails
		}
	}()
	return nil, false
}

// ended reports whether the program has.
func (t *terminal) ended() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// write types. A program that reads nothing holds up only this goroutine.
func (t *terminal) write(keys <-chan []byte) {
	for content := range keys {
		if _, err := t.pty.Write(content); err != nil {
			for range keys { // it is gone
			}
			return
		}
	}
}

func (t *terminal) resize(cols, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		_ = setSize(t.pty, cols, rows) // the next one may work
	}
}

// hangUp ends the program and what it started: it has wait to do so by itself.
func (t *terminal) hangUp(wait time.Duration) {
	if !t.ended() {
		hangUpGroup(t.cmd.Process.Pid)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-t.over:
	case <-timer.C:
	}
	t.kill()
}

// kill ends the program and what it started at once. When it has ended its
// number may be another's.
func (t *terminal) kill() {
	if !t.ended() {
		killGroup(t.cmd.Process.Pid)
		killSession(t.cmd.Process.Pid)
	}
	t.close()
}

func (t *terminal) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		_ = t.pty.Close() // the program gets SIGHUP
	}
}

func (t *terminal) wait() error {
	<-t.over
	return t.err
}
