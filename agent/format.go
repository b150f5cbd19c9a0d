package agent

import (
	"encoding/json"
	"slices"
)

// The formats that konlog reads.
const (
	FormatLines    = "lines"
	FormatClaude   = "claude"
	FormatCodex    = "codex"
	FormatGemini   = "gemini"
	FormatACP      = "acp"
	FormatOpencode = "opencode"
)

// Format reads what one agent prints. It is pure: the same lines in the same
// order always mean the same. Not safe for concurrent use.
type Format interface {
	// Read says what a line means. The line is one JSON object, valid UTF-8,
	// and must not be kept. Read takes whatever it holds: members of a form
	// that nobody expected mean nothing, and the line stays what it is.
	Read(line []byte, d Direction) Meaning
}

// Direction says who wrote a line. Only recordings have lines of both.
type Direction int

// The directions.
const (
	FromAgent Direction = iota
	ToAgent
)

// Options are what a format has to know beside the lines.
type Options struct {
	// Scope goes before ids that an agent counts anew in every process, so
	// that they are told apart in a session: "scope:id". "" leaves them.
	Scope string
}

// Place says how a line stands to the turns of its session.
type Place int

// The places.
const (
	Aside Place = iota // goes with the turn that is open, if there is one, and never opens any
	Work               // is the work of a turn: opens one when there is none
	Late               // belongs to a task (Event.Task), and so to the turn that started it
)

// Meaning is what one line says in the terms of PROTOCOL.md section 2.
type Meaning struct {
	// Known: the format knows this kind of line, also when it says nothing
	// neutral. Others pass as they are, and are counted by Kind.
	Known  bool
	Kind   string // the agent's own name of the kind of line, such as "system/init"
	Place  Place
	Events []Event // in order; of a line without any an event of the type agent is made
	End    *End    // the line ends a turn; its events come before
}

// Event is an event that a line stands for. Turn, key and line are the
// Mapper's matter.
type Event struct {
	Type   string
	Parent string
	Data   []byte // a JSON object
	Task   string // of task_*, and of what else is Late: the task's id
}

// End is the end of a turn.
type End struct {
	Success bool
	Reason  string // "" stands for done, or error
	Error   string
	Text    string          // the whole text, where the agent says it again; or ""
	Usage   json.RawMessage // an object, or nil
	CostUSD json.Number     // of this turn alone; or ""

	// Own: of a turn that the agent began by itself. It does not end one that
	// somebody asked for.
	Own bool
	// Again: the agent says this beside another line that ends the turn. It
	// ends an open turn and does not make one only to end it.
	Again bool
}

// Formats lists the names that New knows.
func Formats() []string {
	return []string{FormatACP, FormatClaude, FormatCodex, FormatGemini, FormatLines, FormatOpencode}
}

// Known reports whether New knows the name.
func Known(name string) bool { return slices.Contains(Formats(), name) }

// New returns the format of that name; nil for lines, which says nothing of
// its lines. It panics when the name is not Known.
func New(name string, o Options) Format {
	switch name {
	case FormatLines:
		return nil
	case FormatClaude:
		return newClaude(o)
	case FormatCodex:
		return newCodex(o)
	case FormatGemini:
		return newGemini(o)
	case FormatACP:
		return newACP(o)
	case FormatOpencode:
		return newOpencode(o)
	}
	panic("agent: no format " + name)
}
