package fake

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// Stamp is the place in a line at which a stamped output has the time.
const Stamp = "0000000000000000000"

// Stamped writes the time of writing, in nanoseconds since 1970, over every
// Stamp: to measure how long a line is on its way.
func Stamped(out io.Writer) io.Writer { return stamper{out} }

type stamper struct{ out io.Writer }

// Write implements io.Writer.
func (s stamper) Write(line []byte) (int, error) {
	stamped := bytes.ReplaceAll(line, []byte(Stamp), fmt.Appendf(nil, "%0*d", len(Stamp), time.Now().UnixNano()))
	if _, err := s.out.Write(stamped); err != nil {
		return 0, err
	}
	return len(line), nil
}
