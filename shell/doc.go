// Package shell runs programs in terminals whose log is a session: what they
// print, what is typed and how large the screen is are events, so that a
// terminal survives its viewers, and can be watched and replayed by any number
// of them over any transport. A shell is a reader of its session that also
// appends, as an agent's runner is.
package shell
