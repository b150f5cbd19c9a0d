package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// A full spool holds up the agent, and nobody who has to end it.
func TestFullSpoolHoldsUpTheAgentAlone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, _ *stub) { c.SpoolBytes = 1 })
		a.got()
		a.says(claudeInit)
		s.log.set(func(l *countingLog) { l.away = true })
		a.says(claudeText("first"))
		said := make(chan bool, 4)
		go func() {
			for _, line := range []string{claudeText("second"), claudeText("third"), claudeText("fourth"), claudeStopped} {
				a.child.out <- outLine{text: []byte(line)}
				said <- true
			}
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		if len(said) != 0 {
			t.Fatal("a full spool takes more of the agent's lines")
		}
		done := make(chan error)
		go func() { done <- stop() }()
		if got := a.got(); got != "interrupt" {
			t.Fatalf("the agent got %q at the end of its runner", got)
		}
		if len(said) != 4 {
			t.Errorf("%d of 4 lines were taken from an agent that is being stopped", len(said))
		}
		go a.play()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.has(0, "first")
		s.log.set(func(l *countingLog) { l.away = false })
		next := s.run(nil)
		for _, word := range []string{"first", "second", "third", "fourth", `turn_end t1 reason="stopped"`, "process_exit"} {
			s.has(1, word)
		}
		_ = next()
	})
}

func TestFullSpoolGoesOnWhenTheLogIsBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, _ *stub) { c.SpoolBytes = 1 })
		s.log.set(func(l *countingLog) { l.away = true })
		a.says(claudeText("first"))
		go func() { a.child.out <- outLine{text: []byte(claudeText("second"))} }()
		time.Sleep(time.Minute)
		s.log.set(func(l *countingLog) { l.away = false })
		time.Sleep(2 * sendWaitMax) // before anything else, such as the lease, wakes the runner
		s.has(1, "second")
		go a.play(claudeDone)
		_ = stop()
	})
}

// What waits for a log that is away must not keep the runner from ending.
func TestEndWhileATurnCannotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, leave := range []time.Duration{0, 3 * time.Second} {
			s := newStage(t)
			stop := s.run(func(c *Config, _ *stub) { c.LeaveWait = leave })
			s.log.set(func(l *countingLog) { l.away = true })
			s.prompt("t1", "one")
			synctest.Wait()
			began := time.Now()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			most := 2 * DrainWaitDefault
			if leave > 0 {
				most = 2 * leave
			}
			if waited := time.Since(began); waited > most {
				t.Errorf("with LeaveWait %s it took %s to end", leave, waited)
			}
			s.log.set(func(l *countingLog) { l.away = false })
			next := s.run(nil)
			a := s.actor()
			if got := a.got(); got != "prompt one" {
				t.Errorf("the next runner gives the agent %q", got)
			}
			go a.play(claudeDone)
			_ = next()
		}
	})
}

// A process that lives must not keep it either.
func TestEndWhileATurnCannotBeginWithAProcess(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, _ *stub) { c.LeaveWait = 3 * time.Second })
		a.says(claudeDone)
		synctest.Wait()
		s.log.set(func(l *countingLog) { l.away = true })
		s.prompt("t2", "two")
		synctest.Wait()
		go a.play()
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 6*time.Second {
			t.Errorf("it took %s to end", waited)
		}
		if len(s.born) != 0 {
			t.Error("a turn was run at the end")
		}
	})
}

// Who is stopped before the first word has not lost its conversation. Who ends
// by itself there has none to go on with.
func TestConversationOutlivesAStopBeforeTheFirstWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for stopped, want := range map[bool]string{true: "c9", false: ""} {
			s := newStage(t)
			a, stop := s.begin(func(c *Config, d *stub) { c.ResumeID, d.one = "c9", true })
			if a.launch.Resume != "c9" {
				t.Fatalf("it resumes %q", a.launch.Resume)
			}
			if stopped {
				s.stopTurn("t1")
				if sig := a.signal(); sig != os.Interrupt {
					t.Fatalf("it got %v", sig)
				}
			}
			a.exits(exit{Code: 1})
			s.prompt("t2", "two")
			b := s.actor()
			if b.launch.Resume != want {
				t.Errorf("stopped %t: the next one resumes %q, want %q", stopped, b.launch.Resume, want)
			}
			go b.play()
			_ = stop()
		}
	})
}

