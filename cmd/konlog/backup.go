package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

func (a *app) backupCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "backup --to FILE",
		Short: "Copy the data to a file, also while the server runs",
		Long: `Copy the data to a file, consistent as of one moment, also while the server
runs. The file must not exist; when it appears it is complete.

To restore, put the file as konlog.db into an empty data directory. Sessions of
the copy have a new epoch, so readers that had seen more are told to start over.`,
		Example: "  konlog backup --data ./konlog-data --to konlog-2026-11-21.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.dataDir(cmd)
			if err != nil {
				return err
			}
			if to == "" {
				return usagef("backup needs --to FILE").because("konlog backup --to konlog.db")
			}
			if _, err := os.Lstat(to); err == nil {
				return failf("%s exists already", to).because("choose another name; backup never writes over a file")
			}
			p := a.progress("backup", "pages", 0)
			if err := sqlite.Backup(cmd.Context(), dir, to, p.at); err != nil {
				p.end("")
				return failf("%w", err)
			}
			size := int64(0)
			if info, err := os.Stat(to); err == nil {
				size = info.Size()
			}
			p.end("backup of %s written to %s, %s", dir, to, roughBytes(size))
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the file to write")
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}
