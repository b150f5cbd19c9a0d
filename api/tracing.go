package api

import (
	"context"
	"net/http"

	"github.com/konlog/konlog/store"
)

// Tracer follows appends on their way, for tracing.
type Tracer interface {
	// Appending is called before an append is handed to the log. traceparent is
	// what the request brought, or "". It returns nil and nil when this append is
	// not followed; else the log fills stages in, and done is called once with
	// what came of it.
	Appending(traceparent, session string, events, bytes int) (stages *store.Stages, done func(store.Appended, error))
}

// parentKey is where a request's context has its traceparent.
type parentKey struct{}

// traceparentMax is the longest that is looked at; the form that there is has
// 55 bytes.
const traceparentMax = 256

// withParent keeps a request's traceparent for the appends that it makes. On a
// WebSocket it is that of the upgrade. It goes no further than the tracer: no
// event has it.
func (s *Server) withParent(next http.Handler) http.Handler {
	if s.cfg.Tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header["Traceparent"]; len(v) == 1 && len(v[0]) <= traceparentMax {
			r = r.WithContext(context.WithValue(r.Context(), parentKey{}, v[0]))
		}
		next.ServeHTTP(w, r)
	})
}

// followed asks the tracer, if there is one, whether it follows the append.
func (s *Server) followed(ctx context.Context, session string, events, bytes int) (*store.Stages, func(store.Appended, error)) {
	if s.cfg.Tracer == nil {
		return nil, nil
	}
	parent, _ := ctx.Value(parentKey{}).(string)
	return s.cfg.Tracer.Appending(parent, session, events, bytes)
}
