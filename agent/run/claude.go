package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/konlog/konlog/agent"
)

// claudeKind runs Claude Code: one process for the conversation, which takes
// prompts, answers and interrupts as lines of JSON.
var claudeKind = kind{
	new:    func() Driver { return &claudeDriver{} },
	speaks: func(p program) bool { return p.name == claudeProgram },
}

const (
	claudeProgram = "claude"
	flagInput     = "--input-format"
)

// claudeSuggestion begins the name of an option: suggestion-0 is the first of
// the rules that Claude Code proposes along with a question.
const claudeSuggestion = "suggestion-"

// claudeQuestionsMax bounds the questions of a process that wait for an answer.
// Each stands for a tool that waits, of the agent or of one of its subagents.
const claudeQuestionsMax = 1000

// claudeBegins are the flags that say with which conversation to begin.
var claudeBegins = map[string]takes{
	"-c": takesNone, "--continue": takesNone, "-r": takesMaybe, flagResume: takesMaybe, flagSessionID: takesOne,
	"--fork-session": takesNone, "--from-pr": takesMaybe,
}

// claudeDriver is the Driver of Claude Code, and of what prints and reads the
// same lines.
//
// Measured with Claude Code 2.1.330: no handshake is needed, the first prompt
// may be written at once; an interrupt is answered within 10 ms and the turn
// ends with the text so far within 30 ms; words given within a turn reach the
// model with its next request, or else make a turn of their own; a line that is
// no JSON ends the process; the end of the input ends it after its turn.
type claudeDriver struct {
	once  bool // the process takes one prompt
	open  map[string]claudeQuestion
	words int // control requests of ours so far
}

var _ Driver = &claudeDriver{}

// claudeQuestion is what a question holds that its answer has to give back.
type claudeQuestion struct {
	input       json.RawMessage
	suggestions []json.RawMessage
}

// Launch implements Driver. A program that is not Claude Code itself gets no
// flags but that of the conversation to go on with.
func (d *claudeDriver) Launch(s Start) (Launch, error) {
	if err := checkResume(claudeProgram, s.Resume); err != nil {
		return Launch{}, err
	}
	p, ok := programOf(s.Command)
	if !ok || p.name != claudeProgram {
		return Launch{Args: withResume(s, p)}, nil
	}
	if err := checkOutput(claudeProgram, p.value(flagOutput)); err != nil {
		return Launch{}, err
	}
	input := p.value(flagInput)
	d.once = input == "text" || input == "" && p.has("-p", "--print")
	l := Launch{OnePrompt: d.once}
	f := flags{of: p}
	f.need("", "-p", "--print")
	f.need(streamJSON, flagOutput)
	f.need("", "--verbose") // that output is refused without
	f.need("", "--include-partial-messages")
	switch {
	case !d.once:
		f.need(streamJSON, flagInput)
		if p.value("--permission-mode") != "bypassPermissions" && !p.has("--dangerously-skip-permissions") {
			f.need("stdio", "--permission-prompt-tool")
		}
	case len(s.Prompt.Images) == 0:
		l.Input = []byte(s.Prompt.Text)
	case input != "":
		return Launch{}, errors.New("claude: with --input-format text there is no place for images: leave that out of the command")
	default:
		f.need(streamJSON, flagInput)
		l.Input = claudePrompt(s.Prompt)
	}
	args := f.resume(s.Resume, claudeBegins)
	l.Args = slices.Concat(s.Command[:p.at], f.names, args)
	return l, nil
}

// Ready implements Driver.
func (d *claudeDriver) Ready() bool { return !d.once }

// Prompt implements Driver.
func (d *claudeDriver) Prompt(p Prompt) ([]byte, error) {
	if d.once {
		return nil, ErrOnePrompt
	}
	return claudePrompt(p), nil
}

