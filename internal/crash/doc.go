// Package crash holds the proof that nothing is lost when the server dies: the
// real binary is killed at random moments under load, again and again on one
// data directory, and what was acknowledged or shown to a reader is looked for
// afterwards. The same for agents behind the log: agent, guard, runner and
// server are killed in mid-conversation, and what the agents' processes printed
// is held against the log. It has tests only.
//
// Agents are killed with KONLOG_LONG=1 only.
// KONLOG_CRASH_ROUNDS sets the number of kills, or of conversations (30 in CI,
// thousands for a long run); KONLOG_CRASH_SEED repeats a run's random choices.
package crash
