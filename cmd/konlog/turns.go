package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// turnsArgs is what a person gives konlog turns.
type turnsArgs struct {
	filter       store.TurnFilter
	state        string
	since, until string
	limit        int
	asJSON       bool
}

func (a *app) turnsCommand() *cobra.Command {
	var args turnsArgs
	cmd := &cobra.Command{
		Use:   "turns [SESSION [TURN]]",
		Short: "List turns, newest first, or show one: what was asked, said and called, and where the time went",
		Long: `List the turns of a session, or of all sessions, newest first; with a turn
show that one: what was asked, what the agent said and which tools it called,
and where the time went.`,
		Example: `  konlog turns s1
  konlog turns --state open
  konlog turns s1 --tool Bash --since 24h
  konlog turns s1 r-7
  konlog turns --query migration --json`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: a.completeTurns,
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 2 {
				return a.showTurn(cmd, names[0], names[1], args.asJSON)
			}
			args.filter.Session = strings.Join(names, "")
			if err := args.resolve(time.Now()); err != nil {
				return err
			}
			return a.listTurns(cmd, &args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&args.state, "state", "", "only in this state: queued, open or ended")
	f.StringVar(&args.filter.Tool, "tool", "", "only those that called this tool")
	f.StringVar(&args.since, "since", "", "only those that began at or after: a time such as 2026-11-20T17:24:01Z, or how long ago, such as 24h or 7d")
	f.StringVar(&args.until, "until", "", "only those that began before, likewise")
	f.StringVar(&args.filter.Query, "query", "", "only those with these words in prompt, text or tools")
	f.IntVar(&args.limit, "limit", 0, "at most so many; 0 lists all")
	f.BoolVar(&args.asJSON, "json", false, "one JSON object per turn")
	addFlags(f, clientSetting)
	return cmd
}

// resolve checks what was given and fills in the filter.
func (t *turnsArgs) resolve(now time.Time) (err error) {
	switch t.filter.State = store.TurnState(t.state); t.filter.State {
	case "", store.TurnQueued, store.TurnOpen, store.TurnEnded:
	default:
		return usagef("--state %q: use queued, open or ended", t.state)
	}
	if t.filter.Since, err = moment("--since", t.since, now); err != nil {
		return err
	}
	if t.filter.Until, err = moment("--until", t.until, now); err != nil {
		return err
	}
	if t.limit > 0 {
		t.filter.Limit = min(t.limit, store.TurnsPageMax)
	}
	return nil
}

// moment reads a time, or how long ago it was; "" is none.
func moment(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	ago, err := parseDuration(s)
	if err != nil {
		return time.Time{}, usagef("%s %q: write a time like 2026-11-20T17:24:01Z, or how long ago it was, like 90m, 24h or 7d", flag, s)
	}
	return now.Add(-ago), nil
}

func (a *app) listTurns(cmd *cobra.Command, args *turnsArgs) error {
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	every := args.filter.Session == ""
	rows := [][]string{turnRow(every, "SESSION", "TURN", "STATE", "BEGAN", "TOOK", "TOOLS", "PROMPT")}
	n := 0
	err = eachTurn(cmd.Context(), cl, args.filter, func(t *store.TurnObject) error {
		if n++; args.limit > 0 && n > args.limit {
			return errEnough
		}
		if args.asJSON {
			return printJSON(a.stdout, t)
		}
		rows = append(rows, turnRow(every, t.Session, cell(t.Turn), turnState(t), turnTime(t), turnTook(t), fmt.Sprint(t.ToolCalls), cell(t.Prompt)))
		return nil
	})
	if err != nil && err != errEnough || args.asJSON {
		return ignoreEnough(err)
	}
	if len(rows) == 1 {
		fmt.Fprintln(a.stderr, "no turns")
		return nil
	}
	return printTable(a.stdout, rows)
}

// cellMax is how much of a text of somebody else's a table shows.
const cellMax = 60

// cell is the beginning of a text in one column of a table.
func cell(s string) string {
	return shorten(strings.Join(strings.Fields(printable(s)), " "), cellMax)
}

// turnRow leaves the session out of a list of one session.
func turnRow(every bool, cells ...string) []string {
	if every {
		return cells
	}
	return cells[1:]
}

// eachTurn calls f once for each turn that matches, newest first.
func eachTurn(ctx context.Context, cl *client.Client, filter store.TurnFilter, f func(*store.TurnObject) error) error {
	for {
		page, err := cl.Turns(ctx, filter)
		if err != nil {
			return err
		}
		for i := range page.Turns {
			if err := f(&page.Turns[i]); err != nil {
				return err
			}
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return nil
		}
	}
}

// turnState is the state of a turn, and of one that has ended also how.
func turnState(t *store.TurnObject) string {
	if t.State == store.TurnEnded && t.Reason != "" {
		return string(t.State) + ", " + cell(t.Reason)
	}
	return string(t.State)
}

// turnTime is when a turn began, or was asked for.
func turnTime(t *store.TurnObject) string {
	at := t.StartedAt
	if at.IsZero() {
		at = t.QueuedAt
	}
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(time.DateTime)
}

// turnTook is how long a turn took. An open one takes longer than its row in a
// list says.
func turnTook(t *store.TurnObject) string {
	if t.State != store.TurnEnded {
		return ""
	}
	return seconds(t.Timing.TotalMs)
}

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

// timingLine says where the time of a turn went.
func timingLine(t store.Timing) string {
	line := fmt.Sprintf("%s, %s, TTFE %d %%, thinking %d %%, tools %d %%",
		seconds(t.TotalMs), count(t.ToolCallCount, "tool"), t.TTFEPct, t.ThinkingPct, t.ToolsPct)
	if t.WaitingMs > 0 {
		line += ", waiting for an answer " + seconds(t.WaitingMs)
	}
	if t.QueueMs > 0 {
		line += ", before it in the queue " + seconds(t.QueueMs)
	}
	return line
}

func (a *app) showTurn(cmd *cobra.Command, session, turn string, asJSON bool) error {
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	t, err := cl.Turn(cmd.Context(), session, turn)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, t)
	}
	return a.printTurn(&t)
}

