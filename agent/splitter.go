package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// splitterBytes is how much a Splitter reads ahead: enough for a good batch,
// small beside the longest line.
const splitterBytes = 64 << 10

// LineBytesDefault is the longest line that is read as one. It bounds the
// memory of a reader, and is what a blob can hold.
const LineBytesDefault = 32 << 20

// TextLine is one line of a file, without its line break, or a part of one that
// is over the limit.
type TextLine struct {
	Number int    // 1, 2, 3 …, blank lines counted
	Offset int64  // where it, or this part of it, begins in the file
	Text   []byte // valid until the next call of Next
	Part   int    // 1, 2, 3 … of a line that comes in parts; 0 is a whole line
	More   bool   // further parts of the line follow
	Open   bool   // the source ended before the line did
}

// Splitter reads lines that end in LF or CRLF; the last one may end without, and
// may have lost the second half of a CRLF. Blank lines are left out. Lines over
// the limit come in parts.
type Splitter struct {
	r       *bufio.Reader
	lineMax int
	number  int
	offset  int64  // of the source, behind what was returned
	part    int    // of the line that is being read; 0 before a line
	long    []byte // what was read and not yet returned, where that is not in the reader's buffer
	text    []byte // what long has passed on
}

// NewSplitter reads from r; of lines over lineMax bytes each part has that many.
func NewSplitter(r io.Reader, lineMax int) *Splitter {
	return &Splitter{r: bufio.NewReaderSize(r, splitterBytes), lineMax: lineMax}
}

// Ready reports whether Next can return without waiting for the source.
func (s *Splitter) Ready() bool {
	ahead, _ := s.r.Peek(s.r.Buffered()) // what is buffered is always there
	if bytes.IndexByte(s.long, '\n') >= 0 {
		return true
	}
	end := bytes.LastIndexByte(ahead, '\n')
	return end >= 0 && (len(bytes.TrimSpace(s.long)) > 0 || len(bytes.TrimSpace(ahead[:end])) > 0) // Next waits behind a blank line
}

// Next returns the next line that is not blank, io.EOF at the end, or the error
// of the source. What of a line came before such an error is not returned.
func (s *Splitter) Next() (TextLine, error) {
	for {
		line, err := s.next()
		if err != nil {
			return TextLine{}, err
		}
		if line.Part > 0 || len(bytes.TrimSpace(line.Text)) > 0 {
			return line, nil
		}
	}
}

func (s *Splitter) next() (TextLine, error) {
	for {
		if i := bytes.IndexByte(s.long, '\n'); i >= 0 || len(s.long) >= s.lineMax+lineBreakMax {
			return s.passOn(false), nil
		}
		if s.r.Buffered() == 0 {
			_, err := s.r.Peek(1)
			switch {
			case err == nil:
			case errors.Is(err, io.EOF) && len(s.long) > 0:
				return s.passOn(true), nil
			case errors.Is(err, io.EOF):
				return TextLine{}, io.EOF
			default:
				return TextLine{}, fmt.Errorf("read line %d: %w", s.number+1, err)
			}
		}
		ahead, _ := s.r.Peek(s.r.Buffered())
		ahead = ahead[:min(len(ahead), s.lineMax+lineBreakMax-len(s.long))]
		if i := bytes.IndexByte(ahead, '\n'); i >= 0 {
			ahead = ahead[:i+1]
			if text := trimBreak(ahead); len(s.long) == 0 && len(text) <= s.lineMax {
				s.discard(len(ahead))
				return s.line(text, len(ahead), false, false), nil
			}
		}
		s.long = append(s.long, ahead...)
		s.discard(len(ahead))
	}
}

func (s *Splitter) discard(n int) { _, _ = s.r.Discard(n) } // what is buffered can be

// lineBreakMax is the size of a CRLF, which does not count against the limit.
const lineBreakMax = 2

// passOn returns what is in long, or as much of it as a part may have.
func (s *Splitter) passOn(ended bool) TextLine {
	size, more := len(s.long), false
	text := trimBreak(s.long)
	if ended {
		text = bytes.TrimSuffix(text, []byte{'\r'})
	}
	if len(text) > s.lineMax {
		text, size, more = text[:s.lineMax], s.lineMax, true
	}
	s.text = append(s.text[:0], text...)
	s.long = append(s.long[:0], s.long[size:]...)
	return s.line(s.text, size, more, ended && !more)
}

// line counts a line, or a part of one, of that size in the source.
func (s *Splitter) line(text []byte, size int, more, open bool) TextLine {
	if s.part == 0 {
		s.number++
	}
	l := TextLine{Number: s.number, Offset: s.offset, Text: text, More: more, Open: open}
	if more || s.part > 0 {
		s.part++
		l.Part = s.part
	}
	if !more {
		s.part = 0
	}
	s.offset += int64(size)
	return l
}

// trimBreak cuts a LF or CRLF off.
func trimBreak(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line
}

// TooLongError says that a line was over the limit, where one in parts is of no
// use.
type TooLongError struct {
	Number int
	Max    int
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("line %d: it is over the limit of %d bytes", e.Number, e.Max)
}

// Whole returns the next line, or a *TooLongError in the place of one that would
// come in parts. The Splitter has passed over it then and can go on.
func (s *Splitter) Whole() (TextLine, error) {
	line, err := s.Next()
	if err != nil || line.Part == 0 {
		return line, err
	}
	for line.More {
		if line, err = s.Next(); err != nil {
			return TextLine{}, err
		}
	}
	return TextLine{}, &TooLongError{Number: line.Number, Max: s.lineMax}
}
