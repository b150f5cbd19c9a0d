package run

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

// manage runs a manager over the stage, whose one agent is called claude.
func (s *stage) manage(change func(*ManagerConfig, *Config)) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	over := make(chan struct{})
	agent := s.config(nil)
	agent.Log, agent.Session, agent.SpoolDir, agent.Idle = nil, "", "", time.Minute
	spawn := agent.spawn
	agent.spawn = func(ch *child, l Launch) error {
		ch.driver.(*stub).a.over = over
		return spawn(ch, l)
	}
	c := ManagerConfig{Engine: s.engine, Log: s.log, SpoolDir: s.spool}
	if change != nil {
		change(&c, &agent)
	}
	c.Agents = map[string]Config{"claude": agent}
	m := NewManager(c)
	if s.wakes > 0 {
		m.wakes = s.wakes
	}
	go func() { m.Run(ctx); close(over) }()
	synctest.Wait()
	return func() {
		cancel()
		<-over
	}
}

// session makes a session that asks for an agent.
func (s *stage) session(id, agent string) {
	s.t.Helper()
	spec := store.SessionSpec{}
	if agent != "" {
		spec.Meta = json.RawMessage(`{"agent":"` + agent + `"}`)
	}
	if _, _, err := s.engine.CreateSession(s.t.Context(), id, spec); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) promptIn(session, turn string) {
	s.t.Helper()
	d := store.Draft{Type: store.TypePrompt, Turn: turn, Data: []byte(`{"text":"` + turn + `"}`)}
	if _, err := s.engine.Append(s.t.Context(), session, store.AppendOptions{}, d); err != nil {
		s.t.Fatal(err)
	}
}

func TestSessionsGetTheAgentTheyAskFor(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("before", "claude")
		s.promptIn("before", "t0")
		s.session("other", "nobody")
		s.session("plain", "")
		s.promptIn("plain", "t1")
		stop := s.manage(nil)
		a := s.actor() // waited when the manager began
		if got := a.got(); got != "prompt t0" {
			t.Errorf("the agent got %q", got)
		}
		s.promptIn("other", "t1")
		s.session("s", "claude")
		synctest.Wait()
		if len(s.born) != 0 {
			t.Error("an agent was started that nobody asked for, or for no work")
		}
		s.prompt("t1", "hello")
		b := s.actor()
		if got := b.got(); got != "prompt hello" {
			t.Errorf("the agent got %q", got)
		}
		// A session may ask after its first prompt.
		meta := json.RawMessage(`{"agent":"claude"}`)
		if _, err := s.engine.UpdateSession(t.Context(), "plain", store.SessionPatch{Meta: &meta}); err != nil {
			t.Fatal(err)
		}
		c := s.actor()
		for _, a := range []*actor{a, b, c} {
			go a.play(claudeDone)
		}
		stop()
	})
}

func TestIdleAgentEndsAndGoesOnWhereItWas(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		stop := s.manage(nil)
		s.prompt("t1", "one")
		a := s.actor()
		a.says(claudeInit)
		go a.play(claudeDone)
		time.Sleep(time.Hour)
		s.prompt("t2", "two")
		b := s.actor()
		if b.launch.Resume != "c1" {
			t.Errorf("it resumes %q, want c1", b.launch.Resume)
		}
		go b.play(claudeDone)
		time.Sleep(time.Hour)
		if story := s.story(); strings.Count(story, "turn_end") != 2 || strings.Contains(story, "abandoned") {
			t.Errorf("the log has\n%s", story)
		}
		stop()
	})
}

func TestServerThatComesBackAbandonsTheTurnsOfItsAgents(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		s.append(
			store.Draft{Type: store.TypePrompt, Turn: "t1", Data: []byte(`{"text":"one"}`)},
			store.Draft{Type: store.TypeTurnStart, Turn: "t1", Data: []byte(`{"run":"earlier"}`)},
		)
		stop := s.manage(nil)
		s.has(1, `turn_end t1 reason="abandoned"`)
		if len(s.born) != 0 {
			t.Error("a turn that had begun was run again")
		}
		stop()
	})
}

