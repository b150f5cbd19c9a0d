package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// LineBytesDefault bounds a line when NewReader is given no bound: an event of
// the largest size with its raw line and its envelope.
const LineBytesDefault = 4 << 20

// ErrLineTooLong is returned by Next for a line, or an event's lines of data
// together, over the limit. The reader is of no use afterwards.
var ErrLineTooLong = errors.New("sse: line too long")

// Event is one dispatched event of a stream.
type Event struct {
	ID    string        // the last id seen, by this event or one before it
	HasID bool          // this event's block had an id line
	Name  string        // "" when the event is unnamed
	Data  []byte        // valid until the next call of Next
	Retry time.Duration // the reconnection time the block named, or 0
}

// Reader takes a stream apart. It is not safe for concurrent use.
type Reader struct {
	in      *bufio.Reader
	lineMax int
	lastID  string
	line    []byte // a line that did not fit the buffer of in
	data    []byte
	started bool // the byte order mark has been looked for
	afterCR bool // the line before ended in \r: a \n that follows belongs to it
}

// NewReader returns a reader of r that accepts lines of up to lineMax bytes;
// 0 means LineBytesDefault.
func NewReader(r io.Reader, lineMax int) *Reader {
	if lineMax <= 0 {
		lineMax = LineBytesDefault
	}
	return &Reader{in: bufio.NewReaderSize(r, 8<<10), lineMax: lineMax}
}

// Next returns the next event that a browser would dispatch, and beyond that
// the blocks that hold only an id or a retry time, with nil Data. An event cut
// off by the end of the stream is dropped. The error is io.EOF at the end.
func (r *Reader) Next() (Event, error) {
	var e Event
	hasData := false
	r.data = r.data[:0]
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if !hasData && !e.HasID && e.Retry == 0 {
				e = Event{}
				continue // nothing but comments or a name: not dispatched
			}
			e.ID = r.lastID
			if hasData {
				e.Data = r.data[:len(r.data)-1]
			}
			return e, nil
		}
		field, value := split(line)
		switch field {
		case "data":
			if len(r.data)+len(value) > r.lineMax {
				return Event{}, ErrLineTooLong
			}
			r.data = append(append(r.data, value...), '\n')
			hasData = true
		case "event":
			e.Name = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.lastID, e.HasID = string(value), true
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// split takes a line apart at its first colon; a comment has the empty field.
func split(line []byte) (field string, value []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) { // no allocation for the fields that count
	case "data":
		return "data", value
	case "event":
		return "event", value
	case "id":
		return "id", value
	case "retry":
		return "retry", value
	}
	return "", value
}

// readLine returns the next line without its end: \n, \r\n or \r. A line that
// the stream's end cuts off is not returned.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		if err := r.skipMark(); err != nil {
			return nil, err
		}
		chunk, err := r.in.Peek(max(1, r.in.Buffered()))
		if err != nil {
			return nil, fmt.Errorf("read event stream: %w", err)
		}
		if r.afterCR && chunk[0] == '\n' {
			r.afterCR = false
			r.discard(1)
			continue
		}
		r.afterCR = false
		end := bytes.IndexAny(chunk, "\r\n")
		n := end
		if end < 0 {
			n = len(chunk)
		}
		if len(r.line)+n > r.lineMax {
			return nil, ErrLineTooLong
		}
		r.line = append(r.line, chunk[:n]...)
		if end >= 0 {
			r.afterCR = chunk[end] == '\r'
			r.discard(end + 1)
			return r.line, nil
		}
		r.discard(n)
	}
}

// skipMark drops a byte order mark at the very start.
func (r *Reader) skipMark() error {
	if r.started {
		return nil
	}
	r.started = true
	mark := []byte("\xef\xbb\xbf")
	for n := 1; n <= len(mark); n++ {
		head, err := r.in.Peek(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read event stream: %w", err)
		}
		if head[n-1] != mark[n-1] {
			return nil
		}
	}
	r.discard(len(mark))
	return nil
}

// discard drops bytes that Peek has shown, which cannot fail.
func (r *Reader) discard(n int) { _, _ = r.in.Discard(n) }
