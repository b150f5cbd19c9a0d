package run

import (
	"os"
	"sync"
)

// processGroup is an agent's process alone: here nothing ends what that started.
type processGroup struct {
	leader *os.Process
	exited chan struct{}

	mu     sync.Mutex // guards status
	status exit
}

func startGroup(spec processSpec, program string, std []*os.File) (*processGroup, int, error) {
	leader, err := os.StartProcess(program, spec.Args, &os.ProcAttr{Dir: spec.Dir, Env: spec.Env, Files: std})
	if err != nil {
		return nil, 0, err
	}
	g := &processGroup{leader: leader, exited: make(chan struct{})}
	go func() {
		defer close(g.exited)
		if state, err := leader.Wait(); err == nil {
			g.mu.Lock()
			g.status.Code = state.ExitCode()
			g.mu.Unlock()
		}
	}()
	return g, leader.Pid, nil
}

// signal kills: there are no signals to ask a process to end.
func (g *processGroup) signal(os.Signal) { g.kill() }

func (g *processGroup) kill() { _ = g.leader.Kill() }

func (g *processGroup) end() exit {
	g.kill()
	<-g.exited
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

func pipeBytes(*os.File) int { return 0 }

func readReady(*os.File, []byte) int { return 0 }