func TestRunnersAreBounded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		stop := s.manage(func(c *ManagerConfig, _ *Config) { c.Runners = 2 })
		for _, id := range []string{"a", "b", "c"} {
			s.session(id, "claude")
			s.promptIn(id, "t")
		}
		first, second := s.actor(), s.actor()
		synctest.Wait()
		if len(s.born) != 0 {
			t.Fatal("a third process runs beside two")
		}
		go first.play(claudeDone)
		time.Sleep(2 * time.Minute)
		third := s.actor()
		go second.play(claudeDone)
		go third.play(claudeDone)
		stop()
	})
}

// A session that finds the queue full is run all the same, once there is room.
func TestSessionsBeyondTheQueueAreNotForgotten(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.wakes = 1
		stop := s.manage(func(c *ManagerConfig, _ *Config) { c.Runners = 1 })
		for _, id := range []string{"a", "b", "c", "d"} {
			s.session(id, "claude")
			s.promptIn(id, "t")
		}
		for range 4 {
			go s.actor().play(claudeDone)
			time.Sleep(2 * time.Minute)
		}
		stop()
	})
}

func TestFeedThatCannotBeReadForAWhile(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.log.set(func(l *countingLog) { l.feedGone = true })
		stop := s.manage(nil)
		s.session("a", "claude")
		s.promptIn("a", "t")
		time.Sleep(time.Hour)
		s.log.set(func(l *countingLog) { l.feedGone = false })
		time.Sleep(2 * time.Minute)
		a := s.actor()
		s.session("b", "claude")
		s.promptIn("b", "t")
		b := s.actor()
		go a.play(claudeDone)
		go b.play(claudeDone)
		time.Sleep(time.Minute)
		stop()
	})
}

func TestFailingAgentIsNotStartedAllTheTime(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		tries := 0
		stop := s.manage(func(_ *ManagerConfig, c *Config) {
			c.Logger = slog.New(slog.DiscardHandler)
			c.Driver = func() (Driver, error) { tries++; return nil, errors.New("no such agent") }
		})
		s.session("s", "claude")
		for _, turn := range []string{"t1", "t2", "t3"} {
			s.prompt(turn, turn)
		}
		time.Sleep(time.Hour)
		story := s.story()
		if tries != 3 || strings.Count(story, `turn_end t`) != 3 || strings.Count(story, "no such agent") != 3 {
			t.Errorf("%d tries; the log has\n%s", tries, story)
		}
		stop()
	})
}

// A task's process died with the server: nobody else will say that it is over.
func TestServerThatComesBackEndsTheTasksOfItsAgents(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		s.append(
			store.Draft{Type: store.TypePrompt, Turn: "t1", Data: []byte(`{"text":"one"}`)},
			store.Draft{Type: store.TypeTurnStart, Turn: "t1", Data: []byte(`{"run":"earlier"}`)},
			store.Draft{Type: store.TypeTaskStart, Turn: "t1", Data: []byte(`{"taskId":"k1"}`)},
			store.Draft{Type: store.TypeTurnEnd, Turn: "t1", Data: []byte(`{"success":true}`)},
		)
		stop := s.manage(nil)
		s.has(1, `task_end t1 taskId="k1" success=false`)
		stop()
	})
}

func TestServerThatComesBackSendsWhatWasSpooled(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		spool, err := OpenSpool(NewManager(ManagerConfig{SpoolDir: s.spool}).spoolOf("s"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := spool.Put(t.Context(), store.Draft{Type: store.TypeText, Key: "k", Data: []byte(`{"text":"left"}`)}); err != nil {
			t.Fatal(err)
		}
		if err := spool.Close(); err != nil {
			t.Fatal(err)
		}
		stop := s.manage(nil)
		s.has(1, `text text="left"`)
		stop()
	})
}

// openOf is the turn that is open in a session.
func (s *stage) openOf(session string) string {
	s.t.Helper()
	synctest.Wait()
	got, err := s.engine.Session(s.t.Context(), session)
	if err != nil {
		s.t.Fatal(err)
	}
	return got.Turn
}

