package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func (a *app) importCommand() *cobra.Command {
	var as string
	var resume bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Read sessions from a file that export wrote",
		Long: `Read sessions from a file that konlog export wrote; - is standard input. Events
keep their ids, times and bytes.

A session that has events already is refused. When an import was interrupted,
--resume compares the last event that arrived with the file and goes on after it.
Of a session that the file does not hold whole, what comes before the hole is
imported; the exit code is then 1.`,
		Example: `  konlog import all.jsonl
  konlog import s1.jsonl --as s1-copy
  konlog import all.jsonl --resume`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if err := a.checkImport(cmd.Context(), cl, args[0], as, resume); err != nil {
				return err
			}
			in, size, err := a.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			bar := a.progress("import", "bytes", size)
			im := &importer{client: cl, as: as, resume: resume, lines: agent.NewSplitter(in, api.ImportLineBytesDefault), moved: func(n int64) { bar.at(n, size) }}
			err = im.run(cmd.Context())
			bar.end("%s, %s imported, %d there already", count(im.sessions, "session"), count(im.sent, "event"), im.skipped)
			return err
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "the id that the session gets; only for a file of one session")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on after the last event that arrived")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// importer reads an export and restores its sessions one after the other.
type importer struct {
	client *client.Client
	as     string
	resume bool
	lines  *agent.Splitter
	moved  func(read int64)

	sessions      int
	sent, skipped int64
	short         []string // sessions that the file does not hold whole
}

var headerMark = []byte(`{"konlog":"`)

func (im *importer) run(ctx context.Context) error {
	line, err := im.next()
	for err == nil {
		h, headErr := readHeader(line)
		if headErr != nil {
			return headErr
		}
		if im.sessions++; im.sessions > 1 && im.as != "" {
			return usagef("the file holds several sessions, so --as cannot name them").because("export them one by one with --session")
		}
		line, err = im.session(ctx, h, line.Number)
	}
	if errors.Is(err, io.EOF) {
		if im.sessions == 0 {
			return failf("the file is empty")
		}
		if len(im.short) > 0 {
			return failf("%s", strings.Join(im.short, "; ")).because("the export is cut short or left damaged events out; what could be imported is stored, and --resume goes on with a whole one")
		}
		return nil
	}
	return err
}

// readHeader reads the line before a session's events.
func readHeader(line agent.TextLine) (exportHeader, error) {
	var h exportHeader
	if !bytes.HasPrefix(line.Text, headerMark) {
		return h, failf("line %d is not the header of an export", line.Number).because("import reads files that konlog export wrote; use konlog append -f or konlog ingest for others")
	}
	if err := json.Unmarshal(line.Text, &h); err != nil {
		return h, failf("line %d: the header is unsound: %w", line.Number, err)
	}
	if h.Konlog != exportFormat {
		return h, failf("line %d: format %q is not known", line.Number, h.Konlog).because("this version reads %s", exportFormat)
	}
	return h, nil
}

func (im *importer) next() (agent.TextLine, error) {
	line, err := im.lines.Next()
	if err == nil {
		im.moved(line.Offset)
	}
	return line, err
}

// session restores one session and returns the line after it, or io.EOF.
func (im *importer) session(ctx context.Context, h exportHeader, headerLine int) (agent.TextLine, error) {
	id := h.ID
	if im.as != "" {
		id = im.as
	}
	have, err := im.prepare(ctx, id, h)
	if err != nil {
		return agent.TextLine{}, err
	}
	line, last, err := im.skip(id, h.ID, have)
	if err != nil && !errors.Is(err, io.EOF) {
		return line, err
	}
	if err == nil && !bytes.HasPrefix(line.Text, headerMark) {
		first := line.Number
		if line, last, err = im.send(ctx, id, line, last); err != nil && !errors.Is(err, io.EOF) {
			return line, importError(id, first, line.Number, err)
		}
	}
	if last < h.Head && h.Floor <= h.Head {
		im.short = append(im.short, fmt.Sprintf("session %s, whose header is line %d: the file ends at event %d of %d", id, headerLine, last, h.Head))
	}
	for err == nil && !bytes.HasPrefix(line.Text, headerMark) { // behind a hole
		line, err = im.next()
	}
	return line, err
}

// importError names the line that was refused, or the one that was reached.
func importError(session string, first, reached int, err error) error {
	at := fmt.Sprintf("line %d", reached)
	var status *client.StatusError
	if errors.As(err, &status) && status.Line > 0 {
		at = fmt.Sprintf("line %d", first+status.Line-1)
	}
	return failf("%s, session %s: %w", at, session, err).because("what came before is stored; --resume goes on after it")
}

