package api

import (
	"bytes"
	"io"

	"github.com/konlog/konlog/store"
)

// lineReader cuts a body into lines. A line ends with LF or CRLF, the last one
// also with the body; blank ones count but are not returned. It never holds
// more than one line's limit and what one read brought with it.
type lineReader struct {
	read func([]byte) (int, error)
	max  int // bytes of a line without its end
	buf  []byte
	from int   // buf[from:] has not been returned
	scan int   // buf[from:scan] holds no line end
	line int64 // number of the line last returned, from 1
	err  error // why nothing more can be read, io.EOF at the proper end
}

func newLineReader(read func([]byte) (int, error), max int) *lineReader {
	return &lineReader{read: read, max: max, buf: make([]byte, 0, lineBytesStart)}
}

// buffered returns the next line that is complete without another read, or nil.
// The line is valid until the next fill.
func (l *lineReader) buffered() ([]byte, error) {
	for {
		i := bytes.IndexByte(l.buf[l.scan:], '\n')
		if i < 0 {
			l.scan = len(l.buf)
			return l.last()
		}
		line := l.buf[l.from : l.scan+i]
		l.from = l.scan + i + 1
		l.scan = l.from
		l.line++
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > l.max {
			return nil, l.tooLong()
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
	}
}

// last returns what stands after the last line end, once it is known to be
// whole. A body that broke off has no last line.
func (l *lineReader) last() ([]byte, error) {
	rest := l.buf[l.from:]
	if len(rest) > l.max+1 { // one more, for the CR of a line that is just at the limit
		l.line++
		return nil, l.tooLong()
	}
	if l.err != io.EOF || len(bytes.TrimSpace(rest)) == 0 {
		return nil, nil
	}
	l.from, l.scan = len(l.buf), len(l.buf)
	l.line++
	if rest = bytes.TrimSuffix(rest, []byte{'\r'}); len(rest) > l.max {
		return nil, l.tooLong()
	}
	return rest, nil
}

// fill reads once more. It returns io.EOF after the last line.
func (l *lineReader) fill() error {
	if l.err != nil {
		return l.err
	}
	if l.from > 0 {
		n := copy(l.buf, l.buf[l.from:])
		l.buf, l.scan, l.from = l.buf[:n], l.scan-l.from, 0
	}
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), 2*cap(l.buf))
		copy(grown, l.buf)
		l.buf = grown
	}
	n, err := l.read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	l.err = err
	if n > 0 || err == io.EOF && len(bytes.TrimSpace(l.buf)) > 0 {
		return nil // also for a last line without an end of its own
	}
	return err
}

func (l *lineReader) tooLong() error {
	return store.Errorf(store.CodeEventTooLarge, "the line is over the limit of %d bytes; store the content elsewhere and refer to it", l.max)
}