// Somebody else's turn takes no place, and keeps no prompt from being run.
func TestManagerLeavesTheTurnsOfOthersAlone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		s.session("b", "claude")
		s.append(store.Draft{Type: store.TypeTurnStart, Turn: "other", Data: []byte(`{}`)})
		stop := s.manage(func(c *ManagerConfig, _ *Config) { c.Runners = 1 })
		s.promptIn("b", "tb")
		b := s.actor()
		go b.play(claudeDone)
		time.Sleep(time.Hour)
		if open := s.openOf("s"); open != "other" {
			t.Fatalf("open is %q", open)
		}
		s.prompt("t1", "one")
		time.Sleep(time.Hour)
		if len(s.born) != 0 {
			t.Fatal("an agent runs beside somebody else's turn")
		}
		s.has(2, "runner_start")
		s.append(store.TurnEndDraft("other", "done"))
		time.Sleep(time.Minute)
		a := s.actor()
		go a.play(claudeDone)
		stop()
	})
}

// An agent with nothing to do gives its place to one that has.
func TestIdleAgentGivesUpItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, idle := range []time.Duration{0, time.Hour} {
			s := newStage(t)
			stop := s.manage(func(c *ManagerConfig, a *Config) { c.Runners, a.Idle = 1, idle })
			s.session("a", "claude")
			s.session("b", "claude")
			s.promptIn("a", "t1")
			a := s.actor()
			s.promptIn("b", "t2")
			time.Sleep(time.Minute)
			select {
			case <-a.quit:
				t.Fatal("an agent was ended in its turn")
			default:
			}
			go a.play(claudeDone)
			time.Sleep(time.Minute)
			b := s.actor()
			b.says(claudeDone)
			time.Sleep(time.Minute)
			s.promptIn("a", "t3") // while b is idle
			go b.play()
			time.Sleep(time.Minute)
			go s.actor().play(claudeDone)
			stop()
		}
	})
}

// A prompt that the log has and the runner cannot see must not start runners
// all the time.
func TestSessionWithoutProgressIsNotRunAllTheTime(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		runs := 0
		s.log.set(func(l *countingLog) {
			l.refuse = func(d []store.Draft) error {
				switch d[0].Type {
				case typeRunnerStart:
					runs++
				case store.TypeTurnStart:
					return store.Errorf(store.CodeTurnEnded, "it has ended")
				}
				return nil
			}
		})
		stop := s.manage(nil)
		s.prompt("t1", "one")
		time.Sleep(time.Hour)
		stop()
		if runs < 10 || runs > 70 {
			t.Errorf("%d runners within an hour", runs)
		}
	})
}

// What was left to say in a session that is gone is not said in a later one of
// the same id.
func TestSpoolOfADeletedSessionIsNotSent(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session("s", "claude")
		stop := s.manage(func(_ *ManagerConfig, c *Config) { c.Logger = slog.New(slog.DiscardHandler) })
		s.prompt("t1", "one")
		a := s.actor()
		s.log.set(func(l *countingLog) { l.away = true })
		a.says(claudeText("secret of the first"))
		if err := s.engine.DeleteSession(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		go a.play()
		time.Sleep(time.Hour)
		s.log.set(func(l *countingLog) { l.away = false })
		s.session("s", "claude")
		s.prompt("t2", "two")
		b := s.actor()
		s.has(0, "secret")
		go b.play(claudeDone)
		stop()
	})
}

func TestSpoolsOfSessionsDoNotMeet(t *testing.T) {
	m := NewManager(ManagerConfig{SpoolDir: t.TempDir()})
	seen := map[string]string{}
	for _, id := range []string{"a", "A", "a.tmp", "a:b", "a_b", strings.Repeat("x", store.SessionIDBytesMax)} {
		name := strings.ToLower(filepath.Base(m.spoolOf(id)))
		r := Runner{c: Config{SpoolDir: m.spoolOf(id)}}
		for _, name := range []string{name, filepath.Base(r.temp())} {
			if other, there := seen[name]; there {
				t.Errorf("%s and %s share %s", id, other, name)
			}
			if seen[name] = id; len(name) > 255 || strings.ContainsAny(name, `:/\`) {
				t.Errorf("%s is no name of a file", name)
			}
		}
	}
}
