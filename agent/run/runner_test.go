package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

func TestMain(m *testing.M) {
	long.Waits()
	os.Exit(m.Run())
}

// stage is a log in memory, and what its runners start instead of processes.
type stage struct {
	t      *testing.T
	engine *memory.Log
	log    *countingLog
	spool  string
	born   chan *actor
	wakes  int // bound of a manager's queue; 0 is its own
}

// countingLog counts what leaves no trace in the log.
type countingLog struct {
	Log
	mu      sync.Mutex
	touches int
	touched string
	away    bool                             // it can be read, and nothing else
	refuse  func(drafts []store.Draft) error // or nil: what it returns is the answer of an append
	blobs   func() error                     // or nil: likewise of ReadBlob

	feedGone bool // the feed cannot be read
}

// set changes the faults.
func (l *countingLog) set(f func(*countingLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func (l *countingLog) ReadBlob(ctx context.Context, sha256 string) ([]byte, error) {
	l.mu.Lock()
	blobs := l.blobs
	l.mu.Unlock()
	if blobs != nil {
		if err := blobs(); err != nil {
			return nil, err
		}
	}
	return l.Log.ReadBlob(ctx, sha256)
}

func (l *countingLog) Follow(ctx context.Context, session string, after int64, types []string, each func(store.Event) error, caughtUp func()) error {
	l.mu.Lock()
	gone := l.feedGone && session == store.FeedSession
	l.mu.Unlock()
	if gone {
		return errAway
	}
	return l.Log.Follow(ctx, session, after, types, each, caughtUp)
}

func (l *countingLog) Producer(session, id string, epoch int64) Producer {
	return &faultyProducer{l, l.Log.Producer(session, id, epoch)}
}

type faultyProducer struct {
	l *countingLog
	p Producer
}

func (p *faultyProducer) Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	p.l.mu.Lock()
	away, refuse := p.l.away, p.l.refuse
	p.l.mu.Unlock()
	if away {
		return store.Appended{}, errAway
	}
	if refuse != nil {
		if err := refuse(drafts); err != nil {
			return store.Appended{}, err
		}
	}
	return p.p.Append(ctx, drafts...)
}

func (l *countingLog) Touch(ctx context.Context, session, turn string) error {
	l.mu.Lock()
	l.touches++
	l.touched = turn
	away := l.away
	l.mu.Unlock()
	if away {
		return errAway
	}
	return l.Log.Touch(ctx, session, turn)
}

// actor plays an agent's process.
type actor struct {
	t      *testing.T
	launch Start
	child  *child
	in     chan string
	sig    chan os.Signal
	quit   chan struct{}
	over   <-chan struct{} // closed once the runner has ended
}

func newStage(t *testing.T) *stage {
	hub := stream.NewHub()
	engine := memory.New(memory.Options{Committed: hub.Committed})
	return &stage{t: t, engine: engine, log: &countingLog{Log: Local(engine, hub)}, spool: t.TempDir(), born: make(chan *actor, 8)}
}

// onStage runs a test with a stage of its own, in virtual time.
func onStage(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newStage(t)) })
}

// stub is a driver whose language is plain words.
type stub struct {
	s     *stage
	a     *actor
	one   bool
	ready func() bool
}

func (d *stub) Launch(s Start) (Launch, error) {
	d.a.launch = s
	return Launch{Args: s.Command, OnePrompt: d.one}, nil
}
func (d *stub) Heard([]byte, agent.Meaning) []byte { return nil }
func (d *stub) Ready() bool                        { return d.ready == nil || d.ready() }
func (d *stub) Prompt(p Prompt) ([]byte, error) {
	if d.one {
		return nil, ErrOnePrompt
	}
	return []byte("prompt " + p.Text), nil
}
func (d *stub) Answer(a Answer) ([]byte, bool) {
	return fmt.Appendf(nil, "answer %s %t", a.RequestID, a.Allow), true
}
func (d *stub) Interrupt() ([]byte, bool) { return []byte("interrupt"), !d.one }

