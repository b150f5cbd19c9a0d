package crash

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

const (
	agentRounds  = 6
	agentLanes   = 4 // sessions at a time, on one server
	agentSpeed   = "3"
	agentKills   = 4                      // at most, in one session
	agentSpanMax = 800 * time.Millisecond // between them
	agentWait    = 60 * time.Second       // for a session to be over, with all its restarts
	agentLease   = "20s"                  // longer than what a restart takes: a turn is to end because a runner says so
	agentMark    = "KONLOG_CRASH_AGENT"
)

const agentRecording = "../../testdata/recordings/claude-code-duplex-4turns.jsonl"

// TestAgents_KillEverything kills the agent, its guard, the runner or the
// server at random moments of a conversation with a permission, a late task and
// an interrupt, and starts again what died, as a supervisor does. Of what each
// process of the agent printed the log has a beginning without a hole, every
// line once; every turn ends once; no prompt is run twice; no process is left.
func TestAgents_KillEverything(t *testing.T) {
	long.Only(t)
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	rounds, seed := fromEnv(t, "KONLOG_CRASH_ROUNDS", agentRounds), fromEnv(t, "KONLOG_CRASH_SEED", time.Now().UnixNano())
	t.Logf("KONLOG_CRASH_SEED=%d KONLOG_CRASH_ROUNDS=%d", seed, rounds)
	k := &keeper{server: newServer(t)}
	k.start(t)
	next := make(chan int64)
	go func() {
		defer close(next)
		for n := range rounds {
			next <- n
		}
	}()
	tally := &tally{counts: map[string]int{}}
	var lanes sync.WaitGroup
	for range agentLanes {
		lanes.Go(func() {
			for n := range next {
				s := newAgentSession(t, k, n, rand.New(rand.NewPCG(uint64(seed), uint64(n))))
				s.calm = n == 0 // one that comes to all that a conversation has
				s.run()
				s.check(tally)
			}
		})
	}
	lanes.Wait()
	t.Logf("in all: %v", tally.counts)
	for _, what := range []string{"killed agent", "killed runner", "killed server", "turns ended as done", "turns ended as abandoned", "turns ended as stopped", "turns of the agent's own", "tasks", "lines", "permissions answered"} {
		if tally.counts[what] == 0 && rounds >= agentRounds {
			t.Errorf("no %s: the test does not do what it says", what)
		}
	}
	k.terminate(t)
}

// tally counts what has happened, so that a test in which nothing does is seen.
type tally struct {
	mu     sync.Mutex // guards counts
	counts map[string]int
}

func (c *tally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

// keeper starts the server again when a session has killed it.
type keeper struct {
	*server
	mu sync.Mutex // held by who kills it, until it is up again
}

func (k *keeper) strike(t *testing.T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kill(t)
	k.start(t)
}

// agentSession is one conversation over however many processes it takes.
type agentSession struct {
	calm   bool // nothing of it is killed
	t      *testing.T
	keeper *keeper
	id     string
	random *rand.Rand
	home   string // of the agent
	spool  string
	stderr *os.File // of all runners: a file, so that nobody has to read it
	client *client.Client
	served bool     // its server runs the agent
	story  []string // what was done to it, and when

	mu     sync.Mutex // guards what follows
	runner *exec.Cmd
	over   bool
	died   chan struct{} // closed when runner has ended
}

func newAgentSession(t *testing.T, k *keeper, n int64, random *rand.Rand) *agentSession {
	dir := t.TempDir()
	c, err := client.New(k.url)
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stderr.Close() })
	return &agentSession{
		t: t, keeper: k, id: fmt.Sprintf("agent-%d", n), random: random, client: c,
		home: filepath.Join(dir, "home"), spool: filepath.Join(dir, "spool"), stderr: stderr,
	}
}

func (s *agentSession) mark() string { return agentMark + "=" + s.home }

// start runs the same command each time, as a supervisor does.
func (s *agentSession) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.runner = s.command(s.spool)
	s.died = make(chan struct{})
	if err := s.runner.Start(); err != nil {
		s.t.Errorf("start the runner: %v", err)
		close(s.died)
		return
	}
	go func(cmd *exec.Cmd, died chan struct{}) {
		_ = cmd.Wait() // it is killed, or ends after a signal
		close(died)
		s.start()
	}(s.runner, s.died)
}

