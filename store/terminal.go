package store

// TagShell marks the sessions of terminals.
const TagShell = "shell"

// The types of a terminal's events.
const (
	TypeTerminalStart  = "terminal_start"  // {command, dir, cols, rows, by}
	TypeTerminalOutput = "terminal_output" // {bytes}: what the program printed, in base64
	TypeTerminalInput  = "terminal_input"  // {bytes} or {text}: what is to be typed
	TypeTerminalResize = "terminal_resize" // {cols, rows}: how large the screen is from here on
	TypeTerminalExit   = "terminal_exit"   // {exitCode, signal?, reason}: exit, closed, idle, stopped or server
)

// TerminalOrder reports whether an event of the type makes a terminal's program
// do something, so that whoever appends it must be allowed to use one.
func TerminalOrder(typ string) bool {
	return typ == TypeTerminalInput || typ == TypeTerminalResize
}

// Refusals of shells.
const (
	CodeShellsFull   Code = "too_many_shells"
	CodeInvalidShell Code = "invalid_shell"
	CodeShellFailed  Code = "shell_failed"
)
