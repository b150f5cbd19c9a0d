package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// runFlags are the flags of run.
type runFlags struct {
	session  string
	agent    string
	name     string
	resume   bool
	resumeID string
	once     bool
	prompt   string
	context  string
	dir      string
	spool    string
	wait     time.Duration
	lease    time.Duration
	stopWait time.Duration
	redact   redactFlags
	upstream upstreamFlags
}

// upstreamFlags describe an agent that is reached over HTTP.
type upstreamFlags struct {
	url, stopURL, format string
	headers              []string
}

func (a *app) runCommand() *cobra.Command {
	var o runFlags
	cmd := &cobra.Command{
		Use:   "run [--session SESSION] -- COMMAND [ARGS...]",
		Short: "Run an agent behind the log: it gets the session's prompts, and all it says is kept",
		Long: `Run an agent behind a session of the log. Prompts of the session are given to
it one at a time, its questions are answered from the log, a stop interrupts it,
and every line that it prints is kept and mapped to events. Whoever watches may
come and go, and so may the server: what it does not take at once waits in a
spool on disk.

The agent is told by its command: claude, codex and gemini are known, and get
the flags that konlog needs where they are missing; --agent says what else
speaks one of these languages, or acp (the Agent Client Protocol), or is any
program that reads a prompt and prints lines (lines). --agent sse --url URL is
an agent that answers a POST with a stream of server-sent events.

A turn ends once, also when the agent dies. When konlog run dies, the agent is
ended with it and the turn is abandoned; nothing is run twice by itself. Started
again with --resume it goes on with the agent's own conversation. A newer
konlog run of the same session takes over from an older one.

The first SIGINT or SIGTERM stops the turn in order, the second ends it at once.
With --once the answer is printed on stdout, and the exit code is 1 when the
turn failed or was stopped.`,
		Example: `  konlog run -- claude
  konlog run --session s1 -- claude -p --input-format stream-json --output-format stream-json --verbose
  konlog run --session s1 --resume -- codex exec --json
  konlog run --session s1 --agent acp -- gemini --acp
  konlog run --session s1 --once --prompt "Fix the tests" -- claude --model opus
  konlog run --session s1 --agent sse --url http://127.0.0.1:8020/turns --format claude
  konlog run -- konlog fake-agent recording.jsonl`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			hideProcess()
			return a.runAgent(cmd, args, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.session, "session", "s", "", "the session; it is made when it is absent (default a new one)")
	f.StringVar(&o.agent, "agent", "auto", "what the command speaks: "+strings.Join(append(run.Drivers(), run.AgentSSE), ", ")+", or auto: told by its name")
	f.StringVar(&o.name, "name", "", "what the log calls the agent (default --agent)")
	f.BoolVar(&o.resume, "resume", false, "go on with the agent's own conversation that the log knows")
	f.StringVar(&o.resumeID, "resume-id", "", "go on with this conversation of the agent's")
	f.BoolVar(&o.once, "once", false, "end when a turn was run and no prompt waits")
	f.StringVar(&o.prompt, "prompt", "", "append this prompt first")
	f.StringVar(&o.context, "context", "", "a file of yours alone with {prompt, cwd, env, session, resume} as JSON; it is read and removed before anything is started")
	f.StringVar(&o.dir, "dir", "", "the agent's working directory (default this one)")
	f.StringVar(&o.spool, "spool", "", "where to keep what the server has not taken yet (default in your state directory)")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for a server that is not up yet")
	f.DurationVar(&o.lease, "lease", run.LeaseDefault, "how long after this command has died its turn counts as running")
	f.DurationVar(&o.stopWait, "stop-wait", run.InterruptWaitDefault, "how long the agent may take to stop by itself before it gets signals")
	f.StringVar(&o.upstream.url, "url", "", "with --agent sse: where a prompt is posted")
	f.StringVar(&o.upstream.stopURL, "stop-url", "", "with --agent sse: where a stop is posted; else closing the stream is all")
	f.StringVar(&o.upstream.format, "format", agent.FormatLines, "with --agent sse: what the stream's data is: "+strings.Join(agent.Formats(), ", "))
	f.StringArrayVar(&o.upstream.headers, "header", nil, "with --agent sse: a header of the request, such as \"Authorization: Bearer …\"; $NAME in it is taken from the environment")
	o.redact.add(f)
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) runAgent(cmd *cobra.Command, command []string, o runFlags) error {
	if cmd.Flags().Changed("prompt") && strings.TrimSpace(o.prompt) == "" {
		return usagef("the prompt is empty")
	}
	env := withoutCredentials(os.Environ())
	if o.context != "" {
		var err error
		if env, err = o.readContext(env); err != nil {
			return err
		}
	}
	c, err := o.config(command, env)
	if err != nil {
		return err
	}
	outage := &outage{w: a.stderr}
	cl, err := a.dialWithin(cmd, o.wait, client.WithLogger(slog.New(outage)))
	if err != nil {
		return err
	}
	defer cl.Close()
	settings, err := a.config(cmd)
	if err != nil {
		return err
	}
	if c.SpoolDir, err = o.spoolDir(settings.text("server")); err != nil {
		return err
	}
	c.Log, c.Session, c.Stderr = remoteLog{cl}, o.session, a.stderr
	c.Logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if o.prompt != "" {
		if _, err := cl.Prompt(cmd.Context(), o.session, client.PromptSpec{Text: o.prompt}); err != nil {
			return err
		}
	}
	return a.runHere(cmd.Context(), cl, c, o.once, settings.text("server"))
}

// runHere runs the agent, and says on stderr what becomes of it.
func (a *app) runHere(ctx context.Context, cl *client.Client, c run.Config, once bool, server string) error {
	a.say("session %s: %s/#/s/%s", printable(c.Session), server, c.Session)
	if !once {
		at := ""
		if server != "http://"+addrDefault {
			at = " --server " + server
		}
		a.say("prompt it: konlog prompt %s \"…\" --wait%s", printable(c.Session), at)
	}
	var last *run.Ending
	c.Ended = func(e run.Ending) {
		last = &e
		if once && !e.Success {
			return // the end of the command says it
		}
		a.say("turn %s: %s", printable(e.Turn), endingText(e))
	}
	told := context.AfterFunc(ctx, func() { a.say("stopping; a second signal ends at once") })
	defer told()
	err := run.Run(ctx, c)
	if err != nil || !once || last == nil {
		return runFailure(err, c.Session)
	}
	return a.printAnswer(cl, c.Session, last)
}

// endingText is how a turn ended, in words.
func endingText(e run.Ending) string {
	return printable(strings.TrimSuffix(e.Reason+", "+e.Error, ", "))
}

// answerTimeout bounds the reading of what the agent said.
const answerTimeout = 10 * time.Second

// printAnswer prints what the agent said in the turn that ended last.
func (a *app) printAnswer(cl *client.Client, session string, e *run.Ending) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	t, err := cl.Turn(ctx, session, e.Turn)
	if err == nil && t.Text != "" {
		_, err = fmt.Fprintln(a.stdout, strings.TrimRight(t.Text, "\n"))
	}
	if err == nil && !e.Success {
		err = failf("turn %s: %s", printable(e.Turn), endingText(*e)).
			because("konlog turns %s %s shows what came of it", printable(session), printable(e.Turn))
	}
	return err
}

