package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// reply answers what the recorded host did not ask for.
func (c *claude) reply(h heard) []byte {
	if h.kind != control {
		return nil
	}
	switch {
	case h.name == "initialize":
		return success(h.id, `{"commands":[],"agents":[],"output_style":"default","available_output_styles":["default"],"models":[],"account":{}}`)
	case h.name == "set_permission_mode":
		if start, end, ok := member(h.line, "request"); ok {
			request := h.line[start:end]
			if start, end, ok = member(request, "mode"); ok {
				return success(h.id, `{"mode":`+string(request[start:end])+`}`)
			}
		}
		return success(h.id, "{}")
	case strings.HasPrefix(h.name, "set_"):
		return success(h.id, "{}")
	}
	return fmt.Appendf(nil, `{"type":"control_response","response":{"subtype":"error","request_id":%s,"error":%s}}`,
		h.id, quote("Unsupported control request subtype: "+h.name))
}

func success(id, response string) []byte {
	return fmt.Appendf(nil, `{"type":"control_response","response":{"subtype":"success","request_id":%s,"response":%s}}`, id, response)
}

// receipt is the answer to an interrupt: which prompts still wait.
func receipt(h heard, waiting []heard) []byte {
	var ids []string
	for _, w := range waiting {
		ids = append(ids, quote(w.uuid))
	}
	return success(h.id, `{"still_queued":[`+strings.Join(ids, ",")+`]}`)
}

func (c *claude) idle(h heard) [][]byte { return [][]byte{receipt(h, nil)} }

// stop says what the agent says when it is interrupted: the text so far, as
// aborted, and the end of the turn. Without an interrupt the text so far is the
// whole.
func (c *claude) stop(h *heard, waiting []heard, end []byte) (lines [][]byte) {
	reason, text := "completed", ""
	if h != nil {
		lines = append(lines, receipt(*h, waiting))
		reason = "aborted_streaming"
	}
	for _, id := range slices.Sorted(maps.Keys(c.asks)) {
		lines = append(lines, []byte(`{"type":"control_cancel_request","request_id":`+id+`}`))
	}
	if c.block != nil && c.block.text.Len() > 0 {
		text = c.block.text.String()
		lines = append(lines, c.aborted(h != nil))
	}
	if h != nil {
		if len(c.calls) > 0 {
			reason = "aborted_tools"
		}
		lines = append(lines, c.interrupted()...)
	}
	lines = append(lines, c.closing(h != nil)...)
	lines = append(lines, c.result(end, reason, text))
	c.ended = "completed"
	if h != nil {
		c.ended = "cancelled"
	}
	c.rest()
	return lines
}

// line adds what every line has to a beginning.
func (c *claude) line(begin string) []byte {
	return fmt.Appendf(nil, `%s,"parent_tool_use_id":null,"session_id":%s,"uuid":%s}`, begin, quote(c.session), quote(c.serial.uuid()))
}

// aborted is the block that is open, as far as it went.
func (c *claude) aborted(cut bool) []byte {
	block := `{"type":"text","text":` + quote(c.block.text.String()) + `}`
	if c.block.typ == "thinking" {
		block = `{"type":"thinking","thinking":` + quote(c.block.text.String()) + `,"signature":""}`
	}
	line := c.line(`{"type":"assistant","message":{"id":` + quote(c.message) +
		`,"type":"message","role":"assistant","content":[` + block + `],"stop_reason":null,"stop_sequence":null}`)
	if cut {
		line = set(line, "true", "aborted")
	}
	return line
}

// interrupted gives every tool that runs its result, and the model the news.
func (c *claude) interrupted() (lines [][]byte) {
	text := stopText
	for _, id := range c.calls {
		text = stopToolText
		lines = append(lines, c.line(`{"type":"user","message":{"role":"user","content":[`+toolResult(id, denyText)+`]}`))
	}
	return append(lines, c.line(`{"type":"user","message":{"role":"user","content":[{"type":"text","text":`+quote(text)+`}]}`))
}

// closing ends the message that is streamed.
func (c *claude) closing(cut bool) (lines [][]byte) {
	event := func(event string) {
		lines = append(lines, c.line(`{"type":"stream_event","event":`+event))
	}
	if c.block != nil {
		event(fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, c.block.index))
	}
	if c.message == "" {
		return lines
	}
	why := `"end_turn"`
	if cut {
		why = "null"
	}
	event(`{"type":"message_delta","delta":{"stop_reason":` + why + `,"stop_sequence":null}}`)
	event(`{"type":"message_stop"}`)
	return lines
}

// result is the end of a turn, made from the recorded one: so it keeps what the
// turn has come from.
func (c *claude) result(end []byte, reason, text string) []byte {
	if end == nil {
		end = []byte(`{"type":"result","duration_ms":0,"duration_api_ms":0,"num_turns":1,"total_cost_usd":0,"usage":{}}`)
	}
	subtype, failed := "success", "false"
	if reason != "completed" {
		subtype, failed = "error_during_execution", "true"
	}
	for _, m := range [][2]string{
		{"session_id", quote(c.session)}, {"subtype", quote(subtype)}, {"is_error", failed}, {"stop_reason", "null"},
		{"terminal_reason", quote(reason)}, {"uuid", quote(c.serial.uuid())},
	} {
		end = set(end, m[1], m[0])
	}
	if failed == "true" {
		return set(drop(end, "result"), `["[ede_diagnostic] interrupted"]`, "errors")
	}
	return set(drop(end, "errors"), quote(text), "result")
}

func (c *claude) over(h heard) [][]byte {
	end := c.result(nil, "error", "")
	end = set(end, `[`+quote(overText)+`]`, "errors")
	if h.uuid != "" {
		end = set(end, quote(h.uuid), "user_message_uuid")
	}
	return [][]byte{end}
}
