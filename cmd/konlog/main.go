// Command konlog is the durable log between AI agents and the people who watch
// them: the server, and the commands that feed it, read it and look after its
// data.
//
// Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed,
// 2 wrong usage, 3 not found, 4 not allowed, 5 server not reachable.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if code, ok := guardMain(os.Args); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv, environ: os.Environ}
	os.Exit(a.run(ctx, os.Args[1:]))
}
