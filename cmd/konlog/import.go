package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// importOptions are the flags of an import.
type importOptions struct {
	sessions []string
	as       string
	resume   bool
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Read sessions from a file that export wrote",
		Long: `Read sessions from a file that konlog export wrote, of JSON lines (- is standard
input) or a database, which may also come from konlog backup. Events keep their
ids, times and bytes. The file is never changed.

A session that has events already is refused. When an import was interrupted,
--resume compares the last event that arrived with the file and goes on after it.
Of a session that the file does not hold whole, what comes before the hole is
imported; the exit code is then 1.`,
		Example: `  konlog import all.jsonl
  konlog import s1.jsonl --as s1-copy
  konlog import backup.db --session s1
  konlog import all.jsonl --resume`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			return a.importFrom(cmd.Context(), cl, args[0], &o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.sessions, "session", nil, "only this session of the file; may be repeated")
	f.StringVar(&o.as, "as", "", "the id that the session gets; only for one session")
	f.BoolVar(&o.resume, "resume", false, "go on after the last event that arrived")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) importFrom(ctx context.Context, cl *client.Client, file string, o *importOptions) error {
	src, err := a.importSource(ctx, cl, file, o)
	if err != nil {
		return err
	}
	defer src.close()
	if err := a.checkImport(ctx, cl, src, o); err != nil {
		return err
	}
	in, err := src.text(ctx, false)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := a.progress("import", src.unit, src.size)
	im := &importer{client: cl, importOptions: o, entry: src.entry, lines: agent.NewSplitter(in, api.ImportLineBytesDefault), moved: func(l agent.TextLine) { bar.at(src.done(l), src.size) }}
	err = im.run(ctx)
	bar.end("%s, %s imported, %d there already", count(im.sessions, "session"), count(im.sent, "event"), im.skipped)
	return err
}

// importSource is what an import reads: sessions as JSON lines, whatever the
// file is.
type importSource struct {
	entry string // what a line is called
	unit  string // of size and done
	size  int64  // 0 when it is not known
	done  func(agent.TextLine) int64

	// text gives the lines, or with headersOnly no more than is needed to see
	// all headers. It can be called again only when once is false.
	text func(ctx context.Context, headersOnly bool) (io.ReadCloser, error)
	once bool

	close func()
}

