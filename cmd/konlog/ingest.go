package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// ingestFlags are the flags of ingest.
type ingestFlags struct {
	session string
	file    string
	agent   string
	name    string
	turn    string
	follow  bool
	pace    float64
	gapMax  time.Duration
	wait    time.Duration
	json    bool
	redact  redactFlags
}

func (a *app) ingestCommand() *cobra.Command {
	var o ingestFlags
	cmd := &cobra.Command{
		Use:   "ingest [SESSION] [-f FILE]",
		Short: "Append an agent's output: every line, and what it means",
		Long: `Append an agent's output. Every line is kept byte for byte, and becomes the
events that it stands for: prompts, turns, text, tools, questions. A line that
stands for none becomes an event of the type "agent". The format is told by the
first lines, or by --agent; lines keeps them as they are. Lines end in LF or CRLF;
blank ones are left out.

Lines are sent as they arrive and acknowledged when they are on disk. Each has
the agent's own id of it as its key, or else its place in the file, so to ingest
a file again, after a crash or when it has grown, appends only what is new. A
file that was moved is another one, unless --name says what to call it; standard
input has keys by place only then.

When standard input ends, so does a turn that is open. That of a file may go on
when the file has grown; after 15 minutes without a line it counts as abandoned.
--follow goes on as the file grows, also when another one takes its place, until
it is interrupted. A last line without a line break is then left until it has
one.

When the server is not up, ingest waits for it as long as --wait says, and when
it goes away in between it tries again.

--pace keeps the distances between the lines' own times (t_ms, timestamp,
recorded_at or time): 1 is as recorded, 10 ten times as fast.`,
		Example: `  konlog ingest s1 -f agent.jsonl
  konlog ingest -f agent.jsonl --follow
  claude -p --output-format stream-json --verbose "hello" | konlog ingest --agent claude --session s1`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ingest(cmd, args, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.session, "session", "s", "", "the session, as SESSION (default a new one named after the file, which is printed)")
	f.StringVarP(&o.file, "file", "f", "-", "the file to read; - is standard input")
	f.StringVar(&o.agent, "agent", agent.FormatAuto, "the format of the output: auto, "+strings.Join(agent.Formats(), ", "))
	f.StringVar(&o.name, "name", "", "what the keys call the source (default the file's name and a hash of its path)")
	f.StringVar(&o.turn, "turn", "", "the turn that all lines belong to; they begin and end none then")
	f.BoolVarP(&o.follow, "follow", "F", false, "go on as the file grows, until interrupted")
	f.Float64Var(&o.pace, "pace", 0, "keep the distances in time, divided by this; 0 sends at once")
	f.DurationVar(&o.gapMax, "gap-max", 3*time.Second, "with --pace: cut longer distances to this; 0 keeps them")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for a server that is not up yet")
	f.BoolVar(&o.json, "json", false, "the summary as a JSON object on stdout")
	o.redact.add(f)
	addFlags(f, clientSetting)
	return cmd
}

// check holds the flags against each other and fills in the session.
func (o *ingestFlags) check(args []string) (named bool, err error) {
	if len(args) > 0 && o.session != "" && o.session != args[0] {
		return false, usagef("SESSION is %s and --session is %s; give one of them", printable(args[0]), printable(o.session))
	}
	if len(args) > 0 {
		o.session = args[0]
	}
	switch {
	case o.agent != agent.FormatAuto && !agent.Known(o.agent):
		return false, usagef("--agent %q is not known", o.agent).because("use auto, %s", strings.Join(agent.Formats(), ", "))
	case o.pace < 0 || o.gapMax < 0:
		return false, usagef("--pace and --gap-max must not be negative")
	case o.follow && o.file == "-":
		return false, usagef("--follow needs a file").because("-f FILE; standard input is read until it ends anyway")
	}
	if named = o.session != ""; !named {
		o.session, err = o.newSession()
	}
	return named, err
}

// newSession names a session after the file, so that the same file comes to the
// same session again.
func (o *ingestFlags) newSession() (string, error) {
	if source := o.source(); source != "" {
		return sessionName(source), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("name the session: %w", err)
	}
	return "ingest-" + id.String(), nil
}

// sessionName makes a session's id of a source's name.
func sessionName(source string) string {
	id := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._:-", r)) {
			return r
		}
		return '-'
	}, source)
	if store.ValidSessionID(id) != nil || store.OwnSession(id) {
		id = "ingest" + id
	}
	return id
}