// config is a runner of the stage; change may change it.
func (s *stage) config(change func(*Config, *stub)) Config {
	d := &stub{s: s}
	c := Config{
		Log: s.log, Session: "s", Agent: agent.FormatClaude, Name: "claude", Command: []string{"agent"}, SpoolDir: s.spool,
		Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	}
	c.Driver = func() (Driver, error) {
		own := *d
		own.a = &actor{t: s.t, in: make(chan string, 100), sig: make(chan os.Signal, 100), quit: make(chan struct{})}
		return &own, nil
	}
	c.spawn = func(ch *child, _ Launch) error {
		a := ch.driver.(*stub).a
		a.child = ch
		ch.write = func(b []byte) error { a.in <- string(b); return nil }
		ch.signal = func(sig os.Signal) { a.sig <- sig }
		ch.quit = sync.OnceFunc(func() { close(a.quit) })
		s.born <- a
		return nil
	}
	if change != nil {
		change(&c, d)
	}
	return c
}

// run starts a runner; stop ends it and gives what Run returned.
func (s *stage) run(change func(*Config, *stub)) (stop func() error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done, over := make(chan error, 1), make(chan struct{})
	c := s.config(change)
	spawn := c.spawn
	c.spawn = func(ch *child, l Launch) error {
		ch.driver.(*stub).a.over = over
		return spawn(ch, l)
	}
	go func() {
		err := Run(ctx, c)
		close(over)
		done <- err
	}()
	synctest.Wait()
	return func() error { cancel(); return <-done }
}

