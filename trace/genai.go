package trace

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// SemConv is the version of the semantic conventions that the names here are
// of; the last one that has the GenAI ones.
const SemConv = "1.41.0"

// The names of the GenAI conventions. otlp_test.go holds them against those of
// the OpenTelemetry library.
const (
	genOperation     = "gen_ai.operation.name"
	genProvider      = "gen_ai.provider.name"
	genAgentName     = "gen_ai.agent.name"
	genAgentID       = "gen_ai.agent.id"
	genConversation  = "gen_ai.conversation.id"
	genRequestModel  = "gen_ai.request.model"
	genResponseModel = "gen_ai.response.model"
	genInput         = "gen_ai.usage.input_tokens"
	genOutput        = "gen_ai.usage.output_tokens"
	genCacheRead     = "gen_ai.usage.cache_read.input_tokens"
	genCacheWrite    = "gen_ai.usage.cache_creation.input_tokens"
	genReasoning     = "gen_ai.usage.reasoning.output_tokens"
	genToolName      = "gen_ai.tool.name"
	genToolID        = "gen_ai.tool.call.id"
	genToolArguments = "gen_ai.tool.call.arguments"
	genToolResult    = "gen_ai.tool.call.result"
	genInputMsgs     = "gen_ai.input.messages"
	genOutputMsgs    = "gen_ai.output.messages"
	errorType        = "error.type"
)

// And konlog's own.
const (
	ownTurn      = "konlog.turn"
	ownTitle     = "konlog.session.title"
	ownScope     = "konlog.session.scope"
	ownSource    = "konlog.prompt.source"
	ownFirst     = "konlog.turn.first"
	ownLast      = "konlog.turn.last"
	ownReason    = "konlog.turn.reason"
	ownCost      = "konlog.turn.cost_usd"
	ownQueue     = "konlog.turn.queue_seconds"
	ownFirstWord = "konlog.turn.first_event_seconds"
	ownThinking  = "konlog.turn.thinking_seconds"
	ownTools     = "konlog.turn.tool_seconds"
	ownWaiting   = "konlog.turn.waiting_seconds"
	ownToolCalls = "konlog.turn.tool_calls"
)

// The operations of the conventions.
const (
	opInvoke = "invoke_agent"
	opTool   = "execute_tool"
	opChat   = "chat"
)

// turnLog is a turn that has ended and what its events say beside it.
type turnLog struct {
	turn    *store.Turn
	session store.Session
	model   string // as the agent said when it began, or ""
	parent  parent // of whoever asked for it, if that came with it
	chats   []chat
	content content
}

// chat is a request to a model that the producer has told of.
type chat struct {
	id         int64 // of the event
	model      string
	start, end time.Time
	usage      json.RawMessage
}

// content is what people and tools said, by the ids of events; nil when it
// stays here.
type content map[int64]string

// spansOf makes the spans of a turn: the agent's, and below it those of its
// tools and its requests.
func spansOf(l *turnLog) []span {
	t := l.turn
	key := []string{t.Session, t.ID, strconv.FormatInt(began(t).UnixMilli(), 10)}
	root := span{
		trace: deriveTrace(key...), id: deriveSpan(key...), name: opInvoke, kind: kindInternal,
		start: began(t), end: later(t.EndedAt, began(t)), failed: !t.Success,
	}
	if l.parent.trace != (traceID{}) {
		root.trace, root.parent, root.remote = l.parent.trace, l.parent.span, true
	}
	if t.Agent != "" {
		root.name += " " + t.Agent
	}
	describe(&root, l)
	spans := []span{root}
	spans = append(spans, toolSpans(l, &root, key)...)
	for _, c := range l.chats {
		spans = append(spans, chatSpan(l, &root, c, key))
	}
	return spans
}

// began is when the turn began; one that never did began as it ended.
func began(t *store.Turn) time.Time {
	if t.StartedAt.IsZero() {
		return t.EndedAt
	}
	return t.StartedAt
}

// later keeps a span from ending before it began.
func later(t, least time.Time) time.Time {
	if t.Before(least) {
		return least
	}
	return t
}

