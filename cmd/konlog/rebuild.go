package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// rebuilt is what came of one session's rebuild.
type rebuilt struct {
	Session     string   `json:"session"`
	Differences []string `json:"differences"`
	Trimmed     bool     `json:"trimmed"` // retention has taken its first events: only what began after them was made again
}

// rebuild makes again what is derived from the log: turns, questions, kontasks
// and what each session waits for.
func (a *app) rebuild(cmd *cobra.Command, dir string, asJSON bool) error {
	ctx := cmd.Context()
	log, err := sqlite.Open(ctx, dir, sqlite.Options{CacheBytes: -1, LeasesByHand: true}) // the log itself stays as it is
	if err != nil {
		return failf("%w", err).because("%s", openErrorHint(err, dir))
	}
	sum, err := a.rebuildAll(ctx, log, asJSON)
	if closeErr := log.Close(); err == nil && closeErr != nil {
		err = failf("%w", closeErr)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, sum)
	}
	a.say("%s: %s rebuilt, %s mended, %s rebuilt in part", dir, count(sum.Sessions, "session"), count(sum.Differences, "difference"), count(sum.Trimmed, "session"))
	return nil
}

// rebuildSum is the summary of a rebuild.
type rebuildSum struct {
	Sessions    int64 `json:"sessions"`
	Differences int64 `json:"differences"`
	Trimmed     int64 `json:"trimmed"`
}

func (a *app) rebuildAll(ctx context.Context, log *sqlite.Log, asJSON bool) (sum rebuildSum, err error) {
	bar := a.progress("rebuild", "sessions", 0)
	defer bar.end("")
	filter := store.SessionFilter{Limit: store.SessionsPageMax}
	for {
		page, err := log.ListSessions(ctx, filter)
		if err != nil {
			return sum, failf("%w", err)
		}
		for i := range page.Sessions {
			s := &page.Sessions[i]
			differences, err := log.Rebuild(ctx, s.ID)
			if err != nil {
				return sum, failf("rebuild session %s: %w", s.ID, err).because("konlog verify says what is damaged")
			}
			r := rebuilt{Session: s.ID, Differences: differences, Trimmed: s.Floor > 1}
			if err := a.printRebuilt(&r, asJSON); err != nil {
				return sum, err
			}
			sum.Sessions++
			sum.Differences += int64(len(differences))
			if r.Trimmed {
				sum.Trimmed++
			}
			bar.at(sum.Sessions, 0)
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return sum, a.recount(ctx, log, asJSON, &sum)
		}
	}
}

// recount counts again what quotas are held against.
func (a *app) recount(ctx context.Context, log *sqlite.Log, asJSON bool, sum *rebuildSum) error {
	differences, err := log.Recount(ctx)
	if err != nil {
		return failf("count what is used: %w", err).because("konlog verify says what is damaged")
	}
	sum.Differences += int64(len(differences))
	if len(differences) == 0 {
		return nil
	}
	return a.printRebuilt(&rebuilt{Differences: differences}, asJSON)
}

// printRebuilt prints a line per difference, and one for a session of which
// only a part could be rebuilt.
func (a *app) printRebuilt(r *rebuilt, asJSON bool) error {
	if asJSON {
		if r.Differences == nil {
			r.Differences = []string{}
		}
		return printJSON(a.stdout, r)
	}
	for _, difference := range r.Differences {
		where := ""
		if r.Session != "" {
			where = "session " + r.Session + ": "
		}
		if _, err := fmt.Fprintf(a.stdout, "%s%s\n", where, printable(difference)); err != nil {
			return failf("%w", err)
		}
	}
	if r.Trimmed {
		a.say("session %s: its first events are gone (retention); what began in them was left as it is", r.Session)
	}
	return nil
}
