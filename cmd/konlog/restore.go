package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

func (a *app) restoreCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in place",
		Long: `Put a backup in place. The file is copied into the data directory and checked in
all of it before anything changes: its SHA-256 if that lies beside it, then as
konlog verify does. An older schema is brought up. The server must be stopped.

A directory that holds data is refused. With --force that data is moved into a
directory inside it, replaced-TIME, and never deleted. A crash leaves the old
data or the new, never a mixture.

API keys (keys.json) stay as they are in the directory; when it has none, those
beside the backup come back, and with them keys that were revoked after it was
made.

Every session gets a new epoch: readers that have seen more than the backup
holds are told to start over (reset).`,
		Example: `  konlog restore konlog-2026-11-21.db --data ./konlog-data
  konlog restore konlog-2026-11-21.db --data ./konlog-data --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			return a.restore(cmd, args[0], c.text("data"), force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "move what the directory holds aside")
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}

func (a *app) restore(cmd *cobra.Command, file, dir string, force bool) error {
	shown := &phases{app: a}
	r, err := sqlite.Restore(cmd.Context(), file, dir, sqlite.RestoreOptions{
		Replace: force, Copied: shown.of("copy", "bytes"), Checked: shown.of("check", "events"),
		Problem: func(p sqlite.Problem) { fmt.Fprintln(a.stderr, "problem:", printable(p.String())) },
	})
	shown.end()
	if err != nil {
		return restoreFailure(cmd, err)
	}
	newest := ""
	if !r.Newest.IsZero() {
		newest = ", the newest of " + r.Newest.UTC().Format(time.RFC3339)
	}
	a.say("%s holds %s now: %s, %s%s", dir, file, count(r.Sessions, "session"), count(r.Events, "event"), newest)
	if r.Moved != "" {
		a.say("what was there before is in %s", r.Moved)
	}
	return a.restoreKeys(file, dir)
}

// restoreKeys brings API keys back where none are left. Those that are there are
// never replaced by older ones: revoked ones would open the door again.
func (a *app) restoreKeys(file, dir string) error {
	keys := filepath.Join(dir, keysFile)
	if _, err := os.Lstat(keys); err == nil {
		a.say("the API keys of %s were left as they are", dir)
		return nil
	}
	if _, err := os.Lstat(file + keysSuffix); err != nil {
		return nil
	}
	if err := copySmall(file+keysSuffix, keys); err != nil {
		return failf("restore the API keys: %w", err).because("cp %s %s", file+keysSuffix, keys)
	}
	a.say("the API keys are those of the backup, with those that were revoked since: konlog token list --data %s", dir)
	return nil
}

func restoreFailure(cmd *cobra.Command, err error) error {
	switch {
	case errors.Is(err, sqlite.ErrNotEmpty):
		return failf("%w", err).because("--data names another directory; --force moves what it holds aside")
	case errors.Is(err, sqlite.ErrNewerSchema):
		return failf("%w", err).because("use the konlog that wrote it, or a newer one")
	case errors.Is(err, sqlite.ErrBackupFile):
		return failf("%w; nothing was changed", err).because("take an older backup; konlog import FILE takes over what can be read of each session, up to its first hole")
	case cmd.Context().Err() != nil:
		return failf("interrupted; nothing was changed, or the restore is finished when the directory is opened next")
	}
	return failf("%w", err)
}