// runFailure says what to do about the end of a runner.
func runFailure(err error, session string) error {
	switch {
	case errors.Is(err, run.ErrFenced):
		return failf("%w", err).because("the agent that ran here was ended; a session has one konlog run at a time")
	case errors.Is(err, run.ErrSpoolBusy):
		return failf("%w", err).because("a session has one konlog run at a time, and a second takes over from the first: end that one, or name another --session")
	case store.CodeOf(err) == store.CodeSessionClosed:
		return failf("%w", err).because("session %s takes no more events; name another --session", printable(session))
	}
	return err
}

// readContext takes over what the one-time file says; flags win.
func (o *runFlags) readContext(env []string) ([]string, error) {
	given, err := run.ReadContext(o.context)
	if err != nil {
		return nil, failf("%w", err)
	}
	for _, m := range []struct {
		flag *string
		said string
	}{{&o.prompt, given.Prompt}, {&o.dir, given.Dir}, {&o.session, given.Session}, {&o.resumeID, given.Resume}} {
		if *m.flag == "" {
			*m.flag = m.said
		}
	}
	for name, value := range given.Env {
		env = append(slices.DeleteFunc(env, func(pair string) bool { return strings.HasPrefix(pair, name+"=") }), name+"="+value)
	}
	return env, nil
}

