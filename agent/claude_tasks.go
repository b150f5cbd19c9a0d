package agent

import (
	"maps"
	"slices"

	"github.com/konlog/konlog/store"
)

// claudeTask is background work as far as it was heard of.
type claudeTask struct {
	tool    string // the tool call that started it; or ""
	hidden  bool   // housekeeping, which the program asks not to show
	back    bool   // in the background: a notification will tell of its end
	ended   bool
	success string // true, false, or "" while it is not known
	status  string
}

// taskSuccess are the words for the end of a task, and whether it is a good one.
var taskSuccess = map[string]string{"completed": "true", "failed": "false", "stopped": "false", "killed": "false"}

// known is the task of that id, which it may make.
func (f *claudeFormat) known(id string) *claudeTask {
	t, ok := f.tasks.get(id)
	if !ok {
		t = &claudeTask{}
		f.tasks.put(id, t)
	}
	return t
}

// task reads a frame about one task.
func (f *claudeFormat) task(l claudeFrame) Meaning {
	m := Meaning{Known: true, Kind: l.kind(), Place: Late}
	id := l.str("task_id")
	if id == "" {
		return m
	}
	t := f.known(id)
	if tool := l.str("tool_use_id"); tool != "" {
		t.tool = tool
		f.taskOf.put(tool, id)
	}
	t.hidden = t.hidden || l.is("ambient") || l.is("skip_transcript")
	if e, ok := f.taskEvent(l, id, t); ok && !t.hidden {
		m.Events = []Event{e}
	}
	return m
}

func (f *claudeFormat) taskEvent(l claudeFrame, id string, t *claudeTask) (Event, bool) {
	switch l.subtype {
	case "task_started":
		t.ended, t.success, t.status = false, "", "" // a sub-agent that is spoken to again goes on under its id
		t.back = l.is("is_backgrounded") || f.listed[id]
		return t.event(store.TypeTaskStart, id, l.str("description"), nil), true
	case "task_updated":
		patch := l.obj("patch")
		t.back = t.back || patch.is("is_backgrounded")
		if status := patch.str("status"); status != "" {
			t.status = status
		}
		// What runs in the background is told of once more when it has ended, with
		// a word on what came of it; but not when it was killed.
		if _, over := taskSuccess[t.status]; over && (!t.back || t.status == "killed") {
			return t.end(id, "")
		}
		return t.event(store.TypeTaskUpdate, id, patch.str("description"), nil), !t.ended
	case "task_progress":
		for _, name := range []string{"summary", "description", "last_tool_name"} {
			if s := l.str(name); s != "" {
				t.status = s
				break
			}
		}
		return t.event(store.TypeTaskUpdate, id, "", l.object["usage"]), !t.ended
	}
	t.status = l.str("status")
	return t.end(id, l.str("summary"))
}

// event tells of a task. Its line belongs to the turn that started it.
func (t *claudeTask) event(typ, id, title string, usage []byte) Event {
	var b body
	b.str("taskId", id).str("title", title).str("status", t.status).raw("usage", usage)
	return Event{Type: typ, Parent: t.tool, Task: id, Data: b.data()}
}

// end ends a task, once; and once more only to say whether it went well.
func (t *claudeTask) end(id, summary string) (e Event, ok bool) {
	success := taskSuccess[t.status]
	if t.ended && (success == "" || success == t.success) {
		return e, false
	}
	t.ended, t.success = true, success
	var b body
	b.str("taskId", id).str("status", t.status).raw("success", []byte(success)).str("summary", summary)
	return Event{Type: store.TypeTaskEnd, Parent: t.tool, Task: id, Data: b.data()}, true
}

// taskList reads the list of what runs in the background. It may come before
// or after the frames about each task, so it only makes good for those that
// did not come: a task that is in two lists has begun, and one that is in the
// list no more has ended.
func (f *claudeFormat) taskList(l claudeFrame) Meaning {
	m := Meaning{Known: true, Kind: l.kind(), Place: Late}
	now, titles := map[string]bool{}, map[string]string{}
	var order []string
	for _, o := range l.objects("tasks") {
		id := o.str("task_id")
		if id == "" || now[id] || len(order) >= namesMax {
			continue
		}
		now[id], titles[id] = true, o.str("description")
		order = append(order, id)
		if o.is("ambient") {
			f.known(id).hidden = true
		}
	}
	for _, id := range sortedSet(f.listed) {
		if t, ok := f.tasks.get(id); ok && !now[id] && !t.ended && !t.hidden {
			if e, ok := t.end(id, ""); ok {
				m.Events = append(m.Events, e)
			}
		}
	}
	for _, id := range order {
		t, heard := f.tasks.get(id)
		if heard {
			t.back = true
		} else if f.listed[id] {
			t = f.known(id)
			t.back = true
			m.Events = append(m.Events, t.event(store.TypeTaskStart, id, titles[id], nil))
		}
	}
	f.listed = now
	return m
}

func sortedSet(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
