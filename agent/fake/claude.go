package fake

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// claude speaks the stream-json of Claude Code.
type claude struct {
	serial  serial
	asked   map[string]bool   // the ids of the recorded host's requests
	request map[string]string // of those, that the live host made too: its id
	running bool
	echo    [2][]byte // the recorded and the live message, when they differ
	session string
	message string
	block   *claudeBlock // the one that is open, or nil
	calls   []string     // tools that were begun and have no result
	jobs    map[string]bool
	asks    map[string]string // open question → its tool call
	denied  map[string]string // tool call → why
	ended   string            // what became of the turn when it did not end as recorded: a state of command_lifecycle
}

type claudeBlock struct {
	index int
	typ   string
	text  strings.Builder
}

func newClaude() *claude {
	return &claude{asked: map[string]bool{}, request: map[string]string{}, jobs: map[string]bool{}, asks: map[string]string{}, denied: map[string]string{}}
}

// claudeLine is what is read of a line of either side.
type claudeLine struct {
	Type      string  `json:"type"`
	Subtype   string  `json:"subtype"`
	UUID      string  `json:"uuid"`
	Session   string  `json:"session_id"`
	RequestID string  `json:"request_id"`
	Parent    *string `json:"parent_tool_use_id"`
	Replay    bool    `json:"isReplay"`
	Task      string  `json:"task_id"`
	Run       string  `json:"run_id"`
	State     string  `json:"state"`
	Request   struct {
		Subtype string `json:"subtype"`
		Tool    string `json:"tool_use_id"`
		All     bool   `json:"cancel_queued"`
	} `json:"request"`
	Response struct {
		RequestID string `json:"request_id"`
		Subtype   string `json:"subtype"`
		Response  struct {
			Behavior string `json:"behavior"`
			Message  string `json:"message"`
		} `json:"response"`
	} `json:"response"`
	Message struct {
		ID      string          `json:"id"`
		Content json.RawMessage `json:"content"`
	} `json:"message"`
	Event struct {
		Type    string `json:"type"`
		Index   int    `json:"index"`
		Message struct {
			ID string `json:"id"`
		} `json:"message"`
		Block struct {
			Type string `json:"type"`
		} `json:"content_block"`
		Delta struct {
			Text     string `json:"text"`
			Thinking string `json:"thinking"`
		} `json:"delta"`
	} `json:"event"`
}

// content is the blocks of a message.
func (l *claudeLine) content() (blocks []claudeContent) {
	_ = json.Unmarshal(l.Message.Content, &blocks) // text alone is no list of blocks
	return blocks
}

type claudeContent struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Tool string `json:"tool_use_id"`
}

func readClaude(line []byte) (l claudeLine) {
	_ = json.Unmarshal(line, &l) // what is of another form is left empty
	return l
}

func (c *claude) hear(line []byte) heard {
	l := readClaude(line)
	h := heard{kind: noise, line: line}
	switch l.Type {
	case "user":
		h.kind, h.uuid = prompt, l.UUID
	case "control_response":
		h.kind, h.id, h.deny = answer, quote(l.Response.RequestID), l.Response.Response.Behavior != "allow"
	case "control_request":
		h.kind, h.id, h.name = control, quote(l.RequestID), l.Request.Subtype
		if h.name == "interrupt" {
			h.kind, h.all = interrupt, l.Request.All
		}
	}
	return h
}

func (c *claude) learn(steps []step) {
	for _, s := range steps {
		if s.in.kind == control || s.in.kind == interrupt {
			c.asked[s.in.id] = true
		}
	}
}

func (c *claude) names(steps []step) (names []string, session string) {
	for _, s := range steps {
		l := readClaude(s.line)
		if s.in.kind != said {
			continue
		}
		names = append(names, l.UUID, l.Message.ID, l.Event.Message.ID, l.Task, l.Run)
		if l.Type == "control_request" {
			names = append(names, l.RequestID)
		}
		for _, b := range l.content() {
			if b.Type == "tool_use" {
				names = append(names, b.ID)
			}
		}
		if session == "" {
			session = l.Session
		}
	}
	return distinct(names), session
}

func (c *claude) begin(recorded, live heard) {
	c.running, c.ended = true, ""
	c.echo = [2][]byte{}
	was, is := messageOf(recorded.line), messageOf(live.line)
	if was != nil && is != nil && !bytes.Equal(was, is) {
		c.echo = [2][]byte{was, is}
	}
}

