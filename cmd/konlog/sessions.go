package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
)

func (a *app) sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List, show, create, close and remove sessions",
		Example: `  konlog sessions ls
  konlog sessions create build-42 --title "Nightly build" --tag ci
  konlog sessions rm build-42`,
	}
	cmd.AddCommand(a.sessionsListCommand(), a.sessionsShowCommand(), a.sessionsCreateCommand(), a.sessionsCloseCommand(), a.sessionsKeepCommand(), a.sessionsSealsCommand(), a.sessionsRemoveCommand())
	return cmd
}

func (a *app) sessionsListCommand() *cobra.Command {
	var filter store.SessionFilter
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List sessions, newest activity first",
		Example: "  konlog sessions ls --state working --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			rows := [][]string{{"SESSION", "STATE", "EVENTS", "SIZE", "ACTIVE", "TITLE"}}
			n := 0
			err = eachSession(cmd.Context(), cl, filter, func(s store.SessionObject) error {
				if n++; limit > 0 && n > limit {
					return errEnough
				}
				if asJSON {
					return printJSON(a.stdout, s)
				}
				rows = append(rows, sessionRow(s))
				return nil
			})
			if err != nil && err != errEnough || asJSON {
				return ignoreEnough(err)
			}
			if len(rows) == 1 {
				fmt.Fprintln(a.stderr, "no sessions")
				return nil
			}
			return printTable(a.stdout, rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&filter.Scope, "scope", "", "only of this scope")
	f.StringVar(&filter.Tag, "tag", "", "only with this tag")
	f.StringVar(&filter.State, "state", "", "only in this state: idle, working, waiting or closed")
	f.StringVar(&filter.Search, "search", "", "only with this in the id or title")
	f.IntVar(&limit, "limit", 0, "at most so many; 0 lists all")
	f.BoolVar(&asJSON, "json", false, "one JSON object per session")
	addFlags(f, clientSetting)
	return cmd
}

// errEnough ends a listing early.
var errEnough = fmt.Errorf("enough")

func ignoreEnough(err error) error {
	if err == errEnough {
		return nil
	}
	return err
}

func sessionRow(s store.SessionObject) []string {
	return []string{s.ID, s.State, fmt.Sprint(s.Head - s.Floor + 1), roughBytes(s.Bytes), s.UpdatedAt.Local().Format(time.DateTime), printable(shorten(s.Title, 60))}
}

func (a *app) sessionsShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "show SESSION",
		Short:             "Show one session",
		Example:           "  konlog sessions show s1 --json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			s, err := cl.Session(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printSession(s, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) printSession(s store.SessionObject, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, s)
	}
	rows := [][]string{
		{"session", s.ID}, {"state", s.State}, {"title", printable(s.Title)}, {"scope", printable(s.Scope)}, {"tags", printable(strings.Join(s.Tags, ", "))},
		{"events", fmt.Sprintf("%d to %d", s.Floor, s.Head)}, {"size", roughBytes(s.Bytes)}, {"turn", printable(s.Turn)},
		{"prompts", some(s.Queued, "wait")}, {"questions", some(s.Questions, "open")}, {"agent's id", printable(s.AgentID)},
		{"created", s.CreatedAt.Local().Format(time.DateTime)}, {"active", s.UpdatedAt.Local().Format(time.DateTime)},
		{"epoch", s.Epoch}, {"meta", printable(string(s.Meta))},
	}
	if s.Retention != nil {
		rows = append(rows, []string{"keeps", keepText(s.Retention)})
	}
	rows = append(rows, quotaRows(s.Quota)...)
	shown := rows[:0]
	for _, row := range rows {
		if row[1] != "" {
			shown = append(shown, row)
		}
	}
	return printTable(a.stdout, shown)
}

// some is a number and what is said of it; "" for none.
func some(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (a *app) sessionsCreateCommand() *cobra.Command {
	var spec store.SessionSpec
	var meta string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "create [SESSION]",
		Short:   "Create an empty session; without an id the server chooses one",
		Example: `  konlog sessions create build-42 --title "Nightly build" --tag ci --meta '{"branch":"main"}'`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if meta != "" {
				spec.Meta = json.RawMessage(meta)
			}
			if err := spec.Check(); err != nil {
				return usagef("%w", err)
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			id := strings.Join(args, "")
			s, created, err := cl.CreateSession(cmd.Context(), id, spec)
			if err != nil {
				return err
			}
			if !created {
				return failf("session %s: %w", id, store.ErrExists)
			}
			if asJSON {
				return printJSON(a.stdout, s)
			}
			a.say("created session %s", s.ID)
			_, err = fmt.Fprintln(a.stdout, s.ID)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec.Title, "title", "", "what people see")
	f.StringVar(&spec.Scope, "scope", "", "what it belongs to")
	f.StringArrayVar(&spec.Tags, "tag", nil, "a tag; may be repeated")
	f.StringVar(&meta, "meta", "", "a JSON object of your own")
	f.BoolVar(&asJSON, "json", false, "the session as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) sessionsCloseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "close SESSION",
		Short:             "Close a session: it can be read but takes no more events",
		Example:           "  konlog sessions close build-42",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			_, err = cl.CloseSession(cmd.Context(), args[0])
			switch {
			case errors.Is(err, store.ErrSessionClosed):
				a.say("session %s was closed already", args[0])
				return nil
			case err == nil:
				a.say("closed session %s", args[0])
			}
			return err
		},
	}
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) sessionsRemoveCommand() *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:               "rm SESSION",
		Short:             "Remove a session and its events for good",
		Example:           "  konlog sessions rm build-42 --yes",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			terminal := isTerminal(a.stdin) && isTerminal(a.stderr)
			if !yes && !dryRun && !terminal {
				return usagef("not a terminal: add --yes").because("--dry-run says what would be removed")
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			s, err := cl.Session(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			what := fmt.Sprintf("session %s with %s, %s", s.ID, count(s.Head-s.Floor+1, "event"), roughBytes(s.Bytes))
			if dryRun {
				fmt.Fprintf(a.stderr, "would remove %s\n", what)
				return nil
			}
			if !yes && !a.confirm("remove "+what+"?") {
				return failf("nothing was removed")
			}
			if err := cl.DeleteSession(cmd.Context(), s.ID); err != nil {
				return err
			}
			a.say("removed %s", what)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be removed")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// confirm asks a person.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n') // an error is a no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
