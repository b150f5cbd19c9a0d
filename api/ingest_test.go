package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

const ingestPath = "/v1/sessions/s1/ingest"

// plainIngest appends each line as an event of its own. "blob" is stored as one,
// and of "format" it complains as of an agent that it does not know.
func plainIngest(asked *IngestRequest) Ingester {
	return func(ctx context.Context, r IngestRequest) (done Ingested, err error) {
		if asked != nil {
			*asked = r
		}
		if r.Agent == "other" {
			return done, store.Errorf(store.CodeInvalidQuery, "agent=other is not known; use auto or lines")
		}
		done.Unknown, done.Redacted, done.Agent = map[string]int{"x": 1}, map[string]int{}, "lines"
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil && !(err == io.EOF && line != "") {
				if err == io.EOF {
					err = nil
				}
				return done, err
			}
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			done.Line++
			if line == "blob" {
				if _, err := r.PutBlob(ctx, "text/plain", []byte(line)); err != nil {
					return done, err
				}
				done.Blobs++
			}
			d := store.Draft{Type: "line", Data: fmt.Appendf(nil, "%q", line)}
			if r.Name != "" {
				d.Key = fmt.Sprintf("%s:%d", r.Name, done.Line)
			}
			a, err := r.Append(ctx, []store.Draft{d})
			if err != nil {
				return done, err
			}
			done.Lines++
			done.Events++
			if a.Duplicate {
				done.Duplicates++
				continue
			}
			if done.Appended++; done.First == 0 {
				done.First = a.First
			}
			done.Last = a.Last
		}
	}
}

func TestIngest(t *testing.T) {
	var asked IngestRequest
	r := newRig(t, Config{Ingest: plainIngest(&asked)})
	c := newContract(t)
	c.checkAnswer(r, "POST", ingestPath+"?agent=lines&name=n&turn=t&end=keep&redact=0", "one\r\nblob\nthree", 201)
	if asked.Agent != "lines" || asked.Name != "n" || asked.Turn != "t" || !asked.KeepTurn || !asked.KeepSecret || asked.EventBytes != EventBytesDefault || asked.LineBytes != ingestLineBytes {
		t.Errorf("asked %+v", asked)
	}
	a := r.post(ingestPath+"?name=n", "one\nblob\nthree\nfour\n", "Content-Type", "text/x-anything")
	wantStatus(t, a, 201)
	if want := `{"session":"s1","agent":"lines","lines":4,"events":4,"first":4,"last":4,"appended":1,"duplicates":3,"turns":0,"demoted":0,"blobs":1,"unknown":{"x":1},"redacted":{}}` + "\n"; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	if asked.KeepTurn || asked.KeepSecret || asked.Agent != "" || asked.Turn != "" {
		t.Errorf("asked %+v", asked)
	}
	c.checkAnswer(r, "POST", ingestPath+"?name=n&end=exit&redact=1", "one\nblob\n", 200)
	if _, err := r.log.Blob(t.Context(), "fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8"); err != nil {
		t.Errorf("the blob: %v", err)
	}
	if got := len(r.events("s1")); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
}

