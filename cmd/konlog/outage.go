package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/konlog/konlog/store"
)

// outage tells a person, once, that requests fail and are tried again, and that
// they pass again. It is the handler of the client's log.
type outage struct {
	w io.Writer

	mu   sync.Mutex // guards told
	told bool
}

// Enabled wants all that the client reports.
func (o *outage) Enabled(context.Context, slog.Level) bool { return true }

// Handle tells of the first failure of a request, which has an op. That a reader
// lost its connection is told by the reader.
func (o *outage) Handle(_ context.Context, r slog.Record) error {
	reason, request := "", false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err":
			reason = a.Value.String()
		case "op":
			request = true
		}
		return true
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told || !request {
		return nil
	}
	o.told = true
	_, err := fmt.Fprintf(o.w, "the server does not take it (%s); trying again\n", printable(reason))
	return err
}

// WithAttrs returns the same handler: the client adds none that a person needs.
func (o *outage) WithAttrs([]slog.Attr) slog.Handler { return o }

// WithGroup returns the same handler.
func (o *outage) WithGroup(string) slog.Handler { return o }

// over tells when an append passes after a failure.
func (o *outage) over(appendTo func(context.Context, []store.Draft) (store.Appended, error)) func(context.Context, []store.Draft) (store.Appended, error) {
	return func(ctx context.Context, drafts []store.Draft) (store.Appended, error) {
		done, err := appendTo(ctx, drafts)
		o.mu.Lock()
		defer o.mu.Unlock()
		if err == nil && o.told {
			o.told = false
			fmt.Fprintln(o.w, "the server takes it again")
		}
		return done, err
	}
}
