package store

import "strings"

// TagShell marks the sessions of terminals.
const TagShell = "shell"

// The types of a terminal's events.
const (
	TypeTerminalStart  = "terminal_start"  // {command, dir, cols, rows, by}
	TypeTerminalOutput = "terminal_output" // {bytes}: what the program printed, in base64
	TypeTerminalInput  = "terminal_input"  // {bytes} or {text}: what is to be typed
	TypeTerminalResize = "terminal_resize" // {cols, rows}: how large the screen is from here on
	TypeTerminalExit   = "terminal_exit"   // {exitCode, signal?, reason}: exit, idle, revoked, stopped or server
)

// TerminalType reports whether the type is one of a terminal's own, which whoever
// appends it must be allowed to use: input makes its program do something, and
// the others would be taken for the program's.
func TerminalType(typ string) bool { return strings.HasPrefix(typ, "terminal_") }

// Refusals of shells.
const (
	CodeShellsFull   Code = "too_many_shells"
	CodeInvalidShell Code = "invalid_shell"
	CodeShellFailed  Code = "shell_failed"
)
