package main

import (
	"errors"
	"os/exec"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/konlog/konlog/access"
)

// codeTimeout bounds waitfor; a server takes in a change of its keys within a
// second.
const codeTimeout = 30 * time.Second

// waitForCode runs a command until it ends with the code.
func waitForCode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor code program [args...]")
	}
	late := time.After(codeTimeout)
	for again := time.NewTicker(100 * time.Millisecond); ; {
		got := 0
		var exit *exec.ExitError
		if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			ts.Fatalf("%v", err)
		}
		if strconv.Itoa(got) == args[0] {
			again.Stop()
			return
		}
		select {
		case <-late:
			ts.Fatalf("it still ends with %d, want %s", got, args[0])
		case <-again.C:
		}
	}
}

// revokeKey revokes the key with a name, as konlog token revoke does with an id.
func revokeKey(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: revoke data name")
	}
	keys, err := access.ListKeys(ts.MkAbs(args[0] + "/" + keysFile))
	ts.Check(err)
	for _, k := range keys {
		if k.Name == args[1] {
			ts.Check(ts.Exec("konlog", "token", "revoke", k.ID, "--data", args[0]))
			return
		}
	}
	ts.Fatalf("there is no key %s", args[1])
}
