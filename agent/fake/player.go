package fake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The defaults and bounds of a player.
const (
	SpeedDefault  = 1
	GapMaxDefault = 3 * time.Second

	waitingMax = 100 // prompts that wait for their turns
	// lateMax is how far a player may be behind before it gives up catching up:
	// whoever reads its output slowly has slowed the agent down.
	lateMax = time.Second
)

// ErrLineLimit says that Options.Lines were printed.
var ErrLineLimit = errors.New("the number of lines is reached")

// ErrWaiting says that the host sends prompts without end.
var ErrWaiting = fmt.Errorf("more than %d prompts wait: send the next one when a turn has ended", waitingMax)

// Options say how a recording is played.
type Options struct {
	Speed  float64       // 2 is twice as fast; 0 is SpeedDefault
	GapMax time.Duration // no wait is longer; 0 means no bound
	Repeat bool          // begin anew when there are more prompts
	Lines  int           // end with ErrLineLimit after so many; 0 is no bound
	Resume string        // the id of the session, in place of the recorded one
	// Process counts the processes that have played one session. Those after
	// the first have ids of their own, as a restarted agent does.
	Process int
	Part    int // begin with this prompt of the recording, from 0

	Began func(part int) error    // is told of every prompt that is taken, before a line is printed; or nil
	Print func(line []byte) error // is given every line before it is printed; or nil
}

// player is one pass or several of a recording of both sides. One goroutine.
type player struct {
	o       Options
	rec     *Recording
	tongue  tongue
	gaps    []time.Duration
	out     io.Writer
	in      *reader
	closed  bool // the input is over
	waiting []heard
	pos     int
	part    int
	count   int // lines
	due     time.Time
	ids     *strings.Replacer // of the recording → of this pass
	timer   *time.Timer
}

// Play plays the recording to its end: of both sides until the input is over
// and all is said, of one side until its lines are. It ends before with the
// error of ctx, of the output or of the functions in o.
func (rec *Recording) Play(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	if o.Speed == 0 {
		o.Speed = SpeedDefault
	}
	p := &player{o: o, rec: rec, out: out, gaps: rec.gaps(o.Speed, o.GapMax), part: o.Part, timer: time.NewTimer(0)}
	defer p.timer.Stop()
	p.in = newReader(in)
	defer close(p.in.done)
	p.due = time.Now()
	if rec.tongue == nil {
		return p.playOne(ctx)
	}
	p.tongue = rec.tongue()
	p.tongue.learn(rec.steps)
	p.ids = replacer(p.sessionNames())
	err := p.play(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// playOne waits for the end of the input, which is the prompt, and says all.
func (p *player) playOne(ctx context.Context) error {
	words := sha256.New()
	for !p.closed {
		select {
		case line, ok := <-p.in.lines:
			_, _ = words.Write(append(line, '\n')) // a hash never fails
			p.closed = !ok
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.rename(heard{}, heard{line: words.Sum(nil)})
	p.due = time.Now()
	for i, s := range p.rec.steps {
		p.due = p.due.Add(p.gaps[i])
		if err := p.until(ctx, p.due); err != nil {
			return err
		}
		if err := p.write([]byte(p.live(string(s.line)))); err != nil {
			return err
		}
	}
	return nil
}

// play goes through the steps, from prompt to prompt, until the input is over
// where the recorded host said something.
func (p *player) play(ctx context.Context) error {
	if err := p.steps(ctx, p.rec.head); err != nil {
		return err
	}
	for {
		p.pos = p.rec.part(p.part)
		if err := p.steps(ctx, len(p.rec.steps)); err != nil {
			return err
		}
		p.part += p.rec.parts() - p.part%p.rec.parts()
		if !p.o.Repeat {
			return p.refuse(ctx)
		}
	}
}

// steps plays up to a step.
func (p *player) steps(ctx context.Context, end int) error {
	for p.pos < end {
		at := p.pos
		err := p.step(ctx, p.rec.steps[at], at)
		if err != nil {
			return err
		}
		if p.pos == at {
			p.pos++
		}
	}
	return nil
}

// step plays one step. It moves pos when the next one is not the one that
// follows.
func (p *player) step(ctx context.Context, s step, at int) error {
	switch s.in.kind {
	case said:
		p.due = p.due.Add(p.gaps[at])
		for p.pos == at {
			due, err := p.hearUntil(ctx, p.due)
			if err != nil {
				return err
			}
			if due && p.pos == at {
				return p.sayStep(s)
			}
		}
		return nil
	case prompt:
		return p.takePrompt(ctx, s)
	case answer:
		return p.takeAnswer(ctx, s, at)
	case interrupt, control, call:
		return p.meet(ctx, s, at)
	}
	p.due = time.Now()
	return nil
}

// live is an id of the recording as it is in this pass.
func (p *player) live(id string) string { return p.ids.Replace(id) }

func (p *player) sayStep(s step) error {
	line := p.tongue.say([]byte(p.live(string(s.line))))
	if line == nil {
		return nil
	}
	return p.sayLine(line)
}

// sayLine prints a line of the agent, and the break that the recording's
// envelope took.
func (p *player) sayLine(line []byte) error {
	return p.write(append(line[:len(line):len(line)], '\n'))
}

func (p *player) sayAll(lines [][]byte) error {
	for _, line := range lines {
		if err := p.sayLine(line); err != nil {
			return err
		}
	}
	return nil
}

// write prints a line in one piece.
func (p *player) write(line []byte) error {
	if p.o.Lines > 0 && p.count >= p.o.Lines {
		return ErrLineLimit
	}
	p.count++
	if p.o.Print != nil {
		if err := p.o.Print(line); err != nil {
			return err
		}
	}
	if _, err := p.out.Write(line); err != nil {
		return fmt.Errorf("print a line: %w", err)
	}
	return nil
}

// until waits, and hears nothing.
func (p *player) until(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		if wait < -lateMax {
			p.due = time.Now()
		}
		return context.Cause(ctx)
	}
	p.timer.Reset(wait)
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
