package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store/sqlite"
)

func (a *app) verifyCommand() *cobra.Command {
	var asJSON, rebuild bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the data is sound",
		Long: `Check that the data is sound: the file's own structure, ids without a hole,
events that can be read, keys that point at events, and that the events are
those that were sealed: every turn's end is sealed with a hash of all events up
to there. One line on stdout per problem, with the session and the event or the
seal. It changes nothing and may run beside the server. With --json it also
prints the newest seal of each session, to be kept where the server cannot
reach.

The exit code is 0 when all is sound, else 1.

With --rebuild it does something else: it makes again what is derived from the
log (turns, questions, kontasks, what each session waits for), puts it in the
place of what is stored, and prints each difference. No server may run on the
directory meanwhile. The exit code is 0 when all was rebuilt.`,
		Example: `  konlog verify --data ./konlog-data
  konlog verify --rebuild --data ./konlog-data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.dataDir(cmd)
			if err != nil {
				return err
			}
			if rebuild {
				return a.rebuild(cmd, dir, asJSON)
			}
			return a.verify(cmd, dir, asJSON)
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "make turns, questions and kontasks again from the log; the server must be stopped")
	cmd.Flags().BoolVar(&asJSON, "json", false, "problems, or what was rebuilt, and the summary as JSON objects")
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}

// verifyHint says what to do when the data could not be read to its end.
func verifyHint(err error, dir string) string {
	if errors.Is(err, sqlite.ErrNewerSchema) || errors.Is(err, sqlite.ErrOlderSchema) {
		return openErrorHint(err, dir)
	}
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
		return failf("%w", err).because("%s", verifyHint(err, dir))
	}
	if asJSON {
		printErr = errors.Join(printErr, a.printReport(&report))
	}
	if printErr != nil {
		return printErr
	}
	summary := fmt.Sprintf("%s: %s, %s, %s, %s proven", dir, count(report.Sessions, "session"), count(report.Events, "event"), count(report.Keys, "key"), count(report.Proven, "event"))
	if report.Unprovable > 0 { // nothing is wrong with them: what they were sealed with is gone
		summary += fmt.Sprintf(", %d not provable since retention took a part of their seal", report.Unprovable)
	}
	if report.Problems > 0 {
		return failf("%s: %s", summary, count(report.Problems, "problem")).because("keep a copy of the directory; with the server running, konlog export --out FILE writes all that can be read and names what is missing")
	}
	bar.end("%s: sound", summary)
	return nil
}

// printReport prints what was found sound: the newest seal of each session,
// then the numbers.
func (a *app) printReport(r *sqlite.Report) error {
	for _, s := range r.Sealed {
		err := printJSON(a.stdout, struct {
			Session string `json:"session"`
			Sealed  int64  `json:"sealed"`
			Hash    string `json:"hash"`
		}{s.Session, s.Last, s.Hash.String()})
		if err != nil {
			return err
		}
	}
	return printJSON(a.stdout, struct {
		Sessions   int64 `json:"sessions"`
		Events     int64 `json:"events"`
		Keys       int64 `json:"keys"`
		Proven     int64 `json:"proven"`
		Unprovable int64 `json:"unprovable"`
		Unsealed   int64 `json:"unsealed"`
		Problems   int64 `json:"problems"`
	}{r.Sessions, r.Events, r.Keys, r.Proven, r.Unprovable, r.Unsealed, r.Problems})
}
