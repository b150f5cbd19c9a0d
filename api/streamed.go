package api

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// streamed is a body whose lines are appended as they arrive. Lines that came
// together are committed together, and nothing ever waits for more of them.
type streamed struct {
	s       *Server
	r       *http.Request
	session string
	options store.AppendOptions
	parse   func(line []byte) (store.Draft, error)
	lines   *lineReader

	drafts  []store.Draft
	numbers []int64 // the line that each draft came from

	fresh, old stored // what was appended; what the log held already
}

// postLines appends a body of one event per line.
func (s *Server) postLines(c echo.Context, session string, o store.AppendOptions) error {
	if o.ExpectHead != nil || o.Producer != nil {
		return store.Errorf(store.CodeInvalidQuery, "Expect-Head and Producer headers are for bodies that are appended at once; in a streamed body give every line a key")
	}
	st := &streamed{session: session, options: o, parse: store.ParseDraft}
	if err := s.stream(c, st, s.limits.LineBytes); err != nil {
		return err
	}
	if st.fresh.Count+st.old.Count == 0 {
		return store.Errorf(store.CodeInvalidEvent, "the body holds no event")
	}
	return writeAppended(c.Response(), st.fresh.Count == 0, st.answer())
}

// stream reads the body to its end. The error is a *lineError once lines have
// been read.
func (s *Server) stream(c echo.Context, st *streamed, lineMax int) error {
	w, r := c.Response(), c.Request()
	if err := writable(st.session); err != nil {
		return err
	}
	leave, err := s.conns.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
	defer s.intake.remove(rc)
	st.s, st.r = s, r
	body := s.rates.body(r.Context(), func(p []byte) (int, error) {
		if err := s.intake.extend(rc); err != nil {
			return 0, err
		}
		return r.Body.Read(p)
	}, true)
	defer body.hold.Release()
	st.lines = newLineReader(body.Read, lineMax)
	err = st.run()
	_ = rc.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout))
	if err == nil {
		return nil
	}
	s.intake.remove(rc)
	_ = rc.SetReadDeadline(time.Now().Add(lingerTimeout))
	// Otherwise the answer would wait for the rest of the body, which may never
	// end when the client streams from something that lives on.
	closeAfter(w, r)
	return err
}

// run goes on until the body ends or a line is refused. Of a refused line and
// those after it nothing is stored, of those before it everything.
func (st *streamed) run() error {
	for {
		bad := st.collect()
		if err := st.commit(); err != nil {
			return err
		}
		if bad != nil {
			return st.fail(st.lines.line, bad)
		}
		if len(st.drafts) > 0 {
			continue // collect stopped at its limit, or the buffer is empty now
		}
		err := st.lines.fill()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && st.s.intake.isClosed():
			return st.fail(st.lines.line+1, store.ErrShutdown)
		case err != nil:
			return st.fail(st.lines.line+1, errBody(err))
		}
	}
}

// collect parses what is buffered, up to the size of a commit. The error is
// about the line read last; the drafts are those before it.
func (st *streamed) collect() error {
	st.drafts, st.numbers = st.drafts[:0], st.numbers[:0]
	for len(st.drafts) < min(st.s.limits.StreamBatchEvents, st.s.limits.BatchEvents) {
		line, err := st.lines.buffered()
		if line == nil || err != nil {
			return err
		}
		d, err := st.parse(line)
		if err != nil {
			return err
		}
		st.drafts = append(st.drafts, d)
		st.numbers = append(st.numbers, st.lines.line)
	}
	return nil
}

// commit appends the drafts together. When that is refused for one of them,
// they are appended one by one up to it: the client sees lines, not commits.
func (st *streamed) commit() error {
	if len(st.drafts) == 0 {
		return nil
	}
	err := st.append(st.drafts)
	if err == nil {
		return nil
	}
	if len(st.drafts) > 1 && nothingStored(err) {
		for i := range st.drafts {
			if err := st.append(st.drafts[i : i+1]); err != nil {
				return st.fail(st.numbers[i], err)
			}
		}
		return nil
	}
	return st.fail(st.numbers[0], err)
}

// nothingStored reports whether the refused drafts can be tried again without
// keys. After a disk error or an interruption nobody knows.
func nothingStored(err error) bool {
	var refused *store.Error
	return errors.As(err, &refused) && refused.Code != store.CodeStorageFailed
}

func (st *streamed) append(drafts []store.Draft) error {
	a, err := st.s.append(st.r.Context(), st.session, st.options, drafts)
	if err != nil {
		return err
	}
	n := a.Last - a.First + 1 // the new ones; ids of one append have no holes
	if a.Duplicate {
		st.old.add(a, int64(len(drafts)))
		return nil
	}
	st.fresh.add(a, n)
	st.old.Count += int64(len(drafts)) - n
	return nil
}

func (s *stored) add(a store.Appended, n int64) {
	if s.First == 0 {
		s.First = a.First
	}
	s.Last = max(s.Last, a.Last)
	s.Count += n
}

func (st *streamed) fail(line int64, err error) error {
	return &lineError{line: line, stored: st.fresh, err: err}
}

// answer says where the lines went: the new ones, or the old ones when none
// was new.
func (st *streamed) answer() []byte {
	at := st.fresh
	if at.Count == 0 {
		at = st.old
	}
	dst := appendAnswer(nil, st.session, store.Appended{First: at.First, Last: at.Last, Duplicate: st.fresh.Count == 0 && st.old.Count > 0})
	dst = append(dst[:len(dst)-1], `,"count":`...)
	dst = strconv.AppendInt(dst, st.fresh.Count, 10)
	dst = append(dst, `,"duplicates":`...)
	dst = strconv.AppendInt(dst, st.old.Count, 10)
	return append(dst, '}')
}
