//go:build unix

package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
)

const testWait = 20 * time.Second

// guarded runs a test with and without a guard.
func guarded(t *testing.T, test func(t *testing.T, spec func(part string, args ...string) processSpec)) {
	t.Run("guard", func(t *testing.T) { test(t, testSpec) })
	t.Run("bare", func(t *testing.T) {
		test(t, func(part string, args ...string) processSpec {
			s := testSpec(part, args...)
			s.Guard = nil
			return s
		})
	})
}

func start(t *testing.T, spec processSpec) *process {
	t.Helper()
	p, err := startProcess(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// within fails the test when f takes too long.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(testWait):
		buf := make([]byte, 1<<20)
		t.Fatalf("stuck:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// finish reads the output to its end and waits.
func finish(t *testing.T, p *process) (out string, x exit) {
	t.Helper()
	within(t, func() {
		b, err := io.ReadAll(p.Stdout())
		if err != nil {
			t.Error(err)
		}
		out, x = string(b), p.Wait()
	})
	return out, x
}

func alive(pid int) bool {
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, rest, _ := strings.Cut(string(b), ") ")
		return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
	}
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// gone waits until none of the processes lives.
func gone(t *testing.T, pids []int) {
	t.Helper()
	over := time.After(testWait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left := []int{}
		for _, pid := range pids {
			if alive(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("left behind: %v of %v", left, pids)
		}
	}
}

// familyOf reads the pids that a family prints. Elsewhere than on Linux those
// that have left the process group are beyond reach.
func familyOf(t *testing.T, r *bufio.Reader) (pids []int) {
	t.Helper()
	within(t, func() {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("no pids: %v", err)
				return
			}
			list, ok := strings.CutPrefix(strings.TrimSpace(line), "pids ")
			if !ok {
				continue
			}
			for _, s := range strings.Fields(list) {
				pid, err := strconv.Atoi(s)
				if err != nil {
					t.Error(err)
				}
				pids = append(pids, pid)
			}
			return
		}
	})
	if t.Failed() || len(pids) != 4 {
		t.Fatalf("pids %v", pids)
	}
	for _, pid := range pids[1:] {
		if !alive(pid) {
			t.Fatalf("%d of %v is dead before anything ended it", pid, pids)
		}
	}
	if runtime.GOOS != "linux" {
		pids = pids[:2]
	}
	return pids
}

func TestProcessEchoes(t *testing.T) {
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		p := start(t, spec("echo"))
		var want strings.Builder
		for i := range 3000 {
			line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("y", i%700))
			want.WriteString(line)
			b := []byte(line)
			if err := p.Write(b); err != nil {
				t.Fatal(err)
			}
			clear(b) // the bytes are the caller's again
		}
		p.CloseInput()
		out, x := finish(t, p)
		if out != want.String() {
			t.Errorf("echo of %d bytes has %d, or another order", want.Len(), len(out))
		}
		if x != (exit{}) {
			t.Errorf("exit %+v", x)
		}
		if err := p.Write([]byte("late")); err != nil {
			t.Errorf("write to one that is gone: %v", err)
		}
	})
}

func TestProcessExits(t *testing.T) {
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		for _, tt := range []struct {
			part, arg string
			want      exit
		}{
			{"exit", "0", exit{}},
			{"exit", "3", exit{Code: 3}},
			{"exit", "137", exit{Code: 137}},
			{"die", "9", exit{Code: 137, Signal: "SIGKILL"}},
			{"die", "15", exit{Code: 143, Signal: "SIGTERM"}},
			{"die", "2", exit{Code: 130, Signal: "SIGINT"}}, // these two a program leaves ignored when it got them so
			{"die", "1", exit{Code: 129, Signal: "SIGHUP"}},
			{"stderr", "why\n", exit{Stderr: "why\n"}},
		} {
			if n, err := strconv.Atoi(tt.arg); tt.part == "die" && err == nil && signal.Ignored(syscall.Signal(n)) {
				continue // as of a test that nohup has started
			}
			p := start(t, spec(tt.part, tt.arg))
			if _, x := finish(t, p); x != tt.want {
				t.Errorf("%s %s: %+v, want %+v", tt.part, tt.arg, x, tt.want)
			}
			if p.stdout.late || p.stderr.late {
				t.Errorf("%s %s: its output was cut off, though nobody held it", tt.part, tt.arg)
			}
		}
	})
}

