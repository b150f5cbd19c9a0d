package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// program is what a command starts in the end.
type program struct {
	name string   // of the program, without folder and ending
	args []string // its own arguments
	at   int      // where they begin in the command
}

// starters run the package that is named after their options.
var starters = []string{"npx", "bunx", "pnpx"}

// packages are programs whose package has another name.
var packages = map[string]string{
	"claude-code": "claude",
	"gemini-cli":  "gemini",
}

// programOf finds the program behind what only starts it: `env NAME=value …`
// and `npx -y @scope/package@version …`. ok is false when there is none.
func programOf(command []string) (p program, ok bool) {
	at := 0
	if at < len(command) && baseName(command[at]) == "env" {
		at++
		for at < len(command) && strings.Contains(command[at], "=") && command[at][0] != '-' {
			at++
		}
	}
	if at < len(command) && slices.Contains(starters, baseName(command[at])) {
		at++
		for at < len(command) && (command[at] == "-y" || command[at] == "--yes" || command[at] == "-q" || command[at] == "--") {
			at++
		}
		if at >= len(command) {
			return p, false
		}
		return program{name: packageName(command[at]), args: command[at+1:], at: at + 1}, true
	}
	if at >= len(command) {
		return p, false
	}
	return program{name: baseName(command[at]), args: command[at+1:], at: at + 1}, true
}

// baseName is a program's name without folder and ending, of any system.
func baseName(file string) string {
	name := path.Base(strings.ReplaceAll(file, `\`, "/"))
	for _, ending := range []string{".exe", ".cmd", ".bat", ".ps1"} {
		if n := len(name) - len(ending); n > 0 && strings.EqualFold(name[n:], ending) {
			return name[:n]
		}
	}
	return name
}

// packageName is the program of a package such as @scope/name@1.2.3.
func packageName(spec string) string {
	name := path.Base(spec)
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	if program, there := packages[name]; there {
		return program
	}
	return name
}

// has reports whether one of the flags is among the arguments, as --flag or
// --flag=value. What comes after -- are no flags.
func (p program) has(flags ...string) bool {
	for _, arg := range p.args {
		if arg == "--" {
			return false
		}
		name, _, _ := strings.Cut(arg, "=")
		if slices.Contains(flags, name) {
			return true
		}
	}
	return false
}

// value is that of the flag, from --flag value or --flag=value, or "".
func (p program) value(flags ...string) string {
	for i, arg := range p.args {
		if arg == "--" {
			return ""
		}
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case !slices.Contains(flags, name):
		case joined:
			return value
		case i+1 < len(p.args):
			return p.args[i+1]
		}
	}
	return ""
}

// flags are those that a command lacks.
type flags struct {
	of    program
	names []string
}

// need adds a flag, with its value if it has one, unless the command has it
// under one of its names.
func (f *flags) need(value string, names ...string) {
	if f.of.has(names...) {
		return
	}
	f.names = append(f.names, names[0])
	if value != "" {
		f.names = append(f.names, value)
	}
}

// checkOutput refuses a command that asks for another output than the lines
// that konlog reads.
func checkOutput(name, format string) error {
	if format == "" || format == streamJSON {
		return nil
	}
	return fmt.Errorf("%s: konlog reads %s, and the command says %s %s: leave it out", name, streamJSON, flagOutput, format)
}

// checkResume refuses what cannot be the id of a conversation. Such an id comes
// from the log, and could else be read as a flag or as a search.
func checkResume(name, id string) error {
	if id == "" || len(id) == len(uuid.Nil.String()) && uuid.Validate(id) == nil {
		return nil
	}
	return fmt.Errorf("%s: %q is not the id of a conversation, which is a UUID: start without it", name, id)
}

// The flags that agents have in common.
const (
	flagOutput    = "--output-format"
	flagResume    = "--resume"
	flagSessionID = "--session-id"
	streamJSON    = "stream-json"
)

// takes says whether a flag has a value.
type takes int

const (
	takesNone takes = iota
	takesOne
	takesMaybe // one that does not look like a flag
)

// resume lets the conversation of that id go on. What the command itself says
// about where to begin was for its first process: a second one would begin
// there again, or be refused. It returns the program's own arguments.
func (f *flags) resume(id string, begins map[string]takes) []string {
	if id == "" {
		return f.of.args
	}
	f.names = append(f.names, flagResume, id)
	return without(f.of.args, begins)
}

// without takes flags and their values out of the arguments.
func without(args []string, flags map[string]takes) (kept []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(kept, args[i:]...)
		}
		name, _, joined := strings.Cut(args[i], "=")
		value, there := flags[name]
		switch {
		case !there:
			kept = append(kept, args[i])
		case joined || value == takesNone:
		case value == takesOne || i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			i++
		}
	}
	return kept
}

// withResume is the command of a program that is not the agent itself, such as
// a script around it: only the conversation to go on with is added.
func withResume(s Start, p program) []string {
	args := slices.Clone(s.Command)
	if s.Resume == "" || p.has("-c", "--continue", "-r", flagResume, flagSessionID) {
		return args
	}
	return append(args, flagResume, s.Resume)
}

// jsonLine is a value as one line of JSON.
func jsonLine(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // what a person typed stays readable
	if err := enc.Encode(v); err != nil {
		panic("run: a line for the agent did not encode: " + err.Error()) // of strings and values that were decoded
	}
	return b.Bytes()
}
