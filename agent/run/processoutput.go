package run

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// processOutput reads a pipe until its end, or until endIn says that it is time.
type processOutput struct {
	f    *os.File
	late bool // the time is over
	left int  // bytes that are still taken then

	mu     sync.Mutex // guards closed
	closed bool
}

// endIn ends the output after that time, also when somebody still holds the
// other end.
func (o *processOutput) endIn(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		_ = o.f.SetReadDeadline(time.Now().Add(d)) // where that is not possible it ends with the last holder
	}
}

func (o *processOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	_ = o.f.Close()
}

func (o *processOutput) Read(b []byte) (int, error) {
	if !o.late {
		n, err := o.f.Read(b)
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			if err != nil {
				err = io.EOF // closed by Wait, or broken: no more is coming either way
			}
			return 0, err
		}
		// A slow reader is not to lose what was printed before the exit: it is
		// in the pipe, and no more than a pipe holds.
		o.late, o.left = true, pipeBytes(o.f)
		_ = o.f.SetReadDeadline(time.Time{})
	}
	if o.left == 0 {
		return 0, io.EOF
	}
	n := readReady(o.f, b[:min(len(b), o.left)])
	if o.left -= n; n == 0 {
		o.left = 0
		return 0, io.EOF
	}
	return n, nil
}

// processTail keeps the end of what is written to it, and passes all of it on.
type processTail struct {
	copyTo io.Writer // or nil

	mu  sync.Mutex // guards buf
	buf []byte     // at most stderrTailBytes, and one byte that tells whether a line begins after it
}

func (t *processTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	keep := b[max(0, len(b)-stderrTailBytes-1):]
	t.buf = append(t.buf[max(0, min(len(t.buf), len(t.buf)+len(keep)-stderrTailBytes-1)):], keep...)
	t.mu.Unlock()
	if t.copyTo != nil {
		if _, err := t.copyTo.Write(b); err != nil {
			t.copyTo = nil // the process goes on without
		}
	}
	return len(b), nil
}

// lines is the tail from the beginning of a line; from within the last line
// when that alone is longer.
func (t *processTail) lines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf
	if len(b) > stderrTailBytes {
		if at := bytes.IndexByte(b, '\n'); at >= 0 && at < len(b)-1 {
			b = b[at+1:]
		} else {
			b = b[1:]
			for i := 0; i < utf8.UTFMax-1 && !utf8.RuneStart(b[0]); i++ {
				b = b[1:]
			}
		}
	}
	return strings.ToValidUTF8(string(b), "?") // one byte, so that the limit stays
}
