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

// TextLine is one line of a file, without its line break.
type TextLine struct {
	Number int    // 1, 2, 3 …, blank lines counted
	Offset int64  // where it begins in the file
	Text   []byte // valid until the next call of Next
}

// TooLongError says that a line was over the limit. The Splitter has passed
// over it and can go on.
type TooLongError struct {
	Number int
	Bytes  int64
	Max    int
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("line %d: %d bytes are over the limit of %d", e.Number, e.Bytes, e.Max)
}

// Splitter reads lines that end in LF or CRLF; the last one may end without.
// Blank lines are left out.
type Splitter struct {
	r       *bufio.Reader
	lineMax int
	number  int
	offset  int64
	long    []byte // a line that did not fit the buffer
}

// NewSplitter reads from r; lines over lineMax bytes are refused.
func NewSplitter(r io.Reader, lineMax int) *Splitter {
	return &Splitter{r: bufio.NewReaderSize(r, splitterBytes), lineMax: lineMax}
}

// Ready reports whether Next can return without waiting for the source.
func (s *Splitter) Ready() bool {
	ahead, _ := s.r.Peek(s.r.Buffered()) // what is buffered is always there
	return bytes.IndexByte(ahead, '\n') >= 0
}

// Next returns the next line that is not blank, a *TooLongError for one that is
// too long, io.EOF at the end, or the error of the source.
func (s *Splitter) Next() (TextLine, error) {
	for {
		start := s.offset
		text, size, err := s.readLine()
		if size == 0 && err != nil {
			return TextLine{}, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return TextLine{}, fmt.Errorf("read line %d: %w", s.number+1, err)
		}
		s.number++
		s.offset += size
		if text == nil {
			return TextLine{}, &TooLongError{Number: s.number, Bytes: size, Max: s.lineMax}
		}
		if len(text) > s.lineMax {
			return TextLine{}, &TooLongError{Number: s.number, Bytes: int64(len(text)), Max: s.lineMax}
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return TextLine{Number: s.number, Offset: start, Text: text}, nil
		}
	}
}

// readLine returns the line without its break and its size with it. The text is
// nil when it is far over the limit; its bytes are counted but not kept.
func (s *Splitter) readLine() (text []byte, size int64, err error) {
	s.long = s.long[:0]
	over := false
	for {
		part, err := s.r.ReadSlice('\n')
		size += int64(len(part))
		full := errors.Is(err, bufio.ErrBufferFull)
		if !full && len(s.long) == 0 && !over {
			return trimBreak(part), size, err
		}
		if over = over || len(s.long)+len(part) > s.lineMax+2; !over { // 2 for CRLF
			s.long = append(s.long, part...)
		}
		if full {
			continue
		}
		if over {
			return nil, size, err
		}
		return trimBreak(s.long), size, err
	}
}

// trimBreak never returns nil: nil is the mark of a line that is too long.
func trimBreak(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	if line == nil {
		return []byte{}
	}
	return line
}