// importSource opens a file by what it begins with.
func (a *app) importSource(ctx context.Context, cl *client.Client, file string, o *importOptions) (*importSource, error) {
	in, size, err := a.open(ctx, file)
	if err != nil {
		return nil, err
	}
	head := bufio.NewReader(in)
	magic, _ := head.Peek(len(databaseMagic)) // a short file is no database
	switch {
	case string(magic) != databaseMagic:
	case file == "-":
		_ = in.Close() // nothing was read
		return nil, failf("standard input is a database").because("give its file name: a database is not read from front to back")
	default:
		_ = in.Close() // nothing was written
		return a.databaseSource(ctx, cl, file, o)
	}
	src := &importSource{entry: "line", unit: "bytes", size: size, done: func(l agent.TextLine) int64 { return l.Offset }, close: func() {}}
	if src.once = file == "-"; src.once {
		src.text = func(ctx context.Context, _ bool) (io.ReadCloser, error) { return readCloser{head, in}, nil }
		return src, nil
	}
	_ = in.Close() // nothing was written
	src.text = func(ctx context.Context, _ bool) (io.ReadCloser, error) {
		in, _, err := a.open(ctx, file)
		return in, err
	}
	return src, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// importer reads an export and restores its sessions one after the other.
type importer struct {
	client *client.Client
	*importOptions
	entry string
	lines *agent.Splitter
	moved func(agent.TextLine)

	sessions      int
	found         []string // of the sessions asked for, those that were there
	sent, skipped int64
	short         []string // sessions that the file does not hold whole
}

// wants reports whether the session is to be imported.
func (o *importOptions) wants(id string) bool {
	return len(o.sessions) == 0 || slices.Contains(o.sessions, id)
}

// absent returns the sessions asked for that are not among found.
func (o *importOptions) absent(found []string) error {
	for _, id := range o.sessions {
		if !slices.Contains(found, id) {
			f := failf("the file holds no session %s", id)
			f.code = exitNotFound
			return f
		}
	}
	return nil
}

// errSeveral refuses one name for several sessions.
func errSeveral() error {
	return usagef("the file holds several sessions, so --as cannot name them").because("import them one by one with --session")
}

var headerMark = []byte(`{"konlog":"`)

// redactedMark ends the line of an event of which nothing is known but that it
// was redacted. It is a hole: there is nothing to restore.
var redactedMark = []byte(`,"redacted":true}`)

func (im *importer) run(ctx context.Context) error {
	line, err := im.next()
	for err == nil {
		h, headErr := readHeader(im.entry, line)
		if headErr != nil {
			return headErr
		}
		if !im.wants(h.ID) {
			line, err = im.pass()
			continue
		}
		im.found = append(im.found, h.ID)
		if im.sessions++; im.sessions > 1 && im.as != "" {
			return errSeveral()
		}
		line, err = im.session(ctx, h, line.Number)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	switch err := im.absent(im.found); {
	case err != nil:
		return err
	case im.sessions == 0:
		return failf("the file is empty")
	case len(im.short) > 0:
		return failf("%s", strings.Join(im.short, "; ")).because("the export is cut short or left damaged events out; what could be imported is stored, and --resume goes on with a whole one")
	}
	return nil
}

// pass passes over events up to the next header.
func (im *importer) pass() (line agent.TextLine, err error) {
	for err == nil {
		if line, err = im.next(); bytes.HasPrefix(line.Text, headerMark) {
			break
		}
	}
	return line, err
}

// readHeader reads the line before a session's events.
func readHeader(entry string, line agent.TextLine) (exportHeader, error) {
	var h exportHeader
	if !bytes.HasPrefix(line.Text, headerMark) {
		return h, failf("%s %d is not the header of an export", entry, line.Number).because("import reads files that konlog export wrote; use konlog append -f or konlog ingest for others")
	}
	if err := json.Unmarshal(line.Text, &h); err != nil {
		return h, failf("%s %d: the header is unsound: %w", entry, line.Number, err)
	}
	if h.Konlog != exportFormat {
		return h, failf("%s %d: format %q is not known", entry, line.Number, h.Konlog).because("this version reads %s", exportFormat)
	}
	return h, nil
}

func (im *importer) next() (agent.TextLine, error) {
	line, err := im.lines.Whole()
	if err == nil {
		im.moved(line)
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
	if err == nil && !bytes.HasPrefix(line.Text, headerMark) && !bytes.HasSuffix(line.Text, redactedMark) {
		first := line.Number
		if line, last, err = im.send(ctx, id, line, last); err != nil && !errors.Is(err, io.EOF) {
			return line, im.failed(id, first, line.Number, err)
		}
	}
	if last < h.Head && h.Floor <= h.Head {
		im.short = append(im.short, fmt.Sprintf("session %s, whose header is %s %d: the file ends at event %d of %d", id, im.entry, headerLine, last, h.Head))
	}
	for err == nil && !bytes.HasPrefix(line.Text, headerMark) { // behind a hole
		line, err = im.next()
	}
	return line, err
}

// failed names the line that was refused, or the one that was reached.
func (im *importer) failed(session string, first, reached int, err error) error {
	at := fmt.Sprintf("%s %d", im.entry, reached)
	var status *client.StatusError
	if errors.As(err, &status) && status.Line > 0 {
		at = fmt.Sprintf("%s %d", im.entry, first+status.Line-1)
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
		if h.Floor > h.Head && h.Head > s.Head { // nothing is left of it but how far it was
			if err := im.client.RestoreHead(ctx, id, h.Head); err != nil {
				return nil, fmt.Errorf("session %s: %w", id, err)
			}
		}
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
func clash(s store.SessionObject, h exportHeader, resume bool) error {
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
func (a *app) checkImport(ctx context.Context, cl *client.Client, src *importSource, o *importOptions) error {
	if src.once {
		return nil
	}
	in, err := src.text(ctx, true)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := agent.NewSplitter(in, api.ImportLineBytesDefault)
	var found []string
	for first := true; ; first = false {
		line, err := lines.Whole()
		if errors.Is(err, io.EOF) {
			return o.absent(found)
		}
		if err != nil {
			return err
		}
		if !first && !bytes.HasPrefix(line.Text, headerMark) {
			continue
		}
		h, err := readHeader(src.entry, line)
		if err != nil {
			return err
		}
		if !o.wants(h.ID) {
			continue
		}
		if found = append(found, h.ID); len(found) > 1 && o.as != "" {
			return errSeveral()
		}
		if err := o.clashes(ctx, cl, h); err != nil {
			f := explain(err)
			return failf("%s %d: %w; nothing was imported", src.entry, line.Number, f.err).because("%s", f.hint)
		}
	}
}

// clashes reports why the session of a header cannot be imported, or nil.
func (o *importOptions) clashes(ctx context.Context, cl *client.Client, h exportHeader) error {
	s, err := cl.Session(ctx, cmp.Or(o.as, h.ID))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return clash(s, h, o.resume)
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
			return line, last, failf("%s %d is no event of session %s", im.entry, line.Number, from)
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
		if n > 0 && last > 0 && n != last+1 || bytes.HasSuffix(line.Text, redactedMark) {
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