func TestWordsThatComeBeforeThePrompt(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ready := false
		a, stop := s.begin(func(_ *Config, d *stub) { d.ready = func() bool { return ready } })
		s.prompt("t1", "and quickly")
		if got := a.got(); got != "" {
			t.Fatalf("an agent that is not ready got %q", got)
		}
		ready = true
		a.says("noise")
		if first, second := a.got(), a.got(); first != "prompt one" || second != "prompt and quickly" {
			t.Errorf("the agent got %q and then %q", first, second)
		}
		a.says(claudeDone)
		ready = false
		s.prompt("t2", "two")
		synctest.Wait()
		s.prompt("t2", "too late")
		synctest.Wait()
		s.stopTurn("t2")
		s.has(1, `code="not_delivered"`)
		s.has(1, `turn_end t2 reason="stopped"`)
		go a.play()
		_ = stop()
	})
}

func TestWordsOfATurnAreBounded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ready := false
		a, stop := s.begin(func(_ *Config, d *stub) { d.ready = func() bool { return ready } })
		for i := range wordsMax + 2 {
			s.prompt("t1", fmt.Sprint("word ", i))
			synctest.Wait()
		}
		s.has(2, "100 others of this turn wait already")
		ready = true
		a.says("noise")
		if got := a.got(); got != "prompt one" {
			t.Fatalf("the agent got %q", got)
		}
		for i := range wordsMax {
			if got := a.got(); got != fmt.Sprint("prompt word ", i) {
				t.Fatalf("the agent got %q as word %d", got, i)
			}
		}
		s.prompt("t1", "one more")
		if got := a.got(); got != "prompt one more" {
			t.Errorf("with room again the agent got %q", got)
		}
		a.says(claudeDone)
		go a.play()
		_ = stop()
	})
}

// A line that is too long for one piece is in the log as its parts.
func TestLineOverAllLimits(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.child.out <- outLine{text: []byte("be\xff"), part: 1, more: true}
		a.child.out <- outLine{text: []byte("gin"), part: 2}
		synctest.Wait()
		a.says(claudeDone)
		page, err := s.engine.Read(t.Context(), "s", store.Query{Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		var line []byte
		for _, e := range page.Events {
			part, ok, err := agent.FittedLine(e.Data, func(sum string) ([]byte, error) { return s.log.ReadBlob(t.Context(), sum) })
			if err != nil {
				t.Fatal(err)
			}
			if ok && e.Turn == "t1" && e.Field("part") != nil {
				line = append(line, part...)
			}
		}
		if string(line) != "be\xffgin" {
			t.Errorf("the line is %q in\n%s", line, s.story())
		}
		go a.play()
		_ = stop()
	})
	part := agent.Part(1, true, []byte("be\xff"))
	part.Turn = "t1"
	if got := shape(part, naked, "t1"); got.Turn != "" || string(got.Raw) != "be\xff" || string(got.Data) != string(part.Data) {
		t.Errorf("without its turn it is %+v", got)
	}
}

// An agent that works is not one that does not get ready: ACP takes no prompt
// until the one before is answered.
func TestReadyWaitIsForAPromptThatWaits(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ready := false
		a, stop := s.begin(func(_ *Config, d *stub) { d.ready = func() bool { return ready } })
		ready = true
		a.says("noise")
		a.got()
		ready = false
		a.says(claudeText("hello"))
		time.Sleep(time.Hour)
		if sig := a.signal(); sig != nil {
			t.Fatalf("an agent that works got %v", sig)
		}
		a.says(claudeDone)
		s.prompt("t2", "two")
		began := time.Now()
		if sig := <-a.sig; sig != os.Kill || time.Since(began) != ReadyWaitDefault {
			t.Errorf("%v after %s", sig, time.Since(began))
		}
		a.exits(exit{Signal: "SIGKILL"})
		s.has(1, "turn_end t1")
		s.has(1, `turn_end t2 reason="error" error="the agent did not get ready`)
		_ = stop()
	})
}

// Turns of its own do not save a process that has to go.
func TestProcessThatGoesOnByItselfIsEnded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(_ *Config, d *stub) { d.one = true })
		a.says(claudeDone)
		began := time.Now()
		var got []string
		for len(got) < 2 && time.Since(began) < time.Hour {
			a.says(claudeInit)
			a.says(claudeText("more"))
			if sig := a.signal(); sig != nil {
				got = append(got, fmt.Sprint(sig, " ", time.Since(began).Truncate(time.Second)))
			}
			a.says(claudeDone)
			time.Sleep(time.Second)
		}
		if fmt.Sprint(got) != "[terminated 10s killed 15s]" {
			t.Errorf("it got %v", got)
		}
		a.says(claudeText("last"))
		a.exits(exit{Signal: "SIGKILL"})
		s.has(1, `reason="exit" error="the agent was ended by SIGKILL before the turn was over"`)
		_ = stop()
	})
}

