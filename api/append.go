package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// append is the one way from a request to the log, whatever transport it came
// on.
func (s *Server) append(ctx context.Context, session string, o store.AppendOptions, drafts []store.Draft) (store.Appended, error) {
	return s.submit(ctx, session, o, drafts)()
}

// submit is append in two steps: the drafts have their place in the log's
// queue when it returns, and wait says what became of them. With an engine
// that cannot do that, wait is when they are appended.
func (s *Server) submit(ctx context.Context, session string, o store.AppendOptions, drafts []store.Draft) (wait func() (store.Appended, error)) {
	size, err := s.checkAppend(ctx, session, drafts)
	if err != nil {
		return func() (store.Appended, error) { return store.Appended{}, err }
	}
	if !o.NoCreate {
		if err := s.rates.mayCreate(ctx, session); err != nil {
			return func() (store.Appended, error) { return store.Appended{}, err }
		}
	}
	stages, traced := s.followed(ctx, session, len(drafts), size)
	o.Stages = stages
	start := time.Now()
	var submitted func() (store.Appended, error)
	log, ok := s.log.(store.Submitter)
	if ok {
		submitted, err = log.Submit(ctx, session, o, drafts...)
	}
	return func() (a store.Appended, _ error) {
		switch {
		case !ok:
			a, err = s.log.Append(ctx, session, o, drafts...)
		case err == nil:
			a, err = submitted()
		}
		if traced != nil {
			traced(a, err)
		}
		if err != nil {
			return a, s.place(err, drafts)
		}
		s.metrics.appended(a, size, time.Since(start))
		return a, nil
	}
}

// checkAppend holds a request against what its sender may do, which is looked at
// for each part of a long one, and against the limits. It returns the size.
func (s *Server) checkAppend(ctx context.Context, session string, drafts []store.Draft) (size int, err error) {
	if err := writable(session); err != nil {
		return 0, err
	}
	if err := s.mayChange(ctx, session); err != nil {
		return 0, err
	}
	if err := s.mayOrder(ctx, drafts); err != nil {
		return 0, err
	}
	if len(drafts) > s.limits.BatchEvents {
		return 0, store.Errorf(store.CodeBatchTooLarge, "%d events are over the limit of %d for one request; send them in parts, or streamed as application/x-ndjson", len(drafts), s.limits.BatchEvents)
	}
	for i := range drafts {
		n := drafts[i].Size()
		if n > s.limits.EventBytes {
			return 0, store.Errorf(store.CodeEventTooLarge, "event %d of %d bytes is over the limit of %d; store the content elsewhere and refer to it", i, n, s.limits.EventBytes)
		}
		size += n
	}
	return size, nil
}

// place adds to a refusal which event of a batch it is about.
func (s *Server) place(err error, drafts []store.Draft) error {
	if len(drafts) < 2 || !badDraft(store.CodeOf(err)) {
		return err
	}
	for i := range drafts {
		if bad := drafts[i].Check(s.limits.EventBytes); bad != nil {
			refused := asRefusal(context.Background(), bad)
			return store.Errorf(refused.Code, "event %d: %s", i, refused.Detail)
		}
	}
	return err
}

// badDraft reports whether the code is about one draft for itself.
func badDraft(code store.Code) bool {
	switch code {
	case store.CodeInvalidJSON, store.CodeInvalidUTF8, store.CodeInvalidType, store.CodeReservedType, store.CodeInvalidEvent, store.CodeEventTooLarge:
		return true
	}
	return false
}

// writable reports why clients cannot append to the session, or nil.
func writable(session string) error {
	if err := store.ValidSessionID(session); err != nil {
		return err
	}
	if store.OwnSession(session) {
		return store.Errorf(store.CodeInvalidSession, "session %q is the server's own; it can be read only", session)
	}
	return nil
}

// postEvents appends the body's events (PROTOCOL.md section 5).
func (s *Server) postEvents(c echo.Context) error {
	r, session := c.Request(), sessionID(c)
	o, err := appendOptions(r)
	if err != nil {
		return err
	}
	if err := checkCoding(r); err != nil {
		return err
	}
	lines, err := mediaType(r)
	if err != nil {
		return err
	}
	if lines {
		return s.postLines(c, session, o)
	}
	buf, err := s.readBody(r, s.limits.BodyBytes)
	if err != nil {
		return err
	}
	defer buf.free()
	drafts, err := store.ParseDrafts(buf.b)
	if err != nil {
		return err
	}
	a, err := s.append(r.Context(), session, o, drafts)
	if err != nil {
		return err
	}
	buf.b = appendAnswer(buf.b[:0], session, a)
	return writeAppended(c.Response(), a.Duplicate, buf.b)
}

var jsonType = []string{"application/json"} // shared between answers, like those in guard

func writeAppended(w http.ResponseWriter, duplicate bool, body []byte) error {
	w.Header()["Content-Type"] = jsonType
	status := http.StatusCreated
	if duplicate {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// appendAnswer writes the answer by hand: it is made for every append. The
// session id needs no escapes.
func appendAnswer(dst []byte, session string, a store.Appended) []byte {
	dst = append(dst, `{"session":"`...)
	dst = append(dst, session...)
	dst = append(dst, `","first":`...)
	dst = strconv.AppendInt(dst, a.First, 10)
	dst = append(dst, `,"last":`...)
	dst = strconv.AppendInt(dst, a.Last, 10)
	dst = append(dst, `,"duplicate":`...)
	dst = strconv.AppendBool(dst, a.Duplicate)
	if a.IDs != nil {
		dst = append(dst, `,"ids":[`...)
		for i, id := range a.IDs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, id, 10)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendOptions reads the conditions of an append from header and query.
func appendOptions(r *http.Request) (o store.AppendOptions, err error) {
	if r.URL.RawQuery != "" {
		if o.NoCreate, err = noCreate(r); err != nil {
			return o, err
		}
	}
	if v := r.Header["Expect-Head"]; v != nil {
		head, err := headerInt("Expect-Head", v)
		if err != nil {
			return o, err
		}
		o.ExpectHead = &head
	}
	id, epoch, seq := r.Header["Producer-Id"], r.Header["Producer-Epoch"], r.Header["Producer-Seq"]
	if id == nil && epoch == nil && seq == nil {
		return o, nil
	}
	if len(id) != 1 || epoch == nil || seq == nil {
		return o, store.Errorf(store.CodeInvalidQuery, "Producer-Id, Producer-Epoch and Producer-Seq go together, once each")
	}
	p := store.Producer{ID: id[0]}
	if p.Epoch, err = headerInt("Producer-Epoch", epoch); err != nil {
		return o, err
	}
	if p.Seq, err = headerInt("Producer-Seq", seq); err != nil {
		return o, err
	}
	o.Producer = &p
	return o, p.Check()
}

func noCreate(r *http.Request) (bool, error) {
	q, err := queryOf(r, "create")
	if err != nil {
		return false, err
	}
	return noCreateOf(q)
}

func noCreateOf(q url.Values) (bool, error) {
	switch v := q.Get("create"); v {
	case "", "1", "true":
		return false, nil
	case "0", "false":
		return true, nil
	default:
		return false, store.Errorf(store.CodeInvalidQuery, "create=%.40q: use 0 or 1", v)
	}
}

func headerInt(name string, values []string) (int64, error) {
	if len(values) == 1 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			return n, nil
		}
	}
	return 0, store.Errorf(store.CodeInvalidQuery, "%s: want one whole number from 0", name)
}

// at adds the session to an error that no client sees.
func at(op, session string, err error) error { return fmt.Errorf("%s %s: %w", op, session, err) }