// describe gives the agent's span its attributes.
func describe(s *span, l *turnLog) {
	t := l.turn
	used := readUsage(t.Usage)
	model := l.model
	if model == "" && len(used.models) == 1 {
		model = used.models[0]
	}
	s.set(genOperation, opInvoke)
	s.set(genProvider, providerOf(model, t.Agent))
	s.set(genAgentName, t.Agent)
	if l.session.Open != nil {
		s.set(genAgentID, l.session.Open.AgentID)
	}
	s.set(genConversation, t.Session)
	s.set(genRequestModel, model)
	if len(used.models) == 1 {
		s.set(genResponseModel, used.models[0])
	}
	useTokens(s, used)
	if cost, err := t.CostUSD.Float64(); err == nil {
		s.set(ownCost, cost)
	}
	s.set(ownTurn, t.ID)
	s.set(ownScope, l.session.Scope)
	s.set(ownSource, t.Source)
	s.set(ownReason, t.Reason)
	s.set(ownFirst, t.First)
	s.set(ownLast, t.Last)
	timing := t.Timing(t.EndedAt)
	for _, part := range []struct {
		key string
		ms  int64
	}{{ownQueue, timing.QueueMs}, {ownFirstWord, timing.TTFEMs}, {ownThinking, timing.ThinkingMs}, {ownTools, timing.ToolExecutionMs}, {ownWaiting, timing.WaitingMs}} {
		s.set(part.key, float64(part.ms)/1000)
	}
	s.set(ownToolCalls, t.ToolCount)
	if !t.Success {
		s.set(errorType, t.Reason)
		s.reason = t.Reason
	}
	if l.content == nil {
		return
	}
	s.set(ownTitle, cut(l.session.Title))
	if t.Prompt != "" {
		s.set(genInputMsgs, message("user", t.Prompt, ""))
	}
	if t.Text != "" {
		s.set(genOutputMsgs, message("assistant", t.Text, finish(t)))
	}
	if t.Error != "" {
		s.reason = cut(t.Error)
	}
}

func useTokens(s *span, t tokens) {
	if !t.known {
		return
	}
	s.set(genInput, t.input)
	s.set(genOutput, t.output)
	for _, part := range []struct {
		key string
		n   int64
	}{{genCacheRead, t.cacheRead}, {genCacheWrite, t.cacheWrite}, {genReasoning, t.reasoning}} {
		if part.n > 0 {
			s.set(part.key, part.n)
		}
	}
}

// finish is the word of the conventions for a turn's reason.
func finish(t *store.Turn) string {
	if t.Success {
		return "stop"
	}
	return "error"
}

// message is one message in the form that the conventions give it on a span.
func message(role, text, finish string) string {
	type part struct {
		Type    string `json:"type"`
		Content string `json:"content"`
	}
	type msg struct {
		Role   string `json:"role"`
		Parts  []part `json:"parts"`
		Finish string `json:"finish_reason,omitempty"`
	}
	b, err := json.Marshal([]msg{{role, []part{{"text", cut(text)}}, finish}})
	if err != nil {
		return "" // strings always encode
	}
	return string(b)
}

// cut bounds a text, at the end of a character.
func cut(s string) string {
	if len(s) <= contentBytes {
		return s
	}
	end := contentBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// toolSpans are the calls of a turn. A call of a sub-agent stands below the
// call that began it.
func toolSpans(l *turnLog, root *span, key []string) []span {
	tools := l.turn.Tools
	if len(tools) > toolSpansMax {
		tools = tools[:toolSpansMax]
	}
	ids := make(map[string]spanID, len(tools))
	spanOf := func(i int, c *store.ToolCall) spanID {
		return deriveSpan(append(key[:len(key):len(key)], opTool, strconv.Itoa(i), c.ID)...)
	}
	for i := range tools {
		if id := tools[i].ID; id != "" {
			ids[id] = spanOf(i, &tools[i])
		}
	}
	spans := make([]span, 0, len(tools))
	for i := range tools {
		c := &tools[i]
		s := span{trace: root.trace, id: spanOf(i, c), parent: root.id, name: opTool, start: c.StartedAt, end: c.EndedAt, failed: c.IsError}
		if c.Start == 0 {
			s.start = c.EndedAt
		}
		s.end = later(s.end, s.start)
		if above, ok := ids[c.Parent]; ok && c.Parent != c.ID {
			s.parent = above
		}
		if c.Name != "" {
			s.name += " " + c.Name
		}
		s.set(genOperation, opTool)
		s.set(genToolName, c.Name)
		s.set(genToolID, c.ID)
		s.set(genConversation, l.turn.Session)
		s.set(ownTurn, l.turn.ID)
		if c.IsError {
			s.set(errorType, "tool_error")
			s.reason = "tool_error"
		}
		if l.content != nil {
			s.set(genToolArguments, l.content[c.Start])
			s.set(genToolResult, l.content[c.End])
		}
		spans = append(spans, s)
	}
	return spans
}

// chatSpan is a request to a model.
func chatSpan(l *turnLog, root *span, c chat, key []string) span {
	s := span{
		trace: root.trace, id: deriveSpan(append(key[:len(key):len(key)], opChat, strconv.FormatInt(c.id, 10))...), parent: root.id,
		name: opChat + " " + c.model, start: c.start, end: c.end,
	}
	s.set(genOperation, opChat)
	s.set(genProvider, providerOf(c.model, l.turn.Agent))
	s.set(genConversation, l.turn.Session)
	s.set(genRequestModel, c.model)
	s.set(ownTurn, l.turn.ID)
	useTokens(&s, readUsage(c.usage))
	return s
}
