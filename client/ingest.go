package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// IngestOptions say how the server reads an agent's output. The zero value
// works.
type IngestOptions struct {
	Agent    string // the format, such as claude; "" is told by the first lines
	Name     string // of the source, for lines without an id of their own; with "" those have no keys
	Turn     string // that all lines belong to; "" follows the turns of the lines
	KeepTurn bool   // a turn that is open at the end stays open
	NoRedact bool   // secrets of known forms stay
	NoCreate bool   // refuse with store.ErrNotFound when there is no such session
}

// Ingested says what an ingest did.
type Ingested struct {
	Agent      string         `json:"agent"` // the format
	Lines      int            `json:"lines"`
	Events     int            `json:"events"`
	First      int64          `json:"first"` // of the new events; 0 when none was new
	Last       int64          `json:"last"`
	Appended   int            `json:"appended"`
	Duplicates int            `json:"duplicates"`
	Turns      int            `json:"turns"`
	Demoted    int            `json:"demoted"` // kept without the meaning for which the log refused them
	Blobs      int            `json:"blobs"`
	Unknown    map[string]int `json:"unknown"`
	Redacted   map[string]int `json:"redacted"`
}

// Ingest sends an agent's output, line by line as r gives it, and returns when
// it has ended and all of it is durable. The server keeps every line and maps it
// to events. r is not closed, and may be read once more after an answer that came
// before its end. It is sent once: after an error what was appended stays, and the
// same may be sent again from its start, which appends only what is missing
// where the lines have ids of their own or the source has a name.
func (c *Client) Ingest(ctx context.Context, session string, o IngestOptions, r io.Reader) (Ingested, error) {
	done, err := c.ingest(ctx, session, o, struct{ io.Reader }{r}) // what can be closed would be
	if err != nil {
		return Ingested{}, fmt.Errorf("ingest %s: %w", session, err)
	}
	return done, nil
}

func (c *Client) ingest(ctx context.Context, session string, o IngestOptions, body io.Reader) (done Ingested, err error) {
	u := c.url(o.query(), "v1", "sessions", session, "ingest")
	resp, err := c.send(ctx, http.MethodPost, u, http.Header{"Content-Type": {"text/plain"}}, body)
	if err != nil {
		return done, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return done, statusError(resp, http.MethodPost, u)
	}
	return done, decodeBody(resp.Body, &done)
}

func (o IngestOptions) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"agent": o.Agent, "name": o.Name, "turn": o.Turn} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if o.KeepTurn {
		q.Set("end", "keep")
	}
	if o.NoRedact {
		q.Set("redact", "0")
	}
	if o.NoCreate {
		q.Set("create", "0")
	}
	return q
}
