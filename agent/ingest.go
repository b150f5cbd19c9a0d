package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/konlog/konlog/store"
)

// The bounds of one append of an ingest: it takes what has arrived, up to these.
const (
	ingestEventsMax = 1000
	ingestBytesMax  = 4 << 20 // far below the request limit, also when all of it is escaped
)

// Sink is where an ingest puts what it makes.
type Sink struct {
	// Append is store.Log's Append for one session.
	Append func(ctx context.Context, drafts []store.Draft) (store.Appended, error)
	// PutBlob stores what is too large for an event.
	PutBlob func(ctx context.Context, contentType string, content []byte) (store.Blob, error)
}

// IngestOptions say how Ingest reads a source.
type IngestOptions struct {
	IntakeOptions
	LineBytes  int    // the longest line that is not read in parts; 0 is LineBytesDefault
	EventBytes int    // 0 is store.EventBytesDefault
	Pacer      *Pacer // or nil
	// EndTurns ends the turns that are open or wait when the source ends.
	EndTurns bool
	// Stop ends the pauses of the Pacer when it is closed, and with them the
	// ingest; nil never does.
	Stop <-chan struct{}
	// Moved is told how far the source is read; or nil. Turned is told the
	// stream's open turn, or "", when it has changed and is in the log; or nil.
	Moved  func(read int64)
	Turned func(turn string)
}

// IngestStats counts what Ingest did.
type IngestStats struct {
	Format     string         `json:"agent"`
	Lines      int            `json:"lines"`
	Events     int            `json:"events"`
	Appended   int            `json:"appended"`
	Duplicates int            `json:"duplicates"`
	First      int64          `json:"first"`
	Last       int64          `json:"last"`
	Turns      int            `json:"turns"`
	Demoted    int            `json:"demoted"`
	Blobs      int            `json:"blobs"`
	Unknown    map[string]int `json:"unknown"`
	Redacted   map[string]int `json:"redacted"`

	Line int `json:"-"` // the number of the line read last
}

// Add adds the counts of another source.
func (s *IngestStats) Add(o IngestStats) {
	s.Format, s.Line = o.Format, o.Line
	s.Lines += o.Lines
	s.Events += o.Events
	s.Appended += o.Appended
	s.Duplicates += o.Duplicates
	s.Turns += o.Turns
	s.Demoted += o.Demoted
	s.Blobs += o.Blobs
	if s.First == 0 {
		s.First = o.First
	}
	s.Last = max(s.Last, o.Last)
	s.Unknown, s.Redacted = sum(s.Unknown, o.Unknown), sum(s.Redacted, o.Redacted)
}

func sum(a, b map[string]int) map[string]int {
	all := map[string]int{}
	for _, m := range []map[string]int{a, b} {
		for name, n := range m {
			all[name] += n
		}
	}
	return all
}

// ConflictError says that a line's key stands for something else: what was
// ingested from this place before was another line.
type ConflictError struct {
	Line   int
	End    int64 // of the line, in the source
	Reason error
}

func (e *ConflictError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Reason) }

// Unwrap returns the log's refusal.
func (e *ConflictError) Unwrap() error { return e.Reason }

// Ingest reads lines to the end of r and appends what they mean, in order, in
// batches of what is there without waiting. An event that the log refuses for
// what it means, as the end of a turn that has ended, is demoted (Demote), and
// one that is too large has what is long in a blob, so that no line is lost. To
// ingest the same lines with the same keys again appends nothing. What was
// appended before an error stays; the stats are right with an error, too.
func Ingest(ctx context.Context, r io.Reader, o IngestOptions, to Sink) (IngestStats, error) {
	if o.LineBytes == 0 {
		o.LineBytes = LineBytesDefault
	}
	if o.EventBytes == 0 {
		o.EventBytes = store.EventBytesDefault
	}
	g := &ingest{o: o, to: to, intake: NewIntake(o.IntakeOptions), stats: IngestStats{}}
	err := g.run(ctx, NewSplitter(r, o.LineBytes))
	g.stats.Format, g.stats.Turns = g.intake.Format(), g.intake.Turns()
	g.stats.Unknown, g.stats.Redacted = sum(g.intake.Unknown(), nil), sum(g.intake.Redacted(), nil)
	return g.stats, err
}

