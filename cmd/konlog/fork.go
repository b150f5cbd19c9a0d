package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
)

func (a *app) forkCommand() *cobra.Command {
	var f store.ForkSpec
	var title string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fork SESSION",
		Short: "Make a session that begins with another's history",
		Long: `Make a session that begins with another's history: it inherits the events up to
--after, or up to the head, as far as they can still be read, and goes its own
way from there. A turn that was open there ends as abandoned in the fork.`,
		Example: `  konlog fork s1 --after 120
  konlog fork s1 --after 120 --session s1-again --title "Another try"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.Session != "" {
				if err := f.Check(); err != nil {
					return usagef("%w", err)
				}
			}
			if cmd.Flags().Changed("title") {
				f.Title = &title
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("after") {
				s, err := cl.Session(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				f.After = s.Head
			}
			made, err := cl.Fork(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, made)
			}
			a.say("forked session %s after event %d into %s", args[0], f.After, made.ID)
			_, err = fmt.Fprintln(a.stdout, made.ID)
			return err
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&f.After, "after", 0, "the last event to inherit; all of them when not given")
	flags.StringVar(&f.Session, "session", "", "the new session's id; the server chooses one when not given")
	flags.StringVar(&title, "title", "", "its title; that of the source when not given")
	flags.BoolVar(&asJSON, "json", false, "the new session as a JSON object")
	addFlags(flags, clientSetting)
	return cmd
}

func (a *app) sessionsSealsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "seals SESSION",
		Short: "Print the seals of a session's hash chain",
		Long: `Print the seals of a session's hash chain, oldest first: the hash of all events up
to the one that is named. Kept where the server cannot reach, a hash proves later
that the log up to there is what it was; konlog verify holds the log against its
seals, and with --json it prints the newest ones.`,
		Example:           "  konlog sessions seals s1 | tail -1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			for after := int64(0); ; {
				page, err := cl.Seals(cmd.Context(), args[0], after, store.SealsPageMax)
				if err != nil {
					return err
				}
				for _, s := range page.Seals {
					if err := a.printSeal(s, asJSON); err != nil {
						return err
					}
				}
				if after = page.Next; after == 0 {
					return nil
				}
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per seal")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) printSeal(s store.Seal, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, struct {
			First    int64       `json:"first"`
			Last     int64       `json:"last"`
			Hash     string      `json:"hash"`
			SealedAt store.Stamp `json:"sealedAt"`
		}{s.First, s.Last, s.Hash.String(), store.Stamp{Time: s.SealedAt}})
	}
	_, err := fmt.Fprintf(a.stdout, "%d\t%d\t%s\t%s\n", s.First, s.Last, s.Hash, store.AppendTime(nil, s.SealedAt))
	return err
}