// command runs the agent behind the log, with a tool that nobody waits for and
// that would outlive it.
func (s *agentSession) command(spool string) *exec.Cmd {
	cmd := exec.Command(s.keeper.binary, "run", "--server", s.keeper.url, "--session", s.id, "--agent", "claude", "--resume", "--lease", agentLease,
		"--spool", spool, "--no-redact", "--", "sh", "-c", `sleep 600 & exec "$@"`, "sh", s.keeper.binary, "fake-agent", s.recording(), "--home", s.home, "--speed", agentSpeed)
	cmd.Env = append(os.Environ(), s.mark())
	cmd.Stderr = s.stderr
	return cmd
}

func (s *agentSession) recording() string {
	name, err := filepath.Abs(agentRecording)
	if err != nil {
		s.t.Error(err)
	}
	return name
}

// run holds the conversation, while it is disturbed.
func (s *agentSession) run() {
	ctx, cancel := context.WithTimeout(s.t.Context(), agentWait)
	defer cancel()
	if _, _, err := s.client.CreateSession(ctx, s.id, store.SessionSpec{Meta: json.RawMessage(`{"agent":"fake"}`)}); err != nil {
		s.t.Errorf("%s: %v", s.id, err)
		return
	}
	if !s.served {
		s.start()
	}
	p := &person{s: s, asked: -1, stopped: map[string]bool{}, tasks: map[string]bool{}, patient: s.calm || s.random.IntN(3) > 0}
	chaos, calm := context.WithCancel(ctx)
	var disturber sync.WaitGroup
	if s.calm {
		calm()
	}
	disturber.Go(func() { s.disturb(chaos) }) // from here on chance is the disturber's
	err := p.talk(ctx)
	calm()
	disturber.Wait()
	if err != nil {
		s.t.Errorf("%s: the conversation does not come to its end: %v\n%s\nthe runners said:\n%s", s.id, err, strings.Join(s.story, "\n"), s.said())
	}
	if !s.served {
		s.stop()
	}
}

// said is what the runners have printed.
func (s *agentSession) said() []byte {
	text, _ := os.ReadFile(s.stderr.Name()) // what cannot be read is not there
	return text
}

// stop ends the runner in order, and waits for it.
func (s *agentSession) stop() {
	s.mu.Lock()
	s.over = true
	runner, died := s.runner, s.died
	s.mu.Unlock()
	_ = runner.Process.Signal(syscall.SIGTERM) // one that was just killed is not started again
	select {
	case <-died:
	case <-time.After(agentWait):
		s.t.Errorf("%s: the runner does not end after SIGTERM\n%s", s.id, s.said())
		_ = runner.Process.Kill()
		<-died
	}
}

// disturb kills this and that.
func (s *agentSession) disturb(ctx context.Context) {
	kills := 1 + s.random.IntN(agentKills)
	for range kills {
		wait := time.Duration(s.random.Int64N(int64(agentSpanMax)))
		victim := []string{"agent", "agent", "runner", "runner", "guard", "server"}[s.random.IntN(6)]
		if s.served && victim == "runner" {
			victim = "server"
		}
		select {
		case <-time.After(wait): // the moment of the kill is the random choice under test
		case <-ctx.Done():
			return
		}
		found := true
		switch victim {
		case "server":
			s.keeper.strike(s.t)
		case "runner":
			s.mu.Lock()
			_ = s.runner.Process.Kill() // it may have ended
			s.mu.Unlock()
		default:
			found = s.killNamed(victim)
		}
		if found {
			s.story = append(s.story, fmt.Sprintf("%s killed %s", time.Now().Format("05.000"), victim))
		}
	}
}

// killNamed kills the agent or its guard, if there is one.
func (s *agentSession) killNamed(victim string) (found bool) {
	for pid, args := range marked(s.mark()) {
		if len(args) > 1 && (args[1] == "fake-agent") == (victim == "agent") && args[1] != "run" && args[1] != "serve" {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			found = true
		}
	}
	return found
}

// marked lists the processes that have this in their environment, with their
// arguments.
func marked(mark string) map[int][]string {
	found := map[int][]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !strings.Contains("\x00"+string(env), "\x00"+mark+"\x00") {
			continue
		}
		args, err := os.ReadFile(dir + "/cmdline")
		pid, numErr := strconv.Atoi(filepath.Base(dir))
		if err == nil && numErr == nil {
			found[pid] = strings.Split(string(args), "\x00")
		}
	}
	return found
}

// person is who talks with the agent through the log.
type person struct {
	s       *agentSession
	asked   int
	turn    string // that was asked for last
	stopped map[string]bool
	tasks   map[string]bool // that run
	patient bool            // waits for tasks, and what the agent says to their end, before the next prompt
	waits   bool
}

var agentPrompts = []string{"Look at this folder and write notes.md", "LONGANSWER please", "Thanks, finish up"}

