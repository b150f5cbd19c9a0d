// Package run runs agents behind the log. A Runner is a reader that appends:
// it tails the prompts, stops and answers of one session, gives them to an
// agent's process, and appends what the agent says. So it works in the
// server's process as well as on another machine.
//
// The agent's output goes one way: process → lines → events → spool on disk →
// log. Nothing of the network is waited for before the spool, so that the
// process is never held up by it.
package run