// claudePrompt is the line of a prompt. Claude Code keeps its uuid.
func claudePrompt(p Prompt) []byte {
	var blocks []map[string]any
	for _, i := range p.Images {
		source := map[string]any{"type": "base64", "media_type": mediaType(i.ContentType), "data": i.Content}
		blocks = append(blocks, map[string]any{"type": "image", "source": source})
	}
	if p.Text != "" || len(blocks) == 0 {
		blocks = append(blocks, map[string]any{"type": "text", "text": p.Text})
	}
	line := map[string]any{
		"type": "user", "session_id": "", "parent_tool_use_id": nil,
		"message": map[string]any{"role": "user", "content": blocks},
	}
	if uuid.Validate(p.Key) == nil {
		line["uuid"] = p.Key
	}
	return jsonLine(line)
}

// mediaType is a content type without its parameters.
func mediaType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// Heard implements Driver: it keeps the questions, and refuses at once what
// else Claude Code may ask of its host, which it would wait for.
func (d *claudeDriver) Heard(line []byte, _ agent.Meaning) []byte {
	if !bytes.Contains(line, []byte(`"control_`)) {
		return nil
	}
	var l struct {
		Type    string
		ID      string `json:"request_id"`
		Request struct {
			Subtype     string
			Input       json.RawMessage
			Suggestions []json.RawMessage `json:"permission_suggestions"`
		}
	}
	if json.Unmarshal(line, &l) != nil || l.ID == "" {
		return nil
	}
	switch {
	case l.Type == "control_cancel_request":
		delete(d.open, l.ID)
		return nil
	case l.Type != "control_request":
		return nil
	case d.once:
		return nil // its input has ended
	case l.Request.Subtype != "can_use_tool":
		return claudeRefusal(l.ID, "konlog does not do "+strconv.Quote(l.Request.Subtype))
	case len(d.open) >= claudeQuestionsMax:
		return claudeRefusal(l.ID, fmt.Sprintf("%d questions wait already", claudeQuestionsMax))
	}
	if d.open == nil {
		d.open = map[string]claudeQuestion{}
	}
	d.open[l.ID] = claudeQuestion{input: l.Request.Input, suggestions: l.Request.Suggestions}
	return nil
}

// claudeReply is the line that answers a request of Claude Code.
func claudeReply(response map[string]any) []byte {
	return jsonLine(map[string]any{"type": "control_response", "response": response})
}

func claudeRefusal(id, why string) []byte {
	return claudeReply(map[string]any{"subtype": "error", "request_id": id, "error": why})
}

// Answer implements Driver.
func (d *claudeDriver) Answer(a Answer) ([]byte, bool) {
	q, open := d.open[a.RequestID]
	if !open {
		return nil, false
	}
	delete(d.open, a.RequestID)
	answer := map[string]any{"behavior": "deny", "message": a.Message}
	switch {
	case a.Allow:
		answer = q.allow(a)
	case a.Message == "":
		answer["message"] = "The user does not allow this."
	}
	return claudeReply(map[string]any{"subtype": "success", "request_id": a.RequestID, "response": answer}), true
}

// allow is the answer that lets a tool run. Versions of Claude Code want the
// input back, also when it is as it was.
func (q claudeQuestion) allow(a Answer) map[string]any {
	input := a.UpdatedInput
	if input == nil {
		input = q.input
	}
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	answer := map[string]any{"behavior": "allow", "updatedInput": input}
	if n, ok := strings.CutPrefix(a.Option, claudeSuggestion); ok {
		if i, err := strconv.Atoi(n); err == nil && i >= 0 && i < len(q.suggestions) {
			answer["updatedPermissions"] = q.suggestions[i : i+1]
		}
	}
	return answer
}

// Interrupt implements Driver. Words that wait for their turn are given up with
// it: they were said within it.
func (d *claudeDriver) Interrupt() ([]byte, bool) {
	if d.once {
		return nil, false
	}
	d.words++
	return jsonLine(map[string]any{
		"type": "control_request", "request_id": "konlog-" + strconv.Itoa(d.words),
		"request": map[string]any{"subtype": "interrupt", "cancel_queued": true},
	}), true
}
