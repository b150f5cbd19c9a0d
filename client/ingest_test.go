package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

func ingestClient(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cl, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	return cl
}

func TestIngest(t *testing.T) {
	var query, body string
	cl := ingestClient(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		query, body = r.URL.Path+"?"+r.URL.Query().Encode(), string(b)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"session":"s1","agent":"claude","lines":2,"events":3,"first":4,"last":6,"appended":3,"duplicates":1,"turns":1,"demoted":1,"blobs":1,"unknown":{"a":1},"redacted":{"b":2}}`)
	})
	done, err := cl.Ingest(t.Context(), "s1", IngestOptions{}, strings.NewReader("one\ntwo\n"))
	if err != nil || done.Agent != "claude" || done.Lines != 2 || done.Events != 3 || done.First != 4 || done.Last != 6 || done.Appended != 3 || done.Duplicates != 1 ||
		done.Turns != 1 || done.Demoted != 1 || done.Blobs != 1 || done.Unknown["a"] != 1 || done.Redacted["b"] != 2 {
		t.Errorf("%+v (%v)", done, err)
	}
	in := &closed{Reader: strings.NewReader("one")}
	if _, err := cl.Ingest(t.Context(), "s1", IngestOptions{}, in); err != nil || in.closed {
		t.Errorf("closed is %v (%v)", in.closed, err)
	}
	if query != "/v1/sessions/s1/ingest?" || body != "one" {
		t.Errorf("%s with %q", query, body)
	}
	o := IngestOptions{Agent: "codex", Name: "a b", Turn: "t", KeepTurn: true, NoRedact: true, NoCreate: true}
	if _, err := cl.Ingest(t.Context(), "s1", o, strings.NewReader("x")); err != nil || query != "/v1/sessions/s1/ingest?agent=codex&create=0&end=keep&name=a+b&redact=0&turn=t" {
		t.Errorf("%s (%v)", query, err)
	}
}

// TestIngestIsSentOnce: a refusal is told while the source goes on, and a source
// that cannot be read is not taken for one that has ended.
func TestIngestIsSentOnce(t *testing.T) {
	asked := 0
	cl := ingestClient(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Connection", "close") // as the server does, else the answer would wait for the body
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"shutting_down","detail":"later"}`)
	})
	r, w := io.Pipe()
	defer w.Close()
	if _, err := cl.Ingest(t.Context(), "s1", IngestOptions{}, r); store.CodeOf(err) != store.CodeShutdown || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	cl = ingestClient(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	broken := errors.New("broken")
	r, w = io.Pipe()
	w.CloseWithError(broken)
	if _, err := cl.Ingest(t.Context(), "s1", IngestOptions{}, r); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}