// ingest is one run of Ingest.
type ingest struct {
	o      IngestOptions
	to     Sink
	intake *Intake
	batch  []drafted
	size   int
	turn   string // that Turned was told
	stats  IngestStats
}

// drafted is a draft and where it is from.
type drafted struct {
	store.Draft
	line   int
	end    int64
	strong bool         // see Intaken
	ours   bool         // no line says it: it may be left out
	whole  *store.Draft // what it was before it was made to fit, or nil
}

func (g *ingest) run(ctx context.Context, s *Splitter) error {
	for {
		line, err := s.Next() // the batch is empty whenever this waits, or fails
		if errors.Is(err, io.EOF) {
			return g.end(ctx)
		}
		if err != nil {
			return err
		}
		if err := g.add(ctx, line); err != nil {
			return err
		}
		if len(g.batch) >= ingestEventsMax || g.size >= ingestBytesMax || !s.Ready() {
			if err := g.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// add puts the events of a line into the batch, once it is due.
func (g *ingest) add(ctx context.Context, line TextLine) error {
	g.stats.Line = line.Number
	if !line.More {
		g.stats.Lines++
	}
	if gap := g.gap(line.Text); gap > 0 {
		if err := g.flush(ctx); err != nil {
			return err
		}
		if err := pause(ctx, g.o.Stop, gap); err != nil {
			return err
		}
	}
	taken := g.intake.Take(line)
	end := line.Offset + int64(len(line.Text))
	for _, d := range taken.Drafts {
		if err := g.put(ctx, drafted{Draft: d, line: line.Number, end: end, strong: taken.Strong}); err != nil {
			return err
		}
	}
	if g.o.Moved != nil {
		g.o.Moved(end)
	}
	return nil
}

// gap is how long the line is not due yet.
func (g *ingest) gap(line []byte) time.Duration {
	if g.o.Pacer == nil {
		return 0
	}
	return g.o.Pacer.Gap(line)
}

// put puts an event into the batch, once what it has in blobs is stored.
func (g *ingest) put(ctx context.Context, d drafted) error {
	g.stats.Events++
	fit, err := Fit(ctx, d.Draft, g.o.EventBytes, g.putBlob)
	if err != nil {
		return fmt.Errorf("line %d: %w", d.line, err)
	}
	if d.Size() > g.o.EventBytes && !isPart(&d.Draft) {
		whole := d.Draft
		d.whole = &whole
		g.size += whole.Size()
	}
	d.Draft = fit
	alone := d.Type == store.TypePermissionResponse // what became of it decides what comes next
	if alone {
		if err := g.flush(ctx); err != nil {
			return err
		}
	}
	g.batch = append(g.batch, d)
	g.size += d.Size()
	if alone {
		return g.flush(ctx)
	}
	return nil
}

func (g *ingest) putBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	b, err := g.to.PutBlob(ctx, contentType, content)
	if err == nil {
		g.stats.Blobs++
	}
	return b, err
}

// end ends the turns that nobody else will end.
func (g *ingest) end(ctx context.Context) error {
	if !g.o.EndTurns {
		return nil
	}
	for _, d := range g.intake.Exit() {
		g.stats.Events++
		g.batch = append(g.batch, drafted{Draft: d, line: g.stats.Line, ours: true})
	}
	return g.flush(ctx)
}

// flush appends the batch.
func (g *ingest) flush(ctx context.Context) error {
	batch := g.batch
	g.batch, g.size = g.batch[:0], 0
	if err := g.append(ctx, batch); err != nil {
		return err
	}
	if turn := g.intake.Turn(); turn != g.turn && g.o.Turned != nil {
		g.turn = turn
		g.o.Turned(turn)
	}
	return nil
}

// append appends some of a batch. When they are refused for one of them, halves
// of them tell which.
func (g *ingest) append(ctx context.Context, batch []drafted) error {
	if len(batch) == 0 {
		return nil
	}
	drafts := make([]store.Draft, len(batch))
	for i := range batch {
		drafts[i] = batch[i].Draft
	}
	done, err := g.to.Append(ctx, drafts)
	switch {
	case err == nil:
		g.count(done, len(batch))
		if done.Duplicate && batch[0].Type == store.TypePermissionResponse {
			return g.keepAnswer(ctx, batch[0])
		}
		return nil
	case !aboutOne(store.CodeOf(err)):
		return fmt.Errorf("lines %d to %d: %w", batch[0].line, batch[len(batch)-1].line, err)
	case len(batch) == 1:
		return g.refused(ctx, batch[0], err)
	}
	half := len(batch) / 2
	if err := g.append(ctx, batch[:half]); err != nil {
		return err
	}
	return g.append(ctx, batch[half:])
}

// aboutOne reports whether a request may have been refused for one of its events,
// so that the others can be appended.
func aboutOne(code store.Code) bool {
	return Demotable(code) || code == store.CodeKeyConflict || code == store.CodeEventTooLarge || code == store.CodeBatchTooLarge || code == "request_too_large"
}

// refused deals with a single event that was refused.
func (g *ingest) refused(ctx context.Context, d drafted, why error) error {
	code := store.CodeOf(why)
	switch {
	case d.ours:
		g.stats.Events--
		return nil
	case !Demotable(code) && code != store.CodeKeyConflict:
		return fmt.Errorf("line %d: %w", d.line, why)
	}
	// Also a key that stands for another body may stand for the demoted event.
	done, err := g.demote(ctx, d)
	switch {
	case err == nil && done.Duplicate:
		g.stats.Duplicates++
	case err == nil:
		g.count(done, 1)
		g.stats.Demoted++
	case store.CodeOf(err) == store.CodeKeyConflict && d.strong:
		g.stats.Duplicates++
	case store.CodeOf(err) == store.CodeKeyConflict:
		return &ConflictError{Line: d.line, End: d.end, Reason: why}
	default:
		return fmt.Errorf("line %d: %w", d.line, err)
	}
	return nil
}

func (g *ingest) demote(ctx context.Context, d drafted) (store.Appended, error) {
	whole := d.Draft
	if d.whole != nil {
		whole = *d.whole
	}
	plain, err := Fit(ctx, Demote(whole), g.o.EventBytes, g.putBlob)
	if err != nil {
		return store.Appended{}, err
	}
	return g.to.Append(ctx, []store.Draft{plain})
}

// keepAnswer appends an answer, demoted, that the log took for a repetition of
// the one that somebody else gave: it has the answer then, but not this line. One
// that was a repetition of itself conflicts.
func (g *ingest) keepAnswer(ctx context.Context, d drafted) error {
	kept, err := g.demote(ctx, d)
	switch {
	case store.CodeOf(err) == store.CodeKeyConflict:
	case err != nil:
		return fmt.Errorf("line %d: %w", d.line, err)
	case !kept.Duplicate:
		g.stats.Duplicates--
		g.count(kept, 1)
		g.stats.Demoted++
	}
	return nil
}

func (g *ingest) count(a store.Appended, n int) {
	fresh := n
	switch {
	case a.Duplicate:
		fresh = 0
	case len(a.IDs) > 0:
		fresh = int(a.Last - a.First + 1)
	}
	g.stats.Appended += fresh
	g.stats.Duplicates += n - fresh
	if fresh > 0 {
		if g.stats.First == 0 {
			g.stats.First = a.First
		}
		g.stats.Last = a.Last
	}
}

// pause returns after d, or earlier with the reason.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-stop:
		return context.Canceled
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
