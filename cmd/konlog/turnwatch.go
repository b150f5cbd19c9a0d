package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// Why a watch ends without the end of its turn.
var (
	errNobodyBegan   = errors.New("nobody has begun the turn")
	errSessionClosed = errors.New("the session was closed")
)

// turnWatch follows one turn to its end and prints what the agent says. Its
// methods run on one goroutine; only the timer is on another.
type turnWatch struct {
	app           *app
	client        *client.Client
	session, turn string
	patience      time.Duration // 0 is for ever
	json          bool

	cancel  context.CancelCauseFunc
	timer   *time.Timer // runs while nobody has begun the turn and nothing else runs; or nil
	begun   bool        // the turn has
	behind  string      // the turn that is open instead, as was told
	live    bool        // the log was read to its end
	status  *client.Status
	trouble bool // with the connection, as was told
	open    []store.Question
	show    func(client.State)
	text    humanPrinter
	lines   *bufio.Writer
}

// run follows the turn through the events after the given one.
func (w *turnWatch) run(parent context.Context, after int64) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	w.cancel, w.show = cancel, w.app.showStates()
	w.text, w.lines = humanPrinter{w: w.app.stdout}, bufio.NewWriter(w.app.stdout)
	if w.patience > 0 {
		w.timer = time.AfterFunc(w.patience, func() { cancel(errNobodyBegan) })
		defer w.timer.Stop()
	}
	defer w.text.end()
	for e, err := range w.client.Tail(ctx, w.session, client.TailOptions{After: after, Turn: w.turn, OnState: w.state}) {
		if err != nil {
			return w.lost(parent, context.Cause(ctx), err)
		}
		if err := w.print(&e); err != nil {
			return failf("%w", err)
		}
		if e.Type == store.TypeTurnEnd {
			w.text.end()
			return w.outcome(string(e.Field("success")) == "true", e.Text("reason"), e.Text("error"))
		}
		if e.Type != store.TypePrompt {
			w.begin()
		}
	}
	return w.lost(parent, context.Cause(ctx), nil)
}

// begin notes that somebody runs the turn.
func (w *turnWatch) begin() {
	w.begun = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// print shows what the agent says at top level on stdout, and on stderr what
// a person has to know.
func (w *turnWatch) print(e *client.Event) error {
	if w.json {
		_, _ = w.lines.Write(e.JSON) // Flush returns its error
		_ = w.lines.WriteByte('\n')
		return w.lines.Flush()
	}
	w.question(e)
	if e.Parent != "" {
		return nil
	}
	_, thought, streamed := streamedText(e.Type, e.Data)
	if e.Type == store.TypeText || streamed && !thought {
		return w.text.event(shown{id: e.ID, typ: e.Type, time: e.Time, data: e.Data})
	}
	return nil
}

// question tells of a question when it is asked, or when the log was read to its
// end and it is still open.
func (w *turnWatch) question(e *client.Event) {
	id := e.RequestID()
	switch e.Type {
	case store.TypePermissionRequest:
		w.open = append(w.open, store.Question{RequestID: id, Tool: e.Text("tool"), Input: e.Field("input")})
		if w.live {
			w.tellQuestions()
		}
	case store.TypePermissionResponse:
		w.open = slices.DeleteFunc(w.open, func(q store.Question) bool { return q.RequestID == id })
	}
}

// tellQuestions tells of the open questions, each once.
func (w *turnWatch) tellQuestions() {
	for _, q := range w.open {
		w.text.end()
		w.app.say("the turn waits for an answer: %s", asked(q.Tool, q.Input))
		w.app.say("  %s", answerLine(w.session, q.RequestID))
	}
	w.open = nil
}

// state hears what the tail tells beside the events.
func (w *turnWatch) state(s client.State) {
	switch s.Kind {
	case client.StateDisconnected, client.StateDowngrade, client.StateGap, client.StateReset:
		w.trouble = true
		w.showState(s)
	case client.StateConnected:
		if w.trouble {
			w.trouble = false
			w.showState(s)
		}
	case client.StateCaughtUp:
		w.live = true
		if !w.json {
			w.tellQuestions()
		}
	}
	if s.Status != nil {
		w.status = s.Status
	}
	if w.live && w.status != nil {
		w.judge(w.status)
	}
}

func (w *turnWatch) showState(s client.State) {
	if !w.app.quiet {
		w.text.end()
		w.show(s)
	}
}

// judge decides from what the session does whether there is something to wait
// for: the patience runs while the turn has not begun and nothing else runs.
func (w *turnWatch) judge(s *client.Status) {
	switch {
	case s.State == store.StateClosed:
		w.cancel(errSessionClosed)
	case w.begun:
	case s.Turn == w.turn:
		w.begin()
	case s.Turn != "":
		if w.timer != nil {
			w.timer.Stop()
		}
		if w.behind != s.Turn {
			w.app.say("it waits for turn %s to end", printable(s.Turn))
		}
		w.behind = s.Turn
	case w.behind != "":
		w.behind = ""
		if w.timer != nil {
			w.timer.Reset(w.patience)
		}
	}
}

// outcome says how the turn ended.
func (w *turnWatch) outcome(success bool, reason, text string) error {
	if success {
		w.app.say("turn %s is done", printable(w.turn))
		return nil
	}
	how := "failed"
	switch reason {
	case "stopped":
		how = "was stopped"
	case store.ReasonAbandoned:
		how = "was abandoned: whoever ran it fell silent"
	}
	if text != "" {
		how += ": " + shorten(text, lineDataMax)
	}
	return failf("turn %s %s", printable(w.turn), printable(how)).because("konlog turns %s %s shows what came of it", w.session, printable(w.turn))
}

// lost says why the turn was followed no longer. What ended while the status
// came is asked for once more.
func (w *turnWatch) lost(parent context.Context, cause, err error) error {
	w.text.end()
	turn := printable(w.turn)
	if parent.Err() != nil {
		return failf("interrupted: the prompt stays in the log, and turn %s is run all the same", turn).
			because("konlog stop %s %s stops it; konlog turns %s %s shows what came of it", w.session, turn, w.session, turn)
	}
	if !errors.Is(cause, errNobodyBegan) && !errors.Is(cause, errSessionClosed) {
		if err == nil {
			err = fmt.Errorf("turn %s: the events ended before the turn", turn)
		}
		return err
	}
	t, turnErr := w.client.Turn(parent, w.session, w.turn)
	if turnErr == nil && t.State == store.TurnEnded {
		return w.outcome(t.Success != nil && *t.Success, t.Reason, t.Error)
	}
	if errors.Is(cause, errSessionClosed) {
		return failf("%w before turn %s ended", errSessionClosed, turn)
	}
	return failf("%w within %s: nothing runs in session %s", errNobodyBegan, formatDuration(w.patience), w.session).
		because("the prompt waits in the log for whoever runs the session's agent; konlog stop %s %s takes it back, --patience waits longer", w.session, turn)
}
