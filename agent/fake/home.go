package fake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Home is a directory in which an agent remembers a session over its processes:
// which prompt of the recording was taken last, and, for whoever wants to
// compare, what each process was told and has printed.
//
// Files: prompts has a line for every prompt that was taken; N.in and N.out are
// the input and the output of the Nth process, from 0. A line is in N.out
// before it is printed, and the last one may be there without being printed.
type Home struct {
	prompts, in, out *os.File
	process, part    int
}

// homeProcessesMax bounds the processes of a home, and so the search for the
// number of the next one.
const homeProcessesMax = 100_000

// OpenHome makes the directory if it is absent, and begins the next process.
func OpenHome(dir string) (*Home, error) {
	h := &Home{}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = h.open(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("home of the agent: %w", err), h.Close())
	}
	return h, nil
}

func (h *Home) open(dir string) (err error) {
	name := filepath.Join(dir, "prompts")
	if h.prompts, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return err
	}
	taken, err := io.ReadAll(h.prompts)
	if err != nil {
		return err
	}
	h.part = bytes.Count(taken, []byte("\n"))
	for ; h.process < homeProcessesMax; h.process++ {
		h.out, err = os.OpenFile(filepath.Join(dir, fmt.Sprint(h.process, ".out")), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err == nil {
			h.in, err = os.Create(filepath.Join(dir, fmt.Sprint(h.process, ".in")))
		}
		return err
	}
	return fmt.Errorf("%s has %d processes: take another one", dir, homeProcessesMax)
}

// Close ends the process's files.
func (h *Home) Close() error {
	var errs []error
	for _, f := range []*os.File{h.prompts, h.in, h.out} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Into makes a player go on where the last process was.
func (h *Home) Into(o *Options) {
	o.Process, o.Part = h.process, h.part
	o.Began = func(part int) error {
		_, err := fmt.Fprintf(h.prompts, "process %d prompt %d\n", h.process, part)
		return err
	}
	o.Print = func(line []byte) error {
		_, err := h.out.Write(line)
		return err
	}
}

// Input notes what is read of an input.
func (h *Home) Input(in io.Reader) io.Reader { return io.TeeReader(in, h.in) }
