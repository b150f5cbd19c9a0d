package main

import (
	"bufio"
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
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"konlog": main})
}

// TestCommands runs the scripts against the real program. They have
// commands of their own: code runs a program and wants an exit code; server starts konlog serve with further arguments, sets
// KONLOG_SERVER and keeps its stderr in serve.err; stopserver signals it and waits until it has ended.
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
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":     startScriptServer,
			"stopserver": stopScriptServer,
			"damage":     damage,
			"schema":     setSchema,
			"code":       exitCode,
			"findable":   findable,
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
	case <-time.After(10 * time.Second):
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
