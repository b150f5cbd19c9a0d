package run

import (
	"encoding/json"

	"github.com/konlog/konlog/store"
)

// boardTypes are the events that a runner follows.
var boardTypes = []string{
	store.TypePrompt, store.TypeTurnStart, store.TypeTurnEnd, store.TypeStopTurn, store.TypePermissionResponse,
	store.TypeSessionInit, store.TypeSessionClosed, store.TypeTaskStart, store.TypeTaskEnd, typeRunnerStart, typeProcessStart,
}

// typeRunnerStart says in the log that a runner takes the session: all earlier
// ones are fenced off from then on.
const typeRunnerStart = "runner_start"

// typeProcessStart says that an agent was started for the session.
const typeProcessStart = "process_start"

// agentsMax bounds the agents of a session whose conversations are known.
const agentsMax = 100

// queued is a prompt whose turn has not begun.
type queued struct {
	turn   string
	text   string
	images json.RawMessage
}

// board is what the log says of the session's work: a fold of the events of
// boardTypes.
type board struct {
	queue   []queued
	open    string            // the turn that is open, or ""
	openRun string            // the runner that began it; "" is somebody else
	run     string            // the runner that took the session last
	agent   string            // the one that spoke last
	ids     map[string]string // the agents' own ids of their conversations, by the agents' names
	closed  bool
	tasks   map[string]string // that run, of turns that a runner began, and those turns; at most tasksMax
}

// apply folds one event.
func (b *board) apply(e *store.Event) {
	switch e.Type {
	case store.TypePrompt:
		// With the turn of the open one it steers that, and asks for none.
		if e.Turn != b.open {
			b.queue = append(b.queue, queued{turn: e.Turn, text: e.Text("text"), images: e.Field("images")})
		}
	case store.TypeTurnStart:
		b.take(e.Turn)
		b.open, b.openRun = e.Turn, e.Text("run")
		b.spoke(e)
	case store.TypeTurnEnd:
		b.take(e.Turn)
		if e.Turn == b.open {
			b.open, b.openRun = "", ""
		}
	case store.TypeSessionInit:
		if id := e.Text("sessionId"); id != "" && len(b.ids) < agentsMax {
			if b.ids == nil {
				b.ids = map[string]string{}
			}
			b.ids[b.agent] = id
		}
	case typeProcessStart:
		b.spoke(e)
	case store.TypeTaskStart:
		if b.openRun == "" || e.Turn != b.open || len(b.tasks) >= tasksMax {
			return
		}
		if b.tasks == nil {
			b.tasks = map[string]string{}
		}
		b.tasks[e.Text("taskId")] = e.Turn
	case store.TypeTaskEnd:
		delete(b.tasks, e.Text("taskId"))
	case typeRunnerStart:
		b.run = e.Text("run")
	case store.TypeSessionClosed:
		b.closed = true
	}
}

// spoke notes whose words follow: the conversation of one agent means nothing
// to another.
func (b *board) spoke(e *store.Event) {
	if name := e.Text("agent"); name != "" {
		b.agent = name
	}
}

// take removes a turn from the queue, and reports whether it was there.
func (b *board) take(turn string) bool {
	for i := range b.queue {
		if b.queue[i].turn == turn {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			return true
		}
	}
	return false
}

// next is the prompt that waits longest.
func (b *board) next() (queued, bool) {
	if len(b.queue) == 0 || b.open != "" || b.closed {
		return queued{}, false
	}
	return b.queue[0], true
}