func TestProcessStreamsAndEnvironment(t *testing.T) {
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		out, _ := finish(t, start(t, spec("flags")))
		if out != fmt.Sprintf("0 0\n1 0\n2 0\n%v\n", inherited()) {
			t.Errorf("the streams do not block, or the agent has files that are not its: %q", out)
		}
		s := spec("environ", "an arg", "")
		s.Dir = t.TempDir()
		s.Env = []string{"A=1", childSwitch + "=environ", "A=2", "EMPTY="}
		out, _ = finish(t, start(t, s))
		dir, _ := filepath.EvalSymlinks(s.Dir)
		env, rest, _ := strings.Cut(out, "dir ")
		lines := strings.Fields(env)
		if runtime.GOOS == "linux" && len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], markName+"=") {
			lines = lines[:len(lines)-1]
		}
		if got := strings.Join(lines, " "); got != childSwitch+"=environ A=2 EMPTY=" {
			t.Errorf("environment %q", got)
		}
		if want := fmt.Sprintf("%s args [%s an arg ]\n", dir, self()); rest != want {
			t.Errorf("got %q, want %q", rest, want)
		}
	})
}

func TestProcessName(t *testing.T) {
	// The program is found in the PATH of its own environment, and is called
	// what the user called it.
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		bin := t.TempDir()
		if err := os.Symlink(self(), filepath.Join(bin, "some-agent")); err != nil {
			t.Fatal(err)
		}
		s := spec("environ")
		s.Args = []string{"some-agent", "x"}
		s.Env = replaceEnv(s.Env, "PATH", "relative:"+bin)
		if out, _ := finish(t, start(t, s)); !strings.Contains(out, "args [some-agent x]") {
			t.Errorf("got %q", out)
		}
		s.Dir, s.Args = filepath.Dir(bin), []string{"./" + filepath.Base(bin) + "/some-agent"}
		if out, _ := finish(t, start(t, s)); !strings.Contains(out, "args [./"+filepath.Base(bin)) {
			t.Errorf("got %q", out)
		}
	})
}

func TestProcessDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := openFiles(t)
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		for _, tt := range []struct {
			name string
			with func(*processSpec)
			want []string
		}{
			{"nothing", func(s *processSpec) { s.Args = nil }, []string{"no command"}},
			{"not in PATH", func(s *processSpec) { s.Args = []string{"no-such-agent"} }, []string{"no-such-agent", "PATH", "install it"}},
			{"no such file", func(s *processSpec) { s.Args = []string{dir + "/none"} }, []string{dir + "/none", "install it"}},
			{"a directory", func(s *processSpec) { s.Args = []string{dir} }, []string{"is a directory"}},
			{"not executable", func(s *processSpec) { s.Args = []string{file("plain", "", 0o600)} }, []string{"chmod +x"}},
			{"no interpreter", func(s *processSpec) { s.Args = []string{file("script", "#!/no/such/shell\n", 0o700)} }, []string{"script", "interpreter"}},
			{"no program", func(s *processSpec) { s.Args = []string{file("data", "\x00\x01", 0o700)} }, []string{"no program for this system"}},
			{"too long", func(s *processSpec) { s.Args = append(s.Args, strings.Repeat("x", 4<<20)) }, []string{"too long", "standard input"}},
			{"no directory", func(s *processSpec) { s.Dir = dir + "/none" }, []string{dir + "/none", "no directory"}},
		} {
			s := spec("echo")
			tt.with(&s)
			p, err := startProcess(s)
			if err == nil {
				t.Errorf("%s: started", tt.name)
				p.Kill()
				finish(t, p)
				continue
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q in it", tt.name, err, want)
				}
			}
		}
	})
	for _, tt := range []struct{ guard, want string }{{"/no/guard", "its guard"}, {"/bin/echo", "did not start it"}} {
		s := testSpec("echo")
		s.Guard = []string{tt.guard}
		if _, err := startProcess(s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("guard %s: %v", tt.guard, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// openFiles counts the open files of this process; 0 where that is not to be had.
func openFiles(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

func TestProcessLeavesNothingOpen(t *testing.T) {
	run := func() {
		p := start(t, testSpec("echo"))
		p.CloseInput()
		finish(t, p)
	}
	run() // what the runtime opens once
	files, routines := openFiles(t), runtime.NumGoroutine()
	for range 5 {
		run()
	}
	over := time.After(testWait)
	for openFiles(t) > files || runtime.NumGoroutine() > routines { // fewer when something of an earlier test has gone meanwhile
		select {
		case <-over:
			t.Fatalf("%d files are open and %d goroutines run, %d and %d before", openFiles(t), runtime.NumGoroutine(), files, routines)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestProcessSignals(t *testing.T) {
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		p := start(t, spec("signals"))
		r := bufio.NewReader(p.Stdout())
		within(t, func() {
			if line, _ := r.ReadString('\n'); line != "ready\n" {
				t.Errorf("got %q", line)
			}
			for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
				p.Signal(s)
				if line, err := r.ReadString('\n'); line != s.String()+"\n" {
					t.Errorf("got %q %v, want %v", line, err, s)
				}
			}
			_, _ = io.Copy(io.Discard, r)
			if x := p.Wait(); x != (exit{Code: 7}) {
				t.Errorf("exit %+v", x)
			}
		})
		p.Signal(syscall.SIGINT) // one that is gone does not mind
		p.Kill()
	})
}

func TestProcessInputHasALimit(t *testing.T) {
	p := start(t, testSpec("sleep"))
	part := make([]byte, 1<<20)
	within(t, func() { // it reads nothing, and nobody waits for it
		for i := range inputBytesMax >> 20 {
			if err := p.Write(part); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if err := p.Write(part[:1]); !errors.Is(err, ErrInputFull) {
			t.Errorf("got %v, want %v", err, ErrInputFull)
		}
		p.Kill()
	})
	if _, x := finish(t, p); x.Signal != "SIGKILL" {
		t.Errorf("exit %+v", x)
	}
}

func TestProcessInputIsAnyAmount(t *testing.T) {
	// What was read makes room.
	p := start(t, testSpec("echo"))
	part := make([]byte, 1<<20)
	go func() {
		for range 3 * inputBytesMax / 2 >> 20 {
			for errors.Is(p.Write(part), ErrInputFull) {
				<-time.After(time.Millisecond)
			}
		}
		p.CloseInput()
	}()
	within(t, func() {
		n, err := io.Copy(io.Discard, p.Stdout())
		if x := p.Wait(); n != 3*inputBytesMax/2 || err != nil || x != (exit{}) {
			t.Errorf("%d bytes came back, %v, %+v", n, err, x)
		}
	})
}

func TestProcessThatClosedItsInput(t *testing.T) {
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		p := start(t, spec("deaf"))
		r := bufio.NewReader(p.Stdout())
		within(t, func() { _, _ = r.ReadString('\n') })
		part := make([]byte, 1<<20)
		within(t, func() {
			for range 2 * inputBytesMax >> 20 {
				for errors.Is(p.Write(part), ErrInputFull) { // until the pipe breaks
					<-time.After(time.Millisecond)
				}
			}
		})
		p.Kill()
		finish(t, p)
	})
}

func TestProcessOutputIsWhole(t *testing.T) {
	t.Parallel() // it waits most of the time
	// What was printed before the exit comes, however late it is read and
	// whoever still holds the pipe.
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		t.Parallel()
		p := start(t, spec("fill", "5000"))
		if out, _ := finish(t, p); len(out) != 5_000_000 {
			t.Errorf("%d bytes", len(out))
		}
		p = start(t, spec("family", "leave"))
		<-p.group.exited
		<-time.After(drainWait + 100*time.Millisecond)
		out, x := finish(t, p)
		if !strings.HasPrefix(out, "\npids ") || x != (exit{}) {
			t.Errorf("got %q, %+v", out, x)
		}
	})
}

func TestProcessOutputEnds(t *testing.T) {
	t.Parallel() // it waits most of the time
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		t.Parallel()
		families := []string{"chatter"}
		if long.Wanted() {
			families = append(families, "flood")
		}
		for _, family := range families {
			t.Run(family, func(t *testing.T) {
				t.Parallel()
				begin := time.Now()
				p := start(t, spec("family", family))
				r := bufio.NewReader(p.Stdout())
				pids := familyOf(t, r)
				within(t, func() {
					n, err := io.Copy(io.Discard, r)
					if n < 80 || err != nil {
						t.Errorf("%d bytes of a child that goes on, %v", n, err)
					}
					if d := time.Since(begin); d < drainWait {
						t.Errorf("it ended after %s", d)
					}
					if x := p.Wait(); x != (exit{}) {
						t.Errorf("exit %+v", x)
					}
				})
				gone(t, pids)
			})
		}
	})
}

