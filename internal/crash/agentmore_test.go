package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

const servedRounds = 3

// TestAgents_KillTheirServer does the same where the server itself runs the
// agents: with it die their runners.
func TestAgents_KillTheirServer(t *testing.T) {
	long.Only(t)
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	rounds, seed := fromEnv(t, "KONLOG_CRASH_ROUNDS", servedRounds), fromEnv(t, "KONLOG_CRASH_SEED", time.Now().UnixNano())
	t.Logf("KONLOG_CRASH_SEED=%d KONLOG_CRASH_ROUNDS=%d", seed, rounds)
	c := &tally{counts: map[string]int{}}
	for n := range rounds {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			k := &keeper{server: newServer(t)}
			s := newAgentSession(t, k, n, rand.New(rand.NewPCG(uint64(seed), uint64(n))))
			k.args = []string{"--agent", fmt.Sprintf("fake:claude=sh -c 'sleep 600 & exec \"$@\"' sh %s fake-agent %s --home %s --speed %s", k.binary, s.recording(), s.home, agentSpeed)}
			k.env = []string{s.mark()}
			k.start(t)
			s.served = true
			s.run()
			k.mu.Lock()
			k.terminate(t)
			if left := marked(s.mark()); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
			k.args, k.env = nil, nil // who reads the log now runs no agent
			k.start(t)
			k.mu.Unlock()
			s.check(c)
			k.terminate(t)
		})
	}
	t.Logf("in all: %v", c.counts)
}

// TestAgents_StaleRunner stops a runner in mid-turn, lets another one take over
// its session, and lets the first go on: it ends, with its agent, and the log
// has nothing of it after the other's beginning.
func TestAgents_StaleRunner(t *testing.T) {
	long.Only(t)
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	k := &keeper{server: newServer(t)}
	k.start(t)
	s := newAgentSession(t, k, 0, nil)
	ctx, cancel := context.WithTimeout(t.Context(), agentWait)
	defer cancel()
	if _, _, err := s.client.CreateSession(ctx, s.id, store.SessionSpec{}); err != nil {
		t.Fatal(err)
	}
	stale := s.once(filepath.Join(filepath.Dir(s.spool), "other spool"))
	if err := stale.Start(); err != nil {
		t.Fatal(err)
	}
	turn, err := s.client.Prompt(ctx, s.id, client.PromptSpec{Text: "first"})
	if err != nil {
		t.Fatal(err)
	}
	s.await(ctx, 0, func(e *client.Event) bool { return e.Type == store.TypeTextDelta })
	if err := stale.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.start()
	end := s.await(ctx, 0, func(e *client.Event) bool { return e.Type == store.TypeTurnEnd && e.Turn == turn.Turn })
	if !strings.Contains(string(end.Data), `"abandoned"`) {
		t.Errorf("the turn of the runner that stands still ends as %s", end.Data)
	}
	second, err := s.client.Prompt(ctx, s.id, client.PromptSpec{Text: "second"})
	if err != nil {
		t.Fatal(err)
	}
	s.await(ctx, end.ID, func(e *client.Event) bool { return e.Type == store.TypeTextDelta && e.Turn == second.Turn })
	if err := stale.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- stale.Wait() }()
	select {
	case err := <-done:
		if err == nil {
			t.Errorf("a runner that was taken over ends as if all was well\n%s", s.said())
		}
	case <-ctx.Done():
		_ = stale.Process.Kill()
		<-done
		t.Errorf("a runner that was taken over goes on\n%s", s.said())
	}
	agents := 0
	for _, args := range marked(s.mark()) {
		if len(args) > 1 && args[1] == "fake-agent" {
			agents++
		}
	}
	if agents > 1 {
		t.Errorf("%d agents run after the stale runner's end, want one at most", agents)
	}
	s.await(ctx, end.ID, func(e *client.Event) bool { return e.Type == store.TypeTurnEnd && e.Turn == second.Turn })
	s.stop()
	s.story = append(s.story, "0 killed runner") // what the one that stood still had not read is lost
	s.checkLines(s.read(), &tally{counts: map[string]int{}})
	s.checkRuns(s.read())
	k.terminate(t)
}

// once is a runner with another spool, which no supervisor looks after.
func (s *agentSession) once(spool string) *exec.Cmd {
	cmd := s.command(spool)
	cmd.Stderr = s.stderr
	return cmd
}

// await waits for an event.
func (s *agentSession) await(ctx context.Context, after int64, ok func(*client.Event) bool) client.Event {
	s.t.Helper()
	for e, err := range s.client.Tail(ctx, s.id, client.TailOptions{After: after}) {
		if err != nil {
			s.t.Fatalf("%v\nthe runners said:\n%s", err, s.said())
		}
		if ok(&e) {
			return e
		}
	}
	s.t.Fatal("the tail ended")
	return client.Event{}
}

// checkRuns wants nothing of a runner to be in the log behind the beginning of
// a later one.
func (s *agentSession) checkRuns(log []client.Event) {
	run, runs := "", 0
	for _, e := range log {
		var d struct{ Run string }
		_ = json.Unmarshal(e.Data, &d) // data of other forms has none
		if e.Type == "runner_start" {
			run, runs = d.Run, runs+1
		}
		if d.Run != "" && d.Run != run {
			s.t.Errorf("%s: event %d, %s, is of run %s, after run %s has taken the session", s.id, e.ID, e.Type, d.Run, run)
		}
	}
	if runs < 2 {
		s.t.Errorf("%d runners took the session, want 2", runs)
	}
}
