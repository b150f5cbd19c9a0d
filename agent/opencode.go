package agent

import (
	"encoding/json"
	"math/big"

	"github.com/konlog/konlog/store"
)

// opencodeFormat reads opencode: the events of its server (GET /event), which
// are of all sessions that it has, and the lines of `run --format json`.
//
// One of the sessions is the one that works: the others either run for a tool of
// it, or are somebody else's. What they say has a parent.
type opencodeFormat struct {
	main  string      // the session that works, or worked last; or ""
	inits few[[]byte] // the data of session_init, of sessions that do not run for a tool
	busy  bool
	fail  *End        // how the turn ends, as far as its errors say
	under few[string] // sessions that run for a tool: the call's id, or the session's own
	roles few[string] // of messages
	parts few[opencodePart]
	tools few[opencodeTool] // by the id of their part
	asked few[string]       // questions that nobody has answered: their session
	used  opencodeUsage
	steps few[bool] // that were counted
}

func newOpencode(Options) Format { return &opencodeFormat{} }

// opencodeEvent takes an event out of the frame that the events of all
// directories have (GET /global/event).
func opencodeEvent(o object) object {
	if inner := o.obj("payload"); inner.has("properties") {
		return inner
	}
	return o
}

// opencodeQuiet are the events that say nothing neutral.
var opencodeQuiet = setOf(
	"server.heartbeat", "server.instance.disposed", "global.disposed", "catalog.updated", "models-dev.refreshed", "plugin.added",
	"session.deleted", "session.diff", "session.compacted", "message.removed", "message.part.removed", "command.executed", "reference.updated",
	"file.edited", "file.watcher.updated", "lsp.updated", "lsp.client.diagnostics", "mcp.tools.changed", "vcs.branch.updated",
	"project.updated", "project.directories.updated", "installation.updated", "installation.update-available",
	"pty.created", "pty.updated", "pty.exited", "pty.deleted",
)

// Read implements Format.
func (f *opencodeFormat) Read(line []byte, _ Direction) Meaning {
	o, _ := parseObject(line)
	o = opencodeEvent(o)
	m := Meaning{Known: true, Kind: o.str("type")}
	if o.object("properties") == nil {
		return f.run(m, o)
	}
	p := o.obj("properties")
	switch m.Kind {
	case "server.connected":
		f.busy = false // what was said in between is not known
	case "session.created", "session.updated":
		f.session(&m, p)
	case "session.status":
		f.status(&m, p)
	case "session.idle":
		f.idle(&m, p.str("sessionID"))
	case "session.error":
		f.failed(&m, p.str("sessionID"), p["error"])
	case "message.updated":
		f.message(p.obj("info"))
	case "message.part.updated":
		f.part(&m, p.obj("part"), p.quoted("delta"))
	case "message.part.delta":
		f.delta(&m, p)
	case "permission.asked", "permission.updated", "permission.v2.asked":
		f.permission(&m, p)
	case "permission.replied", "permission.v2.replied":
		f.replied(&m, p)
	case "question.asked", "question.v2.asked":
		f.question(&m, p)
	case "question.replied", "question.rejected", "question.v2.replied", "question.v2.rejected":
		f.answered(&m, p)
	case "todo.updated":
		f.todo(&m, p)
	default:
		m.Known = opencodeQuiet[m.Kind]
	}
	return m
}

// parent is that of what a session says: "" is the session that works.
func (f *opencodeFormat) parent(session string) string {
	if call, known := f.under.get(session); known {
		return call
	}
	if f.main == "" {
		f.main = session // the stream began in the middle
	}
	if session == f.main || session == "" {
		return ""
	}
	return session
}

// enter makes a session the one that works, unless one does, or it runs for a
// tool. It reports whether it is.
func (f *opencodeFormat) enter(m *Meaning, session string) bool {
	if _, known := f.under.get(session); known || session == "" {
		return false
	}
	if !f.busy {
		f.main = session
		if data, told := f.inits.get(session); told {
			m.Events = append(m.Events, Event{Type: store.TypeSessionInit, Data: data})
		}
	}
	return f.main == session
}

// place is that of what a session does. Sessions beside the one that works have
// turns of their own, which are none here.
func (f *opencodeFormat) place(session string) Place {
	if f.parent(session) == "" {
		return Work
	}
	return Aside
}

func (f *opencodeFormat) session(m *Meaning, p object) {
	info := p.obj("info")
	id := info.str("id")
	if parent := info.str("parentID"); parent != "" {
		if _, known := f.under.get(id); !known {
			f.under.put(id, id) // until its tool says that it is its own
		}
		return
	}
	if id == "" {
		return
	}
	model := info.obj("model")
	name := model.str("id")
	if provider := model.str("providerID"); provider != "" && name != "" {
		name = provider + "/" + name
	}
	e := sayInit(id, name, info.str("directory"))
	f.inits.put(id, e.Data)
	if f.parent(id) == "" {
		m.Events = []Event{e}
	}
}

func (f *opencodeFormat) status(m *Meaning, p object) {
	session, status := p.str("sessionID"), p.obj("status")
	switch status.str("type") {
	case "busy":
		if f.enter(m, session) {
			m.Place = Work
			f.busy = true
		}
	case "retry":
		m.Events = []Event{errorEvent(f.parent(session), errorText(p["status"]), "retry")}
	case "idle":
		f.idle(m, session)
	}
}

