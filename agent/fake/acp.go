package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// acp speaks the Agent Client Protocol: JSON-RPC 2.0, one object a line.
type acp struct {
	pass     int
	span     int64             // how many ids one pass takes for questions
	answers  map[string][]byte // of the recording, by method
	request  map[string]string // recorded id of a request of the host → live
	prompted string            // the recorded id of the prompt whose turn it is, or ""
	live     string            // the id of that prompt
	session  string            // that the host speaks of, as JSON; "" at first
	calls    []string          // tools that run
	asks     map[string]acpQuestion
	denied   map[string]bool // tool calls
}

type acpQuestion struct {
	tool    string
	rejects []string // the options that say no
}

func newACP() *acp {
	return &acp{answers: map[string][]byte{}, request: map[string]string{}, asks: map[string]acpQuestion{}, denied: map[string]bool{}}
}

// The methods that are more than an answer.
const (
	acpPrompt     = "session/prompt"
	acpCancel     = "session/cancel"
	acpNew        = "session/new"
	acpPermission = "session/request_permission"
)

// acpLine is what is read of a line of either side.
type acpLine struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	Params struct {
		Session json.RawMessage `json:"sessionId"`
		Update  struct {
			Kind   string `json:"sessionUpdate"`
			Tool   string `json:"toolCallId"`
			Status string `json:"status"`
		} `json:"update"`
		Tool struct {
			ID string `json:"toolCallId"`
		} `json:"toolCall"`
		Options []struct {
			ID   string `json:"optionId"`
			Kind string `json:"kind"`
		} `json:"options"`
	} `json:"params"`
}

func readACP(line []byte) (l acpLine) {
	_ = json.Unmarshal(line, &l) // what is of another form is left empty
	return l
}

func (a *acp) hear(line []byte) heard {
	l := readACP(line)
	h := heard{kind: noise, id: string(l.ID), name: l.Method, line: line}
	switch {
	case l.Method == acpPrompt && h.id != "":
		h.kind = prompt
	case l.Method == acpCancel:
		h.kind = interrupt
	case l.Method != "" && h.id != "":
		h.kind = call
	case l.Method == "" && h.id != "":
		h.kind = answer
	}
	return h
}

func (a *acp) learn(steps []step) {
	method := map[string]string{}
	for _, s := range steps {
		l := readACP(s.line)
		switch {
		case s.in.kind == call || s.in.kind == prompt:
			method[s.in.id] = s.in.name
		case s.in.kind == said && l.Method == "" && l.ID != nil:
			a.answers[method[string(l.ID)]] = s.line
		case s.in.kind == said && l.ID != nil:
			if n, err := strconv.ParseInt(string(l.ID), 10, 32); err == nil {
				a.span = max(a.span, n+1)
			}
		}
	}
}

func (a *acp) names(steps []step) (names []string, session string) {
	for _, s := range steps {
		l := readACP(s.line)
		names = append(names, l.Params.Update.Tool, l.Params.Tool.ID)
		if session == "" && s.in.kind != said {
			_ = json.Unmarshal(l.Params.Session, &session) // none is of no session
		}
	}
	return distinct(names), session
}

func (a *acp) again(pass int, _, _ string) { a.pass = pass }

func (a *acp) begin(recorded, live heard) {
	a.prompted, a.live = recorded.id, live.id
	if id := readACP(live.line).Params.Session; id != nil {
		a.session = string(id)
	}
}

func (a *acp) meet(recorded, live heard) { a.request[recorded.id] = live.id }

// own is the id of a question in this pass: an agent counts on.
func (a *acp) own(id string) string {
	n, err := strconv.ParseInt(id, 10, 32)
	if err != nil || a.pass == 0 {
		return id
	}
	return strconv.FormatInt(n+int64(a.pass)*a.span, 10)
}

func (a *acp) say(line []byte) []byte {
	l := readACP(line)
	switch {
	case l.Method == "" && l.ID != nil:
		return a.sayAnswer(&l, line)
	case l.Method == acpPermission:
		q := acpQuestion{tool: l.Params.Tool.ID}
		for _, o := range l.Params.Options {
			if strings.HasPrefix(o.Kind, "reject") {
				q.rejects = append(q.rejects, o.ID)
			}
		}
		id := a.own(string(l.ID))
		a.asks[id] = q
		line = edit(line, id, string(l.ID), "id")
	case l.Params.Update.Tool != "":
		line = a.tool(&l, line)
	}
	if l.Params.Session != nil && a.session != "" {
		line = edit(line, a.session, string(l.Params.Session), "params", "sessionId")
	}
	return line
}

