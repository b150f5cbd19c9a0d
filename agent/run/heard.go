package run

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// heard is told of the child's output.
func (r *Runner) heard(l outLine) {
	if l.exit != nil {
		r.exited(*l.exit, l.err)
		return
	}
	clean := l.text
	if r.c.Redact != nil {
		var took map[string]int
		clean, took = r.c.Redact(l.text)
		for name, n := range took {
			r.took[name] += n
		}
	}
	key := l.key
	if key == "" {
		key = "run:" + r.run + ":line:" + r.key()
	}
	open := r.mapper.Turn()
	drafts, meaning := r.mapped(l, clean, key)
	r.note(&meaning, clean)
	if reply := r.child.driver.Heard(l.text, meaning); len(reply) > 0 {
		if err := r.child.write(reply); err != nil {
			r.c.Logger.Error("a reply did not reach the agent", "err", err)
		}
	}
	r.put(drafts...)
	switch now := r.mapper.Turn(); {
	case now == "" && open != "":
		r.finished()
	case now != open:
		r.touchAt = time.Now().Add(r.c.Lease / 3)
	}
}

// mapped makes the events of a line.
func (r *Runner) mapped(l outLine, clean []byte, key string) ([]store.Draft, agent.Meaning) {
	if l.part > 0 {
		d := agent.Part(l.part, l.more, clean)
		d.Turn, d.Key = r.mapper.Turn(), key
		return []store.Draft{d}, agent.Meaning{}
	}
	if again, ok := r.child.driver.(Repeater); ok && again.Repeats(l.text) {
		d := agent.Lines(clean)
		d.Turn, d.Key = r.mapper.Turn(), key
		return []store.Draft{d}, agent.Meaning{}
	}
	drafts, meaning := r.mapper.Map(clean, key)
	if l.event != "" && drafts[0].Type == agent.TypeLine {
		drafts[0].Raw = bytes.Clone(clean)
		drafts[0].Data = eventData(l.event, drafts[0].Data)
	}
	return drafts, meaning
}

// eventData keeps the name that an upstream gives to a line that says nothing
// neutral.
func eventData(name string, data []byte) []byte {
	return mustJSON(struct {
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
	}{name, data})
}

// note keeps what later decisions need of a line.
func (r *Runner) note(m *agent.Meaning, line []byte) {
	if r.format() == agent.FormatLines && len(r.output)+len(line) < outputMax {
		r.output = append(append(r.output, line...), '\n')
	}
	if m.Place == agent.Work && m.End == nil {
		r.child.resumed = "" // it works, so it found its conversation
	}
	for i := range m.Events {
		e := store.Event{Type: m.Events[i].Type, Data: m.Events[i].Data}
		switch e.Type {
		case store.TypeSessionInit:
			if id := e.Text("sessionId"); id != "" {
				r.agentID, r.child.resumed = id, ""
			}
		case store.TypeTaskStart:
			if len(r.tasks) < tasksMax {
				r.tasks[m.Events[i].Task] = true
			}
		case store.TypeTaskEnd:
			delete(r.tasks, m.Events[i].Task)
		}
	}
}

// tasksMax bounds the running tasks of a process that are ended with it.
const tasksMax = 1000

// clean takes the secrets out of what the agent printed beside its lines.
func (r *Runner) clean(text string) string {
	if r.c.Redact == nil || text == "" {
		return text
	}
	b, took := r.c.Redact([]byte(text))
	for name, n := range took {
		r.took[name] += n
	}
	return string(b)
}
