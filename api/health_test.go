package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

func TestReady(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.get("/readyz"), 200)
	r.log.health = &store.Health{Writable: false, LastError: "secret path"}
	a := r.get("/readyz")
	if wantStatus(t, a, 503); !strings.Contains(a.body, "storage_not_writable") || strings.Contains(a.body, "secret") {
		t.Errorf("readyz says %s", a.body)
	}
	wantStatus(t, r.get("/healthz"), 200)
}

func TestHealthRealtime(t *testing.T) {
	r := newRig(t, Config{Version: "1.2.3", Retention: store.Retention{Age: time.Hour, Events: 5}})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	r.reader("/v1/sessions/s1/sse")
	var got realtime
	if err := json.Unmarshal([]byte(r.get("/health/realtime").body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "1.2.3" || got.HeartbeatMs != 10_000 || got.Connections["sse"] != 1 || !got.Transports["websocket"] ||
		got.Retention["ageMs"] != 3_600_000 || got.Retention["events"] != 5 || got.Limits["bodyBytes"] != BodyBytesDefault {
		t.Errorf("got %+v", got)
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `[{"type":"text"},{"type":"text","key":"k"}]`), 201)
	wantStatus(t, r.post(eventsPath, `{"type":"text","key":"k"}`), 200)
	wantCode(t, r.post(eventsPath, `{"type":"hello"}`), 400, store.CodeReservedType)
	r.reader("/v1/sessions/s1/sse")
	r.get("/secret-name")
	body := r.get("/metrics").body
	for _, want := range []string{
		"konlog_appends_total 2", "konlog_append_duplicates_total 1", "konlog_events_total 2", "konlog_append_seconds_count 2",
		`konlog_refused_total{code="reserved_type"} 1`, `konlog_connections{transport="sse"} 1`,
		`konlog_http_requests_total{method="POST",route="/v1/sessions/:s/events",status="201"} 1`,
		`konlog_http_requests_total{method="POST",route="/v1/sessions/:s/events",status="400"} 1`,
		`konlog_http_requests_total{method="other",route="other",status="404"} 1`,
		"konlog_writable 1", "go_goroutines", "process_",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(body, "s1") || strings.Contains(body, "secret-name") {
		t.Error("metrics hold something that clients choose")
	}
}

// TestDiagScript: frames leave when they are due.
func TestDiagScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{stopped: make(chan struct{})}
		due := []time.Duration{0, 500 * time.Millisecond, 10 * time.Second}
		start := time.Now()
		var at []string
		err := s.playDiag(context.Background(), due, func(frame []byte) error {
			var f diagFrame
			if err := json.Unmarshal(frame, &f); err != nil {
				return err
			}
			at = append(at, fmt.Sprint(f.N, "/", f.Of, " ", time.Since(start), " ", f.AtMs))
			return nil
		})
		if want := "[1/3 0s 0 2/3 500ms 500 3/3 10s 10000]"; err != nil || fmt.Sprint(at) != want {
			t.Errorf("sent at %v, %v; want %s", at, err, want)
		}
		close(s.stopped)
		if err := s.pause(context.Background(), time.Hour); store.CodeOf(err) != store.CodeShutdown {
			t.Errorf("a pause outlasted the server: %v", err)
		}
	})
}

func TestDiagRoutes(t *testing.T) {
	r := newRig(t, Config{})
	if a := r.get("/v1/diag/poll"); a.status != 200 || !strings.Contains(a.body, `"n":1,"of":5`) {
		t.Errorf("poll: %d %s", a.status, a.body)
	}
	wantCode(t, r.get("/v1/diag/poll?n=6"), 400, store.CodeInvalidQuery)
	wantCode(t, r.get("/v1/diag/sse?idle=121"), 400, store.CodeInvalidQuery)
	if res := r.reader("/v1/diag/sse"); res.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("SSE headers %v", res.Header)
	}
	ws, _, err := websocket.Dial(context.Background(), r.http.URL+"/v1/diag/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, frame, err := ws.Read(context.Background()); err != nil || !strings.Contains(string(frame), `"n":1,"of":5`) {
		t.Errorf("WebSocket: %s %v", frame, err)
	}
	a := r.get("/v1/diag/ws")
	if wantStatus(t, a, 426); a.header.Get("Upgrade") != "websocket" {
		t.Errorf("426 names no protocol: %v", a.header)
	}
}
