package run

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// Limits of a Manager.
const (
	RunnersDefault = 50               // runners at a time: each may have a process
	IdleDefault    = 10 * time.Minute // of a process that has nothing to do
)

// Waits before a runner that failed is started again.
const (
	againMin = time.Second
	againMax = time.Minute
)

// wakesMax bounds the sessions that are known to wait for a place among the
// runners. Those beyond are looked for when there is room.
const wakesMax = 100_000

// ManagerConfig says which sessions a Manager runs, and how.
type ManagerConfig struct {
	Engine Engine
	Log    Log // the same, as Local gives it
	// Agents are the runners by name. A session asks for one by the member
	// "agent" of its meta. Of a Config, what belongs to the session is filled
	// in here: Log, Session, SpoolDir, Resume, and Name where it is empty.
	Agents   map[string]Config
	SpoolDir string
	Runners  int          // at a time; 0 is RunnersDefault
	Logger   *slog.Logger // nil discards
}

// Manager runs the agents of the sessions that ask for one, as they are
// prompted. A runner ends when its agent has had nothing to do for a while, and
// goes on with the agent's own conversation at the next prompt.
type Manager struct {
	c       ManagerConfig
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	waiting []string   // sessions that want a runner, in order
	known   map[string]bool
	wakes   int  // bound of waiting
	missed  bool // sessions that it had no room for
	active  int
	fails   map[string]int
	crowds  map[string]chan struct{} // of the runners, by session; capacity 1
	news    chan struct{}            // capacity 1
}

