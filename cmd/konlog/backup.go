package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

// keysSuffix is what the name of the copy of keys.json beside a backup ends
// with.
const keysSuffix = ".keys.json"

// backupName is that of a backup in a directory, and backupNames finds them:
// sorted by name they are sorted by age.
const backupName = "konlog-20060102T150405Z.db"

var backupNames = regexp.MustCompile(`^konlog-\d{8}T\d{6}Z\.db$`)

func (a *app) backupCommand() *cobra.Command {
	var to string
	var keep int
	cmd := &cobra.Command{
		Use:   "backup --to FILE",
		Short: "Copy the data to a file, also while the server runs",
		Long: `Copy the data to a file, consistent as of one moment, also while the server
runs. The copy is checked as konlog verify does before the file appears; beside
it is its SHA-256, as sha256sum writes it. An existing file is never written
over. When --to is a directory the file is named by the time, and --keep N
removes all but the newest N of such files there.

It copies the data directory, or with --server the data of a server on another
machine, for which it takes a token of an administrator. API keys are copied
from a data directory only, to FILE` + keysSuffix + `.

konlog restore puts a backup in place. Sessions then have a new epoch, so
readers that had seen more are told to start over.`,
		Example: `  konlog backup --data ./konlog-data --to konlog-2026-11-21.db
  konlog backup --data ./konlog-data --to /backups/ --keep 14
  konlog backup --server https://konlog.example.org --token-file token --to copy.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case to == "":
				return usagef("backup needs --to FILE").because("konlog backup --to konlog.db")
			case to == "-":
				return usagef("a backup cannot go to standard output: it is checked before it is done").because("konlog backup --to FILE && cat FILE")
			case cmd.Flags().Changed("server") && cmd.Flags().Changed("data"):
				return usagef("--server and --data are two places to copy from").because("give one of them")
			case keep < 0:
				return usagef("--keep %d: want a number from 1", keep)
			}
			file, dir, err := backupPlace(to, time.Now())
			if err != nil {
				return err
			}
			if keep > 0 && dir == "" {
				return usagef("--keep needs --to DIR").because("konlog backup --to %s/ --keep %d", filepath.Dir(to), keep)
			}
			if err := a.backup(cmd, file); err != nil || keep == 0 {
				return err
			}
			return a.keepNewest(dir, keep)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the file to write, or a directory")
	cmd.Flags().IntVar(&keep, "keep", 0, "in a directory, remove all but the newest so many")
	addFlags(cmd.Flags(), func(key string) bool { return dataSetting(key) || clientSetting(key) })
	return cmd
}

// backupPlace returns the file to write, and the directory when that was named.
func backupPlace(to string, now time.Time) (file, dir string, err error) {
	info, err := os.Stat(to)
	isDir := err == nil && info.IsDir()
	if !isDir && strings.HasSuffix(to, string(filepath.Separator)) {
		if err := os.MkdirAll(to, 0o700); err != nil {
			return "", "", failf("%w", err)
		}
		isDir = true
	}
	if isDir {
		dir, to = to, filepath.Join(to, now.UTC().Format(backupName))
	}
	if _, err := os.Lstat(to); err == nil {
		return "", "", failf("%s exists already", to).because("choose another name; backup never writes over a file")
	}
	return to, dir, nil
}

func (a *app) backup(cmd *cobra.Command, file string) error {
	ctx, from, err := cmd.Context(), "", error(nil)
	shown := &phases{app: a}
	o := sqlite.BackupOptions{Copied: shown.of("copy", "pages"), Checked: shown.of("check", "events"), Problem: func(p sqlite.Problem) {
		fmt.Fprintln(a.stderr, "problem:", printable(p.String()))
	}}
	var report sqlite.Report
	if cmd.Flags().Changed("server") {
		report, from, err = a.pulled(ctx, cmd, file, o)
	} else {
		report, from, err = a.copied(ctx, cmd, file, o)
	}
	shown.end()
	if err != nil {
		return backupFailure(ctx, err)
	}
	size := int64(0)
	if info, err := os.Stat(file); err == nil {
		size = info.Size()
	}
	a.say("backup of %s written to %s and checked: %s, %s, %s", from, file, roughBytes(size), count(report.Sessions, "session"), count(report.Events, "event"))
	return nil
}

// copied makes a backup of a data directory, with its API keys.
func (a *app) copied(ctx context.Context, cmd *cobra.Command, file string, o sqlite.BackupOptions) (r sqlite.Report, dir string, err error) {
	if dir, err = a.dataDir(cmd); err != nil {
		return r, dir, err
	}
	if err := copySmall(filepath.Join(dir, keysFile), file+keysSuffix); err != nil {
		return r, dir, failf("copy the API keys: %w", err)
	}
	if r, err = sqlite.Backup(ctx, dir, file, o); err != nil {
		_ = os.Remove(file + keysSuffix) // there may be none
	}
	return r, dir, err
}

func backupFailure(ctx context.Context, err error) error {
	var damaged *sqlite.DamagedError
	switch {
	case errors.As(err, &damaged):
		return failf("%w", err).because("the data itself is damaged: konlog verify says where; older backups may hold what is lost, keep them")
	case ctx.Err() != nil:
		return failf("interrupted; no backup was made, and what was copied is removed")
	}
	return err
}

// copySmall copies a file readable by its owner alone, if there is one. What is
// there already is replaced.
func copySmall(from, to string) error {
	content, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return writeWhole(to, func(w io.Writer) error { _, err := w.Write(content); return err })
}

// keepNewest removes old backups, and what lies beside them.
func (a *app) keepNewest(dir string, keep int) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return failf("remove old backups: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !backupNames.MatchString(e.Name()) })
	for _, e := range entries[:max(len(entries)-keep, 0)] {
		for _, suffix := range []string{"", sqlite.SumSuffix, keysSuffix} {
			if err := os.Remove(filepath.Join(dir, e.Name()+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return failf("remove old backups: %w", err)
			}
		}
		a.say("removed %s", filepath.Join(dir, e.Name()))
	}
	return nil
}
