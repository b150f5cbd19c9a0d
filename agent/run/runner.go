package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// producerID is the producer of all runners of a session, so that each fences
// off those before it.
const producerID = "konlog-run"

// Runner runs the agent of one session. All of it happens on the goroutine of
// Run, which never waits for the network: what does has a goroutine of its own
// and comes back as news.
type Runner struct {
	c      Config
	run    string // names this runner in the log
	log    Log
	spool  *Spool
	sender *Sender
	keys   int // the number of the last key

	board   board
	news    chan func() // what other goroutines have to tell
	over    chan struct{}
	stop    error // why Run ends; nil while it goes on
	caught  bool  // the board is as the log is
	closing bool  // no further turns

	mapper  *agent.Mapper
	output  []byte // of plain lines of the turn
	took    map[string]int
	turn    *turn  // that was asked for, or nil
	child   *child // the agent's process, or nil
	agentID string // of the conversation to go on with
	tasks   map[string]bool
	halt    *halt             // a stop that is under way, or nil
	moves   map[string]string // names that the log has for the open turn since the server gave it up
	named   string            // the last of them
	touchAt time.Time
	touches bool      // one is under way
	ran     int       // turns, and prompts that were stopped before theirs began
	refused time.Time // no turn is begun before
	leaveAt time.Time // the process is killed then; zero is never
	timer   *time.Timer
	due     time.Time // of the timer
}

// Run runs the session's agent until ctx ends, the session is closed, or
// another runner takes it over (ErrFenced). It returns nil when it ended as it
// was told to. Prompts that waited in the log are run first. When ctx ends the
// turn is stopped as by stop_turn, and what is not in the log by then stays in
// the spool, for the next one.
func Run(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	name, err := newRun()
	if err != nil {
		return err
	}
	spool, err := OpenSpool(c.SpoolDir, c.SpoolBytes)
	if err != nil {
		return err
	}
	r := &Runner{
		c: c, run: name, log: c.Log, spool: spool, agentID: c.ResumeID,
		news: make(chan func()), over: make(chan struct{}),
		took: map[string]int{}, tasks: map[string]bool{},
	}
	r.mapper = agent.NewMapper(agent.MapperOptions{Format: r.format(), Scope: r.scope(), Agent: c.Name, Lease: c.Lease, Run: name, Words: c.Upstream == nil})
	r.sender = NewSender(SenderConfig{
		Log: c.Log, Session: c.Session, Producer: producerID, Epoch: time.Now().UnixMilli(), Spool: spool,
		EventBytes: c.EventBytes, Logger: c.Logger,
		Moved: func(from, to string) { r.tell(func() { r.moved(from, to) }) },
	})
	_ = os.RemoveAll(r.temp()) // of a runner that was killed
	defer close(r.over)
	err = r.all(ctx)
	if closeErr := spool.Close(); err == nil {
		err = closeErr
	}
	return err
}

// scope tells the ids of this runner's processes from those of others.
func (r *Runner) scope() string { return r.run[len(r.run)-8:] }

// format is the one that the agent's lines have.
func (r *Runner) format() string {
	if r.c.Upstream != nil {
		return r.c.Upstream.Format()
	}
	return r.c.Agent
}

// all starts what runs beside the loop, and ends it again.
func (r *Runner) all(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx, for the end of the turn
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- r.sender.Run(work) }()
	go r.take(work)
	var err error
	for r.stop == nil {
		lines, room := r.lines()
		select {
		case f := <-r.news:
			f()
		case line := <-lines:
			r.heard(line)
		case <-room:
		case <-r.c.crowds: // idleTime looks at it
		case <-r.alarm():
			r.tick(work)
		case err = <-sent:
			sent <- err
			r.end(err)
		case <-ctx.Done():
			if r.c.LeaveWait > 0 {
				r.leaveAt = time.Now().Add(r.c.LeaveWait)
			}
			r.shutdown()
			ctx = context.WithoutCancel(ctx) // it is told once
		}
		r.act(work)
	}
	r.leave(work)
	cancel()
	if sendErr := <-sent; sendErr != nil && errors.Is(r.stop, errOver) {
		return sendErr
	}
	if errors.Is(r.stop, errOver) {
		return nil
	}
	return r.stop
}

// errOver ends a runner that has done what it was told.
var errOver = errors.New("over")

// end makes Run return err; the first one counts.
func (r *Runner) end(err error) {
	if err == nil {
		err = errOver
	}
	if r.stop == nil {
		r.stop = err
	}
}

// tell runs f on the runner's goroutine, unless that has ended.
func (r *Runner) tell(f func()) {
	select {
	case r.news <- f:
	case <-r.over:
	}
}

