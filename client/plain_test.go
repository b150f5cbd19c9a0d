package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A server that lets nobody follow still lets read: the tail goes on with plain
// reads and a pause between them, and does not take it for a broken connection.
func TestFollowingSwitchedOff(t *testing.T) {
	var reads, waits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			waits.Add(1)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"status":404,"code":"transport_disabled","detail":"off"}`)
			return
		}
		n := reads.Add(1)
		fmt.Fprintf(w, `{"session":"s1","epoch":"e","floor":1,"head":%d,"status":{"state":"idle","head":%d},"events":[{"id":%d,"session":"s1","type":"t","time":"2026-11-20T17:24:01.123Z","data":null}],"next":%d,"caughtUp":true}`, n, n, n, n)
	}))
	defer server.Close()
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.times.plainPause = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o := TailOptions{Transport: "poll", OnState: func(s State) {
		if s.Kind == StateDisconnected {
			t.Errorf("disconnected: %v", s.Err)
		}
	}}
	want := int64(1)
	for e, err := range c.Tail(ctx, "s1", o) {
		if err != nil {
			t.Fatal(err)
		}
		if e.ID != want {
			t.Fatalf("event %d, want %d", e.ID, want)
		}
		if want++; want > 5 {
			break
		}
	}
	if waits.Load() != 1 {
		t.Errorf("asked %d times to wait, want once: the server has said no", waits.Load())
	}
}
