package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// app is what the commands share. Tests give it their own streams and
// environment.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	env    func(string) (string, bool)

	environ func() []string // or nil

	configFile string
	quiet      bool
	warned     bool // of the environment
}

// run runs one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	f := explain(err)
	if f.err != errSilent {
		fmt.Fprintf(a.stderr, "konlog: %v\n", f)
	}
	if f.hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", f.hint)
	}
	return f.code
}

// errSilent is the error of a command that has already said all there is.
var errSilent = errors.New("done, with problems")

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "konlog",
		Short: "The durable log between AI agents and the people who watch them",
		Long: `The durable log between AI agents and the people who watch them.

Agents append events; browsers, scripts and other agents tail them over
WebSocket, SSE or long-poll. Nothing is lost, repeated or reordered, whatever
breaks in between.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed,
5 server not reachable.`,
		Example: `  konlog demo                                  see all of it in half a minute
  konlog serve                                 start the server
  konlog run --session s1 -- claude            run an agent behind it
  konlog ingest s1 -f agent.jsonl              feed it an agent's output
  konlog tail s1                               watch the session
  konlog prompt s1 Fix the tests --wait        ask its agent, and read along`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "TOML file with settings (env KONLOG_CONFIG); konlog config shows them all")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no progress on stderr")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w", err).because("%s --help", cmd.CommandPath())
	})
	a.addCommands(root)
	root.Version = thisBuild().Version
	root.SetVersionTemplate("konlog {{.Version}}\n")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	wrapUsage(root)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Run, cmd.RunE = nil, help
		}
	}
	return root
}

// addCommands adds every command, in the groups that help shows.
func (a *app) addCommands(root *cobra.Command) {
	const rest = "rest"
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"begin", "Begin:", []*cobra.Command{a.demoCommand(), a.serveCommand()}},
		{"log", "Write and read the log:", []*cobra.Command{
			a.appendCommand(), a.ingestCommand(), a.tailCommand(), a.sessionsCommand(), a.forkCommand(), a.blobCommand(),
		}},
		{"agent", "Work with agents:", []*cobra.Command{
			a.runCommand(), a.shellCommand(), a.promptCommand(), a.answerCommand(), a.stopCommand(), a.turnsCommand(), a.searchCommand(), a.inboxCommand(), a.seenCommand(),
			a.kontasksCommand(), a.kontaskCommand(), a.chooseCommand(), a.webhooksCommand(), a.fakeAgentCommand(),
		}},
		{"data", "Look after the data:", []*cobra.Command{a.exportCommand(), a.importCommand(), a.backupCommand(), a.restoreCommand(), a.followCommand(), a.verifyCommand(), a.redactCommand()}},
		{"access", "Say who may come in:", []*cobra.Command{a.tokenCommand()}},
		{rest, "And:", []*cobra.Command{a.healthCommand(), a.serviceCommand(), a.topCommand(), a.doctorCommand(), a.configCommand(), a.versionCommand(), a.benchCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(a.guardCommand())
	root.SetHelpCommandGroupID(rest)
	root.SetCompletionCommandGroupID(rest)
}

// help shows the help of the command that args name.
func help(self *cobra.Command, args []string) error {
	cmd, rest, err := self.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return usagef("there is no command %q", strings.Join(args, " ")).because("konlog --help shows all of them")
	}
	return cmd.Help()
}

// argsText says what is wrong with a command's arguments.
func argsText(cmd *cobra.Command, args []string) string {
	want := strings.TrimSpace(strings.TrimPrefix(cmd.Use, cmd.Name()))
	switch {
	case want == "" || strings.HasPrefix(want, "-"):
		return fmt.Sprintf("%s takes no arguments, but got %q", cmd.CommandPath(), args)
	case len(args) == 0:
		return fmt.Sprintf("%s needs %s", cmd.CommandPath(), want)
	case len(args) < required(want):
		return fmt.Sprintf("%s needs %s, but got only %q", cmd.CommandPath(), want, args)
	}
	return fmt.Sprintf("%s takes %s and no more, but got %q", cmd.CommandPath(), want, args)
}

// required counts the arguments that a usage names without brackets.
func required(usage string) (n int) {
	for _, word := range strings.Fields(usage) {
		if !strings.HasPrefix(word, "[") {
			n++
		}
	}
	return n
}

// wrapUsage gives mistakes in arguments the exit code of wrong usage, and makes
// a command that only groups others refuse unknown ones.
func wrapUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%s", argsText(cmd, args)).because("%s --help", cmd.CommandPath())
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.SuggestionsMinimumDistance = 2
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := cmd.CommandPath() + " --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + near[0] + "?"
			}
			return usagef("unknown command %q for %q", args[0], cmd.CommandPath()).because("%s", hint)
		}
	}
	for _, sub := range cmd.Commands() {
		wrapUsage(sub)
	}
}

// config resolves the settings for a command.
func (a *app) config(cmd *cobra.Command) (config, error) {
	file := a.configFile
	if env, ok := a.env("KONLOG_CONFIG"); ok && file == "" {
		file = env
	}
	a.warnOfEnvironment()
	return resolve(cmd.Flags(), a.env, file)
}