// config makes the runner's settings of the flags. It fills in the session.
func (o *runFlags) config(command, env []string) (run.Config, error) {
	if o.session == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return run.Config{}, fmt.Errorf("name the session: %w", err)
		}
		o.session = id.String()
	}
	if o.lease < store.LeaseMin || o.lease > store.LeaseMax {
		return run.Config{}, usagef("--lease %s: want %s to %s", o.lease, store.LeaseMin, store.LeaseMax)
	}
	redact, err := o.redact.redactor(env)
	if err != nil {
		return run.Config{}, err
	}
	c := run.Config{
		Agent: o.agent, Name: o.name, Command: command, Env: env, Resume: o.resume, ResumeID: o.resumeID, Once: o.once,
		Lease: o.lease, InterruptWait: o.stopWait, Redact: redact,
	}
	if c.Dir, err = filepath.Abs(o.dir); err != nil {
		return c, failf("%w", err)
	}
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		return c, usagef("--dir %s is no directory", o.dir)
	}
	if o.agent == run.AgentSSE {
		c.Upstream, err = o.upstream.open(env)
		return c, err
	}
	if len(command) == 0 {
		return c, usagef("no command: name the agent to run after --").because("konlog run -- claude")
	}
	if c.Agent, err = agentOf(o.agent, command); err != nil {
		return c, err
	}
	if c.Agent == agent.FormatClaude && len(command) > 2 && command[1] == fakeAgentName {
		c.Command = append(slices.Clone(command), "--input-format", "stream-json") // a recording of one side waits for the end of its input else
	}
	c.Guard, err = guardCommand()
	return c, err
}

// agentOf is the driver of a command.
func agentOf(name string, command []string) (string, error) {
	if name == "auto" {
		found, ok := run.DetectAgent(command)
		if !ok {
			found, ok = playedAgent(command)
		}
		if !ok {
			return "", usagef("konlog does not know what %s speaks", printable(command[0])).
				because("say so with --agent: %s; lines is any program that reads a prompt and prints lines", strings.Join(run.Drivers(), ", "))
		}
		return found, nil
	}
	if !slices.Contains(run.Drivers(), name) {
		return "", usagef("--agent %q is not known", name).because("use one of auto, %s or %s", strings.Join(run.Drivers(), ", "), run.AgentSSE)
	}
	return name, nil
}

// playedAgent is the driver of a recording that fake-agent plays.
func playedAgent(command []string) (string, bool) {
	if len(command) < 3 || command[1] != fakeAgentName {
		return "", false
	}
	f, err := os.Open(command[2])
	if err != nil {
		return agent.FormatLines, true // fake-agent says so itself, better
	}
	defer f.Close()
	lines := agent.NewSplitter(f, store.EventBytesDefault)
	for line, err := lines.Next(); err == nil; line, err = lines.Next() {
		if name := agent.Detect(line.Text); slices.Contains(run.Drivers(), name) {
			return name, true
		}
	}
	return agent.FormatLines, true
}

// guardCommand is how this program runs as a guard of an agent's processes.
func guardCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, failf("find this program: %w", err)
	}
	return []string{self, guardCommandName}, nil
}

// spoolDir is the spool of the session at that server.
func (o *runFlags) spoolDir(server string) (string, error) {
	dir := o.spool
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", failf("%w", err).because("name a directory with --spool")
			}
			state = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(state, "konlog", "spool")
	}
	sum := sha256.Sum256([]byte(server + "\n" + o.session)) // ids of sessions need not be names of files
	return filepath.Join(dir, hex.EncodeToString(sum[:12])), nil
}

// open makes the upstream that the flags describe.
func (u *upstreamFlags) open(env []string) (*run.Upstream, error) {
	if u.url == "" {
		return nil, usagef("--agent sse needs --url, where a prompt is posted")
	}
	if !agent.Known(u.format) {
		return nil, usagef("--format %q is not known", u.format).because("use one of %s", strings.Join(agent.Formats(), ", "))
	}
	header := http.Header{}
	for _, h := range u.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usagef("--header wants \"Name: value\"") // not what was given: it may be a secret
		}
		header.Add(strings.TrimSpace(name), os.Expand(strings.TrimSpace(value), func(name string) string { return valueOf(env, name) }))
	}
	up, err := run.NewUpstream(run.UpstreamConfig{URL: u.url, StopURL: u.stopURL, Header: header, Format: u.format})
	if err != nil {
		return nil, usagef("%w", err)
	}
	return up, nil
}

func valueOf(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
