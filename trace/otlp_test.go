//go:build otel

package trace

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The names are those of the library's own list of the same version.
func TestNamesOfTheConventions(t *testing.T) {
	for key, name := range map[attribute.Key]string{
		semconv.GenAIOperationNameKey: genOperation, semconv.GenAIProviderNameKey: genProvider, semconv.GenAIAgentNameKey: genAgentName, semconv.GenAIAgentIDKey: genAgentID,
		semconv.GenAIConversationIDKey: genConversation, semconv.GenAIRequestModelKey: genRequestModel, semconv.GenAIResponseModelKey: genResponseModel,
		semconv.GenAIUsageInputTokensKey: genInput, semconv.GenAIUsageOutputTokensKey: genOutput, semconv.GenAIUsageCacheReadInputTokensKey: genCacheRead,
		semconv.GenAIUsageCacheCreationInputTokensKey: genCacheWrite, semconv.GenAIUsageReasoningOutputTokensKey: genReasoning, semconv.GenAIToolNameKey: genToolName,
		semconv.GenAIToolCallIDKey: genToolID, semconv.GenAIToolCallArgumentsKey: genToolArguments, semconv.GenAIToolCallResultKey: genToolResult,
		semconv.GenAIInputMessagesKey: genInputMsgs, semconv.GenAIOutputMessagesKey: genOutputMsgs, semconv.ErrorTypeKey: errorType,
	} {
		if string(key) != name {
			t.Errorf("got %s, want %s", name, key)
		}
	}
	for want, got := range map[attribute.KeyValue]string{semconv.GenAIOperationNameInvokeAgent: opInvoke, semconv.GenAIOperationNameExecuteTool: opTool, semconv.GenAIOperationNameChat: opChat} {
		if want.Value.AsString() != got {
			t.Errorf("got %s, want %s", got, want.Value.AsString())
		}
	}
	known := map[string]bool{}
	for _, kv := range []attribute.KeyValue{semconv.GenAIProviderNameAnthropic, semconv.GenAIProviderNameOpenAI, semconv.GenAIProviderNameGCPGemini, semconv.GenAIProviderNameDeepseek,
		semconv.GenAIProviderNameMistralAI, semconv.GenAIProviderNameXAI, semconv.GenAIProviderNameCohere} {
		known[kv.Value.AsString()] = true
	}
	for _, p := range providers {
		if !known[p.provider] {
			t.Errorf("provider %s is none of the conventions", p.provider)
		}
	}
	if !strings.HasSuffix(semconv.SchemaURL, "/"+SemConv) {
		t.Errorf("got %s, want %s", semconv.SchemaURL, SemConv)
	}
}

// otlpServer is a collector.
type otlpServer struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	spans  []*tracepb.Span
	header http.Header
	path   string
	status int
	got    chan struct{}
}

func newOTLPServer(t *testing.T) *otlpServer {
	o := &otlpServer{got: make(chan struct{}, 100)}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.header, o.path = r.Header.Clone(), r.URL.Path
		if o.status != 0 {
			w.WriteHeader(o.status)
			return
		}
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
			return
		}
		var req collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &req); err != nil {
			t.Error(err)
			return
		}
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				o.spans = append(o.spans, ss.Spans...)
			}
		}
		o.got <- struct{}{}
	}))
	t.Cleanup(o.Close)
	return o
}

// What is on the wire is what was meant.
func TestOTLP(t *testing.T) {
	o := newOTLPServer(t)
	c := Config{Endpoint: o.URL, Version: "v9", Logger: quiet()}
	s, err := newSink(ctx, &c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close(ctx) }()
	at := time.Unix(1_700_000_000, 5_000_000)
	sent := span{trace: deriveTrace("a"), id: deriveSpan("a"), parent: deriveSpan("b"), remote: true, name: "invoke_agent x", start: at, end: at.Add(time.Second), failed: true, reason: "stopped"}
	sent.set("text", "t")
	sent.set("number", 7)
	sent.set("share", 0.5)
	sent.set("yes", true)
	sent.set("nothing", "")
	if err := s.export(ctx, []span{sent}); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.spans) != 1 || o.path != "/v1/traces" {
		t.Fatalf("got %d spans at %s", len(o.spans), o.path)
	}
	got := o.spans[0]
	if traceID(got.TraceId) != sent.trace || spanID(got.SpanId) != sent.id || spanID(got.ParentSpanId) != sent.parent || got.Name != sent.name {
		t.Errorf("got %v", got)
	}
	if got.StartTimeUnixNano != uint64(at.UnixNano()) || got.EndTimeUnixNano-got.StartTimeUnixNano != uint64(time.Second) {
		t.Errorf("got %d to %d", got.StartTimeUnixNano, got.EndTimeUnixNano)
	}
	if got.Status.Code != tracepb.Status_STATUS_CODE_ERROR || got.Status.Message != "stopped" || len(got.Attributes) != 4 {
		t.Errorf("got %v, %v", got.Status, got.Attributes)
	}
}

// A whole tracer: appends and turns arrive; a collector that says no, and one
// that is not there, change nothing.
func TestStart(t *testing.T) {
	o, r := newOTLPServer(t), newRig(t)
	c := Config{Endpoint: o.URL, GenAI: true, Sample: 1, Dir: t.TempDir(), Log: r.log, Hub: r.hub, Turns: r.log}
	tr, err := Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	r.append("s1", aTurn("t1")...)
	<-o.got
	tr.Close()
	o.mu.Lock()
	if len(o.spans) != 4 {
		t.Errorf("got %d spans", len(o.spans))
	}
	o.mu.Unlock()
	for _, broken := range []func(){func() { o.status = http.StatusBadRequest }, func() { o.Close() }} {
		broken()
		tr, err := Start(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		_, done := tr.Appending("", "s1", 1, 1)
		a := r.append("s1", draft("note", "", `{}`))
		done(a, nil)
		tr.Close()
		if n := tr.Counts(); n.Exported != 0 || n.Dropped == 0 || n.Failed == 0 {
			t.Errorf("got %+v", n)
		}
	}
}
