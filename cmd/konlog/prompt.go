package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// promptBytesMax bounds a prompt that is read from standard input. A server
// takes no larger event unless its settings say so.
const promptBytesMax = store.EventBytesDefault

// patienceDefault is how long prompt --wait waits for somebody to begin the
// turn while nothing else runs: an agent that is there begins within seconds.
const patienceDefault = 30 * time.Second

// promptFlags are the flags of prompt.
type promptFlags struct {
	client.PromptSpec
	images   []string
	use      string
	wait     bool
	patience time.Duration
	json     bool
}

func (a *app) promptCommand() *cobra.Command {
	var o promptFlags
	cmd := &cobra.Command{
		Use:   "prompt SESSION TEXT...",
		Short: "Ask a session's agent for a turn, and with --wait print what it says",
		Long: `Append a prompt to a session; - reads its text from standard input. It is on
disk before anybody is asked to run it: whoever runs the session's agent reads
it in the log, at once or after the turns before it. The session is made when
it does not exist.

With --wait the command follows the turn to its end and prints the agent's text
as it streams. The exit code is 0 when the turn succeeded and 1 when it failed,
was stopped, or nobody began it.`,
		Example: `  konlog prompt s1 Run the tests and fix what fails
  git diff | konlog prompt review-7 - --wait
  konlog prompt s1 "What is wrong in this picture?" --image screen.png
  konlog prompt s1 "What is left to do?" --wait --key ask-17`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.prompt(cmd, args[0], args[1:], o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.images, "image", nil, "an image file that belongs to the prompt; may be repeated")
	f.StringVar(&o.Source, "source", "inject", "who asks: user, inject, kontask or api")
	f.StringVar(&o.Turn, "turn", "", "the id of the turn that it becomes; that of the open turn steers it (default chosen by the server)")
	f.StringVar(&o.Key, "key", "", "idempotency key: the same key and prompt ask once")
	f.StringVar(&o.use, "use", "", "ask for this agent of the server's (konlog serve --agent) to run the session")
	f.BoolVarP(&o.wait, "wait", "w", false, "follow the turn to its end and print the agent's text")
	f.DurationVar(&o.patience, "patience", patienceDefault, "with --wait: how long nobody may begin the turn while nothing else runs; 0 waits for ever")
	f.BoolVar(&o.json, "json", false, "the result as a JSON object; with --wait the turn's events, one per line")
	addFlags(f, clientSetting)
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions([]string{"inject", "user", "kontask", "api"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

func (a *app) prompt(cmd *cobra.Command, session string, words []string, o promptFlags) error {
	if o.patience < 0 {
		return usagef("--patience %s is below zero", o.patience)
	}
	if err := checkImages(o.images); err != nil {
		return err
	}
	text, err := a.promptText(cmd, words)
	if err != nil {
		return err
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	o.Text = text
	if o.Images, err = storeImages(cmd.Context(), cl, o.images); err != nil {
		return err
	}
	if o.use != "" {
		if err := useAgent(cmd.Context(), cl, session, o.use); err != nil {
			return err
		}
	}
	done, err := cl.Prompt(cmd.Context(), session, o.PromptSpec)
	if err != nil {
		return err
	}
	if o.wait {
		a.say("prompt %d of session %s asks for turn %s", done.ID, session, printable(done.Turn))
		w := &turnWatch{app: a, client: cl, session: session, turn: done.Turn, patience: o.patience, json: o.json}
		return w.run(cmd.Context(), done.ID-1)
	}
	return a.printCommand(done, o.json)
}

// promptText is the text that the arguments give.
func (a *app) promptText(cmd *cobra.Command, words []string) (string, error) {
	text := strings.Join(words, " ")
	if text == "-" {
		in, _, err := a.open(cmd.Context(), "-")
		if err != nil {
			return "", err
		}
		defer in.Close()
		b, err := io.ReadAll(io.LimitReader(in, promptBytesMax+1))
		if err != nil {
			return "", failf("read standard input: %w", err)
		}
		if len(b) > promptBytesMax {
			return "", usagef("the prompt on standard input is over %s", roughBytes(promptBytesMax)).because("put it into a file that the agent can read, and name that")
		}
		text = strings.TrimRight(string(b), "\r\n")
	}
	if strings.TrimSpace(text) == "" {
		return "", usagef("the prompt is empty")
	}
	return text, nil
}

// commandObject is a command's result as it is printed.
type commandObject struct {
	Session   string `json:"session"`
	ID        int64  `json:"id"`
	Turn      string `json:"turn,omitempty"`
	Duplicate bool   `json:"duplicate"`
}

// printCommand prints the event that a command made, and its turn.
func (a *app) printCommand(done client.Command, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, commandObject{done.Session, done.ID, done.Turn, done.Duplicate})
	}
	text := fmt.Sprintf("%s %d", done.Session, done.ID)
	if done.Turn != "" {
		text += " turn " + printable(done.Turn)
	}
	if done.Duplicate {
		text += " (was there already)"
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}