func (s *stage) append(drafts ...store.Draft) {
	s.t.Helper()
	if _, err := s.engine.Append(s.t.Context(), "s", store.AppendOptions{}, drafts...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) prompt(turn, text string) {
	s.t.Helper()
	s.append(store.Draft{Type: store.TypePrompt, Turn: turn, Data: mustJSON(map[string]any{"text": text})})
}

func (s *stage) stopTurn(turn string) {
	s.t.Helper()
	s.append(store.Draft{Type: store.TypeStopTurn, Turn: turn, Data: []byte(`{}`)})
}

// begin runs a runner with its first prompt, one of the turn t1, and gives the
// process that it starts.
func (s *stage) begin(change func(*Config, *stub)) (a *actor, stop func() error) {
	s.t.Helper()
	stop = s.run(change)
	s.prompt("t1", "one")
	return s.actor(), stop
}

// says prints a line as the agent's.
func (a *actor) says(line string) {
	a.t.Helper()
	a.child.out <- outLine{text: []byte(line)}
	synctest.Wait()
}

func (a *actor) exits(x exit) {
	a.child.out <- outLine{exit: &x}
	synctest.Wait()
}

// got is what the runner wrote to the agent next; "" when it wrote nothing.
func (a *actor) got() string {
	synctest.Wait()
	select {
	case text := <-a.in:
		return text
	default:
		return ""
	}
}

func (a *actor) signal() os.Signal {
	synctest.Wait()
	select {
	case sig := <-a.sig:
		return sig
	default:
		return nil
	}
}

// actor waits for the process that the runner starts next.
func (s *stage) actor() *actor {
	s.t.Helper()
	synctest.Wait()
	select {
	case a := <-s.born:
		return a
	default:
		s.t.Fatalf("no process was started; the log has\n%s", s.story())
		return nil
	}
}

// story is the log in short: type, turn, and what tells events apart.
func (s *stage) story() string {
	synctest.Wait()
	p, err := s.engine.Read(context.Background(), "s", store.Query{Raw: true})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range p.Events {
		fmt.Fprint(&b, e.Type)
		if e.Turn != "" {
			fmt.Fprint(&b, " ", e.Turn)
		}
		for _, name := range []string{"text", "reason", "error", "exitCode", "signal", "taskId", "success", "fullText", "code"} {
			if v := e.Field(name); len(v) > 0 {
				fmt.Fprintf(&b, " %s=%s", name, v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// last is the last event of a type.
func (s *stage) last(typ string) store.Event {
	s.t.Helper()
	synctest.Wait()
	p, err := s.engine.Read(context.Background(), "s", store.Query{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range slices.Backward(p.Events) {
		if e.Type == typ {
			return e
		}
	}
	s.t.Fatalf("no %s in\n%s", typ, s.story())
	return store.Event{}
}

// tells fails unless the log's story is this one.
func (s *stage) tells(want ...string) {
	s.t.Helper()
	got := strings.Split(strings.TrimSpace(s.story()), "\n")
	if !slices.Equal(got, want) {
		s.t.Errorf("the log has\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// has fails unless the log's story has the text n times.
func (s *stage) has(n int, text string) {
	s.t.Helper()
	if story := s.story(); strings.Count(story, text) != n {
		s.t.Errorf("want %d of %q in\n%s", n, text, story)
	}
}

const (
	claudeInit    = `{"type":"system","subtype":"init","session_id":"c1","model":"m","cwd":"/","tools":[]}`
	claudeDone    = `{"type":"result","subtype":"success","is_error":false,"session_id":"c1"}`
	claudeStopped = `{"type":"result","subtype":"error_during_execution","is_error":true}`
)

func claudeText(text string) string {
	return `{"type":"assistant","message":{"id":"m1","role":"assistant","content":[{"type":"text","text":"` + text + `"}]},"session_id":"c1","parent_tool_use_id":null}`
}

func TestPromptsRunOneAfterTheOther(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		s.prompt("t2", "two")
		if got := a.got(); got != "prompt one" {
			t.Fatalf("the agent got %q", got)
		}
		a.says(claudeInit)
		a.says(claudeText("hello"))
		if got := a.got(); got != "" {
			t.Fatalf("the agent got %q within a turn", got)
		}
		a.says(claudeDone)
		if got := a.got(); got != "prompt two" {
			t.Fatalf("then the agent got %q", got)
		}
		a.says(claudeDone)
		s.tells("runner_start", `prompt t1 text="one"`, "turn_start t1", "process_start t1", `prompt t2 text="two"`,
			"session_init t1", `text t1 text="hello"`, `turn_end t1 reason="done" success=true`,
			"turn_start t2", `turn_end t2 reason="done" success=true`)
		ended := make(chan error)
		go func() { ended <- stop() }()
		<-a.quit // nothing runs: it is asked to end
		a.exits(exit{})
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// The agent must not work on what may yet be refused.
func TestPromptIsGivenOnlyOnceTheTurnIsDurable(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.append(store.Draft{Type: store.TypeTurnStart, Turn: "other", Data: []byte(`{}`)})
		stop := s.run(nil)
		s.prompt("t1", "one")
		synctest.Wait()
		if len(s.born) != 0 {
			t.Fatal("an agent was started while somebody else's turn was open")
		}
		s.append(store.Draft{Type: store.TypeTurnEnd, Turn: "other", Data: []byte(`{"success":true}`)})
		time.Sleep(2 * beginAgain)
		if a := s.actor(); a.got() != "prompt one" {
			t.Fatal("the prompt was not given")
		} else {
			go a.play(claudeDone)
		}
		_ = stop()
	})
}

// play says the lines and ends when it is asked to, by any way.
func (a *actor) play(lines ...string) {
	for _, l := range lines {
		a.child.out <- outLine{text: []byte(l)}
	}
	var x exit
	for {
		select {
		case <-a.in:
			continue
		case <-a.quit:
		case sig := <-a.sig:
			x.Signal = fmt.Sprint(sig)
		}
		break
	}
	select {
	case a.child.out <- outLine{exit: &x}:
	case <-a.over:
	}
}

func TestStopKeepsTheTextAndEndsOnce(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeInit)
		a.says(claudeText("half a"))
		s.stopTurn("t1")
		if got := a.got(); got != "interrupt" {
			t.Fatalf("the agent got %q", got)
		}
		a.says(`{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_streaming"}`)
		time.Sleep(time.Hour)
		if sig := a.signal(); sig != nil {
			t.Fatalf("an agent that stopped by itself got %v", sig)
		}
		story := s.story()
		if strings.Count(story, "turn_end") != 1 || !strings.Contains(story, `reason="stopped"`) || !strings.Contains(story, "half a") {
			t.Fatalf("the log has\n%s", story)
		}
		go a.play()
		_ = stop()
	})
}

func TestStopThatIsNotHeardComesToSignals(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.says(claudeInit)
		s.stopTurn("t1")
		began := time.Now()
		for _, want := range []struct {
			sig  os.Signal
			wait time.Duration
		}{{os.Interrupt, InterruptWaitDefault}, {stopSignals[1], InterruptWaitDefault + SignalWaitDefault}, {os.Kill, InterruptWaitDefault + 2*SignalWaitDefault}} {
			sig := <-a.sig
			if waited := time.Since(began); sig != want.sig || waited != want.wait {
				t.Fatalf("%v after %s, want %v after %s", sig, waited, want.sig, want.wait)
			}
		}
		a.exits(exit{Code: -1, Signal: "SIGKILL"})
		s.tells("runner_start", `prompt t1 text="one"`, "turn_start t1", "process_start t1", "session_init t1", "stop_turn t1",
			`process_exit t1 reason="stopped" exitCode=-1 signal="SIGKILL"`, `turn_end t1 reason="stopped" success=false`)
		_ = stop()
	})
}

func TestDeadAgentEndsItsTurnAndTasks(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.says(claudeInit)
		a.says(`{"type":"system","subtype":"task_started","task_id":"k1","description":"job","session_id":"c1"}`)
		a.says(`{"type":"from_tomorrow"}`)
		a.exits(exit{Code: 3, Stderr: "out of luck"})
		if last := s.last(store.TypeProcessExit); string(last.Field("unknown")) != `{"from_tomorrow":1}` || last.Text("stderr") != "out of luck" {
			t.Errorf("process_exit says %s", last.Data)
		}
		s.prompt("t2", "two")
		b := s.actor()
		if b.launch.Resume != "c1" {
			t.Errorf("the next process resumes %q, want the agent's own conversation c1", b.launch.Resume)
		}
		story := s.story()
		for _, want := range []string{"task_end t1 taskId=\"k1\" success=false", "process_exit t1 reason=\"exit\" exitCode=3", "turn_end t1 reason=\"exit\" error=\"the agent exited with code 3 before the turn was over\" success=false"} {
			if strings.Count(story, want) != 1 {
				t.Errorf("want once %q in\n%s", want, story)
			}
		}
		go b.play()
		_ = stop()
	})
}

func TestNewerRunnerTakesOver(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, first := s.begin(nil)
		a.says(claudeInit)
		s.prompt("t2", "two")
		time.Sleep(time.Second) // another epoch
		other := t.TempDir()    // of another machine
		second := s.run(func(c *Config, _ *stub) { c.SpoolDir = other })
		go a.play()
		if err := first(); !errors.Is(err, ErrFenced) {
			t.Errorf("the older runner ended with %v, want ErrFenced", err)
		}
		b := s.actor()
		if got := b.got(); got != "prompt two" {
			t.Errorf("the newer one began with %q; a turn that was begun is not run again", got)
		}
		story := s.story()
		if strings.Count(story, `turn_end t1 reason="abandoned"`) != 1 || strings.Count(story, "turn_end t1") != 1 {
			t.Errorf("the log has\n%s", story)
		}
		go b.play()
		_ = second()
	})
}

func TestSessionHasOneRunnerPerMachine(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		stop := s.run(nil)
		synctest.Wait()
		if err := Run(t.Context(), s.config(nil)); !errors.Is(err, ErrSpoolBusy) {
			t.Errorf("a second runner gave %v, want ErrSpoolBusy", err)
		}
		_ = stop()
	})
}

