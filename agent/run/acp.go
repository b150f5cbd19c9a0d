package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/konlog/konlog/agent"
)

// acpKind runs agents that speak the Agent Client Protocol, version 1: one
// process for the conversation, JSON-RPC in both directions.
var acpKind = kind{new: func() Driver { return &acpDriver{} }, speaks: speaksACP}

// speaksACP knows the flags and words by which programs are told to speak it,
// and the bridges that have it in their names.
func speaksACP(p program) bool {
	return p.has("--acp", "--experimental-acp") || strings.HasSuffix(p.name, "-acp") || len(p.args) > 0 && p.args[0] == "acp"
}

// The requests of an ACP client that konlog makes.
const (
	acpInitialize = "initialize"
	acpNew        = "session/new"
	acpLoad       = "session/load"
	acpResume     = "session/resume"
	acpPrompt     = "session/prompt"
	acpSetMode    = "session/set_mode"
)

const acpVersion = 1

// Codes of JSON-RPC errors.
const (
	acpNoMethod     = -32601
	acpAuthRequired = -32000
	acpCancelled    = -32800
)

// acpQuestionsMax bounds the questions of a process that wait for an answer.
const acpQuestionsMax = 1000

// acpRoundsMax bounds how often an agent is asked whether it has said all of an
// old session. Each round takes some of its history at least.
const acpRoundsMax = 1000

// acpDriver is the Driver of an ACP agent: its client. It offers neither files
// nor terminals, so that an agent uses its own.
//
// Measured with Gemini CLI 0.61.0: session/cancel is answered within 10 ms; a
// second prompt within a turn cancels the first, so there are no further words;
// the end of the input alone does not end a turn; what an old session holds is
// still said after the answer to session/load, so that a prompt given at once
// would be answered in its midst.
type acpDriver struct {
	start     Start
	sent      int
	asked     map[string]string // requests of ours that wait, by id: their method
	agent     acpAgent
	session   string
	loading   bool   // an old session is being said again
	again     bool   // it was, since the last round
	rounds    int    // how often that was asked
	mode      string // of the session, to set it again: a request that changes nothing
	err       error  // why there is no session and will be none
	cancelled bool   // the turn that is open is being stopped
	open      map[string]acpQuestion
}

var (
	_ Driver   = &acpDriver{}
	_ Repeater = &acpDriver{}
)

// acpAgent is what an agent says of itself.
type acpAgent struct {
	Version int `json:"protocolVersion"`
	Can     struct {
		Load    bool `json:"loadSession"`
		Session struct {
			Resume json.RawMessage
		} `json:"sessionCapabilities"`
		Prompt struct {
			Image bool
		} `json:"promptCapabilities"`
	} `json:"agentCapabilities"`
	Auth []struct {
		ID   string
		Name string
	} `json:"authMethods"`
}

// acpQuestion is a session/request_permission that waits.
type acpQuestion struct {
	id      json.RawMessage
	options []acpOption
}

type acpOption struct {
	ID   string `json:"optionId"`
	Kind string
}

// acpMessage is a line of either side.
type acpMessage struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *acpError
}

type acpError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *acpError) Error() string {
	text := e.Message
	if text == "" {
		text = "error " + strconv.Itoa(e.Code)
	}
	var more struct{ Details string }
	if json.Unmarshal(e.Data, &more) == nil && more.Details != "" {
		text += ": " + more.Details
	}
	return text
}

// Launch implements Driver.
func (d *acpDriver) Launch(s Start) (Launch, error) {
	d.start, d.asked, d.open = s, map[string]string{}, map[string]acpQuestion{}
	args := slices.Clone(s.Command)
	if p, ok := programOf(s.Command); ok && p.name == geminiProgram && !speaksACP(p) {
		args = slices.Concat(s.Command[:p.at], []string{"--acp"}, p.args)
	}
	nothing := map[string]any{"fs": map[string]bool{"readTextFile": false, "writeTextFile": false}, "terminal": false}
	return Launch{Args: args, Input: d.request(acpInitialize, map[string]any{
		"protocolVersion": acpVersion, "clientCapabilities": nothing, "clientInfo": map[string]any{"name": "konlog", "title": "konlog", "version": "1"},
	})}, nil
}

// request is the line of a request; its answer comes to result.
func (d *acpDriver) request(method string, params any) []byte {
	d.sent++
	d.asked[strconv.Itoa(d.sent)] = method
	return jsonLine(map[string]any{"jsonrpc": "2.0", "id": d.sent, "method": method, "params": params})
}

// Heard implements Driver.
func (d *acpDriver) Heard(line []byte, _ agent.Meaning) []byte {
	var m acpMessage
	if json.Unmarshal(line, &m) != nil {
		return nil
	}
	d.again = d.again || d.repeats(m)
	hasID := len(m.ID) > 0 && string(m.ID) != "null"
	switch {
	case m.Method != "" && hasID:
		return d.asks(m)
	case m.Method == "$/cancel_request":
		return d.takesBack(m.Params)
	case m.Method == "" && hasID:
		return d.result(m)
	}
	return nil
}

