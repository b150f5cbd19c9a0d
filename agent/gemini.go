package agent

import "github.com/konlog/konlog/store"

// geminiFormat reads what Gemini CLI prints with --output-format stream-json.
// Each of its processes does one turn, from init to result. Messages have no
// ids and are never said again as a whole: a block ends where a tool begins.
type geminiFormat struct{ blocks unnamed }

func newGemini(o Options) Format { return &geminiFormat{blocks: unnamed{scope: o.Scope}} }

// Read implements Format.
func (f *geminiFormat) Read(line []byte, _ Direction) Meaning {
	o, _ := parseObject(line)
	m := Meaning{Known: true, Kind: o.str("type")}
	if m.Kind == "message" {
		return f.message(o)
	}
	f.blocks.close()
	switch m.Kind {
	case "init":
		// It comes before the prompt that it echoes: the process was started
		// for that, so this is where the work begins.
		m.Place = Work
		if id := o.str("session_id"); id != "" {
			m.Events = []Event{sayInit(id, o.str("model"), "")}
		}
	case "tool_use":
		m.Place = Work
		if id := o.str("tool_id"); id != "" {
			m.Events = []Event{sayTool(id, o.str("tool_name"), o.firstOf("parameters"))}
		}
	case "tool_result":
		m.Place = Work
		if id := o.str("tool_id"); id != "" {
			m.Events = []Event{sayResult(id, "", geminiOutput(o), o.str("status") == "error")}
		}
	case "error":
		// A warning is of no turn: it may come before there is one.
		if text := o.str("message"); text != "" {
			m.Events = []Event{sayTrouble(text, o.str("severity"))}
		}
	case "result":
		m.End = geminiEnd(o)
	default:
		m.Known = false
	}
	return m
}

func (f *geminiFormat) message(o object) Meaning {
	role, text := o.str("role"), o.quoted("content")
	m := Meaning{Known: true, Kind: "message/" + role}
	switch role {
	case "assistant":
		m.Place = Work
		if len(text) <= len(`""`) {
			return m
		}
		typ := store.TypeText
		if o.is("delta") {
			typ = store.TypeTextDelta
		} else {
			f.blocks.close()
		}
		m.Events = []Event{sayText(typ, text, f.blocks.block(typ))}
	case "user":
		f.blocks.close()
		if len(text) > 0 {
			m.Events = []Event{sayPrompt(o.str("content"))}
		}
	default:
		m.Known = false
	}
	return m
}

// geminiOutput is what a tool gave, or why it failed when it gave nothing.
func geminiOutput(o object) []byte {
	if out := o.firstOf("output"); len(out) > 0 && string(out) != `""` {
		return out
	}
	return o.obj("error").quoted("message")
}

func geminiEnd(o object) *End {
	end := &End{Success: o.str("status") == "success", Usage: o.object("stats")}
	if !end.Success {
		if end.Error = errorText(o["error"]); end.Error == "" {
			end.Error = o.str("status")
		}
	}
	return end
}
