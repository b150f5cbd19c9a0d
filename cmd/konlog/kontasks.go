package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func (a *app) kontasksCommand() *cobra.Command {
	var filter store.KontaskFilter
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "kontasks",
		Short: "List kontasks, the one that changed last first",
		Long: `List kontasks: cards that agents deliver, often after their turn has ended. The
one that changed last comes first.`,
		Example: `  konlog kontasks --open
  konlog kontasks --session s1 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			rows := [][]string{{"KONTASK", "STATUS", "SESSION", "CHANGED", "CHOSEN", "TITLE"}}
			n := 0
			err = eachKontask(cmd.Context(), cl, filter, func(k *store.Kontask) error {
				if n++; limit > 0 && n > limit {
					return errEnough
				}
				if asJSON {
					return printJSON(a.stdout, k.Record)
				}
				rows = append(rows, kontaskRow(k))
				return nil
			})
			if err != nil && err != errEnough || asJSON {
				return ignoreEnough(err)
			}
			if len(rows) == 1 {
				fmt.Fprintln(a.stderr, "no kontasks")
				return nil
			}
			return printTable(a.stdout, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&filter.Open, "open", false, "only those that were delivered and of which nothing was chosen")
	f.StringVar(&filter.Session, "session", "", "only of this session")
	f.StringVar(&filter.Status, "status", "", "only with this status")
	f.StringVar(&filter.Scope, "scope", "", "only of this scope")
	f.StringVar(&filter.Tag, "tag", "", "only with this tag")
	f.IntVar(&limit, "limit", 0, "at most so many; 0 lists all")
	f.BoolVar(&asJSON, "json", false, "one JSON object per kontask")
	addFlags(f, clientSetting)
	_ = cmd.RegisterFlagCompletionFunc("session", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.completeSessions(cmd, nil, begun)
	}) // the flag exists
	return cmd
}

// eachKontask calls f for each kontask that matches. One that changes while
// the list is read moves to its front and may be passed over.
func eachKontask(ctx context.Context, cl *client.Client, filter store.KontaskFilter, f func(*store.Kontask) error) error {
	seen := map[string]bool{}
	for {
		page, err := cl.Kontasks(ctx, filter)
		if err != nil {
			return err
		}
		for i := range page.Kontasks {
			k := &page.Kontasks[i]
			if seen[k.ID] {
				continue
			}
			seen[k.ID] = true
			if err := f(k); err != nil {
				return err
			}
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return nil
		}
	}
}

func kontaskRow(k *store.Kontask) []string {
	return []string{printable(k.ID), line(k.Text("status"), 20), k.Session, k.UpdatedAt.Local().Format(time.DateTime), line(chosenLabel(k), 30), line(k.Text("title"), 60)}
}

// line is what an agent wrote as one line of at most max bytes that cannot
// break a table.
func line(s string, max int) string {
	return printable(shorten(strings.Join(strings.Fields(s), " "), max))
}

// chosenLabel is what was chosen from the kontask, or "".
func chosenLabel(k *store.Kontask) string {
	if k.Chosen == 0 {
		return ""
	}
	e := store.Event{Data: k.Choice}
	return e.Text("label")
}

func (a *app) kontaskCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "kontask ID",
		Short:             "Show one kontask and what can be chosen",
		Example:           "  konlog kontask 0198f0c2-5f0e-7a39-9a0c-0b7f3f2b8f11",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKontasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			k, err := cl.Kontask(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, k.Record)
			}
			return a.printKontask(&k)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// cardLineMax bounds a member of a kontask that is shown in one line.
const cardLineMax = 400

func (a *app) printKontask(k *store.Kontask) error {
	rows := [][]string{
		{"kontask", printable(k.ID)}, {"session", k.Session}, {"type", line(k.Text("type"), cardLineMax)}, {"status", line(k.Text("status"), cardLineMax)},
		{"title", line(k.Text("title"), cardLineMax)}, {"description", line(k.Text("description"), cardLineMax)},
		{"tags", line(strings.Join(k.Tags(), ", "), cardLineMax)}, {"for", line(k.Text("targetUser"), cardLineMax)}, {"request", line(k.Text("requestId"), cardLineMax)},
		{"created", k.CreatedAt.Local().Format(time.DateTime)}, {"changed", k.UpdatedAt.Local().Format(time.DateTime)},
		{"chosen", line(chosenLabel(k), cardLineMax)},
	}
	shown := rows[:0]
	for _, row := range rows {
		if row[1] != "" {
			shown = append(shown, row)
		}
	}
	for i, c := range k.Choices() {
		text := line(c.Label, cardLineMax)
		if c.Primary {
			text += " (primary)"
		}
		shown = append(shown, []string{"choice " + strconv.Itoa(i), text})
	}
	if err := printTable(a.stdout, shown); err != nil {
		return err
	}
	if k.Chosen == 0 && len(k.Choices()) > 0 {
		a.say("choose with: %s", chooseLine(k.ID, len(k.Choices())))
	}
	return nil
}

// chooseLine is the command that chooses from a kontask of n choices.
func chooseLine(id string, n int) string {
	places := make([]string, 0, n)
	for i := range min(n, 4) { // more are seen in the kontask
		places = append(places, strconv.Itoa(i))
	}
	if n > len(places) {
		places = append(places, "…")
	}
	return "konlog choose " + shellWord(id) + " " + strings.Join(places, "|")
}

func (a *app) chooseCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "choose ID CHOICE",
		Short: "Choose from a kontask, and so prompt its session",
		Long: `Choose one of the choices of a kontask: by its place in the list, from 0, or by
its label or value. The prompt that it stands for is appended to the kontask's
session, once: the first choice counts, and when it was another one the exit
code is 1.`,
		Example: `  konlog choose 0198f0c2-5f0e-7a39-9a0c-0b7f3f2b8f11 0
  konlog choose 0198f0c2-5f0e-7a39-9a0c-0b7f3f2b8f11 "Merge it"`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeKontasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			k, err := cl.Kontask(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			place, err := placeOf(&k, args[1])
			if err != nil {
				return err
			}
			done, err := cl.ChooseAt(cmd.Context(), k.ID, place)
			if err != nil {
				return err
			}
			if err := a.printCommand(done, asJSON); err != nil {
				return err
			}
			if e := done.Event; done.Duplicate && e != nil && string(e.Field("choice")) != strconv.Itoa(place) {
				return failf("%s was chosen before, and the first choice counts", strconv.Quote(line(e.Text("label"), 60)))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the result as a JSON object")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// placeOf finds a choice by its label or value, or by its place: what is
// written on a card counts before its place in the list.
func placeOf(k *store.Kontask, choice string) (int, error) {
	choices := k.Choices()
	for i, c := range choices {
		if c.Label == choice || c.Value == choice {
			return i, nil
		}
	}
	if n, err := strconv.Atoi(choice); err == nil && n >= 0 && n < len(choices) {
		return n, nil
	}
	f := failf("kontask %s: %w", k.ID, store.Errorf(store.CodeNoChoice, "there are %d choices, and %q is none of them", len(choices), choice))
	f.code = exitNotFound
	return 0, f.because("konlog kontask %s shows the choices", shellWord(k.ID))
}

// completeKontasks offers kontasks, and for a second argument the choices.
func (a *app) completeKontasks(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	wanted := 1
	if cmd.Name() == "choose" {
		wanted = 2
	}
	if len(args) >= wanted {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	var offered []string
	if len(args) == 1 {
		k, err := cl.Kontask(ctx, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		for i, c := range k.Choices() {
			offered = append(offered, cobra.CompletionWithDesc(strconv.Itoa(i), line(c.Label, 60)))
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := cl.Kontasks(ctx, store.KontaskFilter{Open: wanted == 2})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range page.Kontasks {
		offered = append(offered, cobra.CompletionWithDesc(page.Kontasks[i].ID, line(page.Kontasks[i].Text("title"), 60)))
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}
