package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// linesOf gives back the lines that a session's events were made from.
func linesInLog(t *testing.T, cl *client.Client, session, transport string) []byte {
	t.Helper()
	var lines bytes.Buffer
	read := func(sum string) ([]byte, error) {
		var b bytes.Buffer
		_, err := cl.CopyBlob(t.Context(), &b, sum)
		return b.Bytes(), err
	}
	for e, err := range cl.Tail(t.Context(), session, client.TailOptions{Transport: transport, Raw: true, NoFollow: true}) {
		if err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
		line, ok, err := agent.FittedLine(e.Data, read)
		more := false
		switch {
		case err != nil:
			t.Fatalf("event %d: %v", e.ID, err)
		case ok:
			var p agent.LinePart
			more = json.Unmarshal(e.Data, &p) == nil && p.More
		case e.Raw != nil:
			line = e.Raw
		case e.Type == agent.TypeLine:
			if line, err = agent.Line(e.Data, nil); err != nil {
				t.Fatalf("event %d: %v", e.ID, err)
			}
		default:
			continue
		}
		lines.Write(line)
		if !more {
			lines.WriteByte('\n')
		}
	}
	return lines.Bytes()
}

// ingestNow runs the command, and gives its summary.
func ingestNow(t *testing.T, url string, in io.Reader, args ...string) (s agent.IngestStats) {
	t.Helper()
	var out, said bytes.Buffer
	a := &app{stdin: in, stdout: &out, stderr: &said, env: func(string) (string, bool) { return "", false }}
	if code := a.run(t.Context(), append([]string{"ingest", "--json", "--no-redact", "--server", url}, args...)); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &said)
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("summary %s: %v", &out, err)
	}
	return s
}

// TestIngestedRecordingsComeBackByteForByte: by the command and by the server,
// told by their lines and as plain ones; and twice is once.
func TestIngestedRecordingsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	cl, url := startTestServerAt(t)
	for i, name := range recordings(t) {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := linesOf(t, body)
		for _, format := range []string{agent.FormatAuto, agent.FormatLines} {
			t.Run(filepath.Base(name)+"/"+format, func(t *testing.T) {
				session := fmt.Sprintf("command-%d-%s", i, format)
				first := ingestNow(t, url, nil, session, "-f", name, "--agent", format)
				again := ingestNow(t, url, nil, session, "-f", name, "--agent", format)
				for _, transport := range []string{"ws", "poll"} {
					if got := linesInLog(t, cl, session, transport); !bytes.Equal(got, want) {
						t.Errorf("%s: the lines differ from the file at byte %d", transport, differAt(got, want))
					}
				}
				if first.Appended != first.Events || first.Demoted != 0 || again.Appended != 0 {
					t.Errorf("first %+v, again %+v", first, again)
				}
				session = fmt.Sprintf("server-%d-%s", i, format)
				o := client.IngestOptions{Agent: format, Name: "recording", NoRedact: true}
				for n := range 2 {
					done, err := cl.Ingest(t.Context(), session, o, bytes.NewReader(body))
					if err != nil || done.Lines != first.Lines || (done.Appended == 0) != (n == 1) || done.Agent != first.Format || done.Turns != first.Turns || done.Demoted != 0 {
						t.Errorf("server, time %d: %+v (%v), the command %+v", n, done, err, first)
					}
				}
				if got := linesInLog(t, cl, session, "sse"); !bytes.Equal(got, want) {
					t.Errorf("server: the lines differ from the file at byte %d", differAt(got, want))
				}
			})
		}
	}
}

