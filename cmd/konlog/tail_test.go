package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/konlog/konlog/client"
)

// Trouble with the connection is told in a log file too, once until it is over.
func TestTailTellsOfTroubleWithoutATerminal(t *testing.T) {
	var out strings.Builder
	a := &app{stdout: io.Discard, stderr: &out, env: lookup(nil)}
	show := a.showStates()
	lost := client.State{Kind: client.StateDisconnected, Err: errors.New("reset"), After: 3}
	back := client.State{Kind: client.StateConnected, Transport: "ws", After: 3, Head: 4}
	for _, s := range []client.State{back, {Kind: client.StateCaughtUp}, lost, lost, back, lost} {
		show(s)
	}
	if got := strings.Count(out.String(), "\n"); got != 3 || strings.Count(out.String(), "connection lost after event 3 (reset)") != 2 || !strings.Contains(out.String(), "connected over ws") {
		t.Fatalf("told:\n%s", &out)
	}
}
