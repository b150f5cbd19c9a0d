package shell

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// Limits of a Manager, and of one shell.
const (
	ShellsDefault = 10            // at a time
	IdleDefault   = 8 * time.Hour // without anything typed or printed
	RateDefault   = 1 << 20       // bytes of output a second, over a while; a program that prints more waits
	ArgsMax       = 64            // words of a command
	ArgsBytesMax  = 16 << 10      // of all together
	sideMax       = 1000          // columns and rows
	closeWait     = 5 * time.Second
	revokedBeat   = 10 * time.Second // between two looks whether who opened a shell may still have one
	recoverPages  = 100              // that are looked through for a session's newest terminal
)

// Engine is what a Manager needs of a log.
type Engine interface {
	store.Appender
	store.Reader
	store.Sessions
}

// Config says which programs run, and how.
type Config struct {
	Log     Engine
	Hub     *stream.Hub
	Command []string      // what runs where none is asked for; empty is SHELL of Env, or /bin/sh
	Dir     string        // where it begins; "" is the home directory of Env
	Env     []string      // of the programs
	Shells  int           // at a time; 0 is ShellsDefault
	Idle    time.Duration // 0 is IdleDefault
	Rate    int           // bytes a second; 0 is RateDefault
	Logger  *slog.Logger  // nil discards
}

// Spec is a shell that is asked for.
type Spec struct {
	Session string   // made where it is not there
	Command []string // empty is the manager's own
	Dir     string   // "" is the manager's own
	Cols    int      // 0 is 80
	Rows    int      // 0 is 24
	By      string   // who asks

	Revoked func() bool // whether they have lost the right since; nil is never
}

// Manager runs the shells of a server.
type Manager struct {
	c       Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	beat    time.Duration // revokedBeat; tests have less time

	mu     sync.Mutex // guards the two below
	open   map[string]*shell
	closed bool
}

// NewManager returns a manager that runs nothing yet.
func NewManager(c Config) *Manager {
	c.Shells = cmp.Or(c.Shells, ShellsDefault)
	c.Idle = cmp.Or(c.Idle, IdleDefault)
	c.Rate = cmp.Or(c.Rate, RateDefault)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Command) == 0 {
		c.Command = []string{cmp.Or(lookup(c.Env, "SHELL"), "/bin/sh")}
	}
	c.Dir = cmp.Or(c.Dir, lookup(c.Env, "HOME"))
	m := &Manager{c: c, open: map[string]*shell{}, beat: revokedBeat}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Open starts a program in a terminal and returns its session, which gets the
// tag shell. Its first event is terminal_start. The program goes on when nobody
// looks, and ends with the session, after Idle without a sign of life, within
// revokedBeat of when it is Revoked, or with the manager. CodeShellsFull,
// CodeInvalidShell, CodeShellFailed when it cannot be started, store.CodeExists
// when the session has a shell already.
func (m *Manager) Open(ctx context.Context, spec Spec) (string, error) {
	if err := m.complete(&spec); err != nil {
		return "", err
	}
	s := &shell{m: m, spec: spec, name: "konlog-shell-" + rand.Text()}
	if err := m.enter(s); err != nil {
		return "", err
	}
	if err := s.start(ctx); err != nil {
		m.leave(s)
		return "", err
	}
	go func() {
		defer m.leave(s)
		s.run(m.ctx)
	}()
	return spec.Session, nil
}