// prepare makes the session, or finds out how far an earlier import came. It
// returns the last event that is there, or nil.
func (im *importer) prepare(ctx context.Context, id string, h exportHeader) (*client.Event, error) {
	s, _, err := im.client.CreateSession(ctx, id, store.SessionSpec{Title: h.Title, Scope: h.Scope, Tags: h.Tags, Meta: h.Meta})
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if err := clash(s, h, im.resume); err != nil {
		return nil, err
	}
	if s.Floor > s.Head {
		return nil, nil // empty; the file begins above its ids
	}
	page, err := im.client.Read(ctx, id, client.PageQuery{After: s.Head - 1, Raw: true})
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if len(page.Events) == 0 {
		return nil, failf("session %s changed while it was read", id).because("import into a session that nobody appends to")
	}
	return &page.Events[0], nil
}

// clash reports why a session of the file cannot go into s, or nil.
func clash(s store.Session, h exportHeader, resume bool) error {
	switch {
	case s.Head == 0 || s.Floor > s.Head && h.Floor > s.Head:
		return nil
	case s.Floor > s.Head:
		return failf("session %s was removed at event %d, and ids are never used again", s.ID, s.Head).because("--as NAME imports it under another id")
	case !resume:
		return failf("session %s exists and has events up to %d", s.ID, s.Head).because("--resume goes on after an interrupted import; --as NAME imports it beside")
	}
	return nil
}

// checkImport holds all headers of a file against the sessions there are, so
// that an import that cannot end does not begin. Standard input is read once only.
func (a *app) checkImport(ctx context.Context, cl *client.Client, file, as string, resume bool) error {
	if file == "-" {
		return nil
	}
	in, _, err := a.open(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := agent.NewSplitter(in, api.ImportLineBytesDefault)
	for sessions := 0; ; {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if sessions > 0 && !bytes.HasPrefix(line.Text, headerMark) {
			continue
		}
		h, err := readHeader(line)
		if err != nil {
			return err
		}
		if sessions++; sessions > 1 && as != "" {
			return usagef("the file holds several sessions, so --as cannot name them").because("export them one by one with --session")
		}
		s, err := cl.Session(ctx, cmp.Or(as, h.ID))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil {
			err = clash(s, h, resume)
		}
		if err != nil {
			f := explain(err)
			return failf("line %d: %w; nothing was imported", line.Number, f.err).because("%s", f.hint)
		}
	}
}

// skip passes over the events that are there already, and makes sure that the
// last one is the same in the file. It returns the first line to send, or a
// header, or io.EOF.
func (im *importer) skip(id, from string, have *client.Event) (line agent.TextLine, last int64, err error) {
	same := have == nil
	for {
		if line, err = im.next(); err != nil || bytes.HasPrefix(line.Text, headerMark) {
			break
		}
		n, body, ok := splitEvent(line.Text, from)
		if !ok {
			return line, last, failf("line %d is no event of session %s", line.Number, from)
		}
		if have == nil || n > have.ID {
			break
		}
		if n == have.ID {
			_, there, _ := splitEvent(have.JSON, id)
			same = bytes.Equal(body, there)
		}
		last = n
		im.skipped++
	}
	if !same && (err == nil || errors.Is(err, io.EOF)) {
		return line, last, failf("session %s holds another event %d than the file", id, have.ID).because("it is not the session that was exported; --as NAME imports it beside")
	}
	return line, last, err
}

// splitEvent takes the id off an event object, and everything up to the session.
func splitEvent(line []byte, session string) (id int64, rest []byte, ok bool) {
	text, ok := bytes.CutPrefix(line, []byte(`{"id":`))
	digits, text, found := bytes.Cut(text, []byte(","))
	id, err := strconv.ParseInt(string(digits), 10, 64)
	rest, named := bytes.CutPrefix(text, []byte(`"session":"`+session+`",`))
	return id, rest, ok && found && err == nil && named
}

// send streams events from line on, up to a header, a hole or the end. from is
// the event before them, or 0.
func (im *importer) send(ctx context.Context, id string, line agent.TextLine, from int64) (after agent.TextLine, last int64, err error) {
	last = from
	pr, pw := io.Pipe()
	result := make(chan error, 1) // the import's end never waits for us
	go func() {
		_, err := im.client.Import(ctx, id, pr)
		_ = pr.CloseWithError(errOr(err, io.ErrClosedPipe)) // never fails; it wakes a write that nobody reads
		result <- err
	}()
	for err == nil && !bytes.HasPrefix(line.Text, headerMark) {
		n, _, _ := splitEvent(line.Text, "")
		if n > 0 && last > 0 && n != last+1 {
			break
		}
		// The line break goes along in one write, so that the server never waits
		// for the end of a line that is whole.
		if _, writeErr := pw.Write(append(bytes.Clone(line.Text), '\n')); writeErr != nil {
			break // the import has ended; result says why
		}
		last = max(last, n)
		im.sent++
		line, err = im.next()
	}
	_ = pw.CloseWithError(ignoreEOF(err)) // never fails
	if importErr := <-result; importErr != nil {
		return line, last, importErr
	}
	return line, last, err
}

func errOr(err, or error) error {
	if err != nil {
		return err
	}
	return or
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