func (a *app) ingest(cmd *cobra.Command, args []string, o ingestFlags) error {
	named, err := o.check(args)
	if err != nil {
		return err
	}
	redact, err := o.redact.redactor(a.environment())
	if err != nil {
		return err
	}
	if o.file != "-" { // before a server is waited for
		if _, err := os.Stat(o.file); err != nil {
			return failf("%w", err)
		}
	}
	outage := &outage{w: a.stderr}
	cl, err := a.dialWithin(cmd, o.wait, client.WithLogger(slog.New(outage)))
	if err != nil {
		return err
	}
	defer cl.Close()
	health, err := cl.Health(cmd.Context())
	if err != nil {
		return err
	}
	if !named && !o.json {
		if _, err := fmt.Fprintln(a.stdout, o.session); err != nil {
			return failf("%w", err)
		}
	}
	in := &ingestion{app: a, flags: o, client: cl, outage: outage, redact: redact, eventBytes: int(health.Limits["eventBytes"])}
	err = in.run(cmd.Context())
	in.summary()
	var conflict *agent.ConflictError
	if errors.As(err, &conflict) {
		return failf("%w", err).because("what was ingested from here before was something else, or with other flags: --name gives this one keys of its own")
	}
	if err == nil && o.json {
		err = printJSON(a.stdout, struct {
			Session string `json:"session"`
			agent.IngestStats
		}{o.session, in.stats})
	}
	return err
}

func (a *app) environment() []string {
	if a.environ == nil {
		return nil
	}
	return a.environ()
}

// ingestion is one run of ingest. It belongs to one goroutine.
type ingestion struct {
	app        *app
	flags      ingestFlags
	client     *client.Client
	outage     *outage
	redact     func([]byte) ([]byte, map[string]int)
	eventBytes int // the server's limit; 0 is not known
	stats      agent.IngestStats
}

// ingestGrace is how long what was read before an interruption may take to be
// appended, and the turn to be ended.
const ingestGrace = 5 * time.Second

// run reads the source to its end, or until ctx ends.
func (in *ingestion) run(ctx context.Context) error {
	work, cancel := outlive(ctx, ingestGrace)
	defer cancel()
	keeper := keepLease(work, in.client, in.flags.session)
	defer keeper.stop()
	if in.flags.follow {
		f := &follower{path: in.flags.file, source: in.flags.source(), say: in.app.say}
		return f.run(ctx, func(source string, r io.Reader) error { return in.read(ctx, work, keeper, source, r, 0, true) })
	}
	file, size, err := in.app.open(ctx, in.flags.file)
	if err != nil {
		return err
	}
	defer file.Close()
	if in.flags.file == "-" {
		err = in.read(ctx, work, keeper, in.flags.source(), &untilDone{ctx: ctx, r: file, end: io.EOF}, 0, true)
	} else {
		err = in.read(ctx, work, keeper, in.flags.source(), &untilDone{ctx: ctx, r: file}, size, false)
	}
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// read ingests one source. ctx ends the pauses of a pace, work the appends.
func (in *ingestion) read(ctx, work context.Context, keeper *leaseKeeper, source string, r io.Reader, size int64, endTurns bool) error {
	bar := in.app.progress("ingest", "bytes", size)
	defer bar.end("")
	o := agent.IngestOptions{
		IntakeOptions: agent.IntakeOptions{
			Format: in.flags.agent, Source: source, NewKey: uuid.NewString, Turn: in.flags.turn, Redact: in.redact,
			Found: func(format string) { in.app.say("the lines are of the format %s", format) },
		},
		EventBytes: in.eventBytes, EndTurns: endTurns, Stop: ctx.Done(),
		Moved:  func(read int64) { bar.at(read, size) },
		Turned: keeper.turned,
	}
	if in.flags.pace > 0 {
		o.Pacer = &agent.Pacer{Factor: in.flags.pace, GapMax: in.flags.gapMax}
	}
	stats, err := agent.Ingest(work, r, o, agent.Sink{
		Append: in.outage.over(appendTo(in.client, in.flags.session)),
		PutBlob: func(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
			b, _, err := in.client.PutBlob(ctx, contentType, bytes.NewReader(content))
			return b, err
		},
	})
	var conflict *agent.ConflictError
	if !in.flags.follow || !errors.As(err, &conflict) { // else all of it is read again, under another name
		in.stats.Add(stats)
	}
	return err
}

// summary says what was done.
func (in *ingestion) summary() {
	s := in.stats
	in.app.say("session %s: %s, %s, %d appended, %d there already, %s", in.flags.session, count(s.Lines, "line"), count(s.Events, "event"), s.Appended, s.Duplicates, count(s.Turns, "turn"))
	if s.Demoted > 0 {
		in.app.say("%s refused by the log for what they mean, and kept as plain lines", count(s.Demoted, "event"))
	}
	if s.Blobs > 0 {
		in.app.say("%s of what was too large for events", count(s.Blobs, "blob"))
	}
	if len(s.Unknown) > 0 {
		in.app.say("kinds of lines that the format %s does not know, kept as they are: %s", s.Format, counts(s.Unknown))
	}
	if len(s.Redacted) > 0 {
		in.app.say("redacted: %s", counts(s.Redacted))
	}
}

// counts writes a count for each name.
func counts(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], printable(name)))
	}
	return strings.Join(parts, ", ")
}

// source names the input in the keys.
func (o *ingestFlags) source() string {
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
