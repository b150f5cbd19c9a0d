package api

import "github.com/konlog/konlog/store"

// cell says how a view shows events of one type: as one flat frame of the
// members of data, some of them under other names.
type cell struct {
	typ    string   // of the frame; "" means the event's own
	inject string   // the frame's type for a prompt that nobody typed here; "" means typ
	fixed  string   // a member that each of these frames has, as JSON; or ""
	rename []string // pairs: the member of data, its name in the frame
	ensure []string // members that the frame has even if data does not: those of derived
	wrap   bool     // data comes untouched as the member data, and the event's type as event

	delta bool // text that grows
	whole bool // text that may have come as deltas before, and then is not shown again
}

// same shows an event under its own name.
func same() cell { return cell{} }

// as shows an event under another name. pairs are members to rename.
func as(typ string, pairs ...string) cell { return cell{typ: typ, rename: pairs} }

// wrapped shows an event as the payload of another.
func wrapped() cell { return cell{typ: "event", wrap: true} }

// card shows a kontask, whose record has a type of its own.
func card() cell { return as("", "type", "kontaskType").with("kontaskId") }

// turn shows the beginning or the end of a turn.
func turn() cell { return same().with("requestId") }

// state shows them as what they make of the session.
func state(word string) cell {
	return cell{typ: "status", fixed: `"state":"` + word + `"`, ensure: []string{"requestId"}}
}

// ofFeed shows what the feed says of a session. The frame's session is the feed.
func ofFeed() cell { return as("", "session", sessionAlias) }

// projects shows that the list of sessions has changed.
func projects(change string) cell {
	c := as("projects_updated", "session", sessionAlias)
	c.fixed = `"change":"` + change + `"`
	return c
}

func (c cell) with(ensure ...string) cell { c.ensure = append(c.ensure, ensure...); return c }
func (c cell) injected(typ string) cell   { c.inject = typ; return c }
func (c cell) growing() cell              { c.delta = true; return c }
func (c cell) unlessGrown() cell          { c.whole = true; return c }

// viewRow is one type of event in the four views. feed is its shape in the
// chat view when it stands in the feed.
type viewRow struct {
	event                               string
	console, dashboard, chat, sdk, feed cell
}

// viewRows is the table of PROTOCOL.md section 8: every type that the server
// knows. One that it does not know comes as a flat frame under its own name, or
// wrapped where the view wraps.
var viewRows = []viewRow{
	{store.TypePrompt, as("prompt").injected("inject_prompt"), wrapped(), same(), as("prompt"), ofFeed()},

	{store.TypeTurnStart, state("working"), turn(), turn(), as("session-init").with("sessionId", "requestId"), ofFeed()},
	{store.TypeTurnEnd, state("idle"), turn(), turn(), as("done").with("sessionId", "requestId"), ofFeed()},
	{store.TypeStopTurn, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeSessionInit, same(), wrapped(), same(), as("session-init").with("sessionId"), ofFeed()},

	{store.TypeTextDelta, as("output", "text", "content").growing(), wrapped(), same(), as("text-delta").growing(), ofFeed()},
	{store.TypeText, as("output", "text", "content").unlessGrown(), wrapped(), same(), as("text-delta").unlessGrown(), ofFeed()},
	{store.TypeThinkingDelta, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeThinking, same(), wrapped(), same(), same(), ofFeed()},

	{store.TypeToolStart, as("tool_call"), wrapped(), same(), as("tool-start"), ofFeed()},
	{store.TypeToolDelta, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeToolResult, same(), wrapped(), same(), as("tool-result"), ofFeed()},

	{store.TypeTaskStart, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeTaskUpdate, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeTaskEnd, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypePermissionRequest, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypePermissionResponse, same(), wrapped(), same(), same(), ofFeed()},

	{store.TypeKontaskCreated, card(), wrapped(), card(), card(), ofFeed()},
	{store.TypeKontaskReady, card(), card(), card(), card(), ofFeed()},
	{store.TypeKontaskUpdated, card(), wrapped(), card(), card(), ofFeed()},
	{store.TypeKontaskChosen, card(), wrapped(), card(), card(), ofFeed()},

	{store.TypeUsage, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypePlan, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeError, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeProcessExit, same(), wrapped(), same(), as("process-exit"), ofFeed()},
	{store.TypeAgent, same(), wrapped(), same(), same(), ofFeed()},
	{store.TypeRedacted, same(), wrapped(), same(), same(), ofFeed()},

	{store.TypeSessionClosed, same(), wrapped(), same(), same(), projects("closed")},
	{store.TypeSessionCreated, same(), wrapped(), same(), same(), projects("created")},
	{store.TypeSessionUpdated, same(), wrapped(), same(), same(), projects("updated")},
	{store.TypeSessionDeleted, same(), wrapped(), same(), same(), projects("deleted")},
	{store.TypeSeen, same(), wrapped(), same(), same(), ofFeed()},
}

// The views of PROTOCOL.md section 8. The table has no column that is not one
// of them.
var (
	consoleView = newView(view{name: "console", unknown: same(), recall: viewRecall, status: stateOnly},
		func(r *viewRow) cell { return r.console })
	dashboardView = newView(view{name: "dashboard", unknown: wrapped(), status: activityOnly},
		func(r *viewRow) cell { return r.dashboard })
	chatView = newView(view{name: "chat", unknown: same(), named: true, reads: true},
		func(r *viewRow) cell { return r.chat })
	sdkView = newView(view{name: "sdk", unknown: same(), recall: viewRecall},
		func(r *viewRow) cell { return r.sdk })
)

// inboundRow is what a view's client sends: the command that it is, and what
// its members are called there. A name means the same in every view, so one
// list serves all.
type inboundRow struct {
	typ, command string
	rename       []string // pairs: the client's member, the command's; "" leaves it out
	fixed        string   // a member that the command gets in any case, as JSON, in place of the client's; or ""
}

// sessionAlias is the seeds' name for what a command calls session.
const sessionAlias = "sessionId"

var inboundRows = []inboundRow{
	{typ: "prompt", command: "send_prompt", rename: []string{"message", "text"}},
	{typ: "send_prompt", command: "send_prompt", rename: []string{"message", "text"}},
	{typ: "cancel", command: "stop_turn"},
	{typ: "stop", command: "stop_turn"},
	{typ: "abort", command: "stop_turn"},
	{typ: "stop_turn", command: "stop_turn"},
	{typ: "answer", command: "answer"},
	{typ: "choose", command: "choose"},
	{typ: "seen", command: "seen"},
	{typ: "subscribe", command: "subscribe"},
	{typ: "unsubscribe", command: "unsubscribe"},
}

// The same for the bodies of the REST routes.
var (
	injectBody = inboundRow{command: "send_prompt", fixed: `"source":"inject"`}
	sendBody   = inboundRow{command: "send_prompt", rename: []string{"message", "text", "projectId", ""}} // a session has its scope
	abortBody  = inboundRow{command: "stop_turn"}
)
