package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent/fake"
)

// fakeAgentOptions are the flags of fake-agent.
type fakeAgentOptions struct {
	fake.Options
	home        string
	exitCode    int
	stamp       bool
	inputFormat string
}

// fakeAgentName is the command's, by which run knows a recording that is played.
const fakeAgentName = "fake-agent"

// What a process ends with that a signal has ended.
const (
	exitInterrupted = 130
	exitTerminated  = 143
)

func (a *app) fakeAgentCommand() *cobra.Command {
	var o fakeAgentOptions
	cmd := &cobra.Command{
		Use:   fakeAgentName + " RECORDING [ARGUMENTS]",
		Short: "Play a recorded agent on stdin and stdout, for tests without a model",
		Long: `Play a recorded agent on stdin and stdout, so that tests, demonstrations and
work on a user interface need no model.

A recording of both sides has lines {"t_ms":…,"dir":"in" or "out","msg":…}, of
Claude Code or of the Agent Client Protocol. The agent's lines are printed byte
for byte and at their pace. Where the recording has a prompt, an answer or a
call, the agent waits for one on stdin; the ids of the host are carried over.
  - An interrupt that the recording does not have stops the turn as the agent
    does it, with the text so far. The next prompt goes on with the next one of
    the recording; a task that still runs says its end before.
  - A recorded interrupt that does not come within --gap-max: the text so far
    becomes the whole answer, and the turn ends well.
  - A permission that is denied: the tool fails, and the recording goes on.
  - Another request is answered as the agent would; a prompt too many waits.
  - After the last prompt of the recording further ones are refused, or with
    --repeat played from the beginning, with new ids.
  - At the end of stdin the turn is finished, and then the process.
Any other file is an agent of one prompt: it reads stdin to its end, prints all
lines at the pace of their own times and ends. With --input-format stream-json
it takes a prompt as a line, as Claude Code does.

SIGINT and SIGTERM end it at once, with the codes 130 and 143. Arguments and
flags of real agents are taken and mean nothing, but for --resume: RECORDING
comes first.`,
		Example: `  konlog run --session s1 -- konlog fake-agent recording.jsonl
  konlog fake-agent codex.jsonl --speed 10 < prompt.txt`,
		Args:               cobra.MinimumNArgs(1),
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.fakeAgent(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&o.Speed, "speed", fake.SpeedDefault, "how much faster than recorded")
	f.DurationVar(&o.GapMax, "gap-max", fake.GapMaxDefault, "cut longer distances in time to this; 0 keeps them")
	f.BoolVar(&o.Repeat, "repeat", false, "begin anew when there are more prompts than in the recording")
	f.IntVar(&o.exitCode, "exit-code", 0, "what to end with")
	f.IntVar(&o.Lines, "exit-after", 0, "end after so many lines, in mid-turn or not")
	f.StringVar(&o.Resume, "resume", "", "the id of the session, in place of the recorded one; other ids are new")
	f.StringVar(&o.home, "home", "", "a directory in which it remembers the session: a further process goes on with the next prompt, and N.in and N.out have what the Nth process read and printed")
	f.BoolVar(&o.stamp, "stamp", false, "print the time, in nanoseconds since 1970, in place of "+fake.Stamp)
	f.StringVar(&o.inputFormat, "input-format", "text", "stream-json: prompts are lines")
	return cmd
}

func (a *app) fakeAgent(ctx context.Context, file string, o fakeAgentOptions) error {
	if o.Speed <= 0 || o.GapMax < 0 || o.Lines < 0 {
		return usagef("--speed must be above 0, --gap-max and --exit-after not below").because("konlog fake-agent --help")
	}
	f, err := os.Open(file)
	if err != nil {
		return failf("%w", err).because("RECORDING comes before all flags")
	}
	defer f.Close()
	recording, err := fake.Read(f, o.inputFormat == "stream-json")
	if err != nil {
		return failf("%s: %w", file, err)
	}
	in, out := a.stdin, a.stdout
	if o.stamp {
		out = fake.Stamped(out)
	}
	if o.home != "" {
		home, err := fake.OpenHome(o.home)
		if err != nil {
			return failf("%w", err)
		}
		defer home.Close()
		home.Into(&o.Options)
		in = home.Input(in)
	}
	code, err := playUntilSignal(ctx, recording, in, out, o.Options)
	switch {
	case code != 0:
		return &failure{code: code, err: errSilent}
	case err != nil && !errors.Is(err, fake.ErrLineLimit):
		return failf("%s: %w", file, err)
	case o.exitCode != 0:
		return &failure{code: o.exitCode, err: errSilent}
	}
	return nil
}

// playUntilSignal plays to the end, or to a signal, whose exit code it returns.
// It does not look at the context that the signal ends too, because that does
// not say which one it was, nor does it wait for a player that is held up by
// whoever reads its output.
func playUntilSignal(ctx context.Context, r *fake.Recording, in io.Reader, out io.Writer, o fake.Options) (int, error) {
	signals := make(chan os.Signal, 1) // the first decides
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan error, 1) // so that a player that nobody waits for can end
	go func() { done <- r.Play(context.WithoutCancel(ctx), in, out, o) }()
	select {
	case err := <-done:
		return 0, err
	case s := <-signals:
		if s == syscall.SIGTERM {
			return exitTerminated, nil
		}
		return exitInterrupted, nil
	}
}
