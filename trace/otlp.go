//go:build otel

package trace

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Built says whether this program can export.
const Built = true

// otlpSink posts spans by OTLP/HTTP. The ids of turns are given, not made, so
// spans are not started and ended with the SDK's tracer; they are handed to its
// exporter as snapshots.
type otlpSink struct {
	exporter *otlptrace.Exporter
	resource *resource.Resource
	scope    instrumentation.Scope
}

// told sends what the library says of itself, such as spans that a collector
// refused among others, to the log of whoever started last.
var told struct {
	once   sync.Once
	mu     sync.Mutex // guards logger
	logger *slog.Logger
}

func newSink(ctx context.Context, c *Config) (sink, error) {
	headers, err := c.headers()
	if err != nil {
		return nil, err
	}
	told.mu.Lock()
	told.logger = c.Logger
	told.mu.Unlock()
	told.once.Do(func() {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
			told.mu.Lock()
			logger := told.logger
			told.mu.Unlock()
			logger.Warn("OpenTelemetry reported a problem", "err", err)
		}))
	})
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(c.target()),
		otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false})) // the queue drops, the reader of turns tries again
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	return &otlpSink{
		exporter: exporter,
		resource: resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName("konlog"), semconv.ServiceVersion(c.Version)),
		scope:    instrumentation.Scope{Name: "github.com/konlog/konlog/trace", Version: c.Version, SchemaURL: semconv.SchemaURL},
	}, nil
}

func (o *otlpSink) export(ctx context.Context, spans []span) error {
	snapshots := make([]sdktrace.ReadOnlySpan, len(spans))
	for i := range spans {
		snapshots[i] = o.snapshot(&spans[i])
	}
	return o.exporter.ExportSpans(ctx, snapshots)
}

func (o *otlpSink) close(ctx context.Context) error { return o.exporter.Shutdown(ctx) }

func (o *otlpSink) snapshot(s *span) sdktrace.ReadOnlySpan {
	within := func(id spanID, remote bool) oteltrace.SpanContext {
		if id == (spanID{}) {
			return oteltrace.SpanContext{}
		}
		return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
			TraceID: oteltrace.TraceID(s.trace), SpanID: oteltrace.SpanID(id), TraceFlags: oteltrace.FlagsSampled, Remote: remote,
		})
	}
	stub := tracetest.SpanStub{
		Name: s.name, SpanContext: within(s.id, false), Parent: within(s.parent, s.remote), SpanKind: oteltrace.SpanKindInternal,
		StartTime: s.start, EndTime: s.end, Attributes: attributesOf(s.attrs), Resource: o.resource, InstrumentationScope: o.scope,
	}
	if s.kind == kindServer {
		stub.SpanKind = oteltrace.SpanKindServer
	}
	if s.failed {
		stub.Status = sdktrace.Status{Code: codes.Error, Description: s.reason}
	}
	return stub.Snapshot()
}

func attributesOf(attrs []attr) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		key := attribute.Key(a.key)
		switch v := a.value.(type) {
		case string:
			list = append(list, key.String(v))
		case bool:
			list = append(list, key.Bool(v))
		case int64:
			list = append(list, key.Int64(v))
		case float64:
			list = append(list, key.Float64(v))
		}
	}
	return list
}
