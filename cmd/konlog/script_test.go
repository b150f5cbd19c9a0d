package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/konlog/konlog/internal/long"
)

func TestMain(m *testing.M) {
	long.Waits()
	time.Local = time.UTC // what is printed for people is compared
	testscript.Main(m, map[string]func(){"konlog": main})
}

// TestCommands runs the scripts against the real program. They have
// commands of their own: code runs a program and wants an exit code; server starts konlog serve with further arguments, sets
// KONLOG_SERVER and keeps its stderr in serve.err; stopserver signals it and waits until it has ended; waitfor runs a program until it
// ends with the exit code; revoke takes back the key of a name.
func TestCommands(t *testing.T) {
	t.Parallel()
	recordings, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("RECORDINGS", recordings+"/../../testdata/recordings")
			env.Setenv("SCHEMAS", recordings+"/../../store/sqlite/testdata/schemas")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":     startScriptServer,
			"stopserver": stopScriptServer,
			"damage":     damage,
			"schema":     setSchema,
			"unpack":     unpackSchema,
			"eventsonly": eventsOnly,
			"code":       exitCode,
			"findable":   findable,
			"waitfor":    waitForCode,
			"revoke":     revokeKey,
		},
	})
}

// scriptServers holds the running server of a script by its directory.
var scriptServers = make(chan map[string]*exec.Cmd, 1)

func init() { scriptServers <- map[string]*exec.Cmd{} }

func startScriptServer(ts *testscript.TestScript, neg bool, args []string) {
	program, err := exec.LookPath("konlog")
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"serve", "--addr", "127.0.0.1:0", "--drain-spread", "0s"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	stderr, err := os.Create(ts.MkAbs("serve.err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have ended
		_, _ = cmd.Process.Wait()
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		ts.Fatalf("the server printed no address: %v", err)
	}
	ts.Setenv("KONLOG_SERVER", strings.TrimSpace(url))
	servers := <-scriptServers
	servers[ts.Getenv("WORK")] = cmd
	scriptServers <- servers
}

func stopScriptServer(ts *testscript.TestScript, neg bool, args []string) {
	servers := <-scriptServers
	cmd := servers[ts.Getenv("WORK")]
	scriptServers <- servers
	ts.Check(cmd.Process.Signal(os.Interrupt))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		ts.Check(err)
	case <-time.After(time.Minute):
		ts.Fatalf("the server did not stop")
	}
}

// exitCode runs a command and wants it to end with the code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code n program [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("got %v, want exit code %s", err, args[0])
	}
}

// damage overwrites each occurrence of a text in a file with dots.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: damage file text")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	body, err := io.ReadAll(f)
	ts.Check(err)
	if !strings.Contains(string(body), args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	_, err = f.WriteAt([]byte(strings.ReplaceAll(string(body), args[1], strings.Repeat(".", len(args[1])))), 0)
	ts.Check(err)
}

// setSchema writes a schema number into a database.
func setSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: schema file number")
	}
	number, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(number)), userVersionAt)
	ts.Check(err)
}

// unpackSchema makes a data directory of an earlier schema, and NNNN.jsonl of
// what the konlog of that time exported.
func unpackSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: unpack NNNN dir")
	}
	ts.Check(os.MkdirAll(ts.MkAbs(args[1]), 0o700))
	for from, to := range map[string]string{".db": args[1] + "/konlog.db", ".db-wal": args[1] + "/konlog.db-wal", ".jsonl": args[0] + ".jsonl"} {
		f, err := os.Open(ts.Getenv("SCHEMAS") + "/" + args[0] + from + ".gz")
		if os.IsNotExist(err) && from == ".db-wal" {
			continue
		}
		ts.Check(err)
		defer f.Close()
		z, err := gzip.NewReader(f)
		ts.Check(err)
		content, err := io.ReadAll(z)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(to), content, 0o600))
	}
}

// eventsOnly takes the headers of sessions out of exports.
func eventsOnly(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		body, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		var events strings.Builder
		for line := range strings.Lines(string(body)) {
			if !strings.HasPrefix(line, `{"konlog":`) {
				events.WriteString(line)
			}
		}
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(events.String()), 0o600))
	}
}
