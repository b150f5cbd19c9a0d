package main

import (
	"bufio"
	"context"
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

What is appended while it runs may be left out, but never anything before it.`,
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
			return writeWhole(out, func(w io.Writer) error { return a.export(cmd.Context(), cl, w, sessions) })
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
	done := int64(0)
	for _, s := range sessions {
		if err := exportSession(ctx, cl, buf, s, func() { done++; bar.at(done, total) }); err != nil {
			bar.end("")
			return fmt.Errorf("export session %s: %w", s.ID, err)
		}
	}
	if err := buf.Flush(); err != nil {
		bar.end("")
		return failf("%w", err)
	}
	bar.end("%d sessions, %d events", len(sessions), done)
	return nil
}

// exportSession writes the events up to the head that the header states.
func exportSession(ctx context.Context, cl *client.Client, w io.Writer, s store.Session, wrote func()) error {
	if err := printJSON(w, exportHeader{exportFormat, objectOf(s)}); err != nil {
		return err
	}
	for e, err := range cl.Export(ctx, s.ID, s.Floor-1) {
		if err != nil {
			return err
		}
		if e.ID > s.Head {
			break
		}
		if _, err := fmt.Fprintf(w, "%s\n", e.JSON); err != nil {
			return failf("%w", err)
		}
		wrote()
	}
	return nil
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
