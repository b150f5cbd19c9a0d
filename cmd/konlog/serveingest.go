package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/store"
)

var _ api.Ingester = ingestBody

// ingestBody reads agents' formats for the API, which does not know them.
func ingestBody(ctx context.Context, r api.IngestRequest) (api.Ingested, error) {
	format := r.Agent
	if format == "" {
		format = agent.FormatAuto
	}
	if format != agent.FormatAuto && !agent.Known(format) {
		return api.Ingested{}, store.Errorf(store.CodeInvalidQuery, "agent=%.40q is not known; use auto, %s", format, strings.Join(agent.Formats(), ", "))
	}
	o := agent.IngestOptions{
		IntakeOptions: agent.IntakeOptions{Format: format, Turn: r.Turn},
		LineBytes:     r.LineBytes, EventBytes: r.EventBytes, EndTurns: !r.KeepTurn,
	}
	if r.Name != "" {
		o.Source = sourceName(r.Name)
	}
	if !r.KeepSecret {
		redactor, err := agent.NewRedactor(agent.RedactOptions{})
		if err != nil {
			return api.Ingested{}, err
		}
		o.Redact = redactor.Line
	}
	body := &touchedBody{ctx: ctx, r: r, last: time.Now()}
	o.Turned = func(turn string) { body.turn, body.last = turn, time.Now() }
	s, err := agent.Ingest(ctx, body, o, agent.Sink{Append: r.Append, PutBlob: r.PutBlob})
	var conflict *agent.ConflictError
	if errors.As(err, &conflict) {
		err = store.Because(store.CodeKeyConflict, err, "another line was ingested from this place of the source before; give this one another name")
	}
	return api.Ingested{
		Agent: s.Format, Lines: s.Lines, Events: s.Events, First: s.First, Last: s.Last, Appended: s.Appended, Duplicates: s.Duplicates,
		Turns: s.Turns, Demoted: s.Demoted, Blobs: s.Blobs, Unknown: s.Unknown, Redacted: s.Redacted, Line: s.Line,
	}, err
}

// touchedBody renews the lease of the stream's open turn as long as anything
// comes, a blank line too. It belongs to the goroutine of the ingest.
type touchedBody struct {
	ctx  context.Context
	r    api.IngestRequest
	turn string    // the open one, or ""
	last time.Time // its lease was renewed
}

func (b *touchedBody) Read(p []byte) (int, error) {
	n, err := b.r.Body.Read(p)
	if b.turn != "" && time.Since(b.last) >= leaseEvery {
		b.r.Touch(b.ctx, b.turn)
		b.last = time.Now()
	}
	return n, err
}
