package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/konlog/konlog/store"
)

func (r *rig) lines(path, body string) answer {
	r.t.Helper()
	return r.post(path, body, "Content-Type", "application/x-ndjson")
}

func TestStreamedLines(t *testing.T) {
	r := newRig(t, Config{})
	a := r.lines(eventsPath, "{\"type\":\"a\"}\r\n\r\n  \n{\"type\":\"b\"}\n{\"type\":\"c\",\"data\":{\"n\":1.0}}")
	wantStatus(t, a, 201)
	if want := `{"session":"s1","first":1,"last":3,"duplicate":false,"count":3,"duplicates":0}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
}

// TestP16_BadLine: the lines before a bad one stay, those after it are not
// looked at, and the answer says where and what.
func TestP16_BadLine(t *testing.T) {
	cases := []struct {
		name, bad string
		status    int
		code      store.Code
	}{
		{"InvalidJSON", `{"type":`, 400, store.CodeInvalidJSON},
		{"InvalidUTF8", "\"\xff\"", 400, store.CodeInvalidUTF8},
		{"MalformedType", `{"type":"B A D"}`, 400, store.CodeInvalidType},
		{"ReservedType", `{"type":"bye"}`, 400, store.CodeReservedType},
		{"EventTooLarge", `{"type":"a","data":"` + strings.Repeat("x", 3000) + `"}`, 413, store.CodeEventTooLarge},
		{"LineTooLong", `{"type":"a","data":"` + strings.Repeat("x", 100_000) + `"}`, 413, store.CodeEventTooLarge},
		{"KeyConflict", `{"type":"a","key":"k","data":2}`, 409, store.CodeKeyConflict},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{Limits: Limits{EventBytes: 2048}})
			body := "{\"type\":\"a\",\"key\":\"k\"}\n\n{\"type\":\"b\"}\n" + c.bad + "\n{\"type\":\"c\"}\n"
			p := wantCode(t, r.lines(eventsPath, body), c.status, c.code)
			if p.Line != 4 || p.Stored == nil || *p.Stored != (stored{1, 2, 2}) {
				t.Errorf("line %d, stored %+v; want line 4 and 1, 2, 2", p.Line, p.Stored)
			}
			if got := r.head("s1"); got != 2 {
				t.Errorf("head is %d, want 2", got)
			}
		})
	}
}

// TestStreamedEngineFailure: lines whose outcome is unknown are not tried again,
// for they may have been stored.
func TestStreamedEngineFailure(t *testing.T) {
	r := newRig(t, Config{})
	r.log.fail = store.Because(store.CodeStorageFailed, errors.New("io"), "the disk reported an error")
	p := wantCode(t, r.lines(eventsPath, "{\"type\":\"a\"}\n{\"type\":\"a\"}\n"), 503, store.CodeStorageFailed)
	if p.Line != 1 || p.Stored == nil || p.Stored.Count != 0 {
		t.Errorf("line %d, stored %+v; want line 1 and nothing", p.Line, p.Stored)
	}
	if r.log.failed != 1 {
		t.Errorf("the log was asked %d times, want once", r.log.failed)
	}
}

// open starts a streamed append whose body the caller goes on writing.
func (r *rig) open(path string) (*io.PipeWriter, <-chan answer) {
	body, w := io.Pipe()
	answers := make(chan answer, 1)
	go func() {
		defer close(answers)
		req, err := http.NewRequest("POST", r.http.URL+path, body)
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answers <- answer{res.StatusCode, res.Header, string(b)}
	}()
	return w, answers
}

// await reads the session over long-poll until its head is as wanted.
func (r *rig) await(after int64) {
	r.t.Helper()
	a := r.get(fmt.Sprintf("%s?after=%d&wait=10", eventsPath, after-1))
	if a.status != 200 || !strings.Contains(a.body, fmt.Sprintf(`"id":%d,`, after)) {
		r.t.Fatalf("event %d did not come: %d %s", after, a.status, a.body)
	}
}

// TestStreamedArrival: a line is appended when it arrives, not when more or the
// end of the body does; a refusal is answered while the client goes on.
func TestStreamedArrival(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"first"}`), 201)
	w, answers := r.open(eventsPath)
	for id := int64(2); id <= 4; id++ {
		fmt.Fprintf(w, "{\"type\":\"a\"}\n{\"type\"") // a line, and the beginning of the next
		r.await(id)
		fmt.Fprintf(w, ":\"b\"}\n")
		id++
		r.await(id)
	}
	start := time.Now()
	fmt.Fprintf(w, "nonsense\n")
	a, ok := <-answers // the body is still open
	if took := time.Since(start); took >= lingerTimeout {
		t.Errorf("the answer waited %v for a body that goes on", took)
	}
	if !ok {
		t.Fatal("no answer came")
	}
	p := wantCode(t, a, 400, store.CodeInvalidJSON)
	if p.Line != 5 || *p.Stored != (stored{2, 5, 4}) {
		t.Errorf("line %d, stored %+v; want 5 and 2, 5, 4", p.Line, p.Stored)
	}
	w.Close()
}