// The server takes a runner for dead that was only asleep. The turn goes on, and
// can be steered and stopped under its new name.
func TestTurnThatTheServerGaveUpGoesOn(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeInit)
		s.append(store.TurnEndDraft("t1", store.ReasonAbandoned))
		s.has(1, "turn_start t1+2")
		s.has(1, "error t1+2")
		s.prompt("t1+2", "quick")
		if got := a.got(); got != "prompt quick" {
			t.Errorf("the agent got %q", got)
		}
		a.says(claudeText("hello"))
		s.append(store.TurnEndDraft("t1+2", store.ReasonAbandoned))
		s.has(1, "turn_start t1+3")
		s.prompt("t2", "two")
		s.stopTurn("t1+3")
		if got := a.got(); got != "interrupt" {
			t.Errorf("the agent got %q", got)
		}
		a.says(claudeStopped)
		s.has(1, `turn_end t1+3 reason="stopped"`)
		if got := a.got(); got != "prompt two" {
			t.Errorf("then it got %q", got)
		}
		time.Sleep(LeaseDefault)
		s.log.set(func(l *countingLog) {
			if l.touched != "t2" {
				t.Errorf("the lease of %s is renewed", l.touched)
			}
		})
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestTurnThatSomebodyElseEndsIsStopped(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		s.append(store.TurnEndDraft("t1", "stopped"))
		if got := a.got(); got != "interrupt" {
			t.Errorf("the agent got %q", got)
		}
		a.says(claudeStopped)
		s.has(1, "turn_end")
		s.has(1, "turn_start")
		s.prompt("t2", "two")
		if got := a.got(); got != "prompt two" {
			t.Errorf("then it got %q", got)
		}
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestClosedSessionEndsItsRunner(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		done := make(chan error, 1)
		c := s.config(nil)
		go func() { done <- Run(t.Context(), c) }()
		synctest.Wait()
		s.prompt("t1", "one")
		a := s.actor()
		a.says(claudeDone)
		synctest.Wait()
		s.append(store.Draft{Type: store.TypeSessionClosed, Data: []byte(`{}`)})
		go a.play()
		if err := <-done; err != nil {
			t.Errorf("the runner of a closed session ended with %v", err)
		}
		s.has(0, "process_exit")
		if left, _ := os.ReadDir(s.spool); len(left) != 0 {
			t.Errorf("%d files are left in the spool of a session that takes nothing", len(left))
		}
	})
}

func TestDeletedSessionEndsItsRunner(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		done := make(chan error, 1)
		c := s.config(nil)
		go func() { done <- Run(t.Context(), c) }()
		synctest.Wait()
		s.prompt("t1", "one")
		a := s.actor()
		if err := s.engine.DeleteSession(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the runner of a deleted session ended with %v", err)
		}
		if sig := a.signal(); sig != os.Kill {
			t.Errorf("its agent got %v", sig)
		}
	})
}

// A turn_start that was refused is tried again, also on a clock that stands
// still between two looks at it.
func TestTurnThatCannotBeginYetIsTriedAgain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		stop := s.run(nil)
		tries := 0
		s.log.set(func(l *countingLog) {
			l.refuse = func(d []store.Draft) error {
				if d[0].Type != store.TypeTurnStart {
					return nil
				}
				if tries++; tries < 4 {
					return store.Errorf(store.CodeTurnOpen, "another turn is open")
				}
				return nil
			}
		})
		began := time.Now()
		s.prompt("t1", "one")
		a := <-s.born
		if waited := time.Since(began); waited != 3*beginAgain || tries != 4 {
			t.Errorf("it began after %s and %d tries", waited, tries)
		}
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestImagesThatCannotBeReadNowAreReadAgain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		blob, err := s.log.PutBlob(t.Context(), "image/png", []byte("png"))
		if err != nil {
			t.Fatal(err)
		}
		for _, trouble := range []error{errAway, store.Errorf(store.CodeShutdown, "shutting down")} {
			fails := 2
			s.log.set(func(l *countingLog) {
				l.blobs = func() error {
					if fails--; fails >= 0 {
						return trouble
					}
					return nil
				}
			})
			done := make(chan error, 1)
			go func() { done <- Run(t.Context(), s.config(func(c *Config, _ *stub) { c.Once = true })) }()
			synctest.Wait()
			s.append(store.Draft{Type: store.TypePrompt, Data: []byte(`{"text":"see","images":[{"sha256":"` + blob.SHA256 + `","contentType":"image/png"}]}`)})
			a := <-s.born
			if p := a.launch.Prompt; len(p.Images) != 1 || string(p.Images[0].Content) != "png" {
				t.Errorf("the agent gets %+v", p)
			}
			go a.play(claudeDone)
			if err := <-done; err != nil {
				t.Errorf("%v ended the runner: %v", trouble, err)
			}
		}
	})
}