func (a *app) printTurn(t *store.TurnObject) error {
	rows := [][]string{
		{"turn", printable(t.Turn)}, {"session", t.Session}, {"state", turnState(t)}, {"error", printable(shorten(t.Error, lineDataMax))},
		{"agent", printable(t.Agent)}, {"source", printable(t.Source)}, {"began", turnTime(t)}, {"events", fmt.Sprintf("%d to %d", t.First, t.Last)},
		{"usage", printable(string(t.Usage))}, {"cost", costText(t)}, {"timing", timingLine(t.Timing)},
	}
	shown := rows[:0]
	for _, row := range rows {
		if row[1] != "" {
			shown = append(shown, row)
		}
	}
	if err := printTable(a.stdout, shown); err != nil {
		return err
	}
	p := a.paint(a.stdout)
	if t.Prompt != "" {
		fmt.Fprintf(a.stdout, "\n%s\n", p.bold("> "+strings.ReplaceAll(strings.TrimSuffix(printable(t.Prompt), "\n"), "\n", "\n> ")))
	}
	if t.ToolCalls > 0 {
		fmt.Fprintln(a.stdout)
		if err := printTable(a.stdout, toolRows(t)); err != nil {
			return err
		}
	}
	if t.Text != "" {
		fmt.Fprintf(a.stdout, "\n%s\n", strings.TrimSuffix(printable(t.Text), "\n"))
	}
	if t.TextCut {
		a.say("the text is longer; konlog tail %s has it all", t.Session)
	}
	return nil
}

func costText(t *store.TurnObject) string {
	if t.CostUSD == "" {
		return ""
	}
	return t.CostUSD.String() + " USD"
}

func toolRows(t *store.TurnObject) [][]string {
	rows := [][]string{{"TOOL", "TOOK", "EVENTS", ""}}
	for _, c := range t.Tools {
		took, events, outcome := "", fmt.Sprintf("%d to %d", c.Start, c.End), ""
		switch {
		case c.Start == 0:
			events = fmt.Sprint(c.End)
		case c.End == 0:
			events, outcome = fmt.Sprintf("from %d", c.Start), "running"
		default:
			took = seconds(c.EndedAt.Sub(c.StartedAt.Time).Milliseconds())
		}
		if c.IsError {
			outcome = "failed"
		}
		rows = append(rows, []string{cell(c.Name), took, events, outcome})
	}
	if more := t.ToolCalls - len(t.Tools); more > 0 {
		rows = append(rows, []string{fmt.Sprintf("and %d more", more), "", "", ""})
	}
	return rows
}

// completeTurns offers the server's sessions to the shell, and then the turns
// of the one that was chosen.
func (a *app) completeTurns(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeSessions(cmd, args, begun)
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	page, err := cl.Turns(ctx, store.TurnFilter{Session: args[0]})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, t := range page.Turns {
		if strings.HasPrefix(t.Turn, begun) {
			ids = append(ids, cobra.CompletionWithDesc(t.Turn, cell(t.Prompt)))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
