package agent

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/konlog/konlog/store"
)

// codexFormat reads what `codex exec --json` prints: items that start and
// complete, whole and without deltas. It counts them anew in every thread and
// process.
type codexFormat struct {
	scope   string
	threads int
	started few[bool] // tool calls that are not yet over
}

func newCodex(o Options) Format { return &codexFormat{scope: o.Scope} }

// Read implements Format.
func (f *codexFormat) Read(line []byte, _ Direction) Meaning {
	o, _ := parseObject(line)
	m := Meaning{Known: true, Kind: o.str("type")}
	switch m.Kind {
	case "thread.started":
		f.threads++
		if id := o.str("thread_id"); id != "" {
			m.Events = []Event{sayInit(id, "", "")}
		}
	case "turn.started":
		m.Place = Work
	case "turn.completed":
		m.End = &End{Success: true, Usage: o.object("usage")}
	case "turn.failed":
		m.End = &End{Error: codexError(o["error"]), Usage: o.object("usage")}
	case "error":
		// Not the end: that a connection is made again is said so too, and a
		// turn that fails for it says so by turn.failed.
		if text := errorText(line); text != "" {
			m.Events = []Event{sayError("", text, "")}
		}
	case "item.started", "item.updated", "item.completed":
		return f.item(m, o.obj("item"))
	default:
		m.Known = false
	}
	return m
}

func codexError(value json.RawMessage) string {
	if text := errorText(value); text != "" {
		return text
	}
	return "the turn failed, and codex did not say why"
}

// item reads one thing that the agent does. It is the work of a turn, but for
// errors: a warning about the settings comes before the turn has started, and
// must not begin one.
func (f *codexFormat) item(m Meaning, item object) Meaning {
	step, kind := m.Kind, item.str("type")
	m.Kind += "/" + kind
	if kind == "" {
		m.Known = false
		return m
	}
	if kind != "error" {
		m.Place = Work
	}
	switch kind {
	case "error":
		if text := errorText(item["message"]); text != "" {
			m.Events = []Event{errorEvent("", text, "")}
		}
	case "agent_message":
		m.Events = f.text(store.TypeText, item)
	case "reasoning":
		m.Events = f.text(store.TypeThinking, item)
	case "todo_list":
		m.Events = []Event{codexPlan(item)}
	case "command_execution", "mcp_tool_call", "web_search", "file_change", "collab_tool_call":
		m.Events = f.tool(step, kind, item)
	default:
		m.Known = false
	}
	return m
}

// id tells an item apart from those of other threads and processes.
func (f *codexFormat) id(item object) string {
	id := item.str("id")
	if id != "" && f.threads > 1 {
		id = strconv.Itoa(f.threads) + ":" + id
	}
	return scoped(f.scope, id)
}

// text is always the whole of what it is so far.
func (f *codexFormat) text(typ string, item object) []Event {
	text := item.quoted("text")
	if len(text) <= len(`""`) {
		return nil
	}
	return []Event{sayText(typ, text, f.id(item))}
}

func codexPlan(item object) Event {
	var p plan
	for _, todo := range item.objects("items") {
		state := planPending
		if todo.is("completed") {
			state = planDone
		}
		p.add(todo.str("text"), state)
	}
	return p.event()
}

// tool reads a call. Some are told of only when they are over.
func (f *codexFormat) tool(step, kind string, item object) (events []Event) {
	id, name := f.id(item), codexTool(kind, item)
	if id == "" {
		return nil
	}
	if _, started := f.started.get(id); !started {
		f.started.put(id, true)
		events = append(events, sayTool(id, name, codexInput(item)))
	}
	if step == "item.completed" {
		f.started.drop(id)
		events = append(events, sayResult(id, name, codexOutput(item), codexFailed(item)))
	}
	return events
}

// codexTool is what a call is called: by its own name where it has one.
func codexTool(kind string, item object) string {
	switch kind {
	case "command_execution":
		return "command"
	case "mcp_tool_call":
		return item.str("server") + "." + item.str("tool")
	case "collab_tool_call":
		if tool := item.str("tool"); tool != "" {
			return tool
		}
	}
	return kind
}

// codexResults are the members of a call that are not of its input.
var codexResults = setOf("id", "type", "status", "aggregated_output", "exit_code", "result", "error", "agents_states")

// codexInput is what a call was given, whatever that has: forms differ from
// version to version.
func codexInput(item object) []byte {
	if item.has("arguments") {
		return item["arguments"]
	}
	var b body
	for _, name := range sortedKeys(item) {
		if !codexResults[name] && name != "server" && name != "tool" {
			b.raw(name, item[name])
		}
	}
	return b.data()
}

// codexOutput is what came of a call. Of a command its exit code too; of what
// gives nothing back, how it went.
func codexOutput(item object) []byte {
	if item.has("aggregated_output") {
		var b body
		return b.raw("aggregated_output", item["aggregated_output"]).raw("exit_code", item["exit_code"]).data()
	}
	return item.firstOf("result", "error", "agents_states", "status")
}

func codexFailed(item object) bool {
	switch item.str("status") {
	case "failed", "declined":
		return true
	}
	code := item.firstOf("exit_code")
	return code != nil && !bytes.Equal(code, []byte("0")) || item.has("error")
}
