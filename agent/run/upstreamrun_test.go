package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

var errSeen = errors.New("seen")

// until waits for an event of this type and turn in session s.
func (l *fakeLog) until(typ, turn string) (found store.Event) {
	l.t.Helper()
	err := l.Log.Follow(l.t.Context(), "s", 0, []string{typ}, func(e store.Event) error {
		if found = e; e.Turn == turn {
			return errSeen
		}
		return nil
	}, func() {})
	if !errors.Is(err, errSeen) {
		l.t.Fatalf("no %s of %s: %v", typ, turn, err)
	}
	return found
}

// A runner whose agent is an upstream: its turns end with their streams, a stop
// closes the stream, and so does the end of the runner.
func TestRunnerOfAnUpstream(t *testing.T) {
	closed := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice who goes away
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 1\ndata: hello\n\nevent: progress\nid: 2\ndata: world\n\n")
		w.(http.Flusher).Flush()
		if turn := r.Header.Get("X-Request-Id"); r.Method == http.MethodPost && !strings.Contains(turn, "quick") {
			<-r.Context().Done()
			closed <- turn
		}
	}))
	defer server.Close()
	up, err := NewUpstream(UpstreamConfig{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	l := newFakeLog(t, memory.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Log: l, Session: "s", Agent: AgentSSE, Upstream: up, SpoolDir: t.TempDir()})
	}()
	if err := l.Create(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	prompt := func(turn string) {
		l.appendAs("s", store.Draft{Type: store.TypePrompt, Turn: turn, Data: []byte(`{"text":"go"}`)})
	}
	prompt("held")
	l.until("agent", "held")
	l.appendAs("s", store.Draft{Type: store.TypeStopTurn, Turn: "held", Data: []byte(`{}`)})
	if e := l.until(store.TypeTurnEnd, "held"); e.Text("reason") != "stopped" {
		t.Errorf("a stopped turn ended so: %s", e.Data)
	}
	<-closed
	prompt("quick")
	if e := l.until(store.TypeTurnEnd, "quick"); e.Text("reason") != "done" || e.Text("fullText") != "hello\nworld" {
		t.Errorf("a turn ended so: %s", e.Data)
	}
	prompt("last")
	l.until("agent", "last")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-closed
	if e := l.until(store.TypeTurnEnd, "last"); e.Text("reason") != "stopped" {
		t.Errorf("the last turn ended so: %s", e.Data)
	}
	named := 0
	for _, line := range l.story("s") {
		if strings.Contains(line, `"event":"progress"`) {
			named++
		}
	}
	if named < 1 {
		t.Errorf("no event has its name in\n%s", strings.Join(l.story("s"), "\n"))
	}
}