// messageOf is the message of a prompt without white space, or nil.
func messageOf(line []byte) []byte {
	start, end, ok := member(line, "message")
	if !ok {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, line[start:end]) != nil {
		return nil
	}
	return b.Bytes()
}

func (c *claude) meet(recorded, live heard) { c.request[recorded.id] = live.id }

// say follows a line, and puts in what is different from the recording.
func (c *claude) say(line []byte) []byte {
	l := readClaude(line)
	if l.Session != "" {
		c.session = l.Session
	}
	switch l.Type {
	case "stream_event":
		c.running = true
		if l.Parent == nil {
			c.event(&l)
		}
	case "assistant":
		c.running = true
		for _, b := range l.content() {
			if b.Type == "tool_use" {
				c.calls = append(c.calls, b.ID)
			}
		}
	case "user":
		return c.sayUser(&l, line)
	case "control_request":
		c.asks[quote(l.RequestID)] = l.Request.Tool
	case "control_response":
		return c.sayResponse(&l, line)
	case "command_lifecycle":
		if c.ended != "" && (l.State == "completed" || l.State == "cancelled") {
			return set(line, quote(c.ended), "state")
		}
	case "result":
		c.rest()
	case "system":
		c.system(&l)
	}
	return line
}

func (c *claude) rest() {
	c.running, c.block, c.message, c.calls = false, nil, "", nil
	clear(c.asks)
}

func (c *claude) system(l *claudeLine) {
	switch l.Subtype {
	case "init":
		c.running = true
	case "task_started":
		c.jobs[l.Task] = true
	case "task_notification":
		delete(c.jobs, l.Task)
	}
}

func (c *claude) event(l *claudeLine) {
	switch l.Event.Type {
	case "message_start":
		c.message = l.Event.Message.ID
	case "message_stop":
		c.message = ""
	case "content_block_start":
		c.block = &claudeBlock{index: l.Event.Index, typ: l.Event.Block.Type}
	case "content_block_stop":
		c.block = nil
	case "content_block_delta":
		if text := l.Event.Delta.Text + l.Event.Delta.Thinking; c.block != nil && c.block.text.Len()+len(text) <= textMax {
			c.block.text.WriteString(text)
		}
	}
}

// sayUser is the echo of a prompt, or the results of tools.
func (c *claude) sayUser(l *claudeLine, line []byte) []byte {
	if l.Replay {
		if was := messageOf(line); c.echo[0] != nil && bytes.Equal(was, c.echo[0]) {
			return set(line, string(c.echo[1]), "message")
		}
		return line
	}
	c.running = true
	for _, b := range l.content() {
		c.calls = slices.DeleteFunc(c.calls, func(id string) bool { return id == b.Tool })
		if why, ok := c.denied[b.Tool]; ok && b.Tool != "" {
			delete(c.denied, b.Tool)
			line = set(line, "["+toolResult(b.Tool, why)+"]", "message", "content")
			line = set(line, quote("Error: "+why), "tool_use_result")
		}
	}
	return line
}

func toolResult(tool, text string) string {
	return `{"type":"tool_result","content":` + quote(text) + `,"is_error":true,"tool_use_id":` + quote(tool) + `}`
}

// sayResponse is the answer to a request of the host, which is left out when
// there was none, or the echo of the host's own.
func (c *claude) sayResponse(l *claudeLine, line []byte) []byte {
	id := quote(l.Response.RequestID)
	if live, ok := c.request[id]; ok {
		delete(c.request, id)
		return set(line, live, "response", "request_id")
	}
	if c.asked[id] {
		return nil
	}
	return line
}

func (c *claude) open(id string) (string, bool) {
	_, ok := c.asks[id]
	return id, ok
}

func (c *claude) answered(h heard) {
	tool, ok := c.asks[h.id]
	if !ok {
		return
	}
	delete(c.asks, h.id)
	if h.deny {
		why := readClaude(h.line).Response.Response.Message
		if why == "" {
			why = denyText
		}
		c.denied[tool] = why
	}
}

func (c *claude) busy() bool  { return c.running }
func (c *claude) tasks() bool { return len(c.jobs) > 0 }

func (c *claude) ends(line []byte) bool { return readClaude(line).Type == "result" }

func (c *claude) after(line []byte) bool {
	l := readClaude(line)
	return l.Type == "command_lifecycle" || l.Subtype == "session_state_changed" && l.State == "idle"
}

func (c *claude) again(_ int, salt, session string) {
	c.serial, c.session = serial{salt: salt + session, n: c.serial.n}, session
}
