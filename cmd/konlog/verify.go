package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

func (a *app) verifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the data is sound",
		Long: `Check that the data is sound: the file's own structure, ids without a hole,
events that can be read, keys that point at events. One line on stdout per
problem, with the session and the event. It changes nothing and may run beside
the server.

The exit code is 0 when all is sound, else 1.`,
		Example: "  konlog verify --data ./konlog-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.dataDir(cmd)
			if err != nil {
				return err
			}
			return a.verify(cmd, dir, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "problems and the summary as JSON objects")
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}

// verifyHint says what to do when the data could not be read to its end.
func verifyHint(dir string) string {
	if isDatabase(filepath.Join(dir, databaseFile)) {
		return "the data could not be read to its end; restore it from a backup if the file is damaged"
	}
	return openHint(dir)
}

func (a *app) verify(cmd *cobra.Command, dir string, asJSON bool) error {
	var printErr error
	problem := func(p sqlite.Problem) {
		if asJSON {
			printErr = printJSON(a.stdout, struct {
				Session string `json:"session,omitempty"`
				Event   int64  `json:"event,omitempty"`
				Problem string `json:"problem"`
			}{p.Session, p.Event, p.Detail})
			return
		}
		_, printErr = fmt.Fprintln(a.stdout, printable(p.String()))
	}
	bar := a.progress("verify", "events", 0)
	report, err := sqlite.Verify(cmd.Context(), dir, problem, bar.at)
	bar.end("")
	if err != nil {
		return failf("%w", err).because("%s", verifyHint(dir))
	}
	if asJSON {
		printErr = printJSON(a.stdout, struct {
			Sessions int64 `json:"sessions"`
			Events   int64 `json:"events"`
			Keys     int64 `json:"keys"`
			Problems int64 `json:"problems"`
		}{report.Sessions, report.Events, report.Keys, report.Problems})
	}
	if printErr != nil {
		return printErr
	}
	summary := fmt.Sprintf("%s: %s, %s, %s", dir, count(report.Sessions, "session"), count(report.Events, "event"), count(report.Keys, "key"))
	if report.Problems > 0 {
		return failf("%s: %s", summary, count(report.Problems, "problem")).because("keep a copy of the directory; with the server running, konlog export --out FILE writes all that can be read and names what is missing")
	}
	bar.end("%s: sound", summary)
	return nil
}