// TestIngestOfLongLines: larger than an event, than what the server reads as
// one, and than what anybody does.
func TestIngestOfLongLines(t *testing.T) {
	t.Parallel()
	long.Only(t)
	cl, url := startTestServerAt(t)
	text := func(n int) string { return strings.Repeat(`word \u00e9 <&> `, n/15) }
	lines := []string{
		`{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"1","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"` + text(3<<20) + `"}]}}`,
		strings.Repeat("\xff noise ", 300_000),
		`{"long":"` + text(40<<20) + `"}`,
		`{"type":"result","subtype":"success","is_error":false,"session_id":"c","uuid":"3","result":"x","usage":{}}`,
	}
	body := strings.Join(lines, "\n")
	for n := range 2 {
		s := ingestNow(t, url, strings.NewReader(body), "command", "--name", "n")
		if s.Lines != len(lines) || (s.Appended == 0) != (n == 1) || s.Turns != 1 || s.Blobs < 4 {
			t.Errorf("time %d: %+v", n, s)
		}
		done, err := cl.Ingest(t.Context(), "server", client.IngestOptions{Name: "n"}, strings.NewReader(body))
		if err != nil || done.Lines != len(lines) || (done.Appended == 0) != (n == 1) || done.Turns != 1 || done.Blobs < 7 {
			t.Errorf("server, time %d: %+v (%v)", n, done, err)
		}
	}
	for _, session := range []string{"command", "server"} {
		if got := linesInLog(t, cl, session, "ws"); string(got) != body+"\n" {
			t.Errorf("%s: the lines differ at byte %d", session, differAt(got, []byte(body)))
		}
		turns, err := cl.Turns(t.Context(), store.TurnFilter{Session: session})
		if err != nil || len(turns.Turns) != 1 {
			t.Errorf("%s: %v (%v)", session, turns, err)
		}
	}
}

