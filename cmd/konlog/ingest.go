package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// ingestOptions are the flags of ingest.
type ingestOptions struct {
	file   string
	agent  string
	name   string
	turn   string
	pace   float64
	gapMax time.Duration
	wait   time.Duration
	json   bool
}

func (a *app) ingestCommand() *cobra.Command {
	var o ingestOptions
	cmd := &cobra.Command{
		Use:   "ingest SESSION [-f FILE]",
		Short: "Append an agent's output, line by line",
		Long: `Append an agent's output: every line becomes one event of the type "agent".
A line that is JSON is kept as it is, any other as a JSON string, so the file can
be had back byte for byte. Lines end in LF or CRLF; blank ones are left out.

Lines are sent as they arrive and acknowledged when they are on disk. Each has
the key of its place in the file, so to ingest a file again, after a crash or
when it has grown, appends only what is new. A file that was moved is another
one, unless --name says what to call it; standard input has such keys only then.

When the server is not up, ingest waits for it as long as --wait says, and when
it goes away in between it tries again.

--pace keeps the distances between the lines' own times (t_ms, timestamp,
recorded_at or time): 1 is as recorded, 10 ten times as fast.`,
		Example: `  konlog ingest s1 -f agent.jsonl
  konlog ingest s1 -f agent.jsonl --pace 1
  claude -p --output-format stream-json "hello" | konlog ingest s1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ingest(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "-", "the file to read; - is standard input")
	f.StringVar(&o.agent, "agent", "lines", "the format of the output; lines keeps every line as it is")
	f.StringVar(&o.name, "name", "", "what the keys call the source (default the file's name and a hash of its path)")
	f.StringVar(&o.turn, "turn", "", "the turn that the lines belong to")
	f.Float64Var(&o.pace, "pace", 0, "keep the distances in time, divided by this; 0 sends at once")
	f.DurationVar(&o.gapMax, "gap-max", 3*time.Second, "with --pace: cut longer distances to this; 0 keeps them")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for a server that is not up yet")
	f.BoolVar(&o.json, "json", false, "the summary as a JSON object on stdout")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) ingest(cmd *cobra.Command, session string, o ingestOptions) error {
	if o.agent != "lines" {
		return usagef("--agent %q is not known", o.agent).because("this version knows lines")
	}
	if o.pace < 0 || o.gapMax < 0 {
		return usagef("--pace and --gap-max must not be negative")
	}
	outage := &outage{w: a.stderr}
	cl, err := a.dialWithin(cmd, o.wait, client.WithLogger(slog.New(outage)))
	if err != nil {
		return err
	}
	in, size, err := a.open(cmd.Context(), o.file)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := a.progress("ingest", "bytes", size)
	f := &feed{
		draft:   lineDrafts(o.source(), o.turn),
		append:  outage.over(appendTo(cl, session)),
		refused: a.leaveOut(o.file),
		moved:   func(read int64) { bar.at(read, size) },
	}
	if o.pace > 0 {
		f.pacer = &agent.Pacer{Factor: o.pace, GapMax: o.gapMax}
	}
	err = f.run(cmd.Context(), in, store.EventBytesDefault-len(agent.TypeLine))
	bar.end("session %s: %s, %d appended, %d there already, %d refused", session, count(f.stats.Lines, "line"), f.stats.Appended, f.stats.Duplicates, f.stats.Refused)
	if store.CodeOf(err) == store.CodeKeyConflict {
		return failf("%w", err).because("what was ingested from here before was something else: --name gives this one keys of its own")
	}
	if err == nil && o.json {
		err = printJSON(a.stdout, f.stats)
	}
	if err == nil && f.stats.Refused > 0 {
		return failf("%s refused", count(f.stats.Refused, "line")).because("%s", hints[store.CodeEventTooLarge])
	}
	return err
}

// leaveOut reports a line that is refused and goes on.
func (a *app) leaveOut(file string) func(error) error {
	return func(err error) error {
		_, printErr := fmt.Fprintf(a.stderr, "konlog: %s: %v; left out\n", file, err)
		return printErr
	}
}

// source names the input in the keys.
func (o ingestOptions) source() string {
	if o.name != "" {
		return sourceName(o.name)
	}
	if o.file == "-" {
		return ""
	}
	return fileSource(o.file)
}

// appendTo binds an append to its session.
func appendTo(cl *client.Client, session string) func(context.Context, []store.Draft) (store.Appended, error) {
	return func(ctx context.Context, drafts []store.Draft) (store.Appended, error) {
		return cl.Append(ctx, session, client.AppendOptions{}, drafts...)
	}
}

// open opens a file, or standard input as "-". The size is 0 when it is not
// known.
func (a *app) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return interruptible(ctx, a.stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, failf("%w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, failf("%w", err)
	}
	return f, info.Size(), nil
}

// interruptible makes reads from a pipe or terminal end with ctx. The read that
// is under way then goes on in the background until the process ends, because
// nothing can wake it.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err) // nil is io.EOF
	}()
	context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
	return pr
}
