package agent

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/konlog/konlog/store"
)

// acpFormat reads the Agent Client Protocol, version 1 and the draft of version
// 2: JSON-RPC of both directions. Client and agent number their requests each
// for themselves, so an answer is that to a request of the other side.
//
// Where only the agent's lines are there, requests of the client are not known,
// and its answers are understood by what they hold.
type acpFormat struct {
	scope   string
	client  bool             // a line of the client was seen: its requests are known
	calls   few[acpCall]     // of the client, that wait for their answer, by id
	asked   few[acpQuestion] // of the agent likewise
	session string           // the agent's own session, or ""

	blocks unnamed
	tools  acpTools
	said   acpUser
	replay acpReplay

	states  bool // the agent tells its state (version 2)
	running bool // by that
	cost    acpCost
}

func newACP(o Options) Format {
	return &acpFormat{scope: o.Scope, blocks: unnamed{scope: o.Scope}}
}

// acpCall is a request of the client.
type acpCall struct{ method, session, cwd string }

// acpMethods are all that there are, of both sides and versions. Those that
// begin with an underscore are somebody's own.
var acpMethods = setOf(
	"initialize", "authenticate", "logout", "auth/login", "auth/logout",
	"session/new", "session/load", "session/resume", "session/fork", "session/list", "session/close", "session/delete",
	"session/prompt", "session/cancel", "session/set_mode", "session/set_model", "session/set_config_option",
	"session/update", "session/request_permission", "elicitation/create", "elicitation/complete", "$/cancel_request",
	"fs/read_text_file", "fs/write_text_file",
	"terminal/create", "terminal/output", "terminal/release", "terminal/wait_for_exit", "terminal/kill",
)

// Read implements Format.
func (f *acpFormat) Read(line []byte, d Direction) Meaning {
	o, _ := parseObject(line)
	f.client = f.client || d == ToAgent
	method := o.str("method")
	answer := method == "" && o.hasKey("id") && (o.hasKey("result") || o.hasKey("error"))
	m := Meaning{Known: acpMethods[method] || answer, Kind: method}
	if answer {
		m.Kind = "answer"
	}
	switch {
	case answer && d == ToAgent:
		return f.answered(m, o)
	case answer:
		return f.result(m, o)
	case d == ToAgent:
		return f.call(m, o)
	}
	switch method {
	case "session/update":
		return f.update(o.obj("params"))
	case "session/request_permission":
		return f.ask(m, o)
	case "$/cancel_request":
		return f.takeBack(m, o.obj("params"))
	}
	return m
}

// call reads a request or a notification of the client.
func (f *acpFormat) call(m Meaning, o object) Meaning {
	params := o.obj("params")
	if id := string(o["id"]); id != "" {
		f.calls.put(id, acpCall{method: m.Kind, session: params.str("sessionId"), cwd: params.str("cwd")})
	}
	switch m.Kind {
	case "session/load", "session/resume":
		f.replay.asked()
	case "session/prompt":
		f.blocks.close()
		f.said.echoes++
		m.Events = []Event{sayPrompt(contentText(params["prompt"], "\n"))}
	case "session/cancel":
		m.Events = []Event{{Type: store.TypeStopTurn, Data: []byte("{}")}}
	case "$/cancel_request":
		if call, _ := f.calls.get(string(params["requestId"])); call.method == "session/prompt" {
			m.Events = []Event{{Type: store.TypeStopTurn, Data: []byte("{}")}}
		}
	}
	return m
}

// contentText is the text of blocks of content.
func contentText(content json.RawMessage, between string) string {
	var texts []string
	for _, block := range (object{"content": content}).objects("content") {
		if block.str("type") == "text" {
			texts = append(texts, block.str("text"))
		}
	}
	return strings.Join(texts, between)
}