func TestOnceEndsWhenNoPromptWaits(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		done := make(chan error, 1)
		go func() { done <- Run(t.Context(), s.config(func(c *Config, d *stub) { c.Once, d.one = true, true })) }()
		time.Sleep(time.Hour)
		s.prompt("t1", "one")
		a := s.actor()
		s.prompt("t2", "two")
		a.says(claudeDone)
		a.exits(exit{})
		b := s.actor()
		b.says(claudeDone)
		select {
		case err := <-done:
			t.Fatalf("it ended before its process, with %v", err)
		default:
		}
		b.exits(exit{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.has(2, "turn_end")
		s.has(2, "process_exit")
	})
}

// A prompt that was stopped before its turn began was dealt with, too.
func TestOnceEndsWhenItsPromptIsStopped(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.append(store.Draft{Type: store.TypeTurnStart, Turn: "other", Data: []byte(`{}`)})
		s.prompt("t0", "of before")
		s.append(store.TurnEndDraft("t0", "stopped"))
		var endings []Ending
		done := make(chan error, 1)
		go func() {
			done <- Run(t.Context(), s.config(func(c *Config, _ *stub) {
				c.Once, c.Ended = true, func(e Ending) { endings = append(endings, e) }
			}))
		}()
		synctest.Wait()
		s.prompt("t1", "one")
		synctest.Wait()
		s.append(store.TurnEndDraft("t1", "stopped"))
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("it ended while somebody else's turn was open")
		default:
		}
		s.append(store.TurnEndDraft("other", "done"))
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Hour):
			t.Fatal("it goes on")
		}
		if len(endings) != 1 || endings[0].Turn != "t1" || endings[0].Success {
			t.Errorf("it told of %+v", endings)
		}
		if len(s.born) != 0 {
			t.Error("an agent was started")
		}
	})
}

func TestLeaveWaitKillsWhoDoesNotStop(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, _ *stub) { c.LeaveWait = 3 * time.Second })
		a.got()
		done := make(chan error)
		began := time.Now()
		go func() { done <- stop() }()
		if sig := <-a.sig; sig != os.Kill || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", sig, time.Since(began))
		}
		a.exits(exit{Signal: "SIGKILL"})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.has(1, `turn_end t1 reason="stopped"`)
	})
}

func TestStopOfATurnOfItsOwn(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeDone)
		a.says(claudeText("by myself"))
		events := s.log.Log.(local).Engine
		session, err := events.Session(t.Context(), "s")
		if err != nil || session.Turn == "" || session.Turn == "t1" {
			t.Fatalf("open is %q, %v", session.Turn, err)
		}
		s.stopTurn(session.Turn)
		if got := a.got(); got != "interrupt" {
			t.Errorf("the agent got %q", got)
		}
		for range 3 {
			<-a.sig
		}
		a.exits(exit{Signal: "SIGKILL"})
		s.has(1, "turn_end "+session.Turn+` reason="stopped"`)
		_ = stop()
	})
}

// What an earlier runner of the session left running has died with its agent.
func TestTasksOfAnEarlierRunnerEnd(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.append(
			store.Draft{Type: store.TypeTurnStart, Turn: "x", Data: []byte(`{}`)}, // somebody else's
			store.Draft{Type: store.TypeTaskStart, Turn: "x", Data: []byte(`{"taskId":"k0"}`)},
			store.TurnEndDraft("x", "done"),
			store.Draft{Type: store.TypeTurnStart, Turn: "t0", Data: []byte(`{"run":"earlier"}`)},
			store.Draft{Type: store.TypeTaskStart, Turn: "t0", Data: []byte(`{"taskId":"k1"}`)},
			store.Draft{Type: store.TypeTaskStart, Turn: "t0", Data: []byte(`{"taskId":"k2"}`)},
			store.Draft{Type: store.TypeTaskEnd, Turn: "t0", Data: []byte(`{"taskId":"k2"}`)},
			store.Draft{Type: store.TypeStopTurn, Turn: "t0", Data: []byte(`{}`)},
		)
		stop := s.run(nil)
		s.has(1, `task_end t0 taskId="k1" success=false`)
		s.has(1, `task_end t0 taskId="k2"`)
		s.has(0, `task_end x`)
		s.has(1, `turn_end t0 reason="abandoned"`)
		_ = stop()
	})
}