// take takes the session: it makes it if it is absent, fences off earlier
// runners, which also sends what they had spooled, and follows it.
func (r *Runner) take(ctx context.Context) {
	err := r.log.Create(ctx, r.c.Session)
	if err == nil {
		_, err = r.sender.Ask(ctx, r.draft(typeRunnerStart, "", map[string]any{"agent": r.c.Name, "run": r.run}, "start"))
	}
	if err == nil {
		each := func(e store.Event) error {
			done := make(chan struct{})
			r.tell(func() { r.read(ctx, &e); close(done) })
			select {
			case <-done:
			case <-r.over:
			}
			return nil
		}
		err = r.log.Follow(ctx, r.c.Session, 0, boardTypes, each, func() { r.tell(func() { r.caughtUp(ctx) }) })
	}
	if err != nil && ctx.Err() == nil {
		r.tell(func() { r.end(fmt.Errorf("session %s: %w", r.c.Session, err)) })
	}
}

// read is told of an event of the log.
func (r *Runner) read(ctx context.Context, e *store.Event) {
	if r.caught && e.Type == store.TypeTurnEnd && r.board.take(e.Turn) {
		r.withdrawn(e.Turn)
	}
	steers := e.Type == store.TypePrompt && e.Turn != "" && e.Turn == r.board.open
	r.board.apply(e)
	if r.board.run != "" && r.board.run != r.run && r.caught {
		r.end(ErrFenced)
		return
	}
	if !r.caught {
		return
	}
	switch e.Type {
	case store.TypePrompt:
		if steers && r.turn != nil && r.current(e.Turn) {
			r.steer(ctx, e)
		}
	case store.TypeTurnStart:
		if e.Text("run") == r.run { // before what is said of the turn under this name
			r.moved(e.Text("continues"), e.Turn)
		}
	case store.TypeStopTurn:
		if r.current(e.Turn) {
			r.halted()
		}
	case store.TypeTurnEnd:
		r.ended(e)
	case store.TypePermissionResponse:
		r.answer(e)
	case store.TypeSessionClosed:
		r.shutdown()
	}
}

// caughtUp is told when the board is as the log is: from now on the runner
// acts. A turn that an earlier runner left open is not run again, and what it
// left running has died with its agent.
func (r *Runner) caughtUp(ctx context.Context) {
	if r.caught {
		return
	}
	r.caught = true
	if r.c.Resume && r.agentID == "" {
		r.agentID = r.board.ids[r.c.Name]
	}
	for _, task := range slices.Sorted(maps.Keys(r.board.tasks)) {
		r.put(r.draft(store.TypeTaskEnd, r.board.tasks[task], map[string]any{"taskId": task, "status": "killed", "success": false}, r.key()))
	}
	if r.board.open == "" || r.board.openRun == "" {
		return
	}
	d := r.draft(store.TypeTurnEnd, r.board.open, map[string]any{
		"success": false, "reason": "abandoned", "error": "the runner of this turn is gone; the text so far is kept",
	}, r.key())
	r.background(func() error {
		_, err := r.sender.Ask(ctx, d)
		return err
	}, func(err error) {
		// Its lease may have ended it meanwhile.
		if code := store.CodeOf(err); err != nil && code != store.CodeTurnEnded && code != store.CodeNoTurn {
			r.end(err)
		}
	})
}

// background does what waits for others, and then tells done of it.
func (r *Runner) background(do func() error, done func(error)) {
	go func() {
		err := do()
		r.tell(func() { done(err) })
	}()
}

// key names the runner's next event.
func (r *Runner) key() string {
	r.keys++
	return strconv.Itoa(r.keys)
}

// draft makes an event of the runner's own.
func (r *Runner) draft(typ, turn string, data map[string]any, key string) store.Draft {
	return store.Draft{Key: "run:" + r.run + ":" + key, Type: typ, Turn: turn, Data: mustJSON(data)}
}

// put spools events. It never waits: the spool holds up the agent's lines, see
// lines, and not who has to stop the agent.
func (r *Runner) put(drafts ...store.Draft) {
	if r.board.closed {
		return // nothing is taken any more
	}
	if err := r.spool.Add(drafts...); err != nil {
		r.end(fmt.Errorf("spool: %w", err))
	}
	for i := range drafts {
		if e := (&store.Event{Data: drafts[i].Data}); drafts[i].Type == store.TypeTurnEnd && r.c.Ended != nil {
			r.c.Ended(Ending{Turn: drafts[i].Turn, Success: string(e.Field("success")) == "true", Reason: e.Text("reason"), Error: e.Text("error")})
		}
	}
}
