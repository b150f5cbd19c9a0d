package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func (a *app) inboxCommand() *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "Show which sessions need you, why, and the command that answers",
		Long: `Show which sessions need you, newest activity first: those whose agent waits
for an answer, those whose last turn ended and was not seen, and kontasks that
were not seen. One line each, with the command that answers it; konlog seen
takes the others out.`,
		Example: `  konlog inbox
  konlog inbox --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			rows := [][]string{{"SESSION", "WHY", "WHAT", "COMMAND"}}
			err = eachInboxItem(cmd, cl, limit, func(item *store.InboxObject) error {
				if asJSON {
					return printJSON(a.stdout, item)
				}
				rows = append(rows, inboxRows(item)...)
				return nil
			})
			if err != nil || asJSON {
				return err
			}
			if len(rows) == 1 {
				fmt.Fprintln(a.stderr, "nothing waits for you")
				return nil
			}
			return printTable(a.stdout, rows)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many sessions; 0 lists all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per session")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// eachInboxItem calls f for each session that waits, at most limit of them
// when it is above 0. A session that becomes active meanwhile moves to the
// front; it is not told twice.
func eachInboxItem(cmd *cobra.Command, cl *client.Client, limit int, f func(*store.InboxObject) error) error {
	seen := map[string]bool{}
	for cursor := ""; ; {
		page, err := cl.Inbox(cmd.Context(), cursor, 0)
		if err != nil {
			return err
		}
		for i := range page.Items {
			item := &page.Items[i]
			if seen[item.Session.ID] {
				continue
			}
			if limit > 0 && len(seen) == limit {
				return nil
			}
			seen[item.Session.ID] = true
			if err := f(item); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

// inboxWhatMax bounds what a line of the inbox says of its matter.
const inboxWhatMax = 60

// inboxRows are the lines of a session, one for each thing that waits.
func inboxRows(item *store.InboxObject) (rows [][]string) {
	id := item.Session.ID
	for _, q := range item.Questions {
		rows = append(rows, []string{id, store.ReasonWaiting, line(asked(q.Tool, q.Input), inboxWhatMax), answerLine(id, q.RequestID)})
	}
	if e := item.Ended; e != nil {
		why, what := store.ReasonFinished, "turn "+e.Turn
		if !e.Success {
			why = store.ReasonFailed
		}
		if e.Reason != "" && e.Reason != "done" {
			what += ": " + e.Reason
		}
		rows = append(rows, []string{id, why, line(what, inboxWhatMax), "konlog turns " + id + " " + shellWord(e.Turn)})
	}
	for _, k := range item.Kontasks {
		rows = append(rows, []string{id, store.ReasonKontask, line(k.Title, inboxWhatMax), kontaskLine(&k)})
	}
	return rows
}

// kontaskLine is the command that answers a kontask: to choose, or to look at
// one that offers nothing.
func kontaskLine(k *store.Card) string {
	var choices []json.RawMessage
	if json.Unmarshal(k.Choices, &choices) == nil && len(choices) > 0 {
		return chooseLine(k.KontaskID, len(choices))
	}
	return "konlog kontask " + shellWord(k.KontaskID)
}

func (a *app) seenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seen SESSION [ID]",
		Short: "Say that you have seen a session, so that the inbox shows it no more",
		Long: `Say that you have seen a session, up to the event of the given id or up to its
last one. The inbox then shows what comes later, and questions that are open.
What was seen stays seen: a lower id changes nothing.`,
		Example: `  konlog seen s1
  konlog seen s1 120`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := int64(-1)
			if len(args) == 2 {
				var err error
				if id, err = strconv.ParseInt(args[1], 10, 64); err != nil || id < 0 {
					return usagef("%q is no event id", args[1]).because("it is a number, such as 120; without it all is seen")
				}
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if id < 0 {
				s, err := cl.Session(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				id = s.Head
			}
			mark, err := cl.Seen(cmd.Context(), args[0], id)
			if err != nil {
				return err
			}
			a.say("session %s is seen up to event %d", args[0], mark)
			return nil
		},
	}
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}