func TestProcessOutputEndsThoughThereIsAlwaysMore(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]*os.File{r, w})
	o := &processOutput{f: r}
	full := bytes.Repeat([]byte("x"), pipeBytes(r))
	if _, err := w.Write(full); err != nil {
		t.Fatal(err)
	}
	o.endIn(0)
	total := 0
	b := make([]byte, 4096)
	for total < 4*len(full) {
		n, err := o.Read(b)
		if err != nil {
			break
		}
		total += n
		if _, err := w.Write(b[:n]); err != nil { // there is room for as much as was read
			t.Fatal(err)
		}
	}
	if total != len(full) {
		t.Errorf("%d bytes, the pipe had %d", total, len(full))
	}
}

func TestProcessLeavesNobody(t *testing.T) {
	t.Parallel() // it waits most of the time
	guarded(t, func(t *testing.T, spec func(string, ...string) processSpec) {
		t.Parallel()
		for _, tt := range []struct {
			name, part string
			end        func(p *process, agent int)
			want       exit
		}{
			{"the agent exits", "leave", func(*process, int) {}, exit{}},
			{"the agent is killed", "stay", func(_ *process, agent int) { _ = syscall.Kill(agent, syscall.SIGKILL) }, exit{Code: 137, Signal: "SIGKILL"}},
			{"Kill", "stay", func(p *process, _ int) { p.Kill() }, exit{Code: 137, Signal: "SIGKILL"}},
			{"SIGKILL", "stay", func(p *process, _ int) { p.Signal(os.Kill) }, exit{Code: 137, Signal: "SIGKILL"}},
			{"the guard is killed", "stay", func(p *process, _ int) { _ = p.group.leader.Kill() }, exit{Code: 137, Signal: "SIGKILL"}},
			{"the group is stopped, then killed", "stay", func(p *process, _ int) { p.Signal(syscall.SIGSTOP); p.Kill() }, exit{Code: 137, Signal: "SIGKILL"}},
			{"Wait before the end", "stay", nil, exit{Code: 137, Signal: "SIGKILL"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				p := start(t, spec("family", tt.part))
				pids := append(familyOf(t, bufio.NewReader(p.Stdout())), p.group.leader.Pid)
				if p.pid != pids[0] {
					t.Errorf("the agent is %d, not %d", p.pid, pids[0])
				}
				var x exit
				if tt.end == nil {
					within(t, func() { x = p.Wait() })
				} else {
					tt.end(p, pids[0])
					_, x = finish(t, p)
				}
				if x != tt.want {
					t.Errorf("exit %+v, want %+v", x, tt.want)
				}
				gone(t, pids)
			})
		}
	})
}

// runnerToKill starts another runner with a family.
func runnerToKill(t *testing.T, family string) (cmd *exec.Cmd, guard int, pids []int) {
	t.Helper()
	cmd = exec.Command(self(), family)
	cmd.Env = replaceEnv(os.Environ(), childSwitch, "runner")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	within(t, func() {
		line, _ := r.ReadString('\n')
		if _, err := fmt.Sscanf(line, "guard %d", &guard); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	})
	return cmd, guard, familyOf(t, r)
}

func TestRunnerKilled(t *testing.T) {
	for _, family := range []string{"stay", "leave"} {
		cmd, guard, pids := runnerToKill(t, family)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		gone(t, append(pids, guard))
	}
}