// result reads the agent's answer to a request of the client.
func (f *acpFormat) result(m Meaning, o object) Meaning {
	id := string(o["id"])
	call, known := f.calls.get(id)
	f.calls.drop(id)
	m.Events = f.said.end()
	if known {
		m.Kind += "/" + call.method
	}
	if !known || call.method == "session/load" || call.method == "session/resume" {
		f.replay.answered()
	}
	if o.has("error") {
		return f.refused(m, o["error"], call, known)
	}
	result := o.obj("result")
	if result.number("protocolVersion") != "" {
		f.replay.begun()
	}
	f.sessionOf(&m, result, call, known)
	if stop := result.str("stopReason"); stop != "" && (!known || call.method == "session/prompt") {
		m.End = f.end(stop, result)
	}
	return m
}

// sessionOf reads which session a client was given. What a fork or a list
// answers is of other ones.
func (f *acpFormat) sessionOf(m *Meaning, result object, call acpCall, known bool) {
	id := result.str("sessionId")
	switch call.method {
	case "session/new":
		f.cost.begin()
	case "session/load", "session/resume":
		if id == "" {
			id = call.session
		}
	default:
		if known || f.client {
			return
		}
		if id != "" {
			f.cost.begin() // only a new session is told by its answer
		}
	}
	if id == "" {
		return
	}
	f.session = id
	f.replay.over()
	m.Events = append(m.Events, sayInit(id, acpModel(result), call.cwd))
}

// acpModel is the model that a session begins with.
func acpModel(result object) string {
	if model := result.obj("models").str("currentModelId"); model != "" {
		return model
	}
	for _, option := range result.objects("configOptions") {
		if option.str("category") == "model" {
			return option.str("currentValue")
		}
	}
	return ""
}

// refused reads an error in the place of a result. That of the prompt is the
// end of its turn. Where the requests are not known it may be that of the
// prompt: in a session there is hardly any other that is refused.
func (f *acpFormat) refused(m Meaning, value json.RawMessage, call acpCall, known bool) Meaning {
	text := errorText(value)
	code := object{"error": value}.obj("error").id("code")
	if text == "" {
		text = "the agent refused a request, code " + code
	}
	if known && call.method == "session/prompt" {
		m.End = f.over(&End{Error: text})
		return m
	}
	m.Events = append(m.Events, sayError("", text, code))
	if !f.client && f.session != "" {
		m.End = f.over(&End{Error: text, Again: true})
	}
	return m
}

// acpStops are the reasons for which an agent stops.
var acpStops = setOf("end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled", "error")

// end reads the reason for which the agent stopped, and what it used.
func (f *acpFormat) end(stop string, o object) *End {
	end := &End{Usage: o.object("usage")}
	if end.Usage == nil {
		end.Usage = o.obj("_meta").obj("quota").object("token_count")
	}
	switch stop {
	case "end_turn":
		end.Success = true
	case "cancelled":
		end.Reason = "stopped"
	default:
		if end.Error = errorText(o["error"]); end.Error == "" {
			end.Error = stop
		}
	}
	return f.over(end)
}

// over ends what belongs to a turn.
func (f *acpFormat) over(end *End) *End {
	f.blocks.close()
	f.running = false
	end.CostUSD = f.cost.turn()
	return end
}

// acpCost follows the running total of a session.
type acpCost struct {
	total *big.Rat // or nil: not known
	base  *big.Rat // the total when the turn began; or nil, then nothing is known of the turn's share
}

// begin says that the session is new.
func (c *acpCost) begin() { c.base, c.total = new(big.Rat), nil }

// share is what the open turn has cost, by the total that the agent says.
func (c *acpCost) share(cost object) json.Number {
	if currency := cost.str("currency"); currency != "" && currency != "USD" {
		return ""
	}
	total := decimal(cost.number("amount"))
	if total == nil {
		return ""
	}
	c.total = total
	if c.base == nil || total.Cmp(c.base) < 0 {
		return ""
	}
	return exactNumber(new(big.Rat).Sub(total, c.base))
}

// turn is what the turn that ends has cost, if it is known.
func (c *acpCost) turn() (cost json.Number) {
	if c.total == nil {
		return ""
	}
	if c.base != nil && c.total.Cmp(c.base) >= 0 {
		cost = exactNumber(new(big.Rat).Sub(c.total, c.base))
	}
	c.base, c.total = c.total, nil
	return cost
}