// TestIngestRefusals: before the body is read, and what a body comes to.
func TestIngestRefusals(t *testing.T) {
	r := newRig(t, Config{Ingest: plainIngest(nil), Limits: Limits{EventBytes: 64}})
	for _, c := range []struct {
		path, body string
		header     []string
		status     int
		code       store.Code
		detail     string
	}{
		{ingestPath + "?agent=other", "a", nil, 400, store.CodeInvalidQuery, "use auto or lines"},
		{ingestPath + "?end=later", "a", nil, 400, store.CodeInvalidQuery, "use exit or keep"},
		{ingestPath + "?redact=maybe", "a", nil, 400, store.CodeInvalidQuery, "use 0 or 1"},
		{ingestPath + "?format=x", "a", nil, 400, store.CodeInvalidQuery, "format"},
		{ingestPath + "?name=" + strings.Repeat("n", ingestNameMax+1), "a", nil, 400, store.CodeInvalidQuery, "at most 256"},
		{ingestPath + "?turn=" + strings.Repeat("n", store.TurnBytesMax+1), "a", nil, 400, store.CodeInvalidQuery, "at most 256"},
		{ingestPath, "a", []string{"Content-Encoding", "gzip"}, 415, codeUnsupportedCoding, ""},
		{ingestPath, "a", []string{"Expect-Head", "0"}, 400, store.CodeInvalidQuery, "Expect-Head"},
		{ingestPath, "a", []string{"Producer-Id", "p"}, 400, store.CodeInvalidQuery, "Producer-Id"},
		{"/v1/sessions/_feed/ingest", "", nil, 400, store.CodeInvalidSession, "read only"},
		{"/v1/sessions/nobody/ingest?create=0", "a", nil, 404, store.CodeNotFound, ""},
		{ingestPath, " \n\r\n", nil, 400, store.CodeInvalidEvent, "no line"},
	} {
		p := wantCode(t, r.post(c.path, c.body, c.header...), c.status, c.code)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%.60s: %s", c.path, p.Detail)
		}
	}
	if r.head("s1") != -1 || r.head("nobody") != -1 {
		t.Error("a session was made")
	}
	p := wantCode(t, r.post(ingestPath, "one\ntwo\n"+strings.Repeat("x", 100)+"\nfour\n"), 413, store.CodeEventTooLarge)
	if p.Line != 3 || p.Stored == nil || *p.Stored != (stored{1, 2, 2}) {
		t.Errorf("line %d, stored %+v", p.Line, p.Stored)
	}
	wantCode(t, newRig(t, Config{}).post(ingestPath, "a"), 404, codeNotFound)
}

// TestIngestArrival: a line is in the log when it arrives, and the connection
// counts as an open stream.
func TestIngestArrival(t *testing.T) {
	r := newRig(t, Config{Ingest: plainIngest(nil), Limits: Limits{Connections: 2, WriteTimeout: 50 * time.Millisecond}})
	wantStatus(t, r.post(eventsPath, `{"type":"first"}`), 201)
	w, answers := r.open(ingestPath)
	for id := int64(2); id <= 4; id++ {
		fmt.Fprintf(w, "line\nbeginning ") // a line, and the beginning of the next
		r.await(id)
	}
	second, answered := r.open(ingestPath)
	fmt.Fprintf(second, "line\n")
	for r.head("s1") < 5 { // a poll would need a connection
		runtime.Gosched()
	}
	wantCode(t, r.post(ingestPath, "a"), 429, codeTooManyConnections)
	second.Close()
	<-answered
	w.Close()
	a, ok := <-answers // longer after its begin than an answer may take
	if !ok {
		t.Fatal("no answer came")
	}
	wantStatus(t, a, 201)
}

// TestIngestBreak: of a body that breaks off or falls silent, what was appended
// stays, and the answer says how much that is.
func TestIngestBreak(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Ingest: plainIngest(nil), Limits: Limits{LineTimeout: 100 * time.Millisecond}})
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\none\ntwo", ingestPath)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte(`"code":"interrupted"`)) || !bytes.Contains(got, []byte(`"line":1,"stored":{"first":1,"last":1,"count":1}`)) {
		t.Errorf("answer %s", got)
	}
	w, answers := r.open(ingestPath)
	defer w.Close()
	fmt.Fprintf(w, "three\n")
	a, ok := <-answers
	if !ok {
		t.Fatal("no answer came")
	}
	if p := wantCode(t, a, 408, codeRequestTimeout); p.Stored == nil || p.Stored.Count != 1 {
		t.Errorf("stored %+v, want one", p.Stored)
	}
	if head := r.head("s1"); head != 2 {
		t.Errorf("head is %d, want 2", head)
	}
}

// TestIngestFailure: what is not about the lines keeps its code and says nothing
// of the inside.
func TestIngestFailure(t *testing.T) {
	r := newRig(t, Config{Ingest: func(context.Context, IngestRequest) (Ingested, error) { return Ingested{}, errors.New("secret") }})
	if p := wantCode(t, r.post(ingestPath, "a"), 500, codeInternal); strings.Contains(p.Detail, "secret") {
		t.Errorf("detail %s", p.Detail)
	}
}
