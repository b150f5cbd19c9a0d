package run

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// The defaults of Config.
const (
	LeaseDefault         = 2 * time.Minute  // long enough for a server's restart, short enough for a dead machine
	ReadyWaitDefault     = time.Minute      // agents load their tools first
	InterruptWaitDefault = 10 * time.Second // Claude Code answers within 10 ms; a tool that runs may take its time
	SignalWaitDefault    = 5 * time.Second  // between SIGINT, SIGTERM and SIGKILL
	ExitWaitDefault      = 10 * time.Second // after its turn, for a process that takes one prompt
	DrainWaitDefault     = 10 * time.Second // at the end, for the log to take what is spooled
)

// outputMax bounds what turn_end says again of an agent's plain lines, in bytes.
const outputMax = 256 << 10

// Config is what a Runner runs.
type Config struct {
	Log     Log
	Session string
	Agent   string   // the driver, one of Drivers, or AgentSSE
	Name    string   // what turn_start calls the agent; "" is Agent
	Command []string // what the user runs; without it an Upstream
	Dir     string   // absolute
	Env     []string // all of the process's environment
	Guard   []string // the command of the guard; nil is none

	Upstream *Upstream // in the place of a command

	Resume   bool   // go on with the conversation that the log knows
	ResumeID string // go on with this one of the agent's
	Once     bool   // end when a turn was run and no prompt waits
	Rest     bool   // end when the process has ended for want of work

	SpoolDir   string // of this session alone
	SpoolBytes int64  // 0 is SpoolBytesDefault
	EventBytes int    // 0 is store.EventBytesDefault

	// Redact takes secrets out of a line, and says how many of which; nil
	// takes none.
	Redact func(line []byte) (clean []byte, took map[string]int)

	// Zero fields take the defaults above.
	Lease, ReadyWait, InterruptWait, SignalWait, ExitWait, DrainWait time.Duration

	Idle      time.Duration // ends a process that has nothing to do for so long; 0 is never
	LeaveWait time.Duration // kills the process so long after the end of ctx; 0 leaves it to the waits above

	// Ended is told of each turn that ends here, on the runner's goroutine; or nil.
	Ended func(Ending)

	Stderr io.Writer              // gets a copy of the agent's; may be nil
	Logger *slog.Logger           // nil discards
	Driver func() (Driver, error) // nil is the one of that name

	spawn func(*child, Launch) error // starts a child; tests have their own

	crowded func() bool     // others wait for the place of this runner; nil is never
	crowds  <-chan struct{} // says that this changed
}

// Ending is how a turn ended.
type Ending struct {
	Turn          string
	Success       bool
	Reason, Error string
}

// check fills in what is not set.
func (c *Config) check() error {
	switch {
	case c.Log == nil || c.Session == "" || c.SpoolDir == "":
		return errors.New("run: a log, a session and a spool are needed")
	case len(c.Command) == 0 && c.Upstream == nil:
		return errors.New("run: no command: name what to run, such as: konlog run --session s1 -- claude")
	}
	if c.Name == "" {
		c.Name = c.Agent
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Driver == nil {
		c.Driver = func() (Driver, error) { return NewDriver(c.Agent) }
	}
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&c.Lease, LeaseDefault}, {&c.ReadyWait, ReadyWaitDefault}, {&c.InterruptWait, InterruptWaitDefault},
		{&c.SignalWait, SignalWaitDefault}, {&c.ExitWait, ExitWaitDefault}, {&c.DrainWait, DrainWaitDefault},
	} {
		if *d.p <= 0 {
			*d.p = d.def
		}
	}
	return nil
}

// newRun names a run: UUIDv7, so that names sort by time.
func newRun() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("name the run: %w", err)
	}
	return id.String(), nil
}