func TestAnswersReachTheAgent(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(`{"type":"control_request","request_id":"q1","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"a":1}}}`)
		s.has(1, "permission_request t1")
		s.append(store.Draft{Type: store.TypePermissionResponse, Turn: "t1", Data: []byte(`{"requestId":"q1","allow":true}`)})
		if got := a.got(); got != "answer q1 true" {
			t.Errorf("the agent got %q", got)
		}
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestSilentAgentKeepsItsTurn(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		time.Sleep(10 * LeaseDefault)
		s.log.mu.Lock()
		touches := s.log.touches
		s.log.mu.Unlock()
		if touches < 25 {
			t.Errorf("the lease was renewed %d times in ten leases", touches)
		}
		go a.play(claudeDone)
		_ = stop()
	})
}

// P7: a turn whose events a quota keeps out is not held open, so that it ends
// for those who watch; nothing of it is lost.
func TestQuotaDoesNotHoldTheTurnOpen(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeInit)
		quota := func(on bool) {
			s.log.set(func(l *countingLog) {
				l.refuse = nil
				if on {
					l.refuse = func([]store.Draft) error { return store.Errorf(store.CodeQuota, "used up") }
				}
			})
		}
		touches := func() (n int) {
			s.log.set(func(l *countingLog) { n = l.touches })
			return n
		}
		quota(true)
		a.says(claudeText("kept back"))
		time.Sleep(LeaseDefault) // what was under way
		before := touches()
		time.Sleep(5 * LeaseDefault)
		if n := touches() - before; n != 0 {
			t.Errorf("the lease was renewed %d times while a quota was used up", n)
		}
		quota(false)
		time.Sleep(2*sendWaitMax + LeaseDefault)
		if touches() == before {
			t.Error("the lease is not renewed any more")
		}
		s.has(1, "kept back")
		go a.play(claudeDone)
		_ = stop()
	})
}