func TestSecretsDoNotReachTheLog(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, d *stub) {
			c.Agent, d.one = agent.FormatLines, true
			c.Redact = func(line []byte) ([]byte, map[string]int) {
				n := strings.Count(string(line), "hush")
				return []byte(strings.ReplaceAll(string(line), "hush", "[redacted:x]")), map[string]int{"x": n}
			}
		})
		a.says("it is hush, hush")
		a.exits(exit{Stderr: "hush"})
		p, err := s.engine.Read(t.Context(), "s", store.Query{Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p.Events)
		if err != nil || strings.Contains(string(b), "hush") {
			t.Errorf("%v; the log has %s", err, b)
		}
		for _, e := range p.Events {
			if e.Type == store.TypeProcessExit && string(e.Field("redacted")) != `{"x":3}` {
				t.Errorf("process_exit says %s", e.Data)
			}
		}
		s.has(1, `fullText="it is [redacted:x], [redacted:x]"`)
		_ = stop()
	})
}

// A runner that says nothing learns from the log that it was overtaken.
func TestIdleRunnerIsTakenOver(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		first := s.config(nil)
		done := make(chan error, 1)
		go func() { done <- Run(t.Context(), first) }()
		time.Sleep(time.Second) // another epoch
		other := t.TempDir()    // of another machine
		second := s.run(func(c *Config, _ *stub) { c.SpoolDir = other })
		select {
		case err := <-done:
			if !errors.Is(err, ErrFenced) {
				t.Errorf("the older runner ended with %v, want ErrFenced", err)
			}
		default:
			t.Fatal("the older runner goes on")
		}
		_ = second()
	})
}

func TestTurnThatEndedBeforeItBeganIsLeftOut(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		stop := s.run(nil)
		s.log.set(func(l *countingLog) {
			l.refuse = func(d []store.Draft) error {
				if d[0].Type == store.TypeTurnStart && d[0].Turn == "t1" {
					return store.Errorf(store.CodeTurnEnded, "it was stopped while it waited")
				}
				return nil
			}
		})
		s.prompt("t1", "one")
		s.prompt("t2", "two")
		a := s.actor()
		if got := a.got(); got != "prompt two" {
			t.Errorf("the agent got %q", got)
		}
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestStopWhileATurnBegins(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		stop := s.run(nil)
		s.log.set(func(l *countingLog) { l.away = true })
		s.prompt("t1", "one")
		synctest.Wait()
		s.stopTurn("t1")
		synctest.Wait()
		s.log.set(func(l *countingLog) { l.away = false })
		time.Sleep(2 * sendWaitMax)
		s.has(1, `turn_end t1 reason="stopped"`)
		if len(s.born) != 0 {
			t.Error("an agent was started for a turn that was stopped")
		}
		_ = stop()
	})
}

func TestEndOfTheRunnerStopsATurnOfItsOwn(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeDone)
		a.says(claudeText("by myself"))
		done := make(chan error)
		go func() { done <- stop() }()
		if got := a.got(); got != "interrupt" {
			t.Errorf("the agent got %q", got)
		}
		select {
		case <-a.quit:
			t.Error("its input was ended within a turn")
		default:
		}
		a.says(claudeStopped)
		<-a.quit
		a.exits(exit{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.has(1, `reason="stopped" error="error during execution"`)
	})
}

func TestProcessThatIgnoresTheEndOfItsInput(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.says(claudeDone)
		done := make(chan error)
		began := time.Now()
		go func() { done <- stop() }()
		<-a.quit
		if sig := <-a.sig; sig != stopSignals[1] || time.Since(began) != ExitWaitDefault {
			t.Errorf("%v after %s", sig, time.Since(began))
		}
		if sig := <-a.sig; sig != os.Kill {
			t.Errorf("then %v", sig)
		}
		a.exits(exit{Signal: "SIGKILL"})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestProcessThatTakesNoPromptIsReplaced(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.says(claudeDone)
		a.child.write = func([]byte) error { return ErrInputFull }
		s.prompt("t2", "two")
		<-a.quit
		s.has(1, `turn_end t2 reason="error"`)
		a.exits(exit{})
		s.prompt("t3", "three")
		b := s.actor()
		if got := b.got(); got != "prompt three" {
			t.Errorf("the next one got %q", got)
		}
		go b.play(claudeDone)
		_ = stop()
	})
}
