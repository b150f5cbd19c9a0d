package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestFakeAgent_Signals: a signal ends it in mid-turn with the code that says
// which one it was, also when nobody reads what it prints.
func TestFakeAgent_Signals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal os.Signal
		read   bool
		code   int
	}{
		{os.Interrupt, true, 130}, {syscall.SIGTERM, true, 143}, {syscall.SIGTERM, false, 143},
	} {
		cmd := exec.Command("konlog", "fake-agent", "../../testdata/recordings/claude-code-read-file.jsonl", "--input-format", "stream-json", "--speed", "1000", "--repeat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		n := 1
		if !c.read {
			n = 20 // the answers are more than a pipe holds
		}
		if _, err := io.WriteString(in, strings.Repeat(`{"type":"user"}`+"\n", n)); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "init") {
			t.Fatalf("the first line is %q (%v)", line, err)
		}
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		if c.read {
			_, _ = io.Copy(io.Discard, lines) // until it has ended
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != c.code {
			t.Errorf("%v: it ended with %v, want code %d", c.signal, err, c.code)
		}
	}
}
