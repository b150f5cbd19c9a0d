package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/internal/sse"
)

// connection is one answer of the upstream.
type connection struct {
	answer *http.Response
	cancel context.CancelCauseFunc
	cause  func() error // why it was cancelled, or nil
	timer  *time.Timer
	since  time.Time
	news   bool // it said what was not known
}

func (c *connection) age() time.Duration { return time.Since(c.since) }

func (c *connection) close() {
	c.timer.Stop()
	c.cancel(nil)
	_ = c.answer.Body.Close() // nobody reads it any more
}

// open sends a request and waits for the head of its answer: one of success,
// or an error.
func (f *upstreamTurn) open(ctx context.Context, method string, at *url.URL, body []byte, lastID string) (*connection, error) {
	inner, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(f.u.waits.answer, func() { cancel(errNoAnswer) })
	answer, err := f.u.send(inner, method, at, body, f.t.ID, lastID)
	if err != nil {
		timer.Stop()
		cause := context.Cause(inner)
		cancel(nil)
		if errors.Is(cause, errNoAnswer) {
			err = fmt.Errorf("%w within %s", errNoAnswer, f.u.waits.answer)
		}
		return nil, err
	}
	c := &connection{answer: answer, cancel: cancel, cause: func() error { return context.Cause(inner) }, timer: timer, since: time.Now()}
	if answer.StatusCode/100 != 2 {
		err := f.u.statusError(answer)
		c.close()
		return nil, err
	}
	return c, nil
}

// stopError ends a turn that cannot go on.
type stopError struct{ err error }

func (e stopError) Error() string { return e.err.Error() }

// read passes on the events of a connection. nil is the end of the turn, io.EOF
// the end of the connection, a stopError that of everything.
func (f *upstreamTurn) read(c *connection) error {
	body := &streamBody{f: f, c: c}
	r := sse.NewReader(body, f.u.eventMax)
	for {
		e, err := r.Next()
		switch {
		case errors.Is(err, sse.ErrLineTooLong):
			return stopError{fmt.Errorf("the upstream sent an event of more than %d bytes", f.u.eventMax)}
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return f.broke(c, err)
		}
		if body.flushed && f.names.resumable() && !isEnd(&e) {
			e.Data = bytes.Clone(e.Data)
			f.cutOff = &e
			continue
		}
		lines, ended := f.lines, f.ended
		if over, err := f.event(&e); over || err != nil {
			return err
		}
		c.news = c.news || f.lines > lines
		if f.ended && !ended {
			c.cutIn(f.u.waits.linger)
		}
	}
}

// broke says why a connection broke.
func (f *upstreamTurn) broke(c *connection, err error) error {
	switch cause := c.cause(); {
	case errors.Is(cause, errLinger):
		return errLinger
	case errors.Is(cause, errQuiet):
		return fmt.Errorf("%w for %s", errQuiet, f.patience())
	}
	return fmt.Errorf("%w: %w", errBroke, f.u.hide(err))
}

// patience is how long the connection may be silent.
func (f *upstreamTurn) patience() time.Duration {
	switch {
	case f.ended:
		return f.u.waits.linger
	case f.names.resumable():
		return f.u.waits.quiet
	}
	return f.u.waits.silence
}

// event takes one event. over is the end of the turn.
func (f *upstreamTurn) event(e *sse.Event) (over bool, err error) {
	if e.Retry > 0 {
		f.retry = e.Retry
	}
	if e.Data == nil {
		f.names.at(e)
		return false, nil
	}
	over = isEnd(e)
	if over && (len(e.Data) == 0 || isDone(e.Data)) {
		return true, nil
	}
	id, known := f.names.take(e)
	if known {
		return over, nil
	}
	return over, f.pass(e, id)
}

// endNames are events that end a stream. They may have something to say.
var endNames = []string{"done", "end", "close"}

func isEnd(e *sse.Event) bool { return slices.Contains(endNames, e.Name) || isDone(e.Data) }

// isDone finds the mark that ends many streams, and is not JSON as all else is.
func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }

// pass gives the event to the caller.
func (f *upstreamTurn) pass(e *sse.Event, id string) error {
	data := e.Data
	if bytes.IndexByte(data, '\n') >= 0 && json.Valid(data) {
		// Between the parts of a JSON value, where they say nothing: so it is
		// one line, as agents' lines are.
		data = bytes.ReplaceAll(data, []byte{'\n'}, []byte{' '})
	}
	if err := f.each(UpstreamLine{ID: id, Key: eventKey(f.t.ID, id), Event: e.Name, Data: data}); err != nil {
		return stopError{err}
	}
	f.cutOff = nil
	f.lines++
	f.lineAt = time.Now()
	switch {
	case e.Name == "error":
		f.failed = f.u.excerpt(data)
		if f.failed == "" {
			f.failed = "it does not say which"
		}
	case !slices.Contains(endNames, e.Name):
		f.failed = ""
	}
	f.ended = f.ended || f.ends(data)
	return nil
}