// talk prompts, answers and stops until the last prompt's turn has ended.
func (p *person) talk(ctx context.Context) error {
	if err := p.prompt(ctx); err != nil {
		return err
	}
	for e, err := range p.s.client.Tail(ctx, p.s.id, client.TailOptions{}) {
		if err == nil {
			err = p.hear(ctx, &e)
		}
		if errors.Is(err, errTalked) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("prompt %d: %w", p.asked, err)
		}
	}
	return errors.New("the tail ended")
}

var errTalked = errors.New("all was said")

func (p *person) prompt(ctx context.Context) error {
	if p.asked++; p.asked >= len(agentPrompts) {
		return errTalked
	}
	done, err := p.s.client.Prompt(ctx, p.s.id, client.PromptSpec{Text: agentPrompts[p.asked], Key: fmt.Sprint("prompt ", p.asked)})
	p.turn = done.Turn
	return err
}

func (p *person) hear(ctx context.Context, e *client.Event) error {
	var d struct{ RequestID, TaskID, Text string }
	_ = json.Unmarshal(e.Data, &d) // data of other forms has neither
	switch e.Type {
	case store.TypeTaskStart:
		p.tasks[d.TaskID] = true
	case store.TypeTaskEnd:
		delete(p.tasks, d.TaskID)
	case "runner_start", store.TypeProcessExit:
		clear(p.tasks)
		return p.stopWaiting(ctx)
	case store.TypePermissionRequest:
		_, err := p.s.client.Answer(ctx, p.s.id, client.AnswerSpec{RequestID: d.RequestID, Allow: true, Key: "answer " + d.RequestID})
		if store.CodeOf(err) != "" { // the turn has ended, and so the question
			return nil
		}
		return err
	case store.TypeTextDelta:
		if strings.HasPrefix(d.Text, "Sentence 30 ") && !p.stopped[e.Turn] {
			p.stopped[e.Turn] = true
			_, err := p.s.client.Stop(ctx, p.s.id, client.StopSpec{Turn: e.Turn, Key: "stop " + e.Turn})
			if store.CodeOf(err) != "" { // it has ended
				return nil
			}
			return err
		}
	case store.TypeTurnEnd:
		if e.Turn != p.turn {
			return p.stopWaiting(ctx)
		}
		if p.waits = p.patient && len(p.tasks) > 0; !p.waits {
			return p.prompt(ctx)
		}
	}
	return nil
}

// stopWaiting is told that nothing more will come of the tasks.
func (p *person) stopWaiting(ctx context.Context) error {
	if !p.waits {
		return nil
	}
	p.waits = false
	return p.prompt(ctx)
}

// check holds the log against what the agent's processes have printed and
// read.
func (s *agentSession) check(c *tally) {
	log := s.read()
	defer s.tell(log)
	s.checkLines(log, c)
	s.checkTurns(log, c)
	s.checkPrompts()
	if left := marked(s.mark()); len(left) > 0 {
		s.t.Errorf("%s: processes are left: %v\n%s", s.id, left, strings.Join(s.story, "\n"))
	}
	for _, line := range s.story {
		c.add(line[strings.IndexByte(line, ' ')+1:], 1)
	}
}

// tell shows a log in which something was wrong, without the agent's words.
func (s *agentSession) tell(log []client.Event) {
	if !s.t.Failed() {
		return
	}
	var b strings.Builder
	for _, e := range log {
		if e.Raw == nil && e.Type != "agent" {
			fmt.Fprintf(&b, "%d %s %s %s %.200s\n", e.ID, e.Time.Format("05.000"), e.Type, e.Turn, e.Data)
		}
	}
	s.t.Logf("%s: the log:\n%s", s.id, b.String())
}

func (s *agentSession) read() (log []client.Event) {
	for e, err := range s.client.Tail(s.t.Context(), s.id, client.TailOptions{Transport: "poll", NoFollow: true, Raw: true}) {
		if err != nil {
			s.t.Errorf("%s: read: %v", s.id, err)
			return log
		}
		log = append(log, e)
	}
	return log
}

