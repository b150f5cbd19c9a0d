package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// rig is a server over a memory engine, reached over loopback.
type rig struct {
	t    testing.TB
	log  *faultyLog
	api  *Server
	http *httptest.Server
	text *bytes.Buffer // what the server logged; read it only after the answers
}

// faultyLog is the memory engine with refusals that it does not have itself.
type faultyLog struct {
	*memory.Log
	fail   error // what Append returns instead, or nil
	failed int   // how often it did
	health *store.Health
}

// Submit does what Append does, faults and all.
func (l *faultyLog) Submit(ctx context.Context, s string, o store.AppendOptions, d ...store.Draft) (func() (store.Appended, error), error) {
	a, err := l.Append(ctx, s, o, d...)
	return func() (store.Appended, error) { return a, err }, nil
}

func (l *faultyLog) Append(ctx context.Context, s string, o store.AppendOptions, d ...store.Draft) (store.Appended, error) {
	if l.fail != nil {
		l.failed++
		return store.Appended{}, l.fail
	}
	return l.Log.Append(ctx, s, o, d...)
}

func (l *faultyLog) Health() store.Health {
	if l.health != nil {
		return *l.health
	}
	return l.Log.Health()
}

func newHub() *stream.Hub { return stream.NewHub() }

func newFaultyLog(hub *stream.Hub) *faultyLog {
	return &faultyLog{Log: memory.New(memory.Options{Committed: hub.Committed})}
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	hub := newHub()
	text := new(bytes.Buffer)
	cfg.Logger = slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, ok := t.(*testing.B); ok {
		cfg.Logger = nil
	}
	log := newFaultyLog(hub)
	s := New(log, hub, cfg)
	h := httptest.NewUnstartedServer(s.Handler())
	s.ConfigureHTTP(h.Config)
	h.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if !s.draining() {
			s.Drain(ctx, 0)
		}
		h.Close()
		_ = log.Close()
	})
	return &rig{t: t, log: log, api: s, http: h, text: text}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("content type %q, want problem+json; body %s", got, a.body)
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("problem %s: %v", a.body, err)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.Instance == "" || p.RequestID == "" || p.Status != a.status {
		t.Errorf("problem is incomplete: %s", a.body)
	}
	return p
}

func (r *rig) do(method, path string, body io.Reader, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.http.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(got)}
}

func (r *rig) get(path string) answer { r.t.Helper(); return r.do("GET", path, nil) }

func (r *rig) post(path, body string, header ...string) answer {
	r.t.Helper()
	return r.do("POST", path, strings.NewReader(body), header...)
}

// head is the session's head, -1 when there is no session.
func (r *rig) head(session string) int64 {
	s, err := r.log.Session(context.Background(), session)
	if err != nil {
		return -1
	}
	return s.Head
}

func (r *rig) events(session string) []store.Event {
	r.t.Helper()
	page, err := r.log.Read(context.Background(), session, store.Query{})
	if err != nil {
		r.t.Fatal(err)
	}
	return page.Events
}

func wantStatus(t testing.TB, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Fatalf("status %d, want %d; body %s", a.status, want, a.body)
	}
}

func wantCode(t testing.TB, a answer, status int, code store.Code) problem {
	t.Helper()
	p := a.problem(t)
	if a.status != status || p.Code != code {
		t.Fatalf("refused with %d %s, want %d %s; %s", a.status, p.Code, status, code, a.body)
	}
	return p
}