// Repeats implements Repeater.
func (d *acpDriver) Repeats(line []byte) bool {
	var m acpMessage
	return d.loading && json.Unmarshal(line, &m) == nil && d.repeats(m)
}

// acpHistory are the updates that a conversation is made of.
var acpHistory = []string{
	"user_message_chunk", "agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan",
}

func (d *acpDriver) repeats(m acpMessage) bool {
	if !d.loading || m.Method != "session/update" {
		return false
	}
	var params struct {
		Update struct {
			Kind string `json:"sessionUpdate"`
		}
	}
	return json.Unmarshal(m.Params, &params) == nil && slices.Contains(acpHistory, params.Update.Kind)
}

// settled is told that a round is over. When the old session was said in it
// there is another one; it gives the request of that.
func (d *acpDriver) settled() []byte {
	if d.mode == "" || d.rounds > 0 && !d.again || d.rounds >= acpRoundsMax {
		d.loading = false
		return nil
	}
	d.rounds++
	d.again = false
	return d.request(acpSetMode, map[string]any{"sessionId": d.session, "modeId": d.mode})
}

// asks is told of a request of the agent.
func (d *acpDriver) asks(m acpMessage) []byte {
	if m.Method != "session/request_permission" {
		return acpRefusal(m.ID, acpNoMethod, "konlog has no "+m.Method)
	}
	var params struct{ Options []acpOption }
	_ = json.Unmarshal(m.Params, &params) // without options there is still one answer: no
	q := acpQuestion{id: m.ID, options: params.Options}
	if d.cancelled {
		return q.answer("")
	}
	if len(d.open) >= acpQuestionsMax {
		return acpRefusal(m.ID, acpCancelled, fmt.Sprintf("%d questions wait already", acpQuestionsMax))
	}
	d.open[acpID(m.ID)] = q
	return nil
}

