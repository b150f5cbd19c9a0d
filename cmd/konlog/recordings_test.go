package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
)

// startTestServer runs a whole server on a temporary directory.
func startTestServer(t *testing.T) *client.Client {
	t.Helper()
	cl, _ := startTestServerAt(t)
	return cl
}

// startTestServerAt says also where it is.
func startTestServerAt(t *testing.T) (cl *client.Client, url string) {
	t.Helper()
	env := map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_DRAIN_SPREAD": "0s"}
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(env), "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if cl, err = client.New(s.url); err != nil {
		t.Fatal(err)
	}
	return cl, s.url
}

// recordings returns the files of testdata and those of the folder that
// KONLOG_RECORDINGS names.
func recordings(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"../../testdata/recordings", os.Getenv("KONLOG_RECORDINGS")} {
		entries, err := os.ReadDir(dir)
		if err != nil && dir != "" {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	return files
}

// keepLines appends the lines of a file as they are.
func keepLines(t *testing.T, cl *client.Client, session string, body []byte) {
	t.Helper()
	o := agent.IngestOptions{IntakeOptions: agent.IntakeOptions{Format: agent.FormatLines, Source: "recording"}}
	if _, err := agent.Ingest(t.Context(), bytes.NewReader(body), o, agent.Sink{Append: appendTo(cl, session)}); err != nil {
		t.Fatal(err)
	}
}

// linesOf returns the lines that a feed takes from a file.
func linesOf(t *testing.T, body []byte) []byte {
	t.Helper()
	var lines bytes.Buffer
	for line := range bytes.Lines(body) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(bytes.TrimSpace(line)) > 0 {
			fmt.Fprintf(&lines, "%s\n", line)
		}
	}
	return lines.Bytes()
}

// TestI9_RecordingsComeBackByteForByte guards that what agents really print goes
// in and comes back on every transport, and that the events themselves are the
// same bytes on all of them (P4, P8).
func TestI9_RecordingsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	cl := startTestServer(t)
	for i, name := range recordings(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			session := fmt.Sprintf("recording-%d", i)
			keepLines(t, cl, session, body)
			want := linesOf(t, body)
			var first []byte
			for _, transport := range []string{"ws", "sse", "poll"} {
				events, lines := readBack(t, cl, session, transport)
				if !bytes.Equal(lines, want) {
					t.Errorf("%s: the lines differ from the file at byte %d", transport, differAt(lines, want))
				}
				if first == nil {
					first = events
				}
				if !bytes.Equal(events, first) {
					t.Errorf("%s: the events differ from those over ws at byte %d", transport, differAt(events, first))
				}
			}
		})
	}
}

func readBack(t *testing.T, cl *client.Client, session, transport string) (events, lines []byte) {
	t.Helper()
	var e, l bytes.Buffer
	for event, err := range cl.Tail(t.Context(), session, client.TailOptions{Transport: transport, Raw: true, NoFollow: true}) {
		if err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
		line, err := agent.Line(event.Data, event.Raw)
		if err != nil {
			t.Fatalf("%s: event %d: %v", transport, event.ID, err)
		}
		fmt.Fprintf(&e, "%s\n", event.JSON)
		fmt.Fprintf(&l, "%s\n", line)
	}
	return e.Bytes(), l.Bytes()
}

func differAt(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// TestDemo runs the demo as a newcomer does, but for its pace.
func TestDemo(t *testing.T) {
	t.Parallel()
	long.Only(t)
	var out bytes.Buffer
	a := &app{stdin: bytes.NewReader(nil), stdout: &out, stderr: &out, env: lookup(nil)}
	if code := a.run(t.Context(), []string{"demo"}); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, &out)
	}
	for _, want := range []string{"that reader is killed after event 57", "back by itself at event 151", "all the same"} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}