func TestGuardKilled(t *testing.T) {
	// All go at once, and not only when somebody waits for the process.
	p := start(t, testSpec("family", "stay"))
	r := bufio.NewReader(p.Stdout())
	pids := familyOf(t, r)
	_ = p.group.leader.Kill()
	gone(t, pids)
	within(t, func() {
		_, _ = io.Copy(io.Discard, r)
		if x := p.Wait(); x.Signal != "SIGKILL" {
			t.Errorf("exit %+v", x)
		}
	})
}

func TestRunnerAndGuardKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent died")
	}
	cmd, guard, pids := runnerToKill(t, "stay")
	_ = cmd.Process.Signal(syscall.SIGSTOP) // it is not to do the guard's work
	_ = syscall.Kill(guard, syscall.SIGKILL)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	gone(t, pids[:1])
	for _, pid := range pids[1:] { // nobody is left to end these
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestGuardSurvivesSignals(t *testing.T) {
	p := start(t, testSpec("echo"))
	for n := syscall.Signal(1); n < 32; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP:
			continue
		}
		_ = syscall.Kill(p.group.leader.Pid, n)
	}
	if err := p.Write([]byte("still there\n")); err != nil {
		t.Fatal(err)
	}
	p.CloseInput()
	if out, x := finish(t, p); out != "still there\n" || x != (exit{}) {
		t.Errorf("got %q %+v", out, x)
	}
}

func TestGuardIsForTheRunner(t *testing.T) {
	for _, args := range [][]string{nil, {"x"}, {"x", "y", "z"}, {self(), "--", self()}} {
		cmd := exec.Command(self(), append([]string{"guard"}, args...)...)
		cmd.Env = replaceEnv(os.Environ(), childSwitch, "sleep")
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "only konlog run") {
			t.Errorf("guard %q: %v, %q", args, err, out)
		}
	}
}

func TestGuardName(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a process change its name")
	}
	p := start(t, testSpec("sleep"))
	name, err := os.ReadFile("/proc/" + strconv.Itoa(p.group.leader.Pid) + "/comm")
	if string(name) != guardName+"\n" || err != nil {
		t.Errorf("the guard is called %q, %v", name, err)
	}
	p.Kill()
	finish(t, p)
}

func TestStderrTail(t *testing.T) {
	long := strings.Repeat("é", stderrTailBytes)
	lines := strings.Repeat("0123456789\n", 1000)
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"short", "one\ntwo", "one\ntwo"},
		{"exact", lines[:stderrTailBytes], lines[:stderrTailBytes]},
		{"whole lines", lines, lines[len(lines)-stderrTailBytes/11*11:]},
		{"a line begins at the limit", "x\n" + strings.Repeat("y", stderrTailBytes), strings.Repeat("y", stderrTailBytes)},
		{"one long line", long, long[len(long)-stderrTailBytes:]},
		{"one long line cut in a character", "x" + long + "y", long[len(long)-stderrTailBytes+2:] + "y"},
		{"invalid", "a\xff\xfeb\n", "a?b\n"},
		{"invalid and long", strings.Repeat("\x80", 2*stderrTailBytes), "?"},
	} {
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			var copied bytes.Buffer
			tail := &processTail{copyTo: &copied}
			for b := []byte(tt.in); len(b) > 0; b = b[min(size, len(b)):] {
				_, _ = tail.Write(b[:min(size, len(b))])
			}
			if got := tail.lines(); got != tt.want {
				t.Errorf("%s by %d: %d bytes %.40q…, want %d", tt.name, size, len(got), got, len(tt.want))
			}
			if copied.String() != tt.in {
				t.Errorf("%s by %d: the copy differs", tt.name, size)
			}
		}
	}
}

func TestStderrIsCopied(t *testing.T) {
	var copied bytes.Buffer
	s := testSpec("stderr", strings.Repeat("line\n", 10_000))
	s.Stderr = &copied
	_, x := finish(t, start(t, s))
	if copied.Len() != 50_000 || x.Stderr != strings.Repeat("line\n", stderrTailBytes/5) {
		t.Errorf("%d bytes copied, %d kept", copied.Len(), len(x.Stderr))
	}
	s.Stderr = failingWriter{}
	if _, x := finish(t, start(t, s)); x.Code != 0 || x.Stderr == "" {
		t.Errorf("exit %+v when the copy fails", x)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no") }
