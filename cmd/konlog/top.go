package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
)

// How often top asks.
const (
	topEvery    = 2 * time.Second
	topEveryMin = 200 * time.Millisecond
	topTimeout  = 5 * time.Second // for one answer
)

// topOptions are the flags of konlog top.
type topOptions struct {
	every  time.Duration
	once   bool
	asJSON bool
}

func (a *app) topCommand() *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a server at work",
		Long: `Watch a server at work: what is appended and read, how long that takes, the
queue, the disk, the agents, and the turns that are open.

On a terminal it fills the screen until q is pressed; elsewhere it prints a
snapshot every interval. Rates are of the interval before. A server that goes
away is waited for. With credentials the token needs the scope metrics; without
it the turns are shown alone.`,
		Example: `  konlog top
  konlog top --every 10s --server https://konlog.example.org
  konlog top --once --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.top(cmd, o) },
	}
	f := cmd.Flags()
	f.DurationVarP(&o.every, "every", "n", topEvery, "how often to look")
	f.BoolVar(&o.once, "once", false, "look for one interval, print once and end")
	f.BoolVar(&o.asJSON, "json", false, "a JSON object a line")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) top(cmd *cobra.Command, o *topOptions) error {
	if o.every < topEveryMin {
		return usagef("--every %s is too often", o.every).because("%s at least", topEveryMin)
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	cl, err := a.dialWithin(cmd, 0, client.WithRetry(client.RetryLimits{Attempts: 1, AttemptTimeout: topTimeout}))
	if err != nil {
		return err
	}
	defer cl.Close()
	t := &topLoop{
		every: o.every, once: o.once, sample: (&topSource{client: cl, server: c.text("server"), interval: o.every, now: time.Now}).sample,
		print: a.printSnapshot(o.asJSON),
	}
	out, onScreen := a.stdout.(*os.File)
	if o.once || o.asJSON || !onScreen || !isTerminal(out) {
		return t.run(cmd.Context())
	}
	in, _ := a.stdin.(*os.File)
	s, err := newScreen(in, out)
	if err != nil {
		return failf("the terminal: %w", err)
	}
	keys := make(chan byte)
	if s.before != nil {
		go readKeys(cmd.Context(), in, keys) // it ends with the process: nothing else ends a read of a terminal
	}
	resized, stop := resizes()
	defer stop()
	t.keys, t.resized = keys, resized
	return t.onScreen(cmd.Context(), s, a.paint(a.stdout))
}

// printSnapshot prints for programs, or for people who keep what they see.
func (a *app) printSnapshot(asJSON bool) func(*topSnapshot) error {
	if asJSON {
		return func(s *topSnapshot) error { return printJSON(a.stdout, s) }
	}
	first := true
	return func(s *topSnapshot) error {
		if !first {
			fmt.Fprintln(a.stdout)
		}
		first = false
		for _, line := range (topView{width: topWidth}).lines(s) {
			if _, err := fmt.Fprintln(a.stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
}

func readKeys(ctx context.Context, in io.Reader, keys chan<- byte) {
	var b [1]byte
	for {
		if n, err := in.Read(b[:]); err != nil {
			return
		} else if n == 0 {
			continue
		}
		select {
		case keys <- b[0]:
		case <-ctx.Done():
			return
		}
	}
}

// topLoop looks and shows until it is stopped.
type topLoop struct {
	every   time.Duration
	once    bool
	sample  func(context.Context) *topSnapshot
	print   func(*topSnapshot) error
	keys    <-chan byte     // or nil
	resized <-chan struct{} // or nil
	redraw  func() error    // or nil
}

// onScreen runs the loop on a terminal, and gives it back at the end, also
// when the end is a panic.
func (t *topLoop) onScreen(ctx context.Context, s *screen, p paint) error {
	defer s.leave()
	if err := s.enter(); err != nil {
		return failf("%w", err)
	}
	last := &topSnapshot{interval: t.every}
	t.redraw = func() error {
		w, h := s.size()
		return s.draw(topView{paint: p, width: w, height: h, keys: t.keys != nil}.lines(last))
	}
	t.print = func(got *topSnapshot) error {
		last = kept(last, got)
		return t.redraw()
	}
	return t.run(ctx)
}

// kept shows what was known before of a server that does not answer.
func kept(last, got *topSnapshot) *topSnapshot {
	if got.Error == "" || got.Log != nil || len(got.Turns) > 0 {
		return got
	}
	stale := *got
	stale.Version = last.Version
	return &stale
}

// run ends at a key, at the end of ctx, and after the first look with once.
func (t *topLoop) run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait() // a look ends with its context
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	answers := make(chan *topSnapshot, 1) // so that who is not waited for any more can end
	crash := make(chan any, 1)
	look := func() {
		looking.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					crash <- p // the loop has the terminal to give back
				}
			}()
			answers <- t.sample(ctx)
		})
	}
	look()
	busy, looks := true, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-crash:
			panic(p)
		case key := <-t.keys:
			if key == 'q' || key == 'Q' || key == 3 { // Ctrl-C is a key here
				return nil
			}
		case <-t.resized:
			if err := t.redraw(); err != nil {
				return failf("%w", err)
			}
		case <-tick.C:
			if !busy {
				busy = true
				look()
			}
		case s := <-answers:
			busy = false
			if looks++; t.once && looks == 1 && s.Error == "" {
				continue // rates are of an interval
			}
			if err := t.print(s); err != nil {
				return failf("%w", err)
			}
			if t.once {
				return onceError(s)
			}
		}
	}
}

// onceError is the outcome of a single look.
func onceError(s *topSnapshot) error {
	if s.Error == "" {
		return nil
	}
	return failf("%w", errors.New(s.Error))
}