// TestStreamedBreak: of a body that breaks off, whole lines stay and the
// beginning of a line does not.
func TestStreamedBreak(t *testing.T) {
	r := newRig(t, Config{})
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	part := "{\"type\":\"a\"}\n{\"type\":\"b\"}" // the second is whole, but the body says that more comes
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 4000\r\n\r\n%s", eventsPath, part)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte(`"code":"interrupted"`)) || !bytes.Contains(got, []byte(`"stored":{"first":1,"last":1,"count":1}`)) {
		t.Errorf("answer %s", got)
	}
	if head := r.head("s1"); head != 1 {
		t.Errorf("head is %d, want 1", head)
	}
}

func TestStreamedSilence(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{LineTimeout: 50 * time.Millisecond}})
	w, answers := r.open(eventsPath)
	defer w.Close()
	fmt.Fprintf(w, "{\"type\":\"a\"}\n")
	a, ok := <-answers
	if !ok {
		t.Fatal("no answer came")
	}
	if p := wantCode(t, a, 408, codeRequestTimeout); p.Stored.Count != 1 {
		t.Errorf("stored %+v, want one", p.Stored)
	}
}

func TestDrain(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.get("/readyz"), 200)
	wantStatus(t, r.post(eventsPath, `{"type":"first"}`), 201)
	w, answers := r.open(eventsPath)
	defer w.Close()
	fmt.Fprintf(w, "{\"type\":\"a\"}\n")
	r.await(2)
	res, err := http.Get(r.http.URL + "/v1/sessions/s1/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.api.Drain(ctx, 0)
	if ctx.Err() != nil {
		t.Error("readers did not go when they were asked to")
	}
	if said, err := io.ReadAll(res.Body); err != nil || !bytes.Contains(said, []byte("event: bye")) {
		t.Errorf("the reader was told %q (%v), want bye", said, err)
	}
	a, ok := <-answers
	if !ok {
		t.Fatal("no answer came")
	}
	if p := wantCode(t, a, 503, store.CodeShutdown); *p.Stored != (stored{2, 2, 1}) {
		t.Errorf("stored %+v, want 2, 2, 1", p.Stored)
	}
	a = r.get("/readyz")
	if wantStatus(t, a, 503); !strings.Contains(a.body, `"shutting_down"`) {
		t.Errorf("readyz says %s", a.body)
	}
	wantStatus(t, r.get("/healthz"), 200)
	wantStatus(t, r.post(eventsPath, `{"type":"late"}`), 201)
	wantCode(t, r.get("/v1/sessions/s1/sse"), 503, store.CodeShutdown)
}

// TestLineReader: however the bytes are cut, the lines are the same.
func TestLineReader(t *testing.T) {
	body := "one\r\n\n two \n\r\nthree"
	want := []string{"1:one", "3: two ", "5:three"}
	readers := map[string]io.Reader{
		"whole":    strings.NewReader(body),
		"bytes":    iotest.OneByteReader(strings.NewReader(body)),
		"data+eof": iotest.DataErrReader(strings.NewReader(body)),
		"halves":   iotest.HalfReader(strings.NewReader(body)),
	}
	for name, reader := range readers {
		got, err := readLines(reader, 100)
		if err != io.EOF || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for body, ok := range map[string]bool{"12345\n": true, "12345\r\n": true, "12345": true, "12345\r": true, "123456\n": false, "123456": false, "123456\r\n": false} {
		_, err := readLines(iotest.OneByteReader(strings.NewReader(body)), 5)
		if (err == io.EOF) != ok {
			t.Errorf("%q with a limit of 5: %v", body, err)
		}
	}
	broken := io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := readLines(broken, 100); fmt.Sprint(got) != "[1:one]" || err != io.ErrUnexpectedEOF {
		t.Errorf("broken body: %q, %v", got, err)
	}
	atOnce := readerFunc(func(p []byte) (int, error) { return copy(p, "one\ntw"), io.ErrUnexpectedEOF })
	if got, err := readLines(atOnce, 100); fmt.Sprint(got) != "[1:one]" || err != io.ErrUnexpectedEOF {
		t.Errorf("broken body in one read: %q, %v", got, err)
	}
}

func readLines(r io.Reader, max int) ([]string, error) {
	l := newLineReader(r.Read, max)
	var got []string
	for {
		line, err := l.buffered()
		switch {
		case err != nil:
			return got, err
		case line != nil:
			got = append(got, fmt.Sprintf("%d:%s", l.line, line))
		default:
			if err := l.fill(); err != nil {
				return got, err
			}
		}
	}
}