// NewManager returns a manager that runs nothing yet.
func NewManager(c ManagerConfig) *Manager {
	if c.Runners <= 0 {
		c.Runners = RunnersDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{
		c: c, wakes: wakesMax,
		known: map[string]bool{}, fails: map[string]int{}, crowds: map[string]chan struct{}{}, news: make(chan struct{}, 1),
	}
}

// Run starts runners until ctx ends, and returns when all of them have ended.
func (m *Manager) Run(ctx context.Context) {
	m.running.Go(func() { m.keepFollowing(ctx) })
	for ctx.Err() == nil {
		m.start(ctx)
		select {
		case <-m.news:
		case <-ctx.Done():
		}
	}
	m.running.Wait()
}

// keepFollowing follows the feed again when it cannot be read for a while. The
// runners that are there read their own sessions.
func (m *Manager) keepFollowing(ctx context.Context) {
	for fails := 1; ; fails++ {
		begun := time.Now()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > againMax {
			fails = 1
		}
		m.c.Logger.Error("the feed was not read; sessions that ask for an agent wait", "err", err)
		m.pause(ctx, fails)
	}
}

// follow wakes sessions as they are prompted, or changed, for a session may ask
// for its agent after its first prompt: those that wait already, then what the
// feed says.
func (m *Manager) follow(ctx context.Context) error {
	feed, err := m.c.Engine.Session(ctx, store.FeedSession)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := m.wakeAll(ctx); err != nil {
		return err
	}
	return m.c.Log.Follow(ctx, store.FeedSession, feed.Head, []string{store.TypePrompt, store.TypeSessionUpdated}, func(e store.Event) error {
		m.wake(e.Text("session"))
		return nil
	}, func() {})
}

// wakeAll wakes the sessions that an earlier process has left with work: see
// unfinished.
func (m *Manager) wakeAll(ctx context.Context) error {
	for f := (store.SessionFilter{Limit: store.SessionsPageMax}); ; {
		page, err := m.c.Engine.ListSessions(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Sessions {
			if s := &page.Sessions[i]; m.agentOf(s) != nil && m.unfinished(s) {
				m.wake(s.ID)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

// unfinished reports whether a runner has something to do in the session: run
// its prompts, or end what a runner before it has left open.
func (m *Manager) unfinished(s *store.Session) bool {
	if s.Turn != "" || len(s.Queue()) > 0 || s.Open != nil && len(s.Open.Tasks) > 0 {
		return true
	}
	left, err := os.ReadDir(m.spoolOf(s.ID))
	return err == nil && len(left) > 0
}

// spoolOf is the spool of a session. An id is no name of a file everywhere: it
// may have a colon, and letters that differ in their case alone.
func (m *Manager) spoolOf(session string) string {
	return filepath.Join(m.c.SpoolDir, strings.ToLower(spoolNames.EncodeToString([]byte(session))))
}

var spoolNames = base32.HexEncoding.WithPadding(base32.NoPadding)

// wake puts a session into the queue for a runner. A runner that is there reads
// the prompt by itself; it is looked at again when that ends.
func (m *Manager) wake(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[session] {
		return
	}
	if len(m.waiting) >= m.wakes {
		m.missed = true
		return
	}
	m.known[session] = true
	m.waiting = append(m.waiting, session)
	m.nudge()
}

// nudge makes Run look at the queue. mu is held.
func (m *Manager) nudge() {
	select {
	case m.news <- struct{}{}:
	default: // it will look anyway
	}
}

// start starts the runners for which there is room.
func (m *Manager) start(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.waiting) > 0 && m.active < m.c.Runners && ctx.Err() == nil {
		session := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.active++
		m.running.Go(func() { m.serve(ctx, session) })
	}
	if len(m.waiting) == 0 {
		if m.missed {
			m.missed = false
			m.running.Go(func() { m.lookAgain(ctx) })
		}
		return
	}
	for _, c := range m.crowds {
		select {
		case c <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// lookAgain wakes the sessions that there was no room for.
func (m *Manager) lookAgain(ctx context.Context) {
	for fails := 1; ctx.Err() == nil; fails++ {
		err := m.wakeAll(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			m.c.Logger.Error("the sessions were not read; some that ask for an agent wait", "err", err)
		}
		m.pause(ctx, fails)
	}
}

// crowded reports whether sessions wait for a place.
func (m *Manager) crowded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting) > 0 && m.active >= m.c.Runners
}

// serve runs one session's agent, and again while prompts wait.
func (m *Manager) serve(ctx context.Context, session string) {
	first, err := m.run(ctx, session)
	m.mu.Lock()
	m.active--
	m.nudge()
	m.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	next, nextErr := m.first(ctx, session)
	if err != nil || nextErr != nil || next != "" && next == first { // what was not even begun would fail again at once
		m.pause(ctx, m.failed(session))
	} else {
		m.mu.Lock()
		delete(m.fails, session)
		m.mu.Unlock()
	}
	m.mu.Lock()
	delete(m.known, session)
	m.mu.Unlock()
	// A prompt that came as the runner was about to end was read by nobody.
	if next, nextErr = m.first(ctx, session); next != "" || nextErr != nil {
		m.wake(session)
		return
	}
	m.mu.Lock()
	delete(m.fails, session)
	m.mu.Unlock()
}

// failed counts a failure of the session's agent, and returns how many there
// were without a success.
func (m *Manager) failed(session string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails[session]++
	return m.fails[session]
}

// first is the turn that waits longest in a session that asks for an agent, or
// "".
func (m *Manager) first(ctx context.Context, session string) (turn string, err error) {
	s, err := m.c.Engine.Session(ctx, session)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case m.agentOf(&s) == nil:
		return "", nil
	}
	return firstOf(&s), nil
}

func firstOf(s *store.Session) string {
	if q := s.Queue(); len(q) > 0 {
		return q[0].Turn
	}
	return ""
}

// pause waits longer after each failure.
func (m *Manager) pause(ctx context.Context, fails int) {
	d := againMax
	if fails < 7 {
		d = min(againMax, againMin<<(fails-1))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// run runs the agent that the session asks for, if it does. first is the turn
// that waited longest before.
func (m *Manager) run(ctx context.Context, session string) (first string, err error) {
	s, err := m.c.Engine.Session(ctx, session)
	if errors.Is(err, store.ErrNotFound) || err == nil && s.Closed {
		// Nobody takes what is left, nor is it of another session of that id.
		return "", os.RemoveAll(m.spoolOf(session))
	}
	if err != nil {
		return "", err
	}
	c := m.agentOf(&s)
	if c == nil || !m.unfinished(&s) {
		return "", nil
	}
	c.Log, c.Session, c.Resume, c.Rest = m.c.Log, session, true, true
	c.SpoolDir = m.spoolOf(session)
	err = Run(ctx, m.placed(*c))
	m.mu.Lock()
	delete(m.crowds, session)
	m.mu.Unlock()
	if errors.Is(err, store.ErrNotFound) {
		return "", os.RemoveAll(c.SpoolDir)
	}
	_ = os.Remove(c.SpoolDir) // stays when something in it is not sent yet
	if err != nil && ctx.Err() == nil && c.Logger != nil {
		c.Logger.Error("the agent's runner ended", "session", session, "agent", c.Name, "err", err)
	}
	return firstOf(&s), err
}

// placed tells a runner when its place is wanted: an agent with nothing to do
// gives it up.
func (m *Manager) placed(c Config) Config {
	crowds := make(chan struct{}, 1)
	c.crowded, c.crowds = m.crowded, crowds
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crowds[c.Session] = crowds
	return c
}

// agentOf is the runner that the session asks for, or nil.
func (m *Manager) agentOf(s *store.Session) *Config {
	var meta struct {
		Agent string `json:"agent"`
	}
	if len(s.Meta) == 0 || json.Unmarshal(s.Meta, &meta) != nil {
		return nil
	}
	c, ok := m.c.Agents[meta.Agent]
	if !ok {
		return nil
	}
	if c.Name == "" {
		c.Name = meta.Agent
	}
	return &c
}
