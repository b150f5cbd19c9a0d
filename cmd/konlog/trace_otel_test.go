//go:build otel

package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/konlog/konlog/client"
)

// A producer's trace goes on through the server to the first reader, and a turn
// arrives as spans, from a whole server to a collector that asks for a key.
func TestTracesArrive(t *testing.T) {
	const parent = "0af7651916cd43dd8448eb211c80319c"
	spans := make(chan *tracepb.Span, 1000)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Collector-Key") != "the key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b, _ := io.ReadAll(body)
		var req collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &req); err != nil {
			t.Error(err)
		}
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					spans <- s
				}
			}
		}
	}))
	defer collector.Close()
	var text logText
	logger, err := newLogger(&text, 0, "json")
	if err != nil {
		t.Fatal(err)
	}
	o := observe(t, logger, map[string]string{"KONLOG_TRACE_ENDPOINT": collector.URL, "KONLOG_TRACE_HEADERS_FILE": writeConfig(t, "X-Collector-Key: the key\n")})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.send("POST", "/v1/sessions/s1/events", `{"type":"note"}`)
	live, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range o.cl.Tail(ctx, "s1", client.TailOptions{Transport: "ws", OnState: func(s client.State) {
			if s.Kind == client.StateCaughtUp {
				close(live)
			}
		}}) {
			if err != nil {
				return
			}
		}
	}()
	<-live
	o.send("POST", "/v1/sessions/s1/events", `[{"type":"turn_start","turn":"t1","data":{"agent":"codex"}},{"type":"turn_end","turn":"t1","data":{"success":true}}]`,
		"Traceparent", "00-"+parent+"-b7ad6b7169203331-01")
	got := map[string]*tracepb.Span{}
	for timeout := time.After(time.Minute); len(got) < 6; {
		select {
		case s := <-spans:
			got[s.Name] = s
		case <-timeout:
			t.Fatalf("got %v; the log: %s", got, text.take())
		}
	}
	cancel()
	<-ended
	root := got["konlog.append"]
	for _, name := range []string{"konlog.append", "konlog.queue", "konlog.commit", "konlog.wake", "konlog.deliver"} {
		s := got[name]
		if s == nil || hex.EncodeToString(s.TraceId) != parent || s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Fatalf("%s: got %v", name, s)
		}
		if name != "konlog.append" && string(s.ParentSpanId) != string(root.SpanId) || s.StartTimeUnixNano+uint64(time.Millisecond) < root.StartTimeUnixNano {
			t.Errorf("%s is not within the append: %v", name, s)
		}
	}
	if hex.EncodeToString(root.ParentSpanId) != "b7ad6b7169203331" {
		t.Error("the append is not below its producer")
	}
	if s := got["invoke_agent codex"]; s == nil || hex.EncodeToString(s.TraceId) == parent {
		t.Errorf("turn: got %v", s)
	}
	page, err := o.cl.Read(t.Context(), "s1", client.PageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		if strings.Contains(string(e.JSON), parent) {
			t.Errorf("the trace's context is in the log: %s", e.JSON)
		}
	}
	if strings.Contains(text.take(), "the key") {
		t.Error("the collector's key is in the log")
	}
	// What the collector took is counted once its answer has come back, which
	// is after it was seen here.
	deadline := time.Now().Add(time.Minute)
	for {
		s := o.scrape()
		turns, exported, dropped := s.value("konlog_trace_turns_total"), s.value("konlog_trace_spans_total"), s.value("konlog_trace_dropped_spans_total")
		if turns == 1 && exported >= 6 && dropped == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("what was exported is not counted: %v turns, %v spans, %v dropped", turns, exported, dropped)
		}
		<-time.After(10 * time.Millisecond)
	}
}
