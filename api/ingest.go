package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// Ingester appends what the lines of an agent mean. What it has appended before
// an error stays, and the counts are right with an error, too. A *store.Error
// about what was asked for comes before the body is read.
type Ingester func(ctx context.Context, r IngestRequest) (Ingested, error)

// IngestRequest is a body of lines and where they go.
type IngestRequest struct {
	Agent      string // the format, or auto; "" is auto
	Name       string // of the source, in the keys of lines without an id of their own; or ""
	Turn       string // of somebody else's that all lines belong to, or ""
	KeepTurn   bool   // at the end of the body an open turn stays open
	KeepSecret bool   // nothing is redacted
	LineBytes  int    // the longest line that is read as one
	EventBytes int    // the limit of an event
	Body       io.Reader

	// Append appends to the session, all or none, PutBlob stores what is too large
	// for an event, and Touch renews the lease of a turn that is open.
	Append  func(ctx context.Context, drafts []store.Draft) (store.Appended, error)
	PutBlob func(ctx context.Context, contentType string, content []byte) (store.Blob, error)
	Touch   func(ctx context.Context, turn string)
}

// Ingested is the answer to an ingest.
type Ingested struct {
	Session    string         `json:"session"`
	Agent      string         `json:"agent"`
	Lines      int            `json:"lines"`
	Events     int            `json:"events"`
	First      int64          `json:"first"`
	Last       int64          `json:"last"`
	Appended   int            `json:"appended"`
	Duplicates int            `json:"duplicates"`
	Turns      int            `json:"turns"`
	Demoted    int            `json:"demoted"`
	Blobs      int            `json:"blobs"`
	Unknown    map[string]int `json:"unknown"`
	Redacted   map[string]int `json:"redacted"`

	Line int `json:"-"` // the number of the line read last
}

// postIngest appends the lines of an agent and what they mean (PROTOCOL.md
// section 7.4).
func (s *Server) postIngest(c echo.Context) error {
	if s.cfg.Ingest == nil {
		return store.Errorf(codeNotFound, "this server does not read agents' formats; append events instead")
	}
	r, session := c.Request(), sessionID(c)
	q, options, err := ingestRequest(r)
	if err != nil {
		return err
	}
	if err := checkCoding(r); err != nil {
		return err
	}
	if err := writable(session); err != nil {
		return err
	}
	leave, err := s.conns.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	q.LineBytes, q.EventBytes = ingestLineBytes, s.limits.EventBytes
	q.Append = func(ctx context.Context, drafts []store.Draft) (store.Appended, error) {
		return s.append(ctx, session, options, drafts)
	}
	q.PutBlob = s.putIngestBlob
	q.Touch = func(ctx context.Context, turn string) {
		if leaser, ok := s.log.(store.Leaser); ok {
			_, _ = leaser.TouchTurn(ctx, session, turn) // a turn that is over by now has no lease
		}
	}
	var done Ingested
	err = s.readStreamed(c, true, func(body io.Reader) error {
		q.Body = body
		done, err = s.cfg.Ingest(r.Context(), q)
		return err
	})
	if err != nil {
		err = fmt.Errorf("ingest: %w", err)
		if done.Line == 0 {
			return err
		}
		return &lineError{line: int64(done.Line), stored: stored{First: done.First, Last: done.Last, Count: int64(done.Appended)}, err: err}
	}
	if done.Lines == 0 {
		return store.Errorf(store.CodeInvalidEvent, "the body holds no line")
	}
	done.Session = session
	status := http.StatusCreated
	if done.Appended == 0 {
		status = http.StatusOK
	}
	return writeJSON(c, status, done)
}

// ingestRequest reads the parameters.
func ingestRequest(r *http.Request) (q IngestRequest, o store.AppendOptions, err error) {
	for _, name := range []string{"Expect-Head", "Producer-Id", "Producer-Epoch", "Producer-Seq"} {
		if r.Header[name] != nil {
			return q, o, store.Errorf(store.CodeInvalidQuery, "%s is for bodies that are appended at once; lines are known again by their keys", name)
		}
	}
	v, err := queryOf(r, "agent", "name", "turn", "end", "redact", "create")
	if err != nil {
		return q, o, err
	}
	if o.NoCreate, err = noCreateOf(v); err != nil {
		return q, o, err
	}
	q.Agent, q.Name, q.Turn = v.Get("agent"), v.Get("name"), v.Get("turn")
	switch end := v.Get("end"); end {
	case "", "exit":
	case "keep":
		q.KeepTurn = true
	default:
		return q, o, store.Errorf(store.CodeInvalidQuery, "end=%.40q: use exit or keep", end)
	}
	switch redact := v.Get("redact"); redact {
	case "", "1", "true":
	case "0", "false":
		q.KeepSecret = true
	default:
		return q, o, store.Errorf(store.CodeInvalidQuery, "redact=%.40q: use 0 or 1", redact)
	}
	if len(q.Name) > ingestNameMax {
		return q, o, store.Errorf(store.CodeInvalidQuery, "name has %d bytes; at most %d", len(q.Name), ingestNameMax)
	}
	if len(q.Turn) > store.TurnBytesMax {
		return q, o, store.Errorf(store.CodeInvalidQuery, "turn has %d bytes; at most %d", len(q.Turn), store.TurnBytesMax)
	}
	return q, o, nil
}

// putIngestBlob stores what is too large for an event.
func (s *Server) putIngestBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	blobs, err := s.blobs()
	if err != nil {
		return store.Blob{}, store.Errorf(store.CodeEventTooLarge, "a line of %d bytes is too large for an event, and this server keeps no blobs", len(content))
	}
	b, _, err := blobs.PutBlob(ctx, contentType, bytes.NewReader(content), s.limits.BlobBytes)
	return b, err
}