// eventKey names an event in its session: many upstreams count anew in every
// turn, and some ids are longer than keys may be.
func eventKey(turn, id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(turn + "\x00" + id))
	return "sse:" + hex.EncodeToString(sum[:16])
}

// ends reports whether the line ends the turn in the words of its format.
func (f *upstreamTurn) ends(line []byte) bool {
	if f.format == nil || !utf8.Valid(line) || !json.Valid(line) || bytes.TrimSpace(line)[0] != '{' {
		return false
	}
	m := f.format.Read(line, agent.FromAgent)
	return m.End != nil && !m.End.Own
}

// cutIn ends the connection when its time is over, whatever comes: what is said
// right after the end of a turn, such as what it cost, is still taken.
func (c *connection) cutIn(d time.Duration) {
	c.timer.Stop()
	c.timer = time.AfterFunc(d, func() { c.cancel(errLinger) })
}

// streamBody reads the body of a connection and watches its silence. After the
// end it gives the blank line that ends an event, which many forget.
type streamBody struct {
	f       *upstreamTurn
	c       *connection
	over    bool
	flushed bool // what the Reader finds from now on was cut off
}

func (b *streamBody) Read(p []byte) (int, error) {
	if b.flushed {
		return 0, io.EOF
	}
	if b.over { // the Reader has taken all that was before
		b.flushed = true
		return copy(p, "\n\n"), nil
	}
	if !b.f.ended {
		b.c.timer.Stop()
		b.c.timer = time.AfterFunc(b.f.patience(), func() { b.c.cancel(errQuiet) })
	}
	n, err := b.c.answer.Body.Read(p)
	if errors.Is(err, io.EOF) {
		b.over, err = true, nil
	}
	return n, err
}

// names tells events that were passed on from those that were not: by their
// ids, and, where they have none, by their place after the last one that had.
type names struct {
	last    string // the position in the stream, or ""
	nth     int    // of the events without an id since last
	run     int    // the number of the connection
	vague   bool   // several events have one id
	seen    map[string]sighting
	order   []string // of seen, the oldest first
	oldest  int
	hashing maphash.Seed
}

// sighting is when and how an event was seen.
type sighting struct {
	run  int
	hash uint64
}

// upstreamIDMax bounds an id that is taken for one, in bytes: it has to fit a
// header.
const upstreamIDMax = 1000

// resumable reports whether the stream can be asked for from where it is.
func (n *names) resumable() bool { return n.last != "" && !n.vague }

// reconnected tells of a new connection.
func (n *names) reconnected() {
	n.run++
	n.nth = 0
}

// at takes the position of a block that may have an id.
func (n *names) at(e *sse.Event) {
	if e.HasID {
		n.last, n.nth = e.ID, 0
		if len(e.ID) > upstreamIDMax {
			n.last = ""
		}
	}
}

// take takes an event: its id if it has one that names it alone, and whether it
// was passed on before.
func (n *names) take(e *sse.Event) (id string, known bool) {
	n.at(e)
	name := ""
	switch {
	case n.vague:
		return "", false
	case e.HasID && n.last != "":
		id = n.last
		name = "=" + id
	default:
		n.nth++
		name = strconv.Itoa(n.nth) + "+" + n.last
	}
	s := sighting{run: n.run, hash: n.hash(e)}
	before, there := n.seen[name]
	switch {
	case !there:
		n.put(name, s)
		return id, false
	case before.hash == s.hash && (id != "" || before.run != s.run):
		return id, true
	case id != "":
		n.vague = true // ids that name more than one event say nothing
	}
	n.seen[name] = s
	return "", false
}

func (n *names) hash(e *sse.Event) uint64 {
	if n.hashing == (maphash.Seed{}) {
		n.hashing = maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(n.hashing)
	_, _ = h.WriteString(e.Name) // a hash never fails
	_ = h.WriteByte(0)
	_, _ = h.Write(e.Data)
	return h.Sum64()
}

func (n *names) put(name string, s sighting) {
	if n.seen == nil {
		n.seen = map[string]sighting{}
	}
	n.seen[name] = s
	if len(n.order) < upstreamIDsMax {
		n.order = append(n.order, name)
		return
	}
	delete(n.seen, n.order[n.oldest])
	n.order[n.oldest] = name
	n.oldest = (n.oldest + 1) % upstreamIDsMax
}
