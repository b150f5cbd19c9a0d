package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const redactLong = `Drop the content of events for good: data and raw go, from the log and from all
that was made of it, and from the disk. Ids, types, turns and times stay, so
readers lose no place: those who come later are told that there was something
(gap), and those who have the content that it is to be dropped (an event of type
redacted). What has left the server cannot be called back: a backup, an export or
a reader may still have it. Nor is it dropped from forks of the session, which
are named.

A short content, such as a PIN, can be guessed from the hash of it that is kept
to prove the rest of the log; konlog sessions rm takes that too.`

func (a *app) redactCommand() *cobra.Command {
	var reason string
	var yes, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "redact SESSION FROM[-TO]",
		Short: "Drop the content of events for good",
		Long:  redactLong,
		Example: `  konlog redact s1 42 --reason "an access key"
  konlog redact s1 40-55 --yes`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := parseRange(args[1])
			if err != nil {
				return usagef("%w", err)
			}
			spec.Reason = reason
			if terminal := isTerminal(a.stdin) && isTerminal(a.stderr); !yes && !dryRun && !terminal {
				return usagef("not a terminal: add --yes").because("--dry-run says what would be redacted")
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			s, err := cl.Session(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if spec.To > s.Head {
				return failf("event %d does not exist: the head of session %s is %d", spec.To, s.ID, s.Head)
			}
			what := fmt.Sprintf("the content of %s of session %s", eventRange(spec), s.ID)
			if dryRun {
				fmt.Fprintf(a.stderr, "would redact %s\n", what)
				return nil
			}
			if !yes && !a.confirm("redact "+what+" for good?") {
				return failf("nothing was redacted")
			}
			done, err := redactAll(cmd.Context(), cl, s.ID, spec)
			if err == nil {
				err = a.printRedacted(s.ID, done, asJSON)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "", "why; every reader gets it")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "only say what would be redacted")
	f.BoolVar(&asJSON, "json", false, "what was done as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}

// parseRange reads an id, or two with a dash between them.
func parseRange(text string) (r store.RedactSpec, err error) {
	first, last, two := strings.Cut(text, "-")
	if !two {
		last = first
	}
	r.From, err = strconv.ParseInt(first, 10, 64)
	if err == nil {
		r.To, err = strconv.ParseInt(last, 10, 64)
	}
	if err != nil || r.From < 1 || r.To < r.From {
		return r, fmt.Errorf("%.40q is no range of event ids: it looks like 42 or 40-55", text)
	}
	return r, nil
}

func eventRange(r store.RedactSpec) string {
	if r.From == r.To {
		return fmt.Sprintf("event %d", r.From)
	}
	return fmt.Sprintf("events %d to %d", r.From, r.To)
}

// redactAll redacts a range in parts that the server takes.
func redactAll(ctx context.Context, cl *client.Client, session string, spec store.RedactSpec) (all store.Redacted, err error) {
	for from := spec.From; from <= spec.To; from += store.RedactEventsMax {
		part := spec
		part.From, part.To = from, min(spec.To, from+store.RedactEventsMax-1)
		done, err := cl.Redact(ctx, session, part)
		if err != nil {
			if all.Events > 0 {
				err = fmt.Errorf("events %d to %d are redacted, then: %w", spec.From, from-1, err)
			}
			return all, err
		}
		all.Events += done.Events
		all.ID = max(all.ID, done.ID)
		all.Pending = done.Pending || all.Pending && done.Events == 0
		all.Forks = append(all.Forks, done.Forks...)
	}
	slices.Sort(all.Forks)
	all.Forks = slices.Compact(all.Forks)
	return all, nil
}

func (a *app) printRedacted(session string, done store.Redacted, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, struct {
			Session string   `json:"session"`
			ID      int64    `json:"id,omitempty"`
			Events  int64    `json:"events"`
			Pending bool     `json:"pending"`
			Forks   []string `json:"forks"`
		}{session, done.ID, done.Events, done.Pending, append([]string{}, done.Forks...)})
	}
	if done.Events == 0 {
		a.say("nothing was left to redact")
		return nil
	}
	a.say("redacted %s; event %d says so", count(done.Events, "event"), done.ID)
	if done.Pending {
		fmt.Fprintln(a.stderr, "note: the last traces leave the disk behind this answer; a backup or verify that runs holds that up until it has ended")
	}
	if len(done.Forks) > 0 {
		fmt.Fprintf(a.stderr, "note: forks of it that have a copy of such events: %s\n", strings.Join(done.Forks, ", "))
	}
	return nil
}
