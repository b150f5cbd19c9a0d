package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// What a terminal is told.
const (
	screenEnter = "\x1b[?1049h\x1b[?25l\x1b[2J" // another screen, without a cursor
	screenLeave = "\x1b[?25h\x1b[?1049l"        // the cursor, and what was there before
	screenHome  = "\x1b[H"
	screenRest  = "\x1b[K"
	screenBelow = "\x1b[J"
)

// screen is the terminal while top has it. leave gives it back, whatever
// happens; it may be called more than once.
type screen struct {
	out    io.Writer
	size   func() (width, height int)
	before func() // puts the keyboard back; or nil
	open   bool
}

// newScreen takes the keyboard too, if it is one: keys come as they are
// pressed, and unseen.
func newScreen(in, out *os.File) (*screen, error) {
	s := &screen{out: out, size: func() (int, int) {
		w, h, err := term.GetSize(int(out.Fd()))
		if err != nil || w <= 0 || h <= 0 {
			return topWidth, topHeight
		}
		return w, h
	}}
	if in != nil && term.IsTerminal(int(in.Fd())) {
		state, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, err
		}
		s.before = func() { _ = term.Restore(int(in.Fd()), state) }
	}
	return s, nil
}

func (s *screen) enter() error {
	s.open = true
	_, err := io.WriteString(s.out, screenEnter)
	return err
}

func (s *screen) leave() {
	if s.before != nil {
		s.before()
		s.before = nil
	}
	if s.open {
		_, _ = io.WriteString(s.out, screenLeave) // nothing can be told to who is gone
		s.open = false
	}
}

// draw shows the lines in one write, so that nothing flickers.
func (s *screen) draw(lines []string) error {
	var b strings.Builder
	b.WriteString(screenHome)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString(screenRest)
	}
	b.WriteString(screenBelow)
	_, err := io.WriteString(s.out, b.String())
	return err
}
