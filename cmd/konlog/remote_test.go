package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// A session that becomes active while the list is read moves past its reader.
func TestEachSessionFindsOneThatMoves(t *testing.T) {
	lists := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, next := `{"id":"a"},{"id":"b"}`, "2"
		if r.URL.Query().Get("cursor") == "2" {
			page, next = `{"id":"b"}`, "" // c has moved to the front
			lists++
		} else if lists > 0 {
			page = `{"id":"c"},{"id":"a"}`
		}
		fmt.Fprintf(w, `{"sessions":[%s],"next":%q}`, page, next)
	}))
	defer srv.Close()
	cl, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []string
	err = eachSession(t.Context(), cl, store.SessionFilter{}, func(s store.SessionObject) error {
		got = append(got, s.ID)
		return nil
	})
	if err != nil || strings.Join(got, "") != "abc" {
		t.Fatalf("got %v, %v", got, err)
	}
}

// startOn waits for a text on stderr and then runs start, once.
type startOn struct {
	io.Writer
	text  string
	start func()
}

func (s *startOn) Write(p []byte) (int, error) {
	if s.start != nil && strings.Contains(string(p), s.text) {
		s.start()
		s.start = nil
	}
	return s.Writer.Write(p)
}

func TestIngestWaitsForAServerAndTellsThatItWentAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	posts := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{}`)
			return
		}
		if posts++; posts == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"first":1,"last":1}`)
	}))
	defer srv.Close()
	var out strings.Builder
	start := func() {
		if srv.Listener, err = net.Listen("tcp", addr); err != nil {
			t.Error(err)
			return
		}
		srv.Start()
	}
	a := &app{stdin: strings.NewReader("one\n"), stdout: io.Discard, stderr: &startOn{&out, "waiting up to", start}, env: lookup(nil)}
	if code := a.run(t.Context(), []string{"ingest", "s1", "--server", "http://" + addr}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	for _, want := range []string{"waiting up to 30s for the server", "trying again", "takes it again", "1 line, 1 event, 1 appended"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("not once %q: %s", want, &out)
		}
	}
	srv.Close()
	a = &app{stdin: strings.NewReader("one\n"), stdout: io.Discard, stderr: &out, env: lookup(nil)}
	if code := a.run(t.Context(), []string{"ingest", "s1", "--wait", "0s", "--server", "http://" + addr}); code != exitUnreachable {
		t.Errorf("exit code %d for a server that is down", code)
	}
}