// idle ends the turn. Newer versions say it twice, older ones once; one that
// has not worked has none to end.
func (f *opencodeFormat) idle(m *Meaning, session string) {
	if f.parent(session) != "" {
		return
	}
	end := f.fail
	if end == nil {
		end = &End{Success: true}
	}
	end.Again = !f.busy
	m.End = f.over(end)
}

// over ends what belongs to a turn.
func (f *opencodeFormat) over(end *End) *End {
	end.Usage, end.CostUSD = f.used.usage(), f.used.costUSD()
	f.busy, f.fail, f.used = false, nil, opencodeUsage{}
	return end
}

// opencodeAborted is the error of a turn that the user stopped.
const opencodeAborted = "MessageAbortedError"

// failed reads an error. It says how the turn ends, not that it does: that is
// said by idle, and an error that the agent goes on from is none of its end.
func (f *opencodeFormat) failed(m *Meaning, session string, value json.RawMessage) {
	e := object{"error": value}.obj("error")
	end := &End{Error: errorText(value)}
	if e.str("name") == opencodeAborted {
		end.Reason = "stopped"
	} else if end.Error != "" {
		m.Events = []Event{sayError(f.parent(session), end.Error, e.str("name"))}
	}
	if f.parent(session) == "" {
		f.fail = end
	}
}

func (f *opencodeFormat) message(info object) {
	if id := info.str("id"); id != "" {
		f.roles.put(id, info.str("role"))
	}
}

func (f *opencodeFormat) todo(m *Meaning, p object) {
	var list plan
	for _, todo := range p.objects("todos") {
		if state := todo.str("status"); state != "cancelled" {
			list.add(todo.str("content"), planState(state))
		}
	}
	e := list.event()
	e.Parent = f.parent(p.str("sessionID"))
	m.Events = []Event{e}
}

// opencodeGoesOn are the reasons for which a step ends and the turn does not.
var opencodeGoesOn = setOf("tool-calls", "unknown")

// run reads a line of `run --format json`: parts that are complete, of the one
// session that it runs. Nothing but the reason of the last step says that the
// turn is over.
func (f *opencodeFormat) run(m Meaning, o object) Meaning {
	session := o.str("sessionID")
	if session == "" {
		m.Known = false
		return m
	}
	if f.main == "" {
		m.Events = []Event{sayInit(session, "", "")}
	}
	f.main = session
	switch m.Kind {
	case "step_start", "text", "reasoning", "tool_use", "step_finish":
		f.busy = true
		part, said := o.obj("part"), Meaning{}
		f.roles.put(part.str("messageID"), "assistant") // it does not repeat what the user says
		f.part(&said, part, nil)
		m.Place, m.Events = Work, append(m.Events, said.Events...)
		if reason := part.str("reason"); m.Kind == "step_finish" && reason != "" && !opencodeGoesOn[reason] {
			end := &End{Success: reason == "stop"}
			if !end.Success {
				end.Error = reason
			}
			m.End = f.over(end)
		}
	case "error":
		said := Meaning{}
		f.failed(&said, session, o["error"])
		m.Events = append(m.Events, said.Events...)
		f.fail.Again = !f.busy
		m.End = f.over(f.fail)
	default:
		m.Known = false
	}
	return m
}

// opencodeUsage adds up the steps of a turn, those of sub-agents too.
type opencodeUsage struct {
	tokens map[string]*big.Rat
	cost   *big.Rat // or nil
}

// opencodeTokens are the names of usages, and where a step has them.
var opencodeTokens = []struct{ name, within, member string }{
	{"input", "", "input"}, {"output", "", "output"}, {"reasoning", "", "reasoning"},
	{"cacheRead", "cache", "read"}, {"cacheWrite", "cache", "write"},
}

// add counts a step.
func (u *opencodeUsage) add(step object) {
	tokens := step.obj("tokens")
	for _, t := range opencodeTokens {
		from := tokens
		if t.within != "" {
			from = tokens.obj(t.within)
		}
		if n := decimal(from.number(t.member)); n != nil {
			if u.tokens == nil {
				u.tokens = map[string]*big.Rat{}
			}
			u.tokens[t.name] = plus(u.tokens[t.name], n)
		}
	}
	if n := decimal(step.number("cost")); n != nil {
		u.cost = plus(u.cost, n)
	}
}

// plus is a sum; a is nil when nothing was counted so far.
func plus(a, b *big.Rat) *big.Rat {
	if a == nil {
		return b
	}
	return new(big.Rat).Add(a, b)
}

// usage is the sum of the tokens, or nil.
func (u *opencodeUsage) usage() json.RawMessage {
	if u.tokens == nil {
		return nil
	}
	return u.write(&body{}).data()
}

func (u *opencodeUsage) write(b *body) *body {
	for _, t := range opencodeTokens {
		if n := u.tokens[t.name]; n != nil {
			b.raw(t.name, []byte(exactNumber(n)))
		}
	}
	return b
}

func (u *opencodeUsage) costUSD() json.Number {
	if u.cost == nil {
		return ""
	}
	return exactNumber(u.cost)
}

// event is the sum of the turn so far.
func (u *opencodeUsage) event() Event {
	b := u.write(&body{})
	return Event{Type: store.TypeUsage, Data: b.raw("costUsd", []byte(u.costUSD())).data()}
}
