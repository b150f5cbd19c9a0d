package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
)

// transports are the choices of a reader.
var transports = []string{"auto", "ws", "sse", "poll"}

// tailFlags are the flags of tail.
type tailFlags struct {
	client.TailOptions
	types string
	json  bool
	text  bool
}

func (a *app) tailCommand() *cobra.Command {
	var o tailFlags
	cmd := &cobra.Command{
		Use:   "tail SESSION",
		Short: "Print a session's events, those there are and those to come",
		Long: `Print a session's events from the first, or from --after or --tail on, and go on
with new ones as they come. When the connection breaks it comes back at the last
event printed; nothing is lost or repeated. With --transport auto it changes to
SSE and then to long-poll where WebSocket does not get through.

On a terminal text is shown as it streams and every other event as one line.
Elsewhere, or with --json, each event is one line of JSON, byte for byte as the
server sent it.`,
		Example: `  konlog tail s1
  konlog tail s1 --after 120 --transport sse
  konlog tail s1 --tail 10 --no-follow --json
  konlog tail s1 --speed 2                    replay at twice the pace`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.tail(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Transport, "transport", "auto", "auto, ws, sse or poll")
	f.Int64Var(&o.After, "after", 0, "begin after this id")
	f.IntVar(&o.Tail, "tail", 0, "begin this many events before the end")
	f.StringVar(&o.types, "types", "", "only these types, separated by commas")
	f.BoolVar(&o.Raw, "raw", false, "with the agents' own lines, where they are kept beside the data")
	f.BoolVar(&o.Fold, "fold", false, "what is there already with each run of deltas as one event")
	f.StringVar(&o.Until, "until", "", "stop at this id or RFC 3339 time")
	f.Float64Var(&o.Speed, "speed", 0, "replay at the recorded pace times this, 0.25 to 100")
	f.BoolVar(&o.NoFollow, "no-follow", false, "stop at the end of what there is")
	f.BoolVar(&o.json, "json", false, "one line of JSON per event, also on a terminal")
	f.BoolVar(&o.text, "text", false, "the form for people, also elsewhere")
	addFlags(f, clientSetting)
	_ = cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions(transports, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

func (a *app) tail(cmd *cobra.Command, session string, o tailFlags) error {
	if !slices.Contains(transports, o.Transport) {
		return usagef("--transport %q is not known", o.Transport).because("use one of %s", strings.Join(transports, ", "))
	}
	if f := cmd.Flags(); f.Changed("after") && f.Changed("tail") {
		return usagef("--after and --tail both say where to begin").because("give one of them")
	}
	if o.json && o.text {
		return usagef("--json and --text both say what to print").because("give one of them")
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	if o.types != "" {
		o.Types = strings.Split(o.types, ",")
	}
	if !a.quiet {
		o.OnState = a.showStates()
	}
	if o.text || !o.json && isTerminal(a.stdout) {
		err = a.tailText(cmd.Context(), cl, session, o.TailOptions)
	} else {
		err = a.tailJSON(cmd.Context(), cl, session, o.TailOptions)
	}
	if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return nil // the reader had enough: that is how a tail ends
	}
	return err
}

func (a *app) tailText(ctx context.Context, cl *client.Client, session string, o client.TailOptions) error {
	h := &humanPrinter{w: a.stdout, p: a.paint(a.stdout)}
	defer h.end()
	for e, err := range cl.Tail(ctx, session, o) {
		if err != nil {
			return err
		}
		typ := e.Type
		if delta, ok := map[string]string{"text": "text_delta", "thinking": "thinking_delta"}[typ]; ok && e.From != 0 {
			typ = delta // a run of them
		}
		if err := h.event(shown{id: e.ID, typ: typ, time: e.Time, data: e.Data}); err != nil {
			return err
		}
	}
	return nil
}

// tailJSON writes each event at once: whoever reads the pipe may be waiting.
func (a *app) tailJSON(ctx context.Context, cl *client.Client, session string, o client.TailOptions) error {
	w := bufio.NewWriter(a.stdout)
	for e, err := range cl.Tail(ctx, session, o) {
		if err != nil {
			return err
		}
		_, _ = w.Write(e.JSON) // Flush returns its error
		_ = w.WriteByte('\n')
		if err := w.Flush(); err != nil {
			return failf("%w", err)
		}
	}
	return nil
}

// showStates tells a person all about the connection, and everybody about
// trouble with it, once until it is over, and about history that is missing.
func (a *app) showStates() func(client.State) {
	terminal, trouble := isTerminal(a.stderr), false
	return func(s client.State) {
		show := terminal
		switch s.Kind {
		case client.StateGap, client.StateReset, client.StateDowngrade:
			show = true
		case client.StateDisconnected:
			show = show || !trouble
			trouble = true
		case client.StateConnected:
			show = show || trouble
			trouble = false
		}
		if text := stateText(s); text != "" && show {
			fmt.Fprintln(a.stderr, a.paint(a.stderr).dim("· "+printable(text)))
		}
	}
}

func stateText(s client.State) string {
	switch s.Kind {
	case client.StateConnected:
		return fmt.Sprintf("connected over %s after event %d, the session is at %d", s.Transport, s.After, s.Head)
	case client.StateDisconnected:
		return fmt.Sprintf("connection lost after event %d (%v), back in %s", s.After, s.Err, s.Wait.Round(10*time.Millisecond))
	case client.StateDowngrade:
		return fmt.Sprintf("going on over %s (%v)", s.Transport, s.Err)
	case client.StateCaughtUp:
		return "all there is was shown; new events follow"
	case client.StateGap:
		return fmt.Sprintf("events %d to %d are gone (%s)", s.From, s.To, s.Reason)
	case client.StateReset:
		return fmt.Sprintf("the history begins anew (%s): forget what came before", s.Reason)
	}
	return ""
}
