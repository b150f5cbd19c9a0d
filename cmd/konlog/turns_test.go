package main

import (
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

func TestTimingLine(t *testing.T) {
	for _, c := range []struct {
		timing store.Timing
		want   string
	}{
		{store.Timing{TotalMs: 66728, TTFEMs: 54, ThinkingMs: 66674, ThinkingPct: 100}, "66.7 s, 0 tools, TTFE 0 %, thinking 100 %, tools 0 %"},
		{store.Timing{TotalMs: 10000, QueueMs: 1200, WaitingMs: 2000, ToolExecutionMs: 3000, ThinkingMs: 4000, TTFEMs: 1000, ToolCallCount: 1, ThinkingPct: 40, ToolsPct: 30, TTFEPct: 10},
			"10.0 s, 1 tool, TTFE 10 %, thinking 40 %, tools 30 %, waiting for an answer 2.0 s, before it in the queue 1.2 s"},
	} {
		if got := timingLine(c.timing); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 20, 17, 24, 1, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"":                          {},
		"2026-11-20T10:00:00Z":      now.Truncate(24 * time.Hour).Add(10 * time.Hour),
		"2026-11-20T11:00:00+01:00": now.Truncate(24 * time.Hour).Add(10 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
		"1d":                        now.Add(-24 * time.Hour),
	} {
		if got, err := moment("--since", s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	if _, err := moment("--since", "yesterday", now); err == nil || explain(err).code != exitUsage {
		t.Errorf("got %v, want wrong usage", err)
	}
}

// What an agent wrote can steer neither the terminal nor the table.
func TestTurnIsPrintedSafely(t *testing.T) {
	var out strings.Builder
	a := &app{stdout: &out, stderr: &out, env: lookup(nil)}
	err := a.printTurn(&store.TurnObject{
		Session: "s1", Turn: "r\x1b[2J", State: store.TurnEnded, Reason: "done\tdone", Prompt: "ask\x1b]0;x\a\nmore", Text: "said \x9b31m", TextCut: true,
		ToolCalls: 3, Tools: []store.ToolObject{{Name: "Ba\tsh\n", Start: 2, End: 3, IsError: true}, {Name: "late", End: 9}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\a\t\u009b") {
		t.Errorf("control characters in %q", out.String())
	}
	for _, want := range []string{"\n> ask", "\n> more\n", "\nBa sh  ", " failed\n", "\nand 1 more", "ended, done done", "konlog tail s1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
