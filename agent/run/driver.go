package run

import (
	"encoding/json"

	"github.com/konlog/konlog/agent"
)

// Driver speaks one agent's language: what to start, and what to write to its
// standard input. One Driver belongs to one process. The runner calls it from
// one goroutine; it starts none and waits for nothing.
type Driver interface {
	// Launch says how to start the process. It is called first, once.
	Launch(s Start) (Launch, error)
	// Heard is told of every line that the process prints, before its events
	// are appended, and may reply: with what the agent asked of its host.
	Heard(line []byte, m agent.Meaning) (reply []byte)
	// Ready reports whether a prompt may be given. A process that was
	// launched with its prompt never is.
	Ready() bool
	// Prompt gives a prompt, or further words within a turn. ErrOnePrompt
	// when the process takes none but the one it was launched with.
	Prompt(p Prompt) (input []byte, err error)
	// Answer answers a question that the agent asked by a permission_request.
	// ok is false when this process did not ask it, or takes no answers.
	Answer(a Answer) (input []byte, ok bool)
	// Interrupt asks the agent to stop its turn. ok is false when its language
	// has no word for that: then there are signals.
	Interrupt() (input []byte, ok bool)
}

// Repeater is a Driver whose agent may say again what the log has: the history
// of a conversation that it goes on with.
type Repeater interface {
	// Repeats reports whether a line is such a repetition. It is asked before
	// Heard, of every line. The line is kept as it is and means nothing.
	Repeats(line []byte) bool
}

// Start is what a Driver starts from.
type Start struct {
	Command []string // of the user; never empty, not to be changed
	Dir     string   // the working directory, absolute
	Resume  string   // the agent's own id of the conversation to go on with, or ""
	Prompt  Prompt   // the one that the process is started for
	Scope   string   // goes before ids that the agent counts anew in every process, as in agent.Options
	Temp    string   // a folder for Launch.Temp, or "" for the system's
}

// Launch is a process to start.
type Launch struct {
	Args []string // the program and its arguments
	Env  []string // beside the runner's, "NAME=value"
	// Input is written first. With OnePrompt it holds the prompt, if Args do
	// not, and is followed by the end of the input.
	Input     []byte
	OnePrompt bool // the process takes this prompt alone, and ends with its turn
	// Temp is a private folder that the Driver made for what the process reads
	// as files, or "". It is removed when the process has ended.
	Temp string
}

// Prompt is what a person, or another agent, says.
type Prompt struct {
	Text   string
	Images []Image
	Key    string // names the prompt, for agents that keep such names: a UUID
}

// Image is a picture of a prompt, at most store.BlobBytesDefault bytes.
type Image struct {
	ContentType string
	Content     []byte
}

// Answer is a permission_response of the log.
type Answer struct {
	RequestID    string // as the permission_request had it
	Allow        bool
	UpdatedInput json.RawMessage // or nil
	Option       string          // the id of one of the options, or ""
	Message      string
}