// TestTwoIngestsIntoOneSession at once: all lines of both are there, and each
// turn has ended.
func TestTwoIngestsIntoOneSession(t *testing.T) {
	t.Parallel()
	cl, url := startTestServerAt(t)
	var want []string
	var all sync.WaitGroup
	for i, name := range []string{"claude-code-duplex-4turns.jsonl", "codex-exec-plan-todo.jsonl", "gemini-stream-tools.jsonl", "acp-v1-gemini-permissions.jsonl"} {
		file := filepath.Join("../../testdata/recordings", name)
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.Split(string(linesOf(t, body)), "\n")...)
		all.Go(func() {
			if i%2 == 0 {
				ingestNow(t, url, nil, "both", "-f", file)
			} else if _, err := cl.Ingest(t.Context(), "both", client.IngestOptions{Name: name}, bytes.NewReader(body)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := strings.Split(string(linesInLog(t, cl, "both", "ws")), "\n")
	want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
	got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	s, err := cl.Session(t.Context(), "both")
	if err != nil || s.Turn != "" {
		t.Errorf("turn %q is open (%v)", s.Turn, err)
	}
}

// TestServerIngest: what its answer says beside the counts.
func TestServerIngest(t *testing.T) {
	t.Parallel()
	cl := startTestServer(t)
	line := `{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"%d","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"token ghp_0123456789abcdefghijABCDEFGHIJ012345"}]}}` + "\n"
	for _, keep := range []bool{true, false} {
		session := fmt.Sprintf("keep-%v", keep)
		done, err := cl.Ingest(t.Context(), session, client.IngestOptions{KeepTurn: keep}, strings.NewReader(fmt.Sprintf(line, 1)))
		if err != nil || done.Turns != 1 || len(done.Redacted) != 1 {
			t.Fatalf("%+v (%v)", done, err)
		}
		s, err := cl.Session(t.Context(), session)
		if err != nil || (s.Turn != "") != keep {
			t.Errorf("keep %v: turn %q (%v)", keep, s.Turn, err)
		}
		if got := linesInLog(t, cl, session, "poll"); bytes.Contains(got, []byte("ghp_")) || !bytes.Contains(got, []byte("[redacted:")) {
			t.Errorf("the line is %s", got)
		}
	}
	_, err := cl.Ingest(t.Context(), "s", client.IngestOptions{Agent: "other"}, strings.NewReader("a"))
	if store.CodeOf(err) != store.CodeInvalidQuery || !strings.Contains(err.Error(), "use auto, acp, claude") {
		t.Errorf("%v", err)
	}
	if _, err := cl.Ingest(t.Context(), "s", client.IngestOptions{NoCreate: true}, strings.NewReader("a")); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"{\"a\":1}\n", "{\"b\":1}\n"} {
		_, err = cl.Ingest(t.Context(), "s", client.IngestOptions{Name: "n"}, strings.NewReader(body))
	}
	if store.CodeOf(err) != store.CodeKeyConflict || !strings.Contains(err.Error(), "another name") {
		t.Errorf("%v", err)
	}
	broken := fmt.Errorf("broken")
	if _, err := cl.Ingest(t.Context(), "s", client.IngestOptions{}, io.MultiReader(strings.NewReader("x\n"), &failing{broken})); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestIngestInterrupted: what was read is appended, and the turn of standard
// input ends.
func TestIngestInterrupted(t *testing.T) {
	t.Parallel()
	cl, url := startTestServerAt(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	in, w := io.Pipe()
	defer w.Close()
	ended := make(chan int, 1)
	go func() {
		a := &app{stdin: in, stdout: io.Discard, stderr: io.Discard, env: func(string) (string, bool) { return "", false }}
		ended <- a.run(ctx, []string{"ingest", "s1", "--server", url})
	}()
	body := `{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"1","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"words"}]}}` + "\nbeginning"
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range cl.Tail(t.Context(), "_feed", client.TailOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "turn_start" {
			interrupt()
		}
		if n++; e.Type == "turn_end" {
			break
		}
	}
	if code := <-ended; code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	if got, want := string(linesInLog(t, cl, "s1", "poll")), body+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLeaseIsKept: while a stream is silent in a turn, and no longer.
func TestLeaseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var touched []string
		cl, err := client.New("http://konlog", client.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/touch") {
				mu.Lock()
				touched = append(touched, r.URL.Path)
				mu.Unlock()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"first":1,"last":1}`)), Request: r}
		})}))
		if err != nil {
			t.Fatal(err)
		}
		k := keepLease(t.Context(), cl, "s")
		in := &ingestion{app: &app{stderr: io.Discard}, flags: ingestFlags{agent: agent.FormatClaude, session: "s"}, client: cl, outage: &outage{w: io.Discard}}
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- in.read(t.Context(), t.Context(), k, "src", r, 0, true) }()
		say := func(line string) {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2*leaseEvery + time.Second) // between two ticks
		say(`{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"2","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"words"}]}}`)
		time.Sleep(agent.IngestLease - 2*time.Second)
		say(`{"type":"result","subtype":"success","is_error":false,"session_id":"c","uuid":"3","result":"x","usage":{}}`)
		time.Sleep(agent.IngestLease)
		w.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		k.stop()
		turn := ""
		if len(touched) > 0 {
			turn = touched[0]
		}
		if want := int(agent.IngestLease/leaseEvery) - 1; len(touched) != want || !strings.HasPrefix(turn, "/v1/sessions/s/turns/") {
			t.Errorf("asked %d times, want %d: %q", len(touched), want, touched)
		}
	})
}

// TestServerKeepsTheLease: of a body that is alive, if only by blank lines.
func TestServerKeepsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var last int64
		touched := 0
		ended := make(chan error, 1)
		go func() {
			_, err := ingestBody(t.Context(), api.IngestRequest{
				Agent: agent.FormatClaude, Body: r, KeepTurn: true,
				Append: func(_ context.Context, d []store.Draft) (store.Appended, error) {
					last += int64(len(d))
					return store.Appended{First: last - int64(len(d)) + 1, Last: last}, nil
				},
				Touch: func(context.Context, string) { touched++ },
			})
			ended <- err
		}()
		for _, line := range []string{"", `{"type":"assistant","session_id":"c","parent_tool_use_id":null,"uuid":"2","message":{"id":"m","role":"assistant","content":[{"type":"text","text":"words"}]}}`, "", "", "", ""} {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				t.Error(err)
			}
			time.Sleep(leaseEvery * 2 / 3)
		}
		w.Close()
		if err := <-ended; err != nil || touched != 2 {
			t.Errorf("touched %d times (%v)", touched, err)
		}
	})
}

// TestFollowRests: what is still written to a file whose place was taken is
// read, as long as it does not rest.
func TestFollowRests(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "log")
		write := func(name, text string) *os.File {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err == nil {
				_, err = f.WriteString(text)
			}
			if err != nil {
				t.Error(err)
			}
			return f
		}
		old := write("log", "one ")
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		go func() {
			f := &follower{path: path, source: "src", say: func(string, ...any) {}}
			ended <- f.run(ctx, func(source string, r io.Reader) error {
				b, err := io.ReadAll(r)
				got = append(got, source+" "+string(b))
				return err
			})
		}()
		time.Sleep(time.Minute)
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		_, _ = old.WriteString("two ") // the log is away, and may come back
		time.Sleep(time.Minute)
		_, _ = old.WriteString("three ")
		write("log", "new ").Close()
		for range 5 {
			time.Sleep(followRest - followEvery)
			_, _ = old.WriteString("more ")
		}
		old.Close()
		time.Sleep(followRest + 2*followEvery)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := []string{"src one two three more more more more more ", "src new "}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
