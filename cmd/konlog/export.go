package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// The forms of an export.
const (
	formatJSONL  = "jsonl"
	formatSQLite = "sqlite"
	formatHTML   = "html"
)

// exportFormat stands in the first line of every session of an export.
const exportFormat = "export/1"

// exportHeader is the line before a session's events: all of the session that
// an import restores. Times and the epoch are not in it, for they belong to one
// server's copy; so the same session gives the same bytes wherever it lies.
type exportHeader struct {
	Konlog string          `json:"konlog"`
	ID     string          `json:"id"`
	Head   int64           `json:"head"`
	Floor  int64           `json:"floor"`
	Title  string          `json:"title,omitempty"`
	Scope  string          `json:"scope,omitempty"`
	Tags   []string        `json:"tags,omitempty"`
	Meta   json.RawMessage `json:"meta,omitempty"`
}

func headerOf(s *store.SessionObject) exportHeader {
	return exportHeader{Konlog: exportFormat, ID: s.ID, Head: s.Head, Floor: s.Floor, Title: s.Title, Scope: s.Scope, Tags: s.Tags, Meta: s.Meta}
}

// sink takes what an export reads. For each session begin is called once, then
// event in the order of ids, which has holes where events could not be read.
type sink interface {
	begin(ctx context.Context, s *store.SessionObject) error
	event(ctx context.Context, e *client.Event) error
	// end finishes the session. missing is what could not be read; it returns
	// what the sink itself had to leave out.
	end(ctx context.Context, missing []string) (left []string, err error)
}

// exportOptions are the flags of an export.
type exportOptions struct {
	sessions []string
	out      string
	format   string
	force    bool
}

func (a *app) exportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write sessions to a file: as JSON lines, a database, or a page",
		Long: `Write sessions to a file.

--format jsonl, the default, has for each session a header
{"konlog":"export/1","id":…} and then its events in order, each as the server
sends it, with the agents' own lines as "raw". konlog import reads it back.

--format sqlite is a SQLite database with konlog's own tables. konlog import
reads it back, and as konlog.db in an otherwise empty directory it can be served
by konlog serve --data DIR. The file must not exist, unless --force is given.

--format html is a page that shows one session and replays it at the pace at
which it was recorded. It holds all it needs and asks no server for anything.

What is appended while it runs may be left out, but never anything before it.
Events that are damaged are left out and named, and the exit code is 1.`,
		Example: `  konlog export --out all.jsonl
  konlog export --session s1 > s1.jsonl
  konlog export --session s1 --format html --out s1.html
  konlog export --session s1 --format sqlite --out s1.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			return a.exportTo(cmd.Context(), cl, &o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.sessions, "session", nil, "only this session; may be repeated")
	f.StringVarP(&o.out, "out", "o", "-", "the file to write; - is standard output")
	f.StringVar(&o.format, "format", formatJSONL, "jsonl, sqlite or html")
	f.BoolVar(&o.force, "force", false, "with --format sqlite: replace the file if it exists")
	addFlags(f, clientSetting)
	_ = cmd.RegisterFlagCompletionFunc("session", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.completeSessions(cmd, nil, begun)
	}) // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{formatJSONL, formatSQLite, formatHTML}, cobra.ShellCompDirectiveNoFileComp)) // likewise
	return cmd
}

// check refuses what cannot be done before anything is read.
func (o *exportOptions) check() error {
	switch o.format {
	case formatJSONL:
	case formatSQLite:
		if o.out == "-" {
			return usagef("a database cannot be written to standard output").because("--out FILE names the file")
		}
		return checkDatabaseOut(o.out, o.force)
	case formatHTML:
		if len(o.sessions) != 1 {
			return usagef("a page shows one session").because("--session ID names it")
		}
	default:
		return usagef("format %q is not known", o.format).because("use jsonl, sqlite or html")
	}
	return nil
}

// exportTo writes the file, which appears when it is complete.
func (a *app) exportTo(ctx context.Context, cl *client.Client, o *exportOptions) error {
	if o.format == formatSQLite {
		return a.exportDatabase(ctx, cl, o)
	}
	write := func(w io.Writer) error {
		buf := bufio.NewWriterSize(w, 256<<10)
		var s sink = &lineSink{buf}
		if o.format == formatHTML {
			s = &pageSink{client: cl, w: buf}
		}
		err := a.export(ctx, cl, s, o.sessions)
		if err != nil && !errors.Is(err, errLeftOut) {
			return err
		}
		if flushErr := buf.Flush(); flushErr != nil {
			return failf("%w", flushErr)
		}
		return err
	}
	if o.out == "-" {
		return write(a.stdout)
	}
	var left error
	err := writeWhole(o.out, func(w io.Writer) error {
		err := write(w)
		if errors.Is(err, errLeftOut) {
			left, err = err, nil // the file is as whole as it can be
		}
		return err
	})
	return errors.Join(err, left)
}

// lineSink writes JSON lines.
type lineSink struct{ w io.Writer }

func (l *lineSink) begin(_ context.Context, s *store.SessionObject) error {
	if err := printJSON(l.w, headerOf(s)); err != nil {
		return failf("%w", err)
	}
	return nil
}

func (l *lineSink) event(_ context.Context, e *client.Event) error {
	if _, err := fmt.Fprintf(l.w, "%s\n", e.JSON); err != nil {
		return failf("%w", err)
	}
	return nil
}

func (l *lineSink) end(context.Context, []string) ([]string, error) { return nil, nil }

// export reads the sessions, all of them when ids names none, into the sink.
func (a *app) export(ctx context.Context, cl *client.Client, to sink, ids []string) error {
	var sessions []store.SessionObject
	total := int64(0)
	add := func(s store.SessionObject) error {
		sessions = append(sessions, s)
		total += s.Head - s.Floor + 1
		return nil
	}
	if len(ids) == 0 {
		if err := eachSession(ctx, cl, store.SessionFilter{Limit: store.SessionsPageMax}, add); err != nil {
			return err
		}
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		s, err := cl.Session(ctx, id)
		if err != nil {
			return fmt.Errorf("session %s: %w", id, err)
		}
		_ = add(s) // never fails
	}
	bar := a.progress("export", "events", total)
	done, missing := int64(0), 0
	for _, s := range sessions {
		e := exporter{client: cl, to: to, session: s, wrote: func() { done++; bar.at(done, total) }}
		if err := e.run(ctx); err != nil {
			bar.end("")
			return fmt.Errorf("export session %s: %w", s.ID, err)
		}
		for _, text := range e.missing {
			fmt.Fprintln(a.stderr, "missing: "+printable(text))
		}
		missing += len(e.missing)
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
	to      sink
	session store.SessionObject
	wrote   func()
	missing []string // what could not be read
}

// damageRunMax is how many events in a row may be damaged before the rest of
// the session is given up.
const damageRunMax = 1000

// run writes the events up to the head that the header states, and passes over
// those that are damaged.
func (e *exporter) run(ctx context.Context) error {
	if err := e.to.begin(ctx, &e.session); err != nil {
		return err
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
	left, err := e.to.end(ctx, e.missing)
	e.missing = append(e.missing, left...)
	return err
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
		if err := e.to.event(ctx, &event); err != nil {
			return after, err
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