// checkLines wants the lines in the log to be a beginning of what the first
// process printed, then of what the second did, and so on.
func (s *agentSession) checkLines(log []client.Event, c *tally) {
	process, next := -1, [][]byte(nil)
	var missing []string // what is cut off of each process
	cut := 0             // of how many more than a last line
	runs := 0
	lack := func() {
		if len(next) > 0 {
			missing = append(missing, fmt.Sprintf("%d lines of process %d from %.150q on", len(next), process, next[0]))
		}
		if len(next) > 1 {
			cut++
		}
	}
	for _, e := range log {
		line := e.Raw
		if e.Type == "agent" && line == nil {
			line = e.Data
		}
		if e.Type == "runner_start" {
			runs++
		}
		if line == nil {
			continue
		}
		c.add("lines", 1)
		for len(next) == 0 || !bytes.Equal(next[0], line) {
			lack()
			process++
			out, err := os.ReadFile(filepath.Join(s.home, fmt.Sprint(process, ".out")))
			if err != nil {
				s.t.Errorf("%s: event %d has a line that no process printed there, or that is there already: %.300s\nmissing: %s\n%s", s.id, e.ID, line, missing, strings.Join(s.story, "\n"))
				return
			}
			next = bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
			if len(out) == 0 {
				next = nil
			}
		}
		next = next[1:]
	}
	lack()
	// A line is noted before it is printed: a killed agent may have noted one
	// that it did not print. A killed runner loses what it had not read.
	story := strings.Join(s.story, "\n")
	runners := strings.Count(story, "killed runner")
	if s.served {
		runners = strings.Count(story, "killed server")
	}
	if killed := runners + strings.Count(story, "killed agent") + strings.Count(story, "killed guard"); cut > runners || len(missing) > killed {
		s.t.Errorf("%s: lines are missing: %q\n%s", s.id, missing, story)
	}
	c.add("runners", runs)
	c.add("processes", process+1)
	c.add("processes that were cut off", len(missing))
}

// checkTurns wants every turn to begin once and to end once, one at a time, and
// no runner to act after a newer one has taken the session.
func (s *agentSession) checkTurns(log []client.Event, c *tally) {
	begun, ended, asked := map[string]int64{}, map[string]int64{}, map[string]bool{}
	open, run, tasks := "", "", map[string]bool{}
	for _, e := range log {
		var d struct{ Run, Reason, TaskID string }
		_ = json.Unmarshal(e.Data, &d) // data of other forms has neither
		switch e.Type {
		case store.TypePrompt:
			asked[e.Turn] = true
		case "runner_start":
			run = d.Run
		case store.TypeTaskStart:
			tasks[d.TaskID] = true
		case store.TypeTaskEnd:
			if !tasks[d.TaskID] {
				s.t.Errorf("%s: event %d ends task %s, which does not run", s.id, e.ID, d.TaskID)
			}
			delete(tasks, d.TaskID)
			c.add("tasks", 1)
		case store.TypeTurnStart:
			if begun[e.Turn] != 0 || open != "" {
				s.t.Errorf("%s: event %d begins turn %s, which began in event %d, while %q is open", s.id, e.ID, e.Turn, begun[e.Turn], open)
			}
			begun[e.Turn], open = e.ID, e.Turn
		case store.TypeTurnEnd:
			if ended[e.Turn] != 0 {
				s.t.Errorf("%s: event %d ends turn %s, which ended in event %d", s.id, e.ID, e.Turn, ended[e.Turn])
			}
			ended[e.Turn], open = e.ID, ""
			c.add("turns ended as "+d.Reason, 1)
			if !asked[e.Turn] {
				c.add("turns of the agent's own", 1)
			}
		case store.TypePermissionResponse:
			c.add("permissions answered", 1)
		}
		if d.Run != "" && d.Run != run {
			s.t.Errorf("%s: event %d, %s, is of run %s, after run %s has taken the session\n%s", s.id, e.ID, e.Type, d.Run, run, strings.Join(s.story, "\n"))
		}
	}
	if len(begun) < 3 || open != "" {
		s.t.Errorf("%s: %d turns began, and %q is open", s.id, len(begun), open)
	}
	if len(tasks) > 0 {
		s.t.Errorf("%s: tasks run for ever: %v\n%s", s.id, tasks, strings.Join(s.story, "\n"))
	}
	for turn := range begun {
		if ended[turn] == 0 {
			s.t.Errorf("%s: turn %s never ends", s.id, turn)
		}
	}
}

// checkPrompts wants each prompt to have been given to one process only.
func (s *agentSession) checkPrompts() {
	given := map[string]string{}
	inputs, err := filepath.Glob(filepath.Join(s.home, "*.in"))
	if err != nil {
		s.t.Error(err)
	}
	for _, name := range inputs {
		f, err := os.Open(name)
		if err != nil {
			s.t.Error(err)
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var l struct{ Type, UUID string }
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Type == "user" {
				if other := given[l.UUID]; other != "" {
					s.t.Errorf("%s: prompt %s was given to %s and again to %s\n%s", s.id, l.UUID, other, name, strings.Join(s.story, "\n"))
				}
				given[l.UUID] = filepath.Base(name)
			}
		}
		_ = f.Close()
	}
	if len(given) == 0 {
		s.t.Errorf("%s: no prompt was given to any process", s.id)
	}
}