// takesBack is told that the agent needs no answer to a request any more.
func (d *acpDriver) takesBack(params json.RawMessage) []byte {
	var p struct {
		ID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(params, &p) != nil {
		return nil
	}
	q, open := d.open[acpID(p.ID)]
	if !open {
		return nil
	}
	delete(d.open, acpID(p.ID))
	return acpRefusal(q.id, acpCancelled, "taken back")
}

// result is told of an answer to a request of ours.
func (d *acpDriver) result(m acpMessage) []byte {
	method, asked := d.asked[acpID(m.ID)]
	if !asked {
		return nil
	}
	delete(d.asked, acpID(m.ID))
	switch method {
	case acpInitialize:
		return d.begin(m)
	case acpPrompt:
		d.cancelled = false
		return d.settle() // nobody is asked any more
	case acpSetMode:
		return d.settled()
	}
	return d.begun(method, m)
}

// begin asks for a session, once the agent has said what it can.
func (d *acpDriver) begin(m acpMessage) []byte {
	if m.Error == nil {
		if err := json.Unmarshal(m.Result, &d.agent); err != nil {
			d.err = fmt.Errorf("the agent's answer to initialize cannot be read: %w", err)
			return nil
		}
	}
	switch can := &d.agent.Can; {
	case m.Error != nil:
		d.err = fmt.Errorf("the agent refused initialize: %w", m.Error)
		return nil
	case d.agent.Version != acpVersion:
		d.err = fmt.Errorf("the agent speaks version %d of ACP, konlog speaks %d", d.agent.Version, acpVersion)
		return nil
	case d.start.Resume == "":
		return d.ask(acpNew)
	case len(can.Session.Resume) > 0 && string(can.Session.Resume) != "null":
		return d.ask(acpResume)
	case can.Load:
		return d.ask(acpLoad)
	}
	return d.ask(acpNew)
}

// ask asks for a new session or for the one to go on with.
func (d *acpDriver) ask(method string) []byte {
	params := map[string]any{"cwd": d.start.Dir, "mcpServers": []any{}}
	if method != acpNew {
		params["sessionId"] = d.start.Resume
	}
	d.loading = method == acpLoad
	return d.request(method, params)
}

// begun is told of the session. For one that the agent cannot go on with there
// is a new one; the log shows that by its id.
func (d *acpDriver) begun(method string, m acpMessage) []byte {
	if m.Error != nil {
		switch {
		case m.Error.Code == acpAuthRequired:
			d.err = d.loginError(m.Error)
		case method != acpNew:
			return d.ask(acpNew)
		default:
			d.err = fmt.Errorf("the agent gave no session: %w", m.Error)
		}
		return nil
	}
	var result struct {
		SessionID string
		Modes     struct{ CurrentModeID string }
	}
	if json.Unmarshal(m.Result, &result) == nil {
		d.session, d.mode = result.SessionID, result.Modes.CurrentModeID
	}
	if d.session == "" && method != acpNew {
		d.session = d.start.Resume
	}
	if d.session == "" {
		d.err = errors.New("the agent gave a session without an id")
	}
	if d.loading {
		return d.settled()
	}
	return nil
}

// loginError says how to get on when the agent wants to know who uses it.
func (d *acpDriver) loginError(e *acpError) error {
	var ways []string
	for _, way := range d.agent.Auth {
		name := way.Name
		if name == "" {
			name = way.ID
		}
		ways = append(ways, name)
	}
	text := "the agent wants a login first; start it once by hand and log in there, then start the runner again"
	if len(ways) > 0 {
		text += " (it offers: " + strings.Join(ways, ", ") + ")"
	}
	return fmt.Errorf("%s: %w", text, e)
}

// Ready implements Driver. An agent that gave no session is ready as well: for
// Prompt to say why.
func (d *acpDriver) Ready() bool { return d.err != nil || d.session != "" && !d.loading && !d.works() }

// works reports whether a prompt waits for its answer.
func (d *acpDriver) works() bool {
	for _, method := range d.asked {
		if method == acpPrompt {
			return true
		}
	}
	return false
}

// errWorks is for words within a turn.
var errWorks = fmt.Errorf("an ACP agent takes the next prompt after its turn: %w", ErrOnePrompt)

// Prompt implements Driver.
func (d *acpDriver) Prompt(p Prompt) ([]byte, error) {
	switch {
	case d.err != nil:
		return nil, d.err
	case d.session == "":
		return nil, errors.New("the agent has no session yet")
	case d.works():
		return nil, errWorks
	case len(p.Images) > 0 && !d.agent.Can.Prompt.Image:
		return nil, errors.New("this agent takes no images: send the prompt without them")
	}
	var blocks []map[string]any
	if p.Text != "" || len(p.Images) == 0 {
		blocks = append(blocks, map[string]any{"type": "text", "text": p.Text})
	}
	for _, i := range p.Images {
		blocks = append(blocks, map[string]any{"type": "image", "mimeType": mediaType(i.ContentType), "data": i.Content})
	}
	return d.request(acpPrompt, map[string]any{"sessionId": d.session, "prompt": blocks}), nil
}

// Answer implements Driver.
func (d *acpDriver) Answer(a Answer) ([]byte, bool) {
	id := a.RequestID
	if d.start.Scope != "" {
		var ours bool
		if id, ours = strings.CutPrefix(id, d.start.Scope+":"); !ours {
			return nil, false
		}
	}
	q, open := d.open[id]
	if !open {
		return nil, false
	}
	delete(d.open, id)
	return q.answer(q.choose(a)), true
}

// Interrupt implements Driver. Questions that are open are answered as the
// protocol wants it for a turn that is cancelled.
func (d *acpDriver) Interrupt() ([]byte, bool) {
	if !d.works() {
		return nil, false
	}
	d.cancelled = true
	line := jsonLine(map[string]any{"jsonrpc": "2.0", "method": "session/cancel", "params": map[string]any{"sessionId": d.session}})
	return append(line, d.settle()...), true
}

// settle answers all open questions: their turn is over.
func (d *acpDriver) settle() (lines []byte) {
	for _, id := range slices.Sorted(maps.Keys(d.open)) {
		lines = append(lines, d.open[id].answer("")...)
	}
	clear(d.open)
	return lines
}

// choose is the option that an answer means, or "". A refusal never becomes a
// leave, whatever option it names.
func (q acpQuestion) choose(a Answer) string {
	for _, o := range q.options {
		if a.Option != "" && o.ID == a.Option && (a.Allow || !strings.HasPrefix(o.Kind, "allow")) {
			return o.ID
		}
	}
	kinds := []string{"reject_once", "reject_always"}
	if a.Allow {
		kinds = []string{"allow_once", "allow_always"}
	}
	for _, kind := range kinds {
		for _, o := range q.options {
			if o.Kind == kind {
				return o.ID
			}
		}
	}
	return ""
}

// answer is the line that answers a question by one of its options; "" is that
// its turn is cancelled.
func (q acpQuestion) answer(option string) []byte {
	outcome := map[string]any{"outcome": "cancelled"}
	if option != "" {
		outcome = map[string]any{"outcome": "selected", "optionId": option}
	}
	return jsonLine(map[string]any{"jsonrpc": "2.0", "id": q.id, "result": map[string]any{"outcome": outcome}})
}

func acpRefusal(id json.RawMessage, code int, message string) []byte {
	return jsonLine(map[string]any{"jsonrpc": "2.0", "id": id, "error": acpError{Code: code, Message: message}})
}

// acpID is an id as text: a number's digits, or a string without its quotes.
func acpID(id json.RawMessage) string {
	var s string
	if json.Unmarshal(id, &s) == nil {
		return s
	}
	return string(id)
}