// edit sets a value that is to be another one than it is.
func edit(line []byte, value, was string, path ...string) []byte {
	if value == was {
		return line
	}
	return set(line, value, path...)
}

// sayAnswer is an answer to the host: the end of a turn, or to a call.
func (a *acp) sayAnswer(l *acpLine, line []byte) []byte {
	id := string(l.ID)
	if id == a.prompted {
		line = edit(line, a.live, id, "id")
		a.rest()
		return line
	}
	live, ok := a.request[id]
	if !ok {
		return nil
	}
	delete(a.request, id)
	return edit(line, live, id, "id")
}

func (a *acp) rest() {
	a.prompted, a.live, a.calls = "", "", nil
	clear(a.asks)
}

// tool follows a tool call, which fails when the host has forbidden it.
func (a *acp) tool(l *acpLine, line []byte) []byte {
	u := l.Params.Update
	over := u.Status == "completed" || u.Status == "failed"
	switch {
	case over:
		a.calls = slices.DeleteFunc(a.calls, func(id string) bool { return id == u.Tool })
	case !slices.Contains(a.calls, u.Tool):
		a.calls = append(a.calls, u.Tool)
	}
	if over && a.denied[u.Tool] {
		delete(a.denied, u.Tool)
		line = set(line, `"failed"`, "params", "update", "status")
		line = set(line, `[{"type":"content","content":{"type":"text","text":`+quote(denyText)+`}}]`, "params", "update", "content")
	}
	return line
}

// reply answers a call by what the recorded agent answered to its like.
func (a *acp) reply(h heard) []byte {
	if h.kind != call {
		return nil
	}
	if line := a.answers[h.name]; line != nil {
		return set(line, h.id, "id")
	}
	switch h.name {
	case "session/load", "session/resume":
		if start, end, ok := member(h.line, "params"); ok {
			if from, to, ok := member(h.line[start:end], "sessionId"); ok {
				a.session = string(h.line[start:end][from:to])
			}
		}
		return resultACP(h.id, drop(a.made(), "sessionId"))
	case "session/set_mode", "session/set_model", "authenticate":
		return resultACP(h.id, []byte("{}"))
	}
	return failACP(h.id, -32601, "Method not found: "+h.name)
}

// made is what the recorded agent said of the session that it made.
func (a *acp) made() []byte {
	line := a.answers[acpNew]
	if start, end, ok := member(line, "result"); ok {
		return line[start:end]
	}
	return []byte("{}")
}

func resultACP(id string, result []byte) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, bytes.TrimSpace(result))
}

func failACP(id string, code int, message string) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s}}`, id, code, quote(message))
}

func (a *acp) open(id string) (string, bool) {
	live := a.own(id)
	_, ok := a.asks[live]
	return live, ok
}

func (a *acp) answered(h heard) {
	q, ok := a.asks[h.id]
	if !ok {
		return
	}
	delete(a.asks, h.id)
	var r struct {
		Result struct {
			Outcome struct {
				Outcome string `json:"outcome"`
				Option  string `json:"optionId"`
			} `json:"outcome"`
		} `json:"result"`
	}
	_ = json.Unmarshal(h.line, &r) // an answer of another form says no
	if o := r.Result.Outcome; o.Outcome != "selected" || slices.Contains(q.rejects, o.Option) {
		a.denied[q.tool] = true
	}
}

func (a *acp) busy() bool  { return a.prompted != "" }
func (a *acp) tasks() bool { return false }

func (a *acp) ends(line []byte) bool {
	l := readACP(line)
	return l.Method == "" && string(l.ID) == a.prompted
}

func (a *acp) after([]byte) bool { return false }

// stop fails what runs and says how the turn ended. end may be of an error.
func (a *acp) stop(h *heard, _ []heard, end []byte) (lines [][]byte) {
	reason := `"end_turn"`
	if h != nil {
		reason = `"cancelled"`
		for _, tool := range a.calls {
			lines = append(lines, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":%s,"update":{"sessionUpdate":"tool_call_update","toolCallId":%s,"status":"failed"}}}`, a.session, quote(tool)))
		}
	}
	lines = append(lines, resultACP(a.live, []byte(`{"stopReason":`+reason+`}`)))
	a.rest()
	return lines
}

// idle: there is nothing that a cancellation is answered with.
func (a *acp) idle(heard) [][]byte { return nil }

func (a *acp) over(h heard) [][]byte { return [][]byte{failACP(h.id, -32603, overText)} }
