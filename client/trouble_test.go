package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// damaged says hello and then that the data is damaged, as a server does.
func damaged(w http.ResponseWriter, r *http.Request) {
	const (
		hello  = `{"type":"hello","session":"s1","epoch":"e","floor":1,"head":9,"heartbeatMs":1000,"status":{"state":"idle"}}`
		broken = `{"type":"error","session":"s1","code":"corrupt","detail":"stored data is damaged","retryable":false}`
	)
	switch path.Base(r.URL.Path) {
	case "ws":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(hello))
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(broken))
	case "sse":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: hello\ndata: %s\n\nevent: error\ndata: %s\n\n", hello, broken)
	default:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, broken)
	}
}

func TestTailEndsAtWhatTryingAgainDoesNotMend(t *testing.T) {
	answer := func(body string, more int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
			blank := make([]byte, 1<<20)
			for range more {
				_, _ = w.Write(blank)
			}
		}
	}
	for name, tc := range map[string]struct {
		server    http.HandlerFunc
		transport string
		want      error
	}{
		"ws":          {damaged, "ws", store.ErrCorrupt},
		"sse":         {damaged, "sse", store.ErrCorrupt},
		"poll":        {damaged, "poll", store.ErrCorrupt},
		"auto":        {damaged, "auto", store.ErrCorrupt},
		"no page":     {answer(`<html>`, 0), "poll", ErrUnreadable},
		"no event":    {answer(`{"epoch":"e","events":[{"id":0}]}`, 0), "poll", ErrUnreadable},
		"a huge page": {answer(`{`, answerBytesMax>>20+1), "poll", ErrUnreadable},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var got error
		for _, err := range newClient(t, tc.server).Tail(ctx, "s1", TailOptions{Transport: tc.transport}) {
			got = err
		}
		cancel()
		if !errors.Is(got, tc.want) {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

// A server that is down says nothing about the transport.
func TestDownServerKeepsTheTransport(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := New("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.times.backoffMin, c.times.backoffMax = time.Millisecond, 2*time.Millisecond
	f := newFake(t, 3)
	srv := httptest.NewUnstartedServer(f)
	failures, started := 0, false
	o := TailOptions{NoFollow: true, OnState: func(s State) {
		if s.Kind == StateDowngrade {
			t.Errorf("stepped down to %s: %v", s.Transport, s.Err)
		}
		if s.Kind != StateDisconnected || started {
			return
		}
		if failures++; failures == 6 {
			if srv.Listener, err = net.Listen("tcp", addr); err != nil {
				t.Error(err)
				return
			}
			srv.Start()
			started = true
		}
	}}
	collect(t, c, f, o, 1, 3)
	srv.Close()
	if failures < 6 || f.connects[0].Load() != 1 {
		t.Fatalf("%d failures, %d upgrades", failures, f.connects[0].Load())
	}
}

// What takes connections and drops them before an answer may do so to upgrades only.
func TestUpgradesThatAreDroppedStepDown(t *testing.T) {
	f := newFake(t, 3)
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) == "ws" {
			panic(http.ErrAbortHandler)
		}
		f.ServeHTTP(w, r)
	}))
	collect(t, c, f, TailOptions{NoFollow: true}, 1, 3)
}

// Pauses stay short while the trouble is young.
func TestPausesGrowAfterAMinute(t *testing.T) {
	c, err := New("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tl := &tail{c: c, carry: transports}
	for range 200 {
		if wait, err := tl.failed(io.EOF); err != nil || wait > c.times.backoffLow {
			t.Fatalf("waits %s, %v in the first minute", wait, err)
		}
	}
	tl.broken = time.Now().Add(-c.times.young)
	longest := time.Duration(0)
	for range 200 {
		wait, err := tl.failed(io.EOF)
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, wait)
	}
	if longest <= c.times.backoffLow || longest > c.times.backoffMax {
		t.Fatalf("waits at most %s after a minute", longest)
	}
}