func (m *Manager) complete(spec *Spec) error {
	if len(spec.Command) == 0 {
		spec.Command = m.c.Command
	}
	spec.Dir = cmp.Or(spec.Dir, m.c.Dir)
	spec.Cols, spec.Rows = cmp.Or(spec.Cols, 80), cmp.Or(spec.Rows, 24)
	if err := store.ValidSessionID(spec.Session); err != nil {
		return err
	}
	if store.OwnSession(spec.Session) {
		return store.Errorf(store.CodeInvalidSession, "session %s is the server's own", spec.Session)
	}
	size := 0
	for _, w := range spec.Command {
		size += len(w)
	}
	switch {
	case len(spec.Command) > ArgsMax || size > ArgsBytesMax:
		return store.Errorf(store.CodeInvalidShell, "the command is over %d words or %d bytes; put it into a script", ArgsMax, ArgsBytesMax)
	case !validSide(spec.Cols) || !validSide(spec.Rows):
		return store.Errorf(store.CodeInvalidShell, "a screen has from 1 to %d columns and rows, not %d by %d", sideMax, spec.Cols, spec.Rows)
	}
	if info, err := os.Stat(spec.Dir); err != nil || !info.IsDir() {
		return store.Errorf(store.CodeInvalidShell, "there is no directory %.200q", spec.Dir)
	}
	return nil
}

func validSide(n int) bool { return n >= 1 && n <= sideMax }

func (m *Manager) enter(s *shell) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return store.ErrShutdown
	case m.open[s.spec.Session] != nil:
		return store.Errorf(store.CodeExists, "session %s has a shell that runs; type into it, or close the session", s.spec.Session)
	case len(m.open) >= m.c.Shells:
		return store.Errorf(store.CodeShellsFull, "all %d shells are in use; exit one", m.c.Shells)
	}
	m.open[s.spec.Session] = s
	m.running.Add(1) // Close waits for one that is only starting, too
	return nil
}

func (m *Manager) leave(s *shell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, s.spec.Session)
	m.running.Done()
}

// Running counts the shells.
func (m *Manager) Running() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

// Recover says in the log that the shells are gone that an earlier process of
// the server has left open. It is called before the first Open. A session whose
// log does not take it, as on a full disk, is told of and passed over: the
// server is to start.
func (m *Manager) Recover(ctx context.Context) error {
	for f := (store.SessionFilter{Tag: store.TagShell, Limit: store.SessionsPageMax}); ; {
		page, err := m.c.Log.ListSessions(ctx, f)
		if err != nil {
			return fmt.Errorf("shells of before: %w", err)
		}
		for i := range page.Sessions {
			if err := m.end(ctx, &page.Sessions[i]); err != nil && ctx.Err() == nil {
				m.c.Logger.Error("the end of a shell of before is not in the log", "session", page.Sessions[i].ID, "err", err)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

// end closes the newest shell of a session that nothing runs any more.
func (m *Manager) end(ctx context.Context, s *store.Session) error {
	if s.Closed {
		return nil
	}
	q := store.Query{Backward: true}
	for range recoverPages {
		page, err := m.c.Log.Read(ctx, s.ID, q)
		if err != nil {
			return err
		}
		for i := len(page.Events) - 1; i >= 0; i-- {
			switch page.Events[i].Type {
			case store.TypeTerminalExit:
				return nil
			case store.TypeTerminalStart, store.TypeTerminalOutput: // which stands between a start and its exit only
				_, err := m.c.Log.Append(ctx, s.ID, store.AppendOptions{NoCreate: true}, exitDraft(map[string]any{"reason": "server"}))
				if store.CodeOf(err) == store.CodeSessionClosed || errors.Is(err, store.ErrNotFound) {
					err = nil
				}
				return err
			}
		}
		if len(page.Events) == 0 || page.Events[0].ID <= page.Session.Floor {
			return nil
		}
		q.Before = page.Events[0].ID
	}
	return nil
}

// Close ends all shells: SIGHUP, then SIGKILL. It returns when the log says so,
// or ctx ends.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	done := make(chan struct{})
	go func() { m.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// lookup is a variable of an environment; the last one counts.
func lookup(env []string, name string) (value string) {
	for _, e := range env {
		if len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			value = e[len(name)+1:]
		}
	}
	return value
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("shell: an event did not encode: " + err.Error()) // maps of strings and numbers
	}
	return b
}
