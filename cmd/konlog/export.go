package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// exportFormat stands in the first line of every session of an export.
const exportFormat = "export/1"

// exportHeader is the line before a session's events.
type exportHeader struct {
	Konlog string `json:"konlog"`
	sessionObject
}

func (a *app) exportCommand() *cobra.Command {
	var sessions []string
	var out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write sessions to a file of JSON lines",
		Long: `Write sessions to a file of JSON lines: for each session a header
{"konlog":"export/1","id":…} and then its events in order, each as the server
sends it, with the agents' own lines as "raw". konlog import reads it back.

What is appended while it runs may be left out, but never anything before it.
Events that are damaged are left out and named, and the exit code is 1.`,
		Example: `  konlog export --out all.jsonl
  konlog export --session s1 > s1.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if out == "-" {
				return a.export(cmd.Context(), cl, a.stdout, sessions)
			}
			var left error
			err = writeWhole(out, func(w io.Writer) error {
				err := a.export(cmd.Context(), cl, w, sessions)
				if errors.Is(err, errLeftOut) {
					left, err = err, nil // the file is as whole as it can be
				}
				return err
			})
			return errors.Join(err, left)
		},
	}
	cmd.Flags().StringArrayVar(&sessions, "session", nil, "only this session; may be repeated")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "the file to write; - is standard output")
	addFlags(cmd.Flags(), clientSetting)
	_ = cmd.RegisterFlagCompletionFunc("session", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.completeSessions(cmd, nil, begun)
	}) // the flag exists
	return cmd
}

func (a *app) export(ctx context.Context, cl *client.Client, w io.Writer, ids []string) error {
	var sessions []store.Session
	total := int64(0)
	add := func(s store.Session) error {
		sessions = append(sessions, s)
		total += s.Head - s.Floor + 1
		return nil
	}
	if len(ids) == 0 {
		if err := eachSession(ctx, cl, store.SessionFilter{Limit: store.SessionsPageMax}, add); err != nil {
			return err
		}
	}
	for _, id := range ids {
		s, err := cl.Session(ctx, id)
		if err != nil {
			return fmt.Errorf("session %s: %w", id, err)
		}
		_ = add(s) // never fails
	}
	bar := a.progress("export", "events", total)
	buf := bufio.NewWriterSize(w, 256<<10)
	done, missing := int64(0), 0
	for _, s := range sessions {
		e := exporter{client: cl, w: buf, session: s, wrote: func() { done++; bar.at(done, total) }}
		if err := e.run(ctx); err != nil {
			bar.end("")
			return fmt.Errorf("export session %s: %w", s.ID, err)
		}
		for _, text := range e.missing {
			fmt.Fprintln(a.stderr, "missing: "+printable(text))
		}
		missing += len(e.missing)
	}
	if err := buf.Flush(); err != nil {
		bar.end("")
		return failf("%w", err)
	}
	bar.end("%s, %s", count(len(sessions), "session"), count(done, "event"))
	if missing > 0 {
		return failf("%w", errLeftOut).because("konlog verify says what is damaged; a backup may hold it")
	}
	return nil
}

// errLeftOut is the end of an export that wrote all that can be read.
var errLeftOut = errors.New("some events could not be read and are missing from the export")

// exporter writes one session.
type exporter struct {
	client  *client.Client
	w       io.Writer
	session store.Session
	wrote   func()
	missing []string // what could not be read
}

// damageRunMax is how many events in a row may be damaged before the rest of
// the session is given up.
const damageRunMax = 1000

// run writes the events up to the head that the header states, and passes over
// those that are damaged.
func (e *exporter) run(ctx context.Context) error {
	if err := printJSON(e.w, exportHeader{exportFormat, objectOf(e.session)}); err != nil {
		return failf("%w", err)
	}
	last := e.session.Floor - 1
	bad, cause := int64(0), error(nil) // damaged events up to last, and why
	for last < e.session.Head {
		n, err := e.stretch(ctx, last)
		if n > last {
			e.miss(last-bad+1, last, cause)
			last, bad = n, 0
		}
		if err == nil {
			break
		}
		if errors.Is(err, store.ErrNotFound) { // removed meanwhile: the other sessions are not
			last, bad, cause = e.session.Head, bad+e.session.Head-last, err
			break
		}
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, client.ErrUnreadable) {
			return err
		}
		if bad >= damageRunMax {
			last, bad = e.session.Head, bad+e.session.Head-last
			break
		}
		last, bad, cause = last+1, bad+1, err
	}
	e.miss(last-bad+1, last, cause)
	return nil
}

// stretch writes the events after the cursor until one cannot be read. It
// returns the last one that it wrote.
func (e *exporter) stretch(ctx context.Context, after int64) (int64, error) {
	for event, err := range e.client.Export(ctx, e.session.ID, after) {
		if err != nil {
			return after, err
		}
		if event.ID > e.session.Head {
			break
		}
		if _, err := fmt.Fprintf(e.w, "%s\n", event.JSON); err != nil {
			return after, failf("%w", err)
		}
		after = event.ID
		e.wrote()
	}
	return after, nil
}

func (e *exporter) miss(from, to int64, cause error) {
	switch {
	case from == to:
		e.missing = append(e.missing, fmt.Sprintf("session %s, event %d (%v)", e.session.ID, from, cause))
	case from < to:
		e.missing = append(e.missing, fmt.Sprintf("session %s, events %d to %d (%v)", e.session.ID, from, to, cause))
	}
}

// writeWhole writes a file that appears only when it is complete.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return failf("%w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