func TestEndOfTheRunnerStopsTheTurn(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeText("half"))
		done := make(chan error)
		go func() { done <- stop() }()
		if got := a.got(); got != "interrupt" {
			t.Fatalf("the agent got %q", got)
		}
		a.says(claudeStopped)
		a.exits(exit{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.has(1, `turn_end t1 reason="stopped"`)
	})
}

func TestStopBeforeTheAgentIsReady(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(_ *Config, d *stub) { d.ready = func() bool { return false } })
		s.stopTurn("t1")
		if got := a.got(); got != "" {
			t.Errorf("the agent got %q", got)
		}
		s.has(1, `turn_end t1 reason="stopped"`)
		go a.play()
		_ = stop()
	})
}

func TestAgentThatIsNeverReady(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(_ *Config, d *stub) { d.ready = func() bool { return false } })
		if sig := <-a.sig; sig != os.Kill {
			t.Fatalf("it got %v", sig)
		}
		a.exits(exit{Signal: "SIGKILL"})
		s.has(1, "did not get ready within 1m0s")
		_ = stop()
	})
}

func TestPlainLinesBecomeTheTurnsText(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(c *Config, d *stub) { c.Agent, d.one = agent.FormatLines, true })
		a.says("first line")
		a.says("second line")
		a.exits(exit{})
		story := s.story()
		if !strings.Contains(story, `text_delta t1 text="first line\n"`) || !strings.Contains(story, `turn_end t1 reason="done" success=true fullText="first line\nsecond line"`) {
			t.Errorf("the log has\n%s", story)
		}
		s.prompt("t2", "two")
		b := s.actor()
		b.exits(exit{Code: 1})
		s.has(1, `turn_end t2 reason="exit"`)
		_ = stop()
	})
}

func TestWordsWithinATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, one := range []bool{false, true} {
			s := newStage(t)
			a, stop := s.begin(func(_ *Config, d *stub) { d.one = one })
			if !one {
				a.got()
			}
			a.says(claudeInit)
			s.prompt("t1", "and quickly")
			got, story := a.got(), s.story()
			if !one && got != "prompt and quickly" {
				t.Errorf("the agent got %q", got)
			}
			if one != strings.Contains(story, `code="not_delivered"`) {
				t.Errorf("the log has\n%s", story)
			}
			go a.play(claudeDone)
			_ = stop()
		}
	})
}

func TestOnePromptProcessHasToEnd(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(func(_ *Config, d *stub) { d.one = true })
		a.says(claudeDone)
		began := time.Now()
		sig := <-a.sig
		if waited := time.Since(began); sig != stopSignals[1] || waited != ExitWaitDefault {
			t.Errorf("a process that stays after its turn got %v after %s", sig, waited)
		}
		a.exits(exit{Signal: "SIGTERM"})
		s.has(1, "turn_end")
		_ = stop()
	})
}

func TestIdleProcessEndsAndTheRunnerRests(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		c := s.config(func(c *Config, _ *stub) { c.Idle, c.Rest = time.Minute, true })
		done := make(chan error, 1)
		s.prompt("t1", "one")
		go func() { done <- Run(t.Context(), c) }()
		a := s.actor()
		a.says(`{"type":"system","subtype":"task_started","task_id":"k1","description":"job","session_id":"c1"}`)
		a.says(claudeDone)
		time.Sleep(time.Hour)
		select {
		case <-a.quit:
			t.Fatal("a process whose task runs was ended")
		default:
		}
		a.says(`{"type":"system","subtype":"task_notification","task_id":"k1","status":"completed","session_id":"c1"}`)
		time.Sleep(2 * time.Minute)
		<-a.quit
		a.exits(exit{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestTurnOfItsOwnIsNotTheNextPrompts(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		a, stop := s.begin(nil)
		a.got()
		a.says(claudeDone)
		a.says(claudeInit)
		s.prompt("t2", "two")
		if got := a.got(); got != "" {
			t.Errorf("the agent got %q while a turn of its own was open", got)
		}
		a.says(`{"type":"result","subtype":"success","is_error":false,"origin":{"kind":"task-notification"}}`)
		if got := a.got(); got != "prompt two" {
			t.Errorf("then it got %q", got)
		}
		s.has(3, "turn_start")
		s.has(2, "turn_end")
		go a.play(claudeDone)
		_ = stop()
	})
}
